//! Variables and secrets for local runs, in the file wrangler reads them from.

use std::{
    fmt,
    path::PathBuf,
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
pub struct DevVars(Map<String, Value>);

impl fmt::Debug for DevVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevVars(***)")
    }
}

impl DevVars {
    /// Reads the file of a project, if there is one.
    pub fn read(ui: &Ui, project: &Project) -> Result<Self> {
        let Some(path) = path(project) else {
            return Ok(Self::default());
        };
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

/// The file that counts: that of the environment, and the common one only where there is none.
fn path(project: &Project) -> Option<PathBuf> {
    let of_environment = project.environment.as_ref();
    let names = of_environment.map(|name| format!("{FILE}.{name}"));
    let mut paths = names
        .into_iter()
        .chain([FILE.to_owned()])
        .map(|name| project.root.join(name));
    paths.find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::project::Here;

    #[test]
    fn an_environment_has_a_file_of_its_own_or_the_common_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let text = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
        write("wrangler.toml", text);
        write("Cargo.toml", "");
        let mut project = Project::open(&Here::at(dir.path())).unwrap();
        let name = |project: &Project| {
            let path = path(project)?;
            Some(path.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(name(&project), None);
        write(".dev.vars.staging", "");
        assert_eq!(name(&project), None);
        project.environment = Some("staging".to_owned());
        assert_eq!(name(&project).as_deref(), Some(".dev.vars.staging"));
        write(".dev.vars", "");
        assert_eq!(name(&project).as_deref(), Some(".dev.vars.staging"));
        project.environment = Some("production".to_owned());
        assert_eq!(name(&project).as_deref(), Some(".dev.vars"));
    }
}
