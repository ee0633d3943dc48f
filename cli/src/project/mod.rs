//! A scaffolded project on disk, as its `wrangler.toml` describes it.

pub mod edit;
mod here;
mod layout;
mod lock;
mod upgrade;
pub mod wrangler;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

pub use here::Here;
pub use layout::{MANIFEST, SCRIPT, WASM};
pub use lock::{Lock, Work, holder};

use self::{
    layout::{BUILD_DIR, MACHINE_DIR, QUICK_DIR},
    wrangler::Wrangler,
};
use crate::{bundle::Effort, error::problem};

/// A scaffolded project.
#[derive(Debug)]
pub struct Project {
    /// Its folder, absolute.
    pub root: PathBuf,
    /// Which of its environments this is; nothing for the top level.
    pub environment: Option<String>,
    /// The worker's name.
    pub name: String,
    /// What its `wrangler.toml` says.
    pub wrangler: Wrangler,
}

impl Project {
    /// Opens the project that a command works in.
    pub fn open(here: &Here) -> Result<Self> {
        let root = here.root()?;
        let manifest = root.join(MANIFEST);
        let text = read(&manifest)?;
        let wrangler = Wrangler::parse(&text).map_err(|wrong| {
            problem(
                format!("{}: {wrong}", manifest.display()),
                "mend the file; `durable-streams init` writes one that is right",
            )
        })?;
        Ok(Self {
            root,
            environment: here.environment.clone(),
            name: wrangler.name.clone(),
            wrangler,
        })
    }

    /// Opens it once more: its files may have changed.
    pub fn reopened(&self) -> Result<Self> {
        Self::open(&Here {
            dir: self.root.clone(),
            environment: self.environment.clone(),
        })
    }

    /// A folder of the project for what belongs to this machine only; git ignores it.
    pub fn machine_dir(&self) -> PathBuf {
        self.root.join(MACHINE_DIR)
    }

    /// The folder of the bundle that is deployed.
    pub fn build_dir(&self) -> PathBuf {
        self.bundle_dir(Effort::Full)
    }

    /// The folder of a bundle. One that is made for a local run never lies where a deployment looks.
    pub fn bundle_dir(&self, effort: Effort) -> PathBuf {
        match effort {
            Effort::Full => self.root.join(BUILD_DIR),
            Effort::Quick => self.machine_dir().join(QUICK_DIR),
        }
    }

    /// Its `wrangler.toml`.
    pub fn manifest(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    /// Adds to `wrangler.toml` what the bundle of an effort has and an older release did not know, and says what
    /// that was. Nothing is written for a `dry_run`, but what would be counts from then on.
    pub fn upgrade(&mut self, effort: Effort, dry_run: bool) -> Result<Vec<String>> {
        let manifest = self.manifest();
        let script = read(&self.bundle_dir(effort).join(SCRIPT))?;
        let has = |class: &str| upgrade::exports(&script, class);
        let Some(upgrade) = upgrade::upgrade(&read(&manifest)?, has)? else {
            return Ok(Vec::new());
        };
        self.wrangler = Wrangler::parse(&upgrade.text).map_err(anyhow::Error::msg)?;
        if !dry_run {
            edit::replace(&manifest, &upgrade.text)
                .with_context(|| format!("cannot write {}", manifest.display()))?;
        }
        Ok(upgrade.added)
    }

    /// What `wrangler.toml` will say if the bundle, which is not built yet, has all that one of today
    /// may have.
    pub fn prospect(&self) -> Result<Option<Wrangler>> {
        let upgrade = upgrade::upgrade(&read(&self.manifest())?, |_| true)?;
        let wrangler = upgrade.map(|upgrade| Wrangler::parse(&upgrade.text));
        wrangler.transpose().map_err(anyhow::Error::msg)
    }

    /// Settings of `wrangler.toml` that a local run does not follow.
    pub fn not_served(&self) -> Vec<&str> {
        self.wrangler.not_served()
    }

    /// The id of the KV namespace of a binding, as wrangler chooses it for local runs.
    pub fn namespace(&self, binding: &str) -> Option<&str> {
        let mut namespaces = self.wrangler.kv_namespaces.iter();
        let namespace = namespaces.find(|namespace| namespace.binding == binding)?;
        Some(namespace.id.as_ref().unwrap_or(&namespace.binding))
    }

    /// The date whose runtime behaviour the worker expects.
    pub fn compatibility_date(&self) -> &str {
        &self.wrangler.compatibility_date
    }

    /// The worker as miniflare's options describe it, with its bundle for local runs. Names and ids are chosen as wrangler chooses
    /// them, so that `wrangler dev` finds the same data.
    pub fn worker_options(&self) -> Value {
        let wrangler = &self.wrangler;
        let build = self.bundle_dir(Effort::Quick);
        let objects = wrangler.durable_objects.bindings.iter().map(|object| {
            let options = json!({
                "className": object.class_name,
                "useSQLite": wrangler.uses_sqlite(&object.class_name),
            });
            (object.name.clone(), options)
        });
        let buckets = wrangler.r2_buckets.iter().map(|bucket| {
            let id = bucket.bucket_name.as_ref().unwrap_or(&bucket.binding);
            (bucket.binding.clone(), json!(id))
        });
        let namespaces = wrangler.kv_namespaces.iter().map(|namespace| {
            let id = namespace.id.as_ref().unwrap_or(&namespace.binding);
            (namespace.binding.clone(), json!(id))
        });
        let datasets = wrangler.analytics_engine_datasets.iter().map(|dataset| {
            let name = dataset.dataset.as_deref().unwrap_or("dataset");
            (dataset.binding.clone(), json!({ "dataset": name }))
        });
        json!({
            "name": wrangler.name,
            "compatibilityDate": wrangler.compatibility_date,
            "compatibilityFlags": wrangler.compatibility_flags,
            "modulesRoot": build,
            "modules": [
                { "type": "ESModule", "path": build.join(SCRIPT) },
                { "type": "CompiledWasm", "path": build.join(WASM) },
            ],
            "bindings": wrangler.vars,
            "durableObjects": objects.collect::<Map<_, _>>(),
            "r2Buckets": buckets.collect::<Map<_, _>>(),
            "kvNamespaces": namespaces.collect::<Map<_, _>>(),
            "analyticsEngineDatasets": datasets.collect::<Map<_, _>>(),
        })
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRANGLER: &str = r#"
name = "my-streams"
main = "build/index.js"
compatibility_date = "2026-04-01"
compatibility_flags = ["nodejs_compat"]
[[durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["StreamDO"]
[[r2_buckets]]
binding = "R2"
bucket_name = "cold"
[[kv_namespaces]]
binding = "REGISTRY"
[[kv_namespaces]]
binding = "OTHER"
id = "abc"
[[analytics_engine_datasets]]
binding = "METRICS"
dataset = "numbers"
[vars]
DEBUG_TIMING = "1"
NUMBER = 3
[observability]
enabled = true
"#;

    fn project(wrangler: &str) -> (tempfile::TempDir, Result<Project>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        std::fs::write(dir.path().join("wrangler.toml"), wrangler).unwrap();
        let project = Project::open(&Here::at(dir.path()));
        (dir, project)
    }

    #[test]
    fn bindings_become_options() {
        let (_dir, project) = project(WRANGLER);
        let project = project.unwrap();
        let options = project.worker_options();
        assert_eq!(options["name"], "my-streams");
        assert_eq!(options["compatibilityDate"], "2026-04-01");
        // What is served here is never what is deployed.
        let served = project.bundle_dir(Effort::Quick);
        assert_eq!(options["modulesRoot"], json!(served));
        assert!(!served.starts_with(project.build_dir()));
        assert_eq!(options["compatibilityFlags"], json!(["nodejs_compat"]));
        assert_eq!(
            options["durableObjects"],
            json!({ "STREAMS": { "className": "StreamDO", "useSQLite": true } })
        );
        assert_eq!(options["r2Buckets"], json!({ "R2": "cold" }));
        assert_eq!(
            options["kvNamespaces"],
            json!({ "REGISTRY": "REGISTRY", "OTHER": "abc" })
        );
        assert_eq!(
            options["analyticsEngineDatasets"],
            json!({ "METRICS": { "dataset": "numbers" } })
        );
        assert_eq!(
            options["bindings"],
            json!({ "DEBUG_TIMING": "1", "NUMBER": 3 })
        );
        assert!(project.not_served().is_empty());
    }

    #[test]
    fn a_class_without_a_migration_has_no_sqlite() {
        let (_dir, project) = project(&WRANGLER.replace("new_sqlite_classes", "new_classes"));
        let options = project.unwrap().worker_options();
        assert_eq!(options["durableObjects"]["STREAMS"]["useSQLite"], false);
    }

    #[test]
    fn settings_that_are_not_followed_are_named() {
        let (_dir, project) = project(&format!("{WRANGLER}\n[[d1_databases]]\nbinding = \"DB\"\n"));
        assert_eq!(project.unwrap().not_served(), ["d1_databases"]);
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_the_fault() {
        for (text, fault) in [
            ("name = ", "wrangler.toml"),
            (
                "name = \"x\"\nmain = \"build/index.js\"",
                "compatibility_date",
            ),
            (
                "name = \"x\"\ncompatibility_date = \"2026-04-01\"",
                "`main` is missing",
            ),
            (
                "name = \"x\"\nmain = \"other.js\"\ncompatibility_date = \"2026-04-01\"",
                "`main` is `other.js`",
            ),
        ] {
            let (_dir, project) = project(text);
            let error = project.unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn a_folder_without_a_project_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Project::open(&Here::at(dir.path())).unwrap_err();
        assert!(error.to_string().contains("is in no project"), "{error}");
    }
}
