//! The console's page, as somebody uses it in a browser.

use anyhow::{Context, Result};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::project::{Auth, Project};

use crate::clients::{chromium, node, run};

const CHECKS: [&str; 9] = [
    "streams are listed folder by folder, and by prefix",
    "a long list comes page by page, and a large folder is one entry",
    "a stream shows what is known of it, and its messages",
    "what is appended appears, can be held back, filtered and looked at",
    "more messages than are kept go by, and it says how many",
    "bad JSON is refused with its line and column, and good JSON is sent",
    "text is shown line by line, and bytes as digits",
    "streams are made, forked, closed and deleted",
    "a subscription says how far behind it is, with each stream",
];

const OF_PROJECTS: [&str; 1] = ["a secret and a token are shown once, and nowhere after"];

const OF_THE_PAGE: [&str; 4] = [
    "each request says what it cost",
    "the keyboard is enough",
    "it is whole at 360 pixels, in the light and in the dark, and each control has a name",
    "nobody else was asked, no address had a secret in it, and nothing went wrong",
];

const OF_PARTS: [&str; 10] = [
    "JSON that is wrong is wrong at its place",
    "JSON is right just where it can be read",
    "an array comes apart, and a value is laid out, without a change",
    "a message of a million levels is laid out all the same",
    "who may read a stream and is not shown all of it is shown what HEAD says",
    "a server that says nothing is not asked without end",
    "the last rows are kept, and found by what is in them",
    "text is put together again, line by line",
    "events are read wherever they are cut",
    "costs, addresses and offsets are read as they are written",
];

#[test]
fn its_parts_do_what_they_say() -> Result<()> {
    let folder = repository().join("cli/assets/console");
    run(node("console-parts.mjs")?.arg(folder), &OF_PARTS)
}

#[test]
fn streams_and_projects_are_looked_after_in_a_browser() -> Result<()> {
    let expected = [&CHECKS[..], &OF_PROJECTS, &OF_THE_PAGE].concat();
    use_page("console-page-projects", Auth::ProjectJwt, &expected)
}

#[test]
fn so_are_streams_that_are_open_to_everyone() -> Result<()> {
    let expected = [&CHECKS[..], &OF_THE_PAGE].concat();
    use_page("console-page", Auth::None, &expected)
}

/// Lets somebody use the page of the console that `dev` serves.
fn use_page(name: &str, auth: Auth, expected: &[&str]) -> Result<()> {
    let project = Project::take_empty(auth)?;
    let _edited = project.edit("wrangler.toml", |text| {
        text.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"")
    })?;
    let profile = Scratch::new(name)?;
    let dev = Dev::start(&project)?;
    let mut node = node("console.mjs")?;
    let url = dev.document().console.as_deref().context("no console")?;
    node.arg(url).arg(chromium()?).arg(profile.path());
    if let Some(access) = &dev.document().access {
        node.arg(&access.project);
    }
    run(&mut node, expected)?;
    dev.interrupt()?;
    Ok(())
}
