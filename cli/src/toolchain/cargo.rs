//! The Rust toolchain itself.

use std::process::Command;

use anyhow::Result;

use super::requirement::{Missing, Requirement};
use crate::{error::problem, process, ui::Ui};

/// The oldest cargo that takes a project's manifest.
const OLDEST: (u32, u32) = (1, 95);

/// `cargo` in PATH.
pub struct Cargo;

impl Requirement for Cargo {
    fn name(&self) -> String {
        "cargo".to_owned()
    }

    fn look(&self) -> Result<String, Missing> {
        let install = "install Rust from https://rustup.rs";
        let Some(line) = process::first_line(Command::new("cargo").arg("--version")) else {
            return Err(Missing::manual("it cannot be run", install));
        };
        match version(&line) {
            Some(version) if version < OLDEST => Err(Missing::manual(
                format!("{line} is too old, {}.{} is needed", OLDEST.0, OLDEST.1),
                "run `rustup update stable`",
            )),
            _ => Ok(line),
        }
    }

    fn mend(&self, _ui: &Ui) -> Result<()> {
        Err(problem(
            "cargo cannot be installed from here",
            "see https://rustup.rs",
        ))
    }
}

/// The version in `cargo 1.95.0 (…)`.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        assert_eq!(
            version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"),
            Some((1, 95))
        );
        assert_eq!(version("cargo 1.100.0-nightly"), Some((1, 100)));
        assert_eq!(version("something else"), None);
    }
}
