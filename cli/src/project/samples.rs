//! Small projects, for the tests of all that works on one.

use super::{Here, Project, wrangler::Wrangler};

/// The least that settings say, and more below it.
pub fn settings(more: &str) -> String {
    let least = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
    format!("{least}{more}")
}

/// The same, as it is read.
pub fn wrangler(more: &str) -> Wrangler {
    Wrangler::parse(&settings(more)).unwrap()
}

/// A project with such settings, in a folder of its own.
pub fn project(more: &str) -> (tempfile::TempDir, Project) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
    std::fs::write(dir.path().join("wrangler.toml"), settings(more)).unwrap();
    let project = Project::open(&Here::at(dir.path())).unwrap();
    (dir, project)
}
