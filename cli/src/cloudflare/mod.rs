//! Cloudflare's REST API, as far as a project needs it.

mod access;
mod account;
mod analytics;
mod client;
mod credentials;
mod error;
mod kept;
mod kv;
pub mod permissions;
mod r2;
mod s3;
mod scripts;
mod secrets;
mod subdomain;
mod tail;
mod user;
mod versions;

pub use access::{Ability, Access, obstacle, opening};
pub use account::{Account, Listed};
pub use client::{Module, Upload};
pub use credentials::{Credentials, Secret, overriding};
pub use error::{Error, Result};
pub use kept::{Kept, path as login_path};
pub use kv::Namespace;
pub use r2::Bucket;
pub use s3::{BATCH, S3Key};
pub use scripts::{Script, Settings};
pub use tail::Tail;
pub use user::{Owner, Verified};
pub use versions::{Deployed, Version};
