//! `build`: the deployable bundle.

use anyhow::Result;
use serde_json::json;

use crate::{
    bundle::{self, Effort},
    project::{self, Here, Lock, Project, Work},
    toolchain,
    ui::Ui,
    variables,
};

/// Builds the project in the current folder.
pub fn run(ui: &Ui, here: &Here) -> Result<()> {
    let project = Project::open(here)?;
    project.check_environment(ui)?;
    variables::check(&project)?;
    let toolchain = toolchain::ready(ui, &project)?;
    let _lock = Lock::wait(ui, &project, Work::Bundle, "build")?;
    ui.step("Building the worker", || {
        bundle::build(ui, &project, &toolchain, Effort::Full)
    })?;
    let sizes = bundle::sizes(&project)?;
    let dir = project.build_dir();
    ui.result(
        format!("{}: {sizes}", dir.display()),
        &json!({
            "project": { "name": project.name, "dir": project.root },
            "bundle": {
                "dir": dir,
                "script": dir.join(project::SCRIPT),
                "wasm": dir.join(project::WASM),
            },
            "bytes": sizes,
        }),
    );
    Ok(())
}
