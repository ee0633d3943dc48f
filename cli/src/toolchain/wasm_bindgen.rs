//! `wasm-bindgen`, in the very version of the library in the project's `Cargo.lock`. One version is a
//! part of this program, and new projects get that one; others are installed.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{
    install::{cargo_install, installed, runs},
    lockfile::{self, Lockfile},
    requirement::{Missing, Requirement},
};
use crate::{
    error::{self, problem},
    project::Project,
    ui::Ui,
};

/// The version that is a part of this program.
pub const OWN_VERSION: &str = "0.2.130";

/// The `wasm-bindgen` of a project.
#[derive(Debug)]
pub struct WasmBindgen {
    project: PathBuf,
}

/// Where a version of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bindgen {
    /// In this program.
    Own,
    /// In the cache.
    Program(PathBuf),
}

impl WasmBindgen {
    /// The one this project needs.
    pub fn of(project: &Project) -> Self {
        Self {
            project: project.root.clone(),
        }
    }

    /// Where it is when it is installed.
    pub fn find(&self) -> Result<Bindgen> {
        match self.version()?.as_str() {
            OWN_VERSION => Ok(Bindgen::Own),
            version => Ok(Bindgen::Program(installed(
                &folder(version),
                "wasm-bindgen",
            )?)),
        }
    }

    fn version(&self) -> Result<String> {
        match Lockfile::of(&self.project)? {
            // What `lockfile::make` will choose.
            None => Ok(OWN_VERSION.to_owned()),
            Some(lock) => lock.version("wasm-bindgen").ok_or_else(|| {
                let path = lockfile::nearest(&self.project).unwrap_or_default();
                problem(
                    format!("{} has no wasm-bindgen in it", path.display()),
                    "let the project depend on `worker`, as `durable-streams init` writes it",
                )
            }),
        }
    }
}

impl Requirement for WasmBindgen {
    fn name(&self) -> String {
        self.version().map_or("wasm-bindgen".to_owned(), |version| {
            format!("wasm-bindgen {version}")
        })
    }

    fn look(&self) -> Result<String, Missing> {
        match self.find() {
            Ok(Bindgen::Own) => Ok("a part of this program".to_owned()),
            Ok(Bindgen::Program(program)) if runs(&program) => Ok(program.display().to_string()),
            Ok(Bindgen::Program(_)) => Err(Missing::mendable(
                "it is not installed",
                "compiled from source once, about a minute",
            )),
            Err(error) => Err(Missing::manual(
                format!("{error:#}"),
                error::hint(&error).unwrap_or_default(),
            )),
        }
    }

    fn mend(&self, ui: &Ui) -> Result<()> {
        let version = self.version().context("no version is known")?;
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

fn folder(version: &str) -> String {
    format!("wasm-bindgen-{version}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::project::Here;

    #[test]
    fn only_another_version_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("Cargo.toml", "[workspace]\n");
        write(
            "wrangler.toml",
            "name = \"my-streams\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n",
        );
        let wasm_bindgen = WasmBindgen::of(&Project::open(&Here::at(dir.path())).unwrap());
        assert_eq!(wasm_bindgen.find().unwrap(), Bindgen::Own);
        let lock = |version: &str| {
            let lock = format!("[[package]]\nname = \"wasm-bindgen\"\nversion = \"{version}\"\n");
            write("Cargo.lock", &lock);
        };
        lock(OWN_VERSION);
        assert_eq!(wasm_bindgen.find().unwrap(), Bindgen::Own);
        lock("0.2.99");
        let Bindgen::Program(program) = wasm_bindgen.find().unwrap() else {
            panic!("another version is taken for ours");
        };
        assert!(program.to_string_lossy().contains("wasm-bindgen-0.2.99"));
        assert!(wasm_bindgen.look().unwrap_err().mendable);
    }
}
