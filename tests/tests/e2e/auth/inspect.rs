//! One stream as it is shown below its project's root.

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{record, stream_token, token};
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use super::{SECRET, with, writer};
use crate::JSON;

fn look(client: &Client, path: &str, status: u16) -> Result<Value> {
    let url = format!("/v1/stream/p/__ds/streams/{path}");
    let head = client.call(Method::HEAD, &url).send()?.expect(status)?;
    ensure!(head.body.is_empty(), "{head:?}");
    let shown = client.call(Method::GET, &url).send()?.expect(status)?;
    ensure!(
        shown.header("cache-control") == Some("no-store"),
        "{shown:?}"
    );
    serde_json::from_slice(&shown.body).with_context(|| shown.text())
}

fn at(position: u64) -> String {
    format!("{:016}_{position:016}_0000", 0)
}

#[test]
fn a_stream_is_shown_with_everything_to_who_may_see_it() -> Result<()> {
    let state = Scratch::new("inspect-state")?;
    let setup = Setup {
        vars: &[("SEGMENT_MAX_MESSAGES", "4")],
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let client = server.client();
    let (writer, reader) = (writer(client), with(client, &token(SECRET, "p", "read")));
    let stream = Stream::named(&writer, "p/rooms/1?public=true", JSON);
    let ttl = ("stream-ttl", "3600");
    stream.put().header(ttl.0, ttl.1).send()?.expect(201)?;
    let stream = Stream::named(&writer, "p/rooms/1", JSON);
    for seq in 0..6 {
        let append = stream.post_as("me", 0, seq);
        append.send_bytes(b"{\"text\":\"hello\"}")?.expect(200)?;
    }
    let config = json!({ "type": "pull-wake", "streams": ["rooms/1"], "wake_stream": "wakes" });
    let put = writer.call(Method::PUT, "/v1/stream/p/__ds/subscriptions/a%3Ab");
    put.send_bytes(config.to_string().as_bytes())?.expect(201)?;
    let fork = Stream::named(&writer, "p/rooms/2", JSON);
    let fork_of = fork.put().header("stream-forked-from", stream.path());
    fork_of.send()?.expect(201)?;

    let mut seen = Value::Null;
    wait_until("data has moved, and the subscription is linked", || {
        seen = look(&reader, "rooms%2F1", 200)?;
        let is_linked = seen["subscriptions"] == json!(["a:b"]);
        Ok(is_linked && seen["segmentCount"].as_u64() > Some(0))
    })?;
    let segment = &seen["segments"][0];
    ensure!(
        segment["from"] == at(0) && segment["bytes"].as_u64() > Some(60),
        "{seen}"
    );
    ensure!(seen["hot"]["from"] == seen["segments"][0]["to"], "{seen}");
    ensure!(seen["databaseBytes"].as_u64() >= Some(4096), "{seen}");
    for (field, expected) in [
        ("path", json!("rooms/1")),
        ("contentType", json!(JSON)),
        ("tail", json!(at(6))),
        ("earliest", json!(at(0))),
        ("closed", json!(false)),
        ("public", json!(true)),
        ("ttl", json!(3600)),
        ("expiresAt", Value::Null),
        ("forkedFrom", Value::Null),
        ("forks", json!([{ "path": "rooms/2" }])),
        ("producers", json!(1)),
    ] {
        ensure!(seen[field] == expected, "{field}: {seen}");
    }
    let shown = look(&reader, "rooms/2", 200)?;
    let source = json!({ "path": "rooms/1", "offset": at(6), "subOffset": 0 });
    ensure!(shown["forkedFrom"] == source, "{shown}");

    // That it can be read without a token does not open this.
    stream.on(client).get(START).send()?.expect(200)?;
    look(client, "rooms/1", 401)?;
    for scope in ["read", "write"] {
        let limited = with(client, &stream_token(SECRET, "p", scope, "rooms/1"));
        let shown = look(&limited, "rooms/1", 200)?;
        let others = (&shown["forks"], &shown["subscriptions"]);
        ensure!(others == (&Value::Null, &Value::Null), "{shown}");
        look(&limited, "rooms/2", 403)?;
        look(&limited, "none", 403)?;
    }
    let none = look(&reader, "none", 404)?;
    ensure!(none["error"]["code"] == "stream_not_found", "{none}");
    // It is kept for its fork, which nobody sees.
    stream.call(Method::DELETE).send()?.expect(204)?;
    let gone = look(&reader, "rooms/1", 404)?;
    ensure!(gone["error"]["code"] == "stream_not_found", "{gone}");
    server.stop()
}
