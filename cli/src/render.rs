//! Fills in a template with cargo-generate.
//!
//! cargo-generate talks to the terminal, reads the author from the environment and takes more values
//! from there, none of which belongs into our output or our result. So it works in a process of its
//! own: this program again, with a prepared environment and its output kept for the error message.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use cargo_generate::{GenerateArgs, TemplatePath, Vcs};
use serde::{Deserialize, Serialize};
use toml_edit::DocumentMut;

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

/// Values every template gets from cargo-generate itself.
const BUILT_IN: &[&str] = &[
    "authors",
    "crate_name",
    "crate_type",
    "is_init",
    "os-arch",
    "project-name",
    "username",
    "within_cargo_project",
];

/// The placeholder that brings the workflow in.
pub const GITHUB_ACTIONS: &str = "github_actions";

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
    bail!("the template cannot be filled in: {said}")
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

/// Refuses values the template does not know, and those that have an option of their own.
pub fn check_definitions(template: &Path, define: &BTreeMap<String, String>) -> Result<()> {
    let known = placeholders(template)?;
    for key in define.keys() {
        match key.as_str() {
            "project-name" | "crate_name" => {
                return Err(problem(
                    format!("--define {key}: the name has an option of its own"),
                    "use --name",
                ));
            }
            "runtime" => {
                return Err(problem(
                    "--define runtime: the runtime crate has an option of its own",
                    "use --runtime",
                ));
            }
            GITHUB_ACTIONS => {
                return Err(problem(
                    "--define github_actions: the workflow has an option of its own",
                    "use --github-actions",
                ));
            }
            "auth" => {
                return Err(problem(
                    "--define auth: who may use the streams has an option of its own",
                    "use --auth",
                ));
            }
            key if known.iter().any(|name| name == key) || BUILT_IN.contains(&key) => {}
            key => {
                let known: Vec<&str> = known
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !["auth", "runtime", GITHUB_ACTIONS].contains(name))
                    .collect();
                let hint = if known.is_empty() {
                    "the template has no values to set".to_owned()
                } else {
                    format!("the template knows: {}", known.join(", "))
                };
                return Err(problem(
                    format!("--define {key}: the template has no value of this name"),
                    hint,
                ));
            }
        }
    }
    Ok(())
}

/// Whether a template has a workflow to bring in.
pub fn has_github_actions(template: &Path) -> Result<bool> {
    Ok(placeholders(template)?
        .iter()
        .any(|name| name == GITHUB_ACTIONS))
}

/// The names of the placeholders a template declares, also those that only some answers bring in.
fn placeholders(template: &Path) -> Result<Vec<String>> {
    let path = template.join("cargo-generate.toml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(Vec::new());
    };
    let document: DocumentMut = text
        .parse()
        .with_context(|| format!("the template's {} is not TOML", path.display()))?;
    let mut names = Vec::new();
    let mut take = |item: Option<&toml_edit::Item>| {
        if let Some(table) = item.and_then(|item| item.as_table_like()) {
            names.extend(table.iter().map(|(name, _)| name.to_owned()));
        }
    };
    take(document.get("placeholders"));
    if let Some(conditions) = document
        .get("conditional")
        .and_then(|item| item.as_table_like())
    {
        for (_, condition) in conditions.iter() {
            take(condition.get("placeholders"));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cargo-generate.toml"), text).unwrap();
        dir
    }

    fn define(key: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), "x".to_owned())])
    }

    #[test]
    fn declared_and_built_in_values_may_be_set() {
        let dir = template(
            "[placeholders.colour]\ntype = \"string\"\nprompt = \"?\"\n\
             [conditional.'colour == \"red\"'.placeholders.shade]\ntype = \"string\"\nprompt = \"?\"\n",
        );
        for key in ["colour", "shade", "authors"] {
            check_definitions(dir.path(), &define(key)).unwrap();
        }
    }

    #[test]
    fn an_unknown_value_is_refused_with_the_known_ones() {
        let dir = template("[placeholders.colour]\ntype = \"string\"\nprompt = \"?\"\n");
        let error = check_definitions(dir.path(), &define("color")).unwrap_err();
        assert!(error.to_string().contains("color"));
        assert_eq!(
            crate::error::hint(&error),
            Some("the template knows: colour")
        );
        let error = check_definitions(dir.path(), &define("project-name")).unwrap_err();
        assert_eq!(crate::error::hint(&error), Some("use --name"));
    }
}
