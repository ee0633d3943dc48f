//! Forks: what they cost, what they hold, and that nothing is left of them.

use std::time::Instant;

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{say, storage, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

/// Makes the fork of `source` with this name.
fn fork(client: &Client, source: &Stream, name: &str) -> Result<(Stream, Response)> {
    let fork = Stream::named(client, name, JSON);
    let put = fork
        .call(Method::PUT)
        .header("stream-forked-from", source.path());
    let created = put.send()?.expect(201)?;
    Ok((fork, created))
}

fn batch(first: u64, count: u64) -> Result<Vec<u8>> {
    let messages: Vec<Value> = (first..first + count)
        .map(|n| json!({ "n": n, "text": "one of a hundred thousand messages of a stream" }))
        .collect();
    Ok(serde_json::to_vec(&messages)?)
}

/// Waits until a source has sealed all it can.
fn sealed(stream: &Stream) -> Result<()> {
    wait_until("the stream is in the bucket", || {
        let head = stream.head()?.expect(200)?;
        let left = head.header("ds-unrotated").map(str::parse::<u64>);
        Ok(left.transpose()?.is_none_or(|bytes| bytes < 100_000))
    })
}

#[test]
fn a_fork_of_a_long_stream_costs_little_and_is_its_own() -> Result<()> {
    const MESSAGES: u64 = 100_000;
    let state = Scratch::new("long-fork-state")?;
    let server = Server::start(&state, &[("DEBUG_TIMING", "1")])?;
    let client = server.client();
    let source = Stream::create(client, "long/source", JSON)?;
    for first in (0..MESSAGES).step_by(1000) {
        source.append(batch(first, 1000)?)?;
    }
    sealed(&source)?;

    let start = Instant::now();
    let (long, created) = fork(client, &source, "long/fork")?;
    let took = start.elapsed();
    let rows = created.count("rows_written")?;
    say(&format!(
        "a fork of {MESSAGES} messages: {rows} rows written, {took:.0?}"
    ));
    assert!(rows <= 60, "{rows} rows");

    source.append(batch(MESSAGES, 1)?)?;
    long.append(r#"{"n":"own"}"#)?;
    source.call(Method::DELETE).send()?.expect(204)?;
    source.head()?.expect(410)?;
    let messages = long.read()?.messages()?;
    assert_eq!(messages.len() as u64, MESSAGES + 1);
    for (n, message) in messages.iter().take(100_000).enumerate() {
        assert_eq!(message["n"], json!(n));
    }
    assert_eq!(messages.last().context("no message")?["n"], json!("own"));
    server.stop()
}

#[test]
fn a_chain_of_ten_forks_reads_right() -> Result<()> {
    let state = Scratch::new("fork-chain-state")?;
    let server = Server::start(&state, &[("SEGMENT_MAX_MESSAGES", "5")])?;
    let client = server.client();
    let mut last = Stream::create(client, "chain/0", JSON)?;
    let mut expected = Vec::new();
    let mut chain = vec![last.clone()];
    for depth in 1..=10 {
        for n in 0..7 {
            last.append(json!([[depth, n]]).to_string())?;
            expected.push(json!([depth, n]));
        }
        last = fork(client, &last, &format!("chain/{depth}"))?.0;
        chain.push(last.clone());
    }
    last.append(json!(["end"]).to_string())?;
    expected.push(json!("end"));
    assert_eq!(last.read()?.messages()?, expected);
    // Each of them has what it had when it was forked.
    for (depth, stream) in chain.iter().enumerate().take(10) {
        let messages = stream.read()?.messages()?;
        assert_eq!(messages, expected[..(depth + 1) * 7], "at depth {depth}");
    }
    server.stop()
}

#[test]
fn every_order_of_deletion_leaves_nothing() -> Result<()> {
    let state = Scratch::new("fork-deletion-state")?;
    let server = Server::start(&state, &[("SEGMENT_MAX_MESSAGES", "3")])?;
    let client = server.client();
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut chain = vec![Stream::create(client, "order/0", JSON)?];
        for depth in 0..3 {
            for n in 0..8 {
                chain[depth].append(n.to_string())?;
            }
            if depth < 2 {
                let next = fork(client, &chain[depth], &format!("order/{}", depth + 1))?;
                chain.push(next.0);
            }
        }
        wait_until("there are objects in the bucket", || {
            Ok(!storage::objects(state.path(), "streams/order/")?.is_empty())
        })?;
        for at in order {
            chain[at].call(Method::DELETE).send()?.expect(204)?;
        }
        for stream in &chain {
            wait_until("the stream is gone", || Ok(stream.head()?.status == 404))?;
        }
        wait_until("nothing is left in the bucket", || {
            Ok(storage::objects(state.path(), "streams/order/")
                .is_ok_and(|objects| objects.is_empty()))
        })?;
    }
    server.stop()
}

#[test]
fn a_refused_fork_keeps_no_source() -> Result<()> {
    let state = Scratch::new("refused-fork-state")?;
    let server = Server::start(&state, &[])?;
    let client = server.client();
    let source = Stream::create(client, "refused/source", JSON)?;
    source.append("1")?;
    let target = Stream::named(client, "refused/fork", JSON);
    let put = |body: &str| {
        let put = target.put().header("stream-forked-from", source.path());
        put.send_bytes(body.as_bytes())
    };
    // The source has agreed by the time the body turns out to be no JSON.
    put("{")?.expect(400)?;
    target.head()?.expect(404)?;
    wait_until("the source can go for good", || {
        let deleted = source.call(Method::DELETE).send()?;
        Ok(deleted.status == 404 || source.head()?.status == 404)
    })?;
    put("1")?.expect(404)?;
    server.stop()
}
