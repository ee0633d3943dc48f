//! Readers that take nothing: what is held for all of them together is bounded.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use durable_streams_tests::events::Events;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::process::Process;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::{START, Stream};
use serde_json::json;

use crate::JSON;

const MIB: u64 = 1 << 20;

/// How much more a process may have, in MiB: what waits, in all its copies, and what nobody has
/// collected yet.
const MOST_MORE: u64 = 250;

/// The most memory that a process has within some seconds.
fn most_within(process: &Process, seconds: u64) -> Result<u64> {
    let started = Instant::now();
    let mut most = 0;
    while started.elapsed() < Duration::from_secs(seconds) {
        most = most.max(process.memory()?.0);
        sleep(Duration::from_millis(50));
    }
    Ok(most)
}

fn told(what: &str, before: u64, most: u64) -> u64 {
    let more = most.saturating_sub(before) / MIB;
    println!("{what}: {} MiB, and {more} MiB more", before / MIB);
    more
}

#[test]
fn readers_that_never_read_what_is_there_take_bounded_memory() -> Result<()> {
    let state = Scratch::new("stalled-state")?;
    let server = Server::start(&state, &[("SSE_TIMEOUT_MS", "20000")])?;
    let stream = Stream::create(server.client(), "there", JSON)?;
    for n in 0..6 {
        stream.append(json!({ "n": n, "text": "x".repeat(900_000) }).to_string())?;
    }
    let connect = || Events::connect(server.client(), stream.path(), START);
    // What one of them takes is no matter.
    connect()?.to_tail()?;
    let workerd = server.workerd()?;
    let before = workerd.memory()?.0;
    let mut stalled = Vec::new();
    for count in [200, 400] {
        // Nobody waits for an answer: some have to wait for their turn.
        while stalled.len() < count {
            stalled.push(Events::ask(server.client(), stream.path(), START)?);
        }
        let most = most_within(&workerd, 8)?;
        let more = told(&format!("{count} readers that take nothing"), before, most);
        assert!(more < MOST_MORE, "{count} readers: {more} MiB more");
    }
    // One that reads gets its turn in spite of them.
    let mut reader = connect()?.of_json();
    assert_eq!(reader.messages(6)?.len(), 6);
    server.stop()
}

#[test]
fn a_large_event_takes_bounded_memory_however_many_follow() -> Result<()> {
    let state = Scratch::new("large-event-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::create(server.client(), "large", JSON)?;
    let mut readers = Vec::new();
    for _ in 0..300 {
        let mut reader = Events::connect(server.client(), stream.path(), "now")?.of_json();
        reader.to_tail()?;
        readers.push(reader);
    }
    let workerd = server.workerd()?;
    let before = workerd.memory()?.0;
    stream.append(json!("x".repeat(900_000)).to_string())?;
    let most = most_within(&workerd, 4)?;
    let more = told("an event of 0.9 MB for 300 readers", before, most);
    assert!(more < MOST_MORE, "{more} MiB more");
    for (at, reader) in readers.iter_mut().enumerate() {
        let got = reader.messages(1).with_context(|| format!("reader {at}"))?;
        assert_eq!(got.len(), 1, "reader {at}");
    }
    stream.append("7")?;
    for reader in &mut readers {
        assert_eq!(reader.messages(1)?, [7]);
    }
    server.stop()
}
