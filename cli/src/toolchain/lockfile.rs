//! A project's `Cargo.lock`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use toml_edit::DocumentMut;

use crate::{error::problem, process, toml_file, ui::Ui};

/// The versions that this program was built and tested with, among them those of the runtime.
const TESTED: &str = include_str!("../../assets/Cargo.lock");

/// The versions of a project's dependencies.
#[derive(Debug)]
pub struct Lockfile(DocumentMut);

impl Lockfile {
    /// Reads the one that counts for a project, if there is one.
    pub fn of(project: &Path) -> Result<Option<Self>> {
        let document = nearest(project).map(|path| toml_file::read(&path));
        Ok(document.transpose()?.map(Self))
    }

    /// The version of a package, of the first one if there are several.
    pub fn version(&self, package: &str) -> Option<String> {
        let packages = self.0.get("package")?.as_array_of_tables()?;
        let package = packages
            .iter()
            .find(|one| one.get("name").and_then(|name| name.as_str()) == Some(package))?;
        Some(package.get("version")?.as_str()?.to_owned())
    }
}

/// Makes a project's lock file when it is not there yet. Packages that this program was tested with
/// get the version of then, all others their newest.
pub fn make(ui: &Ui, project: &Path) -> Result<()> {
    if nearest(project).is_some() {
        return Ok(());
    }
    ui.step("Choosing the versions of the dependencies", || {
        let path = project.join("Cargo.lock");
        fs::write(&path, TESTED).with_context(|| format!("cannot write {}", path.display()))?;
        let outcome = resolve(ui, project);
        if outcome.is_err() {
            // It holds what the project does not depend on.
            let _ = fs::remove_file(&path);
        }
        outcome
    })
}

fn resolve(ui: &Ui, project: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["update", "--workspace", "--quiet"])
        .current_dir(project);
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

/// The lock file that counts for a project. One that was moved into a workspace has it at the
/// workspace's root.
pub fn nearest(project: &Path) -> Option<PathBuf> {
    let own_workspace = toml_file::read(&project.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.contains_key("workspace"));
    let depth = if own_workspace { 1 } else { usize::MAX };
    project
        .ancestors()
        .take(depth)
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::{WORKER_BUILD_VERSION, wasm_bindgen::OWN_VERSION};

    fn lock(text: &str) -> Lockfile {
        Lockfile(text.parse().unwrap())
    }

    #[test]
    fn the_locked_version_is_found() {
        let found = lock(
            "version = 4\n\n[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.1.0\"\n\n\
             [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n",
        );
        assert_eq!(found.version("wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(lock("version = 4\n").version("wasm-bindgen"), None);
    }

    #[test]
    fn a_project_of_its_own_does_not_look_above_itself() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(dir.path().join("Cargo.lock"), "").unwrap();
        fs::write(project.join("Cargo.toml"), "[package]\n").unwrap();
        assert_eq!(nearest(&project), Some(dir.path().join("Cargo.lock")));
        fs::write(project.join("Cargo.toml"), "[package]\n[workspace]\n").unwrap();
        assert_eq!(nearest(&project), None);
    }

    #[test]
    fn the_versions_of_new_projects_are_those_of_the_bundle() {
        let tested = lock(TESTED);
        assert_eq!(
            tested.version("worker").as_deref(),
            Some(WORKER_BUILD_VERSION)
        );
        assert_eq!(tested.version("wasm-bindgen").as_deref(), Some(OWN_VERSION));
        assert_eq!(
            tested.version("wasm-bindgen-cli-support").as_deref(),
            Some(OWN_VERSION)
        );
    }
}
