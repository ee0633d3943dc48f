//! Cloudflare's REST API, as far as a project needs it.

mod account;
mod client;
mod credentials;
mod error;
mod kv;
mod r2;
mod scripts;
mod secrets;
mod subdomain;
mod tail;
mod versions;

pub use account::Account;
pub use client::{Module, Upload};
pub use credentials::{Credentials, PERMISSIONS, Secret, TOKENS};
pub use error::Error;
pub use kv::Namespace;
pub use r2::Bucket;
pub use scripts::{Script, Settings};
pub use tail::Tail;
pub use versions::{Deployed, Version};
