//! Brings a project that an earlier release has written to what this one writes: a merge of what its
//! user and the template have changed since.

mod answers;
mod base;
mod merge;
mod own;
mod place;
mod together;
mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml_edit::DocumentMut;

use self::{
    answers::Origin,
    base::{Files, contents, fill, recognise},
    versions::is_older,
};
pub use self::{
    merge::Change,
    place::{Edit, place},
};
use crate::{
    error::problem,
    project,
    runtime_source::{PACKAGE, RuntimeSource},
    template,
};

/// Holds the versions, and what the project was written from.
const CARGO: &str = "Cargo.toml";
/// The settings, as the template writes them.
const WRANGLER: &str = "wrangler.toml";
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
    /// Settings that the template has got, and that the user has made otherwise before.
    pub own: Vec<String>,
    /// What is wrong with files that are merged without a conflict, and that nothing can read.
    pub broken: Vec<String>,
    /// The files that the template has changed, in the order to write them.
    pub files: Vec<(PathBuf, Change)>,
    /// The same, as they are to be written.
    pub edits: Vec<Edit>,
}

impl Plan {
    /// How many places there are that both have changed.
    pub fn conflicts(&self) -> usize {
        self.files
            .iter()
            .map(|(_, change)| change.conflicts())
            .sum()
    }

    /// What is to be written of a file that the template has changed, if anything is.
    pub fn edit(&self, file: &Path) -> Option<&Edit> {
        self.edits.iter().find(|edit| edit.file == file)
    }
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
    let wrangler = text(WRANGLER)?;
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
    let (from, mut base) = match origin.state {
        Some(state) => (
            state,
            fill(state, &origin, &origin.runtime, date, workshop)?,
        ),
        None => recognise(root, &origin, workshop)?,
    };
    let mut theirs = fill(template::STATE, &origin, &to, newer_date(date), workshop)?;
    if origin.answers.example.is_some() {
        // The example's code stands in the place of the template's, and is its user's own.
        for side in [&mut base, &mut theirs] {
            side.retain(|file, _| !file.starts_with("src"));
        }
    }
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
        own: Vec::new(),
        broken: Vec::new(),
        files: Vec::new(),
        edits: Vec::new(),
    };
    let mut names: Vec<&PathBuf> = base.keys().chain(theirs.keys()).collect();
    // What says which state a project is of comes last: cut short, an upgrade is done again.
    names.sort_by_key(|name| (*name == Path::new(CARGO), *name));
    names.dedup();
    for name in names {
        let (base, before, theirs) = (base.get(name), ours.get(name), theirs.get(name));
        let returns = before.is_some_and(|text| merge::has_returns(text));
        let ours = match before {
            Some(text) if returns => Some(merge::without_returns(text)),
            text => text.cloned(),
        };
        let change = merge_known(name, base, ours.as_ref(), theirs, &mut plan)?;
        let change = match change {
            Change::Content(text, conflicts) if returns => {
                Change::Content(merge::with_returns(&text), conflicts)
            }
            change => change,
        };
        let after = match &change {
            Change::Nothing => continue,
            Change::Content(text, _) => Some(text.clone()),
            Change::Removed => None,
            Change::StaysAway | Change::StaysHere => before.cloned(),
        };
        if after.as_ref() != before {
            plan.edits.push(Edit {
                file: name.clone(),
                before: before.cloned(),
                after,
            });
        }
        if let (Change::Content(text, 0), Some("toml")) = (&change, extension(name)) {
            let parsed = std::str::from_utf8(text).map(str::parse::<DocumentMut>);
            if let Ok(Err(error)) = parsed {
                plan.broken.push(format!("{}: {error}", name.display()));
            }
        }
        plan.files.push((name.clone(), change));
    }
    Ok(plan)
}

fn extension(name: &Path) -> Option<&str> {
    name.extension()?.to_str()
}

/// Merges a file after what is known to have changed has been done to both sides.
fn merge_known<'a>(
    name: &Path,
    base: Option<&'a Vec<u8>>,
    ours: Option<&'a Vec<u8>>,
    theirs: Option<&'a Vec<u8>>,
    plan: &mut Plan,
) -> Result<Change> {
    let (Some(before), Some(now), Some(new)) = (base, ours, theirs) else {
        let side = |text: Option<&'a Vec<u8>>| text.map(Vec::as_slice);
        return Ok(merge::merge(side(base), side(ours), side(theirs)));
    };
    let texts = [before, now, new].map(|text| std::str::from_utf8(text));
    let [Ok(before), Ok(now), Ok(new)] = texts else {
        return Ok(merge::merge(Some(before), Some(now), Some(new)));
    };
    let base = known_moves(name, before, new, &mut Vec::new())?;
    let moved = known_moves(name, now, new, &mut plan.moved)?;
    let (theirs, own) = own::without_own(&base, &moved, new);
    let own = own.into_iter();
    plan.own
        .extend(own.map(|setting| format!("{setting} of {}", name.display())));
    let change = merge::merge(
        Some(base.as_bytes()),
        Some(moved.as_bytes()),
        Some(theirs.as_bytes()),
    );
    Ok(match change {
        Change::Nothing if moved != now => Change::Content(moved.into_bytes(), 0),
        Change::Content(marked, conflicts @ 1..) if extension(name) == Some("toml") => {
            match together::added_together(&base, &moved, &theirs) {
                Some(both) => Change::Content(both.into_bytes(), 0),
                None => Change::Content(marked, conflicts),
            }
        }
        change => change,
    })
}

/// A file with what is known to have changed, done to what it means and not to its lines: versions, and
/// the classes of Durable Objects, whose migrations follow those of the user's own.
fn known_moves(name: &Path, text: &str, theirs: &str, moved: &mut Vec<String>) -> Result<String> {
    let (mut text, tools) = versions::move_tools(text, theirs);
    moved.extend(tools);
    if name == Path::new(CARGO) {
        let (with, crates) = versions::move_crates(&text, theirs)?;
        text = with;
        moved.extend(crates);
    }
    if name == Path::new(WRANGLER) {
        let later = project::with_later_classes(&text);
        if let Some((with, added)) = later.with_context(|| format!("in {}", name.display()))? {
            text = with;
            moved.extend(added);
        }
    }
    Ok(text)
}

/// Places of an earlier merge that nobody has decided on would be merged as what somebody has written.
fn refuse_undecided(root: &Path) -> Result<()> {
    for file in [CARGO, WRANGLER, "README.md", "src/lib.rs", WORKFLOW] {
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
