//! Projects that are deleted, and those that take their names.

use std::time::Duration;

use anyhow::{Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Kv, Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{record, token};
use durable_streams_tests::wait_until;
use serde_json::json;
use ureq::http::Method;

use super::{SECRET, with, writer};
use crate::JSON;

const NEXT: &str = "the secret of the second project called p";

fn later(era: u64) -> String {
    json!({ "signingSecrets": [NEXT], "corsOrigins": ["*"], "era": era }).to_string()
}

fn put(client: &Client, path: &str) -> Result<Stream> {
    let call = client.call(Method::PUT, &format!("/v1/stream/{path}?public=true"));
    let made = call.header("content-type", JSON).send()?;
    ensure!(made.status == 201, "{made:?}");
    Ok(Stream::named(client, path, JSON))
}

#[test]
fn a_project_gets_none_of_the_streams_of_a_deleted_one() -> Result<()> {
    let state = Scratch::new("auth-eras")?;
    let setup = Setup {
        vars: &[("SEGMENT_MAX_MESSAGES", "3"), ("SSE_TIMEOUT_MS", "2000")],
        kv: Kv::Usual,
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let mut server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let client = server.client().clone();
    let old = Stream::create(&writer(&client), "p/s", JSON)?;
    let old_public = put(&writer(&client), "p/news")?;
    for at in 0..5 {
        old.append(at.to_string())?;
    }
    old_public.append("0")?;
    old_public.on(&client).head()?.expect(200)?;

    server.register("p", None)?;
    wait_until("the deleted project is forgotten", || {
        Ok(old.head()?.status == 401 && old_public.on(&client).head()?.status == 401)
    })?;

    server.register("p", Some(&later(170)))?;
    let new = with(&client, &token(NEXT, "p", "write"));
    wait_until("the new project is known", || {
        Ok(old.on(&new).head()?.status == 404)
    })?;
    assert_eq!(old.head()?.status, 401, "the old secret");
    assert_eq!(
        old_public.on(&client).head()?.status,
        401,
        "the old announcement"
    );
    assert_eq!(old_public.on(&new).head()?.status, 404);

    // It is a project like any other.
    let fork = Stream::named(&new, "p/fork", JSON);
    let forked = || {
        fork.put()
            .header("stream-forked-from", "/v1/stream/p/s")
            .send()
    };
    forked()?.expect(404)?;
    let created = old.on(&new).put().send()?.expect(201)?;
    let location = created.header("location").unwrap_or_default();
    assert!(
        location.ends_with("/v1/stream/p/s") && !location.contains("era"),
        "{location}"
    );
    let stream = old.on(&new);
    for at in 10..20 {
        stream.append(at.to_string())?;
    }
    forked()?.expect(201)?;
    fork.append("20")?;
    let of = |first: u32, last: u32| (first..=last).map(|at| json!(at)).collect::<Vec<_>>();
    assert_eq!(stream.read()?.messages()?, of(10, 19));
    assert_eq!(fork.read()?.messages()?, of(10, 20));
    let events = new.call(Method::GET, "/v1/stream/p/s?offset=-1&live=sse");
    let events = events.send()?.expect(200)?.text();
    assert!(events.contains("19") && !events.contains("[0"), "{events}");
    let news = put(&new, "p/news")?;
    news.append("7")?;
    assert_eq!(
        news.on(&client).get("-1").send()?.expect(200)?.text(),
        "[7]"
    );
    stream.call(Method::DELETE).send()?.expect(204)?;
    // It is kept for its fork.
    stream.head()?.expect(410)?;
    fork.call(Method::DELETE).send()?.expect(204)?;
    wait_until("the source has gone with its fork", || {
        Ok(stream.head()?.status == 404)
    })?;

    // And so is the next one.
    server.register("p", Some(&later(171)))?;
    wait_until("the third project is known", || {
        Ok(news.head()?.status == 404 && news.on(&client).head()?.status == 401)
    })?;
    std::thread::sleep(Duration::from_millis(10));
    server.stop()
}
