//! The `worker` crate a project is built with, which has to be of a release that the bundle knows.

use std::path::Path;

use anyhow::Result;

use super::lockfile::Lockfile;
use crate::error::problem;

/// The newest release that the bundle knows, and `worker-build`, which wrangler bundles with.
pub const VERSION: &str = "0.8.7";

/// Refuses what a bundle of another release's interface would be: one that fails on Cloudflare.
pub fn check(project: &Path) -> Result<()> {
    let Some(found) = Lockfile::of(project)?.and_then(|lock| lock.version("worker")) else {
        return Err(problem(
            "the project does not use the crate `worker`",
            format!(
                "add `worker = \"{VERSION}\"` to [dependencies], as `durable-streams init` does"
            ),
        ));
    };
    if release(&found) == release(VERSION) {
        return Ok(());
    }
    Err(problem(
        format!("the project uses worker {found}, and this program builds with {VERSION}"),
        format!(
            "say `worker = \"{VERSION}\"` in Cargo.toml, and the version of the runtime that goes with it"
        ),
    ))
}

/// What compatible versions have in common.
fn release(version: &str) -> Option<(&str, &str)> {
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some((major, if major == "0" { minor } else { "" }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn other_releases_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        let with = |version: &str| {
            let lock = format!("[[package]]\nname = \"worker\"\nversion = \"{version}\"\n");
            fs::write(dir.path().join("Cargo.lock"), lock).unwrap();
            check(dir.path()).map_err(|error| error.to_string())
        };
        assert_eq!(with("0.8.1"), Ok(()));
        assert_eq!(with("0.8.40"), Ok(()));
        assert!(with("0.9.0").unwrap_err().contains("worker 0.9.0"));
        assert!(with("1.8.0").is_err());
    }
}
