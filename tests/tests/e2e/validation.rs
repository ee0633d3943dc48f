//! Requests that break a rule: refused with a reason, and without a trace.

use anyhow::{Context, Result};
use durable_streams_tests::http::{Call, Response};
use durable_streams_tests::stream::{START, Stream};
use ureq::http::Method;

use crate::{JSON, shared};

/// Holds for every refusal, whatever its reason.
fn check_refusal(what: &str, answer: &Response) -> Result<()> {
    let refusal = answer.refusal().with_context(|| what.to_owned())?;
    assert!(!refusal.code.is_empty(), "{what}");
    assert!(!refusal.message.is_empty(), "{what}");
    let has = |name: &str, value: &str| {
        assert_eq!(answer.header(name), Some(value), "{name} of {what}");
    };
    has("content-type", JSON);
    has("cache-control", "no-store");
    has("x-content-type-options", "nosniff");
    Ok(())
}

/// Sends a request that must be refused with 400 and a message that names what is at fault.
fn refused(what: &str, field: &str, answer: Result<Response>) -> Result<()> {
    let answer = answer?.expect(400).with_context(|| what.to_owned())?;
    check_refusal(what, &answer)?;
    let message = answer.refusal()?.message;
    assert!(message.contains(field), "{what}: {message}");
    Ok(())
}

#[test]
fn paths_that_name_no_stream_are_refused() -> Result<()> {
    let client = shared()?;
    let longest = "x".repeat(512);
    let too_long = "x".repeat(513);
    let bad = [
        "", "/", "a/", "a//b", "//a", "%00", "a%0Ab", "%7f", "%zz", "%", "a%4", "%ff", "a%2F",
        "a%2f%2fb", &too_long,
    ];
    for path in bad {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            let line = format!("{method} /v1/stream/{path}");
            let answer = client.raw(&line)?.expect(400).context(line.clone())?;
            if method != "HEAD" {
                check_refusal(&line, &answer)?;
            }
        }
    }
    let stream = Stream::create(&client, &longest, JSON)?;
    stream.head()?.expect(200)?;
    Ok(())
}

#[test]
fn bytes_that_are_no_text_name_no_stream() -> Result<()> {
    // The runtime puts the same character in the place of each of them.
    for path in [&b"caf\xe9"[..], b"caf\xe8", b"caf%EF%BF%BD"] {
        let line = [b"PUT /v1/stream/validation/", path].concat();
        let answer = shared()?.raw_bytes(&line, b"", b"")?;
        refused(
            &String::from_utf8_lossy(&line),
            "the stream path",
            Ok(answer),
        )?;
    }
    Ok(())
}

#[test]
fn dots_in_a_path_never_lead_out_of_it() -> Result<()> {
    let client = shared()?;
    // URLs are normalised before the worker sees them: what is left is no stream's path, or one
    // that nobody created.
    let paths = [
        "/v1/stream/..",
        "/v1/stream/../..",
        "/v1/stream/../../etc/passwd",
        "/v1/stream/%2e%2e/x",
        "/v1/stream/a/../../x",
        "/v1/stream/a/%2E%2e/validation/dots",
        "/v1/stream/.%2e/stream/validation/dots",
        "/v1/stream/..\\..\\x",
        "/../../../v1/x",
    ];
    for path in paths {
        let line = format!("GET {path}");
        let answer = client.raw(&line)?;
        assert!(matches!(answer.status, 400 | 404), "{line}: {answer:?}");
        check_refusal(&line, &answer)?;
    }
    // An absurd request line is refused by the runtime or by us; either way the server lives.
    let absurd = format!("GET /v1/stream/{}", "a/".repeat(4000));
    let status = client.raw(&absurd)?.status;
    assert!((400..500).contains(&status), "{status}");
    Stream::create(&client, "validation/alive", JSON)?;
    Ok(())
}

#[test]
fn different_spellings_of_a_path_are_one_stream() -> Result<()> {
    let client = shared()?;
    Stream::create(&client, "validation/sp%61ce%20%C3%A9", JSON)?.append("1")?;
    let same = Stream::named(&client, "validation/space%20%c3%a9", JSON);
    assert_eq!(same.read()?.messages()?, [1]);
    // Two stream paths that only look alike are two.
    for other in ["validation/space%2520%c3%a9", "validation/Space%20%c3%a9"] {
        Stream::named(&client, other, JSON).head()?.expect(404)?;
    }
    Ok(())
}

#[test]
fn other_paths_and_methods_are_told_apart() -> Result<()> {
    let client = shared()?;
    for path in [
        "/",
        "/v1",
        "/v1/stream",
        "/v1/streams/a",
        "/v2/stream/a",
        "/favicon.ico",
    ] {
        let answer = client.call(Method::GET, path).send()?.expect(404)?;
        check_refusal(path, &answer)?;
    }
    let stream = Stream::create(&client, "validation/methods", JSON)?;
    for method in ["PATCH", "PROPFIND"] {
        let answer = client
            .raw(&format!("{method} {}", stream.path()))?
            .expect(405)?;
        check_refusal(method, &answer)?;
        let allowed = answer.header("allow").context("no Allow")?;
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            assert!(allowed.split(", ").any(|name| name == method), "{allowed}");
        }
    }
    Ok(())
}

#[test]
fn a_creation_with_a_bad_header_makes_no_stream() -> Result<()> {
    let client = shared()?;
    let stream = Stream::named(&client, "validation/create", JSON);
    let ttls = [
        "-1",
        "+1",
        "01",
        "1.5",
        "1e3",
        "0x10",
        "1s",
        "1 2",
        "9007199254740993",
    ];
    for ttl in ttls {
        let put = stream.put().header("stream-ttl", ttl);
        refused(ttl, "Stream-TTL", put.send_bytes(b"1"))?;
    }
    let dates = [
        "tomorrow",
        "2030-01-01",
        "2030-13-01T00:00:00Z",
        "2030-01-01T00:00:00",
        "0",
    ];
    for date in dates {
        let put = stream.put().header("stream-expires-at", date);
        refused(date, "Stream-Expires-At", put.send_bytes(b"1"))?;
    }
    let both = stream.put().header("stream-ttl", "60");
    let both = both.header("stream-expires-at", "2099-01-01T00:00:00Z");
    let answer = both.send_bytes(b"1")?.expect(400)?;
    let message = answer.refusal()?.message;
    assert!(
        message.contains("Stream-TTL") && message.contains("Stream-Expires-At"),
        "{message}"
    );

    for content_type in ["json", "/", "a/b/c;"] {
        let put = stream
            .call(Method::PUT)
            .header("content-type", content_type);
        refused(content_type, "Content-Type", put.send())?;
    }
    for body in ["{", "[1,]", "1 2", "nul", "\"\u{7}\""] {
        let answer = stream.put().send_bytes(body.as_bytes())?.expect(400)?;
        check_refusal(body, &answer)?;
    }
    stream.head()?.expect(404)?;
    Ok(())
}

#[test]
fn an_append_that_breaks_a_rule_changes_nothing() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&client, "validation/append", JSON)?;
    stream.append("1")?;
    let before = stream.get(START).send()?.expect(200)?;

    let untyped = stream.call(Method::POST).send_bytes(b"1");
    refused("no type", "Content-Type", untyped)?;
    refused("no body", "body", stream.post().send_bytes(b""))?;
    for body in ["[]", "{", "[1,]", "1 2", "[1][2]", "\u{feff}"] {
        let answer = stream.post().send_bytes(body.as_bytes())?.expect(400)?;
        check_refusal(body, &answer)?;
    }

    let parts = [
        ("producer-id", "p"),
        ("producer-epoch", "0"),
        ("producer-seq", "0"),
    ];
    for missing in 0..3 {
        for only in [false, true] {
            let sent = parts.iter().enumerate();
            let sent = sent.filter(|(at, _)| (*at == missing) == only);
            let call = sent.fold(stream.post(), |call, (_, (name, value))| {
                call.header(name, value)
            });
            refused("an incomplete producer", "Producer-", call.send_bytes(b"2"))?;
        }
    }
    let bad_producers: [(&str, &str, &str, &str); 6] = [
        ("", "0", "0", "Producer-Id"),
        ("p", "-1", "0", "Producer-Epoch"),
        ("p", "1.0", "0", "Producer-Epoch"),
        ("p", "0", "x", "Producer-Seq"),
        ("p", "0", "9007199254740992", "Producer-Seq"),
        ("p", "9007199254740992", "0", "Producer-Epoch"),
    ];
    for (id, epoch, seq, field) in bad_producers {
        let call = producer(stream.post(), id, epoch, seq);
        refused(field, field, call.send_bytes(b"2"))?;
    }

    let after = stream.get(START).send()?.expect(200)?;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));
    // Not even the refused producers are remembered.
    producer(stream.post(), "p", "0", "0")
        .send_bytes(b"2")?
        .expect(200)?;
    Ok(())
}

fn producer(call: Call, id: &str, epoch: &str, seq: &str) -> Call {
    call.header("producer-id", id)
        .header("producer-epoch", epoch)
        .header("producer-seq", seq)
}

#[test]
fn a_producer_whose_name_others_share_is_refused() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&client, "validation/names", JSON)?;
    for name in ["Producer-Id", "Stream-Seq"] {
        for value in [&b"caf\xe9"[..], b"caf\xe8", "café".as_bytes()] {
            let rest = b"\r\nProducer-Epoch: 0\r\nProducer-Seq: 0\r\nStream-Closed: true\r\n";
            let start = format!("{name}: ");
            let rest = if name == "Stream-Seq" {
                &b"\r\nStream-Closed: true\r\n"[..]
            } else {
                rest
            };
            let headers = [start.as_bytes(), value, rest].concat();
            let line = format!("POST {}", stream.path());
            let answer = client.raw_with(&line, &headers)?.expect(400)?;
            let message = answer.refusal()?.message;
            assert!(
                message.starts_with(name) && message.contains("ASCII"),
                "{message}"
            );
        }
    }
    Ok(())
}

#[test]
fn json_may_start_with_a_byte_order_mark() -> Result<()> {
    let stream = Stream::create(&shared()?, "validation/mark", JSON)?;
    stream.append("\u{feff}[{\"a\" : 1 }, 2]")?;
    let page = stream.get("-1").send()?.expect(200)?;
    assert_eq!(page.text(), "[{\"a\":1},\n2]");
    Ok(())
}

#[test]
fn offsets_nobody_was_given_are_refused() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&client, "validation/offsets", JSON)?;
    stream.append("1")?;
    let bad = [
        "",
        "0",
        "-2",
        "NOW",
        "%20",
        "0000000000000000",
        "0000000000000000_000000000000000x",
        "0000000000000001_0000000000000000",
        "0000000000000000_00000000000000000",
        "..%2f..%2fetc",
        "-1&offset=-1",
    ];
    for offset in bad {
        refused(offset, "offset", stream.get(offset).send())?;
    }
    Ok(())
}

#[test]
fn what_does_not_exist_is_not_made_by_looking_or_appending() -> Result<()> {
    let stream = Stream::named(&shared()?, "validation/absent", JSON);
    let close = stream.call(Method::POST).header("stream-closed", "true");
    let answers = [
        ("read", stream.get("-1").send()?.expect(404)?),
        ("append", stream.post().send_bytes(b"1")?.expect(404)?),
        ("close", close.send()?.expect(404)?),
        ("delete", stream.call(Method::DELETE).send()?.expect(404)?),
    ];
    for (what, answer) in &answers {
        check_refusal(what, answer)?;
    }
    stream.put().send()?.expect(201)?;
    Ok(())
}
