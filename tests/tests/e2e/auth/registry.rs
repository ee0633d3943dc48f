//! What the registry costs, and what becomes of requests without it.

use std::time::Instant;

use anyhow::Result;
use durable_streams_tests::say;
use durable_streams_tests::server::Kv;
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::token;
use ureq::http::Method;

use super::{SECRET, server, shared, with, writer};
use crate::JSON;

#[test]
fn a_busy_project_costs_no_kv_read_per_request() -> Result<()> {
    let (server, _state) = server("auth-kv", Kv::Counted)?;
    let client = writer(server.client());
    let stream = Stream::create(&client, "p/busy", JSON)?;
    let reader = stream.on(&with(server.client(), &token(SECRET, "p", "read")));
    let before = server.calls()?;
    assert_eq!((before.kv_reads, before.kv_writes), (1, 0));
    let start = Instant::now();
    for _ in 0..500 {
        stream.append("1")?;
        reader.get(START).send()?.expect(200)?;
    }
    let took = start.elapsed();
    let after = server.calls()?;
    say(&format!(
        "1000 requests in {took:.1?}: {} KV reads",
        after.kv_reads - before.kv_reads
    ));
    // One for each quarter of a minute that begins.
    let most = u32::try_from(took.as_secs() / 15 + 1)?;
    assert!(after.kv_reads - before.kv_reads <= most, "{after:?}");
    assert_eq!(after.kv_writes, 0);

    for at in 0..100 {
        Stream::create(&client, &format!("p/private-{at}"), JSON)?;
    }
    assert_eq!(server.calls()?.kv_writes, 0, "private streams");
    let public = client.call(Method::PUT, "/v1/stream/p/public?public=true");
    public.send()?.expect(201)?;
    assert_eq!(server.calls()?.kv_writes, 1, "a public stream");
    server.stop()
}

#[test]
fn public_streams_come_and_go_as_fast_as_anyone_wants() -> Result<()> {
    let (server, _state) = server("auth-kv-busy", Kv::Busy)?;
    let client = writer(server.client());
    let path = "/v1/stream/p/hasty";
    let anyone = || server.client().call(Method::GET, path).send();
    for _ in 0..2 {
        let public = client.call(Method::PUT, "/v1/stream/p/hasty?public=true");
        public.send()?.expect(201)?;
        anyone()?.expect(200)?;
        client.call(Method::DELETE, path).send()?.expect(204)?;
        anyone()?.expect(401)?;
    }
    server.stop()
}

#[test]
fn reads_without_a_token_ask_kv_only_now_and_then() -> Result<()> {
    let (server, _state) = server("auth-kv-anyone", Kv::Counted)?;
    let client = writer(server.client());
    client
        .call(Method::PUT, "/v1/stream/p/public?public=true")
        .send()?
        .expect(201)?;
    let before = server.calls()?.kv_reads;
    let start = Instant::now();
    for _ in 0..100 {
        for (stream, status) in [("public", 200), ("private", 401)] {
            let path = format!("/v1/stream/p/{stream}");
            server
                .client()
                .call(Method::GET, &path)
                .send()?
                .expect(status)?;
        }
    }
    // A miss is looked up again after five seconds.
    let most = u32::try_from(start.elapsed().as_secs() / 5 + 2)?;
    let reads = server.calls()?.kv_reads - before;
    say(&format!("200 reads without a token: {reads} KV reads"));
    assert!(reads <= most, "{reads}");
    server.stop()
}

#[test]
fn a_registry_that_does_not_answer_is_503_and_a_missing_one_500() -> Result<()> {
    for (kv, status, code, log) in [
        (
            Kv::Failing,
            503,
            "registry_unavailable",
            "KV is out of order",
        ),
        (
            Kv::Silent,
            503,
            "registry_unavailable",
            "no answer from KV within 5 s",
        ),
        (
            Kv::Missing,
            500,
            "misconfigured",
            "the KV binding REGISTRY is missing",
        ),
    ] {
        let (server, _state) = server("auth-kv-broken", kv)?;
        let stream = Stream::named(&writer(server.client()), "p/s", JSON);
        let answers = [
            stream.put().send()?.expect(status)?,
            stream.get("-1").send()?.expect(status)?,
        ];
        for answer in &answers {
            assert_eq!(answer.refusal()?.code, code);
        }
        // Nobody has to be asked about a request without a token that changes something.
        stream.on(server.client()).put().send()?.expect(401)?;
        let found = server.log()?;
        assert!(found.contains(log), "{found}");
        server.stop()?;
    }
    let broken = token(SECRET, "broken", "read");
    let answer = with(&shared()?, &broken)
        .call(Method::GET, "/v1/stream/broken/s")
        .send()?;
    let message = answer.expect(500)?.refusal()?.message;
    assert!(!message.contains("broken"), "{message}");
    Ok(())
}
