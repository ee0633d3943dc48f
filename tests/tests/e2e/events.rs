//! Readers of events get whole events, however much comes at once and however slowly they read, and
//! nothing of a stream that came after theirs.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use durable_streams_tests::events::Events;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{now, record, token};
use rusqlite::Connection;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::{BYTES, JSON, shared};

const MEGABYTE: usize = 1_000_000;

/// Readers at the tail of a stream that were told so.
fn at_the_tail(stream: &Stream, count: usize) -> Result<Vec<Events>> {
    let readers = (0..count).map(|_| {
        let mut reader = Events::connect(&shared()?, stream.path(), "now")?;
        assert!(reader.to_tail()?.is_empty());
        Ok(reader)
    });
    readers.collect()
}

#[test]
fn an_append_of_any_size_reaches_every_reader_in_whole_events() -> Result<()> {
    let strings: Vec<Value> = (0..5)
        .map(|n| json!(n.to_string().repeat(MEGABYTE)))
        .collect();
    let zeros = vec![json!(0); 700_000];
    for (name, messages) in [("strings", strings), ("zeros", zeros)] {
        let stream = Stream::create(&shared()?, &format!("events/{name}"), JSON)?;
        let mut readers = at_the_tail(&stream, 3)?;
        stream.append(serde_json::to_vec(&messages)?)?;
        for (at, reader) in readers.iter_mut().enumerate() {
            let got = reader.messages(messages.len());
            let got = got.with_context(|| format!("{name}, reader {at}"))?;
            assert!(got == messages, "{name}, reader {at}: {} came", got.len());
        }
        stream.append("7")?;
        for (at, reader) in readers.iter_mut().enumerate() {
            assert_eq!(reader.messages(1)?, [7], "{name}, reader {at}");
        }
    }
    let stream = Stream::create(&shared()?, "events/bytes", BYTES)?;
    let mut readers = at_the_tail(&stream, 3)?;
    let bytes: Vec<u8> = (0..5 * MEGABYTE).map(|n| (n % 251) as u8).collect();
    for appended in [&bytes[..], b"more"] {
        stream.append(appended)?;
        for (at, reader) in readers.iter_mut().enumerate() {
            let got = reader.bytes(appended.len());
            let got = got.with_context(|| format!("bytes, reader {at}"))?;
            assert!(got == appended, "bytes, reader {at}: {} came", got.len());
        }
    }
    Ok(())
}

#[test]
fn a_reader_that_lags_gets_everything_in_order() -> Result<()> {
    const COUNT: usize = 60;
    let state = Scratch::new("lagging-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::create(server.client(), "lag", JSON)?;
    let connect = || Events::connect(server.client(), stream.path(), "now");
    let (mut quick, mut slow) = (connect()?, connect()?);
    for reader in [&mut quick, &mut slow] {
        reader.to_tail()?;
    }
    let quick = thread::spawn(move || quick.messages(COUNT));
    let mut got = Vec::new();
    for n in 0..COUNT {
        stream.append(json!({ "n": n, "text": "x".repeat(MEGABYTE) }).to_string())?;
        // For a while it reads an event in ten, and then nothing.
        if n % 10 == 9 && n < COUNT / 2 {
            while got.len() <= n / 10 {
                let event = slow.next_event()?.context("the answer has ended")?;
                if event.name == "data" {
                    got.extend(serde_json::from_str::<Vec<Value>>(&event.data)?);
                }
            }
        }
    }
    got.extend(slow.messages(COUNT - got.len())?);
    let numbers = |messages: &[Value]| -> Vec<Option<u64>> {
        messages
            .iter()
            .map(|message| message["n"].as_u64())
            .collect()
    };
    let all: Vec<Option<u64>> = (0..COUNT as u64).map(Some).collect();
    assert_eq!(numbers(&got), all, "the slow one");
    let quick = quick.join().map_err(|_| anyhow!("a reader panicked"))??;
    assert_eq!(numbers(&quick), all, "the quick one");
    // It is one that follows again.
    stream.append(r#"{"n":99}"#)?;
    assert_eq!(numbers(&slow.messages(1)?), [Some(99)]);
    server.stop()
}

/// Two tests in one, as both wait for the same.
#[test]
fn what_is_held_for_readers_that_take_nothing_is_free_after_their_time() -> Result<()> {
    let state = Scratch::new("still-state")?;
    let vars = [("SSE_TIMEOUT_MS", "1000"), ("MAX_LIVE_READERS", "2")];
    let server = Server::start(&state, &vars)?;
    let stream = Stream::create(server.client(), "still", JSON)?;
    let text = json!("x".repeat(MEGABYTE)).to_string();
    let append = || (0..12).try_for_each(|_| stream.append(&text).map(drop));
    let connect = |offset| Events::connect(server.client(), stream.path(), offset);
    append()?;
    // Two that follow, and take nothing of what comes then.
    let mut still = Vec::new();
    for _ in 0..2 {
        let mut reader = connect("now")?;
        reader.to_tail()?;
        still.push(reader);
    }
    append()?;
    // Many that take nothing while they catch up.
    let workerd = server.workerd()?;
    let mut waiting = Vec::new();
    let mut wave = || -> Result<u64> {
        let (before, _) = workerd.memory()?;
        // Some have to wait for their turn, and are told when their time is over.
        for _ in 0..40 {
            let reader = Events::ask(server.client(), stream.path(), START)?;
            waiting.push(reader);
        }
        sleep(Duration::from_secs(3));
        Ok(workerd.memory()?.0.saturating_sub(before))
    };
    let first = wave()?;
    // What is left of their time, their grace, and a little more.
    sleep(Duration::from_secs(15));
    for _ in 0..2 {
        connect("now")?.to_tail()?;
    }
    let second = wave()?;
    assert!(second < first / 2, "{second} bytes more, after {first}");
    server.stop()
}

#[test]
fn nobody_goes_on_in_a_stream_that_takes_the_place_of_another() -> Result<()> {
    const SECRET: &str = "the secret of the project called p";
    let state = Scratch::new("successor-state")?;
    let setup = Setup {
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let anonymous = server.client().clone();
    let write = format!("Bearer {}", token(SECRET, "p", "write"));
    let owner = anonymous.clone().with_header("authorization", write);
    for round in 0..3 {
        let stream = Stream::named(&owner, &format!("p/news-{round}"), JSON);
        // The end of a second, in full seconds.
        let end = now() + 3;
        let put = owner.call(Method::PUT, &format!("{}?public=true", stream.path()));
        let put = put
            .header("content-type", JSON)
            .header("stream-expires-at", date(end)?);
        put.send()?.expect(201)?;
        let mut reader = Events::connect(&anonymous, stream.path(), "now")?;
        reader.to_tail()?;
        // As soon as it can be, before the object has done anything about its end.
        let waited = Instant::now();
        while stream.put().send()?.status != 201 {
            assert!(
                waited.elapsed() < Duration::from_secs(10),
                "it does not end"
            );
        }
        stream.append(r#""private""#)?;
        let mut seen = Vec::new();
        while let Some(event) = reader.next_event()? {
            assert!(!event.data.contains("private"), "round {round}: {event:?}");
            seen.push(event);
        }
        assert!(seen.iter().all(|event| event.name == "control"), "{seen:?}");
    }
    server.stop()
}

/// A time in seconds since the Unix epoch, as RFC 3339 has it.
pub fn date(seconds: u64) -> Result<String> {
    let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch')";
    let database = Connection::open_in_memory()?;
    Ok(database.query_row(sql, [i64::try_from(seconds)?], |row| row.get(0))?)
}
