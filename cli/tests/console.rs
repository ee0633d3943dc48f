//! The console, in front of a server that a test stands for.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use common::{
    Place,
    console::{Console, OURS, head, leave},
    stand_in::{StandIn, said},
};
use serde_json::{Value, json};

const SECRET: &str = "Bearer nobody-must-see-this";

fn named(place: &Place, server: &str) -> Console {
    let args = ["--port", "0", "--url", server];
    Console::start(place, &args, &[("STREAM_AUTH", SECRET)])
}

#[test]
fn the_page_is_served_for_itself_alone() {
    let place = Place::new();
    let console = named(&place, "http://127.0.0.1:9");
    for line in ["GET /", "HEAD /"] {
        let page = console.ask(line, &[], "");
        assert_eq!(page.status, 200);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.body.is_empty(), line == "HEAD /");
    }
    for answer in [
        console.ask("GET /", &[], ""),
        console.ask("GET /nothing", &[OURS], ""),
        console.page("GET /api/console", ""),
        console.ask("GET /", &[("Host", "evil.example")], ""),
    ] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    console
        .page("GET /index.htm", "")
        .refused(404, "not_found", "/index.htm");
    console
        .page("GET /v1/streams/x", "")
        .refused(404, "not_found", "/v1/streams/x");
    console
        .page("PUT /", "")
        .refused(405, "method_not_allowed", "GET");
    let said = console.end();
    assert!(!said.contains("nobody-must-see"), "{said}");
}

#[test]
fn foreign_pages_are_refused_before_anything_is_asked() {
    let place = Place::new();
    let server = StandIn::answering(|_| (200, json!({})));
    let console = named(&place, &server.url);
    let ours = format!("http://{}", console.host());
    for line in [
        "GET /v1/stream/a",
        "POST /v1/stream/a",
        "DELETE /v1/stream/a",
        "GET /api/console",
        "POST /api/tokens",
        "OPTIONS /v1/stream/a",
    ] {
        let ask = |headers: &[(&str, &str)]| console.ask(line, headers, "");
        ask(&[OURS, ("Host", "evil.example")]).refused(421, "unknown_host", "evil.example");
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            ask(&[OURS, ("Origin", origin)]).refused(403, "foreign_page", origin);
        }
        for site in ["cross-site", "same-site"] {
            ask(&[OURS, ("Sec-Fetch-Site", site)]).refused(403, "foreign_page", site);
        }
        ask(&[("Origin", &ours)]).refused(403, "foreign_page", "X-Console");
    }
    // A preflight is refused like all else, and nothing allows the header.
    let preflight = [
        ("Origin", "http://evil.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "x-console"),
    ];
    let refused = console.ask("OPTIONS /v1/stream/a", &preflight, "");
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .head
            .iter()
            .all(|(name, _)| !name.starts_with("access-control"))
    );
    assert_eq!(server.lines(), [""; 0]);
    let same = [
        OURS,
        ("Origin", ours.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    assert_eq!(console.ask("GET /v1/stream/a", &same, "").status, 200);
}

#[test]
fn what_is_about_the_stream_goes_through_and_nothing_else() {
    let place = Place::new();
    let server = StandIn::saying(|_| {
        let headers = [
            ("Content-Type", "text/html"),
            ("Stream-Next-Offset", "0_5"),
            ("Producer-Seq", "7"),
            ("Ds-Unrotated", "5"),
            ("ETag", "\"x\""),
            ("Server-Timing", "rows;desc=1"),
            ("Location", "http://h/v1/stream/a"),
            ("Retry-After", "3"),
            ("Cache-Control", "public, max-age=60"),
            ("Set-Cookie", "a=b"),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", "*"),
        ];
        said(200, &headers, "<script>")
    });
    let console = named(&place, &server.url);
    let sent = [
        OURS,
        ("Content-Type", "application/json"),
        ("Producer-Id", "p"),
        ("Stream-Closed", "true"),
        ("If-Match", "\"0_0\""),
        ("If-None-Match", "\"y\""),
        ("Accept", "text/event-stream"),
        ("Authorization", "Bearer of-the-page"),
        ("Cookie", "a=b"),
        ("X-Forwarded-Host", "evil.example"),
        ("Referer", "http://localhost/"),
    ];
    let line = "POST /v1/stream/a%20b/c%2Fd?offset=now&x=%C3%A9";
    let answer = console.ask(line, &sent, r#"{"n":1}"#);
    let got = server.sent().pop().unwrap();
    assert_eq!(got.line(), line);
    assert_eq!(got.body, json!({ "n": 1 }));
    assert_eq!(got.header("authorization"), Some(SECRET));
    for (name, value) in [
        ("content-type", "application/json"),
        ("producer-id", "p"),
        ("stream-closed", "true"),
        ("if-match", "\"0_0\""),
        ("if-none-match", "\"y\""),
        ("accept", "text/event-stream"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    for name in [
        "cookie",
        "origin",
        "x-console",
        "x-forwarded-host",
        "referer",
    ] {
        assert_eq!(got.header(name), None, "{name}");
    }
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"<script>");
    for (name, value) in [
        ("content-type", "text/html"),
        ("stream-next-offset", "0_5"),
        ("producer-seq", "7"),
        ("ds-unrotated", "5"),
        ("etag", "\"x\""),
        ("server-timing", "rows;desc=1"),
        ("location", "http://h/v1/stream/a"),
        ("retry-after", "3"),
        // It is the console's own answer by now.
        ("cache-control", "no-store"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'; sandbox",
        ),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    for name in [
        "set-cookie",
        "access-control-allow-origin",
        "access-control-expose-headers",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }

    for line in [
        "GET /v1/stream/__ds/streams?prefix=a",
        "DELETE /v1/stream/a/__ds/subscriptions/x",
    ] {
        assert_eq!(console.page(line, "").status, 200);
        assert_eq!(server.sent().pop().unwrap().line(), line);
    }
    let head = console.page("HEAD /v1/stream/a", "");
    assert_eq!(head.header("stream-next-offset"), Some("0_5"));
    assert!(head.body.is_empty());

    let asked = server.lines().len();
    console
        .page("PATCH /v1/stream/a", "")
        .refused(405, "method_not_allowed", "PATCH");
    for path in [
        "",
        "/",
        "/..",
        "/a/../../x",
        "/a/%2e%2E/x",
        "/./a",
        "/a\\..\\x",
    ] {
        let answer = console.page(&format!("GET /v1/stream{path}"), "");
        assert!(matches!(answer.status, 400 | 404), "{path} {answer:?}");
    }
    assert_eq!(server.lines().len(), asked);

    let log = console.end();
    assert!(
        log.contains("POST /v1/stream/a%20b/c%2Fd … 200 in "),
        "{log}"
    );
    for never in ["nobody-must-see", "of-the-page", "offset=now"] {
        assert!(!log.contains(never), "{log}");
    }
}

#[test]
fn a_server_that_is_away_or_names_streams_elsewhere_is_told_of() {
    let place = Place::new();
    let console = named(&place, "http://127.0.0.1:9");
    let away = console.page("GET /v1/stream/a", "");
    away.refused(502, "server_unreachable", "http://127.0.0.1:9/v1/stream: ");
    let document = console.page("GET /api/console", "").json();
    let expected = json!({
        "server": "http://127.0.0.1:9",
        "root": "http://127.0.0.1:9/v1/stream",
        "isRemote": false,
        "project": null,
        "projects": null,
        "canMakeTokens": false,
        "version": env!("CARGO_PKG_VERSION"),
        "environment": null,
    });
    assert_eq!(document, expected);
    for line in [
        "GET /api/projects",
        "POST /api/projects",
        "POST /api/tokens",
        "DELETE /api/projects/x",
        "GET /api/usage",
    ] {
        let body = match line {
            "POST /api/tokens" => r#"{"project":"x","scope":"read"}"#,
            "GET /api/projects" | "GET /api/usage" => "",
            _ => r#"{"name":"x"}"#,
        };
        console
            .page(line, body)
            .refused(404, "no_projects", "no projects");
    }
    console
        .page("POST /api/console", "")
        .refused(405, "method_not_allowed", "GET");
    console
        .page("GET /api/x", "")
        .refused(404, "not_found", "/api/x");
    drop(console);

    // The paths in headers are those that the page knows.
    let server = StandIn::saying(|_| said(201, &[("Stream-Forked-From", "/streams/x/s")], ""));
    let root = format!("{}/streams/x", server.url);
    let console = named(&place, &root);
    let fork = [OURS, ("Stream-Forked-From", "/v1/stream/s")];
    let made = console.ask("PUT /v1/stream/a", &fork, "");
    assert_eq!(made.header("stream-forked-from"), Some("/v1/stream/s"));
    let got = server.sent().pop().unwrap();
    assert_eq!(got.line(), "PUT /streams/x/a");
    assert_eq!(got.header("stream-forked-from"), Some("/streams/x/s"));
    let document = console.page("GET /api/console", "").json();
    assert_eq!(document["server"], root.as_str());
    assert_eq!(document["root"], root.as_str(), "streams are below it");
}

/// A server of one connection, which a test answers bit by bit.
fn one_connection(
    console: impl FnOnce(&str) -> Console,
    line: &str,
) -> (Console, TcpStream, BufReader<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let console = console(&format!("http://{}", listener.local_addr().unwrap()));
    let reader = console.send(line, &[OURS], "");
    let (server, _) = listener.accept().unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    head(&mut BufReader::new(server.try_clone().unwrap()));
    (console, server, BufReader::new(reader))
}

/// Waits until the other side has gone.
fn is_left(mut server: TcpStream) {
    let mut rest = Vec::new();
    match server.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn events_come_one_by_one_and_who_leaves_is_noticed() {
    let place = Place::new();
    let line = "GET /v1/stream/a?offset=-1&live=sse";
    let (console, mut server, mut reader) = one_connection(|url| named(&place, url), line);
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    // The head comes before any event.
    let (status, headers) = head(&mut reader);
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".to_owned(), "text/event-stream".to_owned())));
    for n in 0..3 {
        let event = format!("data: {n}\n\n");
        write!(server, "{:x}\r\n{event}\r\n", event.len()).unwrap();
        // It is there before the next is sent, and before anything ends.
        let mut got = String::new();
        while !got.contains(&event) {
            assert_ne!(reader.read_line(&mut got).unwrap(), 0);
        }
    }
    leave(reader.get_ref());
    is_left(server);

    // So is who leaves before there is an answer, as from a long-poll.
    let (_console, server, reader) = one_connection(|url| named(&place, url), line);
    leave(reader.get_ref());
    is_left(server);
    drop(console);
}

#[test]
fn an_answer_that_breaks_off_breaks_off() {
    let place = Place::new();
    let (_console, mut server, mut reader) =
        one_connection(|url| named(&place, url), "GET /v1/stream/a");
    server
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .unwrap();
    assert_eq!(head(&mut reader).0, 200);
    leave(&server);
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    let rest = String::from_utf8(rest).unwrap();
    assert!(
        rest.contains("abc") && !rest.contains("\r\n0\r\n"),
        "{rest:?}"
    );
}

#[test]
fn what_is_sent_goes_on_while_it_comes() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let console = named(
        &place,
        &format!("http://{}", listener.local_addr().unwrap()),
    );
    let chunked = [OURS, ("Transfer-Encoding", "chunked")];
    let mut sender = console.send("POST /v1/stream/a", &chunked, "");
    sender.write_all(b"3\r\nabc\r\n").unwrap();
    let (server, _) = listener.accept().unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut server = BufReader::new(server);
    head(&mut server);
    let mut line = |text: &str| {
        let mut got = String::new();
        while !got.contains(text) {
            assert_ne!(server.read_line(&mut got).unwrap(), 0);
        }
    };
    line("abc");
    sender.write_all(b"3\r\ndef\r\n0\r\n\r\n").unwrap();
    line("def");
}

#[test]
fn it_listens_where_it_is_told_to() {
    let place = Place::new();
    let console = named(&place, "http://127.0.0.1:9");
    let host = console.host();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
    let port = host.strip_prefix("127.0.0.1:").unwrap();
    let same = ["console", "--port", port, "--url", "http://127.0.0.1:9"];
    place.run(&same).fails(
        1,
        &[&format!("port {port} of 127.0.0.1 is not free"), "--port"],
    );
    // Where none is named, it is another one.
    let two = [(); 2].map(|()| Console::start(&place, &["--url", "http://127.0.0.1:9"], &[]));
    assert_ne!(two[0].document, two[1].document);

    place
        .run(&["console"])
        .fails(1, &["no server is named", "--url"]);
    let unsafe_url = [
        "console",
        "--url",
        "http://streams.example",
        "--token",
        "x",
        "--json",
    ];
    place.run(&unsafe_url).fails_with_json("is no https URL");
    let said: Value = console.document.clone();
    assert_eq!(said["server"], "http://127.0.0.1:9");
}
