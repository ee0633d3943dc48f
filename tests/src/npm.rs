//! The npm packages in this folder, installed as their lock files say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::places;
use crate::process::run;

/// A working copy of `tests/<name>` with its dependencies in place.
pub fn installed(name: &str) -> Result<PathBuf> {
    installed_from(&places::repository().join("tests").join(name), name)
}

/// A working copy, with this name, of a folder with its dependencies in place.
pub fn installed_from(source: &Path, name: &str) -> Result<PathBuf> {
    let _lock = places::lock(name)?;
    let copy = places::work_dir(name)?;
    copy_changed(source, &copy)?;
    // What was installed last: written after npm, so that a broken installation is none.
    let lock_file = fs::read(copy.join("package-lock.json"))?;
    let mark = copy.join("node_modules/.installed");
    if fs::read(&mark).is_ok_and(|last| last == lock_file) {
        return Ok(copy);
    }
    let mut npm = Command::new("npm");
    run(npm
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(&copy))?;
    fs::write(&mark, lock_file)?;
    Ok(copy)
}

/// Copies what has changed. What is right stays untouched: another test may be reading it just now.
fn copy_changed(source: &Path, copy: &Path) -> Result<()> {
    for entry in fs::read_dir(source).with_context(|| format!("listing {}", source.display()))? {
        let entry = entry?;
        let target = copy.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "node_modules" {
                fs::create_dir_all(&target)?;
                copy_changed(&entry.path(), &target)?;
            }
        } else if fs::read(&target).ok() != Some(fs::read(entry.path())?) {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
