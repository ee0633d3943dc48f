//! The versions of the runtime, the `worker` crate and the tools, which move before a merge: a line
//! that its user has changed for another reason has the new version all the same.

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, Value};

use super::CARGO;
use crate::runtime_source::PACKAGE;

/// The crates whose versions move.
const CRATES: [&str; 2] = [PACKAGE, "worker"];
/// What stands before a version in files that are not `Cargo.toml`.
const TOOLS: [&str; 2] = ["worker-build@", "durable-streams-cli --version "];

/// Sets the versions of a `Cargo.toml` to those of another, where they are older. Says what moved.
pub fn move_crates(text: &str, to: &str) -> Result<(String, Vec<String>)> {
    let mut document: DocumentMut = text.parse().with_context(|| format!("in {CARGO}"))?;
    let to: DocumentMut = to.parse()?;
    let mut moved = Vec::new();
    for name in CRATES {
        let new = to
            .get("dependencies")
            .and_then(|table| version(table.get(name)?));
        let old = document
            .get_mut("dependencies")
            .and_then(|table| version_mut(table.get_mut(name)?));
        let (Some(new), Some(old)) = (new, old) else {
            continue;
        };
        let before = old.as_str().unwrap_or_default().to_owned();
        if is_older(&before, new) {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
            moved.push(format!("{name} {before} -> {new}"));
        }
    }
    Ok((document.to_string(), moved))
}

/// Sets the versions of tools that a text names to those that another names, where they are older.
pub fn move_tools(text: &str, to: &str) -> (String, Vec<String>) {
    let mut text = text.to_owned();
    let mut moved = Vec::new();
    for tool in TOOLS {
        let (Some(old), Some(new)) = (version_behind(&text, tool), version_behind(to, tool)) else {
            continue;
        };
        if is_older(old, new) {
            let name = tool.trim_end_matches('@').split(' ').next();
            moved.push(format!("{} {old} -> {new}", name.unwrap_or(tool)));
            text = text.replace(&format!("{tool}{old}"), &format!("{tool}{new}"));
        }
    }
    (text, moved)
}

/// Whether a requirement is for an older version than another. What is no plain version is not.
pub fn is_older(one: &str, other: &str) -> bool {
    match (numbers(one), numbers(other)) {
        (Some(one), Some(other)) => one < other,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    let plain = version.trim_start_matches(['^', '=', '~', ' ']);
    let core = plain.split(['-', '+']).next()?;
    let numbers: Option<Vec<u64>> = core.split('.').map(|part| part.parse().ok()).collect();
    let mut numbers = numbers?;
    numbers.resize(3, 0);
    Some(numbers)
}

fn version(dependency: &Item) -> Option<&str> {
    let table = dependency.get("version").and_then(Item::as_str);
    dependency.as_str().or(table)
}

fn version_mut(dependency: &mut Item) -> Option<&mut Value> {
    if dependency.is_str() {
        return dependency.as_value_mut();
    }
    let version = dependency.as_table_like_mut()?.get_mut("version")?;
    version.as_value_mut().filter(|value| value.is_str())
}

fn version_behind<'a>(text: &'a str, tool: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(tool)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._-+".contains(c));
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str =
        "[dependencies]\ndurable-streams-cloudflare = \"0.2.0\"\nworker = \"0.9.1\"\n";

    #[test]
    fn versions_move_and_what_stands_beside_them_stays() {
        let old = "[dependencies]\nserde = \"1\" # mine\n\
                   worker = { features = [\"http\"], version = \"0.8.7\" } # why\n\
                   [dependencies.durable-streams-cloudflare]\nversion = \"0.1.0\" # pinned\n";
        let (text, moved) = move_crates(old, NEW).unwrap();
        let expected = old.replace("0.8.7", "0.9.1").replace("0.1.0", "0.2.0");
        assert_eq!(text, expected);
        assert_eq!(
            moved,
            [
                "durable-streams-cloudflare 0.1.0 -> 0.2.0",
                "worker 0.8.7 -> 0.9.1"
            ]
        );
        assert_eq!(move_crates(&text, NEW).unwrap(), (text.clone(), vec![]));
    }

    #[test]
    fn what_is_newer_or_has_no_version_stays() {
        for old in [
            "[dependencies]\ndurable-streams-cloudflare = \"0.2.0\"\nworker = \"0.10.0\"\n",
            "[dependencies]\ndurable-streams-cloudflare = { path = \"/a\" }\nworker = \"*\"\n",
            "[package]\nname = \"x\"\n",
        ] {
            assert_eq!(move_crates(old, NEW).unwrap(), (old.to_owned(), vec![]));
        }
    }

    #[test]
    fn tools_move_wherever_they_are_named() {
        let old = "a worker-build@0.8.7 && worker-build; worker-build@0.8.7\n\
                   cargo install durable-streams-cli --version 0.1.0\n";
        let new = "worker-build@0.8.10 && x\ndurable-streams-cli --version 0.2.0\n";
        let (text, moved) = move_tools(old, new);
        assert_eq!(
            text,
            old.replace("0.8.7", "0.8.10").replace("0.1.0", "0.2.0")
        );
        assert_eq!(
            moved,
            [
                "worker-build 0.8.7 -> 0.8.10",
                "durable-streams-cli 0.1.0 -> 0.2.0"
            ]
        );
        assert_eq!(move_tools(new, old), (new.to_owned(), vec![]));
    }
}
