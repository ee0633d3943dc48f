//! Fills in a template with cargo-generate.
//!
//! cargo-generate talks to the terminal, reads the author from the environment and takes more values
//! from there, none of which belongs into our output or our result. So it works in a process of its
//! own: this program again, with a prepared environment and its output kept for the error message.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use cargo_generate::{GenerateArgs, TemplatePath, Vcs};
use serde::{Deserialize, Serialize};

use crate::error::problem;

/// What to fill in and where to put it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The folder of the template.
    pub template: PathBuf,
    /// A folder; the project is made in a folder of the project's name inside it.
    pub into: PathBuf,
    /// The project's name.
    pub name: String,
    /// Values of the template's placeholders.
    pub define: BTreeMap<String, String>,
}

/// Where cargo-generate looks for the author's name, in this order.
const AUTHOR: &[&str] = &[
    "CARGO_NAME",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_NAME",
    "USER",
    "USERNAME",
    "NAME",
];

/// Fills in the template and returns the folder of the result.
pub fn render(request: &Request) -> Result<PathBuf> {
    std::fs::create_dir_all(&request.into)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command
        .arg("render-template")
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
    let mut child = command.spawn().context("cannot run this program again")?;
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
        return problem(
            format!("the template needs a value for `{variable}`"),
            format!("give it with --define {variable}=…"),
        );
    }
    anyhow!("the template cannot be filled in: {said}")
}

/// The other side of [`render`]: reads the request from stdin, prints the result's folder, or what
/// went wrong, on stdout.
pub fn serve() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let request: Request = serde_json::from_str(&text).context("stdin holds no request")?;
    match generate(&request) {
        Ok(path) => {
            println!("{}", path.display());
            Ok(())
        }
        Err(error) => {
            println!("{}", console::strip_ansi_codes(&format!("{error:#}")));
            Err(error)
        }
    }
}

fn generate(request: &Request) -> Result<PathBuf> {
    // An empty file instead of the user's own configuration, which could add values.
    let config = tempfile::NamedTempFile::new()?;
    cargo_generate::generate(GenerateArgs {
        template_path: TemplatePath {
            path: Some(request.template.to_string_lossy().into_owned()),
            ..TemplatePath::default()
        },
        name: Some(request.name.clone()),
        // The name has been checked; it is not to be changed.
        force: true,
        silent: true,
        quiet: true,
        continue_on_error: false,
        config: Some(config.path().to_owned()),
        vcs: Some(Vcs::None),
        define: request
            .define
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        destination: Some(request.into.clone()),
        no_workspace: true,
        no_fmt: true,
        ..GenerateArgs::default()
    })
}
