//! Streams that everyone may read.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::token;
use ureq::http::Method;

use super::{SECRET, check_refusal, shared, with, writer};
use crate::JSON;

#[test]
fn a_public_stream_is_read_by_everyone_for_its_life() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str| {
        let target = format!("/v1/stream/p/news{query}");
        let call = writer
            .call(Method::PUT, &target)
            .header("content-type", JSON);
        call.send()
    };
    let stream = Stream::named(&writer, "p/news", JSON);
    let anyone = stream.on(&client);
    put("?public=yes")?.expect(400)?;
    anyone.get("-1").send()?.expect(401)?;
    put("?public=true")?.expect(201)?;
    put("?public=true")?.expect(200)?;
    put("")?.expect(409)?;
    stream.append("1")?;

    let bad = anyone.get("-1").header("authorization", "Bearer garbage");
    for read in [anyone.get("-1"), bad] {
        let page = read.send()?.expect(200)?;
        assert_eq!(page.text(), "[1]");
        let caching = page.header("cache-control").context("no Cache-Control")?;
        assert!(caching.starts_with("public, "), "{caching}");
    }
    anyone.head()?.expect(200)?;
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        check_refusal("a change", &anyone.call(method).send()?, 401)?;
    }
    Stream::named(&client, "p/news/below", JSON)
        .head()?
        .expect(401)?;

    // A stream that takes its place is another one, and private unless it says otherwise.
    stream.call(Method::DELETE).send()?.expect(204)?;
    anyone.get("-1").send()?.expect(401)?;
    put("")?.expect(201)?;
    put("?public=true")?.expect(409)?;
    anyone.get("-1").send()?.expect(401)?;
    stream.head()?.expect(200)?;
    Ok(())
}

#[test]
fn a_private_stream_in_the_place_of_an_expired_public_one_is_private() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str, ttl: &str| {
        let target = format!("/v1/stream/p/fleeting{query}");
        let call = writer
            .call(Method::PUT, &target)
            .header("content-type", JSON);
        call.header("stream-ttl", ttl).send()
    };
    let anyone = Stream::named(&client, "p/fleeting", JSON);
    put("?public=true", "1")?.expect(201)?;
    anyone.head()?.expect(200)?;
    sleep(Duration::from_millis(1500));
    // It is still registered: nothing has told the registry of its end.
    anyone.head()?.expect(401)?;
    put("", "60")?.expect(201)?;
    anyone.get("-1").send()?.expect(401)?;
    anyone.head()?.expect(401)?;
    Ok(())
}

#[test]
fn everyone_reads_in_a_public_project() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(
        &with(&client, &token(SECRET, "open", "write")),
        "open/s",
        JSON,
    )?;
    stream.append("1")?;
    let anyone = stream.on(&client);
    let page = anyone.get("-1").send()?.expect(200)?;
    assert_eq!(page.text(), "[1]");
    assert_eq!(
        page.header("cache-control"),
        Some("public, max-age=60, stale-while-revalidate=300")
    );
    anyone.post().send_bytes(b"1")?.expect(401)?;
    anyone.call(Method::DELETE).send()?.expect(401)?;
    Ok(())
}

#[test]
fn everyone_follows_a_public_stream_and_nobody_the_private_one_after_it() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str| {
        let target = format!("/v1/stream/p/ticker{query}");
        let call = writer.call(Method::PUT, &target);
        let call = call.header("content-type", JSON).header("stream-ttl", "1");
        call.header("stream-closed", "true").send_bytes(b"1")
    };
    let live = |mode: &str| {
        let target = format!("/v1/stream/p/ticker?offset=-1&live={mode}");
        client.call(Method::GET, &target).send()
    };
    put("?public=true")?.expect(201)?;
    let events = live("sse")?.expect(200)?.text();
    assert!(events.starts_with("event: data\n"), "{events}");
    assert_eq!(live("long-poll")?.expect(200)?.text(), "[1]");
    sleep(Duration::from_millis(1500));
    put("")?.expect(201)?;
    live("sse")?.expect(401)?;
    live("long-poll")?.expect(401)?;
    Ok(())
}
