//! What the edge asks those who decide who may do what, and what comes of their answers.

use std::cell::Cell;
use std::rc::Rc;

use super::world::{Does, Request, Response, World};
use crate::auth::{self, Audience, AuthorizeMutation, AuthorizeRead, Cors, Grant, NoAuth, Refusal};
use crate::edge::again::EVERY;
use crate::edge::events::GRACE;
use crate::edge::ports::Outgoing;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path::{Era, StreamPath};

/// Everybody may write, and read what does not start with `theirs/`.
#[derive(Clone)]
struct Rules {
    /// What is granted to readers, until this time in milliseconds.
    read: Grant,
    until: u64,
    /// What is granted then.
    then: Result<Grant, Error>,
    is_asked_again: bool,
    write: Grant,
    asked: Rc<Cell<u32>>,
}

impl Rules {
    fn new() -> Self {
        Self {
            read: Grant::HOLDER,
            until: u64::MAX,
            then: Err(Error::Unauthorized("removed")),
            is_asked_again: true,
            write: Grant::HOLDER,
            asked: Rc::default(),
        }
    }

    /// What was granted is taken back at this time.
    fn until(until: u64) -> Self {
        Self {
            until,
            ..Self::new()
        }
    }
}

impl AuthorizeMutation<()> for Rules {
    async fn authorize_mutation(
        &self,
        _request: &auth::Request<'_>,
        _stream: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        Ok(self.write)
    }
}

impl AuthorizeRead<()> for Rules {
    async fn authorize_read(
        &self,
        request: &auth::Request<'_>,
        stream: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        self.asked.set(self.asked.get() + 1);
        assert_eq!(request.method, "GET");
        if stream.as_str().starts_with("theirs/") && request.header("X-API-Key").is_none() {
            return Err(Error::Forbidden("theirs").into());
        }
        match request.now * 1000 < self.until {
            true => Ok(self.read),
            false => Ok(self.then.clone()?),
        }
    }

    fn again(&self) -> Option<impl AuthorizeRead<()> + 'static> {
        self.is_asked_again.then(|| self.clone())
    }

    async fn cors(&self, _: &auth::Request<'_>, _: &StreamPath, (): &()) -> Cors {
        Cors::Origin
    }
}

fn request(method: &'static str, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let headers = headers.iter();
    Request {
        method,
        url: format!("http://a/v1/stream/{path}"),
        headers: headers
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        body: Vec::new(),
    }
}

fn fork(source: &str) -> Request {
    request("PUT", "mine/fork", &[(header::STREAM_FORKED_FROM, source)])
}

fn world(does: impl IntoIterator<Item = Does>) -> World {
    let world = World::default();
    world.0.takes.set(true);
    world.0.does.borrow_mut().extend(does);
    world
}

fn said(body: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (
            header::STREAM_NEXT_OFFSET,
            &*Offset::new(1).unwrap().to_string(),
        ),
    ];
    Response::new(if body.is_empty() { 101 } else { 200 }, &headers, body)
}

fn status(world: &World, rules: &Rules, request: &Request) -> u16 {
    world.serve(rules, request).unwrap().status
}

#[test]
fn a_fork_of_what_its_creator_may_not_read_is_refused_before_any_object_is_asked() {
    for source in [
        "/v1/stream/theirs/secret",
        "/v1/streams/theirs/secret",
        "/v1/stream/theirs%2Fsecret",
        "/v1/stream/%74heirs/absent",
    ] {
        let world = world([]);
        assert_eq!(
            status(&world, &Rules::new(), &fork(source)),
            403,
            "{source}"
        );
        assert_eq!(world.0.asked.take(), [""; 0], "{source}");
    }
    let gone = Rules::until(0);
    assert_eq!(status(&world([]), &gone, &fork("/v1/stream/mine/s")), 401);
    assert_eq!(status(&world([]), &Rules::new(), &fork("mine/s")), 400);
}

#[test]
fn a_fork_of_what_its_creator_may_read_is_made() {
    let made = || world([Does::Says(Response::new(201, &[], b""))]);
    let mut theirs = fork("/v1/stream/theirs/secret");
    assert_eq!(
        status(&made(), &Rules::new(), &fork("/v1/stream/mine/s")),
        201
    );
    theirs.headers.push(("X-API-Key", "k".to_owned()));
    assert_eq!(status(&made(), &Rules::new(), &theirs), 201);
    // Nobody says of its source that it is public.
    let rules = Rules {
        read: Grant {
            audience: Audience::EveryoneIfPublic,
            ..Grant::EVERYONE
        },
        ..Rules::new()
    };
    assert_eq!(status(&made(), &rules, &fork("/v1/stream/mine/s")), 403);
    let rules = Rules {
        read: of_era(1),
        ..Rules::new()
    };
    assert_eq!(status(&made(), &rules, &fork("/v1/stream/mine/s")), 403);
}

#[test]
fn nobody_is_asked_to_read_for_a_stream_that_is_no_fork() {
    for method in ["PUT", "POST", "DELETE"] {
        let rules = Rules::new();
        let world = world([Does::Says(Response::new(204, &[], b""))]);
        let plain = request(method, "mine/s", &[]);
        assert_eq!(status(&world, &rules, &plain), 204);
        assert_eq!(rules.asked.get(), 0, "{method}");
    }
}

fn follow(live: &str) -> Request {
    request("GET", &format!("mine/s?offset=-1&live={live}"), &[])
}

#[test]
fn a_reader_of_events_is_let_go_soon_after_what_it_was_granted_is_taken_back() {
    for until in [0, 1, 11_999, 12_000, 30_000, 47_000] {
        let rules = Rules::until(until.max(1));
        let world = world([Does::Says(said(b"[0]")), Does::Waits(said(b""))]);
        assert_eq!(status(&world, &rules, &follow("sse")), 200);
        let ended = world.0.now.get();
        assert!(
            ended >= until && ended <= until + EVERY + 1000,
            "{until}: {ended}"
        );
        // Between two events.
        assert_eq!(world.0.end.get(), Some("closed"));
    }
}

#[test]
fn a_reader_of_events_goes_on_for_its_time_while_the_grant_holds() {
    let rules = Rules::new();
    let holds = world([Does::Waits(said(b""))]);
    assert_eq!(status(&holds, &rules, &follow("sse")), 200);
    assert_eq!(
        (holds.0.now.get(), holds.0.end.get()),
        (60_000, Some("closed"))
    );
    assert_eq!(rules.asked.get(), 1 + 60_000_u64.div_ceil(EVERY) as u32 - 1);

    let rules = Rules {
        is_asked_again: false,
        ..Rules::until(1)
    };
    let never_asked = world([Does::Waits(said(b""))]);
    assert_eq!(status(&never_asked, &rules, &follow("sse")), 200);
    assert_eq!((never_asked.0.now.get(), rules.asked.get()), (60_000, 1));
}

#[test]
fn one_that_takes_nothing_is_broken_off_soon_after() {
    let rules = Rules::until(1);
    let world = world([Does::Says(said(b"[0]"))]);
    world.0.takes.set(false);
    assert_eq!(status(&world, &rules, &follow("sse")), 200);
    assert_eq!(world.0.end.get(), Some("aborted"));
    assert_eq!(world.0.now.get(), EVERY + GRACE);
}

#[test]
fn a_grant_of_another_kind_is_another_grant() {
    let public = Grant {
        audience: Audience::EveryoneIfPublic,
        ..Grant::EVERYONE
    };
    for then in [
        Ok(public),
        Ok(of_era(7)),
        Err(Error::RegistryUnavailable("no answer".to_owned())),
    ] {
        let is_error = then.is_err();
        let rules = Rules {
            then,
            ..Rules::until(1)
        };
        let world = world([Does::Waits(said(b""))]);
        assert_eq!(status(&world, &rules, &follow("sse")), 200);
        assert_eq!(world.0.now.get(), EVERY);
        assert_eq!(world.0.log.borrow().len(), usize::from(is_error));
    }
    let later = Grant {
        expires_at: Some(1 << 30),
        ..Grant::HOLDER
    };
    let rules = Rules {
        then: Ok(later),
        ..Rules::until(1)
    };
    let world = world([Does::Waits(said(b""))]);
    assert_eq!(status(&world, &rules, &follow("sse")), 200);
    assert_eq!(world.0.now.get(), 60_000);
}

#[test]
fn a_long_poll_gives_nothing_away_that_is_not_granted_any_more() {
    let rules = Rules::until(1);
    let waited = world([Does::Waits(said(b""))]);
    let answer = waited.serve(&rules, &follow("long-poll")).unwrap();
    assert_eq!((answer.status, waited.0.now.get()), (401, 25_000));
    assert_eq!(answer.header(header::STREAM_NEXT_OFFSET), None);

    let holds = Rules::new();
    let waited = world([Does::Waits(said(b""))]);
    assert_eq!(status(&waited, &holds, &follow("long-poll")), 204);
    assert_eq!(holds.asked.get(), 2);
    // What is answered at once was granted just now.
    let at_once = Rules::new();
    let answered = world([Does::Says(said(b"[0]"))]);
    assert_eq!(status(&answered, &at_once, &follow("long-poll")), 200);
    assert_eq!(at_once.asked.get(), 1);
}

fn of_era(era: u64) -> Grant {
    Grant {
        era: Some(Era::new(era)),
        ..Grant::HOLDER
    }
}

#[test]
fn an_object_of_an_era_is_asked_as_one() {
    let rules = Rules {
        read: of_era(10),
        write: of_era(10),
        ..Rules::new()
    };
    let base = "/era/000000000000000a/v1/stream/p/s";
    for (request, url) in [
        (request("PUT", "p/s", &[]), format!("http://a{base}")),
        (request("POST", "p/s", &[]), format!("http://a{base}")),
        (request("DELETE", "p/s?x", &[]), format!("http://a{base}?x")),
        (
            request("GET", "p/s?offset=-1&token=t", &[]),
            format!("http://a{base}?offset=-1"),
        ),
        (
            request("GET", "p/s?offset=-1&live=sse", &[]),
            format!("http://live/live{base}?offset=-1&live=sse&most=100"),
        ),
    ] {
        let world = world([Does::Says(Response::new(404, &[], b""))]);
        assert_eq!(status(&world, &rules, &request), 404);
        assert_eq!(world.0.asked.take(), [url]);
        assert_eq!(world.0.objects.take(), ["__ds/era/000000000000000a/p/s"]);
    }
    let world = world([Does::Says(Response::new(204, &[], b""))]);
    status(&world, &Rules::new(), &request("POST", "p/s", &[]));
    assert_eq!(world.0.objects.take(), ["p/s"]);
}

#[test]
fn nobody_outside_names_an_era() {
    for path in [
        "/era/000000000000000a/v1/stream/p/s",
        "/live/v1/stream/p/s",
        "/live/era/000000000000000a/v1/stream/p/s",
        "/v1/stream/__ds/era/000000000000000a/p/s",
        "/v1/stream/__ds%2Fera%2F000000000000000a%2Fp/s",
    ] {
        let mut outside = request("GET", "", &[]);
        outside.url = format!("http://a{path}");
        let world = world([]);
        assert_eq!(
            world.serve(&NoAuth, &outside).unwrap().status,
            404,
            "{path}"
        );
        assert_eq!(world.0.objects.take(), [""; 0], "{path}");
    }
}

#[test]
fn a_preflight_is_answered_whatever_becomes_of_the_request() {
    let origin = (header::ORIGIN, "https://app.example");
    let asked = (
        header::ACCESS_CONTROL_REQUEST_HEADERS,
        "x-api-key,traceparent",
    );
    for path in ["a/b", "a%2Fb", "a//b", "..", "__ds/x", "%zz", ""] {
        let preflight = request("OPTIONS", path, &[origin, asked]);
        let answer = world([]).serve(&NoAuth, &preflight).unwrap();
        assert_eq!(answer.status, 204, "{path}");
        let value = |name| answer.header(name);
        assert_eq!(
            value("Access-Control-Allow-Headers").as_deref(),
            Some(asked.1)
        );
        assert_eq!(value("Access-Control-Allow-Origin").as_deref(), Some("*"));
    }
    // And then the refusal can be read.
    let answer = world([])
        .serve(&NoAuth, &request("GET", "a//b", &[origin]))
        .unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("Access-Control-Allow-Origin").as_deref(),
        Some("*")
    );
    let preflight = request("OPTIONS", "a/b", &[origin, asked]);
    let answer = world([]).serve(&Rules::new(), &preflight).unwrap();
    assert_eq!(
        answer.header("Access-Control-Allow-Origin").as_deref(),
        Some(origin.1)
    );
    let vary = answer.header("Vary").unwrap();
    assert_eq!(vary, "Origin, Access-Control-Request-Headers");
}
