//! Subscriptions and the directory, as programs have them that hold nothing of ours: what they check
//! is in `tests/clients`. The same checks of the protocol are run against the reference
//! implementation, so that they ask for nothing that only we do.

mod access;
mod names;
mod settings;

use anyhow::Result;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::reference::Reference;
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::token::{record, token};
use names::{
    AGENTS_SUBSCRIPTIONS, DIRECTORY, PULL_WAKE, SUBSCRIPTION_ADDITIONS, SUBSCRIPTION_BOUNDS,
    SUBSCRIPTION_LINKS, SUBSCRIPTION_REFUSALS, SUBSCRIPTIONS,
};

use crate::clients::{node, run};

/// Receivers of the checks are on this machine.
const VARS: Vars = &[("DEV", "1")];

const PROJECT: &str = "team";
const SECRET: &str = "the secret of the project called team";

/// A file of checks, and what it checks.
pub type Checks<'a> = (&'a str, &'a [&'a str]);

const WEBHOOKS: Checks = ("subscriptions.mjs", &SUBSCRIPTIONS);
const PULLING: Checks = ("pull-wake.mjs", &PULL_WAKE);
const LINKS: Checks = ("subscription-links.mjs", &SUBSCRIPTION_LINKS);
const REFUSALS: Checks = ("subscription-refusals.mjs", &SUBSCRIPTION_REFUSALS);
const AGENTS: Checks = ("agents-subscriptions.mjs", &AGENTS_SUBSCRIPTIONS);
const ADDITIONS: Checks = ("subscription-additions.mjs", &SUBSCRIPTION_ADDITIONS);
const BOUNDS: Checks = ("subscription-bounds.mjs", &SUBSCRIPTION_BOUNDS);
const LISTS: Checks = ("directory.mjs", &DIRECTORY);

/// Runs checks against the server at `base`, below one of its roots.
pub fn run_at(base: &str, root: Option<(&str, &str)>, checks: &[Checks]) -> Result<()> {
    let mut program = node("node.mjs")?;
    program.arg(base).args(checks.iter().map(|(file, _)| file));
    if let Some((project, token)) = root {
        program
            .env("STREAM_ROOT", format!("{base}/v1/stream/{project}"))
            .env("STREAM_AUTH", format!("Bearer {token}"));
    }
    let expected: Vec<_> = checks
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    run(&mut program, &expected)
}

/// Runs checks below the root of a server that is open to everyone.
pub fn run_open(name: &str, checks: &[Checks]) -> Result<()> {
    let state = Scratch::new(&format!("subscriptions-{name}-open"))?;
    let server = Server::start(&state, VARS)?;
    run_at(server.client().base(), None, checks)?;
    server.stop()
}

/// Runs checks below the root of a project, with a token of it.
pub fn run_with_token(name: &str, checks: &[Checks]) -> Result<()> {
    let state = Scratch::new(&format!("subscriptions-{name}-token"))?;
    let setup = Setup {
        vars: VARS,
        entries: vec![(PROJECT, record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let token = token(SECRET, PROJECT, "write");
    run_at(server.client().base(), Some((PROJECT, &token)), checks)?;
    server.stop()
}

#[test]
fn a_receiver_of_plain_node_has_what_the_protocol_says() -> Result<()> {
    run_open("webhooks", &[WEBHOOKS])?;
    run_with_token("webhooks", &[WEBHOOKS])
}

#[test]
fn workers_of_plain_node_have_what_the_protocol_says() -> Result<()> {
    run_open("pull-wake", &[PULLING])?;
    run_with_token("pull-wake", &[PULLING])
}

#[test]
fn subscriptions_have_the_streams_that_the_protocol_says() -> Result<()> {
    run_open("links", &[LINKS])?;
    run_with_token("links", &[LINKS])
}

#[test]
fn what_is_wrong_is_refused_as_the_protocol_says() -> Result<()> {
    run_open("refusals", &[REFUSALS])?;
    run_with_token("refusals", &[REFUSALS])
}

#[test]
fn what_electrics_agents_ask_of_subscriptions_works() -> Result<()> {
    run_open("agents", &[AGENTS])?;
    run_with_token("agents", &[AGENTS])
}

#[test]
fn what_we_do_beyond_the_protocol_works() -> Result<()> {
    run_open("additions", &[ADDITIONS])?;
    run_with_token("additions", &[ADDITIONS])
}

#[test]
fn nothing_grows_without_bound_and_no_mistake_goes_unnoticed() -> Result<()> {
    run_open("bounds", &[BOUNDS])?;
    run_with_token("bounds", &[BOUNDS])
}

#[test]
fn streams_and_subscriptions_are_listed() -> Result<()> {
    run_open("lists", &[LISTS])?;
    run_with_token("lists", &[LISTS])
}

/// What fails here is asked of us by our checks alone, and not by the protocol.
#[test]
fn the_reference_implementation_passes_the_checks_of_the_protocol() -> Result<()> {
    let reference = Reference::start(&serde_json::json!({ "webhooks": true }))?;
    run_at(
        reference.url(),
        None,
        &[WEBHOOKS, PULLING, LINKS, REFUSALS, AGENTS],
    )
}
