//! What is asked of roots: whatever is taken for an id, a path or a receiver is one.

use super::feed;
use super::noise::Noise;
use crate::protocol::path::encoded;
use crate::protocol::root::Root;
use crate::protocol::route::{MAX_ID, Route};
use crate::protocol::webhook_url::tests::check_taken;

const METHODS: &[&str] = &["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"];

const TARGETS: &[&str] = &[
    "/v1/stream/__ds/subscriptions/a",
    "/v1/stream/p/__ds/subscriptions/runner%3Ax%3Ay",
    "/v1/streams/caf%C3%A9/__ds/subscriptions/a%20b/streams",
    "/v1/stream/p/__ds/subscriptions/a/streams/b%2Fc",
    "/v1/stream/p/__ds/subscriptions/a/streams/b/c",
    "/v1/stream/p/__ds/subscriptions/a/callback",
    "/v1/stream/p/__ds/subscriptions/..%2f..%2Fack",
    "/v1/stream/__ds/streams",
    "/v1/stream/p/__ds/streams/b%2Fc",
    "/v1/stream/p/__ds/streams/b/c",
    "/v1/stream/__ds/jwks.json",
    "/v1/stream/p/__ds/keys/rotate",
    "/v1/stream/p/__ds/directory/rebuild",
];

#[test]
fn routes() {
    feed("routes", 20_000, |noise: &mut Noise| {
        let target = noise.text_like(TARGETS);
        let method = noise.pick(METHODS);
        let Some((root, rest)) = Root::split(&target) else {
            return;
        };
        let route = match (root, Route::parse(method, rest)) {
            (Err(error), _) | (_, Err(error)) => {
                assert!(matches!(error.status(), 400 | 404 | 405), "{target}");
                return;
            }
            (Ok(root), Ok(route)) => (root, route),
        };
        let (root, Route::Subscription { id, question, path }) = route else {
            if let (root, Route::Stream { path }) = route {
                let again = format!("streams/{}", encoded(&path));
                let route = Route::Stream { path: path.clone() };
                assert_eq!(Route::parse(method, &again), Ok(route), "{target}");
                // Whatever is asked is the stream that the path names, or nobody.
                if let Ok(name) = root.stream(&path) {
                    assert_eq!(root.path_of(&name), Some(&*path), "{target}");
                }
            }
            return;
        };
        assert!((1..=MAX_ID).contains(&id.len()), "{target}");
        // No other subscription has its name, and no stream.
        let name = root.subscription(&id);
        let of_root = format!("{}__ds/subscriptions/", root.prefix());
        assert_eq!(name.strip_prefix(&of_root), Some(&*id), "{target}");
        Root::ALL.stream(&name).unwrap_err();
        // Written in the only way there is, it is the same.
        let again = match question {
            "remove" => format!("subscriptions/{}/streams/{}", encoded(&id), encoded(&path)),
            "create" | "get" | "delete" => format!("subscriptions/{}", encoded(&id)),
            "add" => format!("subscriptions/{}/streams", encoded(&id)),
            other => format!("subscriptions/{}/{other}", encoded(&id)),
        };
        let expected = Route::Subscription { id, question, path };
        assert_eq!(Route::parse(method, &again), Ok(expected), "{target}");
    });
}

const URLS: &[&str] = &[
    "https://worker.example/hooks?key=1",
    "https://1.1.1.1:8443/",
    "https://user:pw@worker.example",
    "https://[::ffff:127.0.0.1]/",
    "https://0x7f.0.0.1",
    "https://127.0.0.1",
    "https://10.0.0.1.example",
    "https://metadata.google.internal/",
    "http://localhost:3000/",
    "https://worker.example\\@10.0.0.1#x",
    "https://w\u{f6}rker\u{3002}example:443",
];

#[test]
fn receivers() {
    feed("receivers", 20_000, |noise| {
        check_taken(&noise.text_like(URLS)).expect("a receiver outside");
    });
}
