//! The few things asked of the `git` program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{error::problem, process, ui::Ui};

/// What a hook of git has in its environment of the repository that it is for.
const LOCAL: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The branch of a new repository, where its user has no other wish.
const BRANCH: &str = "main";

/// A repository that a folder is in.
#[derive(Debug)]
pub struct Repository {
    /// Its top folder.
    pub top: PathBuf,
    /// The branch that counts for everybody, as far as it is known here.
    pub branch: String,
}

/// `git`, for the repository that a folder is in and no other.
fn git() -> Command {
    let mut command = Command::new("git");
    for name in LOCAL {
        command.env_remove(name);
    }
    command
}

/// What `git` answers in one line, in a folder that need not exist yet.
fn answer(dir: &Path, args: &[&str]) -> Option<String> {
    let existing = dir.ancestors().find(|folder| folder.is_dir())?;
    process::first_line(git().current_dir(existing).args(args)).filter(|line| !line.is_empty())
}

/// Whether `git` can be run.
pub fn available() -> bool {
    process::first_line(git().arg("--version")).is_some()
}

/// The repository that a folder is in, which need not exist yet.
pub fn repository(dir: &Path) -> Option<Repository> {
    let top = answer(dir, &["rev-parse", "--show-toplevel"])?;
    let head = |name: &str| answer(dir, &["symbolic-ref", "--quiet", "--short", name]);
    let remote = head("refs/remotes/origin/HEAD");
    let remote = remote.and_then(|name| name.strip_prefix("origin/").map(str::to_owned));
    Some(Repository {
        top: Path::new(&top).canonicalize().ok()?,
        branch: remote
            .or_else(|| head("HEAD"))
            .unwrap_or_else(|| BRANCH.to_owned()),
    })
}

/// The branch that a new repository in a folder gets: as its user has told git, else `main`.
pub fn new_branch(dir: &Path) -> String {
    answer(dir, &["config", "--get", "init.defaultBranch"]).unwrap_or_else(|| BRANCH.to_owned())
}

/// Makes a repository of a folder, on a branch. Nothing is committed, and one that is there stays.
pub fn init(ui: &Ui, dir: &Path, branch: &str) -> Result<()> {
    let is_there = dir.join(".git").exists();
    let run = |args: &[&str]| process::run_ok(ui, git().current_dir(dir).args(args), None);
    run(&["init", "--quiet"])?;
    if !is_there {
        // Not an option of `init`: git before 2.28 does not know it.
        run(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])?;
    }
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
    let mut command = git();
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["clone", "--quiet", "--depth", "1", "--"])
        .arg(url)
        .arg(&target);
    process::run_ok(ui, &mut command, None)
        .with_context(|| format!("cannot fetch --template `{url}`"))?;
    Ok(target)
}

/// Whether a folder is a repository without a work tree: what it holds is not its files.
pub fn is_bare(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}
