//! Where installed tools are kept, and what building leaves for later.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{error::problem, lock, ui::Ui};

/// The folder of installed tools: `DURABLE_STREAMS_CACHE_DIR`, or `durable-streams` in the user's
/// cache folder.
pub fn dir() -> Result<PathBuf> {
    let variable = |name: &str| env::var_os(name);
    let dir = choose(variable, env::home_dir()).ok_or_else(|| {
        problem(
            "there is no folder to install tools in: HOME is not set",
            "set DURABLE_STREAMS_CACHE_DIR",
        )
    })?;
    std::path::absolute(&dir).with_context(|| format!("cannot use {} as a folder", dir.display()))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(dir) = variable("DURABLE_STREAMS_CACHE_DIR") {
        return Some(dir.into());
    }
    // The XDG rule: a relative path is to be ignored.
    let xdg = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let caches = xdg.or_else(|| Some(home?.join(".cache")))?;
    Some(caches.join("durable-streams"))
}

/// Waits until no other run installs anything. Dropping the file lets the next one go on.
pub fn lock(ui: &Ui) -> Result<File> {
    lock_file(ui, &dir()?.join("lock"), "is installing tools")
}

/// Waits until no other run holds a lock file; `doing` says what it does meanwhile.
pub fn lock_file(ui: &Ui, path: &Path, doing: &str) -> Result<File> {
    lock::wait(ui, || {
        let held = lock::hold(path)?;
        Ok(held.ok_or_else(|| format!("another durable-streams that {doing}")))
    })
}

/// Fills a folder of the cache: all of it or none of it. Callers hold the lock.
pub fn install(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    fill_in(&dir()?, name, fill)
}

/// The same in any folder.
pub fn fill_in(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let target = folder.join(name);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let beside = tempfile::Builder::new()
        .prefix(".installing-")
        .tempdir_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_cache_home_is_ignored() {
        let dir = |ours: &str, xdg: &str, home: Option<&str>| {
            let variable = |name: &str| match name {
                "DURABLE_STREAMS_CACHE_DIR" => Some(ours.into()),
                "XDG_CACHE_HOME" => Some(xdg.into()),
                _ => None,
            };
            choose(variable, home.map(PathBuf::from))
        };
        let chosen = |path: &str| Some(PathBuf::from(path));
        assert_eq!(dir("/ours", "/xdg", Some("/home")), chosen("/ours"));
        assert_eq!(
            dir("", "/xdg", Some("/home")),
            chosen("/xdg/durable-streams")
        );
        for xdg in ["", "cache", "./cache", "../cache"] {
            let home = chosen("/home/.cache/durable-streams");
            assert_eq!(dir("", xdg, Some("/home")), home, "{xdg}");
        }
        assert_eq!(dir("", "cache", None), None);
    }
}
