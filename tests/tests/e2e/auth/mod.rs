//! Project tokens on the real runtime.

mod eras;
mod forks;
mod inspect;
mod keys;
mod live;
mod matrix;
mod pages;
mod public;
mod registry;
mod roots;

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Kv, Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{record, stream_token, token};
use serde_json::json;
use ureq::http::Method;

use crate::JSON;

const SECRET: &str = "the secret of the project called p";

const OTHER_SECRET: &str = "the secret of the project called other";

const APP: &str = "https://app.example";

/// A server with the projects `p`, `other`, `open` (public) and `pages` (for pages of an origin).
fn server(name: &str, kv: Kv) -> Result<(Server, Scratch)> {
    let state = Scratch::new(name)?;
    let setup = Setup {
        vars: &[("DEBUG_TIMING", "1")],
        kv,
        entries: vec![
            ("p", record(SECRET)),
            ("other", record(OTHER_SECRET)),
            (
                "open",
                json!({ "signingSecrets": [SECRET], "isPublic": true }).to_string(),
            ),
            (
                "pages",
                json!({ "signingSecrets": [SECRET], "corsOrigins": [APP] }).to_string(),
            ),
            ("broken", "{}".to_owned()),
        ],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    Ok((server, state))
}

fn shared() -> Result<Client> {
    static SERVER: OnceLock<Result<(Server, Scratch), String>> = OnceLock::new();
    let server = SERVER
        .get_or_init(|| server("auth-state", Kv::Usual).map_err(|error| format!("{error:#}")));
    match server {
        Ok((server, _)) => Ok(server.client().clone()),
        Err(error) => Err(anyhow!("{error}")),
    }
}

/// The same client with a token in each request.
fn with(client: &Client, token: &str) -> Client {
    client
        .clone()
        .with_header("authorization", format!("Bearer {token}"))
}

fn writer(client: &Client) -> Client {
    with(client, &token(SECRET, "p", "write"))
}

/// Holds for every refusal for want of a right token.
fn check_refusal(what: &str, answer: &Response, status: u16) -> Result<()> {
    ensure!(answer.status == status, "{what}: {answer:?}");
    let has = |name: &str, value: Option<&str>| {
        ensure!(answer.header(name) == value, "{what}: {name} of {answer:?}");
        Ok(())
    };
    has("cache-control", Some("no-store"))?;
    has("x-content-type-options", Some("nosniff"))?;
    has("access-control-allow-origin", None)?;
    has("www-authenticate", (status == 401).then_some("Bearer"))
}

#[test]
fn a_session_with_tokens() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&writer(&client), "p/session", JSON)?;
    stream.append(r#"{"op":"insert","text":"hello"}"#)?;
    let reader = stream.on(&with(&client, &token(SECRET, "p", "read")));
    for able in [&stream, &reader] {
        let page = able.get(START).send()?.expect(200)?;
        assert_eq!(page.text(), r#"[{"op":"insert","text":"hello"}]"#);
        // No cache that serves others may keep it.
        let caching = page.header("cache-control").context("no Cache-Control")?;
        assert!(caching.starts_with("private, max-age="), "{caching}");
        assert_eq!(page.header("vary"), Some("Origin, Authorization"));
        able.head()?.expect(200)?;
    }
    let limited = stream_token(SECRET, "p", "write", "session");
    stream.on(&with(&client, &limited)).append("1")?;
    stream.call(Method::DELETE).send()?.expect(204)?;
    stream.get("-1").send()?.expect(404)?;
    Ok(())
}
