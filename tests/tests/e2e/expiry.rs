//! Streams that end by themselves, and what stays of a stream that is gone.

use std::path::Path;

use anyhow::Result;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{storage, wait_until};
use ureq::http::Method;

use crate::{JSON, shared};

fn expired(stream: &Stream) -> Result<()> {
    // Looking at the metadata does not prolong a stream's life; reading it would.
    wait_until("the stream is gone", || Ok(stream.head()?.status == 404))
}

#[test]
fn a_stream_is_gone_after_its_lifetime_and_can_be_made_anew() -> Result<()> {
    let stream = Stream::named(&shared()?, "expiry/ttl", JSON);
    let put = || stream.put().header("stream-ttl", "1");
    put().send_bytes(b"1")?.expect(201)?;
    expired(&stream)?;
    stream.get("-1").send()?.expect(404)?;
    stream.post().send_bytes(b"2")?.expect(404)?;
    stream.call(Method::DELETE).send()?.expect(404)?;
    stream.put().send_bytes(b"3")?.expect(201)?;
    assert_eq!(stream.read()?.messages()?, [3]);
    Ok(())
}

#[test]
fn a_date_in_the_past_is_over_at_once() -> Result<()> {
    let stream = Stream::named(&shared()?, "expiry/past", JSON);
    let past = stream
        .put()
        .header("stream-expires-at", "2020-01-01T00:00:00Z");
    past.send_bytes(b"1")?.expect(201)?;
    stream.head()?.expect(404)?;
    stream.get("-1").send()?.expect(404)?;
    stream.put().send()?.expect(201)?;
    assert!(stream.read()?.messages()?.is_empty());
    Ok(())
}

#[test]
fn an_alarm_removes_what_nobody_asks_for_any_more() -> Result<()> {
    let state = Scratch::new("alarm-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::named(server.client(), "forgotten", JSON);
    stream
        .put()
        .header("stream-ttl", "1")
        .send_bytes(b"[1,2,3]")?
        .expect(201)?;
    // Nobody asks, so only the alarm can have done it.
    holds_data(state.path(), false)?;
    server.stop()
}

#[test]
fn a_deleted_stream_leaves_nothing_in_storage() -> Result<()> {
    let state = Scratch::new("deletion-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::create(server.client(), "deleted", JSON)?;
    stream
        .post_as("p", 0, 0)
        .send_bytes(b"[1,2,3]")?
        .expect(200)?;
    holds_data(state.path(), true)?;
    stream.call(Method::DELETE).send()?.expect(204)?;
    holds_data(state.path(), false)?;
    server.stop()
}

#[test]
fn what_was_refused_left_nothing_in_storage() -> Result<()> {
    let state = Scratch::new("refusal-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::named(server.client(), "refused", JSON);
    stream.put().send_bytes(b"{")?.expect(400)?;
    stream
        .put()
        .header("stream-ttl", "x")
        .send_bytes(b"1")?
        .expect(400)?;
    stream.post().send_bytes(b"1")?.expect(404)?;
    stream.post_as("p", 0, 0).send_bytes(b"1")?.expect(404)?;
    stream.get("-1").send()?.expect(404)?;
    stream.head()?.expect(404)?;
    stream.call(Method::DELETE).send()?.expect(404)?;
    assert_eq!(storage::tables_and_rows(state.path())?, 0);
    // The same look at the same files does find what is there.
    stream.put().send()?.expect(201)?;
    holds_data(state.path(), true)?;
    server.stop()
}

fn holds_data(state: &Path, some: bool) -> Result<()> {
    let what = if some {
        "there is data"
    } else {
        "no data is left"
    };
    wait_until(what, || {
        // Files that are copied while they change may make no sense for a moment.
        Ok(storage::tables_and_rows(state).is_ok_and(|count| (count > 0) == some))
    })
}
