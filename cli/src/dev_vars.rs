//! Variables and secrets for local runs, in the file wrangler reads them from.

use std::{
    fmt,
    process::{Command, Stdio},
};

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{error::problem, process, project::Project, toolchain, ui::Ui};

/// The file, beside `wrangler.toml`.
pub const FILE: &str = ".dev.vars";
/// Node knows the format. The content goes through a pipe: nobody else sees it.
const SCRIPT: &str = r#"
const { readFileSync } = require("node:fs");
const { parseEnv } = require("node:util");
console.log(JSON.stringify(parseEnv(readFileSync(process.argv[1], "utf8"))));
"#;

/// What the file says, which is never shown.
#[derive(Default)]
pub struct DevVars(Map<String, Value>);

impl fmt::Debug for DevVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevVars(***)")
    }
}

impl DevVars {
    /// Reads the file of a project, if there is one.
    pub fn read(ui: &Ui, project: &Project) -> Result<Self> {
        let path = project.root.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        toolchain::meet_node(ui)?;
        let mut command = Command::new("node");
        command
            .args(["-e", SCRIPT])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let output = process::spawn(&mut command)?.wait_with_output()?;
        // Neither the content nor a cause that quotes it.
        let vars = serde_json::from_slice(&output.stdout).ok();
        vars.map(Self).ok_or_else(|| {
            problem(
                format!("{} cannot be read", path.display()),
                "it has to be a file of lines like NAME=\"value\"",
            )
        })
    }

    /// Names and values.
    pub fn entries(&self) -> &Map<String, Value> {
        &self.0
    }
}
