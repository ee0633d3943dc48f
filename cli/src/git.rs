//! The few things asked of the `git` program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{error::problem, process, ui::Ui};

/// Whether `git` can be run.
pub fn available() -> bool {
    process::first_line(Command::new("git").arg("--version")).is_some()
}

/// Whether a folder, which need not exist yet, lies inside a git work tree.
pub fn inside_work_tree(dir: &Path) -> bool {
    let existing = dir.ancestors().find(|folder| folder.is_dir());
    existing.is_some_and(|folder| {
        process::first_line(
            Command::new("git")
                .current_dir(folder)
                .args(["rev-parse", "--is-inside-work-tree"]),
        )
        .is_some_and(|answer| answer == "true")
    })
}

/// Makes a repository of a folder. Nothing is committed.
pub fn init(ui: &Ui, dir: &Path) -> Result<()> {
    process::run_ok(
        ui,
        Command::new("git")
            .current_dir(dir)
            .args(["init", "--quiet"]),
        None,
    )?;
    Ok(())
}

/// Clones the newest state of a repository into a folder.
pub fn clone(ui: &Ui, url: &str, into: &Path) -> Result<PathBuf> {
    if !available() {
        return Err(problem(
            format!("--template `{url}` needs git, which is not installed"),
            "install git, or name a folder that holds the template",
        ));
    }
    let target = into.join("template");
    // No terminal prompt for a password: it would wait for an answer nobody is asked for.
    let mut command = Command::new("git");
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["clone", "--quiet", "--depth", "1", "--"])
        .arg(url)
        .arg(&target);
    process::run_ok(ui, &mut command, None)
        .with_context(|| format!("cannot fetch --template `{url}`"))?;
    Ok(target)
}
