//! The clients that people have, as they are in their registries: in Node.js, in a browser, and in
//! Python. What they check is in `tests/clients` and `tests/python`. Packages that no registry has
//! are there as the requests that they send.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::token::{record, token};
use durable_streams_tests::{npm, pip};
use serde::Deserialize;

/// Short enough that the clients see answers end.
pub const VARS: [(&str, &str); 2] = [("SSE_TIMEOUT_MS", "3000"), ("LONG_POLL_TIMEOUT_MS", "500")];

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

const EVENT_SOURCE: [&str; 9] = [
    "an EventSource of another origin hears what is there and what comes",
    "it connects again by itself, and goes on after the last event it was given",
    "so it does when the connection is cut",
    "a new EventSource at the last streamNextOffset goes on where the last one was",
    "so it does when the connection is cut in mid-event",
    "text arrives with every line end as LF, and cannot forge an event",
    "bytes arrive as base64, and the answer says so",
    "the last control event of a closed stream says so",
    "a missing stream ends an EventSource for good",
];

const STATE: [&str; 4] = [
    "a collection has the rows that are there and those that come, by long-poll",
    "a collection has the rows that are there and those that come, by SSE",
    "an action is seen at once, and confirmed by its transaction",
    "a collection whose connections are cut has each row, as it was last",
];

const AI_SDK: [&str; 4] = [
    "an answer is read whole while it is written, and its stream is closed",
    "a page that is loaded in the middle of an answer has it whole",
    "an answer that is written before it is read is all there",
    "an answer that fails ends for its reader, too",
];

const TANSTACK_AI: [&str; 4] = [
    "a page that is loaded has all messages, and goes on from there",
    "a page without an offset starts with all messages at once",
    "two pages that speak at once have the same chat",
    "a single answer is kept in a stream that is closed",
];

const AI_DURABLE_STREAM: [&str; 5] = [
    "each answer to create, append, a duplicate, and close has the next offset",
    "a reader that comes back at an offset has every record after it",
    "a reader waits through windows in which nothing comes, and each moves on",
    "a snapshot ends where the stream does, though it is open and even empty",
    "a machine that takes over is another producer of the same run",
];

const YJS: [&str; 3] = [
    "a document of several MB is whole for all who write it and who joins later",
    "a page whose connection was away has what the others wrote",
    "who is there is known to the others",
];

const DURABLE_PROXY: [&str; 3] = [
    "an answer is kept byte for byte below /v1/streams, and closed",
    "a client that follows by long-poll has it while it comes",
    "what was deleted is gone, and may be deleted once more",
];

const STREAM_FS: [&str; 1] =
    ["files that one agent writes are there for another, with their content"];

const AGENTS: [&str; 4] = [
    "the literal of the beginning is one, by any way to read",
    "offsets are of one width, and sorted as text as they are minted",
    "a fork is named by the path of its origin's URL",
    "a fork at an offset has what was there, and goes its own way",
];

const COMMAND_LINE: [&str; 3] = [
    "creates, writes, follows, and deletes bytes",
    "is refused without STREAM_AUTH",
    "writes JSON, as one message or as one for each element",
];

const PYTHON: [&str; 7] = [
    "creates, appends, and reads what is there",
    "batches appends that overlap, and reads them in order",
    "follows by itself, once it has what is there",
    "follows by long-poll, through waits in vain",
    "follows by SSE, and goes on at its offset when the server ended an answer",
    "reads text by SSE with every line end as LF",
    "knows a missing stream, one of another type, and an order that was broken",
];

#[derive(Deserialize)]
struct Check {
    name: String,
    failure: Option<String>,
}

/// Runs a program that must report that all of `expected` passed.
pub fn run(program: &mut Command, expected: &[&str]) -> Result<()> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {program:?}"))?;
    // It ends when this end of the pipe closes, however this test ends.
    let stdin = child.stdin.take();
    let output = child.wait_with_output()?;
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

/// Node.js with a script of `tests/clients`.
pub fn node(script: &str) -> Result<Command> {
    let mut node = Command::new("node");
    node.arg(script).current_dir(npm::installed("clients")?);
    Ok(node)
}

/// Runs the checks of these files against a server of their own with these variables.
pub fn run_checks(files: &[&str], vars: Vars, expected: &[&str]) -> Result<()> {
    let state = Scratch::new(&format!("clients-{}-state", files.join("-")))?;
    let server = Server::start(&state, vars)?;
    let mut node = node("node.mjs")?;
    run(node.arg(server.client().base()).args(files), expected)?;
    server.stop()
}

/// Where Chromium is.
pub fn chromium() -> Result<String> {
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    ensure!(
        Path::new(&chromium).exists(),
        "there is no Chromium at {chromium}: `apt-get update && apt-get install -y chromium` \
         installs it on Debian; CHROMIUM says where it is elsewhere"
    );
    Ok(chromium)
}

/// Runs the checks of these files on a page in Chromium, against a server of their own.
pub fn run_in_browser(files: &[&str], expected: &[&str]) -> Result<()> {
    let chromium = chromium()?;
    let name = files.join("-");
    let state = Scratch::new(&format!("clients-browser-{name}-state"))?;
    let profile = Scratch::new(&format!("clients-browser-{name}-profile"))?;
    let profile = profile.path().to_str().context("a path that is no text")?;
    let server = Server::start(&state, &VARS)?;
    let mut node = node("browser.mjs")?;
    node.args([server.client().base(), &chromium, profile]);
    run(node.args(files), expected)?;
    server.stop()
}

#[test]
fn the_official_client_works_in_node() -> Result<()> {
    let expected = [&OFFICIAL[..], &CUTS].concat();
    run_checks(&["official.mjs", "cuts.mjs"], &VARS, &expected)
}

#[test]
fn collections_of_stream_db_work() -> Result<()> {
    run_checks(&["state.mjs"], &VARS, &STATE)
}

#[test]
fn the_transport_of_the_ai_sdk_works() -> Result<()> {
    run_checks(&["ai-sdk.mjs"], &VARS, &AI_SDK)
}

#[test]
fn the_transport_of_tanstack_ai_works() -> Result<()> {
    run_checks(&["tanstack-ai.mjs"], &VARS, &TANSTACK_AI)
}

#[test]
fn the_requests_of_ai_durable_stream_work() -> Result<()> {
    run_checks(&["ai-durable-stream.mjs"], &VARS, &AI_DURABLE_STREAM)
}

#[test]
fn documents_of_yjs_work() -> Result<()> {
    run_checks(&["yjs.mjs"], &VARS, &YJS)
}

#[test]
fn the_requests_of_the_durable_proxy_work() -> Result<()> {
    run_checks(&["durable-proxy.mjs"], &VARS, &DURABLE_PROXY)
}

#[test]
fn files_in_streams_work() -> Result<()> {
    run_checks(&["stream-fs.mjs"], &VARS, &STREAM_FS)
}

#[test]
fn what_electrics_agents_ask_works() -> Result<()> {
    run_checks(&["agents.mjs"], &VARS, &AGENTS)
}

#[test]
fn what_the_official_command_line_does_works_with_a_token() -> Result<()> {
    const SECRET: &str = "the secret of the project called team";
    let state = Scratch::new("clients-command-line-state")?;
    let setup = Setup {
        vars: &VARS,
        entries: vec![("team", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let base = server.client().base();
    let mut node = node("node.mjs")?;
    node.args([base, "command-line.mjs"])
        .env("STREAM_URL", format!("{base}/v1/stream/team"))
        .env(
            "STREAM_AUTH",
            format!("Bearer {}", token(SECRET, "team", "write")),
        );
    run(&mut node, &COMMAND_LINE)?;
    server.stop()
}

#[test]
fn the_python_client_works() -> Result<()> {
    let state = Scratch::new("clients-python-state")?;
    let server = Server::start(&state, &VARS)?;
    let mut python = Command::new(pip::installed("python")?);
    let checks = repository().join("tests/python/checks.py");
    run(python.arg(checks).arg(server.client().base()), &PYTHON)?;
    server.stop()
}

#[test]
fn event_source_and_the_official_client_work_in_a_browser() -> Result<()> {
    let expected = [&EVENT_SOURCE[..], &OFFICIAL].concat();
    run_in_browser(&["event-source.mjs", "official.mjs"], &expected)
}
