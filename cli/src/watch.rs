//! Notices that the sources of a project change.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::dev_vars;

/// Files beside `src/` that make a difference.
const FILES: &[&str] = &["Cargo.toml", "wrangler.toml", dev_vars::FILE];
/// Editors and formatters write more than once: wait until it is quiet this long.
const QUIET: Duration = Duration::from_millis(150);
/// But not longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches a project.
#[derive(Debug)]
pub struct Watch {
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
    changes: Receiver<()>,
    /// There was a change that nobody was told of.
    is_untold: Cell<bool>,
}

impl Watch {
    /// Starts to watch the project in a folder.
    pub fn start(root: &Path) -> Result<Self> {
        let (sender, changes) = channel();
        let folder = root.to_owned();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&folder, &event)) {
                let _ = sender.send(());
            }
        })
        .context("cannot watch the project for changes")?;
        // The folder and not the files: many editors put a new file in the place of the old one.
        let watched = [
            (root.to_owned(), RecursiveMode::NonRecursive),
            (root.join("src"), RecursiveMode::Recursive),
        ];
        for (path, mode) in watched {
            watcher
                .watch(&path, mode)
                .with_context(|| format!("cannot watch {} for changes", path.display()))?;
        }
        Ok(Self {
            _watcher: watcher,
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
        let was_changed = self.changed();
        if work()? {
            thread::sleep(QUIET);
            while self.changes.try_recv().is_ok() {}
        }
        self.is_untold.set(was_changed);
        Ok(())
    }
}

fn matters(root: &Path, event: &Event) -> bool {
    let written = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
    );
    written && event.paths.iter().any(|path| is_source(root, path))
}

fn is_source(root: &Path, path: &PathBuf) -> bool {
    path.starts_with(root.join("src")) || FILES.iter().any(|file| path == &root.join(file))
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// Changes something and says whether it was noticed.
    fn notices(watch: &Watch, change: impl FnOnce()) -> bool {
        change();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(600) {
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
        for folder in ["src/deep", "build", "target"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let watch = Watch::start(&root).unwrap();
        let write = |name: &str| fs::write(root.join(name), "x").unwrap();
        for source in ["src/lib.rs", "src/deep/a.rs", "Cargo.toml", "wrangler.toml"] {
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
}
