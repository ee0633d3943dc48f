//! `wasm-bindgen`, in the very version of the library in the project's `Cargo.lock`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use toml_edit::DocumentMut;

use super::{
    install::{cargo_install, installed, runs},
    requirement::{Missing, Requirement},
};
use crate::{
    error::{self, problem},
    process,
    project::Project,
    ui::Ui,
};

/// The `wasm-bindgen` of a project.
pub struct WasmBindgen {
    project: PathBuf,
}

impl WasmBindgen {
    /// The one this project needs.
    pub fn of(project: &Project) -> Self {
        Self {
            project: project.root.clone(),
        }
    }

    /// Where it is when it is installed.
    pub fn program(&self) -> Result<PathBuf> {
        installed(&folder(&self.version()?), "wasm-bindgen")
    }

    fn version(&self) -> Result<String> {
        let path = nearest_lockfile(&self.project).context("the project has no Cargo.lock yet")?;
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        locked_version(&text).ok_or_else(|| {
            problem(
                format!("{} has no wasm-bindgen in it", path.display()),
                "let the project depend on `worker`, as `durable-streams init` writes it",
            )
        })
    }

    /// Makes the project's lock file when it is not there yet.
    pub fn lock_versions(&self, ui: &Ui) -> Result<()> {
        if nearest_lockfile(&self.project).is_some() {
            return Ok(());
        }
        ui.step("Choosing the versions of the dependencies", || {
            self.resolve(ui)
        })
    }

    fn resolve(&self, ui: &Ui) -> Result<()> {
        let mut command = Command::new("cargo");
        command
            .args(["generate-lockfile", "--quiet"])
            .current_dir(&self.project);
        let finished = process::run(ui, &mut command, None)?;
        if finished.status.success() {
            return Ok(());
        }
        Err(problem(
            format!(
                "the project's dependencies cannot be resolved:\n{}",
                finished.output.trim()
            ),
            "mend Cargo.toml; `init --runtime` takes a version, a path or a git URL of the runtime",
        ))
    }
}

impl Requirement for WasmBindgen {
    fn name(&self) -> String {
        self.version().map_or("wasm-bindgen".to_owned(), |version| {
            format!("wasm-bindgen {version}")
        })
    }

    fn look(&self) -> Result<String, Missing> {
        let cost = "compiled from source once, about a minute";
        if nearest_lockfile(&self.project).is_none() {
            return Err(Missing::mendable("the project has no Cargo.lock yet", cost));
        }
        match self.program() {
            Ok(program) if runs(&program) => Ok(program.display().to_string()),
            Ok(_) => Err(Missing::mendable("it is not installed", cost)),
            Err(error) => Err(Missing::manual(
                format!("{error:#}"),
                error::hint(&error).unwrap_or_default(),
            )),
        }
    }

    fn mend(&self, ui: &Ui) -> Result<()> {
        self.lock_versions(ui)?;
        if runs(&self.program()?) {
            return Ok(());
        }
        let version = self.version()?;
        let args = [
            "wasm-bindgen-cli",
            "--version",
            &version,
            "--bin",
            "wasm-bindgen",
        ];
        cargo_install(ui, &folder(&version), &args)
    }
}

/// The lock file that counts for a project. One that was moved into a workspace has it at the
/// workspace's root.
fn nearest_lockfile(project: &Path) -> Option<PathBuf> {
    let own_workspace = fs::read_to_string(project.join("Cargo.toml")).is_ok_and(|text| {
        text.parse::<DocumentMut>()
            .is_ok_and(|manifest| manifest.contains_key("workspace"))
    });
    let depth = if own_workspace { 1 } else { usize::MAX };
    project
        .ancestors()
        .take(depth)
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())
}

fn folder(version: &str) -> String {
    format!("wasm-bindgen-{version}")
}

/// The version of the `wasm-bindgen` package in a lock file.
fn locked_version(text: &str) -> Option<String> {
    let lock: DocumentMut = text.parse().ok()?;
    let packages = lock.get("package")?.as_array_of_tables()?;
    let package = packages.iter().find(|package| {
        package.get("name").and_then(|name| name.as_str()) == Some("wasm-bindgen")
    })?;
    Some(package.get("version")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_found() {
        let lock = "version = 4\n\n[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock).as_deref(), Some("0.2.130"));
        assert_eq!(locked_version("version = 4\n"), None);
        assert_eq!(locked_version("not toml ["), None);
    }

    #[test]
    fn a_project_of_its_own_does_not_look_above_itself() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(dir.path().join("Cargo.lock"), "").unwrap();
        fs::write(project.join("Cargo.toml"), "[package]\n").unwrap();
        assert_eq!(
            nearest_lockfile(&project),
            Some(dir.path().join("Cargo.lock"))
        );
        fs::write(project.join("Cargo.toml"), "[package]\n[workspace]\n").unwrap();
        assert_eq!(nearest_lockfile(&project), None);
    }
}
