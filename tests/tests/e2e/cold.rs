//! Streams of which most lies in the bucket: written, read, deleted, and in trouble.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use durable_streams_tests::storage::{self, Object};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::{BYTES, JSON};

/// Data moves after four messages, and several segments make an answer.
const SMALL: &[(&str, &str)] = &[
    ("SEGMENT_MAX_MESSAGES", "4"),
    ("READ_MAX_BYTES", "300"),
    ("DEBUG_TIMING", "1"),
];

/// The objects of a stream, once they hold `count` messages or bytes.
fn objects(state: &Path, name: &str, count: u64) -> Result<Vec<Object>> {
    let prefix = format!("streams/{name}/");
    let mut found = Vec::new();
    wait_until("data has moved to the bucket", || {
        // Files that are copied while they change may make no sense for a moment.
        let Ok(objects) = storage::objects(state, &prefix) else {
            return Ok(false);
        };
        found = current(objects);
        let end = found.last().map(range);
        Ok(end.transpose()?.is_some_and(|(_, end)| end >= count))
    })?;
    Ok(found)
}

/// Without those that were merged into others and are kept for readers in flight.
fn current(objects: Vec<Object>) -> Vec<Object> {
    let ranges: Vec<_> = objects.iter().filter_map(|o| range(o).ok()).collect();
    let is_inside = |(start, end): (u64, u64)| {
        let mut others = ranges.iter().filter(|other| **other != (start, end));
        others.any(|other| other.0 <= start && end <= other.1)
    };
    let is_current = |object: &Object| range(object).is_ok_and(|range| !is_inside(range));
    objects.into_iter().filter(is_current).collect()
}

/// The first position in an object and the one behind its last, as its key says.
fn range(object: &Object) -> Result<(u64, u64)> {
    let (_, range) = object.key.rsplit_once('/').context("no slash in a key")?;
    let (start, end) = range.split_once('-').context("no range in a key")?;
    ensure!(start.len() == 16 && end.len() == 16, "{}", object.key);
    Ok((start.parse()?, end.parse()?))
}

fn offset(position: u64) -> String {
    format!("{:016}_{position:016}_0000", 0)
}

#[test]
fn objects_are_plain_data_that_anyone_can_read() -> Result<()> {
    let state = Scratch::new("plain-state")?;
    let server = Server::start(&state, SMALL)?;
    let stream = Stream::create(server.client(), "a/plain%20%C3%A9", JSON)?;
    let mut expected = Vec::new();
    for n in 0..42_u64 {
        let message =
            json!({ "n": n, "text": "line\nbreak, and \"quotes\"", "é": [1, { "a": null }] });
        stream.append(serde_json::to_vec_pretty(&message)?)?;
        expected.push(message);
    }
    let objects = objects(state.path(), "a/plain é", 40)?;
    let mut found = Vec::new();
    for object in &objects {
        assert_eq!(object.content_type, JSON);
        let messages: Vec<Value> = serde_json::from_slice(&object.body)?;
        let (start, end) = range(object)?;
        assert_eq!(start, found.len() as u64, "{}", object.key);
        assert_eq!(end - start, messages.len() as u64);
        let lines = std::str::from_utf8(&object.body)?.lines();
        assert_eq!(lines.count(), messages.len(), "one message a line");
        found.extend(messages);
    }
    assert_eq!(found[..], expected[..found.len()]);
    assert_eq!(stream.read()?.messages()?, expected);

    let stream = Stream::create(server.client(), "bytes", BYTES)?;
    let mut expected = Vec::new();
    for n in 0..42_u8 {
        stream.append([n, 0, 255, b'\n'])?;
        expected.extend([n, 0, 255, b'\n']);
    }
    let objects = self::objects(state.path(), "bytes", 160)?;
    assert!(objects.iter().all(|object| object.content_type == BYTES));
    let bodies: Vec<_> = objects.into_iter().map(|object| object.body).collect();
    assert_eq!(bodies.concat(), expected[..bodies.concat().len()]);
    assert_eq!(stream.read()?.pages.concat(), expected);
    server.stop()
}

#[test]
fn reads_may_start_and_end_anywhere() -> Result<()> {
    let state = Scratch::new("anywhere-state")?;
    let server = Server::start(&state, SMALL)?;
    let stream = Stream::create(server.client(), "anywhere", JSON)?;
    let mut expected: Vec<Value> = Vec::new();
    let mut append = |stream: &Stream, count: usize| -> Result<Vec<Value>> {
        // Some are longer than the marks of a segment are apart.
        let length = |n: usize| if n % 17 == 3 { 9000 } else { n % 60 };
        let batch = (0..count).map(|n| json!({ "n": n, "x": "x".repeat(length(n)) }));
        let batch: Vec<Value> = batch.collect();
        stream.append(serde_json::to_vec(&batch)?)?;
        expected.extend(batch);
        Ok(expected.clone())
    };
    let mut all = Vec::new();
    for count in [1, 50, 3, 3, 3, 7, 1, 1, 1, 1, 90, 1, 1, 2] {
        all = append(&stream, count)?;
    }
    objects(state.path(), "anywhere", all.len() as u64 - 3)?;
    assert_eq!(stream.read()?.messages()?, all);
    for start in 0..=all.len() {
        let page = stream.get(&offset(start as u64)).send()?.expect(200)?;
        let messages: Vec<Value> = serde_json::from_slice(&page.body)?;
        let end = start + messages.len();
        assert_eq!(messages[..], all[start..end], "from {start}");
        let next = page.header("stream-next-offset");
        assert_eq!(next, Some(&*offset(end as u64)));
        assert_eq!(
            page.header("content-length"),
            Some(&*page.body.len().to_string())
        );
        assert_eq!(
            page.header("ds-cold"),
            None,
            "a header between object and edge"
        );
        assert!(start == all.len() || end > start);
        let etag = page.header("etag").context("no ETag")?;
        let again = stream
            .get(&offset(start as u64))
            .header("if-none-match", etag);
        again.send()?.expect(304)?;
    }
    server.stop()
}

#[test]
fn a_stream_that_is_gone_leaves_no_objects_and_never_comes_back() -> Result<()> {
    let state = Scratch::new("gone-state")?;
    let server = Server::start(&state, SMALL)?;
    let of = |name: &str| storage::objects(state.path(), &format!("streams/{name}/"));
    let are_gone = |name: &str| {
        wait_until("the objects are gone", || {
            Ok(of(name).is_ok_and(|objects| objects.is_empty()))
        })
    };

    let deleted = Stream::create(server.client(), "deleted", JSON)?;
    deleted.append("[1,2,3,4,5,6,7,8]")?;
    objects(state.path(), "deleted", 8)?;
    deleted.call(Method::DELETE).send()?.expect(204)?;
    deleted.get(START).send()?.expect(404)?;
    are_gone("deleted")?;

    // Nobody asks for it any more, so only the alarm can have done it.
    let expired = Stream::named(server.client(), "expired", JSON);
    let put = expired.put().header("stream-ttl", "2");
    put.send_bytes(b"[1,2,3,4,5]")?.expect(201)?;
    objects(state.path(), "expired", 5)?;
    are_gone("expired")?;

    // What comes next under the same path has nothing to do with it.
    let stream = Stream::create(server.client(), "again", JSON)?;
    for life in 0..5 {
        stream.append(serde_json::to_vec(&vec![life; 9])?)?;
        stream.append("\"hot\"")?;
        stream.call(Method::DELETE).send()?.expect(204)?;
        stream.put().send()?.expect(201)?;
        assert!(stream.read()?.messages()?.is_empty());
    }
    stream.append("[1,2,3,4]")?;
    wait_until("only the last one has an object", || {
        let all = of("again").unwrap_or_default();
        Ok(all.len() == 1 && all[0].body == b"[1,\n2,\n3,\n4]")
    })?;
    assert_eq!(stream.read()?.messages()?, [1, 2, 3, 4]);
    server.stop()
}

#[test]
fn a_deletion_spares_streams_whose_paths_begin_alike() -> Result<()> {
    let state = Scratch::new("alike-state")?;
    let server = Server::start(&state, SMALL)?;
    let short = Stream::create(server.client(), "short", JSON)?;
    short.append("[1,2,3,4]")?;
    let object = &objects(state.path(), "short", 4)?[0];
    // The whole prefix of the other one's objects is the start of this one's path.
    let incarnation = object.key.split('/').nth(2).context("no incarnation")?;
    let name = format!("short/{incarnation}");
    let long = Stream::create(server.client(), &name, JSON)?;
    long.append("[5,6,7,8]")?;
    objects(state.path(), &name, 4)?;
    short.call(Method::DELETE).send()?.expect(204)?;
    wait_until("the object is gone", || {
        let left = storage::objects(state.path(), "streams/short/").unwrap_or_default();
        Ok(left.len() == 1)
    })?;
    assert_eq!(long.read()?.messages()?, [5, 6, 7, 8]);
    server.stop()
}

#[test]
fn a_sequence_goes_on_when_all_is_cold() -> Result<()> {
    let state = Scratch::new("all-cold-state")?;
    let server = Server::start(&state, &[("SEGMENT_MAX_MESSAGES", "1")])?;
    let stream = Stream::create(server.client(), "all-cold", JSON)?;
    stream.append_in_order("b")?.expect(204)?;
    objects(state.path(), "all-cold", 1)?;
    server.stop()?;
    let server = Server::start(&state, &[("SEGMENT_MAX_MESSAGES", "1")])?;
    let stream = stream.on(server.client());
    stream.append_in_order("a")?.expect(409)?;
    let next = stream.append_in_order("c")?.expect(204)?;
    assert_eq!(next.header("stream-next-offset"), Some(&*offset(2)));
    assert_eq!(stream.read()?.messages()?, [1, 1]);
    server.stop()
}

#[test]
fn moving_data_costs_a_twentieth_of_a_row_a_message() -> Result<()> {
    const APPENDS: u64 = 8000;
    let state = Scratch::new("moving-state")?;
    let server = Server::start(&state, &[("DEBUG_TIMING", "1")])?;
    let stream = Stream::create(server.client(), "moving", JSON)?;
    // About 100 bytes.
    let message = json!({ "op": "insert", "id": 123_456_789, "text": "x".repeat(60) }).to_string();
    let mut written = 0;
    for _ in 0..APPENDS {
        written += stream.append(&message)?.count("rows_written")?;
    }
    objects(state.path(), "moving", APPENDS - 999)?;
    written += stream.append(&message)?.count("maintenance_rows_written")?;
    let each = written as f64 / APPENDS as f64;
    durable_streams_tests::say(&format!("{each:.4} rows written a message"));
    assert!(written > APPENDS, "nothing was written to move data");
    assert!(each <= 1.05, "{each} rows written a message");
    server.stop()
}
