//! The Python packages in this folder, installed as their lists say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::places;
use crate::process::run;

/// The interpreter of an environment with what `tests/<name>/requirements.txt` names, which must
/// have all versions and hashes.
pub fn installed(name: &str) -> Result<PathBuf> {
    let _lock = places::lock(name)?;
    let list = places::repository()
        .join("tests")
        .join(name)
        .join("requirements.txt");
    let environment = places::work_dir(name)?.join("environment");
    let python = environment.join("bin/python");
    // What was installed last: written after pip, so that a broken installation is none.
    let wanted = fs::read(&list).with_context(|| format!("reading {}", list.display()))?;
    let mark = environment.join("installed");
    if fs::read(&mark).is_ok_and(|last| last == wanted) {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    run(venv.args(["-m", "venv", "--clear"]).arg(&environment)).context(
        "there is no Python with its module venv: `apt-get update && apt-get install -y \
         python3-venv` installs both on Debian",
    )?;
    let mut pip = Command::new(&python);
    let options = ["--quiet", "--no-input", "--disable-pip-version-check"];
    run(pip
        .args(["-m", "pip", "install"])
        .args(options)
        .arg("--require-hashes")
        .arg("-r")
        .arg(&list))?;
    fs::write(&mark, wanted)?;
    Ok(python)
}
