//! The first session of a new user, and the headers every answer carries.

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::stream::{START, Stream};
use ureq::http::Method;

use crate::{JSON, shared};

/// Creates a stream, appends to it and reads it back, as the README of a new project says.
pub fn try_it(client: &Client, name: &str) -> Result<()> {
    let stream = Stream::create(client, name, JSON)?;
    stream.append(r#"{"op":"insert","text":"hello"}"#)?;
    let page = stream.get(START).send()?.expect(200)?;
    assert_eq!(page.text(), r#"[{"op":"insert","text":"hello"}]"#);
    Ok(())
}

#[test]
fn a_stream_is_created_filled_read_and_deleted() -> Result<()> {
    let client = shared()?;
    let stream = Stream::named(&client, "session/life", JSON);
    stream.head()?.expect(404)?;

    let created = stream.put().send()?.expect(201)?;
    let location = created.header("location").context("no Location")?;
    assert_eq!(location, format!("{}{}", client.base(), stream.path()));
    let behind = Stream::named(&client, "session/behind", JSON).put();
    let behind = behind.header("x-forwarded-proto", "https, http");
    let behind = behind.header("x-forwarded-host", "streams.example:8443");
    let created = behind.send()?.expect(201)?;
    let location = created.header("location");
    let expected = "https://streams.example:8443/v1/stream/session/behind";
    assert_eq!(location, Some(expected));
    let odd = Stream::named(&client, "session/odd", JSON).put();
    let odd = odd
        .header("x-forwarded-proto", "javascript")
        .send()?
        .expect(201)?;
    let location = odd.header("location").context("no Location")?;
    assert!(location.starts_with(client.base()), "{location}");
    assert_eq!(created.header("stream-next-offset"), Some(START));
    stream.put().send()?.expect(200)?;
    let other = stream.call(Method::PUT).header("content-type", "text/css");
    other.send()?.expect(409)?;

    stream.append(r#"{"n":1}"#)?;
    let appended = stream.append(r#"[{"n":2}, {"n":3}]"#)?;
    let tail = appended.header("stream-next-offset").context("no offset")?;
    assert!(tail > START, "{tail}");

    let page = stream.get("-1").send()?.expect(200)?;
    assert_eq!(page.header("content-type"), Some(JSON));
    assert_eq!(page.header("stream-next-offset"), Some(tail));
    assert_eq!(page.header("stream-up-to-date"), Some("true"));
    let messages: serde_json::Value = serde_json::from_slice(&page.body)?;
    assert_eq!(messages, serde_json::json!([{"n":1}, {"n":2}, {"n":3}]));
    assert_eq!(stream.get(tail).send()?.expect(200)?.text(), "[]");

    let head = stream.head()?.expect(200)?;
    assert_eq!(head.header("stream-next-offset"), Some(tail));
    assert_eq!(head.header("content-type"), Some(JSON));
    assert_eq!(head.header("cache-control"), Some("no-store"));

    stream.call(Method::DELETE).send()?.expect(204)?;
    stream.get("-1").send()?.expect(404)?;
    stream.call(Method::DELETE).send()?.expect(404)?;
    stream.put().send()?.expect(201)?;
    assert_eq!(stream.get(START).send()?.expect(200)?.text(), "[]");
    Ok(())
}

#[test]
fn a_read_that_is_known_already_is_not_sent_again() -> Result<()> {
    let stream = Stream::create(&shared()?, "session/etag", JSON)?;
    stream.append("1")?;
    let first = stream.get(START).send()?.expect(200)?;
    let etag = first.header("etag").context("no ETag")?;
    let again = || stream.get(START).header("if-none-match", etag).send();
    let known = again()?.expect(304)?;
    assert_eq!(known.header("etag"), Some(etag));
    assert!(known.body.is_empty());

    stream.append("2")?;
    let changed = again()?.expect(200)?;
    assert_ne!(changed.header("etag"), Some(etag));

    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    let closed = stream.get(START).send()?.expect(200)?;
    assert_eq!(closed.header("stream-closed"), Some("true"));
    assert_ne!(closed.header("etag"), changed.header("etag"));
    Ok(())
}

#[test]
fn a_deleted_stream_is_not_met_again_through_its_etag() -> Result<()> {
    let stream = Stream::create(&shared()?, "session/reborn", JSON)?;
    stream.append("1")?;
    let old = stream.get(START).send()?.expect(200)?;
    let etag = old.header("etag").context("no ETag")?;
    stream.call(Method::DELETE).send()?.expect(204)?;
    stream.put().send()?.expect(201)?;
    stream.append("2")?;
    let new = stream.get(START).header("if-none-match", etag).send()?;
    assert_eq!(new.expect(200)?.text(), "[2]");
    Ok(())
}

#[test]
fn every_answer_carries_the_headers_browsers_need() -> Result<()> {
    let client = shared()?;
    let stream = Stream::named(&client, "session/headers", JSON);
    let answers = [
        ("create", stream.put().send()?.expect(201)?),
        ("append", stream.append("1")?),
        ("read", stream.get("-1").send()?.expect(200)?),
        ("head", stream.head()?.expect(200)?),
        ("bad offset", stream.get("x").send()?.expect(400)?),
        (
            "elsewhere",
            client.call(Method::GET, "/").send()?.expect(404)?,
        ),
        ("method", stream.call(Method::PATCH).send()?.expect(405)?),
        ("delete", stream.call(Method::DELETE).send()?.expect(204)?),
        ("absent", stream.get("-1").send()?.expect(404)?),
    ];
    for (what, answer) in &answers {
        let has = |name: &str, value: &str| {
            assert_eq!(answer.header(name), Some(value), "{name} of {what}");
        };
        has("x-content-type-options", "nosniff");
        has("cross-origin-resource-policy", "cross-origin");
        has("access-control-allow-origin", "*");
        let exposed = lists(answer, "access-control-expose-headers");
        let is_exposed = |name: &&str| exposed.iter().any(|item| item == name);
        assert!(["*", "stream-next-offset"].iter().any(is_exposed), "{what}");
    }
    Ok(())
}

#[test]
fn a_preflight_allows_what_clients_send() -> Result<()> {
    let stream = Stream::named(&shared()?, "session/preflight", JSON);
    let preflight = stream
        .call(Method::OPTIONS)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT")
        .send()?
        .expect(204)?;
    let methods = lists(&preflight, "access-control-allow-methods");
    for method in ["get", "head", "post", "put", "delete"] {
        assert!(methods.contains(&method.to_owned()), "{method}");
    }
    let headers = lists(&preflight, "access-control-allow-headers");
    for header in ["content-type", "if-none-match", "producer-id", "stream-ttl"] {
        assert!(headers.contains(&header.to_owned()), "{header}");
    }
    stream.head()?.expect(404)?;
    Ok(())
}

/// The items of a header that lists some, in lower case.
fn lists(answer: &Response, name: &str) -> Vec<String> {
    let value = answer.header(name).unwrap_or_default().to_lowercase();
    value
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}
