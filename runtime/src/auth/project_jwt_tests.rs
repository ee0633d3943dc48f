//! Every decision of [`ProjectJwt`], over a registry in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::access::{
    Audience, AuthorizeMutation, AuthorizeRead, Grant, Purpose, Refusal, Request, RootGrant,
};
use super::cors::Cors;
use super::mint::{Scope, mint};
use super::project::{Project, Registry};
use super::project_jwt::{MAX_URL_TOKEN_LIFE, ProjectJwt, without_token};
use super::token::LEEWAY;
use super::token::tests::{NOW, SECRET, sign};
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::root::Root;

const OTHER_SECRET: &str = "the secret of quite another project";

/// A registry that counts what it is asked and may be out of order.
#[derive(Default)]
struct Memory {
    projects: HashMap<&'static str, Rc<Project>>,
    public: RefCell<HashMap<String, Option<Era>>>,
    is_down: bool,
    reads: RefCell<u32>,
    writes: RefCell<u32>,
}

impl Memory {
    fn new() -> Self {
        let project = |secrets: &[&str], is_public| {
            Rc::new(Project {
                signing_secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
                cors_origins: vec!["https://app.example".to_owned()],
                is_public,
                era: None,
            })
        };
        let projects = [
            (
                "p",
                project(&["a new secret, not yet in any token", SECRET], false),
            ),
            ("other", project(&[OTHER_SECRET], false)),
            ("open", project(&[SECRET], true)),
        ];
        Self {
            projects: projects.into(),
            ..Self::default()
        }
    }

    fn look<T>(&self, found: T) -> Result<T, Error> {
        *self.reads.borrow_mut() += 1;
        match self.is_down {
            true => Err(Error::RegistryUnavailable("down".to_owned())),
            false => Ok(found),
        }
    }
}

impl Registry for Memory {
    async fn project(&self, name: &str) -> Result<Option<Rc<Project>>, Error> {
        self.look(self.projects.get(name).cloned())
    }

    async fn is_public(&self, stream: &StreamPath, era: Option<Era>) -> Result<bool, Error> {
        self.look(self.public.borrow().get(stream.as_str()) == Some(&era))
    }

    async fn publish(&self, stream: &StreamPath, era: Option<Era>) -> Result<(), Error> {
        *self.writes.borrow_mut() += 1;
        let mut public = self.public.borrow_mut();
        public.insert(stream.as_str().to_owned(), era);
        self.look(())
    }

    async fn unpublish(&self, stream: &StreamPath, _era: Option<Era>) -> Result<(), Error> {
        *self.writes.borrow_mut() += 1;
        self.public.borrow_mut().remove(stream.as_str());
        self.look(())
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

fn path(rest: &str) -> StreamPath {
    StreamPath::parse(&format!("/v1/stream/{rest}")).unwrap()
}

/// One request, to be decided about.
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, String)>,
}

impl<'a> Ask<'a> {
    fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: "",
            headers: Vec::new(),
        }
    }

    fn query(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    fn with<T>(&self, work: impl FnOnce(&Request<'_>, &StreamPath) -> T) -> T {
        let header = |name: &str| {
            let found = self.headers.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.clone())
        };
        let request = Request {
            method: self.method,
            query: self.query,
            header: &header,
            now: NOW,
        };
        work(&request, &path(self.path))
    }

    fn of(&self, memory: &Memory) -> Result<Grant, Error> {
        let outcome = self.with(|request, path| match self.method {
            "GET" | "HEAD" => ready(ProjectJwt.authorize_read(request, path, memory)),
            _ => ready(ProjectJwt.authorize_mutation(request, path, memory)),
        });
        outcome.map_err(|refusal| match refusal {
            Refusal::Error(error) => error,
            Refusal::Reply(reply) => panic!("{reply:?}"),
        })
    }

    fn settle(&self, status: u16, memory: &Memory) -> Result<(), Refusal> {
        self.with(|request, path| ready(ProjectJwt.settle_mutation(request, path, status, memory)))
    }

    fn cors(&self, memory: &Memory) -> Cors {
        self.with(|request, path| ready(ProjectJwt.cors(request, path, memory)))
    }
}

fn claims(project: &str, scope: &str) -> Value {
    json!({ "sub": project, "scope": scope, "exp": NOW + 60 })
}

fn token(project: &str, scope: &str) -> String {
    sign(&claims(project, scope), SECRET)
}

fn stream_token(scope: &str, stream: &str) -> String {
    let mut claims = claims("p", scope);
    claims["stream_id"] = json!(stream);
    sign(&claims, SECRET)
}

const READS: [&str; 2] = ["GET", "HEAD"];
const MUTATIONS: [&str; 6] = ["PUT", "POST", "DELETE", "PATCH", "PROPFIND", "BREW"];

#[test]
fn scopes_allow_what_they_say() {
    let memory = Memory::new();
    for method in READS {
        for scope in ["read", "write"] {
            let grant = Ask::new(method, "p/s")
                .bearer(&token("p", scope))
                .of(&memory);
            let expected = Grant {
                expires_at: Some(NOW + 60),
                audience: Audience::Holder,
                era: None,
            };
            assert_eq!(grant, Ok(expected), "{method} {scope}");
        }
    }
    for method in MUTATIONS {
        let with = |scope| {
            Ask::new(method, "p/s")
                .bearer(&token("p", scope))
                .of(&memory)
        };
        assert!(with("write").is_ok(), "{method}");
        assert!(matches!(with("read"), Err(Error::Forbidden(_))), "{method}");
    }
    for method in READS.iter().chain(&MUTATIONS) {
        for scope in ["", "admin", "Write", "read write", "write "] {
            let refusal = Ask::new(method, "p/s")
                .bearer(&token("p", scope))
                .of(&memory);
            assert!(
                matches!(refusal, Err(Error::Forbidden(_))),
                "{method} {scope}"
            );
        }
    }
}

#[test]
fn without_a_right_token_nothing_is_allowed() {
    let memory = Memory::new();
    let expired = sign(
        &json!({ "sub": "p", "scope": "write", "exp": NOW - LEEWAY }),
        SECRET,
    );
    let wrongly_signed = sign(&claims("p", "write"), OTHER_SECRET);
    let right = token("p", "write");
    for method in READS.iter().chain(&MUTATIONS) {
        for path in ["p/s", "p/deep/er", "unknown/s"] {
            let ask = || Ask::new(method, path);
            let refused = [
                ask(),
                ask().bearer(""),
                ask().bearer("garbage"),
                ask().header("Authorization", format!("Basic {right}")),
                ask().header("Authorization", right.clone()),
                ask().header("X-Token", right.clone()),
                ask().bearer(&expired).query("public=true"),
                ask().bearer(&wrongly_signed),
            ];
            for (at, ask) in refused.iter().enumerate() {
                let expected = match (path, at) {
                    // What these say of their project is seen first.
                    ("unknown/s", 6 | 7) => 403,
                    _ => 401,
                };
                let refusal = ask.of(&memory).unwrap_err();
                assert_eq!(
                    refusal.status(),
                    expected,
                    "{method} {path} {at}: {refusal}"
                );
            }
            let unknown = token("unknown", "write");
            let refusal = Ask::new(method, "unknown/s").bearer(&unknown).of(&memory);
            assert_eq!(refusal.unwrap_err().status(), 401);
        }
    }
}

#[test]
fn a_token_of_another_project_is_forbidden() {
    let memory = Memory::new();
    for method in READS.iter().chain(&MUTATIONS) {
        for foreign in [
            sign(&claims("other", "write"), OTHER_SECRET),
            sign(&claims("other", "write"), SECRET),
            token("P", "write"),
            token("p/s", "write"),
            token("", "write"),
        ] {
            let refusal = Ask::new(method, "p/s")
                .bearer(&foreign)
                .of(&memory)
                .unwrap_err();
            assert_eq!(refusal.status(), 403, "{method}: {refusal}");
        }
    }
    // Five tokens with GET and HEAD: is the project public, is the stream? No secret is looked at.
    assert_eq!(*memory.reads.borrow(), 5 * 2 * 2);
}

#[test]
fn a_token_of_one_stream_opens_no_other() {
    let memory = Memory::new();
    for method in READS.iter().chain(&MUTATIONS) {
        let with = |stream: &str, place| {
            let token = stream_token("write", stream);
            Ask::new(method, place)
                .bearer(&token)
                .of(&memory)
                .map_err(|e| e.status())
        };
        assert!(with("s", "p/s").is_ok(), "{method}");
        assert!(with("deep/er", "p/deep/er").is_ok(), "{method}");
        assert!(with("a b", "p/a%20b").is_ok(), "{method}");
        for (stream, place) in [
            ("s", "p/t"),
            ("s", "p/s/t"),
            ("s/t", "p/s"),
            ("", "p/s"),
            ("*", "p/s"),
            ("S", "p/s"),
            ("p/s", "p/s"),
            ("a%20b", "p/a%20b"),
        ] {
            assert_eq!(with(stream, place), Err(403), "{method} {stream} {place}");
        }
    }
}

#[test]
fn a_project_is_no_stream() {
    let memory = Memory::new();
    let token = token("p", "write");
    for method in READS.iter().chain(&MUTATIONS) {
        let status = |path| {
            let refusal = Ask::new(method, path).bearer(&token).of(&memory);
            refusal.unwrap_err().status()
        };
        assert_eq!(status("p"), 404, "{method}");
    }
    assert!(
        Ask::new("GET", "p/a/__ds")
            .bearer(&token)
            .of(&memory)
            .is_ok()
    );
}

#[test]
fn everyone_reads_in_a_public_project_and_nobody_writes() {
    let memory = Memory::new();
    for method in READS {
        let bad = token("p", "write");
        for ask in [
            Ask::new(method, "open/s"),
            Ask::new(method, "open/s").bearer(&bad),
        ] {
            assert_eq!(ask.of(&memory), Ok(Grant::EVERYONE), "{method}");
        }
    }
    for method in MUTATIONS {
        let refusal = Ask::new(method, "open/s").of(&memory).unwrap_err();
        assert_eq!(refusal.status(), 401, "{method}");
    }
}

#[test]
fn a_public_stream_is_left_to_its_object_to_open() {
    let memory = Memory::new();
    memory.public.borrow_mut().insert("p/s".to_owned(), None);
    let everyone = Grant {
        audience: Audience::EveryoneIfPublic,
        ..Grant::EVERYONE
    };
    for method in READS {
        for bad in [
            "",
            "garbage",
            &stream_token("read", "t"),
            &token("q", "read"),
        ] {
            let grant = Ask::new(method, "p/s").bearer(bad).of(&memory);
            assert_eq!(grant, Ok(everyone), "{method} {bad}");
        }
        let refusal = Ask::new(method, "p/t").of(&memory).unwrap_err();
        assert_eq!(refusal.status(), 401);
        let with_token = Ask::new(method, "p/s")
            .bearer(&token("p", "read"))
            .of(&memory);
        assert_eq!(with_token.unwrap().audience, Audience::Holder);
    }
    for method in MUTATIONS {
        let refusal = Ask::new(method, "p/s").of(&memory).unwrap_err();
        assert_eq!(refusal.status(), 401, "{method}");
    }
    memory.public.borrow_mut().insert("gone/s".to_owned(), None);
    let of_no_project = Ask::new("GET", "gone/s").of(&memory).unwrap_err();
    assert_eq!(of_no_project.status(), 401);
}

#[test]
fn public_streams_are_registered_and_others_cost_no_write() {
    let memory = Memory::new();
    let put = |query| Ask::new("PUT", "p/s").query(query);
    let is_registered = || memory.public.borrow().contains_key("p/s");
    for (query, status) in [
        ("", 201),
        ("public=false", 201),
        ("public=true", 409),
        ("public=true", 400),
    ] {
        put(query).settle(status, &memory).unwrap();
    }
    Ask::new("POST", "p/s")
        .query("public=true")
        .settle(204, &memory)
        .unwrap();
    assert_eq!((*memory.reads.borrow(), *memory.writes.borrow()), (0, 0));

    put("public=true").settle(201, &memory).unwrap();
    assert!(is_registered());
    put("public=true").settle(200, &memory).unwrap();
    assert_eq!(*memory.writes.borrow(), 1);
    memory.public.borrow_mut().clear();
    put("public=true").settle(200, &memory).unwrap();
    assert!(is_registered(), "a creation that broke off is completed");

    Ask::new("DELETE", "p/s").settle(503, &memory).unwrap();
    assert!(is_registered());
    // A deletion that finds nothing may complete one that broke off before this.
    for status in [204, 404, 410] {
        put("public=true").settle(201, &memory).unwrap();
        Ask::new("DELETE", "p/s").settle(status, &memory).unwrap();
        assert!(!is_registered(), "{status}");
    }
    let writes = *memory.writes.borrow();
    Ask::new("DELETE", "p/s").settle(204, &memory).unwrap();
    assert_eq!(*memory.writes.borrow(), writes);
}

#[test]
fn a_token_in_the_url_is_short_lived_and_reads_events() {
    let memory = Memory::new();
    let url = |method, token: &str, live: &str| {
        let query = format!("offset=-1&token={token}{live}");
        Ask::new(method, "p/s")
            .query(&query)
            .of(&memory)
            .map_err(|error| error.status())
    };
    let lasting = |seconds: u64, scope: &str| {
        sign(
            &json!({ "sub": "p", "scope": scope, "exp": NOW + seconds }),
            SECRET,
        )
    };
    let short = lasting(MAX_URL_TOKEN_LIFE, "read");
    let granted = url("GET", &short, "&live=sse").unwrap();
    assert_eq!(granted.expires_at, Some(NOW + MAX_URL_TOKEN_LIFE));

    for live in ["", "&live=long-poll", "&live=SSE", "&alive=sse"] {
        assert_eq!(url("GET", &short, live), Err(401), "{live}");
    }
    for method in ["HEAD", "PUT", "POST", "DELETE", "PATCH"] {
        assert_eq!(url(method, &short, "&live=sse"), Err(401), "{method}");
    }
    let long = lasting(MAX_URL_TOKEN_LIFE + LEEWAY + 1, "read");
    assert_eq!(url("GET", &long, "&live=sse"), Err(403));
    assert_eq!(url("GET", &lasting(60, "write"), "&live=sse"), Err(403));
    assert_eq!(
        url("GET", &stream_token("read", "t"), "&live=sse"),
        Err(403)
    );
    assert!(url("GET", &stream_token("read", "s"), "&live=sse").is_ok());
    let twice = format!("&live=sse&token={short}");
    assert_eq!(url("GET", &short, &twice), Err(401));
}

#[test]
fn a_token_is_taken_out_of_a_query() {
    for (query, rest) in [
        ("token=x", Some("")),
        ("a=1&token=x&b=%20", Some("a=1&b=%20")),
        ("token=x&a=1&token=y", Some("a=1")),
        ("%74oken=x&a=1", Some("a=1")),
        ("token", Some("")),
        ("a=token&tokens=1", None),
        ("", None),
    ] {
        assert_eq!(without_token(query).as_deref(), rest, "{query}");
    }
}

#[test]
fn a_fork_stays_in_its_project_and_within_its_token() {
    let memory = Memory::new();
    let fork = |token: &str, source: &str| {
        let put = Ask::new("PUT", "p/s").bearer(token);
        let put = put.header("Stream-Forked-From", source);
        put.of(&memory).map(drop).map_err(|error| error.status())
    };
    let whole = token("p", "write");
    assert_eq!(fork(&whole, "/v1/stream/p/source"), Ok(()));
    assert_eq!(fork(&whole, "/v1/stream/other/source"), Err(403));
    assert_eq!(fork(&whole, "/v1/stream/p"), Err(403));
    assert_eq!(fork(&whole, "/v1/stream/%70/source"), Ok(()));
    assert_eq!(fork(&whole, "/v1/stream/p/../other/source"), Err(400));
    assert_eq!(fork(&whole, "p/source"), Err(400));
    assert_eq!(fork(&token("p", "read"), "/v1/stream/p/source"), Err(403));
    // Whether the source may be read is asked besides.
    let limited = stream_token("write", "s");
    assert_eq!(fork(&limited, "/v1/stream/p/source"), Ok(()));
    let source = Ask::new("GET", "p/source").bearer(&limited);
    assert_eq!(source.of(&memory).unwrap_err().status(), 403);
}

impl Ask<'_> {
    /// Asks about the root of the project that the path is, or of all streams if it is empty.
    fn of_root(&self, purpose: Purpose, memory: &Memory) -> Result<RootGrant, Error> {
        let root = match self.path {
            "" => Root::ALL,
            project => Root::of_project(project),
        };
        let header = |name: &str| {
            let found = self.headers.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.clone())
        };
        let request = Request {
            method: self.method,
            query: self.query,
            header: &header,
            now: NOW,
        };
        let outcome = match self.method {
            "GET" | "HEAD" => {
                ready(ProjectJwt.authorize_inspection(&request, &root, purpose, memory))
            }
            _ => ready(ProjectJwt.authorize_control(&request, &root, purpose, memory)),
        };
        outcome.map_err(|refusal| match refusal {
            Refusal::Error(error) => error,
            Refusal::Reply(reply) => panic!("{reply:?}"),
        })
    }
}

#[test]
fn a_root_is_open_to_tokens_of_the_whole_project() {
    let memory = Memory::new();
    let status = |method, root, token: &str, purpose| {
        let ask = Ask::new(method, root).bearer(token);
        ask.of_root(purpose, &memory)
            .map_err(|error| error.status())
    };
    let all = RootGrant::default();
    let (read, write) = (token("p", "read"), token("p", "write"));
    let limited = [stream_token("read", "s"), stream_token("write", "s")];
    for purpose in [Purpose::Rest, Purpose::Streams] {
        for method in READS {
            assert_eq!(status(method, "p", &read, purpose), Ok(all.clone()));
            assert_eq!(status(method, "p", &write, purpose), Ok(all.clone()));
        }
        for method in MUTATIONS {
            assert_eq!(status(method, "p", &write, purpose), Ok(all.clone()));
            assert_eq!(status(method, "p", &read, purpose), Err(403));
            for limited in &limited {
                assert_eq!(status(method, "p", limited, purpose), Err(403));
            }
        }
        for method in READS.iter().chain(&MUTATIONS) {
            let expired = sign(&json!({ "sub": "p", "scope": "write", "exp": 1 }), SECRET);
            let wrong = sign(&claims("p", "write"), OTHER_SECRET);
            for bad in ["", "garbage", &expired, &wrong, &token("unknown", "write")] {
                // What it says of its project is seen first.
                let expected = if bad == token("unknown", "write") {
                    403
                } else {
                    401
                };
                assert_eq!(status(method, "p", bad, purpose), Err(expected), "{bad}");
            }
            let other = sign(&claims("other", "write"), OTHER_SECRET);
            assert_eq!(status(method, "p", &other, purpose), Err(403));
            assert_eq!(status(method, "p", &token("p", "admin"), purpose), Err(403));
            // Nothing of a public project is public but its streams.
            let nobody = Ask::new(method, "open").of_root(purpose, &memory);
            assert_eq!(nobody.unwrap_err().status(), 401);
            let in_url = Ask::new(method, "p").query("live=sse&token=x");
            assert_eq!(in_url.of_root(purpose, &memory).unwrap_err().status(), 401);
            // There is no root of all streams.
            assert_eq!(status(method, "", &write, purpose), Err(404));
        }
    }
    for method in READS {
        for limited in &limited {
            assert_eq!(status(method, "p", limited, Purpose::Rest), Err(403));
            let own = RootGrant {
                only: Some("s".to_owned()),
                era: None,
            };
            assert_eq!(status(method, "p", limited, Purpose::Streams), Ok(own));
        }
    }
}

#[test]
fn keys_and_what_wake_tokens_open_need_no_token_of_the_project() {
    let mut memory = Memory::new();
    let era = Some(Era::new(7));
    let project = Project {
        era,
        ..(**memory.projects.get("p").unwrap()).clone()
    };
    memory.projects.insert("p", Rc::new(project));
    for (method, purpose) in [("GET", Purpose::Keys), ("POST", Purpose::Wake)] {
        let of = |root, token: &str| {
            let ask = Ask::new(method, root).bearer(token);
            ask.of_root(purpose, &memory)
        };
        for token in ["", "a wake token", &token("other", "write")] {
            let granted = of("p", token).unwrap();
            assert_eq!(granted, RootGrant { era, only: None });
            // No key is made, and no subscription asked, of what is no project.
            for none in ["unknown", ""] {
                let refused = of(none, token).unwrap_err();
                assert_eq!(refused.code(), "SUBSCRIPTION_NOT_FOUND");
            }
        }
    }
    let granted = Ask::new("GET", "p").bearer(&token("p", "read"));
    assert_eq!(granted.of_root(Purpose::Rest, &memory).unwrap().era, era);
    memory.is_down = true;
    let down = Ask::new("POST", "p").of_root(Purpose::Wake, &memory);
    assert_eq!(down.unwrap_err().status(), 503);
}

#[test]
fn a_registry_out_of_order_decides_nothing() {
    let memory = Memory {
        is_down: true,
        ..Memory::new()
    };
    let token = token("p", "write");
    for method in READS.iter().chain(&MUTATIONS) {
        let refusal = Ask::new(method, "p/s")
            .bearer(&token)
            .of(&memory)
            .unwrap_err();
        assert_eq!(refusal.status(), 503, "{method}");
    }
    assert_eq!(
        Ask::new("GET", "p/s").of(&memory).unwrap_err().status(),
        503
    );
    let origin = Ask::new("GET", "p/s").header("Origin", "https://app.example");
    assert_eq!(origin.cors(&memory), Cors::Nobody);
}

#[test]
fn pages_are_let_in_as_the_project_says() {
    let memory = Memory::new();
    let cors = |path, origin: Option<&str>| {
        let ask = Ask::new("OPTIONS", path);
        let ask = match origin {
            Some(origin) => ask.header("Origin", origin),
            None => ask,
        };
        ask.cors(&memory)
    };
    assert_eq!(cors("p/s", Some("https://app.example")), Cors::Origin);
    assert_eq!(cors("p/s", Some("https://evil.example")), Cors::Nobody);
    assert_eq!(cors("unknown/s", Some("https://app.example")), Cors::Nobody);
    assert_eq!(cors("p", Some("https://app.example")), Cors::Origin);
    assert_eq!(cors("p%2Fs", Some("https://app.example")), Cors::Origin);
    assert_eq!(cors("unknown", Some("https://app.example")), Cors::Nobody);
    let reads = *memory.reads.borrow();
    assert_eq!(cors("p/s", None), Cors::Nobody);
    assert_eq!(
        *memory.reads.borrow(),
        reads,
        "nothing is looked up for nobody"
    );
}

#[test]
fn a_minted_token_opens_its_stream_and_no_other() {
    let memory = Memory::new();
    for (scope, can_write) in [(Scope::Read, false), (Scope::Write, true)] {
        let token = ready(mint(&path("p/a%20b/%C3%BC"), scope, NOW + 60, &memory)).unwrap();
        let ask = |method, path| Ask::new(method, path).bearer(&token).of(&memory);
        let grant = ask("GET", "p/a%20b/%C3%BC").unwrap();
        assert_eq!(grant.expires_at, Some(NOW + 60));
        assert_eq!(ask("POST", "p/a%20b/%C3%BC").is_ok(), can_write);
        for other in ["p/a%20b", "p/a%20b/%C3%BC/1", "other/a%20b/%C3%BC"] {
            ask("GET", other).unwrap_err();
        }
    }
}

#[test]
fn a_minted_token_may_be_in_a_url() {
    let memory = Memory::new();
    let end = NOW + MAX_URL_TOKEN_LIFE;
    let token = ready(mint(&path("p/s"), Scope::Read, end, &memory)).unwrap();
    let query = format!("live=sse&token={token}");
    Ask::new("GET", "p/s").query(&query).of(&memory).unwrap();
}

/// Its record comes first of all, so that it ends when that secret does.
#[test]
fn a_token_is_minted_with_the_first_secret() {
    let mut memory = Memory::new();
    let minted = |memory: &Memory| ready(mint(&path("p/s"), Scope::Read, NOW + 60, memory));
    let token = minted(&memory).unwrap();
    let without_first = Rc::new(Project {
        signing_secrets: vec![SECRET.to_owned()],
        ..(*memory.projects["p"]).clone()
    });
    memory.projects.insert("p", without_first);
    let refusal = Ask::new("GET", "p/s").bearer(&token).of(&memory);
    assert!(
        matches!(refusal, Err(Error::Unauthorized(_))),
        "{refusal:?}"
    );
}

#[test]
fn without_a_project_or_its_secret_nothing_is_minted() {
    let mut memory = Memory::new();
    let none = Project {
        signing_secrets: Vec::new(),
        ..(*memory.projects["p"]).clone()
    };
    memory.projects.insert("none", Rc::new(none));
    let mut minted = |stream: &str, is_down| {
        memory.is_down = is_down;
        ready(mint(&path(stream), Scope::Read, NOW + 60, &memory)).unwrap_err()
    };
    for stream in ["unknown/s", "none/s"] {
        let error = minted(stream, false);
        let detail = error.detail().unwrap();
        assert!(detail.contains("projects create"), "{detail}");
    }
    assert_eq!(minted("p", false), Error::UnknownRoute);
    assert_eq!(
        minted("p/s", true),
        Error::RegistryUnavailable("down".to_owned())
    );
}
