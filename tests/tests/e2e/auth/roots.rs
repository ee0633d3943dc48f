//! What is asked of a project's root, by those who may.

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::token::{stream_token, token};
use serde_json::{Value, json};
use ureq::http::Method;

use super::{APP, OTHER_SECRET, SECRET, shared, with, writer};

fn ask(client: &Client, method: Method, path: &str) -> Result<Response> {
    let path = format!("/v1/stream/p/__ds/{path}");
    client.call(method, &path).send()
}

fn document(response: &Response) -> Result<Value> {
    serde_json::from_slice(&response.body).with_context(|| response.text())
}

/// Makes a key for a project: the first subscription to a webhook needs one.
fn let_there_be_a_key(client: &Client, project: &str, secret: &str) -> Result<()> {
    let writer = with(client, &token(secret, project, "write"));
    let path = format!("/v1/stream/{project}/__ds/subscriptions/key");
    let config = json!({
        "type": "webhook",
        "streams": ["none"],
        "webhook": { "url": "https://worker.example/hooks" },
    });
    let put = writer.call(Method::PUT, &path);
    let created = put.send_bytes(config.to_string().as_bytes())?.expect(201)?;
    let base = client.base();
    let url = format!("{base}/v1/stream/{project}/__ds/jwks.json");
    ensure!(document(&created)?["webhook"]["signing"]["jwks_url"] == url);
    Ok(())
}

#[test]
fn keys_are_seen_by_everyone_and_stay_as_they_are() -> Result<()> {
    let client = shared()?;
    let_there_be_a_key(&client, "p", SECRET)?;
    let_there_be_a_key(&client, "other", OTHER_SECRET)?;
    let get = |client: &Client, method: Method| {
        let answer = ask(client, method, "jwks.json")?.expect(200)?;
        let has = |name: &str, value: &str| {
            ensure!(answer.header(name) == Some(value), "{name}: {answer:?}");
            Ok(())
        };
        has("content-type", "application/jwk-set+json")?;
        has("cache-control", "public, max-age=300")?;
        anyhow::Ok(answer.body)
    };
    let body = get(&client, Method::GET)?;
    let keys: Value = serde_json::from_slice(&body)?;
    let key = &keys["keys"][0];
    for (name, value) in [
        ("kty", "OKP"),
        ("crv", "Ed25519"),
        ("use", "sig"),
        ("alg", "EdDSA"),
    ] {
        ensure!(key[name] == value, "{key}");
    }
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    ensure!(text("kid").starts_with("ds_") && text("x").len() == 43);
    ensure!(key.get("d").is_none(), "a private key is told");
    assert_eq!(get(&with(&client, "garbage"), Method::GET)?, body);
    get(&client, Method::HEAD)?;
    // Each project has its own.
    let other = client.call(Method::GET, "/v1/streams/other/__ds/jwks.json");
    let other = document(&other.send()?.expect(200)?)?;
    ensure!(other["keys"][0]["kid"] != key["kid"]);
    Ok(())
}

#[test]
fn a_rotated_key_is_published_beside_the_old_one() -> Result<()> {
    let client = shared()?;
    let_there_be_a_key(&client, "pages", SECRET)?;
    let writer = with(&client, &token(SECRET, "pages", "write"));
    let root = "/v1/stream/pages/__ds";
    let kids = || {
        let answer = client.call(Method::GET, &format!("{root}/jwks.json"));
        let keys = document(&answer.send()?.expect(200)?)?;
        let keys = keys["keys"].as_array().context("no keys")?.clone();
        anyhow::Ok(
            keys.iter()
                .map(|key| key["kid"].clone())
                .collect::<Vec<_>>(),
        )
    };
    let before = kids()?;
    let rotate = |body: &str| {
        let call = writer.call(Method::POST, &format!("{root}/keys/rotate"));
        call.send_bytes(body.as_bytes())
    };
    let rotated = document(&rotate("")?.expect(200)?)?;
    let after = kids()?;
    ensure!(
        after.contains(&before[0]) && after.contains(&rotated["kid"]),
        "{after:?}"
    );
    let active_at = rotated["active_at"].as_str();
    ensure!(active_at.is_some_and(|at| at.ends_with('Z')), "{rotated}");
    let refusal = rotate(r#"{"at": 7}"#)?.expect(400)?.refusal()?;
    ensure!(refusal.message.starts_with("at "), "{refusal:?}");
    Ok(())
}

#[test]
fn scopes_and_streams_of_tokens_count() -> Result<()> {
    let client = shared()?;
    let (writer, reader) = (writer(&client), with(&client, &token(SECRET, "p", "read")));
    let put = |client: &Client, path: &str, body: &Value| {
        let call = client.call(Method::PUT, &format!("/v1/stream/p/__ds/{path}"));
        call.send_bytes(body.to_string().as_bytes())
    };
    let config = json!({ "type": "pull-wake", "streams": ["scopes"], "wake_stream": "wakes" });
    put(&reader, "subscriptions/scopes%3A1", &config)?.expect(403)?;
    let created = put(&writer, "subscriptions/scopes%3A1", &config)?.expect(201)?;
    ensure!(created.header("cache-control") == Some("no-store"));
    ensure!(document(&created)?["id"] == "scopes:1");
    put(&writer, "subscriptions/scopes%3A1", &config)?.expect(200)?;
    let found = ask(&reader, Method::GET, "subscriptions/scopes%3A1")?.expect(200)?;
    ensure!(document(&found)?["streams"][0]["path"] == "scopes");
    let listed = document(&ask(&reader, Method::GET, "subscriptions?limit=1000")?.expect(200)?)?;
    let ids = listed["subscriptions"].as_array().context("no list")?;
    ensure!(ids.contains(&json!({ "id": "scopes:1" })), "{listed}");

    for limited in ["read", "write"] {
        let limited = with(&client, &stream_token(SECRET, "p", limited, "scopes"));
        ask(&limited, Method::GET, "subscriptions/scopes%3A1")?.expect(403)?;
        ask(&limited, Method::GET, "subscriptions")?.expect(403)?;
        ask(&limited, Method::POST, "subscriptions/scopes%3A1/claim")?.expect(403)?;
        ask(&limited, Method::GET, "streams")?.expect(200)?;
    }
    // The token of a project is no wake token, and a wake token opens nothing else.
    for action in ["callback", "ack", "release"] {
        let call = writer.call(
            Method::POST,
            &format!("/v1/stream/p/__ds/subscriptions/scopes%3A1/{action}"),
        );
        let answer = call.send_bytes(br#"{"wake_id":"w","generation":1}"#)?;
        let refusal = answer.expect(401)?.refusal()?;
        ensure!(refusal.code == "TOKEN_INVALID", "{action}: {refusal:?}");
    }
    ask(&reader, Method::DELETE, "subscriptions/scopes%3A1")?.expect(403)?;
    ask(&writer, Method::DELETE, "subscriptions/scopes%3A1")?.expect(204)?;
    ask(&reader, Method::GET, "subscriptions/scopes%3A1")?.expect(404)?;
    Ok(())
}

#[test]
fn pages_of_allowed_origins_see_answers_and_no_others() -> Result<()> {
    let client = shared()?;
    for (origin, allowed) in [(APP, Some(APP)), ("https://evil.example", None)] {
        for (method, path, status) in [
            (Method::OPTIONS, "subscriptions/x", 204),
            (Method::GET, "subscriptions/x", 401),
            (Method::GET, "jwks.json", 200),
            (Method::GET, "nothing", 401),
        ] {
            let call = client.call(method, &format!("/v1/stream/pages/__ds/{path}"));
            let answer = call.header("origin", origin).send()?.expect(status)?;
            let seen = answer.header("access-control-allow-origin");
            ensure!(seen == allowed, "{path} from {origin}: {answer:?}");
        }
    }
    Ok(())
}
