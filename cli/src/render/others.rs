//! Templates of others, which cargo-generate fills in.
//!
//! cargo-generate would be a third of what is compiled of this program, talks to the terminal, reads the
//! author from the environment and takes more values from there. So it works in a program of its own,
//! with a prepared environment and its output kept for the error message.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

use super::Request;
use crate::{error::problem, placeholders, toolchain, ui::Ui};

/// Where cargo-generate looks for the author's name, in this order.
const AUTHOR: &[&str] = &[
    "CARGO_NAME",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_NAME",
    "USER",
    "USERNAME",
    "NAME",
];

/// Fills in the template of somebody else and returns the folder of the result.
pub fn others(ui: &Ui, request: &Request) -> Result<PathBuf> {
    run(&toolchain::renderer(ui)?, request)
}

/// Has a program do it.
pub(super) fn run(program: &Path, request: &Request) -> Result<PathBuf> {
    std::fs::create_dir_all(&request.into)?;
    let mut command = Command::new(program);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_GENERATE_") {
            command.env_remove(name);
        }
    }
    if AUTHOR.iter().all(|name| std::env::var_os(name).is_none()) {
        command.env("CARGO_NAME", "nobody");
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(request)?)?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(PathBuf::from(said));
    }
    if said.is_empty() {
        bail!(
            "the template cannot be filled in:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Err(failure(&said))
}

/// What cargo-generate says of itself, in words that are right for who uses this program.
fn failure(said: &str) -> anyhow::Error {
    if said.contains("--allow-commands") {
        return problem(
            "the template has a hook that runs programs, which is not done here",
            "if you trust it, use cargo-generate itself: `cargo generate --allow-commands`",
        );
    }
    let missing = said.split_once("is missing default value");
    let variable = missing.and_then(|(before, _)| before.split('`').nth(1));
    if let Some(variable) = variable {
        return placeholders::missing(variable);
    }
    anyhow!("the template cannot be filled in: {said}")
}
