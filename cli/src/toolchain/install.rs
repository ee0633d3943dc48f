//! Programs of crates, installed into the cache.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::cache;
use crate::{process, ui::Ui};

/// Installs a program of a crate from the registry into a folder of the cache. A debug build does the
/// same work and is made several times faster.
pub fn cargo_install(ui: &Ui, folder: &str, args: &[&str]) -> Result<()> {
    cache::install(folder, |root| {
        let scratch = root.join("target");
        let mut command = Command::new("cargo");
        command
            .args(["install", "--debug", "--root"])
            .arg(root)
            .args(args)
            .env("CARGO_TARGET_DIR", &scratch)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        process::run_ok(ui, &mut command, None)?;
        std::fs::remove_dir_all(&scratch).context("cannot tidy up after cargo")
    })?;
    Ok(())
}

/// The path of a program in a folder of the cache.
pub fn installed(folder: &str, program: &str) -> Result<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    Ok(cache::dir()?.join(folder).join("bin").join(file))
}

/// Whether a program in the cache runs: one that is there may lack what it is made of.
pub fn runs(program: &Path) -> bool {
    program.is_file() && process::first_line(Command::new(program).arg("--version")).is_some()
}
