//! Notices that the sources of a project change.

use std::{
    cell::Cell,
    fmt,
    path::Path,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use notify::{
    Config, ErrorKind, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher,
};

use crate::{dev_vars, project::MANIFESTS, ui::Ui};

/// Folders of sources: the second one is where examples have pages that are taken into the worker.
const FOLDERS: [&str; 2] = ["src", "page"];
/// Files beside those and the settings that make a difference.
const FILES: &[&str] = &["Cargo.toml", "build.rs"];
/// How often to look where the system does not tell of changes.
const LOOKS: Duration = Duration::from_secs(1);
/// Editors and formatters write more than once: wait until it is quiet this long.
const QUIET: Duration = Duration::from_millis(150);
/// But not longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the system says when there are too many watchers.
const TOO_MANY_FILES: i32 = 24;

/// Watches a project.
pub struct Watch {
    /// Watches as long as it lives.
    _watcher: Box<dyn Watcher>,
    changes: Receiver<()>,
    /// There was a change that nobody was told of.
    is_untold: Cell<bool>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Starts to watch the project in a folder. Where the system tells of no changes, as one does
    /// whose watches are used up, it is looked for them.
    pub fn start(ui: &Ui, root: &Path) -> Result<Self> {
        let error = match Self::with::<RecommendedWatcher>(root) {
            Ok(watch) => return Ok(watch),
            Err(error) => error,
        };
        let watch = Self::with::<PollWatcher>(root)
            .with_context(|| format!("cannot watch {} for changes", root.display()))?;
        ui.warn(format!(
            "the system does not tell of changes ({}): the sources are looked at each second",
            why(&error)
        ));
        Ok(watch)
    }

    fn with<W: Watcher + 'static>(root: &Path) -> notify::Result<Self> {
        let (sender, changes) = channel();
        let folder = root.to_owned();
        let told = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&folder, &event)) {
                let _ = sender.send(());
            }
        };
        let mut watcher = W::new(told, Config::default().with_poll_interval(LOOKS))?;
        // The folder and not the files: many editors put a new file in the place of the old one.
        watcher.watch(root, RecursiveMode::NonRecursive)?;
        let folders = FOLDERS.map(|folder| root.join(folder));
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::Recursive)?;
        }
        Ok(Self {
            _watcher: Box::new(watcher),
            changes,
            is_untold: Cell::new(false),
        })
    }

    /// Whether something has changed since the last call; waits until the changes are complete.
    pub fn changed(&self) -> bool {
        if self.is_untold.take() {
            return true;
        }
        if self.changes.try_recv().is_err() {
            return false;
        }
        let first = Instant::now();
        while first.elapsed() < PATIENCE && self.changes.recv_timeout(QUIET).is_ok() {}
        true
    }

    /// Does what may change something itself, which it says, and takes no notice of that.
    pub fn apart<E>(&self, work: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        self.is_untold.set(self.changed());
        if work()? {
            thread::sleep(QUIET);
            while self.changes.try_recv().is_ok() {}
        }
        Ok(())
    }
}

/// Why the system does not tell, with what would mend it.
fn why(error: &notify::Error) -> String {
    // The system has few words for it: no space, and too many files.
    let limit = match &error.kind {
        ErrorKind::MaxFilesWatch => "watches",
        ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_FILES) => "instances",
        _ => return error.to_string(),
    };
    format!("a larger fs.inotify.max_user_{limit} would let it")
}

fn matters(root: &Path, event: &Event) -> bool {
    let written = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
    );
    written && event.paths.iter().any(|path| is_source(root, path))
}

/// Whether a file makes a difference: a source, or one of those beside them.
fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else {
        return false;
    };
    let name = below.to_str().unwrap_or_default();
    FOLDERS.iter().any(|folder| below.starts_with(folder))
        || FILES.contains(&name)
        || MANIFESTS.contains(&name)
        || name.starts_with(dev_vars::FILE)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// Changes something and says whether it was noticed.
    fn notices(watch: &Watch, change: impl FnOnce()) -> bool {
        notices_within(watch, Duration::from_millis(600), change)
    }

    fn notices_within(watch: &Watch, limit: Duration, change: impl FnOnce()) -> bool {
        change();
        let started = Instant::now();
        while started.elapsed() < limit {
            if watch.changed() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    #[test]
    fn sources_matter_and_products_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["src/deep", "page", "build", "target"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let watch = Watch::with::<RecommendedWatcher>(&root).unwrap();
        let write = |name: &str| fs::write(root.join(name), "x").unwrap();
        for source in [
            "src/lib.rs",
            "src/deep/a.rs",
            "page/index.html",
            "Cargo.toml",
            "wrangler.toml",
        ] {
            assert!(notices(&watch, || write(source)), "{source}");
        }
        for product in ["build/index.js", "target/x", "Cargo.lock"] {
            assert!(!notices(&watch, || write(product)), "{product}");
        }
        assert!(notices(&watch, || {
            write("src/.new");
            fs::rename(root.join("src/.new"), root.join("src/lib.rs")).unwrap();
        }));
        assert!(!watch.changed(), "one change is told once");

        // What the program itself writes is no change, and hides none.
        let upgrades = || {
            watch.apart(|| {
                write("wrangler.toml");
                anyhow::Ok(true)
            })
        };
        assert!(!notices(&watch, || upgrades().unwrap()));
        assert!(notices(&watch, || {
            write("src/lib.rs");
            thread::sleep(QUIET);
            upgrades().unwrap();
        }));
    }

    #[test]
    fn where_the_system_tells_nothing_it_is_looked_for_changes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("src")).unwrap();
        let watch = Watch::with::<PollWatcher>(&root).unwrap();
        let noticed = |name: &str| {
            let write = || fs::write(root.join(name), "x").unwrap();
            notices_within(&watch, LOOKS * 4, write)
        };
        assert!(noticed("src/lib.rs"));
        assert!(noticed("wrangler.toml"));
        assert!(!noticed("Cargo.lock"));
    }

    #[test]
    fn what_is_used_up_is_named_as_the_system_calls_it() {
        let full = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(why(&full).contains("max_user_watches"));
        let error = std::io::Error::from_raw_os_error(TOO_MANY_FILES);
        assert!(why(&notify::Error::io(error)).contains("max_user_instances"));
        assert_eq!(why(&notify::Error::generic("odd")), "odd");
    }
}
