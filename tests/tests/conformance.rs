//! The official suite against a fresh server.

use std::fs;

use anyhow::Result;
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::server::{Server, Vars};
use durable_streams_tests::{conformance, say};

/// As many tests as the pinned suite has: fewer would pass for the wrong reason.
const TESTS: usize = 338;

#[test]
fn the_suite_passes_except_for_what_is_listed() -> Result<()> {
    run("conformance-state", &[])
}

/// Everything moves to the bucket as soon as it can.
#[test]
fn the_suite_passes_alike_when_nothing_stays_in_the_object() -> Result<()> {
    run("conformance-cold-state", &[("SEGMENT_MAX_MESSAGES", "2")])
}

fn run(state: &str, vars: Vars) -> Result<()> {
    let state = Scratch::new(state)?;
    let long_poll = ("LONG_POLL_TIMEOUT_MS", conformance::LONG_POLL_TIMEOUT_MS);
    let server = Server::start(&state, &[vars, &[long_poll]].concat())?;
    let outcomes = conformance::run(server.client().base())?;
    server.stop()?;
    let table = conformance::table(&outcomes);
    say(&table);

    let list = repository().join("tests/conformance/not-yet.txt");
    let differences = conformance::differences(&outcomes, &fs::read_to_string(list)?);
    assert!(
        differences.is_empty(),
        "{}\nThe list is tests/conformance/not-yet.txt.",
        differences.join("\n")
    );
    assert_eq!(outcomes.len(), TESTS, "tests ran");
    Ok(())
}
