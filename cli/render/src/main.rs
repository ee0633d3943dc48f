//! Fills in a template with cargo-generate, for `durable-streams init --template`.
//!
//! cargo-generate talks to the terminal, reads the author from the environment and takes more values
//! from there. `durable-streams` prepares the environment, and keeps what is printed for its messages.

use std::{collections::BTreeMap, io::Read, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use cargo_generate::{GenerateArgs, TemplatePath, Vcs};
use serde::Deserialize;

/// What to fill in and where to put it.
#[derive(Debug, Deserialize)]
struct Request {
    /// The folder of the template.
    template: PathBuf,
    /// A folder; the project is made in a folder of the project's name inside it.
    into: PathBuf,
    /// The project's name.
    name: String,
    /// Values of the template's placeholders.
    define: BTreeMap<String, String>,
}

/// Reads the request from stdin, and prints the result's folder, or what went wrong, on stdout.
fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--version") {
        println!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    match read().and_then(|request| generate(&request)) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", console::strip_ansi_codes(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn read() -> Result<Request> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    serde_json::from_str(&text).context("stdin holds no request")
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
