//! A scaffolded project on disk, as its `wrangler.toml` describes it.

mod document;
pub mod edit;
mod environment;
mod here;
mod jsonc;
mod layout;
mod lock;
mod manifest;
#[cfg(test)]
pub mod samples;
mod toml;
mod upgrade;
pub mod wrangler;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

pub use here::{Here, check_path};
pub use layout::{MANIFESTS, SCRIPT, WASM};
pub use lock::{Lock, Work, holder, last_url};

use self::{
    layout::{BUILD_DIR, MACHINE_DIR, QUICK_DIR},
    manifest::{Manifest, Read},
    wrangler::Wrangler,
};
use crate::{bundle::Effort, error::problem, ui::Ui};

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
    manifest: Manifest,
    /// What the environment lacks and the top level has.
    missing: Vec<String>,
    warnings: Vec<String>,
}

impl Project {
    /// Opens the project that a command works in.
    pub fn open(here: &Here) -> Result<Self> {
        let root = here.root()?;
        let manifest = Manifest::find(&root, here.environment.clone());
        let manifest = manifest.with_context(|| format!("{} has changed", root.display()))?;
        let Read {
            wrangler,
            missing,
            warnings,
            ..
        } = manifest.read()?;
        Ok(Self {
            root,
            environment: here.environment.clone(),
            name: wrangler.name.clone(),
            wrangler,
            manifest,
            missing,
            warnings,
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

    /// Its `wrangler.toml`, or what stands in its place.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a key of its settings is in their file, as in `env.staging.vars`.
    pub fn key(&self, key: &str) -> String {
        match &self.environment {
            Some(name) => format!("env.{name}.{key}"),
            None => key.to_owned(),
        }
    }

    /// Says what the environment's settings are likely to be meant otherwise in. Without streams
    /// they are refused: its worker would answer nothing.
    pub fn check_environment(&self, ui: &Ui) -> Result<()> {
        let file = self.manifest.name();
        for warning in &self.warnings {
            ui.warn(format!("{file}: {warning}"));
        }
        let (Some(name), [_, ..]) = (&self.environment, &self.missing[..]) else {
            return Ok(());
        };
        let lacks = format!(
            "{file}: `env.{name}` has no `{}`, and an environment does not inherit that from the top \
             level",
            self.missing.join("`, `")
        );
        if self.missing.iter().any(|key| key == "durable_objects") {
            return Err(problem(
                format!("{lacks}: its worker would have no streams"),
                format!(
                    "say it once more in `env.{name}`, with another `bucket_name` or none for the bucket, \
                     and no `id` for the namespace: both are made"
                ),
            ));
        }
        ui.warn(lacks);
        Ok(())
    }

    /// Adds to `wrangler.toml` what the bundle of an effort has and an older release did not know, and says what
    /// that was. Nothing is written for a `dry_run`, but what would be counts from then on.
    pub fn upgrade(&mut self, effort: Effort, dry_run: bool) -> Result<Vec<String>> {
        let script = read(&self.bundle_dir(effort).join(SCRIPT))?;
        let has = |class: &str| upgrade::exports(&script, class);
        let Some(upgrade) = upgrade::upgrade(&self.manifest, self.manifest.read()?, has)? else {
            return Ok(Vec::new());
        };
        let text = upgrade.document.to_string();
        self.wrangler = self.manifest.understand(upgrade.document)?.wrangler;
        if !dry_run {
            self.manifest.write(&text)?;
        }
        Ok(upgrade.added)
    }

    /// What `wrangler.toml` will say if the bundle, which is not built yet, has all that one of today
    /// may have.
    pub fn prospect(&self) -> Result<Option<Wrangler>> {
        let upgrade = upgrade::upgrade(&self.manifest, self.manifest.read()?, |_| true)?;
        let read = upgrade.map(|upgrade| self.manifest.understand(upgrade.document));
        Ok(read.transpose()?.map(|read| read.wrangler))
    }

    /// Settings of `wrangler.toml` that a local run does not follow.
    pub fn not_served(&self) -> Vec<&str> {
        self.wrangler.not_served()
    }

    /// The id of the KV namespace of a binding in local runs.
    pub fn namespace(&self, binding: &str) -> Option<String> {
        self.local_namespaces().remove(binding)
    }

    /// The ids of KV namespaces in local runs, by binding.
    pub fn local_namespaces(&self) -> BTreeMap<String, String> {
        let all = self.wrangler.kv_namespaces.iter();
        all.map(|one| self.local_name(&one.binding, one.id.as_ref()))
            .collect()
    }

    /// The names of buckets in local runs, by binding.
    pub fn local_buckets(&self) -> BTreeMap<String, String> {
        let all = self.wrangler.r2_buckets.iter();
        all.map(|one| self.local_name(&one.binding, one.bucket_name.as_ref()))
            .collect()
    }

    /// A binding, with the name that what is bound has in local runs: what is written, or else the
    /// binding, as for wrangler. But wrangler does so in all environments, which then have one registry
    /// together, and what is deleted in one is gone in the others: here each has its own.
    fn local_name(&self, binding: &str, written: Option<&String>) -> (String, String) {
        let name = match (written, &self.environment) {
            (Some(name), _) => name.clone(),
            (None, None) => binding.to_owned(),
            (None, Some(environment)) => format!("{environment}-{binding}"),
        };
        (binding.to_owned(), name)
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
            "r2Buckets": self.local_buckets(),
            "kvNamespaces": self.local_namespaces(),
            "analyticsEngineDatasets": datasets.collect::<Map<_, _>>(),
        })
    }
}

/// A `wrangler.toml` with what it lacks of the classes of today, and what that was; nothing where it
/// lacks none.
pub fn with_later_classes(text: &str) -> Result<Option<(String, Vec<String>)>> {
    let manifest = Manifest::to_be();
    let upgrade = upgrade::upgrade(&manifest, manifest.parse(text)?, |_| true)?;
    Ok(upgrade.map(|upgrade| (upgrade.document.to_string(), upgrade.added)))
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
    fn environments_share_nothing_that_is_not_written() {
        let (dir, _project) = project(&format!(
            "{WRANGLER}\n[[env.a.durable_objects.bindings]]\nname = \"STREAMS\"\n\
             class_name = \"StreamDO\"\n[[env.a.kv_namespaces]]\nbinding = \"REGISTRY\"\n\
             [[env.a.r2_buckets]]\nbinding = \"R2\"\n"
        ));
        let here = Here {
            environment: Some("a".to_owned()),
            ..Here::at(dir.path())
        };
        let project = Project::open(&here).unwrap();
        let options = project.worker_options();
        assert_eq!(options["kvNamespaces"], json!({ "REGISTRY": "a-REGISTRY" }));
        assert_eq!(options["r2Buckets"], json!({ "R2": "a-R2" }));
        assert_eq!(project.namespace("REGISTRY").as_deref(), Some("a-REGISTRY"));
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

    /// The environment of a project.
    fn open_in(dir: &Path, environment: &str) -> Result<Project> {
        Project::open(&Here {
            environment: Some(environment.to_owned()),
            ..Here::at(dir)
        })
    }

    #[test]
    fn an_environment_is_a_worker_of_its_own() {
        let (dir, _) = project(&format!(
            r#"{WRANGLER}
[[env.staging.durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[env.staging.vars]
DEBUG_TIMING = "0"
[env.live]
name = "live"
"#
        ));
        let staging = open_in(dir.path(), "staging").unwrap();
        assert_eq!(staging.name, "my-streams-staging");
        assert_eq!(staging.reopened().unwrap().name, staging.name);
        let options = staging.worker_options();
        assert_eq!(options["name"], "my-streams-staging");
        assert_eq!(options["durableObjects"]["STREAMS"]["useSQLite"], true);
        assert_eq!(options["bindings"], json!({ "DEBUG_TIMING": "0" }));
        assert_eq!(options["r2Buckets"], json!({}));
        assert_eq!(
            staging.missing,
            ["analytics_engine_datasets", "kv_namespaces", "r2_buckets"]
        );
        let live = open_in(dir.path(), "live").unwrap();
        assert_eq!(live.name, "live");
        assert!(live.missing.contains(&"durable_objects".to_owned()));
        let error = open_in(dir.path(), "lvie").unwrap_err();
        assert!(
            error.to_string().contains("it has `live`, `staging`"),
            "{error}"
        );
        assert!(crate::error::hint(&error).unwrap().contains("[env.lvie]"));
    }

    #[test]
    fn json_is_read_first_and_named() {
        let (dir, _) = project(WRANGLER);
        let json = r#"{
            // As wrangler reads it.
            "name": "of-json", "main": "build/index.js", "compatibility_date": "2026-04-01",
            "vars": { "A": null, },
        }"#;
        std::fs::write(dir.path().join("wrangler.jsonc"), json).unwrap();
        let project = Project::open(&Here::at(dir.path())).unwrap();
        assert_eq!(project.name, "of-json");
        assert!(project.warnings[0].contains("wrangler.toml is not read"));
        for wrong in ["{ name: \"x\" }", "[]", ""] {
            std::fs::write(dir.path().join("wrangler.json"), wrong).unwrap();
            let error = Project::open(&Here::at(dir.path()))
                .unwrap_err()
                .to_string();
            assert!(error.contains("wrangler.json:"), "{error}");
        }
    }

    #[test]
    fn a_folder_without_a_project_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Project::open(&Here::at(dir.path())).unwrap_err();
        assert!(error.to_string().contains("is in no project"), "{error}");
    }
}
