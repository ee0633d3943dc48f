//! What wasm-bindgen makes of compiled WebAssembly: the same with less in it, and a script to call it
//! by.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen as Library;

use super::compile::COMPILED;
use crate::{process, toolchain::Bindgen, ui::Ui};

/// The script, beside [`crate::project::WASM`].
pub const SCRIPT: &str = "index.js";

/// Makes both in a folder, of what was compiled into it.
pub fn make(ui: &Ui, bindgen: &Bindgen, folder: &Path) -> Result<()> {
    let compiled = folder.join(COMPILED);
    match bindgen {
        Bindgen::Own => Library::new()
            .input_path(&compiled)
            .out_name("index")
            .module(true)?
            .omit_default_module_path(false)
            // With these a worker recovers from a panic.
            .reset_state_function(true)
            .force_enable_abort_handler(true)
            .generate(folder)?,
        Bindgen::Program(program) => {
            let mut command = Command::new(program);
            command
                .arg(&compiled)
                .args([
                    "--no-typescript",
                    "--target",
                    "module",
                    "--out-name",
                    "index",
                ])
                .arg("--experimental-reset-state-function")
                .arg("--force-enable-abort-handler")
                .arg("--out-dir")
                .arg(folder);
            process::run_ok(ui, &mut command, None)?;
        }
    }
    import_as_esbuild_knows(&folder.join(SCRIPT))
}

/// WebAssembly is imported as a module that is compiled and not yet run. The script has the syntax of
/// the standard for it; Cloudflare takes the plain one for just that.
fn import_as_esbuild_knows(script: &Path) -> Result<()> {
    let text =
        fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    fs::write(script, text.replace("\nimport source ", "\nimport "))?;
    Ok(())
}
