//! The deployable bundle of a project: a script and its WebAssembly.
//!
//! It is made in steps of our own, of which each leaves files for the next: cargo compiles, wasm-bindgen
//! writes what JavaScript needs to call the result, wasm-opt makes it smaller, and esbuild makes one
//! script of it all.

mod bindings;
mod compile;
mod names;
mod optimize;
mod script;
mod sizes;
mod store;

pub use sizes::{FREE_LIMIT, PAID_LIMIT, Sizes, sizes};

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    project::{self, Project},
    toolchain::Toolchain,
    ui::Ui,
};

/// How much work goes into the bundle. All of cargo's artefacts but the last are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// As soon as possible, for a local run: what is compiled last is not optimized.
    Quick,
    /// As small as possible, to be deployed.
    Full,
}

/// Builds the bundle in the folder of its effort. A build that fails leaves the last one as it was, and
/// one of the same inputs is taken from where it was built before.
pub fn build(ui: &Ui, project: &Project, toolchain: &Toolchain, effort: Effort) -> Result<()> {
    let folder = project.bundle_dir(effort);
    let known = store::key(project, toolchain, effort);
    if let Some(stored) = known.as_deref().and_then(store::find) {
        toolchain.beside(ui, || put(&stored, &folder))?;
        return Ok(());
    }
    let machine_dir = project.machine_dir();
    fs::create_dir_all(&machine_dir)
        .with_context(|| format!("cannot make {}", machine_dir.display()))?;
    let workshop = tempfile::Builder::new()
        .prefix(".bundle-")
        .tempdir_in(&machine_dir)
        .with_context(|| format!("cannot write to {}", machine_dir.display()))?;
    let made = workshop.path();
    toolchain
        .beside(ui, || {
            compile::compile(ui, project, toolchain, effort, made)
        })
        .context("the worker does not build")?;
    bindings::make(ui, toolchain.bindgen(), made)
        .context("the worker's WebAssembly cannot be made callable")?;
    if effort == Effort::Full {
        ui.progress("optimizing");
        optimize::optimize(ui, toolchain, &made.join(project::WASM))
            .context("the worker's WebAssembly cannot be optimized")?;
    }
    script::make(ui, toolchain, made).context("the worker's script cannot be made")?;
    // Who saves a file while the compiler reads has a bundle of neither the one state nor the other.
    let unchanged =
        known.filter(|key| store::key(project, toolchain, effort).as_ref() == Some(key));
    if let Some(key) = unchanged {
        // A place to keep it in is not worth failing for.
        let _ = store::keep(&key, made);
    }
    put(made, &folder)
}

/// Puts what was made where it is looked for.
fn put(made: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in [project::WASM, project::SCRIPT] {
        let path = folder.join(name);
        let beside = folder.join(format!(".{name}"));
        fs::copy(made.join(name), &beside)
            .and_then(|_| fs::rename(&beside, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
