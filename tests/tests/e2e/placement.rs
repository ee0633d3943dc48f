//! Where streams are, and that nothing is anywhere of one that nobody has created.

use std::fs;
use std::path::Path;

use anyhow::Result;
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::storage;
use durable_streams_tests::stream::{START, Stream};
use ureq::http::Method;

use crate::JSON;

const IN_EUROPE: Vars<'static> = &[("JURISDICTION", "eu"), ("LOCATION_HINT", "weur")];

/// A fork, its source and what both are asked; in the end neither is there.
fn live_and_die(client: &Client) -> Result<()> {
    let source = Stream::create(client, "placed/source", JSON)?;
    source.append("[1]")?;
    let fork = Stream::named(client, "placed/fork", JSON);
    let put = fork
        .call(Method::PUT)
        .header("stream-forked-from", source.path());
    put.send()?.expect(201)?;
    fork.append("[2]")?;
    assert_eq!(fork.read()?.messages()?, [1, 2]);
    let news = fork.get(&format!("{START}&live=long-poll"));
    news.send()?.expect(200)?;
    fork.call(Method::DELETE).send()?.expect(204)?;
    source.call(Method::DELETE).send()?.expect(204)?;
    source.head()?.expect(404).map(drop)
}

#[test]
fn where_no_jurisdictions_are_known_streams_are_where_they_always_were() -> Result<()> {
    let state = Scratch::new("placed-state")?;
    let server = Server::start(&state, IN_EUROPE)?;
    live_and_die(server.client())?;
    Stream::create(server.client(), "placed/stays", JSON)?;
    server.stop()?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::named(server.client(), "placed/stays", JSON);
    stream.head()?.expect(200)?;
    server.stop()
}

#[test]
fn every_object_is_asked_where_it_is_said_to_be() -> Result<()> {
    for (name, vars, place) in [
        ("placed-eu", IN_EUROPE, "jurisdiction=eu&near=weur"),
        ("placed-near", &IN_EUROPE[1..], "jurisdiction=&near=weur"),
        ("placed-nowhere", &[], "jurisdiction=&near="),
    ] {
        let state = Scratch::new(name)?;
        let setup = Setup {
            vars,
            is_counted: true,
            ..Setup::default()
        };
        let server = Server::set_up(&Worker::with(Auth::None)?, &state, &setup)?;
        live_and_die(server.client())?;
        let calls = server.calls()?;
        let places: Vec<_> = calls.places.keys().collect();
        assert_eq!(places, [place]);
        // Those of the edge, and of a fork and its source to each other.
        assert!(calls.object_requests >= 10, "{calls:?}");
        server.stop()?;
    }
    Ok(())
}

#[test]
fn a_place_that_is_none_is_not_guessed() -> Result<()> {
    for (name, value) in [("JURISDICTION", "europe"), ("LOCATION_HINT", "paris")] {
        let state = Scratch::new("placed-wrong")?;
        let server = Server::start(&state, &[(name, value)])?;
        let stream = Stream::named(server.client(), "placed/wrong", JSON);
        for answer in [stream.put().send()?, stream.get("-1").send()?] {
            assert_eq!(answer.expect(500)?.refusal()?.code, "misconfigured");
        }
        let log = server.log()?;
        assert!(log.contains(&format!("{name} is \"{value}\"")), "{log}");
        server.stop()?;
    }
    Ok(())
}

/// A page of SQLite: workerd makes a file of it for each object that is asked for anything, whatever
/// that object does.
const EMPTY: u64 = 4096;

/// The databases of objects below a server's state, and their logs, with their lengths.
fn databases(state: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(state.join("do/streams-StreamDO"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The alarms of all objects are in one file; an index into the log is no data.
        if !name.starts_with("metadata.sqlite") && !name.ends_with("-shm") {
            files.push((name, entry.metadata()?.len()));
        }
    }
    Ok(files)
}

#[test]
fn who_asks_for_streams_that_are_not_there_leaves_nothing() -> Result<()> {
    let state = Scratch::new("missing-state")?;
    let server = Server::start(&state, &[])?;
    let client = server.client();
    for n in 0..50 {
        let stream = Stream::named(client, &format!("missing/{n}"), JSON);
        stream.get(START).send()?.expect(404)?;
        stream.head()?.expect(404)?;
        stream.post().send_bytes(b"1")?.expect(404)?;
        stream.call(Method::DELETE).send()?.expect(404)?;
        for live in ["long-poll", "sse"] {
            let query = format!("-1&live={live}");
            stream.get(&query).send()?.expect(404)?;
        }
        let ttl = stream.put().header("stream-ttl", "soon");
        ttl.send()?.expect(400)?;
        let fork = stream.call(Method::PUT);
        let fork = fork.header("stream-forked-from", format!("/v1/stream/nowhere/{n}"));
        fork.send()?.expect(404)?;
    }
    assert_eq!(storage::tables_and_rows(state.path())?, 0);
    assert_eq!(storage::alarms(state.path())?, 0);
    let left = databases(state.path())?;
    assert!(left.len() >= 50, "{}", left.len());
    for (name, length) in left {
        let untouched = if name.ends_with("-wal") { 0 } else { EMPTY };
        assert_eq!(length, untouched, "{name}");
    }
    server.stop()
}
