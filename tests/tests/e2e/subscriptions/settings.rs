//! What the worker's variables change.

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::{Server, Vars};
use durable_streams_tests::stream::Stream;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

const ROOT: &str = "/v1/stream/__ds";

fn put(client: &Client, id: &str, config: &Value) -> Result<Response> {
    let call = client.call(Method::PUT, &format!("{ROOT}/subscriptions/{id}"));
    call.send_bytes(config.to_string().as_bytes())
}

fn webhook(url: &str) -> Value {
    json!({ "type": "webhook", "streams": ["a"], "webhook": { "url": url } })
}

fn with(name: &str, vars: Vars, check: impl FnOnce(&Client) -> Result<()>) -> Result<()> {
    let state = Scratch::new(name)?;
    let server = Server::start(&state, vars)?;
    check(server.client())?;
    server.stop()
}

#[test]
fn webhooks_of_this_machine_are_for_development() -> Result<()> {
    let local = [
        "http://127.0.0.1:9/hook",
        "http://127.9.9.9/hook",
        "http://localhost:9/hook",
    ];
    with("subscriptions-production", &[], |client| {
        for url in local {
            let refused = put(client, "local", &webhook(url))?.expect(400)?;
            assert_eq!(refused.refusal()?.code, "WEBHOOK_URL_REJECTED", "{url}");
        }
        let allowed = put(client, "far", &webhook("https://example.com/hook"))?;
        allowed.expect(201)?;
        Ok(())
    })?;
    with("subscriptions-development", &[("DEV", "1")], |client| {
        for (at, url) in local.into_iter().enumerate() {
            put(client, &format!("local-{at}"), &webhook(url))?.expect(201)?;
        }
        Ok(())
    })
}

#[test]
fn a_server_behind_a_proxy_is_where_it_is_said_to_be() -> Result<()> {
    let vars = [("PUBLIC_URL", "https://streams.example")];
    with("subscriptions-public-url", &vars, |client| {
        let made = put(client, "s", &webhook("https://example.com/hook"))?.expect(201)?;
        let made: Value = serde_json::from_slice(&made.body)?;
        assert_eq!(
            made["webhook"]["signing"]["jwks_url"],
            "https://streams.example/v1/stream/__ds/jwks.json"
        );
        Ok(())
    })
}

#[test]
fn without_a_directory_there_are_streams_and_nothing_else() -> Result<()> {
    let vars = [("DIRECTORY", "off"), ("DEBUG_TIMING", "1")];
    with("subscriptions-off", &vars, |client| {
        let stream = Stream::create(client, "alone", JSON)?;
        assert_eq!(stream.append("1")?.count("rows_written")?, 1);
        assert_eq!(stream.read()?.messages()?, [json!(1)]);
        for path in ["streams", "subscriptions", "subscriptions/a", "jwks.json"] {
            let call = client.call(Method::GET, &format!("{ROOT}/{path}"));
            let refused = call.send()?.expect(501)?;
            assert_eq!(refused.refusal()?.code, "DIRECTORY_OFF", "{path}");
        }
        // What a stream knows of itself is asked of nobody else.
        let call = client.call(Method::GET, &format!("{ROOT}/streams/alone"));
        let shown: Value = serde_json::from_slice(&call.send()?.expect(200)?.body)?;
        assert_eq!(shown["path"], "alone");
        let refused = put(client, "s", &webhook("https://example.com/hook"))?;
        let refused = refused.expect(501)?.refusal().context("no refusal")?;
        assert_eq!(refused.code, "DIRECTORY_OFF");
        Ok(())
    })
}
