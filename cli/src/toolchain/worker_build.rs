//! `worker-build`: turns the crate into the bundle that is deployed.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    install::{cargo_install, installed, runs},
    requirement::{Missing, Requirement},
};
use crate::ui::Ui;

/// The version that matches the `worker` crate of the template.
pub const VERSION: &str = "0.8.7";

/// `worker-build` in the cache.
pub struct WorkerBuild;

impl Requirement for WorkerBuild {
    fn name(&self) -> String {
        format!("worker-build {VERSION}")
    }

    fn look(&self) -> Result<String, Missing> {
        match program() {
            Ok(program) if runs(&program) => Ok(program.display().to_string()),
            _ => Err(Missing::mendable(
                "it is not installed",
                "compiled from source once, a minute or two",
            )),
        }
    }

    fn mend(&self, ui: &Ui) -> Result<()> {
        let args = [
            "worker-build",
            "--version",
            VERSION,
            "--locked",
            "--bin",
            "worker-build",
        ];
        cargo_install(ui, &folder(), &args)
    }
}

/// Where it is when it is installed.
pub fn program() -> Result<PathBuf> {
    installed(&folder(), "worker-build")
}

fn folder() -> String {
    format!("worker-build-{VERSION}")
}
