//! What a registry is kept in: a KV namespace, here or at Cloudflare.

use anyhow::Result;

use crate::{error::problem, project::Project};

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
pub fn no_namespace(project: &Project) -> anyhow::Error {
    let key = project.key("kv_namespaces");
    problem(
        format!(
            "{} has no KV namespace with the binding {BINDING} in `{key}`",
            project.manifest().name()
        ),
        format!("add an entry to `{key}` with `binding = \"{BINDING}\"`"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{error::hint, project::Here};

    #[test]
    fn a_namespace_is_missed_where_it_belongs() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let settings = r#"{ "name": "shop", "main": "build/index.js",
            "compatibility_date": "2026-04-01", "env": { "staging": {} } }"#;
        fs::write(dir.path().join("wrangler.jsonc"), settings).unwrap();
        for (environment, key) in [
            (None, "`kv_namespaces`"),
            (Some("staging"), "`env.staging.kv_namespaces`"),
        ] {
            let here = Here {
                environment: environment.map(str::to_owned),
                ..Here::at(dir.path())
            };
            let error = no_namespace(&Project::open(&here).unwrap());
            let (said, way_out) = (error.to_string(), hint(&error).unwrap());
            assert!(said.starts_with("wrangler.jsonc has no"), "{said}");
            assert!(
                said.contains(key) && way_out.contains(key),
                "{said} {way_out}"
            );
        }
    }
}
