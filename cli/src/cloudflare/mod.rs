//! Cloudflare's REST API, as far as a project needs it.

mod account;
mod client;
mod credentials;
mod error;
mod kv;
mod r2;
mod s3;
mod scripts;
mod subdomain;
mod tail;

pub use account::Account;
pub use client::{Module, Upload};
pub use credentials::{Credentials, PERMISSIONS, Secret, TOKENS};
pub use error::{Error, Result};
pub use kv::Namespace;
pub use r2::Bucket;
pub use s3::{BATCH, S3Key};
pub use scripts::{Script, Settings};
pub use tail::Tail;
