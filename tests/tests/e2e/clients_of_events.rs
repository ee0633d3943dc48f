//! Clients that read events as they see fit, and what may stand between them and a server.

use anyhow::Result;

use crate::clients::{VARS, run_checks, run_in_browser};

const EVENT_SOURCE: [&str; 3] = [
    "it resumes after the server ended an answer, with nothing lost or doubled",
    "it resumes after its connection was cut in mid-event, with nothing lost or doubled",
    "where it is can be handed to another one",
];

const LINE_DECODERS: [&str; 2] = [
    "the openai package's decoder has each event as JSON",
    "a line that starts with `data: ` is JSON, and nothing else is",
];

const COMPRESSION: [&str; 2] = [
    "events come through at once, one by one",
    "what is no stream of events is compressed",
];

const TRACING: [&str; 2] = [
    "a page may send the headers of its tools with each request",
    "what is wrong with a request is said by its answer",
];

#[test]
fn the_event_source_of_npm_resumes() -> Result<()> {
    run_checks(&["event-source-npm.mjs"], &VARS, &EVENT_SOURCE)
}

#[test]
fn decoders_of_lines_work() -> Result<()> {
    run_checks(&["line-decoders.mjs"], &VARS, &LINE_DECODERS)
}

/// An answer lasts for longer than a check, so that an event that is held back is not there in time.
#[test]
fn a_proxy_that_compresses_hands_events_on_at_once() -> Result<()> {
    let vars = [("SSE_TIMEOUT_MS", "120000")];
    run_checks(&["compression.mjs"], &vars, &COMPRESSION)
}

#[test]
fn a_page_may_send_the_headers_of_its_tools() -> Result<()> {
    run_in_browser(&["tracing.mjs"], &TRACING)
}
