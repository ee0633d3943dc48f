//! Whole requests, to an edge that takes project tokens and has objects behind it; nothing goes wrong
//! there. Whatever is asked:
//!
//! - there is an answer, which is no 5xx, and a refusal says why in JSON, with the field at fault;
//! - no object is asked but that of the stream which the path names, and the one it forks or shows;
//! - nothing is stored of a stream that nobody has created;
//! - what objects ask each other is not asked from outside, and nothing of it comes out;
//! - whoever was refused is refused again, and whoever read or created finds the same.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Value, json};

use super::feed;
use super::noise::Noise;
use crate::auth::token::tests::{SECRET, sign};
use crate::object::request::ASK;
use crate::protocol::header;
use crate::simulation::world::{CLIENTS, Request, Response, Served, World};

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "HEAD", "PUT", "PUT", "PUT", "POST", "POST", "POST", "DELETE", "OPTIONS",
    ASK, "PROPFIND", "get", "LIVE",
];
const PATHS: &[&str] = &[
    "/v1/stream/p/a",
    "/v1/stream/p/a",
    "/v1/stream/p/b",
    "/v1/streams/p/a",
    "/v1/stream/p%2Fa",
    "/v1/stream/p/%61",
    "/v1/stream/p/c/d%20e",
    "/v1/stream/p/%C3%A9",
    "/v1/stream/p/__ds/x",
    "/v1/stream/__ds/x",
    "/v1/stream/p/__ds/subscriptions/x%3Ay",
    "/v1/streams/p/__ds/subscriptions/x/streams/a%2Fb",
    "/v1/stream/p/__ds/subscriptions/x/ack",
    "/v1/stream/p/__ds/streams",
    "/v1/stream/p/__ds/streams/a",
    "/v1/streams/p/__ds/streams/c%2Fd%20e",
    "/v1/stream/p/__ds/jwks.json",
    "/v1/stream/p/__ds/directory/rebuild",
    "/v1/stream/q/a",
    "/v1/stream/p",
    "/live/v1/stream/p/a",
    "/fork/lend",
    "/fork/v1/stream/p/a",
    "/",
];
const QUERIES: &[&str] = &[
    "",
    "",
    "",
    "?offset=-1",
    "?offset=now&live=long-poll",
    "?offset=-1&live=sse",
    "?live=sse&offset=0000000000000000_0000000000000001_0000&cursor=7",
    "?l%69ve=sse&offset=-1",
    "?public=true",
    "?offset=-1&incarnation=1",
    "?token=x&live=sse&offset=-1",
    "?prefix=a&after=a%2Fb&limit=7",
];
const BODIES: &[&[u8]] = &[
    b"",
    b"1",
    b"[1,{\"a\":\"b\"}]",
    b"[]",
    b"hello",
    b"{\"type\":\"pull-wake\",\"pattern\":\"a/*\",\"wake_stream\":\"w\"}",
    b"{\"v\":3,\"fork\":{\"path\":\"p/f\",\"incarnation\":\"1\"},\"offset\":0,\"sub_offset\":0}",
];
/// Headers, and examples of what they hold. The first are given often.
const HEADERS: &[(&str, &[&str])] = &[
    (
        header::CONTENT_TYPE,
        &[
            "application/json",
            "text/plain",
            "text/plain; charset=utf-8",
        ],
    ),
    (header::STREAM_CLOSED, &["true", "false"]),
    (header::STREAM_TTL, &["60", "0", "9007199254740991"]),
    (
        header::STREAM_EXPIRES_AT,
        &["2030-01-01T00:00:00Z", "1970-01-01T00:00:00Z"],
    ),
    (header::STREAM_SEQ, &["a", "b", "0001"]),
    (header::PRODUCER_ID, &["me", "you"]),
    (header::PRODUCER_EPOCH, &["0", "1"]),
    (header::PRODUCER_SEQ, &["0", "1", "2"]),
    (
        header::STREAM_FORKED_FROM,
        &["/v1/stream/p/a", "/v1/streams/p%2Fb", "/v1/stream/q/a"],
    ),
    (
        header::STREAM_FORK_OFFSET,
        &["0000000000000000_0000000000000001", "-1"],
    ),
    (header::STREAM_FORK_SUB_OFFSET, &["0", "1"]),
    (header::IF_NONE_MATCH, &["*", "\"1:0:1\"", "W/\"x\""]),
    (
        header::IF_MATCH,
        &["*", "\"0000000000000000_0000000000000001_0000\""],
    ),
    (header::CONTENT_ENCODING, &["identity", "gzip"]),
    ("Origin", &["https://app.example", "null"]),
    (header::STREAM_IF_PUBLIC, &["true"]),
    (header::DS_VERSION, &["3", "99"]),
    (header::DS_INCARNATION, &["1"]),
    (header::DS_COLD, &["7"]),
];

fn request(noise: &mut Noise, now: u64) -> Request {
    let mut headers = Vec::new();
    for (at, (name, examples)) in HEADERS.iter().enumerate() {
        let often = if at == 0 { 85 } else { 8 };
        if noise.chance(often) {
            headers.push((*name, noise.header_like(examples)));
        }
    }
    let claims = |scope: &str| json!({ "sub": "p", "scope": scope, "exp": now / 1000 + 600 });
    let (write, read) = (
        sign(&claims("write"), SECRET),
        sign(&claims("read"), SECRET),
    );
    let token = match noise.below(20) {
        0 => None,
        1 => Some(format!("Bearer {read}")),
        2 => Some(noise.header_like(&[&format!("Bearer {write}")])),
        _ => Some(format!("Bearer {write}")),
    };
    headers.extend(token.map(|token| ("Authorization", token)));
    let changed = |noise: &mut Noise, examples: &[&str]| match noise.chance(70) {
        true => noise.pick(examples).to_owned(),
        false => noise.text_like(examples),
    };
    let (path, query) = (changed(noise, PATHS), changed(noise, QUERIES));
    Request {
        method: noise.pick(METHODS),
        url: format!("http://server{}", as_url(&(path + &query))),
        headers,
        body: noise.bytes_like(BODIES),
    }
}

/// The target of a request as a worker gets it.
fn as_url(target: &str) -> String {
    // One that does not start like this is refused before it gets to a worker.
    let mut url = "/".to_owned();
    let mut is_path = true;
    let target = target.split('#').next().unwrap();
    for c in target.strip_prefix('/').unwrap_or(target).chars() {
        is_path &= c != '?';
        match c {
            '\t' | '\r' | '\n' => {}
            '\\' if is_path => url.push('/'),
            '!' | '#'..='~' => url.push(c),
            _ => {
                let escaped = c.to_string().into_bytes();
                url.extend(escaped.iter().map(|byte| format!("%{byte:02X}")));
            }
        }
    }
    url
}

/// The stream that a path names, worked out in another way than the server does it.
fn meaning(path: &str) -> Option<String> {
    let rest = ["/v1/stream/", "/v1/streams/"];
    let rest = rest.iter().find_map(|prefix| path.strip_prefix(prefix))?;
    let mut bytes = Vec::new();
    let mut left = rest.as_bytes();
    while let Some((first, after)) = left.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            left = after;
            continue;
        }
        let digit = |at: usize| (*after.get(at)? as char).to_digit(16);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        left = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

/// The stream that is to be shown, where a request asks for that.
fn shown(request: &Request, named: &str) -> Option<String> {
    let (project, rest) = named.split_once('/')?;
    let path = rest.strip_prefix("__ds/streams/")?;
    let is_look = matches!(request.method, "GET" | "HEAD");
    is_look.then(|| format!("{project}/{}", path.trim_matches('/')))
}

/// Who serves a case, and what of it is known.
struct Place {
    world: World,
    created: BTreeSet<String>,
    has_forks: bool,
}

impl Place {
    fn new(seed: u64) -> Self {
        Self {
            world: World::unobserved(seed),
            created: BTreeSet::new(),
            has_forks: false,
        }
    }

    fn known(&self) -> BTreeSet<String> {
        let nodes = self.world.nodes();
        nodes.iter().map(|node| node.path.clone()).collect()
    }

    fn asked(&self) -> u64 {
        let counts = self.world.counts();
        let asked = counts.iter().filter(|(what, _)| what.starts_with(ASK));
        asked.map(|(_, count)| count).sum()
    }

    /// Serves a request, and checks all that holds of each.
    fn serve(&mut self, request: &Request) -> Response {
        let (known, asked) = (self.known(), self.asked());
        let response = self.answer(request);
        let path = request.url.strip_prefix("http://server").unwrap();
        let stream = meaning(path.split('?').next().unwrap());
        let header = |name: &str| {
            let mut headers = request.headers.iter();
            headers
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
        };
        let source = header(header::STREAM_FORKED_FROM).and_then(|path| meaning(path));
        let forks = request.method == "PUT" && source.is_some();
        let shown = stream.as_deref().and_then(|named| shown(request, named));
        for new in self.known().difference(&known) {
            let new = &without_era(new);
            let is_named = [&stream, &shown].iter().any(|it| it.as_ref() == Some(new));
            let is_meant = is_named || forks && Some(new) == source.as_ref();
            assert!(is_meant, "{new} was asked for {request:?}");
        }
        // A fork and its source go on asking each other for as long as either is there.
        self.has_forks |= forks;
        assert!(
            self.has_forks || self.asked() <= asked + u64::from(shown.is_some()),
            "an object was asked by {request:?}"
        );
        if response.status == 201 {
            self.created.insert(stream.clone().expect("a stream"));
        }
        for node in self.world.nodes() {
            if let Some(birth) = node.birth() {
                assert_eq!(without_era(&birth.name.path), node.path);
            }
            if !self.created.contains(&without_era(&node.path)) {
                let written = node.database.written.get();
                assert_eq!((written, node.alarm.get()), (0, None), "{}", node.path);
            }
        }
        check(request, &response);
        response
    }

    fn answer(&self, request: &Request) -> Response {
        let done: Rc<RefCell<Option<Served>>> = Rc::default();
        let (world, request) = (self.world.clone(), request.clone());
        let answered = Rc::clone(&done);
        self.world.executor().spawn(CLIENTS, async move {
            *answered.borrow_mut() = world.request(request, 1_000).await;
        });
        let until = self.world.executor().now() + 120_000;
        while done.borrow().is_none() && self.world.executor().step(until) {}
        assert_eq!(self.world.failure(), None);
        let served = done.take().expect("an answer");
        if let Some(events) = &served.events {
            events.hang_up();
        }
        served.response
    }
}

fn check(request: &Request, response: &Response) {
    let status = response.status;
    let text = String::from_utf8_lossy(&response.body);
    let is_off = status == 501 && text.contains("DIRECTORY_OFF");
    assert!(
        (200..500).contains(&status) || is_off,
        "{status}: {text}: {request:?}"
    );
    for (name, value) in &response.headers {
        // JavaScript throws for a header that HTTP cannot carry.
        let can_go = value.chars().all(|c| !c.is_control() && u32::from(c) < 256);
        assert!(can_go, "{name}: {value:?}: {request:?}");
        assert!(!name.starts_with("Ds-"), "{name}: {request:?}");
    }
    if status < 400 || request.method == "HEAD" {
        return;
    }
    let refusal: Value = serde_json::from_slice(&response.body).expect("JSON");
    let said = |key: &str| refusal["error"][key].as_str().expect("a text");
    let (code, message) = (said("code"), said("message"));
    assert!(!message.is_empty() && message.len() < 1000);
    if code == "invalid_request" {
        let named = HEADERS.iter().map(|(name, _)| *name);
        let others = ["the body", "the stream path", "offset", "live", "public"];
        let is_named = named.chain(others).any(|name| message.starts_with(name));
        assert!(is_named, "{message}: {request:?}");
    }
}

/// The stream that an object is asked for; a later project of a name has objects of its own.
fn without_era(name: &str) -> String {
    let below = name.strip_prefix("__ds/era/");
    let stream = below.and_then(|below| below.split_once('/'));
    stream.map_or(name, |(_, stream)| stream).to_owned()
}

#[test]
fn requests() {
    feed("requests", 600, |noise| {
        let mut place = Place::new(noise.below(1 << 30) as u64);
        for _ in 0..1 + noise.below(16) {
            let request = request(noise, place.world.executor().now());
            let (first, second) = (place.serve(&request), place.serve(&request));
            let again = second.status;
            let is_same = match (request.method, first.status) {
                ("PUT", 200 | 201) => matches!(again, 200 | 201),
                ("POST" | "DELETE", 200..300) => true,
                // Who reads without a token may hear late that a stream is public, or is no more.
                ("GET" | "HEAD", status) if status == 401 || again == 401 => true,
                (_, status) => again == status,
            };
            assert!(is_same, "{} and then {again}: {request:?}", first.status);
        }
        place.world.end();
    });
}

#[test]
fn nothing_is_stored_of_streams_that_are_not_there() {
    let mut place = Place::new(1);
    let now = place.world.executor().now();
    let claims = json!({ "sub": "p", "scope": "write", "exp": now / 1000 + 600 });
    let token = format!("Bearer {}", sign(&claims, SECRET));
    let json = (header::CONTENT_TYPE, "application/json");
    for (method, query, header, status) in [
        ("GET", "", json, 404),
        ("GET", "?offset=-1&live=long-poll", json, 404),
        ("GET", "?offset=-1&live=sse", json, 404),
        ("HEAD", "", json, 404),
        ("POST", "", json, 404),
        ("DELETE", "", json, 404),
        ("PUT", "?public=maybe", json, 400),
        ("PUT", "", (header::STREAM_TTL, "soon"), 400),
        (
            "PUT",
            "",
            (header::STREAM_FORKED_FROM, "/v1/stream/p/other"),
            404,
        ),
        ("PATCH", "", json, 405),
    ] {
        let response = place.serve(&Request {
            method,
            url: format!("http://server/v1/stream/p/none{query}"),
            headers: vec![
                ("Authorization", token.clone()),
                (header.0, header.1.to_owned()),
            ],
            body: b"1".to_vec(),
        });
        assert_eq!(response.status, status, "{method} {query}");
    }
    // `serve` has looked at what is stored.
    assert_eq!(place.known().len(), 2);
    place.world.end();
}
