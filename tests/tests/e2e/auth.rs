//! Project tokens on the real runtime.

use std::fmt::Write;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::say;
use durable_streams_tests::server::{Kv, Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{now, record, sign, stream_token, token};
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

/// Every kind of URL below a project, and whether a token for the stream `matrix` is for it.
const ROUTES: [(&str, bool); 12] = [
    ("matrix", true),
    ("matrix?offset=-1", true),
    ("matrix?offset=now", true),
    ("matrix?offset=-1&live=long-poll", true),
    ("matrix?offset=-1&live=sse", true),
    ("matrix?public=true", true),
    ("m%61trix", true),
    ("matrix/below", false),
    ("absent", false),
    ("__ds", false),
    ("__ds/subscriptions/x", false),
    ("__ds/subscriptions/x/ack", false),
];

const METHODS: [&str; 9] = [
    "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "PROPFIND", "QUERY", "PURGE",
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
        for (route, is_matrix) in ROUTES {
            for method in METHODS {
                let is_read = matches!(method, "GET" | "HEAD");
                let expected = match credential.refused[usize::from(!is_read)] {
                    // Limited to a stream that this is not.
                    None if credential.name.ends_with("this stream") && !is_matrix => Some(403),
                    expected => expected,
                };
                // What is allowed is tried elsewhere; only what must be refused may not change
                // anything, or never end.
                let Some(status) = expected else { continue };
                let method = Method::from_bytes(method.as_bytes())?;
                let mut call = client
                    .call(method.clone(), &format!("/v1/stream/p/{route}"))
                    .header("origin", "https://evil.example");
                if let Some(header) = &credential.header {
                    call = call.header("authorization", header);
                }
                if ["PUT", "POST"].contains(&method.as_str()) {
                    call = call.header("content-type", JSON);
                }
                let what = format!("{method} {route} with {}", credential.name);
                let answer = call.send().with_context(|| what.clone())?;
                check_refusal(&what, &answer, status)?;
                if method != Method::HEAD {
                    let code = answer.refusal()?.code;
                    let expected = if status == 401 {
                        "unauthorized"
                    } else {
                        "forbidden"
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
    for path in ["p", "p/__ds", "p/__ds/subscriptions/x"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = writer.call(method, &format!("/v1/stream/{path}")).send()?;
            let refusal = answer.expect(404)?.refusal()?;
            assert_eq!(refusal.code, "unknown_route", "{path}");
        }
    }
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

#[test]
fn a_public_stream_is_read_by_everyone_for_its_life() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str| {
        let target = format!("/v1/stream/p/news{query}");
        let call = writer
            .call(Method::PUT, &target)
            .header("content-type", JSON);
        call.send()
    };
    let stream = Stream::named(&writer, "p/news", JSON);
    let anyone = stream.on(&client);
    put("?public=yes")?.expect(400)?;
    anyone.get("-1").send()?.expect(401)?;
    put("?public=true")?.expect(201)?;
    put("?public=true")?.expect(200)?;
    put("")?.expect(409)?;
    stream.append("1")?;

    let bad = anyone.get("-1").header("authorization", "Bearer garbage");
    for read in [anyone.get("-1"), bad] {
        let page = read.send()?.expect(200)?;
        assert_eq!(page.text(), "[1]");
        let caching = page.header("cache-control").context("no Cache-Control")?;
        assert!(caching.starts_with("public, "), "{caching}");
    }
    anyone.head()?.expect(200)?;
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        check_refusal("a change", &anyone.call(method).send()?, 401)?;
    }
    Stream::named(&client, "p/news/below", JSON)
        .head()?
        .expect(401)?;

    // A stream that takes its place is another one, and private unless it says otherwise.
    stream.call(Method::DELETE).send()?.expect(204)?;
    anyone.get("-1").send()?.expect(401)?;
    put("")?.expect(201)?;
    put("?public=true")?.expect(409)?;
    anyone.get("-1").send()?.expect(401)?;
    stream.head()?.expect(200)?;
    Ok(())
}

#[test]
fn a_private_stream_in_the_place_of_an_expired_public_one_is_private() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str, ttl: &str| {
        let target = format!("/v1/stream/p/fleeting{query}");
        let call = writer
            .call(Method::PUT, &target)
            .header("content-type", JSON);
        call.header("stream-ttl", ttl).send()
    };
    let anyone = Stream::named(&client, "p/fleeting", JSON);
    put("?public=true", "1")?.expect(201)?;
    anyone.head()?.expect(200)?;
    sleep(Duration::from_millis(1500));
    // It is still registered: nothing has told the registry of its end.
    anyone.head()?.expect(401)?;
    put("", "60")?.expect(201)?;
    anyone.get("-1").send()?.expect(401)?;
    anyone.head()?.expect(401)?;
    Ok(())
}

#[test]
fn everyone_reads_in_a_public_project() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(
        &with(&client, &token(SECRET, "open", "write")),
        "open/s",
        JSON,
    )?;
    stream.append("1")?;
    let anyone = stream.on(&client);
    let page = anyone.get("-1").send()?.expect(200)?;
    assert_eq!(page.text(), "[1]");
    assert_eq!(
        page.header("cache-control"),
        Some("public, max-age=60, stale-while-revalidate=300")
    );
    anyone.post().send_bytes(b"1")?.expect(401)?;
    anyone.call(Method::DELETE).send()?.expect(401)?;
    Ok(())
}

#[test]
fn pages_of_allowed_origins_are_let_in_and_others_learn_nothing() -> Result<()> {
    let client = shared()?;
    let right = with(&client, &token(SECRET, "pages", "write"));
    let stream = Stream::create(&right, "pages/s", JSON)?;
    let from = |origin: &str| {
        let calls = [
            stream
                .get("-1")
                .header("origin", origin)
                .send()?
                .expect(200)?,
            stream
                .post()
                .header("origin", origin)
                .send_bytes(b"1")?
                .expect(204)?,
            stream
                .on(&client)
                .get("-1")
                .header("origin", origin)
                .send()?
                .expect(401)?,
        ];
        anyhow::Ok(calls)
    };
    for answer in from(APP)? {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(APP),
            "{answer:?}"
        );
        assert_eq!(answer.header("access-control-expose-headers"), Some("*"));
        assert!(
            answer
                .header("vary")
                .is_some_and(|vary| vary.contains("Origin"))
        );
    }
    for other in [
        "https://evil.example",
        "https://app.example.evil.example",
        "null",
        "http://app.example",
    ] {
        for answer in from(other)? {
            assert_eq!(
                answer.header("access-control-allow-origin"),
                None,
                "{other}"
            );
            assert_eq!(
                answer.header("access-control-expose-headers"),
                None,
                "{other}"
            );
            assert!(
                answer
                    .header("vary")
                    .is_some_and(|vary| vary.contains("Origin"))
            );
        }
    }
    Ok(())
}

#[test]
fn a_preflight_needs_no_token_and_names_every_header() -> Result<()> {
    let client = shared()?;
    let preflight = |path: &str, origin: &str| {
        let call = client.call(Method::OPTIONS, &format!("/v1/stream/{path}"));
        let call = call.header("origin", origin);
        let call = call.header("access-control-request-method", "PUT");
        call.send()?.expect(204)
    };
    let open = preflight("pages/s", APP)?;
    assert_eq!(open.header("access-control-allow-origin"), Some(APP));
    let allowed = open
        .header("access-control-allow-headers")
        .context("no headers")?;
    for name in [
        "Authorization",
        "Content-Type",
        "If-None-Match",
        "Producer-Id",
        "Producer-Epoch",
        "Producer-Seq",
        "Stream-Closed",
        "Stream-Expires-At",
        "Stream-Fork-Offset",
        "Stream-Fork-Sub-Offset",
        "Stream-Forked-From",
        "Stream-Seq",
        "Stream-TTL",
    ] {
        assert!(
            allowed.split(", ").any(|one| one == name),
            "{name}: {allowed}"
        );
    }
    for (path, origin) in [
        ("pages/s", "https://evil.example"),
        ("p/s", APP),
        ("unknown/s", APP),
        ("p", APP),
    ] {
        let closed = preflight(path, origin)?;
        let leaked = closed.headers.keys().map(|name| name.as_str());
        let leaked: Vec<_> = leaked
            .filter(|name| name.starts_with("access-control"))
            .collect();
        assert!(leaked.is_empty(), "{path} from {origin}: {leaked:?}");
    }
    Ok(())
}

#[test]
fn a_busy_project_costs_no_kv_read_per_request() -> Result<()> {
    let (server, _state) = server("auth-kv", Kv::Counted)?;
    let client = writer(server.client());
    let stream = Stream::create(&client, "p/busy", JSON)?;
    let reader = stream.on(&with(server.client(), &token(SECRET, "p", "read")));
    let before = server.calls()?;
    assert_eq!((before.kv_reads, before.kv_writes), (1, 0));
    let start = Instant::now();
    for _ in 0..500 {
        stream.append("1")?;
        reader.get(START).send()?.expect(200)?;
    }
    let took = start.elapsed();
    let after = server.calls()?;
    say(&format!(
        "1000 requests in {took:.1?}: {} KV reads",
        after.kv_reads - before.kv_reads
    ));
    // One for each half minute that begins.
    let most = u32::try_from(took.as_secs() / 30 + 1)?;
    assert!(after.kv_reads - before.kv_reads <= most, "{after:?}");
    assert_eq!(after.kv_writes, 0);

    for at in 0..100 {
        Stream::create(&client, &format!("p/private-{at}"), JSON)?;
    }
    assert_eq!(server.calls()?.kv_writes, 0, "private streams");
    let public = client.call(Method::PUT, "/v1/stream/p/public?public=true");
    public.send()?.expect(201)?;
    assert_eq!(server.calls()?.kv_writes, 1, "a public stream");
    server.stop()
}

#[test]
fn public_streams_come_and_go_as_fast_as_anyone_wants() -> Result<()> {
    let (server, _state) = server("auth-kv-busy", Kv::Busy)?;
    let client = writer(server.client());
    let path = "/v1/stream/p/hasty";
    let anyone = || server.client().call(Method::GET, path).send();
    for _ in 0..2 {
        let public = client.call(Method::PUT, "/v1/stream/p/hasty?public=true");
        public.send()?.expect(201)?;
        anyone()?.expect(200)?;
        client.call(Method::DELETE, path).send()?.expect(204)?;
        anyone()?.expect(401)?;
    }
    server.stop()
}

#[test]
fn reads_without_a_token_ask_kv_only_now_and_then() -> Result<()> {
    let (server, _state) = server("auth-kv-anyone", Kv::Counted)?;
    let client = writer(server.client());
    client
        .call(Method::PUT, "/v1/stream/p/public?public=true")
        .send()?
        .expect(201)?;
    let before = server.calls()?.kv_reads;
    let start = Instant::now();
    for _ in 0..100 {
        for (stream, status) in [("public", 200), ("private", 401)] {
            let path = format!("/v1/stream/p/{stream}");
            server
                .client()
                .call(Method::GET, &path)
                .send()?
                .expect(status)?;
        }
    }
    // A miss is looked up again after five seconds.
    let most = u32::try_from(start.elapsed().as_secs() / 5 + 2)?;
    let reads = server.calls()?.kv_reads - before;
    say(&format!("200 reads without a token: {reads} KV reads"));
    assert!(reads <= most, "{reads}");
    server.stop()
}

#[test]
fn a_registry_that_does_not_answer_is_503_and_a_missing_one_500() -> Result<()> {
    for (kv, status, code, log) in [
        (
            Kv::Failing,
            503,
            "registry_unavailable",
            "KV is out of order",
        ),
        (
            Kv::Silent,
            503,
            "registry_unavailable",
            "no answer from KV within 5 s",
        ),
        (
            Kv::Missing,
            500,
            "misconfigured",
            "the KV binding REGISTRY is missing",
        ),
    ] {
        let (server, _state) = server("auth-kv-broken", kv)?;
        let stream = Stream::named(&writer(server.client()), "p/s", JSON);
        let answers = [
            stream.put().send()?.expect(status)?,
            stream.get("-1").send()?.expect(status)?,
        ];
        for answer in &answers {
            assert_eq!(answer.refusal()?.code, code);
        }
        // Nobody has to be asked about a request without a token that changes something.
        stream.on(server.client()).put().send()?.expect(401)?;
        let found = server.log()?;
        assert!(found.contains(log), "{found}");
        server.stop()?;
    }
    let broken = token(SECRET, "broken", "read");
    let answer = with(&shared()?, &broken)
        .call(Method::GET, "/v1/stream/broken/s")
        .send()?;
    let message = answer.expect(500)?.refusal()?.message;
    assert!(!message.contains("broken"), "{message}");
    Ok(())
}

#[test]
fn a_key_in_kv_can_decide_instead() -> Result<()> {
    let state = Scratch::new("api-keys-state")?;
    let setup = Setup {
        entries: vec![("api-keys/k1", "mine/".to_owned())],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ApiKeys)?, &state, &setup)?;
    let client = server.client();
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
    server.stop()
}

/// A server whose live reads end soon by themselves, but not as soon as the tokens of the test.
fn live_server(name: &str) -> Result<(Server, Scratch)> {
    let state = Scratch::new(name)?;
    let setup = Setup {
        vars: &[
            ("SSE_TIMEOUT_MS", "20000"),
            ("LONG_POLL_TIMEOUT_MS", "20000"),
        ],
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    Ok((server, state))
}

#[test]
fn no_live_reader_outlives_its_token() -> Result<()> {
    let (server, _state) = live_server("auth-live")?;
    let client = server.client();
    let stream = Stream::create(&writer(client), "p/live", JSON)?;
    stream.append("1")?;
    for (live, in_url, status) in [
        ("sse", false, 200),
        ("sse", true, 200),
        ("long-poll", false, 204),
    ] {
        let ends = now() + 3;
        let token = sign(SECRET, &json!({ "sub": "p", "scope": "read", "exp": ends }));
        let (client, parameter) = match in_url {
            true => (client.clone(), format!("&token={token}")),
            false => (with(client, &token), String::new()),
        };
        let target = format!("{}?offset=now&live={live}{parameter}", stream.path());
        let start = Instant::now();
        let answer = client.call(Method::GET, &target).send()?.expect(status)?;
        let took = start.elapsed();
        say(&format!(
            "a token of 3 s, {live}, in the URL: {in_url}: ended after {took:.1?}"
        ));
        assert!(now() >= ends, "{live} ended early, after {took:?}");
        assert!(took < Duration::from_secs(6), "{live} took {took:?}");
        if live == "sse" {
            let text = answer.text();
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert!(text.contains("event: control"), "{text}");
        }
    }
    server.stop()
}

#[test]
fn a_token_in_a_url_is_short_lived_and_for_events_only() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&writer(&client), "p/events", JSON)?;
    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    let status = |method: Method, live: &str, scope: &str, lasts: u64| {
        let claims = json!({ "sub": "p", "scope": scope, "exp": now() + lasts });
        let token = sign(SECRET, &claims);
        let target = format!("{}?offset=-1{live}&token={token}", stream.path());
        let call = client.call(method, &target).header("content-type", JSON);
        anyhow::Ok(call.send()?.status)
    };
    assert_eq!(status(Method::GET, "&live=sse", "read", 290)?, 200);
    assert_eq!(status(Method::GET, "&live=sse", "read", 400)?, 403);
    assert_eq!(status(Method::GET, "&live=sse", "write", 60)?, 403);
    assert_eq!(status(Method::GET, "&live=long-poll", "read", 60)?, 401);
    assert_eq!(status(Method::GET, "", "read", 60)?, 401);
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(status(method, "&live=sse", "write", 60)?, 401);
    }
    Ok(())
}

#[test]
fn everyone_follows_a_public_stream_and_nobody_the_private_one_after_it() -> Result<()> {
    let client = shared()?;
    let writer = writer(&client);
    let put = |query: &str| {
        let target = format!("/v1/stream/p/ticker{query}");
        let call = writer.call(Method::PUT, &target);
        let call = call.header("content-type", JSON).header("stream-ttl", "1");
        call.header("stream-closed", "true").send_bytes(b"1")
    };
    let live = |mode: &str| {
        let target = format!("/v1/stream/p/ticker?offset=-1&live={mode}");
        client.call(Method::GET, &target).send()
    };
    put("?public=true")?.expect(201)?;
    let events = live("sse")?.expect(200)?.text();
    assert!(events.starts_with("event: data\n"), "{events}");
    assert_eq!(live("long-poll")?.expect(200)?.text(), "[1]");
    sleep(Duration::from_millis(1500));
    put("")?.expect(201)?;
    live("sse")?.expect(401)?;
    live("long-poll")?.expect(401)?;
    Ok(())
}
