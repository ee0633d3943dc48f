//! Workspaces of cargo above a new project, which is one of its own.

use std::path::Path;

use anyhow::Result;
use glob::{MatchOptions, Pattern};
use toml_edit::{DocumentMut, Item};

use crate::{error::problem, toml_file};

/// Refuses a folder that a workspace above takes for one of its own: cargo would refuse both.
pub fn check(dir: &Path) -> Result<()> {
    for above in dir.ancestors().skip(1) {
        let path = above.join("Cargo.toml");
        let (Ok(manifest), Ok(below)) = (toml_file::read(&path), dir.strip_prefix(above)) else {
            continue;
        };
        if takes(&manifest, below) {
            let below = below.display();
            return Err(problem(
                format!(
                    "the workspace of {} takes {below} for one of its members, and the project is a \
                     workspace of its own",
                    path.display()
                ),
                format!("add `exclude = [\"{below}\"]` to its [workspace], or name another folder"),
            ));
        }
    }
    Ok(())
}

/// Whether a folder below is a member, as cargo tells it.
fn takes(manifest: &DocumentMut, below: &Path) -> bool {
    let list = |key| {
        let list = manifest.get("workspace")?.get(key).and_then(Item::as_array);
        Some(list?.iter().filter_map(|one| one.as_str()))
    };
    let mut excluded = list("exclude").into_iter().flatten();
    if excluded.any(|prefix| below.starts_with(prefix.trim_start_matches("./"))) {
        return false;
    }
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    let matches = |pattern: &str| {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path_with(below, options))
    };
    list("members").into_iter().flatten().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_as_cargo_tells_them() {
        let takes = |workspace: &str, below: &str| {
            let manifest = format!("[workspace]\n{workspace}\n");
            takes(&manifest.parse().unwrap(), Path::new(below))
        };
        for members in ["*", "./*", "a", "a/", "[a-c]", "?", "**", "x\", \"a"] {
            assert!(
                takes(&format!("members = [\"{members}\"]"), "a"),
                "{members}"
            );
        }
        for members in ["*/*", "b", "a/*", "[b", ""] {
            assert!(
                !takes(&format!("members = [\"{members}\"]"), "a"),
                "{members}"
            );
        }
        assert!(!takes("members = [\"*\"]", "a/b"));
        assert!(takes("members = [\"a/**\"]", "a/b/c"));
        assert!(!takes("members = [\"*\"]\nexclude = [\"./a\"]", "a"));
        assert!(takes("members = [\"*\"]\nexclude = [\"a\"]", "ab"));
        assert!(!takes("", "a"));
    }
}
