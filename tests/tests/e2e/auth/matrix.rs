//! Every route and method, with every credential.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::say;
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{now, sign, stream_token, token};
use serde_json::json;
use ureq::http::Method;

use super::{OTHER_SECRET, SECRET, check_refusal, shared, with, writer};
use crate::JSON;

/// What a request comes with.
struct Credential {
    name: &'static str,
    header: Option<String>,
    /// What a request that may read, and one that may write, is refused with.
    refused: [Option<u16>; 2],
}

fn credentials() -> Vec<Credential> {
    let credential = |name, header: Option<String>, refused| Credential {
        name,
        header,
        refused,
    };
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let ends = |exp| sign(SECRET, &json!({ "sub": "p", "scope": "write", "exp": exp }));
    let right = token(SECRET, "p", "write");
    let unsigned = right
        .rsplit_once('.')
        .map(|(signed, _)| format!("{signed}."));
    let no = |status| [Some(status), Some(status)];
    vec![
        credential("none", None, no(401)),
        credential("empty", bearer(String::new()), no(401)),
        credential("garbage", bearer("garbage".to_owned()), no(401)),
        credential("huge", bearer("x".repeat(10_000)), no(401)),
        credential("another scheme", Some(format!("Basic {right}")), no(401)),
        credential("unsigned", unsigned.and_then(bearer), no(401)),
        credential("cut", bearer(right[..right.len() - 1].to_owned()), no(401)),
        credential(
            "another secret",
            bearer(token(OTHER_SECRET, "p", "write")),
            no(401),
        ),
        credential("expired", bearer(ends(json!(now() - 10))), no(401)),
        credential("without end", bearer(ends(json!(null))), no(401)),
        credential("endless", bearer(ends(json!(1u64 << 63))), no(401)),
        credential("ends as text", bearer(ends(json!("4102444800"))), no(401)),
        credential(
            "another project",
            bearer(token(OTHER_SECRET, "other", "write")),
            no(403),
        ),
        credential(
            "another project, our secret",
            bearer(token(SECRET, "other", "write")),
            no(403),
        ),
        credential(
            "another stream",
            bearer(stream_token(SECRET, "p", "write", "t")),
            no(403),
        ),
        credential(
            "another stream, to read",
            bearer(stream_token(SECRET, "p", "read", "t")),
            no(403),
        ),
        credential(
            "unknown scope",
            bearer(token(SECRET, "p", "admin")),
            no(403),
        ),
        credential(
            "read",
            bearer(token(SECRET, "p", "read")),
            [None, Some(403)],
        ),
        credential(
            "read this stream",
            bearer(stream_token(SECRET, "p", "read", "matrix")),
            [None, Some(403)],
        ),
        credential("write", bearer(right), [None, None]),
        credential(
            "write this stream",
            bearer(stream_token(SECRET, "p", "write", "matrix")),
            [None, None],
        ),
    ]
}

/// What a URL is, to a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The stream `matrix`.
    Matrix,
    /// Another stream, or none, or what is kept about the project.
    Other,
    /// The list of its streams, in which a token for one stream sees that.
    Streams,
    /// What is known of the stream `matrix`, which nobody changes by this.
    Shown,
    /// The keys, which everybody sees.
    Keys,
    /// What a wake token opens, and no other.
    Wake,
}

/// Every kind of URL below a project.
const ROUTES: [(&str, Kind); 34] = [
    ("stream/p/matrix", Kind::Matrix),
    ("streams/p/matrix", Kind::Matrix),
    ("stream/p%2Fmatrix", Kind::Matrix),
    ("streams/p%2fm%61trix", Kind::Matrix),
    ("stream/p%2Fmatrix%2Fbelow", Kind::Other),
    ("streams/p/absent", Kind::Other),
    ("stream/p/matrix?offset=-1", Kind::Matrix),
    ("stream/p/matrix?offset=now", Kind::Matrix),
    ("stream/p/matrix?offset=-1&live=long-poll", Kind::Matrix),
    ("stream/p/matrix?offset=-1&live=sse", Kind::Matrix),
    ("stream/p/matrix?public=true", Kind::Matrix),
    ("stream/p/m%61trix", Kind::Matrix),
    ("stream/p/matrix/below", Kind::Other),
    ("stream/p/absent", Kind::Other),
    ("stream/p/__ds", Kind::Other),
    ("stream/p/__ds/nothing", Kind::Other),
    ("stream/p/__ds/subscriptions", Kind::Other),
    ("stream/p/__ds/subscriptions/x", Kind::Other),
    ("streams/%70/__ds/subscriptions/x", Kind::Other),
    ("stream/p/__ds/subscriptions/x/streams", Kind::Other),
    ("stream/p/__ds/subscriptions/x/streams/matrix", Kind::Other),
    ("stream/p/__ds/subscriptions/x/claim", Kind::Other),
    ("stream/p/__ds/subscriptions/x/retry", Kind::Other),
    ("stream/p/__ds/subscriptions/x/callback", Kind::Wake),
    ("stream/p/__ds/subscriptions/x/ack", Kind::Wake),
    ("stream/p/__ds/subscriptions/x/release", Kind::Wake),
    ("stream/p/__ds/streams", Kind::Streams),
    ("stream/p/__ds/streams?prefix=m&limit=1", Kind::Streams),
    ("stream/p/__ds/streams/matrix", Kind::Shown),
    ("streams/%70/__ds/streams/m%61trix", Kind::Shown),
    ("stream/p/__ds/streams/absent", Kind::Other),
    ("stream/p/__ds/keys/rotate", Kind::Other),
    ("stream/p/__ds/directory/rebuild", Kind::Other),
    ("stream/p/__ds/jwks.json", Kind::Keys),
];

/// Methods, and a header that makes something else of them.
const METHODS: [(&str, Option<(&str, &str)>); 13] = [
    ("GET", None),
    ("HEAD", None),
    ("PUT", None),
    ("PUT", Some(("stream-forked-from", "/v1/stream/p/matrix"))),
    ("PUT", Some(("stream-forked-from", "/v1/streams/other%2Fs"))),
    ("POST", None),
    ("POST", Some(("stream-closed", "true"))),
    ("POST", Some(("stream-truncate-before", "now"))),
    ("DELETE", None),
    ("PATCH", None),
    ("PROPFIND", None),
    ("QUERY", None),
    ("PURGE", None),
];

#[test]
fn every_route_and_method_refuses_every_token_that_does_not_allow_it() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&writer(&client), "p/matrix", JSON)?;
    stream.append("1")?;
    let before = stream.get(START).send()?.expect(200)?;
    let mut table = String::new();
    let (mut cells, mut refused) = (0, 0);
    for credential in credentials() {
        let mut seen = Vec::new();
        let is_limited = credential.name.contains("stream");
        for (route, kind) in ROUTES {
            for (method, more) in METHODS {
                let is_read = matches!(method, "GET" | "HEAD");
                let expected = match credential.refused[usize::from(!is_read)] {
                    _ if kind == Kind::Keys && is_read => None,
                    _ if kind == Kind::Streams && is_read && is_limited => None,
                    // Whoever shows no wake token is refused as one who shows a wrong one.
                    _ if kind == Kind::Wake && method == "POST" => Some(404),
                    None if kind == Kind::Shown && is_read => None,
                    // Limited to a stream that this is not.
                    None if is_limited && kind != Kind::Matrix => Some(403),
                    expected => expected,
                };
                // What is allowed is tried elsewhere; only what must be refused may not change
                // anything, or never end.
                let Some(status) = expected else { continue };
                let method = Method::from_bytes(method.as_bytes())?;
                let mut call = client
                    .call(method.clone(), &format!("/v1/{route}"))
                    .header("origin", "https://evil.example");
                if let Some(header) = &credential.header {
                    call = call.header("authorization", header);
                }
                if let Some((name, value)) = more {
                    call = call.header(name, value);
                }
                if ["PUT", "POST"].contains(&method.as_str()) {
                    call = call.header("content-type", JSON);
                }
                let what = format!("{method} {more:?} {route} with {}", credential.name);
                let answer = call.send().with_context(|| what.clone())?;
                check_refusal(&what, &answer, status)?;
                if method != Method::HEAD {
                    let code = answer.refusal()?.code;
                    let expected = match status {
                        401 => "unauthorized",
                        403 => "forbidden",
                        _ => "SUBSCRIPTION_NOT_FOUND",
                    };
                    ensure!(code == expected, "{what}: {code}");
                }
                refused += 1;
                if !seen.contains(&status) {
                    seen.push(status);
                }
            }
        }
        cells += ROUTES.len() * METHODS.len();
        let _ = writeln!(table, "  {:<28} {seen:?}", credential.name);
    }
    say(&format!(
        "{} credentials × {} routes × {} methods: {cells}, refused as they must be: {refused}\n{table}",
        credentials().len(),
        ROUTES.len(),
        METHODS.len(),
    ));
    let after = stream.get(START).send()?.expect(200)?;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));
    Stream::named(&writer(&client), "p/absent", JSON)
        .head()?
        .expect(404)?;
    Ok(())
}

#[test]
fn what_a_token_allows_is_answered_by_the_stream() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&writer(&client), "p/allowed", JSON)?;
    for method in ["PATCH", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes())?;
        stream.call(method).send()?.expect(405)?;
    }
    let writer = writer(&client);
    for (path, code) in [
        ("p", "unknown_route"),
        ("p/__ds", "SUBSCRIPTION_NOT_FOUND"),
        ("p/__ds/nothing", "SUBSCRIPTION_NOT_FOUND"),
        // The root of all streams is nobody's.
        ("__ds/subscriptions/x", "SUBSCRIPTION_NOT_FOUND"),
        ("__ds/streams", "SUBSCRIPTION_NOT_FOUND"),
        ("__ds/jwks.json", "SUBSCRIPTION_NOT_FOUND"),
        ("unknown/__ds/jwks.json", "SUBSCRIPTION_NOT_FOUND"),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            if path == "unknown/__ds/jwks.json" && method != Method::GET {
                continue;
            }
            let answer = writer.call(method, &format!("/v1/stream/{path}")).send()?;
            let refusal = answer.expect(404)?.refusal()?;
            assert_eq!(refusal.code, code, "{path}");
        }
    }
    for (method, path, allow) in [
        (
            "PATCH",
            "subscriptions/x",
            "GET, HEAD, PUT, DELETE, OPTIONS",
        ),
        ("GET", "subscriptions/x/ack", "POST, OPTIONS"),
        ("POST", "jwks.json", "GET, HEAD, OPTIONS"),
        ("PUT", "subscriptions/x/streams/a", "DELETE, OPTIONS"),
    ] {
        let method = Method::from_bytes(method.as_bytes())?;
        let answer = writer
            .call(method, &format!("/v1/stream/p/__ds/{path}"))
            .send()?;
        assert_eq!(answer.expect(405)?.header("allow"), Some(allow), "{path}");
    }
    for (path, status) in [
        ("subscriptions/%00", 400),
        ("streams?limit=0", 400),
        ("streams?prefx=a", 400),
    ] {
        let call = writer.call(Method::GET, &format!("/v1/stream/p/__ds/{path}"));
        let refusal = call.send()?.expect(status)?.refusal()?;
        assert_eq!(refusal.code, "INVALID_REQUEST", "{path}");
    }
    let put = writer.call(Method::PUT, "/v1/stream/p/__ds/subscriptions/x");
    put.send_bytes(&[b' '; (64 << 10) + 1])?.expect(413)?;
    // A preflight is nobody's, and changes nothing.
    for route in ROUTES {
        let preflight = client.call(Method::OPTIONS, &format!("/v1/{}", route.0));
        preflight.send()?.expect(204)?;
    }
    // One stream, however it is spelled, also in what a token is for.
    let limited = with(&client, &stream_token(SECRET, "p", "write", "deep/er"));
    limited
        .call(Method::PUT, "/v1/stream/p%2Fdeep%2Fer")
        .send()?
        .expect(201)?;
    for path in [
        "stream/p/deep/er",
        "streams/p/deep%2Fer",
        "streams/p%2fdeep/er",
    ] {
        limited
            .call(Method::HEAD, &format!("/v1/{path}"))
            .send()?
            .expect(200)?;
    }
    limited
        .call(Method::HEAD, "/v1/stream/p%2Fdeep")
        .send()?
        .expect(403)?;
    for path in ["p/", "p//s", "p/%2e%2e/other/s", "/p/s"] {
        let status = writer.raw(&format!("GET /v1/stream/{path}"))?.status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    Ok(())
}

#[test]
fn a_header_that_is_no_text_is_no_token() -> Result<()> {
    let client = shared()?;
    for value in [
        &b"Bearer \xff\xfe.\xff.\xff"[..],
        b"Bearer \xc3\xa9.\xc3\xa9.\xc3\xa9",
        b"\xff",
    ] {
        let header = [b"Authorization: ", value, b"\r\n"].concat();
        for method in ["GET", "PUT", "DELETE"] {
            let line = format!("{method} /v1/stream/p/matrix");
            check_refusal(&line, &client.raw_with(&line, &header)?, 401)?;
        }
    }
    Ok(())
}

#[test]
fn a_project_that_does_not_exist_says_no_more_than_one_that_does() -> Result<()> {
    let client = shared()?;
    let bodies = |project: &str| {
        let wrong = token(OTHER_SECRET, project, "write");
        let call = |client: &Client| {
            let path = format!("/v1/stream/{project}/s");
            anyhow::Ok(client.call(Method::GET, &path).send()?.expect(401)?.text())
        };
        anyhow::Ok((call(&client)?, call(&with(&client, &wrong))?))
    };
    assert_eq!(bodies("p")?, bodies("unknown")?);
    Ok(())
}
