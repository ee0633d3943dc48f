//! `upgrade`: bring a project that an earlier release has written to what this one writes.

use std::{fmt::Write, path::Path, process::Command, process::ExitCode};

use anyhow::Result;
use diffy::create_patch;
use serde_json::{Value, json};

use crate::{
    args::Upgrade,
    interrupt::{self, Interrupted},
    process,
    project::{Here, Lock, Project, Work},
    runtime_source::{PACKAGE, RuntimeSource},
    template,
    ui::{Ui, how_many},
    upgrade::{self, Change, Edit, Plan},
};

/// Merges what the template has changed into the project, unless it is only to be shown.
pub fn run(ui: &Ui, here: &Here, args: &Upgrade) -> Result<ExitCode> {
    let root = here.root()?;
    interrupt::note_interrupts();
    // A deploy writes into wrangler.toml. A project that cannot be opened is not deployed either.
    let _lock = Project::open(here)
        .ok()
        .map(|project| Lock::wait(ui, &project, Work::Cloudflare, "upgrade"))
        .transpose()?;
    let source = args.runtime.as_deref().map(RuntimeSource::parse);
    let source = source.transpose()?;
    let plan = upgrade::plan(&root, source.as_ref())?;
    if interrupt::interrupted() {
        return Err(Interrupted.into());
    }
    if !args.dry_run {
        upgrade::place(&root, &plan.edits)?;
        if plan.runtime.contains("://") {
            move_lock(ui, &root);
        }
    }
    ui.result(text(&plan, args.dry_run), &document(&plan, args.dry_run));
    for wrong in &plan.broken {
        ui.warn(format!(
            "what the merge makes of it has to be mended by hand: {wrong}"
        ));
    }
    match plan.conflicts() == 0 && plan.broken.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

/// Takes the newest commit of a repository, which no version in `Cargo.toml` names.
fn move_lock(ui: &Ui, root: &Path) {
    if !root.join("Cargo.lock").is_file() {
        return;
    }
    let mut command = Command::new("cargo");
    command
        .args(["update", "--quiet", PACKAGE])
        .current_dir(root);
    if let Err(error) = process::run_ok(ui, &mut command, None) {
        ui.warn(format!(
            "Cargo.lock still has the runtime's commit of before; `cargo update {PACKAGE}` takes the \
             newest: {error:#}"
        ));
    }
}

fn text(plan: &Plan, dry_run: bool) -> String {
    if plan.files.is_empty() {
        return format!(
            "Nothing to do: the project is of state {}, the newest.",
            template::STATE
        );
    }
    let mut text = format!(
        "{} from state {} of the template to {}.\n",
        if dry_run { "Would go" } else { "Went" },
        plan.from,
        template::STATE
    );
    for moved in &plan.moved {
        let _ = writeln!(text, "  {moved}");
    }
    for setting in &plan.own {
        let _ = writeln!(
            text,
            "  yours     {setting}: the template has got it too, otherwise"
        );
    }
    for (file, change) in &plan.files {
        let edit = plan.edit(file);
        let (added, removed) = edit.map(lines).unwrap_or_default();
        let _ = match change {
            Change::Nothing => Ok(()),
            Change::Content(_, 0) if edit.is_some_and(|edit| edit.before.is_none()) => {
                writeln!(text, "  new       {}", file.display())
            }
            Change::Content(_, 0) => {
                writeln!(text, "  merged    {} (+{added} -{removed})", file.display())
            }
            Change::Content(_, count) => {
                let places = how_many(*count as u64, "place");
                let file = file.display();
                writeln!(text, "  CONFLICT  {file}: {places} that both have changed")
            }
            Change::Removed => writeln!(text, "  removed   {}", file.display()),
            Change::StaysAway => writeln!(
                text,
                "  left out  {}: you have removed it, and the template has changed it",
                file.display()
            ),
            Change::StaysHere => writeln!(
                text,
                "  kept      {}: you have changed it, and the template has it no more",
                file.display()
            ),
        };
    }
    match (plan.conflicts(), dry_run) {
        (0, false) => text.push_str("\nNext: `durable-streams dev` builds and serves it.\n"),
        (0, true) => {}
        _ => text.push_str(
            "\nWhere you and the template have changed the same lines, yours are below `<<<<<<< ours`, \
             and the\ntemplate's below `=======`. Nothing builds before they are decided on.\n",
        ),
    }
    if dry_run {
        let patches: Vec<String> = plan.edits.iter().map(patch).collect();
        let _ = write!(text, "\n{}", patches.join("\n"));
    }
    text
}

/// How many lines come and go.
fn lines(edit: &Edit) -> (usize, usize) {
    let patch = patch(edit);
    let lines = patch.lines().skip(2);
    lines.fold((0, 0), |(added, removed), line| match line.as_bytes() {
        [b'+', ..] => (added + 1, removed),
        [b'-', ..] => (added, removed + 1),
        _ => (added, removed),
    })
}

fn patch(edit: &Edit) -> String {
    let text = |side: &Option<Vec<u8>>| {
        let bytes = side.as_deref().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let patch = create_patch(&text(&edit.before), &text(&edit.after)).to_string();
    let file = edit.file.display();
    let heads = format!("--- {file}\n+++ {file}\n");
    match patch.split_once("@@") {
        Some((_, hunks)) => format!("{heads}@@{hunks}"),
        None => heads,
    }
}

fn document(plan: &Plan, dry_run: bool) -> Value {
    let files = plan.files.iter().map(|(file, change)| {
        let edit = plan.edit(file);
        json!({
            "file": file.display().to_string(),
            "change": name(change, edit),
            "conflicts": change.conflicts(),
            "diff": edit.map(patch),
        })
    });
    json!({
        "from": plan.from,
        "to": template::STATE,
        "runtime": plan.runtime,
        "moved": plan.moved,
        "own": plan.own,
        "broken": plan.broken,
        "files": files.collect::<Vec<_>>(),
        "conflicts": plan.conflicts(),
        "dryRun": dry_run,
    })
}

fn name(change: &Change, edit: Option<&Edit>) -> &'static str {
    match change {
        Change::Nothing => "none",
        Change::Content(_, 0) if edit.is_some_and(|edit| edit.before.is_none()) => "new",
        Change::Content(_, 0) => "merged",
        Change::Content(..) => "conflict",
        Change::Removed => "removed",
        Change::StaysAway => "left out",
        Change::StaysHere => "kept",
    }
}
