//! The official suite against a fresh server: open to everyone, with project tokens, and with all
//! data in the bucket.

use anyhow::Result;
use durable_streams_tests::conformance::{self, Access, Outcome};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::{say, token};
use serde_json::json;

const LONG_POLL: (&str, &str) = ("LONG_POLL_TIMEOUT_MS", conformance::LONG_POLL_TIMEOUT_MS);
/// The suite's receivers of webhooks are on this machine.
const DEV: (&str, &str) = ("DEV", "1");
/// What cannot pass in a project: the receiver of this test wants to be told of a URL without one. The
/// checks of clients have the same for projects.
const NOT_IN_A_PROJECT: &str =
    "Reserved subscription APIs > webhook synchronous done auto-acks the wake snapshot";
/// As many tests as the pinned suite has: fewer would pass for the wrong reason.
const TESTS: usize = 338;

#[test]
fn the_suite_passes() -> Result<()> {
    run("conformance-state", &[LONG_POLL, DEV])
}

/// Everything moves to the bucket as soon as it can.
#[test]
fn the_suite_passes_alike_when_nothing_stays_in_the_object() -> Result<()> {
    let vars = [LONG_POLL, DEV, ("SEGMENT_MAX_MESSAGES", "2")];
    run("conformance-cold-state", &vars)
}

#[test]
fn the_suite_passes_with_project_tokens_as_it_does_without() -> Result<()> {
    const SECRET: &str = "the secret of the project called suite";
    let state = Scratch::new("conformance-auth-state")?;
    let setup = Setup {
        vars: &[LONG_POLL, DEV],
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
    check(&outcomes, &[NOT_IN_A_PROJECT])
}

fn run(state: &str, vars: Vars) -> Result<()> {
    let state = Scratch::new(state)?;
    let server = Server::start(&state, vars)?;
    let outcomes = conformance::run(server.client().base(), None)?;
    server.stop()?;
    check(&outcomes, &[])
}

fn check(outcomes: &[Outcome], cannot: &[&str]) -> Result<()> {
    let table = conformance::table(outcomes);
    say(&table);

    let differences = conformance::differences(outcomes, cannot);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(outcomes.len(), TESTS, "tests ran");
    Ok(())
}
