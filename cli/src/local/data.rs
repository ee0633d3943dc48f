//! Under which names the data of local runs lies.
//!
//! The runtime calls it after the worker, its namespaces and its buckets, as wrangler does, and all of
//! these get other names: the first deploy writes the id of a namespace, a rename all the others. What
//! is in a namespace or a bucket moves with its name, so that wrangler finds it, too. Durable Objects
//! cannot: the ids of objects hang on the name. They are served under the name they were made with.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{
    STATE,
    stores::{BUCKETS, NAMESPACES},
};
use crate::{
    project::{Lock, Project, Work, holder},
    replacement::Replacement,
    ui::Ui,
};

/// Beside the data, so that both are removed together.
const RECORD: &str = "durable-streams.json";

/// The names that the data of one environment lies under.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    /// The worker's name when its first object was made.
    worker: String,
    /// Ids of namespaces, by binding.
    #[serde(default)]
    namespaces: BTreeMap<String, String>,
    /// Names of buckets, by binding.
    #[serde(default)]
    buckets: BTreeMap<String, String>,
}

/// Names by environment; the top level is called nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record(BTreeMap<String, Names>);

/// Moves data to the names of today, and gives the worker's name that the objects have. Nobody may
/// serve them meanwhile, and nobody else may move them: that is what the lock is for.
pub fn settle(project: &Project, _lock: &Lock) -> Result<String> {
    let state = project.root.join(STATE);
    let mut record = Record::read(&state);
    let before = record.of(project);
    let now = Names {
        worker: match before.worker != project.name && has_objects(&state, &before.worker) {
            true => before.worker.clone(),
            false => project.name.clone(),
        },
        namespaces: project.local_namespaces(),
        buckets: project.local_buckets(),
    };
    let kinds = [
        (NAMESPACES, &before.namespaces, &now.namespaces),
        (BUCKETS, &before.buckets, &now.buckets),
    ];
    for (kind, before, now) in kinds {
        for (binding, to) in now {
            if let Some(from) = before.get(binding).filter(|from| *from != to) {
                let is_shared = record.has_besides(project, from);
                kind.carry(&state, from, to, is_shared).with_context(|| {
                    format!("cannot carry the local data of {from} over to {to}")
                })?;
            }
        }
    }
    if record.0.get(key(project)) != Some(&now) {
        record.0.insert(key(project).to_owned(), now.clone());
        record.write(&state)?;
    }
    Ok(now.worker)
}

/// The id of the namespace of a binding that holds its data now. While nobody serves it, it is moved
/// to where it belongs before.
pub fn namespace(project: &Project, binding: &str, lock: &Lock) -> Result<Option<String>> {
    let current = project.namespace(binding);
    if holder(project, Work::Serve).is_none() {
        settle(project, lock)?;
        return Ok(current);
    }
    // Whoever serves it has it under the name that was noted last.
    let record = Record::read(&project.root.join(STATE));
    let noted = record.of(project).namespaces.remove(binding);
    Ok(current.map(|current| noted.unwrap_or(current)))
}

/// Moves what there is once a name has changed, so that `wrangler dev` finds it at once. Where
/// somebody works on it, the next local run does.
pub fn follow(ui: &Ui, project: &Project) {
    let is_free = project.root.join(STATE).is_dir() && holder(project, Work::Serve).is_none();
    if !is_free {
        return;
    }
    let moved = match Lock::attempt(project, Work::Registry, "deploy") {
        Ok(Ok(lock)) => settle(project, &lock),
        Ok(Err(_)) => return,
        Err(error) => Err(error),
    };
    if let Err(error) = moved {
        ui.report(&error.context("the data of local runs stays under its old name"));
    }
}

/// Whether data has to be moved before the project, as it is now, can be served.
pub fn is_settled(project: &Project) -> bool {
    let names = Record::read(&project.root.join(STATE)).of(project);
    names.namespaces == project.local_namespaces() && names.buckets == project.local_buckets()
}

/// Whether there are objects of a worker of this name.
fn has_objects(state: &Path, worker: &str) -> bool {
    let prefix = format!("{worker}-");
    let folders = fs::read_dir(state.join("do")).into_iter().flatten();
    folders.flatten().any(|folder| {
        let name = folder.file_name();
        let class = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        class.is_some_and(|class| !class.contains('-'))
    })
}

fn key(project: &Project) -> &str {
    project.environment.as_deref().unwrap_or_default()
}

impl Record {
    /// What is noted; data that nobody has noted anything of is where an older release put it.
    fn read(state: &Path) -> Self {
        let text = fs::read_to_string(state.join(RECORD)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The names of a project's environment: as noted, else as they are. Older releases, which noted
    /// nothing, knew the top level alone, and no namespace had an id before its first deploy.
    fn of(&self, project: &Project) -> Names {
        let noted = self.0.get(key(project)).cloned();
        noted.unwrap_or_else(|| {
            let mut namespaces = project.local_namespaces();
            if project.environment.is_none() {
                for (binding, id) in &mut namespaces {
                    id.clone_from(binding);
                }
            }
            Names {
                worker: project.name.clone(),
                namespaces,
                buckets: project.local_buckets(),
            }
        })
    }

    /// Whether another environment has data under this name, too.
    fn has_besides(&self, project: &Project, name: &str) -> bool {
        let others = self.0.iter().filter(|(other, _)| *other != key(project));
        others
            .flat_map(|(_, names)| names.namespaces.values().chain(names.buckets.values()))
            .any(|other| other == name)
    }

    fn write(&self, state: &Path) -> Result<()> {
        let path = state.join(RECORD);
        Replacement::private(&path, serde_json::to_string_pretty(self)?)
            .and_then(Replacement::place)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;
    use crate::{args::Cli, local::stores::Kind, project::Here};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::write(place.0.path().join("Cargo.toml"), "").unwrap();
            place
        }

        fn project(&self, name: &str, id: Option<&str>, bucket: &str) -> Project {
            let id = id.map_or(String::new(), |id| format!("id = \"{id}\"\n"));
            let text = format!(
                "name = \"{name}\"\nmain = \"build/index.js\"\ncompatibility_date = \
                 \"2026-04-01\"\n[[kv_namespaces]]\nbinding = \"REGISTRY\"\n{id}[[r2_buckets]]\n\
                 binding = \"R2\"\nbucket_name = \"{bucket}\"\n"
            );
            fs::write(self.0.path().join("wrangler.toml"), text).unwrap();
            Project::open(&Here::at(self.0.path())).unwrap()
        }

        fn settle(&self, project: &Project) -> String {
            let lock = Lock::attempt(project, Work::Registry, "test")
                .unwrap()
                .unwrap();
            settle(project, &lock).unwrap()
        }

        /// Writes what the runtime would, with a content to know it by.
        fn fill(&self, kind: &Kind, name: &str, content: &str) {
            let values = kind.values(&self.state(), name).join("blobs");
            fs::create_dir_all(&values).unwrap();
            fs::write(values.join("1"), content).unwrap();
            for end in ["", "-wal"] {
                let file = self.file(kind, name, end);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
        }

        fn content(&self, kind: &Kind, name: &str) -> Option<String> {
            let blob = kind.values(&self.state(), name).join("blobs/1");
            let parts = [
                self.file(kind, name, ""),
                self.file(kind, name, "-wal"),
                blob,
            ];
            let parts = parts.map(|part| fs::read_to_string(part).ok());
            assert!(parts.iter().all(|part| *part == parts[0]), "{parts:?}");
            parts.into_iter().next().flatten()
        }

        fn file(&self, kind: &Kind, name: &str, end: &str) -> PathBuf {
            kind.file(&self.state(), name, end)
        }

        fn state(&self) -> PathBuf {
            self.0.path().join(STATE)
        }
    }

    #[test]
    fn projects_stay_when_a_deploy_writes_the_id_and_when_a_destroy_removes_it() {
        let place = Place::new();
        // As an older release left it, which noted nothing.
        place.fill(&NAMESPACES, "REGISTRY", "mine");
        let deployed = place.project("x", Some("0abc"), "x");
        assert!(!is_settled(&deployed));
        place.settle(&deployed);
        assert!(is_settled(&deployed));
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "mine");
        assert_eq!(place.content(&NAMESPACES, "REGISTRY"), None);
        place.settle(&place.project("x", None, "x"));
        assert_eq!(place.content(&NAMESPACES, "REGISTRY").unwrap(), "mine");
        assert_eq!(place.content(&NAMESPACES, "0abc"), None);
    }

    #[test]
    fn a_rename_keeps_streams_and_what_has_moved_to_the_bucket() {
        let place = Place::new();
        assert_eq!(place.settle(&place.project("old", None, "old")), "old");
        for class in ["StreamDO", "DirectoryDO"] {
            fs::create_dir_all(place.state().join(format!("do/old-{class}"))).unwrap();
        }
        place.fill(&BUCKETS, "old", "cold");
        let renamed = place.project("new", None, "new");
        assert_eq!(place.settle(&renamed), "old");
        assert_eq!(place.settle(&renamed), "old", "it stays so");
        assert_eq!(place.content(&BUCKETS, "new").unwrap(), "cold");
        // Who removes the data begins anew.
        fs::remove_dir_all(place.state()).unwrap();
        assert_eq!(place.settle(&renamed), "new");
    }

    #[test]
    fn objects_of_a_worker_of_a_longer_name_are_not_its() {
        let place = Place::new();
        fs::create_dir_all(place.state().join("do/old-staging-StreamDO")).unwrap();
        assert!(!has_objects(&place.state(), "old"));
        assert!(has_objects(&place.state(), "old-staging"));
    }

    #[test]
    fn what_is_there_is_never_replaced() {
        let place = Place::new();
        place.fill(&NAMESPACES, "REGISTRY", "one");
        place.fill(&NAMESPACES, "0abc", "two");
        place.settle(&place.project("x", Some("0abc"), "x"));
        assert_eq!(place.content(&NAMESPACES, "REGISTRY").unwrap(), "one");
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "two");
    }

    #[test]
    fn where_somebody_only_looked_there_is_nothing() {
        let place = Place::new();
        place.fill(&NAMESPACES, "REGISTRY", "one");
        for end in ["", "-wal", "-shm"] {
            fs::write(place.file(&NAMESPACES, "0abc", end), "empty").unwrap();
        }
        place.settle(&place.project("x", Some("0abc"), "x"));
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "one");
        assert!(!place.file(&NAMESPACES, "0abc", "-shm").exists());
    }

    #[test]
    fn what_another_environment_uses_is_copied() {
        let place = Place::new();
        let mut project = place.project("x", Some("0def"), "x");
        place.settle(&project);
        project.environment = Some("staging".to_owned());
        place.settle(&project);
        place.fill(&NAMESPACES, "0def", "both");
        place.settle(&place.project("x", Some("0abc"), "x"));
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "both");
        assert_eq!(place.content(&NAMESPACES, "0def").unwrap(), "both");
    }

    #[test]
    fn an_environment_that_never_ran_here_begins_with_nothing() {
        let place = Place::new();
        place.settle(&place.project("x", None, "x"));
        place.fill(&NAMESPACES, "REGISTRY", "of the top level");
        let mut staging = place.project("x-staging", Some("0abc"), "x");
        staging.environment = Some("staging".to_owned());
        place.settle(&staging);
        assert_eq!(place.content(&NAMESPACES, "0abc"), None);
        assert!(place.content(&NAMESPACES, "REGISTRY").is_some());
    }

    #[test]
    fn a_move_that_was_broken_off_is_completed() {
        let place = Place::new();
        for done in 0..3 {
            let (from, to) = (format!("from{done}"), format!("to{done}"));
            place.fill(&NAMESPACES, &from, "all");
            let values = |name: &str| place.state().join("kv").join(name);
            if done > 0 {
                fs::rename(values(&from), values(&to)).unwrap();
            }
            if done > 1 {
                let wal = |name: &str| place.file(&NAMESPACES, name, "-wal");
                fs::rename(wal(&from), wal(&to)).unwrap();
            }
            NAMESPACES.carry(&place.state(), &from, &to, false).unwrap();
            assert_eq!(place.content(&NAMESPACES, &to).unwrap(), "all");
        }
    }

    #[test]
    fn a_deploy_moves_what_there_is_and_makes_nothing() {
        let place = Place::new();
        let cli = Cli::try_parse_from(["durable-streams", "--quiet", "doctor"]).unwrap();
        let ui = Ui::new(&cli.global, crate::ui::Places::default());
        let deployed = place.project("x", Some("0abc"), "x");
        follow(&ui, &deployed);
        assert!(!place.state().exists());
        place.fill(&NAMESPACES, "REGISTRY", "mine");
        let serving = Lock::attempt(&deployed, Work::Serve, "dev")
            .unwrap()
            .unwrap();
        follow(&ui, &deployed);
        assert_eq!(place.content(&NAMESPACES, "REGISTRY").unwrap(), "mine");
        drop(serving);
        follow(&ui, &deployed);
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "mine");
    }

    #[test]
    fn while_somebody_serves_it_nothing_moves() {
        let place = Place::new();
        let project = place.project("x", None, "x");
        place.settle(&project);
        place.fill(&NAMESPACES, "REGISTRY", "mine");
        let deployed = place.project("x", Some("0abc"), "x");
        let lock = |work| Lock::attempt(&deployed, work, "test").unwrap().unwrap();
        let (serving, registry) = (lock(Work::Serve), lock(Work::Registry));
        let id = || namespace(&deployed, "REGISTRY", &registry).unwrap();
        assert_eq!(id().as_deref(), Some("REGISTRY"));
        assert_eq!(place.content(&NAMESPACES, "REGISTRY").unwrap(), "mine");
        drop(serving);
        assert_eq!(id().as_deref(), Some("0abc"));
        assert_eq!(place.content(&NAMESPACES, "0abc").unwrap(), "mine");
        assert_eq!(
            namespace(&deployed, "NONE", &registry).unwrap().as_deref(),
            None
        );
    }
}
