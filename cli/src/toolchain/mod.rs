//! What a machine needs to build and serve a project: what is there, and how to get the rest.

pub mod cache;
mod cargo;
mod install;
mod lockfile;
mod node;
mod renderer;
mod requirement;
mod wasm_bindgen;
mod wasm_std;
mod worker;

#[cfg(test)]
pub use worker::VERSION as WORKER_BUILD_VERSION;

pub use requirement::{Missing, Requirement};
pub use wasm_bindgen::Bindgen;
pub use wasm_std::TARGET;

use std::{path::PathBuf, process::Command, sync::OnceLock, thread};

use anyhow::{Context, Result, anyhow};

use crate::{error::problem, project::Project, ui::Ui};

/// Node was there when this run of the program has looked. To start it, and npm, takes as long as all
/// else there is to look at.
static NODE_MET: OnceLock<()> = OnceLock::new();
/// The same of the Node packages.
static PACKAGES_MET: OnceLock<()> = OnceLock::new();

/// All requirements, in the order to meet them. Without a project, those that depend on one are left
/// out.
pub fn requirements(project: Option<&Project>) -> Vec<Box<dyn Requirement>> {
    let mut all: Vec<Box<dyn Requirement>> = vec![
        Box::new(cargo::Cargo),
        Box::new(node::Node),
        Box::new(wasm_std::WasmStd),
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

/// Meets what has to be there before a project is compiled. What only works on the result is left
/// to [`Toolchain::beside`].
pub fn ready(ui: &Ui, project: &Project) -> Result<Toolchain> {
    meet(ui, &cargo::Cargo)?;
    meet_node(ui)?;
    let wasm_std = wasm_std(ui)?;
    lockfile::make(ui, &project.root)?;
    worker::check(&project.root)?;
    let wasm_bindgen = wasm_bindgen::WasmBindgen::of(project);
    Ok(Toolchain {
        wasm_std,
        bindgen: wasm_bindgen.find()?,
        wasm_bindgen,
        packages: node::folder()?,
    })
}

/// Where the standard library for WebAssembly comes from, which is installed if need be.
fn wasm_std(ui: &Ui) -> Result<wasm_std::Source> {
    if let Some(source) = wasm_std::find() {
        return Ok(source);
    }
    meet(ui, &wasm_std::WasmStd)?;
    wasm_std::find().context("the WebAssembly standard library is gone again")
}

/// Sees to it that there is a Node, which is never installed from here.
pub fn meet_node(ui: &Ui) -> Result<()> {
    if NODE_MET.get().is_none() {
        meet(ui, &node::Node)?;
        let _ = NODE_MET.set(());
    }
    Ok(())
}

/// Sees to it that the Node packages are there.
fn meet_packages(ui: &Ui) -> Result<()> {
    meet(ui, &node::Packages)?;
    let _ = PACKAGES_MET.set(());
    Ok(())
}

/// The program that fills in templates of others, which is installed if need be.
pub fn renderer(ui: &Ui) -> Result<PathBuf> {
    if let Some(program) = renderer::find()? {
        return Ok(program);
    }
    meet(ui, &cargo::Cargo)?;
    meet(ui, &renderer::Renderer)?;
    renderer::find()?.context("the program that fills in templates is gone again")
}

/// Puts a script where it can import the Node packages, which are installed if need be, and returns
/// its path.
pub fn node_script(ui: &Ui, name: &str, text: &str) -> Result<PathBuf> {
    meet_node(ui)?;
    // What a build has found is there for what is served, too.
    if PACKAGES_MET.get().is_none() {
        meet_packages(ui)?;
    }
    node::place_script(&node::folder()?, name, text)
}

/// The tools.
#[derive(Debug)]
pub struct Toolchain {
    wasm_std: wasm_std::Source,
    wasm_bindgen: wasm_bindgen::WasmBindgen,
    bindgen: Bindgen,
    packages: PathBuf,
}

impl Toolchain {
    /// Compiles while the tools are installed that work on the result, if they are missing.
    pub fn beside<T>(&self, ui: &Ui, compile: impl FnOnce() -> Result<T>) -> Result<T> {
        thread::scope(|scope| {
            let tools = scope.spawn(|| self.install_rest(ui));
            let compiled = compile();
            let installed = tools
                .join()
                .map_err(|_| anyhow!("the installation of tools ended early"))?;
            // What does not compile is what a person has to know first.
            let compiled = compiled?;
            installed?;
            Ok(compiled)
        })
    }

    fn install_rest(&self, ui: &Ui) -> Result<()> {
        meet_packages(ui)?;
        meet(ui, &self.wasm_bindgen).map(drop)
    }

    /// `cargo`, for WebAssembly.
    pub fn cargo(&self) -> Result<Command> {
        self.prepared("cargo")
    }

    /// `rustc`, as that cargo finds it.
    pub fn rustc(&self) -> Result<Command> {
        self.prepared("rustc")
    }

    fn prepared(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(program);
        self.wasm_std.apply(&mut command)?;
        Ok(command)
    }

    /// The `wasm-bindgen` of the project.
    pub fn bindgen(&self) -> &Bindgen {
        &self.bindgen
    }

    /// `esbuild`, which makes one script of several.
    pub fn esbuild(&self) -> Command {
        Command::new(self.node_program("esbuild"))
    }

    /// `wasm-opt`, which makes WebAssembly smaller.
    pub fn wasm_opt(&self) -> Command {
        Command::new(self.node_program("wasm-opt"))
    }

    /// Puts a script where it can import the Node packages, and returns its path.
    pub fn place_script(&self, name: &str, text: &str) -> Result<PathBuf> {
        node::place_script(&self.packages, name, text)
    }

    fn node_program(&self, name: &str) -> PathBuf {
        node::program(&self.packages, name)
    }
}
