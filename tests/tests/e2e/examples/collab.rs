//! A text that several people write at once.

use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::project::Project;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{npm, wait_until};

use super::crash;
use crate::clients::{chromium, node, run};

const BYTES: &str = "application/octet-stream";
/// A document of about so many bytes is being written.
const BEGUN: usize = 2000;

const DOCUMENTS: [&str; 9] = [
    "two who write at once have the same, and who joins later, too",
    "a document goes on when a provider has left it",
    "who is there is known to the others, until they leave",
    "an awareness that has gone is there again for who tells and who listens",
    "what is no document is refused as the protocol says",
    "a page sends what was written before it was connected, and while it was away",
    "pages know each other by name",
    "a page says that its document was deleted, and does not make it anew",
    "a position stays where it is in the text, and changes are found",
];

const CRASH: [&str; 1] = ["what is written while the server dies is all there, once"];

const PAGES: [&str; 5] = [
    "two pages write one text",
    "they know who is there, and where",
    "a reload has the text, and the name",
    "what is written offline is there when the network is back",
    "another document is another text",
];

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

#[test]
fn documents_are_written_by_several_at_once_and_survive_a_crash() -> Result<()> {
    let project = Project::of_example("collab")?;
    let dev = Dev::start(&project)?;
    let url = &dev.document().url;
    let page = project.dir.join("page");
    let checks = |file: &str| -> Result<Command> {
        let mut node = node("node.mjs")?;
        node.args([url.as_str(), file]).env("PAGE", &page);
        Ok(node)
    };
    run(&mut checks("collab.mjs")?, &DOCUMENTS)?;

    let name = format!("{}/docs/crash", dev.access()?.project);
    let written = Stream::named(&dev.writer()?, &name, BYTES);
    let mut writers = checks("collab-crash.mjs")?;
    let writers = thread::spawn(move || run(&mut writers, &CRASH));
    wait_until("a document is being written", || {
        let answer = written.get("-1").send()?;
        Ok(answer.status == 200 && answer.body.len() > BEGUN)
    })?;
    crash(&dev)?;
    writers.join().map_err(|_| anyhow!("it panicked"))??;

    let profiles = [Scratch::new("collab-one")?, Scratch::new("collab-other")?];
    let mut pages = node("collab-page.mjs")?;
    pages.args([url, &chromium()?]);
    for profile in &profiles {
        pages.arg(text(profile.path())?);
    }
    run(&mut pages, &PAGES)?;
    dev.interrupt()?;
    Ok(())
}

#[test]
fn the_libraries_of_the_page_are_what_their_script_makes() -> Result<()> {
    let example = repository().join("template/examples/collab");
    let folder = npm::installed_from(&example.join("libraries"), "collab-libraries")?;
    let made = folder.join("made.js");
    let mut build = Command::new("node");
    build.arg("build.mjs").arg(&made).current_dir(&folder);
    durable_streams_tests::process::run(&mut build)?;
    let [made, kept] = [made, example.join("page/libraries.js")].map(std::fs::read_to_string);
    assert!(
        made? == kept?,
        "run `npm ci && npm run build` in its folder"
    );
    Ok(())
}
