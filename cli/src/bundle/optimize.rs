//! Smaller WebAssembly.

use std::{fs, path::Path};

use anyhow::Result;

use super::names;
use crate::{process, toolchain::Toolchain, ui::Ui};

/// What workerd has for certain, and rustc and wasm-bindgen make use of. With all that wasm-opt knows it
/// could write what no workerd can read yet.
const FEATURES: &[&str] = &[
    "bulk-memory",
    "exception-handling",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
];

/// Makes a file smaller. The names of functions stay, for logs, without the hashes that nobody reads.
pub fn optimize(ui: &Ui, toolchain: &Toolchain, wasm: &Path) -> Result<()> {
    let smaller = wasm.with_extension("smaller");
    let mut command = toolchain.wasm_opt();
    command
        .arg(wasm)
        .arg("-o")
        .arg(&smaller)
        .args(["-O", "--debuginfo"])
        .args(FEATURES.iter().map(|feature| format!("--enable-{feature}")));
    process::run_ok(ui, &mut command, None)?;
    fs::rename(&smaller, wasm)?;
    if let Some(shorter) = names::without_hashes(&fs::read(wasm)?) {
        fs::write(wasm, shorter)?;
    }
    Ok(())
}
