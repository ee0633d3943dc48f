//! What is asked of a root, by whom, and what becomes of the answers.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::world::{Request, Response, World};
use crate::auth::{
    self, AuthorizeMutation, AuthorizeRead, Cors, Grant, NoAuth, Purpose, Refusal, RootGrant,
};
use crate::directory::key_shard;
use crate::directory::shard_of;
use crate::edge::ports::Outgoing;
use crate::patience::OBJECT;
use crate::protocol::ask::MAX_BODY;
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::root::Root;

const SHARDS: u32 = 2;

pub(super) fn request(method: &'static str, path: &str, body: &str) -> Request {
    Request {
        method,
        url: format!("http://a:1{path}"),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers.push((name, value.to_owned()));
    request
}

/// A world in which these answer.
pub(super) fn world(answers: &[(&str, u16, &str)]) -> World {
    let world = World::default();
    world.0.shards.set(Some(SHARDS));
    let answers = answers
        .iter()
        .map(|(asked, status, body)| ((*asked).to_owned(), Some((*status, (*body).to_owned()))));
    world.0.answers.borrow_mut().extend(answers);
    world
}

pub(super) fn serve(world: &World, request: &Request) -> Response {
    world.serve(&NoAuth, request).unwrap()
}

pub(super) fn document(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

pub(super) fn code(response: &Response) -> String {
    document(response)["error"]["code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

#[test]
fn a_subscription_is_asked_by_its_name_and_answers_as_it_likes() {
    let world = world(&[
        ("create p/__ds/subscriptions/a:b", 201, r#"{"id":"a:b"}"#),
        ("claim p/__ds/subscriptions/a:b", 409, r#"{"error":{}}"#),
        ("remove __ds/subscriptions/x", 204, ""),
        ("get __ds/subscriptions/x", 200, "{}"),
    ]);
    let sub = "/v1/stream/p/__ds/subscriptions/a%3Ab";
    let put = with(
        request("PUT", sub, "{\"type\":1}"),
        "Authorization",
        "Bearer secret",
    );
    let answer = serve(&world, &put);
    assert_eq!(
        (answer.status, &answer.body[..]),
        (201, &br#"{"id":"a:b"}"#[..])
    );
    assert_eq!(
        answer.header("Content-Type").as_deref(),
        Some("application/json")
    );
    assert_eq!(answer.header("Cache-Control").as_deref(), Some("no-store"));
    assert_eq!(
        answer.header("Access-Control-Allow-Origin").as_deref(),
        Some("*")
    );
    let claim = request("POST", &format!("{sub}/claim"), "{}");
    assert_eq!(serve(&world, &claim).status, 409);

    let remove = request(
        "DELETE",
        "/v1/streams/__ds/subscriptions/x/streams/a%2Fb",
        "",
    );
    let answer = serve(&world, &remove);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("Content-Type"), None);
    let get = request(
        "HEAD",
        "/v1/stream/__ds/subscriptions/x?after=q&token=secret",
        "",
    );
    assert_eq!(serve(&world, &get).status, 200);

    let asked = world.0.questions.take();
    let call = |at: usize| asked[at].1.clone();
    assert_eq!(
        call(0),
        json!({
            "v": 3, "root": { "project": "p" }, "id": "a:b", "base": "http://a:1/v1/stream/p",
            "token": null, "rest": "", "body": "{\"type\":1}", "may_copy": false
        }),
        "service tokens stay at the edge"
    );
    assert_eq!(call(2)["rest"], "a/b");
    assert_eq!(call(3)["rest"], "after=q");
    assert_eq!(call(3)["base"], "http://a:1/v1/stream");
}

#[test]
fn only_what_it_opens_is_shown_a_wake_token() {
    let world = world(&[]);
    for action in ["callback", "ack", "release", "claim", "retry", "streams"] {
        let path = format!("/v1/stream/__ds/subscriptions/x/{action}");
        let post = with(request("POST", &path, "{}"), "Authorization", "bearer wake");
        serve(&world, &post);
        let (_, call) = world.0.questions.borrow_mut().pop().unwrap();
        let expected = match action {
            "callback" | "ack" | "release" => json!("wake"),
            _ => Value::Null,
        };
        assert_eq!(call["token"], expected, "{action}");
    }
    assert!(!format!("{:?}", world.0.log.take()).contains("wake"));
}

#[test]
fn the_origin_is_the_configured_one_or_the_requests() {
    let base = |world: &World, request: &Request| {
        serve(world, request);
        let (_, call) = world.0.questions.borrow_mut().pop().unwrap();
        call["base"].as_str().unwrap().to_owned()
    };
    let world = world(&[]);
    let get = request("GET", "/v1/stream/p/__ds/subscriptions/x", "");
    assert_eq!(base(&world, &get), "http://a:1/v1/stream/p");
    let behind = with(get, "X-Forwarded-Proto", "https");
    let behind = with(behind, "X-Forwarded-Host", "b.example, c");
    assert_eq!(base(&world, &behind), "https://b.example/v1/stream/p");
    *world.0.public_url.borrow_mut() = Some("https://c.example".to_owned());
    assert_eq!(base(&world, &behind), "https://c.example/v1/stream/p");
}

#[test]
fn what_objects_cannot_say_in_a_document_is_said_for_them() {
    let world = world(&[
        ("ack __ds/subscriptions/x", 401, "{}"),
        ("callback __ds/subscriptions/x", 503, "{}"),
    ]);
    let post = |action| {
        request(
            "POST",
            &format!("/v1/stream/__ds/subscriptions/x/{action}"),
            "",
        )
    };
    let answer = serve(&world, &post("ack"));
    assert_eq!(answer.header("WWW-Authenticate").as_deref(), Some("Bearer"));
    let answer = serve(&world, &post("callback"));
    assert_eq!(answer.header("Retry-After").as_deref(), Some("1"));
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let world = world(&[]);
    let claim = request("POST", "/v1/stream/__ds/subscriptions/x/claim", "{}");
    let answer = serve(&world, &claim);
    assert_eq!(
        (answer.status, code(&answer)),
        (503, "UNAVAILABLE".to_owned())
    );
    assert_eq!(answer.header("Retry-After").as_deref(), Some("1"));
    assert_eq!(world.0.now.get(), 0);
    let silent = ("claim __ds/subscriptions/x".to_owned(), None);
    world.0.answers.borrow_mut().push(silent);
    assert_eq!(serve(&world, &claim).status, 503);
    assert_eq!(world.0.now.get(), OBJECT);
    assert_eq!(world.0.log.borrow().len(), 2);
}

#[test]
fn bodies_are_bounded_and_text() {
    let world = world(&[("create __ds/subscriptions/x", 200, "{}")]);
    let put = |body: Vec<u8>| Request {
        body,
        ..request("PUT", "/v1/stream/__ds/subscriptions/x", "")
    };
    assert_eq!(serve(&world, &put(vec![b' '; MAX_BODY])).status, 200);
    let answer = serve(&world, &put(vec![b' '; MAX_BODY + 1]));
    assert_eq!(answer.status, 413);
    let answer = serve(&world, &put(vec![0xff]));
    assert_eq!(
        (answer.status, code(&answer)),
        (400, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(world.0.questions.borrow().len(), 1);
}

#[test]
fn wrong_routes_and_methods_are_told_apart_and_ask_nobody() {
    let world = world(&[]);
    for (method, path, status, allow) in [
        ("GET", "__ds", 404, None),
        ("GET", "__ds/x", 404, None),
        ("PUT", "p/__ds/subscriptions/x/y", 404, None),
        ("POST", "__ds/streams", 405, Some("GET, HEAD, OPTIONS")),
        (
            "PATCH",
            "__ds/subscriptions/x",
            405,
            Some("GET, HEAD, PUT, DELETE, OPTIONS"),
        ),
        (
            "GET",
            "__ds/subscriptions/x/ack",
            405,
            Some("POST, OPTIONS"),
        ),
        ("PUT", "__ds/subscriptions/a%00b", 400, None),
        ("PUT", "p//__ds/subscriptions/x", 400, None),
        ("PUT", "p/__ds%2Fsubscriptions/x", 404, None),
    ] {
        for prefix in ["/v1/stream/", "/v1/streams/"] {
            let drained = world.0.drained.get();
            let answer = serve(&world, &request(method, &format!("{prefix}{path}"), "{}"));
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.header("Allow").as_deref(), allow, "{method} {path}");
            assert_eq!(world.0.drained.get(), drained + 1, "{method} {path}");
        }
    }
    let preflight = request("OPTIONS", "/v1/stream/__ds/x", "");
    assert_eq!(serve(&world, &preflight).status, 204);
    assert!(world.0.questions.borrow().is_empty());
}

#[test]
fn without_a_directory_it_is_said_what_is_missing() {
    let world = world(&[]);
    world.0.shards.set(None);
    for (method, path) in [
        ("PUT", "subscriptions/x"),
        ("GET", "streams"),
        ("GET", "jwks.json"),
        ("POST", "directory/rebuild"),
    ] {
        let answer = serve(
            &world,
            &request(method, &format!("/v1/stream/__ds/{path}"), ""),
        );
        assert_eq!(
            (answer.status, code(&answer)),
            (501, "DIRECTORY_OFF".to_owned())
        );
        let text = String::from_utf8(answer.body).unwrap();
        for what in ["DIRECTORY ", "DIRECTORIES", "SUBSCRIPTIONS", "migration"] {
            assert!(text.contains(what), "{text}");
        }
    }
}

#[test]
fn keys_are_public_and_kept() {
    let shard = key_shard(&Root::of_project("p"), SHARDS);
    let jwks = format!("jwks shard {shard} of the directory");
    let rotate = format!("rotate shard {shard} of the directory");
    let world = world(&[
        (&jwks, 200, r#"{"keys":[]}"#),
        (&rotate, 200, r#"{"v":3,"kid":"ds_1","active_at":7}"#),
    ]);
    for method in ["GET", "HEAD"] {
        let get = request(method, "/v1/stream/p/__ds/jwks.json?x=1", "");
        let answer = serve(&world, &get);
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &br#"{"keys":[]}"#[..])
        );
        let header = |name| answer.header(name).unwrap();
        assert_eq!(header("Content-Type"), "application/jwk-set+json");
        assert_eq!(header("Cache-Control"), "public, max-age=300");
    }
    let post = |body| request("POST", "/v1/stream/p/__ds/keys/rotate", body);
    let answer = serve(&world, &post(r#"{"now":true}"#));
    assert_eq!(
        document(&answer),
        json!({ "kid": "ds_1", "active_at": "1970-01-01T00:00:00.007Z" })
    );
    let (_, said) = world.0.questions.borrow_mut().pop().unwrap();
    assert_eq!(
        said,
        json!({ "v": 3, "root": { "project": "p" }, "now": true })
    );
    assert_eq!(
        code(&serve(&world, &post("{\"then\":1}"))),
        "INVALID_REQUEST"
    );
}

/// What a shard says to a list of streams.
fn listed(paths: &[&str]) -> String {
    let streams = paths.iter().map(|path| {
        json!({
            "path": path, "content_type": "text/plain",
            "life": { "born": 1_778_324_210_007_u64, "incarnation": "1" }
        })
    });
    json!({ "v": 3, "streams": streams.collect::<Vec<_>>() }).to_string()
}

#[test]
fn streams_of_all_shards_are_one_list() {
    let (one, other) = (listed(&["a", "c"]), listed(&["b"]));
    let world = world(&[
        ("list shard 0 of the directory", 200, &one),
        ("list shard 1 of the directory", 200, &other),
    ]);
    let get = |query: &str| {
        let get = request("GET", &format!("/v1/stream/p/__ds/streams?{query}"), "");
        document(&serve(&world, &get))
    };
    let page = get("prefix=x%2F&after=x/1&limit=3");
    let paths = |page: &Value| {
        let streams = page["streams"].as_array().unwrap().iter();
        streams
            .map(|entry| entry["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&page), ["a", "b", "c"]);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(
        page["streams"][0],
        json!({ "path": "a", "content_type": "text/plain", "created_at": "2026-05-09T10:56:50.007Z" })
    );
    let (_, said) = world.0.questions.borrow_mut().pop().unwrap();
    let expected = json!({
        "v": 3, "root": { "project": "p" }, "prefix": "x/", "after": "x/1", "limit": 4
    });
    assert_eq!(said, expected);
    let page = get("limit=2");
    assert_eq!(
        (paths(&page), &page["next"]),
        (vec!["a".into(), "b".into()], &json!("b"))
    );
    assert_eq!(get("limit=0")["error"]["code"], "INVALID_REQUEST");
    // A list that lacks a part is none.
    world.0.answers.borrow_mut().pop();
    assert_eq!(get("")["error"]["code"], "UNAVAILABLE");
}

#[test]
fn subscriptions_of_all_shards_are_one_list() {
    let world = world(&[
        (
            "subscriptions shard 0 of the directory",
            200,
            r#"{"v":3,"ids":["a","b"]}"#,
        ),
        (
            "subscriptions shard 1 of the directory",
            200,
            r#"{"v":3,"ids":["a"]}"#,
        ),
    ]);
    let get = |query: &str| {
        let get = request("GET", &format!("/v1/stream/__ds/subscriptions{query}"), "");
        document(&serve(&world, &get))
    };
    let all = json!({ "subscriptions": [{ "id": "a" }, { "id": "b" }], "next": null });
    assert_eq!(get(""), all);
    assert_eq!(get("?limit=1")["next"], "a");
    assert_eq!(get("?prefix=a")["error"]["code"], "INVALID_REQUEST");
}

#[test]
fn a_directory_is_rebuilt_page_by_page() {
    let world = world(&[("enroll p/a", 204, ""), ("enroll p/a/b", 404, "{}")]);
    *world.0.keys.borrow_mut() = [
        "streams/p/a/1-1/0-1",
        "streams/p/a/1-1/1-2",
        "streams/p/a/b/2-2/0-1",
        "streams/p2/x/1-1/0-1",
    ]
    .map(str::to_owned)
    .to_vec();
    let post = |query: &str| {
        let post = request(
            "POST",
            &format!("/v1/stream/p/__ds/directory/rebuild{query}"),
            "",
        );
        document(&serve(&world, &post))
    };
    assert_eq!(post(""), json!({ "found": 1, "next": null }));
    assert_eq!(world.0.questions.borrow().len(), 2);
    let page = post("?limit=1");
    assert_eq!(page, json!({ "found": 1, "next": "a/1-1/0-1" }));
    // The stream that a page ends within is not asked again.
    world.0.questions.borrow_mut().clear();
    let page = post("?limit=1&after=a/1-1/0-1");
    assert_eq!(page, json!({ "found": 0, "next": "a/1-1/1-2" }));
    assert!(world.0.questions.borrow().is_empty());
    // One that could not be asked is asked again with its page.
    world.0.answers.borrow_mut().clear();
    assert_eq!(post("")["error"]["code"], "UNAVAILABLE");
    let newer = ("enroll p/a".to_owned(), Some((503, "{}".to_owned())));
    world.0.answers.borrow_mut().push(newer);
    assert_eq!(post("?limit=1")["error"]["code"], "UNAVAILABLE");
}

/// Allows one purpose, in an era.
pub(super) struct Only {
    purpose: Purpose,
    grant: RootGrant,
    asked: RefCell<Vec<(String, Purpose)>>,
}

impl Only {
    pub(super) fn new(purpose: Purpose, grant: RootGrant) -> Self {
        Self {
            purpose,
            grant,
            asked: RefCell::default(),
        }
    }

    fn decide(&self, request: &auth::Request<'_>, purpose: Purpose) -> Result<RootGrant, Refusal> {
        self.asked
            .borrow_mut()
            .push((request.method.to_owned(), purpose));
        match purpose == self.purpose {
            true => Ok(self.grant.clone()),
            false => Err(Error::Forbidden("not this").into()),
        }
    }
}

impl AuthorizeMutation<()> for Only {
    async fn authorize_mutation(
        &self,
        _: &auth::Request<'_>,
        _: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        panic!("no stream is asked for")
    }

    async fn authorize_control(
        &self,
        request: &auth::Request<'_>,
        _: &Root,
        purpose: Purpose,
        (): &(),
    ) -> Result<RootGrant, Refusal> {
        assert!(!matches!(request.method, "GET" | "HEAD"));
        self.decide(request, purpose)
    }
}

impl AuthorizeRead<()> for Only {
    async fn authorize_read(
        &self,
        _: &auth::Request<'_>,
        _: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        panic!("no stream is asked for")
    }

    async fn authorize_inspection(
        &self,
        request: &auth::Request<'_>,
        _: &Root,
        purpose: Purpose,
        (): &(),
    ) -> Result<RootGrant, Refusal> {
        assert!(matches!(request.method, "GET" | "HEAD"));
        self.decide(request, purpose)
    }

    async fn cors(&self, _: &auth::Request<'_>, place: &StreamPath, (): &()) -> Cors {
        assert_eq!(place.as_str(), "p");
        Cors::Origin
    }
}

#[test]
fn each_route_has_a_purpose_that_is_authorized_before_anybody_is_asked() {
    use Purpose::{Keys, Rest, Streams, Wake};
    for (method, path, purpose) in [
        ("GET", "streams", Streams),
        ("GET", "streams/a", Streams),
        ("HEAD", "streams/a%2Fb", Streams),
        ("GET", "subscriptions", Rest),
        ("GET", "jwks.json", Keys),
        ("HEAD", "jwks.json", Keys),
        ("POST", "keys/rotate", Rest),
        ("POST", "directory/rebuild", Rest),
        ("PUT", "subscriptions/x", Rest),
        ("GET", "subscriptions/x", Rest),
        ("DELETE", "subscriptions/x", Rest),
        ("POST", "subscriptions/x/streams", Rest),
        ("DELETE", "subscriptions/x/streams/a", Rest),
        ("POST", "subscriptions/x/claim", Rest),
        ("POST", "subscriptions/x/retry", Rest),
        ("POST", "subscriptions/x/callback", Wake),
        ("POST", "subscriptions/x/ack", Wake),
        ("POST", "subscriptions/x/release", Wake),
        // Wrong ones say so only to who may ask at all.
        ("GET", "subscriptions/x/ack", Rest),
        ("POST", "nowhere", Rest),
    ] {
        let world = world(&[("target p/__ds/subscriptions/x", 404, "{}")]);
        let mut ask = request(method, &format!("/v1/stream/p/__ds/{path}"), "{}");
        ask = with(ask, "Origin", "https://app.example");
        for allowed in [Streams, Keys, Rest, Wake] {
            let auth = Only {
                purpose: allowed,
                grant: RootGrant::default(),
                asked: RefCell::default(),
            };
            let answer = world.serve(&auth, &ask).unwrap();
            let asked = auth.asked.take();
            assert_eq!(asked[0], (method.to_owned(), purpose), "{method} {path}");
            // What copies into a stream of somebody's may be asked for by them.
            let is_last = |asked: &(String, Purpose)| *asked == ("GET".to_owned(), Streams);
            assert!(asked[1..].iter().all(is_last), "{method} {path}: {asked:?}");
            assert_eq!(answer.status == 403, allowed != purpose, "{method} {path}");
            let asked = world.0.questions.take();
            let is_asked = asked.iter().any(|(asked, _)| !asked.starts_with("target "));
            assert!(allowed == purpose || !is_asked, "{method} {path}");
            let origin = answer.header("Access-Control-Allow-Origin");
            assert_eq!(origin.as_deref(), Some("https://app.example"));
        }
    }
}

#[test]
fn objects_are_those_of_the_era_and_a_list_is_of_what_may_be_seen() {
    let era = Era::parse("00c0ffee00c0ffee");
    let auth = |purpose, only: Option<&str>| Only {
        purpose,
        grant: RootGrant {
            era,
            only: only.map(str::to_owned),
        },
        asked: RefCell::default(),
    };
    let own = listed(&["mine"]);
    let name = "__ds/era/00c0ffee00c0ffee/p/mine";
    let shard = format!("list shard {} of the directory", shard_of(name, SHARDS));
    let world = world(&[(&shard, 200, &own)]);
    let ask = request("POST", "/v1/stream/p/__ds/subscriptions/x/ack", "{}");
    world.serve(&auth(Purpose::Wake, None), &ask).unwrap();
    let (asked, call) = world.0.questions.borrow_mut().pop().unwrap();
    assert_eq!(
        asked,
        "ack __ds/era/00c0ffee00c0ffee/p/__ds/subscriptions/x"
    );
    let root = Root::of_project("p").in_era(era);
    assert_eq!(call["root"], json!(root));

    let list = |only, query: &str| {
        let get = request("GET", &format!("/v1/stream/p/__ds/streams?{query}"), "");
        let answer = world
            .serve(&auth(Purpose::Streams, Some(only)), &get)
            .unwrap();
        let streams = document(&answer)["streams"].as_array().unwrap().len();
        (streams, world.0.questions.take().len())
    };
    assert_eq!(list("mine", ""), (1, 1));
    assert_eq!(list("mine", "prefix=mi"), (1, 1));
    assert_eq!(list("mine", "prefix=other"), (0, 0));
    assert_eq!(list("mine", "after=mine"), (0, 0));
    assert_eq!(list("__ds/x", ""), (0, 0));
}

/// Says nothing of roots.
struct Old;

impl AuthorizeMutation<()> for Old {
    async fn authorize_mutation(
        &self,
        _: &auth::Request<'_>,
        _: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        Ok(Grant::HOLDER)
    }
}

impl AuthorizeRead<()> for Old {
    async fn authorize_read(
        &self,
        _: &auth::Request<'_>,
        _: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        Ok(Grant::HOLDER)
    }
}

#[test]
fn an_authorizer_that_knows_of_no_roots_lets_nobody_in() {
    for (method, path, what) in [
        ("PUT", "subscriptions/x", "authorize_control"),
        ("POST", "subscriptions/x/ack", "authorize_control"),
        ("GET", "jwks.json", "authorize_inspection"),
        ("GET", "streams", "authorize_inspection"),
    ] {
        let world = world(&[]);
        let ask = request(method, &format!("/v1/stream/__ds/{path}"), "{}");
        let answer = world.serve(&Old, &ask).unwrap();
        assert_eq!(answer.status, 403, "{method} {path}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(what), "{text}");
        assert!(world.0.questions.take().is_empty());
    }
}
