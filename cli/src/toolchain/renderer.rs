//! `durable-streams-render`, which fills in templates of others: beside this program, or installed when
//! one is first used. It would be a third of what is compiled of this program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{
    install::{cargo_install, installed},
    requirement::{Missing, Requirement},
};
use crate::{process, ui::Ui};

const PACKAGE: &str = "durable-streams-render";
/// Its version is this program's: they understand each other.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program.
pub struct Renderer;

/// Where it is when it is there.
pub fn find() -> Result<Option<PathBuf>> {
    let file = format!("{PACKAGE}{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().map(|program| program.with_file_name(file));
    let in_cache = installed(&folder(), PACKAGE)?;
    Ok(beside
        .into_iter()
        .chain([in_cache])
        .find(|program| is_it(program)))
}

/// Whether it runs and is of this version.
fn is_it(program: &Path) -> bool {
    program.is_file() && process::first_line(Command::new(program).arg("--version")) == Some(name())
}

fn name() -> String {
    format!("{PACKAGE} {VERSION}")
}

fn folder() -> String {
    format!("{PACKAGE}-{VERSION}")
}

impl Requirement for Renderer {
    fn name(&self) -> String {
        name()
    }

    fn look(&self) -> Result<String, Missing> {
        match find() {
            Ok(Some(program)) => Ok(program.display().to_string()),
            Ok(None) => Err(Missing::mendable(
                "it is not installed",
                "templates of others need it; compiled from source once, about a minute",
            )),
            Err(error) => Err(Missing::manual(format!("{error:#}"), "")),
        }
    }

    /// From the checkout that this program was built from, while it is there.
    fn mend(&self, ui: &Ui) -> Result<()> {
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/render");
        let from = match Path::new(checkout).is_dir() {
            true => &["--path", checkout][..],
            false => &[PACKAGE, "--version", VERSION],
        };
        cargo_install(ui, &folder(), &[&["--locked"], from].concat())
    }
}
