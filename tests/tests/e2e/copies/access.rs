//! Who may have streams copied, where tokens are needed.

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{stream_token, token};
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

const SECRET: &str = "the secret of the projects called p and open";
const OTHER: &str = "the secret of the project called other";
const APP: &str = "https://app.example";

fn server(name: &str) -> Result<(Server, Scratch)> {
    let record = |secret: &str, is_public: bool| {
        let origins = [APP];
        json!({ "signingSecrets": [secret], "corsOrigins": origins, "isPublic": is_public })
            .to_string()
    };
    let state = Scratch::new(name)?;
    let setup = Setup {
        entries: vec![
            ("p", record(SECRET, false)),
            ("open", record(SECRET, true)),
            ("other", record(OTHER, false)),
            (
                "again",
                json!({ "signingSecrets": [SECRET], "isPublic": true, "era": 170 }).to_string(),
            ),
        ],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    Ok((server, state))
}

fn with(client: &Client, token: &str) -> Client {
    let client = client.clone();
    client.with_header("authorization", format!("Bearer {token}"))
}

fn ask(client: &Client, method: Method, path: &str, body: &Value) -> Result<Response> {
    let call = client.call(method, &format!("/v1/stream/{path}"));
    match body {
        Value::Null => call.send(),
        body => call.send_bytes(body.to_string().as_bytes()),
    }
}

fn copy(target: &str, streams: &[&str]) -> Value {
    json!({ "type": "copy", "target_stream": target, "streams": streams })
}

/// Waits until a stream holds just these messages.
fn holds(stream: &Stream, expected: &[Value]) -> Result<()> {
    let mut found = Vec::new();
    wait_until("the copies are there", || {
        found = stream.read()?.messages()?;
        Ok(found.len() >= expected.len())
    })?;
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn nobody_without_a_right_has_streams_copied_or_takes_any_away() -> Result<()> {
    let (server, _state) = server("copies-access")?;
    let client = server.client();
    let writer = with(client, &token(SECRET, "p", "write"));
    let inbox = Stream::create(&writer, "p/inbox", JSON)?;
    let source = Stream::create(&writer, "p/chat", JSON)?;
    let sub = "p/__ds/subscriptions/s";
    let config = copy("inbox", &["chat"]);
    ask(&writer, Method::PUT, sub, &config)?.expect(201)?;

    for (who, token, status) in [
        ("nobody", None, 401),
        ("a liar", Some("x.y.z".to_owned()), 401),
        ("another project", Some(token(OTHER, "other", "write")), 403),
        (
            "one who claims to be",
            Some(token(OTHER, "p", "write")),
            401,
        ),
        ("a reader", Some(token(SECRET, "p", "read")), 403),
        (
            "a reader of the target",
            Some(stream_token(SECRET, "p", "read", "inbox")),
            403,
        ),
        (
            "a writer of a source",
            Some(stream_token(SECRET, "p", "write", "chat")),
            403,
        ),
        (
            "a writer of none",
            Some(stream_token(SECRET, "p", "write", "none")),
            403,
        ),
    ] {
        let client = match token {
            Some(token) => with(client, &token),
            None => client.clone(),
        };
        let streams = json!({ "streams": ["chat"] });
        for (method, path, body) in [
            (Method::PUT, sub.to_owned(), &config),
            (Method::PUT, "p/__ds/subscriptions/new".to_owned(), &config),
            (Method::POST, format!("{sub}/streams"), &streams),
            (Method::DELETE, format!("{sub}/streams/chat"), &Value::Null),
            (Method::DELETE, sub.to_owned(), &Value::Null),
            (
                Method::DELETE,
                "p/__ds/subscriptions/inbox".to_owned(),
                &Value::Null,
            ),
        ] {
            let answer = ask(&client, method.clone(), &path, body)?;
            assert_eq!(
                answer.status, status,
                "{method} {path} by {who}: {answer:?}"
            );
        }
        let seen = ask(&client, Method::GET, sub, &Value::Null)?;
        let expected = if who == "a reader" { 200 } else { status };
        assert_eq!(seen.status, expected, "GET by {who}: {seen:?}");
    }
    // It is as it was, and what is deleted of a subscription is no stream.
    source.append("1")?;
    holds(&inbox, &[json!(1)])?;
    ask(
        &writer,
        Method::DELETE,
        "p/__ds/subscriptions/inbox",
        &Value::Null,
    )?
    .expect(204)?;
    ask(&writer, Method::DELETE, sub, &Value::Null)?.expect(204)?;
    for stream in [&inbox, &source] {
        stream.head()?.expect(200)?;
    }
    let missing = ask(
        &writer,
        Method::GET,
        "p/__ds/subscriptions/new",
        &Value::Null,
    )?;
    missing.expect(404)?;
    server.stop()
}

#[test]
fn a_token_of_one_stream_has_what_it_may_read_copied_into_that() -> Result<()> {
    let (server, _state) = server("copies-of-one")?;
    let client = server.client();
    let writer = with(client, &token(SECRET, "open", "write"));
    let own = with(client, &stream_token(SECRET, "open", "write", "inbox/7"));
    let inbox = Stream::create(&own, "open/inbox/7", JSON)?;
    let chats = ["open/chat/1", "open/chat/2"].map(|name| Stream::create(&writer, name, JSON));
    let [one, two] = chats;
    let (one, two) = (one?, two?);
    Stream::create(&writer, "open/inbox/8", JSON)?;

    let sub = "open/__ds/subscriptions/page-7";
    let config = copy("inbox/7", &["chat/1"]);
    ask(&own, Method::PUT, sub, &config)?.expect(201)?;
    ask(&own, Method::PUT, sub, &config)?.expect(200)?;
    let add = |streams: Value| ask(&own, Method::POST, &format!("{sub}/streams"), &streams);
    add(json!({ "streams": ["chat/2", "later"] }))?.expect(204)?;
    one.append("1")?;
    holds(&inbox, &[json!(1)])?;
    two.append("2")?;
    holds(&inbox, &[json!(1), json!(2)])?;
    Stream::named(&writer, "open/later", JSON)
        .put()
        .send_bytes(b"[3]")?
        .expect(201)?;
    holds(&inbox, &[json!(1), json!(2), json!(3)])?;
    let seen = ask(&own, Method::GET, sub, &Value::Null)?.expect(200)?;
    let seen: Value = serde_json::from_slice(&seen.body)?;
    let paths = seen["streams"].as_array().context("no streams")?;
    let paths: Vec<_> = paths.iter().map(|stream| &stream["path"]).collect();
    assert_eq!(paths, ["chat/1", "chat/2", "later"]);
    ask(
        &own,
        Method::DELETE,
        &format!("{sub}/streams/chat%2F2"),
        &Value::Null,
    )?
    .expect(204)?;

    // What is not its own is closed to it.
    let pattern = json!({ "type": "copy", "target_stream": "inbox/7", "pattern": "**" });
    for (method, path, body) in [
        (
            Method::PUT,
            "subscriptions/other",
            copy("inbox/8", &["chat/1"]),
        ),
        (
            Method::PUT,
            "subscriptions/other",
            copy("chat/1", &["chat/2"]),
        ),
        (Method::PUT, "subscriptions/other", pattern),
        (
            Method::PUT,
            "subscriptions/other",
            json!({ "type": "pull-wake", "wake_stream": "inbox/7", "streams": ["chat/1"] }),
        ),
        (
            Method::POST,
            "subscriptions/page-7/claim",
            json!({ "worker": "w" }),
        ),
        (Method::POST, "subscriptions/page-7/retry", Value::Null),
        (Method::GET, "subscriptions", Value::Null),
    ] {
        let refused = ask(&own, method.clone(), &format!("open/__ds/{path}"), &body)?;
        assert_eq!(refused.status, 403, "{method} {path} {body}: {refused:?}");
    }
    // Nor is another one's, whatever it is called.
    let others = copy("inbox/8", &["chat/1"]);
    ask(
        &writer,
        Method::PUT,
        "open/__ds/subscriptions/page-8",
        &others,
    )?
    .expect(201)?;
    let wakes = json!({ "type": "pull-wake", "wake_stream": "wakes", "streams": ["chat/1"] });
    ask(
        &writer,
        Method::PUT,
        "open/__ds/subscriptions/wakes",
        &wakes,
    )?
    .expect(201)?;
    for id in ["page-8", "wakes", "none"] {
        let path = format!("open/__ds/subscriptions/{id}");
        for method in [Method::GET, Method::DELETE] {
            ask(&own, method, &path, &Value::Null)?.expect(403)?;
        }
        let streams = json!({ "streams": ["chat/2"] });
        ask(&own, Method::POST, &format!("{path}/streams"), &streams)?.expect(403)?;
        ask(
            &own,
            Method::DELETE,
            &format!("{path}/streams/chat%2F1"),
            &Value::Null,
        )?
        .expect(403)?;
    }
    ask(&own, Method::DELETE, sub, &Value::Null)?.expect(204)?;
    ask(&writer, Method::GET, sub, &Value::Null)?.expect(404)?;

    // In a project that is not public it may read nothing but its target, which is none of its sources.
    let own = with(client, &stream_token(SECRET, "p", "write", "inbox"));
    Stream::create(&own, "p/inbox", JSON)?;
    let writer = with(client, &token(SECRET, "p", "write"));
    Stream::create(&writer, "p/chat", JSON)?;
    let public = writer.call(Method::PUT, "/v1/stream/p/public?public=true");
    public.header("content-type", JSON).send()?.expect(201)?;
    for source in ["chat", "public"] {
        let config = copy("inbox", &[source]);
        let refused = ask(&own, Method::PUT, "p/__ds/subscriptions/s", &config)?.expect(403)?;
        assert_eq!(refused.refusal()?.code, "forbidden", "{source}");
    }
    server.stop()
}

#[test]
fn nothing_crosses_projects() -> Result<()> {
    let (server, _state) = server("copies-projects")?;
    let client = server.client();
    let here = with(client, &token(SECRET, "p", "write"));
    let there = with(client, &token(OTHER, "other", "write"));
    let inbox = Stream::create(&here, "p/inbox", JSON)?;
    let own = Stream::create(&here, "p/chat", JSON)?;
    let theirs = Stream::create(&there, "other/chat", JSON)?;
    let everything = json!({
        "type": "copy", "target_stream": "inbox", "pattern": "**", "from": "start",
        "streams": ["other/chat", "../other/chat", "chat"],
    });
    let sub = "p/__ds/subscriptions/s";
    ask(&here, Method::PUT, sub, &everything)?.expect(400)?;
    let everything = json!({
        "type": "copy", "target_stream": "inbox", "pattern": "**", "from": "start",
        "streams": ["other/chat", "chat"],
    });
    ask(&here, Method::PUT, sub, &everything)?.expect(201)?;
    theirs.append("\"theirs\"")?;
    own.append("\"own\"")?;
    holds(&inbox, &[json!("own")])?;
    // A target elsewhere is none of this project.
    let away = copy("other/inbox", &["chat"]);
    Stream::create(&there, "other/inbox", JSON)?;
    let refused = ask(&here, Method::PUT, "p/__ds/subscriptions/t", &away)?.expect(404)?;
    assert_eq!(refused.refusal()?.code, "TARGET_NOT_FOUND");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(inbox.read()?.messages()?, [json!("own")]);
    server.stop()
}

/// Its streams and subscriptions are other objects than those of the project that had its name.
#[test]
fn a_project_that_has_taken_a_name_has_copies_too() -> Result<()> {
    let (server, _state) = server("copies-eras")?;
    let client = server.client();
    let writer = with(client, &token(SECRET, "again", "write"));
    let own = with(client, &stream_token(SECRET, "again", "write", "inbox/7"));
    let chat = Stream::create(&writer, "again/chat", JSON)?;
    let sub = "again/__ds/subscriptions/s";
    for (client, target) in [(&writer, "inbox/8"), (&own, "inbox/7")] {
        let inbox = Stream::create(client, &format!("again/{target}"), JSON)?;
        let config = copy(target, &["chat"]);
        ask(client, Method::PUT, sub, &config)?.expect(201)?;
        let streams = json!({ "streams": ["later"] });
        ask(client, Method::POST, &format!("{sub}/streams"), &streams)?.expect(204)?;
        chat.append("1")?;
        holds(&inbox, &[json!(1)])?;
        ask(client, Method::GET, sub, &Value::Null)?.expect(200)?;
        ask(client, Method::DELETE, sub, &Value::Null)?.expect(204)?;
    }
    server.stop()
}

#[test]
fn pages_of_allowed_origins_have_streams_copied_and_others_learn_nothing() -> Result<()> {
    let (server, _state) = server("copies-pages")?;
    let client = server.client();
    let writer = with(client, &token(SECRET, "p", "write"));
    Stream::create(&writer, "p/inbox", JSON)?;
    Stream::create(&writer, "p/chat", JSON)?;
    let sub = "/v1/stream/p/__ds/subscriptions/s";
    let config = copy("inbox", &["chat"]).to_string();
    for (origin, allowed) in [(APP, Some(APP)), ("https://evil.example", None)] {
        for (path, method) in [
            (sub.to_owned(), "PUT"),
            (format!("{sub}/streams"), "POST"),
            (format!("{sub}/streams/chat"), "DELETE"),
        ] {
            let asks = client
                .call(Method::OPTIONS, &path)
                .header("origin", origin)
                .header("access-control-request-method", method)
                .header(
                    "access-control-request-headers",
                    "authorization,content-type",
                );
            let answer = asks.send()?.expect(204)?;
            let seen = answer.header("access-control-allow-origin");
            assert_eq!(seen, allowed, "{path} from {origin}");
        }
        let put = writer.call(Method::PUT, sub).header("origin", origin);
        let answer = put.send_bytes(config.as_bytes())?;
        assert_eq!(answer.status / 100, 2, "{answer:?}");
        let seen = answer.header("access-control-allow-origin");
        assert_eq!(seen, allowed, "PUT from {origin}");
        let get = client.call(Method::GET, sub).header("origin", origin);
        let refused = get.send()?.expect(401)?;
        let seen = refused.header("access-control-allow-origin");
        assert_eq!(seen, allowed, "a refusal from {origin}");
    }
    server.stop()
}
