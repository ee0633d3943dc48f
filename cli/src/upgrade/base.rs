//! What a project looked like when it was written: a state of the template, filled in as it was then.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{CARGO, WRANGLER, answers::Origin, place::read};
use crate::{
    error::problem,
    name,
    render::{self, Request},
    scaffold::list_files,
    template,
};

/// Files with what they hold.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The first state that projects name: who names none was written from an earlier one.
const NAMED: usize = 5;

/// Fills in a state of the template as a project's answers say.
pub fn fill(
    state: usize,
    origin: &Origin,
    runtime: &str,
    date: Option<&str>,
    workshop: &Path,
) -> Result<Files> {
    let workshop = tempfile::tempdir_in(workshop)?;
    let root = render::own(&Request {
        template: template::unpack(state, &workshop.path().join("template"))?,
        into: workshop.path().join("out"),
        name: origin.answers.name.clone(),
        define: origin.answers.define(runtime, date),
    })
    .with_context(|| format!("state {state} of the template"))?;
    contents(&root, list_files(&root)?)
}

/// What files of a folder hold, as far as they are there.
pub fn contents(root: &Path, files: impl IntoIterator<Item = PathBuf>) -> Result<Files> {
    let mut contents = Files::new();
    for file in files {
        if let Some(text) = read(&root.join(&file))? {
            contents.insert(file, text);
        }
    }
    Ok(contents)
}

/// The state that a project does not name: the one it differs least from.
pub fn recognise(root: &Path, origin: &Origin, workshop: &Path) -> Result<(usize, Files)> {
    if name::check(&origin.answers.name).is_err() {
        return Err(not_ours(root));
    }
    let mut states = Vec::new();
    for state in 1..NAMED {
        let date = origin.compatibility_date.as_deref();
        let base = fill(state, origin, &origin.runtime, date, workshop)?;
        let ours = contents(root, base.keys().cloned())?;
        states.push((distance(&base, &ours), state, base, ours));
    }
    // Of those that are as near, the latest.
    let nearest = states
        .into_iter()
        .rev()
        .min_by_key(|(distance, ..)| *distance);
    let (_, state, base, ours) = nearest.context("there is no template")?;
    match resembles(&base, &ours) {
        true => Ok((state, base)),
        false => Err(not_ours(root)),
    }
}

fn not_ours(root: &Path) -> anyhow::Error {
    problem(
        format!(
            "{} was not written from this program's own template",
            root.display()
        ),
        "move the versions in its Cargo.toml by hand, or merge its own template again",
    )
}

/// How many lines one has and the other has not, in files that both have.
fn distance(base: &Files, ours: &Files) -> usize {
    let both = ours
        .iter()
        .filter_map(|(file, text)| Some((base.get(file)?, text)));
    both.map(|(base, text)| {
        let (of_base, of_ours) = (
            base.split(is_newline).count(),
            text.split(is_newline).count(),
        );
        of_base + of_ours - 2 * common(base, text)
    })
    .sum()
}

/// Whether most of what makes a project of this kind is as the template has it.
fn resembles(base: &Files, ours: &Files) -> bool {
    let essential = [CARGO, WRANGLER, "src/lib.rs"].map(Path::new);
    let (mut all, mut found) = (0, 0);
    for file in essential {
        if let (Some(base), Some(text)) = (base.get(file), ours.get(file)) {
            all += base.split(is_newline).count();
            found += common(base, text);
        }
    }
    all > 0 && found * 2 > all
}

/// How many lines two texts have in common, wherever they are.
fn common(one: &[u8], other: &[u8]) -> usize {
    let mut lines: HashMap<&[u8], usize> = HashMap::new();
    for line in one.split(is_newline) {
        *lines.entry(line.trim_ascii_end()).or_default() += 1;
    }
    let is_common = |line: &&[u8]| match lines.get_mut(line.trim_ascii_end()) {
        Some(left @ 1..) => {
            *left -= 1;
            true
        }
        _ => false,
    };
    other.split(is_newline).filter(is_common).count()
}

fn is_newline(byte: &u8) -> bool {
    *byte == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Files {
        Files::from([(PathBuf::from("Cargo.toml"), text.as_bytes().to_owned())])
    }

    #[test]
    fn the_distance_is_in_lines_wherever_they_are() {
        let distance = |a, b| distance(&files(a), &files(b));
        assert_eq!(distance("a\nb\nc\n", "c\na\r\nb\n"), 0);
        assert_eq!(distance("a\na\nb\n", "a\nb\nmine\n"), 2);
        assert_eq!(super::distance(&files("a\n"), &Files::new()), 0);
    }

    #[test]
    fn another_project_does_not_resemble_ours() {
        assert!(resembles(&files("a\nb\nc\n"), &files("a\nb\nx\ny\nz\n")));
        assert!(!resembles(&files("a\nb\nc\n"), &files("x\ny\nz\n")));
        assert!(!resembles(&files("a\n"), &Files::new()));
    }
}
