//! Live reads, for as long as they are granted.

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::say;
use durable_streams_tests::server::{Kv, Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{now, record, sign, token};
use serde_json::json;
use ureq::http::Method;

use super::{OTHER_SECRET, SECRET, shared, with, writer};
use crate::JSON;

/// A server whose live reads end soon by themselves, but not as soon as the tokens of the test.
fn live_server(name: &str) -> Result<(Server, Scratch)> {
    let state = Scratch::new(name)?;
    let setup = Setup {
        vars: &[
            ("SSE_TIMEOUT_MS", "20000"),
            ("LONG_POLL_TIMEOUT_MS", "20000"),
        ],
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    Ok((server, state))
}

#[test]
fn no_live_reader_outlives_its_token() -> Result<()> {
    let (server, _state) = live_server("auth-live")?;
    let client = server.client();
    let stream = Stream::create(&writer(client), "p/live", JSON)?;
    stream.append("1")?;
    for (live, in_url, status) in [
        ("sse", false, 200),
        ("sse", true, 200),
        ("long-poll", false, 204),
    ] {
        let ends = now() + 3;
        let token = sign(SECRET, &json!({ "sub": "p", "scope": "read", "exp": ends }));
        let (client, parameter) = match in_url {
            true => (client.clone(), format!("&token={token}")),
            false => (with(client, &token), String::new()),
        };
        let target = format!("{}?offset=now&live={live}{parameter}", stream.path());
        let start = Instant::now();
        let answer = client.call(Method::GET, &target).send()?.expect(status)?;
        let took = start.elapsed();
        say(&format!(
            "a token of 3 s, {live}, in the URL: {in_url}: ended after {took:.1?}"
        ));
        assert!(now() >= ends, "{live} ended early, after {took:?}");
        assert!(took < Duration::from_secs(6), "{live} took {took:?}");
        if live == "sse" {
            let text = answer.text();
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert!(text.contains("event: control"), "{text}");
        }
    }
    server.stop()
}

#[test]
fn a_token_in_a_url_is_short_lived_and_for_events_only() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&writer(&client), "p/events", JSON)?;
    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    let status = |method: Method, live: &str, scope: &str, lasts: u64| {
        let claims = json!({ "sub": "p", "scope": scope, "exp": now() + lasts });
        let token = sign(SECRET, &claims);
        let target = format!("{}?offset=-1{live}&token={token}", stream.path());
        let call = client.call(method, &target).header("content-type", JSON);
        anyhow::Ok(call.send()?.status)
    };
    assert_eq!(status(Method::GET, "&live=sse", "read", 290)?, 200);
    assert_eq!(status(Method::GET, "&live=sse", "read", 400)?, 403);
    assert_eq!(status(Method::GET, "&live=sse", "write", 60)?, 403);
    assert_eq!(status(Method::GET, "&live=long-poll", "read", 60)?, 401);
    assert_eq!(status(Method::GET, "", "read", 60)?, 401);
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(status(method, "&live=sse", "write", 60)?, 401);
    }
    Ok(())
}

#[test]
fn a_removed_secret_is_without_effect_on_live_reads_within_a_minute() -> Result<()> {
    let state = Scratch::new("auth-removed")?;
    let both = json!({ "signingSecrets": [SECRET, OTHER_SECRET] }).to_string();
    let setup = Setup {
        vars: &[
            ("SSE_TIMEOUT_MS", "70000"),
            ("LONG_POLL_TIMEOUT_MS", "50000"),
        ],
        kv: Kv::Usual,
        entries: vec![("p", both)],
        ..Setup::default()
    };
    let mut server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let client = server.client().clone();
    let stream = Stream::create(&writer(&client), "p/live", JSON)?;
    stream.append("1")?;
    let public = client.call(Method::PUT, "/v1/stream/p/public?public=true");
    let public = public.header("authorization", bearer(SECRET));
    public.header("content-type", JSON).send()?.expect(201)?;
    let follow = |secret: Option<&str>, path: &str, live: &str| {
        let target = format!("/v1/stream/{path}?offset=now&live={live}");
        let call = client.call(Method::GET, &target);
        let call = match secret {
            Some(secret) => call.header("authorization", bearer(secret)),
            None => call,
        };
        spawn(move || {
            let start = Instant::now();
            call.send().map(|answer| (answer, start.elapsed()))
        })
    };
    let start = Instant::now();
    let readers = [
        follow(Some(OTHER_SECRET), "p/live", "sse"),
        follow(Some(OTHER_SECRET), "p/live", "long-poll"),
        follow(None, "p/public", "sse"),
    ];
    let stays = follow(Some(SECRET), "p/live", "sse");
    sleep(Duration::from_secs(1));
    server.register("p", Some(&record(SECRET)))?;
    // What was announced is taken back as well.
    server.register("p/public", None)?;
    let removed = Instant::now();
    let mut seen = Vec::new();
    for reader in readers {
        let (answer, took) = reader.join().map_err(|_| anyhow!("it panicked"))??;
        seen.push((answer.status, took.as_secs()));
        if answer.header("content-type") == Some("text/event-stream") {
            let text = answer.text();
            assert!(text.ends_with("\n\n"), "cut within an event: {text:?}");
            let latest = removed.duration_since(start) + Duration::from_secs(60);
            ensure!(took < latest, "let go after {took:?}");
        }
    }
    say(&format!(
        "status and seconds of readers whose secret was removed: {seen:?}"
    ));
    assert_eq!(
        seen.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        [200, 401, 200]
    );
    let (answer, took) = stays.join().map_err(|_| anyhow!("it panicked"))??;
    assert_eq!(answer.status, 200);
    ensure!(
        took >= Duration::from_secs(69),
        "the other one ended after {took:?}"
    );
    server.stop()
}

fn bearer(secret: &str) -> String {
    format!("Bearer {}", token(secret, "p", "write"))
}
