//! What a machine needs to build and serve a project: what is there, and how to get the rest.

mod cache;
mod cargo;
mod node;
mod wasm_bindgen;
mod wasm_std;
mod worker_build;

#[cfg(test)]
pub use worker_build::VERSION as WORKER_BUILD_VERSION;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{error::problem, process, project::Project, ui::Ui};

/// Something that has to be on the machine.
pub trait Requirement {
    /// What it is, as in `worker-build 0.8.7`.
    fn name(&self) -> String;
    /// Looks for it. What is found is described in a few words.
    fn look(&self) -> Result<String, Missing>;
    /// Gets it. Called only for what is missing and can be mended.
    fn mend(&self, ui: &Ui) -> Result<()>;
}

/// Why a requirement is not met, and the way out.
#[derive(Debug)]
pub struct Missing {
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub way_out: String,
    /// `mend` can do it.
    pub mendable: bool,
}

impl Missing {
    /// Something this program can get by itself; `cost` says how.
    fn mendable(why: impl Into<String>, cost: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            way_out: cost.into(),
            mendable: true,
        }
    }

    /// Something a person has to do.
    fn manual(why: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            way_out: way_out.into(),
            mendable: false,
        }
    }
}

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

/// Puts a script where it can import the Node packages, which are installed if need be, and returns
/// its path.
pub fn node_script(ui: &Ui, name: &str, text: &str) -> Result<PathBuf> {
    meet(ui, &node::Node)?;
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

/// Installs a program of a crate from the registry into a folder of the cache. A debug build does the
/// same work and is made several times faster.
fn cargo_install(ui: &Ui, folder: &str, args: &[&str]) -> Result<()> {
    cache::install(folder, |root| {
        let scratch = root.join("target");
        let mut command = Command::new("cargo");
        command
            .args(["install", "--debug", "--root"])
            .arg(root)
            .args(args)
            .env("CARGO_TARGET_DIR", &scratch)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        process::run_ok(ui, &mut command, None)?;
        std::fs::remove_dir_all(&scratch).context("cannot tidy up after cargo")
    })?;
    Ok(())
}

/// The path of a program in a folder of the cache.
fn installed(folder: &str, program: &str) -> Result<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    Ok(cache::dir()?.join(folder).join("bin").join(file))
}

/// Whether a program in the cache runs; a half-broken copy counts as missing.
fn runs(program: &Path) -> bool {
    program.is_file() && process::first_line(Command::new(program).arg("--version")).is_some()
}
