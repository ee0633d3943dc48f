//! Subscriptions that copy. What comes of them is checked by programs that hold nothing of ours, in
//! `tests/clients`; here is what takes a server of one's own: rights, failures, and a page.

mod access;
mod names;
mod page;
mod trouble;

use anyhow::Result;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use names::{COPIES, COPY_ENDS, COPY_REFUSALS};

use crate::subscriptions::{Checks, run_at, run_open, run_with_token};

const WHOLE: Checks = ("copies.mjs", &COPIES);
const REFUSALS: Checks = ("copy-refusals.mjs", &COPY_REFUSALS);
const ENDS: Checks = ("copy-ends.mjs", &COPY_ENDS);

#[test]
fn all_of_many_streams_comes_once_and_in_order() -> Result<()> {
    run_open("copies", &[WHOLE])?;
    run_with_token("copies", &[WHOLE])
}

#[test]
fn so_it_does_when_all_data_lies_in_the_bucket() -> Result<()> {
    let state = Scratch::new("copies-cold")?;
    let vars = [("SEGMENT_MAX_MESSAGES", "1"), ("READ_MAX_BYTES", "100000")];
    let server = Server::start(&state, &vars)?;
    run_at(server.client().base(), None, &[WHOLE])?;
    server.stop()
}

#[test]
fn what_cannot_be_copied_is_refused_and_says_why() -> Result<()> {
    run_open("copy-refusals", &[REFUSALS])?;
    run_with_token("copy-refusals", &[REFUSALS])
}

#[test]
fn copies_end_as_their_streams_do() -> Result<()> {
    run_open("copy-ends", &[ENDS])?;
    run_with_token("copy-ends", &[ENDS])
}
