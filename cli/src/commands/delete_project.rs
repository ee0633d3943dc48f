//! `projects delete`: a project's record, and before it, if wanted, what the project has.

use std::{cell::Cell, rc::Rc};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    args::{PlaceFlags, Streams, values::Auth},
    auth,
    cloudflare::Account,
    error::problem,
    interrupt,
    project::{Here, Project},
    registry::{Place, Record, Registry},
    server::{self, Server},
    stream::Page,
    ui::{Ui, how_many},
};

/// How often all streams are gone through: others may make new ones meanwhile.
const PASSES: usize = 10;
/// What is not removed, because nobody knows of it.
const UNKNOWN: &str = "Streams from before the directory that nobody has used since are not known, \
                       and stay stored; `durable-streams directory rebuild` finds those with data \
                       in R2 while the project is there.";

/// What is to be done.
#[derive(Debug)]
pub struct Deletion<'a> {
    /// The project.
    pub name: &'a str,
    /// Nothing is asked.
    pub yes: bool,
    /// What becomes of the streams, when that is said.
    pub streams: Option<Streams>,
    /// Where the server is, when that is said.
    pub url: Option<&'a str>,
    /// Where the project is.
    pub place: PlaceFlags,
}

/// What a project has on its server.
struct Holdings {
    server: Server,
    streams: usize,
    are_more: bool,
}

/// What was removed with a project.
#[derive(Debug, Default)]
struct Removed {
    streams: u64,
    subscriptions: u64,
}

/// Removes a project. Its streams go first: without its record nobody gets to them.
pub fn run(ui: &Ui, here: &Here, deletion: &Deletion) -> Result<()> {
    interrupt::note_interrupts();
    let name = deletion.name;
    let project = Project::open(here)?;
    let account = match deletion.place.remote {
        true => Some(server::account(ui, &project)?),
        false => None,
    };
    let mut registry = match &account {
        Some(account) => Registry::remote(Rc::clone(account), &project)?,
        None => Registry::open(ui, &project, Place::Local)?,
    };
    let place = registry.place().name();
    let record = match registry.find(name) {
        Ok(None) => Ok(registry.get(name)?),
        Ok(Some(record)) => Ok(record),
        // Nobody signs tokens with it, but it can be removed.
        Err(error) => Err(error),
    };
    let holdings = record
        .and_then(|record| look(ui, &project, account.as_deref(), &record, deletion))
        .with_context(|| format!("which streams the project {name} has cannot be found out"));
    let streams = decide(ui, deletion, &holdings)?;
    let number = holdings.as_ref().ok().map(number);
    let had = holdings
        .as_ref()
        .ok()
        .map(|holdings| json!({ "streams": holdings.streams, "and_more": holdings.are_more }));
    let server = match streams {
        Streams::Keep => None,
        Streams::Remove => Some(holdings?.server),
    };
    let what = match streams {
        Streams::Keep => "nobody gets to its streams any more",
        Streams::Remove => "all its streams and subscriptions are removed, too",
    };
    let has = number.as_ref().map(|number| format!("It has {number}; "));
    let has = has.unwrap_or_default();
    let question = format!("Delete the project {name} ({place})? {has}{what}");
    ui.confirm(deletion.yes, &question, "nothing was deleted")?;
    let removed = match &server {
        None => Removed::default(),
        Some(server) => remove(ui, server)?,
    };
    registry.delete(name)?;
    ui.result(
        text(
            name,
            place,
            number.as_deref(),
            server.is_some().then_some(&removed),
        ),
        &json!({
            "project": name,
            "place": place,
            "deleted": true,
            "had": had,
            "removed": { "streams": removed.streams, "subscriptions": removed.subscriptions },
        }),
    );
    Ok(())
}

/// Asks the server for the first page of the project's streams.
fn look(
    ui: &Ui,
    project: &Project,
    account: Option<&Account>,
    record: &Record,
    deletion: &Deletion,
) -> Result<Holdings> {
    let url = server::url(project, deletion.url, account)?;
    let secret = match auth::of(&project.root)? {
        Auth::ProjectJwt => Some(record.primary()?.clone()),
        Auth::None | Auth::Own => None,
    };
    let server = Server::new(ui, &url, Some(deletion.name.to_owned()), secret)?;
    let page = server.streams(None)?;
    Ok(Holdings {
        server,
        streams: page.entries.len(),
        are_more: page.next.is_some(),
    })
}

/// What becomes of the streams: as told, else as a person says. Without either, only a project
/// without streams goes, or one of which nothing can be known.
fn decide(ui: &Ui, deletion: &Deletion, holdings: &Result<Holdings>) -> Result<Streams> {
    let has = match (holdings, deletion.streams) {
        (Ok(_), Some(streams)) => return Ok(streams),
        (Err(_), Some(Streams::Remove)) => return Ok(Streams::Remove),
        (Err(error), _) => {
            ui.warn(format!("{error:#}. They stay stored until they expire."));
            return Ok(Streams::Keep);
        }
        (Ok(holdings), None) if holdings.streams == 0 => return Ok(Streams::Keep),
        (Ok(holdings), None) => {
            format!("The project {} has {}", deletion.name, number(holdings))
        }
    };
    if !ui.can_ask() || deletion.yes {
        return Err(problem(
            format!("{has}: are they to be removed?"),
            "add --yes with --streams keep, and nobody gets to them any more, or with --streams remove",
        ));
    }
    let ways = [
        "Keep them: they stay stored until they expire",
        "Remove them, and the project's subscriptions",
    ];
    ui.note(UNKNOWN);
    Ok(match ui.choose(&has, &ways, 0)? {
        0 => Streams::Keep,
        _ => Streams::Remove,
    })
}

/// How many streams there are, as far as the first page tells.
fn number(holdings: &Holdings) -> String {
    match (holdings.streams, holdings.are_more) {
        (number, true) => format!("more than {number} streams"),
        (0, false) => "no streams".to_owned(),
        (number, false) => how_many(number as u64, "stream"),
    }
}

/// Removes all that a project has. What was removed before an end stays removed, and the project
/// stays until all is.
fn remove(ui: &Ui, server: &Server) -> Result<Removed> {
    let removed = Cell::new(0);
    let outcome = remove_subscriptions(ui, server)
        .and_then(|subscriptions| remove_streams(ui, server, &removed).map(|()| subscriptions));
    match outcome {
        Ok(subscriptions) => Ok(Removed {
            streams: removed.get(),
            subscriptions,
        }),
        Err(error) => {
            ui.note(format!(
                "{} streams were removed so far, and the project is still there: run this again to go on",
                removed.get()
            ));
            Err(error)
        }
    }
}

/// They go first: nobody need tell them that streams end.
fn remove_subscriptions(ui: &Ui, server: &Server) -> Result<u64> {
    ui.counting("Removing subscriptions", |count| {
        let mut removed = 0;
        for id in server.all_subscriptions()? {
            server.unsubscribe(&id)?;
            removed += 1;
            count(removed);
        }
        Ok(removed)
    })
}

/// Goes through all streams until there is nothing to remove any more.
fn remove_streams(ui: &Ui, server: &Server, removed: &Cell<u64>) -> Result<()> {
    ui.counting("Removing streams", |count| {
        for _ in 0..PASSES {
            let before = removed.get();
            let mut left = Vec::new();
            let mut after = None;
            loop {
                let Page { entries, next } = server.streams(after.as_deref())?;
                left.extend(server.remove(entries, &|| {
                    removed.set(removed.get() + 1);
                    count(removed.get());
                })?);
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            if let Some((path, error)) = left.first() {
                return Err(problem(
                    format!(
                        "{} cannot be removed, {path} for one: {error}",
                        how_many(left.len() as u64, "stream")
                    ),
                    "run this again; `--streams keep` leaves them",
                ));
            }
            if removed.get() == before {
                return Ok(());
            }
        }
        Err(problem(
            "new streams are made as fast as they are removed",
            "let those end who make them, or take their secret away: `durable-streams projects \
             rotate`, then `durable-streams projects remove-secret`",
        ))
    })
}

fn text(name: &str, place: &str, number: Option<&str>, removed: Option<&Removed>) -> String {
    let deleted = format!("Deleted the project {name} ({place})");
    let tokens = "A running server takes its tokens for up to a minute";
    match (removed, number) {
        (Some(removed), _) => format!(
            "{deleted}, with {} and {}. {tokens}.\n{UNKNOWN}",
            how_many(removed.streams, "stream"),
            how_many(removed.subscriptions, "subscription")
        ),
        (None, number) => format!(
            "{deleted}{}. {tokens}; then nobody gets to its streams any more, not even with a new \
             project of this name, which starts with none. What they hold stays stored until they \
             expire.",
            number.map_or(String::new(), |number| format!(", which had {number}"))
        ),
    }
}
