//! What a workflow needs that deploys from GitHub Actions, beside its file.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{error::problem, git::Repository, process, runtime_source::RuntimeSource, ui::Ui};

/// The package of this program.
const PROGRAM: &str = env!("CARGO_PKG_NAME");
const ELSEWHERE: &str = "say with --runtime where the runtime and this program are for everybody: a \
                         published version or a git URL";

/// Refuses a workflow that cannot work in a folder. `above` is the repository that the folder is in and
/// stays in.
pub fn check(
    ui: &Ui,
    dir: &Path,
    above: Option<&Repository>,
    runtime: &RuntimeSource,
) -> Result<()> {
    if let Some(Repository { top, .. }) = above
        && dir.canonicalize().ok().as_ref() != Some(top)
    {
        return Err(problem(
            format!(
                "--github-actions: GitHub looks for workflows in the top folder of a repository alone, \
                 in {}",
                top.join(".github/workflows").display()
            ),
            "leave it out, name the top folder, or make a repository of its own with --git",
        ));
    }
    match runtime {
        RuntimeSource::Version(version) => published(ui, version),
        RuntimeSource::Git(url) if !url.starts_with("file:") => Ok(()),
        RuntimeSource::Git(place) | RuntimeSource::Path(place) => Err(problem(
            format!("--github-actions: the runtime is in {place}, a folder of this machine"),
            ELSEWHERE,
        )),
    }
}

/// Asks the registry for this program, which the workflow installs from there.
fn published(ui: &Ui, version: &str) -> Result<()> {
    let package = format!("{PROGRAM}@{version}");
    let mut command = Command::new("cargo");
    command
        .args(["info", "--quiet", "--registry", "crates-io", &package])
        .env("CARGO_TERM_COLOR", "never");
    let said = match process::run(ui, &mut command, None) {
        Ok(finished) if finished.status.success() => return Ok(()),
        Ok(finished) => finished.output.trim().to_owned(),
        Err(error) => error.to_string(),
    };
    if said.contains("could not find") {
        return Err(problem(
            format!(
                "--github-actions: {PROGRAM} {version} is not published, and would be installed"
            ),
            ELSEWHERE,
        ));
    }
    ui.warn(format!(
        "the workflow works if {PROGRAM} {version} is published, which could not be found out: {said}"
    ));
    Ok(())
}
