//! A worker with an answer of its own to who may do what.

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::say;
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use serde_json::Value;
use ureq::http::Method;

use crate::JSON;

const SUBSCRIPTION: &[u8] =
    br#"{"type": "webhook", "pattern": "*", "webhook": {"url": "https://worker.example/hooks"}}"#;

#[test]
fn a_key_in_kv_can_decide_instead() -> Result<()> {
    let state = Scratch::new("api-keys-state")?;
    let setup = Setup {
        vars: &[("SSE_TIMEOUT_MS", "120000")],
        entries: vec![
            ("api-keys/k1", "mine/".to_owned()),
            ("api-keys/k3", "theirs/".to_owned()),
        ],
        ..Setup::default()
    };
    let mut server = Server::set_up(&Worker::with(Auth::ApiKeys)?, &state, &setup)?;
    let client = &server.client().clone();
    let with_key = |key: &str| client.clone().with_header("x-api-key", key.to_owned());
    let stream = Stream::create(&with_key("k1"), "mine/s", JSON)?;
    stream.append("1")?;
    assert_eq!(
        stream.on(client).get("-1").send()?.expect(200)?.text(),
        "[1]"
    );
    for (client, status) in [(client.clone(), 401), (with_key("k2"), 401)] {
        let refused = stream.on(&client).post().send_bytes(b"1")?.expect(status)?;
        assert_eq!(refused.refusal()?.code, "unauthorized");
        assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    }
    let elsewhere = Stream::named(&with_key("k1"), "yours/s", JSON);
    elsewhere.put().send()?.expect(403)?;
    // A panic takes its request with it, and neither the worker nor the object in its isolate.
    for round in 2..4 {
        let panics = stream.on(&with_key("panic"));
        panics.post().send_bytes(b"0")?.expect(500)?;
        stream.append(round.to_string())?;
    }
    assert!(server.log()?.contains("as asked"), "{}", server.log()?);
    assert_eq!(stream.read()?.messages()?, [1, 2, 3]);

    // A fork reads its source.
    let secret = Stream::create(&with_key("k3"), "theirs/secret", JSON)?;
    secret.append("42")?;
    secret.on(&with_key("k1")).get("-1").send()?.expect(403)?;
    let own = Stream::create(&with_key("k1"), "mine/secret", JSON)?;
    let fork = |source: &str| {
        let fork = Stream::named(&with_key("k1"), "mine/fork", JSON);
        let made = fork.put().header("stream-forked-from", source).send()?;
        anyhow::Ok((made.status, fork.head()?.status))
    };
    for theirs in [
        "/v1/stream/theirs/secret",
        "/v1/streams/theirs/secret",
        "/v1/stream/theirs%2Fsecret",
        "/v1/stream/theirs/absent/secret",
    ] {
        assert_eq!(fork(theirs)?, (403, 404), "{theirs}");
    }
    assert_eq!(fork(own.path())?, (201, 200));

    // So do roots, where the worker says who may ask what of them.
    let ask = |client: &Client, method: Method, target: &str, status: u16| {
        let target = format!("/v1/stream/{target}");
        let sent = client.call(method, &target).send_bytes(SUBSCRIPTION);
        sent?.expect(status)
    };
    let subscription = "mine/__ds/subscriptions/mails";
    ask(client, Method::PUT, subscription, 401)?;
    ask(&with_key("k3"), Method::PUT, subscription, 403)?;
    ask(&with_key("k1"), Method::PUT, subscription, 201)?;
    ask(client, Method::GET, subscription, 401)?;
    let listed = ask(&with_key("k1"), Method::GET, "mine/__ds/streams", 200)?;
    let listed: Value = serde_json::from_str(&listed.text())?;
    assert_eq!(listed["streams"][0]["path"], "fork", "{listed}");
    // A key for some of all streams is none for all of them.
    ask(&with_key("k1"), Method::GET, "__ds/streams", 403)?;
    // Those come without keys.
    ask(client, Method::GET, "mine/__ds/jwks.json", 200)?;
    let target = format!("{subscription}/callback");
    let refused = ask(client, Method::POST, &target, 401)?;
    assert!(
        refused.text().contains("TOKEN_INVALID"),
        "{}",
        refused.text()
    );

    // A live read is asked about again, as often as the worker wants to be.
    let start = Instant::now();
    let target = format!("{}?offset=-1&live=sse", secret.path());
    let reader = {
        let client = with_key("k3");
        spawn(move || client.call(Method::GET, &target).send())
    };
    sleep(Duration::from_secs(2));
    server.register("api-keys/k3", None)?;
    let answer = reader
        .join()
        .map_err(|_| anyhow!("it panicked"))??
        .expect(200)?;
    let took = start.elapsed();
    say(&format!(
        "a reader whose key was removed was let go after {took:.1?}"
    ));
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(answer.text().contains("42"), "{}", answer.text());
    server.stop()
}
