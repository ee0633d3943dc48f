//! What a registry is kept in: a KV namespace, here or at Cloudflare.

use anyhow::Result;

use crate::error::problem;

/// The binding of the namespace.
pub const BINDING: &str = "REGISTRY";

/// Keys with values, which are texts.
pub trait Store {
    /// The value of a key, if there is one.
    fn get(&mut self, key: &str) -> Result<Option<String>>;
    /// Sets the value of a key.
    fn put(&mut self, key: &str, value: &str) -> Result<()>;
    /// Removes a key.
    fn delete(&mut self, key: &str) -> Result<()>;
    /// All keys.
    fn list(&mut self) -> Result<Vec<String>>;
}

/// The error when the project binds no such namespace.
pub fn no_namespace() -> anyhow::Error {
    problem(
        format!("wrangler.toml has no KV namespace with the binding {BINDING}"),
        format!("add [[kv_namespaces]] with binding = \"{BINDING}\""),
    )
}
