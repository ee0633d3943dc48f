//! Brings a project that an earlier release has written to what this one writes: a merge of what its
//! user and the template have changed since.

mod answers;
mod base;
mod merge;
mod place;
mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::{
    answers::Origin,
    base::{Files, contents, fill, recognise},
};
pub use self::{
    merge::Change,
    place::{Edit, place},
    versions::is_older,
};
use crate::{
    error::problem,
    project,
    runtime_source::{PACKAGE, RuntimeSource},
    template,
};

/// Holds the versions, and what the project was written from.
const CARGO: &str = "Cargo.toml";
/// The workflow that deploys.
const WORKFLOW: &str = ".github/workflows/deploy.yml";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// The state of the template that the project was written from.
    pub from: usize,
    /// Where the project takes the runtime from, afterwards.
    pub runtime: String,
    /// Versions that move, and what is added to `wrangler.toml` by what it means.
    pub moved: Vec<String>,
    /// The files that the template has changed, in the order to write them.
    pub files: Vec<(PathBuf, Change)>,
    /// The same, as they are to be written.
    pub edits: Vec<Edit>,
}

/// Finds out what is to be done with the project in a folder; changes nothing. The runtime is taken
/// from where it is taken from now, unless another source is given.
pub fn plan(root: &Path, runtime: Option<&RuntimeSource>) -> Result<Plan> {
    let text = |file: &str| -> Result<Option<String>> {
        let text = place::read(&root.join(file))?;
        let text = text.map(String::from_utf8).transpose();
        text.with_context(|| format!("{file} is not UTF-8"))
    };
    refuse_undecided(root)?;
    let manifest = text(CARGO)?.context("there is no Cargo.toml")?;
    let wrangler = text(project::MANIFEST)?;
    let has_workflow = root.join(WORKFLOW).is_file();
    let origin = Origin::read(&manifest, wrangler.as_deref(), has_workflow)?;
    refuse_newer(&origin)?;
    let to = match runtime {
        Some(source) => source.value().to_owned(),
        None => same_source(root, &origin)?,
    };

    let workshop = tempfile::tempdir().context("cannot make a temporary folder")?;
    let workshop = workshop.path();
    let date = origin.compatibility_date.as_deref();
    let (from, base) = match origin.state {
        Some(state) => (
            state,
            fill(state, &origin, &origin.runtime, date, workshop)?,
        ),
        None => recognise(root, &origin, workshop)?,
    };
    let theirs = fill(template::STATE, &origin, &to, newer_date(date), workshop)?;
    let ours = contents(root, base.keys().chain(theirs.keys()).cloned())?;
    three_ways(from, to, &base, &ours, &theirs)
}

fn three_ways(
    from: usize,
    runtime: String,
    base: &Files,
    ours: &Files,
    theirs: &Files,
) -> Result<Plan> {
    let mut plan = Plan {
        from,
        runtime,
        moved: Vec::new(),
        files: Vec::new(),
        edits: Vec::new(),
    };
    let mut names: Vec<&PathBuf> = base.keys().chain(theirs.keys()).collect();
    // What says which state a project is of comes last: cut short, an upgrade is done again.
    names.sort_by_key(|name| (*name == Path::new(CARGO), *name));
    names.dedup();
    for name in names {
        let (base, ours, theirs) = (base.get(name), ours.get(name), theirs.get(name));
        let mut moved = Vec::new();
        let known = |text: Option<&Vec<u8>>, moved: &mut Vec<String>| match (text, theirs) {
            (Some(text), Some(theirs)) => known_moves(name, text, theirs, moved).map(Some),
            (text, _) => Ok(text.cloned()),
        };
        let moved_base = known(base, &mut Vec::new())?;
        let moved_ours = known(ours, &mut moved)?;
        let change = merge::merge(
            moved_base.as_deref(),
            moved_ours.as_deref(),
            theirs.map(Vec::as_slice),
        );
        let change = match change {
            Change::Nothing if moved_ours.as_ref() != ours => match moved_ours {
                Some(text) => Change::Content(text, 0),
                None => Change::Nothing,
            },
            change => change,
        };
        let after = match &change {
            Change::Nothing => continue,
            Change::Content(text, _) => Some(text.clone()),
            Change::Removed => None,
            Change::StaysAway | Change::StaysHere => ours.cloned(),
        };
        if after.as_ref() != ours {
            plan.edits.push(Edit {
                file: name.clone(),
                before: ours.cloned(),
                after,
            });
        }
        plan.moved.extend(moved);
        plan.files.push((name.clone(), change));
    }
    Ok(plan)
}

/// A file with what is known to have changed, done to what it means and not to its lines: versions, and
/// the classes of Durable Objects, whose migrations follow those of the user's own.
fn known_moves(
    name: &Path,
    text: &[u8],
    theirs: &[u8],
    moved: &mut Vec<String>,
) -> Result<Vec<u8>> {
    let (Ok(before), Ok(theirs)) = (std::str::from_utf8(text), std::str::from_utf8(theirs)) else {
        return Ok(text.to_owned());
    };
    let (mut text, tools) = versions::move_tools(before, theirs);
    moved.extend(tools);
    if name == Path::new(CARGO) {
        let (with, crates) = versions::move_crates(&text, theirs)?;
        text = with;
        moved.extend(crates);
    }
    if name == Path::new(project::MANIFEST) {
        let later = project::with_later_classes(&text);
        if let Some((with, added)) = later.with_context(|| format!("in {}", name.display()))? {
            text = with;
            moved.extend(added);
        }
    }
    Ok(text.into_bytes())
}

/// Places of an earlier merge that nobody has decided on would be merged as what somebody has written.
fn refuse_undecided(root: &Path) -> Result<()> {
    for file in [
        CARGO,
        project::MANIFEST,
        "README.md",
        "src/lib.rs",
        WORKFLOW,
    ] {
        let text = place::read(&root.join(file))?;
        if text.is_some_and(|text| merge::is_undecided(&text)) {
            return Err(problem(
                format!("{file} has places of an earlier merge that are not decided on"),
                "decide between what is below `<<<<<<<` and what is below `=======`, and take those \
                 lines out",
            ));
        }
    }
    Ok(())
}

fn refuse_newer(origin: &Origin) -> Result<()> {
    let newer_state = origin.state.is_some_and(|state| state > template::STATE);
    if newer_state || is_older(VERSION, &origin.runtime) {
        return Err(problem(
            "the project was written by a newer release than this program is",
            "update the program first: it brings a project to what it writes itself",
        ));
    }
    match origin.state {
        Some(0) => Err(problem(
            format!("`state` of [package.metadata.durable-streams.template] in {CARGO} is 0"),
            "states are counted from 1; without the table the nearest one is found",
        )),
        _ => Ok(()),
    }
}

/// Where the project takes the runtime from, moved to this program's version where it is a version.
fn same_source(root: &Path, origin: &Origin) -> Result<String> {
    let runtime = &origin.runtime;
    if runtime.contains("://") {
        return Ok(runtime.clone());
    }
    if runtime.contains(['/', '\\']) || runtime.starts_with('.') {
        let folder = root.join(runtime);
        return match folder.join(CARGO).is_file() {
            true => Ok(runtime.clone()),
            false => Err(problem(
                format!("{CARGO} takes {PACKAGE} from {runtime}, where it is not any more"),
                "say with --runtime from where: a version, a folder or a git URL",
            )),
        };
    }
    Ok(VERSION.to_owned())
}

/// The later of a project's date and the template's own; nothing stands for the latter.
fn newer_date(date: Option<&str>) -> Option<&str> {
    date.filter(|date| *date > template::COMPATIBILITY_DATE)
}
