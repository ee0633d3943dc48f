//! What a machine needs to build and serve a project: what is there, and how to get the rest.

mod cache;
mod cargo;
mod install;
mod node;
mod requirement;
mod wasm_bindgen;
mod wasm_std;
mod worker_build;

#[cfg(test)]
pub use worker_build::VERSION as WORKER_BUILD_VERSION;

pub use requirement::{Missing, Requirement};

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{error::problem, process, project::Project, ui::Ui};

/// All requirements, in the order to meet them. Without a project, those that depend on one are left
/// out.
pub fn requirements(project: Option<&Project>) -> Vec<Box<dyn Requirement>> {
    let mut all: Vec<Box<dyn Requirement>> = vec![
        Box::new(cargo::Cargo),
        Box::new(node::Node),
        Box::new(wasm_std::WasmStd),
        Box::new(worker_build::WorkerBuild),
        Box::new(node::Packages),
    ];
    if let Some(project) = project {
        all.push(Box::new(wasm_bindgen::WasmBindgen::of(project)));
    }
    all
}

/// Meets one requirement and says what was found or done.
pub fn meet(ui: &Ui, requirement: &dyn Requirement) -> Result<String> {
    let name = requirement.name();
    let missing = match requirement.look() {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    if !missing.mendable {
        return Err(problem(format!("{name}: {}", missing.why), missing.way_out));
    }
    let _lock = cache::lock(ui)?;
    if let Ok(found) = requirement.look() {
        return Ok(found);
    }
    ui.step(&format!("Installing {name} ({})", missing.way_out), || {
        requirement.mend(ui)
    })
    .with_context(|| format!("cannot install {name}"))?;
    requirement
        .look()
        .map_err(|missing| problem(format!("{name}: {}", missing.why), missing.way_out))
}

/// Meets all requirements of a project and returns what its tools need to know.
pub fn ready(ui: &Ui, project: &Project) -> Result<Toolchain> {
    let wasm_bindgen = wasm_bindgen::WasmBindgen::of(project);
    for requirement in requirements(None) {
        meet(ui, requirement.as_ref())?;
    }
    wasm_bindgen.lock_versions(ui)?;
    meet(ui, &wasm_bindgen)?;
    Ok(Toolchain {
        wasm_std: wasm_std::find().context("the WebAssembly standard library is gone again")?,
        worker_build: worker_build::program()?,
        wasm_bindgen: wasm_bindgen.program()?,
        packages: node::folder()?,
    })
}

/// Sees to it that there is a Node, which is never installed from here.
pub fn meet_node(ui: &Ui) -> Result<()> {
    meet(ui, &node::Node).map(drop)
}

/// Puts a script where it can import the Node packages, which are installed if need be, and returns
/// its path.
pub fn node_script(ui: &Ui, name: &str, text: &str) -> Result<PathBuf> {
    meet_node(ui)?;
    meet(ui, &node::Packages)?;
    node::place_script(&node::folder()?, name, text)
}

/// The tools, all of them there.
#[derive(Debug)]
pub struct Toolchain {
    wasm_std: wasm_std::Source,
    worker_build: PathBuf,
    wasm_bindgen: PathBuf,
    packages: PathBuf,
}

impl Toolchain {
    /// `worker-build`, told where its own tools are, so that it downloads none.
    pub fn worker_build(&self) -> Result<Command> {
        let mut command = Command::new(&self.worker_build);
        command
            .env("WASM_BINDGEN_BIN", &self.wasm_bindgen)
            .env("ESBUILD_BIN", self.node_program("esbuild"))
            .env("WASM_OPT_BIN", self.node_program("wasm-opt"));
        process::without_cargo_run(&mut command);
        self.wasm_std.apply(&mut command)?;
        Ok(command)
    }

    /// `esbuild`, which makes one script of several.
    pub fn esbuild(&self) -> Command {
        Command::new(self.node_program("esbuild"))
    }

    /// Puts a script where it can import the Node packages, and returns its path.
    pub fn place_script(&self, name: &str, text: &str) -> Result<PathBuf> {
        node::place_script(&self.packages, name, text)
    }

    fn node_program(&self, name: &str) -> PathBuf {
        self.packages.join("node_modules/.bin").join(name)
    }
}
