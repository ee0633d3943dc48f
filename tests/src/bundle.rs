//! What of a worker is uploaded to Cloudflare, and how long it is.

use std::fs;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::project::Worker;

/// A module of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path below the bundle's folder.
    pub name: String,
    /// Its length.
    pub bytes: usize,
    /// Its length when it is compressed, which is what Cloudflare limits.
    pub gzip: usize,
}

/// The modules of a built worker, by name.
pub fn modules(worker: &Worker) -> Result<Vec<Module>> {
    let dir = worker
        .script
        .parent()
        .context("the script is in no folder")?;
    let mut pending = vec![dir.to_owned()];
    let mut modules = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
            continue;
        }
        let extension = path.extension();
        if extension.is_some_and(|end| end == "wasm" || end == "js") {
            let bytes = fs::read(&path)?;
            let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
            zipped.write_all(&bytes)?;
            modules.push(Module {
                name: path.strip_prefix(dir)?.display().to_string(),
                bytes: bytes.len(),
                gzip: zipped.finish()?.len(),
            });
        }
    }
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(modules)
}

/// The length of a worker's compressed WebAssembly.
pub fn wasm_gzip(worker: &Worker) -> Result<usize> {
    let modules = modules(worker)?;
    let wasm = modules
        .iter()
        .filter(|module| module.name.ends_with(".wasm"));
    Ok(wasm.map(|module| module.gzip).sum())
}
