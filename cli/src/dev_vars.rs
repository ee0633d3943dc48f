//! Variables and secrets for local runs, in the file wrangler reads them from.

use std::{
    fmt,
    process::{Command, Stdio},
};

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{error::problem, process, project::Project, toolchain, ui::Ui};

/// The file, beside `wrangler.toml`; an environment may have one of its own, `.dev.vars.NAME`.
pub const FILE: &str = ".dev.vars";
/// Node knows the format. The content goes through a pipe: nobody else sees it.
const SCRIPT: &str = r#"
const { readFileSync } = require("node:fs");
const { parseEnv } = require("node:util");
console.log(JSON.stringify(parseEnv(readFileSync(process.argv[1], "utf8"))));
"#;

/// What the file says, which is never shown.
#[derive(Default)]
pub struct DevVars {
    file: String,
    vars: Map<String, Value>,
}

impl fmt::Debug for DevVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevVars(***)")
    }
}

impl DevVars {
    /// Reads the file of a project, if there is one.
    pub fn read(ui: &Ui, project: &Project) -> Result<Self> {
        let Some(file) = file(project) else {
            return Ok(Self::default());
        };
        let path = project.root.join(&file);
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
        vars.map(|vars| Self { file, vars }).ok_or_else(|| {
            problem(
                format!("{} cannot be read", path.display()),
                "it has to be a file of lines like NAME=\"value\"",
            )
        })
    }

    /// The file they are in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Names and values.
    pub fn entries(&self) -> &Map<String, Value> {
        &self.vars
    }
}

/// The file of a project that counts: an environment's own stands in the place of the one for all.
fn file(project: &Project) -> Option<String> {
    let own = project.environment.as_ref();
    let own = own.map(|name| format!("{FILE}.{name}"));
    let mut files = own.into_iter().chain([FILE.to_owned()]);
    files.find(|file| project.root.join(file).exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::project::Here;

    #[test]
    fn the_file_of_the_environment_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("Cargo.toml", "");
        write(
            "wrangler.toml",
            "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n\
             [env.a]\n[env.b]\n",
        );
        let file_of = |environment: Option<&str>| {
            let here = Here {
                environment: environment.map(str::to_owned),
                ..Here::at(dir.path())
            };
            file(&Project::open(&here).unwrap())
        };
        assert_eq!(file_of(Some("a")), None);
        write(".dev.vars", "");
        write(".dev.vars.a", "");
        assert_eq!(file_of(None).as_deref(), Some(".dev.vars"));
        assert_eq!(file_of(Some("a")).as_deref(), Some(".dev.vars.a"));
        assert_eq!(file_of(Some("b")).as_deref(), Some(".dev.vars"));
    }
}
