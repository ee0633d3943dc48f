//! Where installed tools are kept.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{error::problem, interrupt, ui::Ui};

/// The folder of installed tools: `DURABLE_STREAMS_CACHE_DIR`, or `durable-streams` in the user's
/// cache folder.
pub fn dir() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let dir = variable("DURABLE_STREAMS_CACHE_DIR")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("XDG_CACHE_HOME")?).join("durable-streams")))
        .or_else(|| Some(env::home_dir()?.join(".cache/durable-streams")))
        .ok_or_else(|| {
            problem(
                "there is no folder to install tools in: HOME is not set",
                "set DURABLE_STREAMS_CACHE_DIR",
            )
        })?;
    std::path::absolute(&dir).with_context(|| format!("cannot use {} as a folder", dir.display()))
}

/// Waits until no other run installs anything. Dropping the file lets the next one go on.
pub fn lock(ui: &Ui) -> Result<File> {
    let path = dir()?.join("lock");
    make(&dir()?)?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut told = false;
    while let Err(error) = file.try_lock() {
        if let TryLockError::Error(error) = error {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
        if interrupt::interrupted() {
            return Err(interrupt::Interrupted.into());
        }
        if !told {
            ui.note("Waiting for another durable-streams that is installing tools");
            told = true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(file)
}

/// Fills a folder of the cache: all of it or none of it. Callers hold the lock.
pub fn install(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = dir()?;
    let target = cache.join(name);
    make(&cache)?;
    let beside = tempfile::Builder::new()
        .prefix(".installing-")
        .tempdir_in(&cache)
        .with_context(|| format!("cannot write to {}", cache.display()))?;
    let staged = beside.path().join(name);
    fs::create_dir(&staged)?;
    fill(&staged)?;
    if target.exists() {
        // It was found wanting, or it would not be installed again.
        fs::rename(&target, beside.path().join("old"))?;
    }
    fs::rename(&staged, &target).with_context(|| format!("cannot make {}", target.display()))?;
    Ok(target)
}

fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}
