//! Streams that lose their beginning: because somebody said so, or as their retention says.

use std::fs;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::events::Events;
use durable_streams_tests::http::Response;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use durable_streams_tests::storage;
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::wait_until;
use rusqlite::Connection;
use serde_json::Value;
use ureq::http::Method;

use crate::{BYTES, JSON, shared};

const SMALL: &[(&str, &str)] = &[("SEGMENT_MAX_MESSAGES", "4"), ("DEBUG_TIMING", "1")];

fn offset(position: u64) -> String {
    format!("{:016}_{position:016}_0000", 0)
}

fn truncate(stream: &Stream, before: u64) -> Result<Response> {
    let post = stream.call(Method::POST);
    post.header("stream-truncate-before", offset(before)).send()
}

/// What is there of a stream, from wherever it starts.
fn everything(stream: &Stream) -> Result<Vec<Value>> {
    let page = stream.get("-1").send()?.expect(200)?;
    ensure!(page.header("stream-up-to-date").is_some(), "not all");
    Ok(serde_json::from_slice(&page.body)?)
}

fn count(state: &Scratch, name: &str) -> usize {
    let objects = storage::objects(state.path(), &format!("streams/{name}/"));
    // Files that are copied while they change may make no sense for a moment.
    objects.map_or(usize::MAX, |objects| objects.len())
}

/// As if objects had been out of use for long enough: the server must not run.
fn end_grace(state: &Scratch) -> Result<()> {
    for entry in fs::read_dir(state.path().join("do/streams-StreamDO"))? {
        let file = entry?.path();
        let is_database = file.extension().is_some_and(|end| end == "sqlite");
        if is_database && !file.ends_with("metadata.sqlite") {
            let notes = "UPDATE stream SET body = \
                CAST(json_set(CAST(body AS TEXT), '$.due', 0) AS BLOB) \
                WHERE id BETWEEN -2251799813685248 AND -2111062325329921";
            // Objects without a stream have no such table.
            let _ = Connection::open(&file)?.execute(notes, []);
        }
    }
    Ok(())
}

#[test]
fn what_was_dropped_is_gone_and_a_fork_of_it_is_whole() -> Result<()> {
    let state = Scratch::new("truncate-state")?;
    let server = Server::start(&state, SMALL)?;
    let stream = Stream::create(server.client(), "cut", JSON)?;
    for n in 0..3 {
        let batch: Vec<u64> = (4 * n..4 * n + 4).collect();
        stream.append(serde_json::to_vec(&batch)?)?;
        wait_until("the data has moved", || {
            Ok(count(&state, "cut") == n as usize + 1)
        })?;
    }
    let fork = Stream::named(server.client(), "fork", JSON);
    let put = fork.call(Method::PUT);
    let put = put.header("stream-forked-from", stream.path());
    put.send()?.expect(201)?;
    stream.append("[12,13]")?;

    let truncated = truncate(&stream, 9)?.expect(204)?;
    assert_eq!(truncated.count("rows_written")?, 1);
    assert_eq!(
        truncated.header("stream-earliest-offset"),
        Some(&*offset(9))
    );
    assert_eq!(truncated.header("stream-next-offset"), Some(&*offset(14)));
    assert_eq!(everything(&stream)?, [9, 10, 11, 12, 13]);
    let refused = stream.get(&offset(8)).send()?.expect(410)?;
    assert_eq!(refused.refusal()?.code, "truncated");
    assert_eq!(refused.header("stream-earliest-offset"), Some(&*offset(9)));
    let head = stream.head()?.expect(200)?;
    assert_eq!(head.header("stream-earliest-offset"), Some(&*offset(9)));
    assert_eq!(fork.read()?.messages()?.len(), 12);
    let late = Stream::named(server.client(), "late", JSON);
    let put = late.call(Method::PUT);
    let put = put.header("stream-forked-from", stream.path());
    put.header("stream-fork-offset", offset(8))
        .send()?
        .expect(400)?;

    // What was dropped before stays dropped, and what is beyond the tail is nothing to drop.
    let again = truncate(&stream, 3)?.expect(204)?;
    assert_eq!(again.header("stream-earliest-offset"), Some(&*offset(9)));
    truncate(&stream, 15)?.expect(400)?;
    server.stop()?;

    // The source deletes nothing that its fork has, and all of it when the fork is gone.
    end_grace(&state)?;
    let server = Server::start(&state, SMALL)?;
    let (stream, fork) = (stream.on(server.client()), fork.on(server.client()));
    truncate(&stream, 10)?.expect(204)?;
    assert_eq!(everything(&stream)?, [10, 11, 12, 13]);
    assert_eq!(fork.read()?.messages()?.len(), 12);
    assert_eq!(count(&state, "cut"), 3);
    fork.call(Method::DELETE).send()?.expect(204)?;
    wait_until("the objects are gone", || Ok(count(&state, "cut") == 1))?;
    assert_eq!(everything(&stream)?, [10, 11, 12, 13]);

    // Nothing is left but where it ends, also for who reads it anew.
    truncate(&stream, 14)?.expect(204)?;
    assert_eq!(everything(&stream)?, [0; 0]);
    server.stop()?;
    end_grace(&state)?;
    let server = Server::start(&state, SMALL)?;
    let stream = stream.on(server.client());
    let appended = stream.append("14")?;
    assert_eq!(appended.header("stream-next-offset"), Some(&*offset(15)));
    assert_eq!(everything(&stream)?, [14]);
    truncate(&stream, 15)?.expect(204)?;
    wait_until("the last object is gone", || Ok(count(&state, "cut") == 0))?;
    server.stop()
}

#[test]
fn readers_below_the_cut_are_told_and_those_at_the_tail_notice_nothing() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&client, "truncate/readers", JSON)?;
    stream.append("[0,1,2,3]")?;
    let mut follows = Events::connect(&client, stream.path(), "now")?;
    follows.to_tail()?;
    truncate(&stream, 3)?.expect(204)?;
    stream.append("4")?;
    assert_eq!(follows.messages(1)?, [4]);
    for mode in ["", "&live=long-poll", "&live=sse"] {
        let refused = stream.get(&format!("{}{mode}", offset(2))).send()?;
        let refused = refused.expect(410)?;
        assert_eq!(refused.refusal()?.code, "truncated", "{mode}");
        assert_eq!(refused.header("stream-earliest-offset"), Some(&*offset(3)));
    }
    let mut anew = Events::connect(&client, stream.path(), "-1")?;
    assert_eq!(anew.messages(2)?, [3, 4]);
    let poll = stream.get("-1&live=long-poll").send()?.expect(200)?;
    assert_eq!(poll.body, b"[3,\n4]");
    assert_eq!(poll.header("stream-earliest-offset"), Some(&*offset(3)));

    // The start is another now, and so is its tag.
    let page = stream.get("-1").send()?.expect(200)?;
    let tag = page.header("etag").context("no ETag")?.to_owned();
    stream
        .get("-1")
        .header("if-none-match", &tag)
        .send()?
        .expect(304)?;
    truncate(&stream, 4)?.expect(204)?;
    let page = stream.get("-1").header("if-none-match", &tag);
    assert_eq!(page.send()?.expect(200)?.body, b"[4]");
    let page = stream.get(&offset(3)).header("if-none-match", &tag);
    page.send()?.expect(410)?;

    // A closed stream can lose its beginning, too.
    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    let truncated = truncate(&stream, 5)?.expect(204)?;
    assert_eq!(truncated.header("stream-closed"), Some("true"));
    Ok(())
}

#[test]
fn what_looks_like_a_truncation_deletes_nothing() -> Result<()> {
    let stream = Stream::create(&shared()?, "truncate/refused", JSON)?;
    stream.append("[0,1,2,3]")?;
    let before = format!("{}?before={}", stream.path(), offset(2));
    let refused = shared()?
        .call(Method::DELETE, &before)
        .send()?
        .expect(400)?;
    let message = refused.refusal()?.message;
    assert!(message.contains("Stream-Truncate-Before"), "{message}");
    let cut = || {
        stream
            .call(Method::POST)
            .header("stream-truncate-before", offset(2))
    };
    for (name, value) in [
        ("stream-closed", "true"),
        ("stream-seq", "a"),
        ("producer-id", "p"),
    ] {
        cut().header(name, value).send()?.expect(400)?;
    }
    cut()
        .header("content-type", JSON)
        .send_bytes(b"4")?
        .expect(400)?;
    cut()
        .header("if-match", format!("\"{START}\""))
        .send()?
        .expect(412)?;
    assert_eq!(stream.read()?.messages()?, [0, 1, 2, 3]);
    cut()
        .header("if-match", format!("\"{}\"", offset(4)))
        .send()?
        .expect(204)?;
    assert_eq!(everything(&stream)?, [2, 3]);
    Ok(())
}

#[test]
fn as_much_is_kept_as_was_asked_for() -> Result<()> {
    let state = Scratch::new("retention-state")?;
    let server = Server::start(&state, SMALL)?;
    let stream = Stream::named(server.client(), "kept", JSON);
    let put = |retention: &str| stream.put().header("stream-retention", retention).send();
    for bad in ["bytes=5", "messages=0", "5", "messages=five"] {
        let refused = put(bad)?.expect(400)?;
        assert!(refused.refusal()?.message.starts_with("Stream-Retention "));
    }
    put("messages=5")?.expect(201)?;
    put("messages=5")?.expect(200)?;
    put("messages=6")?.expect(409)?;
    stream.put().send()?.expect(409)?;
    for n in 0..300 {
        let answer = stream.append(n.to_string())?;
        assert_eq!(answer.count("rows_written")?, 1);
    }
    assert_eq!(everything(&stream)?, [295, 296, 297, 298, 299]);
    stream.get(&offset(294)).send()?.expect(410)?;
    let head = stream.head()?.expect(200)?;
    assert_eq!(head.header("stream-retention"), Some("messages=5"));
    assert_eq!(head.header("stream-earliest-offset"), Some(&*offset(295)));

    let fork = Stream::named(server.client(), "kept-fork", JSON);
    let put = fork.call(Method::PUT);
    let put = put.header("stream-forked-from", stream.path());
    put.send()?.expect(201)?;
    fork.append("[300,301]")?;
    assert_eq!(everything(&fork)?, [297, 298, 299, 300, 301]);
    assert_eq!(everything(&stream)?.len(), 5);

    let bytes = Stream::named(server.client(), "kept-bytes", BYTES);
    let put = bytes.put().header("stream-retention", "bytes=3");
    put.send_bytes(b"abcdef")?.expect(201)?;
    assert_eq!(bytes.get("-1").send()?.expect(200)?.body, b"def");
    server.stop()
}
