//! The official suite against a fresh server.

use std::fs;

use anyhow::Result;
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::{conformance, say, server::Server};

/// As many tests as the pinned suite has: fewer would pass for the wrong reason.
const TESTS: usize = 338;

#[test]
fn the_suite_passes_except_for_what_is_listed() -> Result<()> {
    let state = Scratch::new("conformance-state")?;
    let vars = [("LONG_POLL_TIMEOUT_MS", conformance::LONG_POLL_TIMEOUT_MS)];
    let server = Server::start(&state, &vars)?;
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
