//! What stands in a response of events, and how long one lasts whose reader has gone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use durable_streams_tests::events::Events;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::readers::{Mode, Readers};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::wait_until;
use ureq::http::Method;

use crate::{JSON, shared};

const TEXT: &str = "text/plain; charset=utf-8";

/// Reads events until their data together is this text.
fn read_text(reader: &mut Events, expected: &str) -> Result<()> {
    let mut seen = String::new();
    while seen.len() < expected.len() {
        let event = reader.next_event()?;
        let event = event.with_context(|| format!("it ended after {seen:?}"))?;
        if event.name == "data" {
            seen += &event.data;
        }
    }
    assert_eq!(seen, expected);
    Ok(())
}

#[test]
fn characters_and_line_ends_are_whole_however_they_are_appended() -> Result<()> {
    let stream = Stream::create(&shared()?, "sse/splinters", TEXT)?;
    let mut follower = Events::connect(&shared()?, stream.path(), "now")?;
    follower.to_tail()?;
    let whole = "\u{4f60}a\r\nb\r\rc \u{1f600}d\u{e9}";
    for byte in whole.bytes() {
        stream.append([byte])?;
        // Some of the bytes are sent by themselves.
        if byte & 3 == 0 {
            sleep(Duration::from_millis(20));
        }
    }
    let lines = whole.replace("\r\n", "\n").replace('\r', "\n");
    read_text(&mut follower, &lines)?;
    read_text(
        &mut Events::connect(&shared()?, stream.path(), START)?,
        &lines,
    )?;
    // Who comes in the middle of a character has everything before it, and gets it whole.
    stream.append(b"\xf0\x9f")?;
    let mut late = Events::connect(&shared()?, stream.path(), START)?;
    read_text(&mut late, &lines)?;
    let last = late.last_id.clone().context("no id")?;
    let mut later = Events::connect(&shared()?, stream.path(), &last)?;
    let greeting = later.next_event()?.context("no greeting")?;
    assert!(greeting.data.contains("\"upToDate\":true"), "{greeting:?}");
    assert_eq!(greeting.id, Some(last));
    stream.append(b"\x98\x80\r")?;
    for reader in [&mut follower, &mut late, &mut later] {
        read_text(reader, "\u{1f600}")?;
    }
    // What is left of it when the stream is closed is no more than that.
    stream.append(b"\xe4\xbd")?;
    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    for reader in [&mut follower, &mut late, &mut later] {
        read_text(reader, "\n\u{fffd}")?;
        while reader.next_event()?.is_some() {}
    }
    Ok(())
}

#[test]
fn nobody_on_the_way_is_to_hold_events_back() -> Result<()> {
    let stream = Stream::create(&shared()?, "sse/head", JSON)?;
    let reader = Events::connect(&shared()?, stream.path(), START)?;
    for line in [
        "cache-control: no-cache, no-transform",
        "x-accel-buffering: no",
    ] {
        assert!(reader.head().contains(line), "{}", reader.head());
    }
    Ok(())
}

#[test]
fn the_last_event_goes_before_the_offset() -> Result<()> {
    let stream = Stream::create(&shared()?, "sse/last-event", JSON)?;
    stream.append("[0, 1]")?;
    let mut first = Events::connect(&shared()?, stream.path(), START)?.of_json();
    assert_eq!(first.messages(2)?, [0, 1]);
    let last = first.last_id.clone().context("no id")?;
    stream.append("2")?;
    let with = |id: &str| shared().map(|client| client.with_header("last-event-id", id));
    let mut again = Events::connect(&with(&last)?, stream.path(), START)?.of_json();
    assert_eq!(again.messages(1)?, [2]);
    let wrong = with("first")?.call(
        Method::GET,
        &format!("{}?offset=-1&live=sse", stream.path()),
    );
    let wrong = wrong.send()?.expect(400)?;
    assert!(wrong.text().contains("Last-Event-ID"));
    Ok(())
}

#[test]
fn an_idle_reader_hears_heartbeats_that_cost_no_request() -> Result<()> {
    let state = Scratch::new("heartbeat-state")?;
    let setup = Setup {
        vars: &[("SSE_HEARTBEAT_MS", "300")],
        is_counted: true,
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::ours()?, &state, &setup)?;
    let stream = Stream::create(server.client(), "quiet", JSON)?;
    let mut reader = Events::connect(server.client(), stream.path(), "now")?.of_json();
    reader.to_tail()?;
    let before = server.calls()?;
    sleep(Duration::from_secs(2));
    assert_eq!(server.calls()?.object_requests, before.object_requests);
    stream.append("7")?;
    assert_eq!(reader.messages(1)?, [7]);
    let beats = reader.heartbeats;
    assert!((4..=7).contains(&beats), "{beats} heartbeats");
    server.stop()
}

#[test]
fn a_reader_that_hangs_up_makes_room_for_another() -> Result<()> {
    const MOST: usize = 5;
    let state = Scratch::new("hang-up-state")?;
    let vars = [("MAX_LIVE_READERS", "5"), ("SSE_HEARTBEAT_MS", "1000")];
    let server = Server::start(&state, &vars)?;
    for (name, mode) in [("sse", Mode::Sse), ("polls", Mode::LongPoll)] {
        let stream = Stream::create(server.client(), name, JSON)?;
        let connect = || -> Result<bool> {
            let mut readers = Readers::of(server.client())?;
            for _ in 0..MOST {
                readers.add(stream.path(), START, mode)?;
            }
            let settled = Instant::now() + Duration::from_millis(300);
            while Instant::now() < settled {
                readers.read_for(Duration::from_millis(50))?;
            }
            let are_in = readers.all.iter().all(|reader| reader.status != 429);
            match mode {
                Mode::LongPoll => readers.hang_up()?,
                // It is noticed when a heartbeat is written.
                Mode::Sse => drop(readers),
            }
            Ok(are_in)
        };
        for _ in 0..3 {
            let started = Instant::now();
            wait_until("there is room", connect)?;
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(10), "{name}: {waited:?}");
        }
    }
    server.stop()
}
