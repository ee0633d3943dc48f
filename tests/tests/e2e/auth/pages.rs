//! Pages of other origins.

use anyhow::{Context, Result};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::token;
use ureq::http::Method;

use super::{APP, SECRET, shared, with, writer};
use crate::JSON;

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
        "Content-Encoding",
        "Content-Type",
        "If-Match",
        "If-None-Match",
        "Last-Event-ID",
        "Producer-Id",
        "Producer-Epoch",
        "Producer-Seq",
        "Stream-Closed",
        "Stream-Expires-At",
        "Stream-Fork-Offset",
        "Stream-Fork-Sub-Offset",
        "Stream-Forked-From",
        "Stream-Retention",
        "Stream-Seq",
        "Stream-TTL",
        "Stream-Truncate-Before",
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
    let asks = |path: &str, wanted: &str| {
        let call = client.call(Method::OPTIONS, &format!("/v1/stream/{path}"));
        let call = call.header("origin", APP);
        let call = call.header("access-control-request-method", "POST");
        let call = call.header("access-control-request-headers", wanted);
        let answer = call.send()?.expect(204)?;
        let allowed = answer.header("access-control-allow-headers");
        anyhow::Ok((
            allowed.map(str::to_owned),
            answer.header("vary").map(str::to_owned),
        ))
    };
    let wanted = "authorization,baggage,sentry-trace,traceparent,x-api-key";
    let vary = Some("Origin, Access-Control-Request-Headers".to_owned());
    // Also where the request itself will be refused, which its page is to see.
    for path in [
        "pages/s",
        "pages%2Fs",
        "pages",
        "pages/__ds/x",
        "pages//s",
        "pages/%zz",
    ] {
        assert_eq!(
            asks(path, wanted)?,
            (Some(wanted.to_owned()), vary.clone()),
            "{path}"
        );
    }
    let (allowed, _) = asks("pages/s", "not a name")?;
    assert!(allowed.is_some_and(|allowed| allowed.contains("Stream-Seq")));
    assert_eq!(asks("p/s", wanted)?, (None, vary));
    let right = with(&client, &token(SECRET, "pages", "write"));
    for (path, status) in [("pages//s", 400), ("pages", 404), ("pages/__ds/x", 404)] {
        let call = right.call(Method::GET, &format!("/v1/stream/{path}"));
        let refused = call.header("origin", APP).send()?.expect(status)?;
        let allowed = refused.header("access-control-allow-origin");
        assert!(
            allowed.is_some_and(|origin| [APP, "*"].contains(&origin)),
            "{path}"
        );
        refused.refusal()?;
    }
    Ok(())
}

#[test]
fn a_page_that_is_a_stream_is_shut_in() -> Result<()> {
    let client = writer(&shared()?);
    for content_type in ["text/html", "image/svg+xml", "text/plain"] {
        let path = format!("p/page-{}", content_type.replace('/', "-"));
        let stream = Stream::create(&client, &path, content_type)?;
        stream.append("<script>alert(1)</script>")?;
        for query in ["offset=-1", "offset=-1&live=long-poll"] {
            let call = client.call(Method::GET, &format!("{}?{query}", stream.path()));
            let page = call.send()?.expect(200)?;
            let policy = page.header("content-security-policy");
            assert_eq!(policy, Some("sandbox"), "{content_type} {query}");
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        }
    }
    Ok(())
}
