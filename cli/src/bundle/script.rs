//! The script of a bundle: one file of the bindings, the snippets they import, and what Cloudflare calls.

use std::{fmt::Write, fs, path::Path};

use anyhow::Result;

use super::bindings;
use crate::{process, project, toolchain::Toolchain, ui::Ui};

/// What Cloudflare calls, but for what each worker exports.
const WORKER: &str = include_str!("../../assets/worker.js");
/// Exports of wasm-bindgen and of the crate `worker` that are for the script alone.
const INTERNAL: &[&str] = &["__wbg_reset_state", "__worker_init_state"];

/// Makes one script of all that is in a folder.
pub fn make(ui: &Ui, toolchain: &Toolchain, folder: &Path) -> Result<()> {
    let bindings = fs::read_to_string(folder.join(bindings::SCRIPT))?;
    fs::write(
        folder.join("worker.js"),
        format!("{WORKER}\n{}", Exports::of(&bindings).script()),
    )?;
    let mut esbuild = toolchain.esbuild();
    esbuild
        .current_dir(folder)
        .args(["worker.js", "--bundle", "--minify", "--format=esm"])
        .args(["--external:cloudflare:*", "--log-level=warning"])
        .arg(format!("--external:./{}", project::WASM))
        .arg("--outfile=bundled.js");
    process::run_ok(ui, &mut esbuild, None)?;
    fs::rename(folder.join("bundled.js"), folder.join(project::SCRIPT))?;
    Ok(())
}

/// What the bindings export.
#[derive(Debug, Default, PartialEq, Eq)]
struct Exports<'a> {
    functions: Vec<&'a str>,
    classes: Vec<&'a str>,
}

impl<'a> Exports<'a> {
    /// Reads them from what wasm-bindgen writes: one declaration a line.
    fn of(bindings: &'a str) -> Self {
        let mut exports = Self::default();
        for declaration in bindings
            .lines()
            .filter_map(|line| line.strip_prefix("export "))
        {
            let declaration = declaration.strip_prefix("async ").unwrap_or(declaration);
            if let Some(rest) = declaration.strip_prefix("class ") {
                exports.classes.push(until(rest, '{'));
            } else if let Some(rest) = declaration.strip_prefix("function ") {
                exports.functions.push(until(rest, '('));
            } else if let Some((_, name)) = declaration.split_once(" as ") {
                exports.functions.push(until(name, '}'));
            }
        }
        exports.functions.retain(|name| !INTERNAL.contains(name));
        exports
    }

    /// What exports them to Cloudflare.
    fn script(&self) -> String {
        let mut script = "export default entry({\n".to_owned();
        for name in &self.functions {
            let _ = writeln!(script, "  {name}: program.{name},");
        }
        script.push_str("})\n");
        for name in &self.classes {
            let _ = writeln!(script, "export const {name} = lasting(program.{name})");
        }
        script
    }
}

fn until(text: &str, end: char) -> &str {
    text.split_once(end).map_or(text, |(name, _)| name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read_and_passed_on() {
        let bindings = "import { a } from './a.js';\nexport class StreamDO {\n    fetch() {}\n}\n\
                        export function __wbg_reset_state () {\n}\n\
                        export function __worker_init_state() {\n}\n\
                        /**\n * export class Comment {\n */\nexport function fetch(req, env) {\n}\n\
                        export async function scheduled(event) {\n}\n\
                        function inner() {}\nexport { inner as greet };\n";
        let exports = Exports::of(bindings);
        assert_eq!(exports.classes, ["StreamDO"]);
        assert_eq!(exports.functions, ["fetch", "scheduled", "greet"]);
        assert_eq!(
            exports.script(),
            "export default entry({\n  fetch: program.fetch,\n  scheduled: program.scheduled,\n  \
             greet: program.greet,\n})\nexport const StreamDO = lasting(program.StreamDO)\n"
        );
    }
}
