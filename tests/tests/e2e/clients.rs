//! The clients that people have: the official one in Node.js and in a browser, and the browser's
//! own `EventSource`. What they check is in `tests/clients`.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::npm;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use serde::Deserialize;

/// Short enough that the clients see answers end.
const VARS: [(&str, &str); 2] = [("SSE_TIMEOUT_MS", "3000"), ("LONG_POLL_TIMEOUT_MS", "500")];

const OFFICIAL: [&str; 13] = [
    "creates, appends, and reads what is there",
    "batches appends that overlap, in order",
    "resumes from the offset of any batch",
    "follows with live: true, and asks again when a wait was in vain",
    "follows by long-poll, and asks again when a wait was in vain",
    "follows by SSE, and connects again when the server ends an answer",
    "reads bytes by long-poll",
    "reads bytes by SSE",
    "reads text by SSE with every line end as LF",
    "produces in batches that overtake each other, once and in order",
    "fences a producer that was replaced",
    "produces a batch of 14.7 MB",
    "knows a closed stream and a missing one",
];

const CUTS: [&str; 4] = [
    "a reader by SSE that is cut off resumes with nothing lost or doubled",
    "a reader by long-poll that is cut off goes on with nothing lost or doubled",
    "a reader with live: true that is cut off goes on with nothing lost or doubled",
    "a producer whose answers are cut off writes each message once",
];

const EVENT_SOURCE: [&str; 8] = [
    "an EventSource of another origin hears what is there and what comes",
    "it connects again by itself to its URL, and starts where that says",
    "a new EventSource at the last streamNextOffset goes on where the last one was",
    "so it does when the connection is cut in mid-event",
    "text arrives with every line end as LF, and cannot forge an event",
    "bytes arrive as base64, and the answer says so",
    "the last control event of a closed stream says so",
    "a missing stream ends an EventSource for good",
];

#[derive(Deserialize)]
struct Check {
    name: String,
    failure: Option<String>,
}

/// Runs a script of `tests/clients`, which must report that all of `expected` passed.
pub fn run(script: &str, args: &[&str], expected: &[&str]) -> Result<()> {
    let mut node = Command::new("node")
        .arg(script)
        .args(args)
        .current_dir(npm::installed("clients")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running node")?;
    // It ends when this end of the pipe closes, however this test ends.
    let stdin = node.stdin.take();
    let output = node.wait_with_output()?;
    drop(stdin);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut names = Vec::new();
    let mut failures = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let check: Check = serde_json::from_str(line).context("parsing a check")?;
        if let Some(failure) = check.failure {
            failures.push(format!("{}\n    {failure}", check.name));
        }
        names.push(check.name);
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(names, expected, "{stderr}");
    ensure!(output.status.success(), "{}\n{stderr}", output.status);
    Ok(())
}

#[test]
fn the_official_client_works_in_node() -> Result<()> {
    let state = Scratch::new("clients-node-state")?;
    let server = Server::start(&state, &VARS)?;
    let expected = [&OFFICIAL[..], &CUTS].concat();
    run("node.mjs", &[server.client().base()], &expected)?;
    server.stop()
}

#[test]
fn event_source_and_the_official_client_work_in_a_browser() -> Result<()> {
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    ensure!(
        Path::new(&chromium).exists(),
        "there is no Chromium at {chromium}: `apt-get update && apt-get install -y chromium` \
         installs it on Debian; CHROMIUM says where it is elsewhere"
    );
    let state = Scratch::new("clients-browser-state")?;
    let profile = Scratch::new("clients-browser-profile")?;
    let profile = profile.path().to_str().context("a path that is no text")?;
    let server = Server::start(&state, &VARS)?;
    let expected = [&EVENT_SOURCE[..], &OFFICIAL].concat();
    let args = [server.client().base(), &chromium, profile];
    run("browser.mjs", &args, &expected)?;
    server.stop()
}
