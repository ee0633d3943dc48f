//! One stream, as those are shown it who may see it.

use serde_json::json;

use super::control_tests::{Only, code, document, request, serve, world};
use crate::auth::{Purpose, RootGrant};
use crate::edge::ports::Outgoing;
use crate::protocol::path::Era;
use crate::protocol::root::Root;

const URL: &str = "/v1/stream/p/__ds/streams/x%2Fa";

#[test]
fn a_stream_describes_itself_and_nobody_else_is_asked() {
    let world = world(&[("inspect p/x/a", 200, r#"{"path":"x/a"}"#)]);
    for off in [false, true] {
        if off {
            world.0.shards.set(None);
        }
        for (method, path) in [
            ("GET", URL),
            ("HEAD", URL),
            ("GET", "/v1/streams/p/__ds/streams/x/a"),
        ] {
            let answer = serve(&world, &request(method, path, ""));
            assert_eq!(
                (answer.status, document(&answer)),
                (200, json!({"path": "x/a"}))
            );
            let header = |name| answer.header(name).unwrap_or_default();
            assert_eq!(header("Cache-Control"), "no-store");
            assert_eq!(header("Content-Type"), "application/json");
            let asked = world.0.questions.take();
            let body = json!({"root": Root::of_project("p"), "alone": false, "v": 3});
            assert_eq!(asked, [("inspect p/x/a".to_owned(), body)]);
        }
    }
    // Nor is the way to an object looked for that is none.
    for (path, status) in [
        ("", 400),
        ("%ff", 400),
        ("__ds", 404),
        ("__ds/b", 404),
        (&"x".repeat(600), 400),
    ] {
        let answer = serve(
            &world,
            &request("GET", &format!("/v1/stream/p/__ds/streams/{path}"), ""),
        );
        assert_eq!(answer.status, status, "{path}");
    }
    let answer = serve(&world, &request("DELETE", URL, ""));
    assert_eq!(
        (answer.status, code(&answer)),
        (405, "METHOD_NOT_ALLOWED".to_owned())
    );
    assert_eq!(world.0.questions.take(), []);
}

#[test]
fn what_is_not_there_is_told_from_what_cannot_say() {
    for (status, body, expected, code_of) in [
        (204, "", 404, "stream_not_found"),
        // A release that does not know the question.
        (
            404,
            r#"{"error":{"code":"unknown_route"}}"#,
            503,
            "UNAVAILABLE",
        ),
        (500, "{}", 503, "UNAVAILABLE"),
        (503, "{}", 503, "UNAVAILABLE"),
    ] {
        let world = world(&[("inspect p/x/a", status, body)]);
        let answer = serve(&world, &request("GET", URL, ""));
        assert_eq!(
            (answer.status, code(&answer)),
            (expected, code_of.to_owned())
        );
        let retry = answer.header("Retry-After").is_some();
        assert_eq!(retry, expected == 503, "{status}");
        let log = world.0.log.take();
        assert_eq!(!log.is_empty(), expected == 503, "{log:?}");
    }
    let silent = world(&[]);
    assert_eq!(serve(&silent, &request("GET", URL, "")).status, 503);
}

#[test]
fn a_token_for_one_stream_sees_that_one_in_its_era() {
    let era = Era::parse("00c0ffee00c0ffee");
    let asked = "inspect __ds/era/00c0ffee00c0ffee/p/x/a";
    let world = world(&[(asked, 200, "{}")]);
    let status = |only: Option<&str>, purpose| {
        let grant = RootGrant {
            era,
            only: only.map(str::to_owned),
        };
        let auth = Only::new(purpose, grant);
        let answer = world.serve(&auth, &request("GET", URL, "")).unwrap();
        let asked: Vec<_> = world.0.questions.take();
        for (_, asked) in &asked {
            assert_eq!(asked["alone"], only.is_some(), "no other stream is shown");
        }
        (answer.status, asked.len())
    };
    assert_eq!(status(None, Purpose::Streams), (200, 1));
    assert_eq!(status(Some("x/a"), Purpose::Streams), (200, 1));
    for other in ["x", "x/", "x/ab", "", "X/a"] {
        assert_eq!(status(Some(other), Purpose::Streams), (403, 0), "{other}");
    }
    assert_eq!(status(None, Purpose::Rest), (403, 0));
}
