//! The official suite against a fresh server, open to everyone and with project tokens.

use std::fs;

use anyhow::Result;
use durable_streams_tests::conformance::{self, Access, Outcome};
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::{say, token};
use serde_json::json;

const VARS: Vars = &[("LONG_POLL_TIMEOUT_MS", conformance::LONG_POLL_TIMEOUT_MS)];
/// As many tests as the pinned suite has: fewer would pass for the wrong reason.
const TESTS: usize = 338;

#[test]
fn the_suite_passes_except_for_what_is_listed() -> Result<()> {
    let state = Scratch::new("conformance-state")?;
    let server = Server::start(&state, VARS)?;
    let outcomes = conformance::run(server.client().base(), None)?;
    server.stop()?;
    check(&outcomes)
}

#[test]
fn the_suite_passes_with_project_tokens_as_it_does_without() -> Result<()> {
    const SECRET: &str = "the secret of the project called suite";
    let state = Scratch::new("conformance-auth-state")?;
    let setup = Setup {
        vars: VARS,
        // The suite is to find what a browser of any origin finds without tokens.
        entries: vec![(
            "suite",
            json!({ "signingSecrets": [SECRET], "corsOrigins": ["*"] }).to_string(),
        )],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let access = Access {
        project: "suite",
        token: &token::token(SECRET, "suite", "write"),
    };
    let outcomes = conformance::run(server.client().base(), Some(access))?;
    server.stop()?;
    check(&outcomes)
}

fn check(outcomes: &[Outcome]) -> Result<()> {
    let table = conformance::table(outcomes);
    say(&table);

    let list = repository().join("tests/conformance/not-yet.txt");
    let differences = conformance::differences(outcomes, &fs::read_to_string(list)?);
    assert!(
        differences.is_empty(),
        "{}\nThe list is tests/conformance/not-yet.txt.",
        differences.join("\n")
    );
    assert_eq!(outcomes.len(), TESTS, "tests ran");
    Ok(())
}
