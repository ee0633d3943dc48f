//! Who may do what with subscriptions and lists, where tokens are needed.

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{record, stream_token, token};
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

const SECRET: &str = "the secret of the project called p";
const OTHER: &str = "the secret of the project called other";

/// What is asked for below the project's root.
type Asked = (Method, &'static str, Value);

fn ask(client: &Client, token: Option<&str>, root: &str, asked: &Asked) -> Result<Response> {
    let (method, path, body) = asked;
    let call = client.call(method.clone(), &format!("/v1/stream/{root}__ds/{path}"));
    let call = match token {
        Some(token) => call.header("authorization", format!("Bearer {token}")),
        None => call,
    };
    match body {
        Value::Null => call.send(),
        body => call.send_bytes(body.to_string().as_bytes()),
    }
}

/// What changes something and has to be refused to all but writers.
fn changes() -> [Asked; 7] {
    let config = json!({ "type": "pull-wake", "streams": ["a"], "wake_stream": "w" });
    [
        (Method::PUT, "subscriptions/s", config),
        (
            Method::POST,
            "subscriptions/s/streams",
            json!({ "streams": ["b"] }),
        ),
        (
            Method::POST,
            "subscriptions/s/claim",
            json!({ "worker": "w" }),
        ),
        (Method::POST, "subscriptions/s/retry", Value::Null),
        (Method::POST, "keys/rotate", json!({})),
        (Method::DELETE, "subscriptions/s/streams/b", Value::Null),
        (Method::DELETE, "subscriptions/s", Value::Null),
    ]
}

/// What only looks.
fn looks() -> [Asked; 3] {
    [
        (Method::GET, "subscriptions", Value::Null),
        (Method::GET, "subscriptions/s", Value::Null),
        (Method::GET, "streams", Value::Null),
    ]
}

fn paths(answer: &Response) -> Result<Vec<String>> {
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let streams = answer["streams"].as_array().context("no streams")?;
    let paths = streams.iter().map(|stream| stream["path"].as_str());
    let paths: Option<Vec<_>> = paths.map(|path| path.map(str::to_owned)).collect();
    paths.context("a stream without a path")
}

#[test]
fn each_route_is_for_those_whose_token_says_so() -> Result<()> {
    let state = Scratch::new("subscriptions-access")?;
    let setup = Setup {
        vars: &[("DEV", "1")],
        entries: vec![("p", record(SECRET)), ("other", record(OTHER))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let client = server.client();
    let writer = token(SECRET, "p", "write");
    let reader = token(SECRET, "p", "read");
    let own = stream_token(SECRET, "p", "write", "a");
    let stranger = token(OTHER, "other", "write");
    let with_token = client.clone();
    let with_token = with_token.with_header("authorization", format!("Bearer {writer}"));
    for name in ["p/a", "p/b", "p/w"] {
        Stream::create(&with_token, name, JSON)?;
    }

    for asked in changes().iter().chain(&looks()) {
        let (method, path, _) = asked;
        for (who, token, status) in [
            ("nobody", None, 401),
            ("another project", Some(&stranger), 403),
            (
                "a stream's own",
                Some(&own),
                if *path == "streams" { 200 } else { 403 },
            ),
        ] {
            let token = token.map(String::as_str);
            let answer = ask(client, token, "p/", asked)?;
            assert_eq!(
                answer.status, status,
                "{method} {path} by {who}: {answer:?}"
            );
        }
    }
    for asked in &changes() {
        let (method, path, _) = asked;
        let refused = ask(client, Some(&reader), "p/", asked)?;
        assert_eq!(refused.status, 403, "{method} {path} by a reader");
        let allowed = ask(client, Some(&writer), "p/", asked)?;
        // A claim finds nothing to do.
        let is_right =
            allowed.status / 100 == 2 || (allowed.status == 409 && path.ends_with("claim"));
        assert!(is_right, "{method} {path} by a writer: {allowed:?}");
    }
    // What the writer has deleted last.
    ask(client, Some(&writer), "p/", &changes()[0])?.expect(201)?;
    for asked in &looks() {
        for token in [&reader, &writer] {
            ask(client, Some(token), "p/", asked)?.expect(200)?;
        }
    }
    for asked in changes().iter().chain(&looks()) {
        // The root of all projects is nobody's.
        let refused = ask(client, Some(&writer), "", asked)?;
        assert_eq!(refused.status, 404, "{} {}", asked.0, asked.1);
    }

    let list = (Method::GET, "streams", Value::Null);
    wait_until("all streams are listed", || {
        let answer = ask(client, Some(&reader), "p/", &list)?.expect(200)?;
        Ok(paths(&answer)? == ["a", "b", "w"])
    })?;
    let answer = ask(client, Some(&own), "p/", &list)?.expect(200)?;
    assert_eq!(paths(&answer)?, ["a"], "a stream's own");
    let answer = ask(client, Some(&stranger), "other/", &list)?.expect(200)?;
    assert!(paths(&answer)?.is_empty(), "another project's");

    // Keys are everybody's, and workers have nothing but the token of a wake.
    let keys = (Method::GET, "jwks.json", Value::Null);
    ask(client, None, "p/", &keys)?.expect(200)?;
    let wake = json!({ "wake_id": "w", "generation": 1 });
    for path in [
        "subscriptions/s/callback",
        "subscriptions/s/ack",
        "subscriptions/s/release",
    ] {
        for token in [None, Some(writer.as_str()), Some("x.y.z")] {
            let answer = ask(client, token, "p/", &(Method::POST, path, wake.clone()))?;
            let refused = answer.expect(401)?;
            assert_eq!(refused.refusal()?.code, "TOKEN_INVALID", "{path}");
        }
    }
    server.stop()
}
