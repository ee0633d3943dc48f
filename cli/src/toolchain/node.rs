//! Node, and the packages from npm: miniflare with workerd for the local run, esbuild and wasm-opt for
//! the bundle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    cache,
    install::runs,
    requirement::{Missing, Requirement},
};
use crate::{error::problem, process, replacement::Replacement, ui::Ui};

/// The oldest Node that runs the packages and our script.
const OLDEST: (u32, u32) = (20, 12);
const MANIFEST: &str = include_str!("../../assets/package.json");
const LOCK: &str = include_str!("../../assets/package-lock.json");
/// What of the packages is made for a platform, and has to run.
const PROGRAMS: &[&str] = &["esbuild", "workerd"];
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Node and npm in PATH.
pub struct Node;

impl Requirement for Node {
    fn name(&self) -> String {
        "Node".to_owned()
    }

    fn look(&self) -> Result<String, Missing> {
        let oldest = format!("{}.{}", OLDEST.0, OLDEST.1);
        let way_out = format!("install Node {oldest} or newer, with npm, from https://nodejs.org");
        let Some(found) = process::first_line(Command::new("node").arg("--version")) else {
            return Err(Missing::manual("`node` cannot be run", way_out));
        };
        if version(&found).is_none_or(|version| version < OLDEST) {
            return Err(Missing::manual(
                format!("version {found} is too old, {oldest} is needed"),
                way_out,
            ));
        }
        let Some(npm) = process::first_line(Command::new(NPM).arg("--version")) else {
            return Err(Missing::manual("`npm` cannot be run", way_out));
        };
        Ok(format!("{found}, npm {npm}"))
    }

    fn mend(&self, _ui: &Ui) -> Result<()> {
        Err(problem(
            "Node cannot be installed from here",
            "see https://nodejs.org",
        ))
    }
}

/// The packages in the cache.
pub struct Packages;

impl Requirement for Packages {
    fn name(&self) -> String {
        "miniflare, esbuild and wasm-opt".to_owned()
    }

    fn look(&self) -> Result<String, Missing> {
        let cost = "from npm, 280 MB on disk, half a minute";
        let folder = folder().map_err(|error| Missing::manual(format!("{error:#}"), ""))?;
        let broken = PROGRAMS.iter().find(|name| !runs(&program(&folder, name)));
        let why = match broken {
            None => return Ok(folder.display().to_string()),
            Some(_) if !folder.is_dir() => "they are not installed".to_owned(),
            Some(broken) => format!("`{broken}` does not run"),
        };
        match Node.look() {
            Ok(_) => Err(Missing::mendable(why, cost)),
            // Without it they neither run nor can be installed.
            Err(node) => Err(Missing::manual(why, node.way_out)),
        }
    }

    fn mend(&self, ui: &Ui) -> Result<()> {
        cache::install(&folder_name(), |folder| {
            fs::write(folder.join("package.json"), MANIFEST)?;
            fs::write(folder.join("package-lock.json"), LOCK)?;
            // The packages work without their install scripts, and what does not run does no harm.
            let mut command = Command::new(NPM);
            command
                .current_dir(folder)
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                // The programs themselves are optional packages, one for each platform, and a person's
                // settings for other projects may leave those out.
                .args(["--include=prod", "--include=optional"]);
            process::run_ok(ui, &mut command, None)?;
            match PROGRAMS.iter().find(|name| !runs(&program(folder, name))) {
                None => Ok(()),
                Some(broken) => Err(problem(
                    format!("npm has installed it, and `{broken}` does not run on this machine"),
                    "`npm config list` shows settings that may leave out what it needs, such as `omit`, \
                     `os`, `cpu` and `libc`; workerd runs on Linux with glibc, macOS and Windows",
                )),
            }
        })?;
        Ok(())
    }
}

/// Where the packages are when they are installed.
pub fn folder() -> Result<PathBuf> {
    Ok(cache::dir()?.join(folder_name()))
}

/// Puts a script beside the packages, where it can import them, and returns its path. Another release
/// has one of another name: it may be at work in the same cache.
pub fn place_script(packages: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = packages.join(format!("{:08x}-{name}", sum(text)));
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(path);
    }
    Replacement::private(&path, text)
        .and_then(Replacement::place)
        .with_context(|| format!("cannot write to {}", packages.display()))?;
    Ok(path)
}

/// A program of the packages.
pub fn program(folder: &Path, name: &str) -> PathBuf {
    let file = if cfg!(windows) {
        format!("{name}.cmd")
    } else {
        name.to_owned()
    };
    folder.join("node_modules/.bin").join(file)
}

/// Other versions of the packages live in a folder of another name.
fn folder_name() -> String {
    format!("node-{:08x}", sum(LOCK))
}

fn sum(text: &str) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(text.as_bytes());
    sum.sum()
}

/// The version in `v20.20.2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_version_is_read() {
        assert_eq!(version("v20.20.2"), Some((20, 20)));
        assert_eq!(version("v8.0.0"), Some((8, 0)));
        assert_eq!(version("20"), None);
    }

    #[test]
    fn scripts_of_two_releases_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let place = |text| place_script(dir.path(), "a.mjs", text).unwrap();
        let (one, other) = (place("1"), place("2"));
        assert_ne!(one, other);
        assert_eq!(place("1"), one);
        assert_eq!(fs::read_to_string(one).unwrap(), "1");
    }

    #[test]
    fn the_lock_file_belongs_to_the_manifest_and_to_no_registry() {
        let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
        let lock: Value = serde_json::from_str(LOCK).unwrap();
        assert_eq!(
            lock["packages"][""]["dependencies"],
            manifest["dependencies"]
        );
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert!(package.get("resolved").is_none(), "{name}");
            assert!(
                name.is_empty() || package.get("integrity").is_some(),
                "{name}"
            );
        }
    }
}
