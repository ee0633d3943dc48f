//! `directory`: which streams a server knows of.

use anyhow::Result;
use serde_json::json;

use crate::{
    args::{Directory, ServerFlags},
    error::{hint, problem},
    interrupt,
    project::Here,
    server::{Error, Server},
    ui::Ui,
};

/// What no look at the bucket finds.
const UNFOUND: &str = "Streams of which nothing has moved to R2 cannot be found like this; they \
                       register when they are next appended to or read.";

/// Works on the directory of a server.
pub fn run(ui: &Ui, here: &Here, args: &Directory) -> Result<()> {
    interrupt::note_interrupts();
    match args {
        Directory::Rebuild { after, server } => rebuild(ui, here, after.clone(), server),
    }
}

fn rebuild(ui: &Ui, here: &Here, mut after: Option<String>, flags: &ServerFlags) -> Result<()> {
    let server = Server::open(ui, here, flags)?;
    let mut found = 0;
    ui.counting("Looking for streams in the bucket", |count| {
        loop {
            let page = server.rebuild(after.as_deref());
            let page = page.map_err(|error| unfinished(ui, error, after.as_deref(), found))?;
            found += page.found;
            count(found);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    })?;
    ui.result(
        format!(
            "Found {found} streams with data in the bucket ({}): the directory knows them now.\n{UNFOUND}",
            server.scope()
        ),
        &json!({ "server": server.url(), "project": server.project(), "found": found }),
    );
    Ok(())
}

/// Says where to go on.
fn unfinished(ui: &Ui, error: Error, after: Option<&str>, found: u64) -> anyhow::Error {
    let Some(after) = after else {
        return error.into();
    };
    let go_on = format!("`durable-streams directory rebuild --after '{after}'` goes on from here");
    if matches!(error, Error::Interrupted) {
        // Nothing else is said of an interrupt.
        ui.note(format!("Found {found} streams so far; {go_on}"));
        return error.into();
    }
    let error = anyhow::Error::from(error);
    let out = hint(&error).map_or(go_on.clone(), |hint| format!("{hint}; then {go_on}"));
    problem(format!("{error} (after {found} streams)"), out)
}
