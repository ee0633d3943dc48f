//! Who may have streams copied, and what is asked of whom before that is known.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{Request, Response, World};
use crate::auth::{
    self, Audience, AuthorizeMutation, AuthorizeRead, Grant, Purpose, Refusal, RootGrant,
};
use crate::edge::copies::Body;
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;
use crate::subscription::config::{Wanted, added};

/// What somebody may do.
#[derive(Clone)]
struct Rights {
    /// What is below the root, or why not.
    root: Result<(), Refusal>,
    /// See all streams of the root, or one, or none.
    look: Option<RootGrant>,
    /// Write streams whose path starts so.
    writes: &'static str,
    /// Read those whose path starts so.
    reads: &'static str,
    read: Grant,
    write: Grant,
}

impl Default for Rights {
    /// All rights.
    fn default() -> Self {
        Self {
            root: Ok(()),
            look: Some(RootGrant::default()),
            writes: "p/",
            reads: "p/",
            read: Grant::HOLDER,
            write: Grant::HOLDER,
        }
    }
}

impl Rights {
    /// Those of who has one stream, where all that is below `chat` can be read.
    fn of_one() -> Self {
        Self {
            root: Err(Error::Forbidden("not this root").into()),
            look: Some(RootGrant {
                era: None,
                only: Some("inbox".to_owned()),
            }),
            writes: "p/inbox",
            reads: "p/chat/",
            ..Self::default()
        }
    }
}

impl AuthorizeMutation<()> for Rights {
    async fn authorize_mutation(
        &self,
        request: &auth::Request<'_>,
        stream: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        assert_eq!((request.method, request.query), ("POST", ""));
        assert_eq!(request.header("X-API-Key").as_deref(), Some("k"));
        match stream.as_str().starts_with(self.writes) {
            true => Ok(self.write),
            false => Err(Error::Forbidden("not this target").into()),
        }
    }

    async fn authorize_control(
        &self,
        _: &auth::Request<'_>,
        _: &Root,
        purpose: Purpose,
        (): &(),
    ) -> Result<RootGrant, Refusal> {
        assert_eq!(purpose, Purpose::Rest);
        let era = self.look.as_ref().and_then(|look| look.era);
        self.root.clone().map(|()| RootGrant { era, only: None })
    }
}

impl AuthorizeRead<()> for Rights {
    async fn authorize_read(
        &self,
        request: &auth::Request<'_>,
        stream: &StreamPath,
        (): &(),
    ) -> Result<Grant, Refusal> {
        assert_eq!((request.method, request.query), ("GET", ""));
        assert_eq!(request.header("X-API-Key").as_deref(), Some("k"));
        match stream.as_str().starts_with(self.reads) {
            true => Ok(self.read),
            false => Err(Error::Forbidden("not this source").into()),
        }
    }

    async fn authorize_inspection(
        &self,
        request: &auth::Request<'_>,
        _: &Root,
        purpose: Purpose,
        (): &(),
    ) -> Result<RootGrant, Refusal> {
        if purpose == Purpose::Streams {
            assert_eq!((request.method, request.query), ("GET", ""));
            let refused = Error::Forbidden("not these streams");
            return self.look.clone().ok_or(refused.into());
        }
        self.root.clone().map(|()| RootGrant::default())
    }
}

const SUBSCRIPTION: &str = "/v1/stream/p/__ds/subscriptions/x";

fn request(method: &'static str, rest: &str, body: &Value) -> Request {
    Request {
        method,
        url: format!("http://a{SUBSCRIPTION}{rest}?q=1"),
        headers: vec![("X-API-Key", "k".to_owned())],
        body: match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        },
    }
}

/// What a subscription is asked: the question, and whether the edge says that all may be copied.
type Asked<'a> = (&'a str, bool);

/// Lets a subscription answer what it is asked, and gives the answer and what it was asked.
fn serve(
    answers: &[(&str, u16, Value)],
    rights: &Rights,
    request: &Request,
) -> (Response, Vec<(String, bool)>) {
    let world = World::default();
    world.0.shards.set(Some(1));
    for (question, status, answer) in answers {
        let asked = format!("{question} p/__ds/subscriptions/x");
        let said = Some((*status, answer.to_string()));
        world.0.answers.borrow_mut().push((asked, said));
    }
    let response = world.serve(rights, request).unwrap();
    let asked = world.0.questions.take().into_iter();
    let asked = asked.map(|(asked, call)| {
        let question = asked.split(' ').next().unwrap().to_owned();
        (question, call["may_copy"] == true)
    });
    (response, asked.collect())
}

/// Why a request was refused, if it was; and what the subscription was asked.
fn outcome(
    answers: &[(&str, u16, Value)],
    rights: &Rights,
    request: &Request,
) -> (u16, String, Vec<(String, bool)>) {
    let (response, asked) = serve(answers, rights, request);
    let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let message = document["error"]["message"].as_str().unwrap_or_default();
    (response.status, message.to_owned(), asked)
}

fn check(
    answers: &[(&str, u16, Value)],
    rights: &Rights,
    request: &Request,
    expected: (u16, &str, &[Asked<'_>]),
) {
    let (status, message, asked) = outcome(answers, rights, request);
    let asked: Vec<Asked<'_>> = asked
        .iter()
        .map(|(asked, may)| (asked.as_str(), *may))
        .collect();
    let what = String::from_utf8_lossy(&request.body);
    let what = format!("{} {} {what}: {message}", request.method, request.url);
    assert_eq!((status, &asked[..]), (expected.0, expected.2), "{what}");
    assert!(message.contains(expected.1), "{what}");
}

fn copy(target: &str, streams: &[&str]) -> Value {
    json!({ "type": "copy", "target_stream": target, "streams": streams })
}

fn created() -> [(&'static str, u16, Value); 1] {
    [("create", 201, json!({ "id": "x" }))]
}

#[test]
fn a_copy_is_made_by_who_may_write_the_target_and_read_all_sources() {
    let put = |body: Value| request("PUT", "", &body);
    let pattern = json!({ "type": "copy", "target_stream": "inbox", "pattern": "chat/**" });
    let mut both = copy("inbox", &["chat/1"]);
    both["pattern"] = json!("**");
    let may = &[("create", true)][..];
    for (rights, body, expected) in [
        (
            Rights::default(),
            copy("inbox", &["chat/1", "/b/"]),
            (201, "", may),
        ),
        (Rights::default(), pattern.clone(), (201, "", may)),
        (
            Rights::of_one(),
            copy("inbox", &["chat/1", "chat/2"]),
            (201, "", may),
        ),
        (
            Rights::of_one(),
            copy("/inbox/7/", &["chat/1"]),
            (201, "", may),
        ),
        // Not the target: what was said first counts.
        (
            Rights::of_one(),
            copy("inbo", &["chat/1"]),
            (403, "not this root", &[]),
        ),
        (
            Rights::of_one(),
            copy("chat/1", &["chat/2"]),
            (403, "not this root", &[]),
        ),
        (
            Rights::of_one(),
            copy("__ds/x", &["chat/2"]),
            (403, "not this root", &[]),
        ),
        // Not a source.
        (
            Rights::of_one(),
            copy("inbox", &["chat/1", "other"]),
            (403, "not this source", &[]),
        ),
        (
            Rights::of_one(),
            copy("inbox", &["/other/"]),
            (403, "not this source", &[]),
        ),
        (
            Rights::of_one(),
            copy("inbox", &["chat%2F1"]),
            (403, "not this source", &[]),
        ),
        // Not all streams.
        (
            Rights::of_one(),
            pattern.clone(),
            (403, "which a pattern is about", &[]),
        ),
        (
            Rights::of_one(),
            both,
            (403, "which a pattern is about", &[]),
        ),
        // Others than copies are for who has the root.
        (
            Rights::of_one(),
            json!({ "type": "webhook", "target_stream": "inbox", "streams": ["chat/1"] }),
            (403, "not this root", &[]),
        ),
        (
            Rights::of_one(),
            json!({ "target_stream": "inbox" }),
            (403, "not this root", &[]),
        ),
        (Rights::of_one(), Value::Null, (403, "not this root", &[])),
        (
            Rights::of_one(),
            json!("[\"copy\"]"),
            (403, "not this root", &[]),
        ),
    ] {
        check(&created(), &rights, &put(body), expected);
    }
}

#[test]
fn who_has_the_root_needs_the_target_and_the_sources_too() {
    let body = copy("inbox", &["chat/1"]);
    let put = request("PUT", "", &body);
    for (rights, message) in [
        (
            Rights {
                writes: "p/chat",
                ..Rights::default()
            },
            "not this target",
        ),
        (
            Rights {
                reads: "p/inbox",
                ..Rights::default()
            },
            "not this source",
        ),
    ] {
        check(&created(), &rights, &put, (403, message, &[]));
    }
    let pattern = json!({ "type": "copy", "target_stream": "inbox", "pattern": "*" });
    let blind = Rights {
        look: None,
        ..Rights::default()
    };
    check(
        &created(),
        &blind,
        &request("PUT", "", &pattern),
        (403, "not these streams", &[]),
    );
    check(&created(), &blind, &put, (201, "", &[("create", true)]));
    // A pattern that is none in words is one in the eyes of nobody.
    let mut none = body.clone();
    for pattern in [Value::Null, json!("")] {
        none["pattern"] = pattern;
        check(
            &created(),
            &blind,
            &request("PUT", "", &none),
            (201, "", &[("create", true)]),
        );
    }
}

#[test]
fn a_stream_that_is_public_only_by_what_its_object_knows_is_no_source() {
    let rights = Rights {
        read: Grant {
            audience: Audience::EveryoneIfPublic,
            ..Grant::EVERYONE
        },
        ..Rights::default()
    };
    let put = request("PUT", "", &copy("inbox", &["chat/1"]));
    check(
        &created(),
        &rights,
        &put,
        (403, "reading all of the streams", &[]),
    );
    let everyone = Rights {
        read: Grant::EVERYONE,
        ..Rights::default()
    };
    check(&created(), &everyone, &put, (201, "", &[("create", true)]));
}

#[test]
fn nothing_leads_from_one_era_to_another() {
    let other = Grant {
        era: Some(Era::new(7)),
        ..Grant::HOLDER
    };
    let put = request("PUT", "", &copy("inbox", &["chat/1"]));
    for rights in [Rights::default(), Rights::of_one()] {
        let refused = if rights.root.is_ok() {
            "writing the target"
        } else {
            "not this root"
        };
        let write = Rights {
            write: other,
            ..rights.clone()
        };
        check(&created(), &write, &put, (403, refused, &[]));
        let read = Rights {
            read: other,
            ..rights
        };
        check(&created(), &read, &put, (403, "reading all", &[]));
    }
}

#[test]
fn what_is_wrong_with_a_body_is_said_by_the_subscription() {
    let refusal = || [("create", 400, json!({ "error": { "message": "wrong" } }))];
    for (body, may_copy) in [
        (json!({ "type": "copy" }), false),
        (
            json!({ "type": "copy", "target_stream": 7, "streams": ["chat/1"] }),
            false,
        ),
        (copy("", &["chat/1"]), false),
        (copy("a//b", &["chat/1"]), false),
        (copy("__ds/x", &["chat/1"]), false),
        (copy("inbox", &["a//b", ""]), true),
        (
            json!({ "type": "copy", "target_stream": "inbox", "streams": [7, null] }),
            true,
        ),
        (
            json!({ "type": "copy", "target_stream": "inbox", "streams": "chat/1" }),
            true,
        ),
        (json!("{"), false),
        (json!("7"), false),
    ] {
        let put = request("PUT", "", &body);
        check(
            &refusal(),
            &Rights::default(),
            &put,
            (400, "wrong", &[("create", may_copy)]),
        );
    }
}

fn refusal(code: &str, target: &str) -> Value {
    json!({ "error": { "code": code, "message": "may they?", "target_stream": target } })
}

#[test]
fn whether_streams_may_be_added_is_looked_at_when_it_is_a_copy() {
    let post = request("POST", "/streams", &json!({ "streams": ["chat/1"] }));
    let of_wakes = [("add", 204, Value::Null)];
    check(
        &of_wakes,
        &Rights::default(),
        &post,
        (204, "", &[("add", false)]),
    );
    let of_copies = [("add", 403, refusal("UNCHECKED", "inbox"))];
    let twice = &[("add", false), ("add", true)][..];
    check(
        &of_copies,
        &Rights::default(),
        &post,
        (403, "may they?", twice),
    );
    for (rights, message) in [
        (
            Rights {
                writes: "p/chat",
                ..Rights::default()
            },
            "not this target",
        ),
        (
            Rights {
                reads: "p/inbox",
                ..Rights::default()
            },
            "not this source",
        ),
    ] {
        check(
            &of_copies,
            &rights,
            &post,
            (403, message, &[("add", false)]),
        );
    }
    // Any other refusal is one.
    let other = [("add", 409, refusal("SOMETHING", "inbox"))];
    check(
        &other,
        &Rights::default(),
        &post,
        (409, "may they?", &[("add", false)]),
    );
    // And only additions are asked for twice.
    let other = [("get", 403, refusal("UNCHECKED", "inbox"))];
    let get = request("GET", "", &Value::Null);
    check(
        &other,
        &Rights::default(),
        &get,
        (403, "may they?", &[("get", false)]),
    );
}

#[test]
fn a_copy_into_a_stream_belongs_to_who_may_write_that() {
    let add = json!({ "streams": ["chat/1"] });
    for (method, rest, body, question, may_copy) in [
        ("GET", "", Value::Null, "get", false),
        ("HEAD", "", Value::Null, "get", false),
        ("DELETE", "", Value::Null, "delete", false),
        ("DELETE", "/streams/other", Value::Null, "remove", false),
        ("POST", "/streams", add, "add", true),
    ] {
        let ask = request(method, rest, &body);
        let answers =
            |target: (u16, Value)| [("target", target.0, target.1), (question, 200, json!({}))];
        let own = answers((200, json!({ "v": 3, "target_stream": "inbox" })));
        let expected = &[("target", false), (question, may_copy)][..];
        check(&own, &Rights::of_one(), &ask, (200, "", expected));
        check(
            &own,
            &Rights::default(),
            &ask,
            (200, "", &[(question, false)]),
        );
        for refused in [
            answers((200, json!({ "target_stream": "inb" }))),
            answers((200, json!({}))),
            answers((404, refusal("SUBSCRIPTION_NOT_FOUND", "inbox"))),
        ] {
            check(
                &refused,
                &Rights::of_one(),
                &ask,
                (403, "not this root", &[("target", false)]),
            );
        }
        // Nobody who may not see any stream of the root makes it ask an object.
        let stranger = Rights {
            look: None,
            ..Rights::of_one()
        };
        check(&own, &stranger, &ask, (403, "not this root", &[]));
        for refused in [
            Error::Unauthorized("who is this?").into(),
            Error::RegistryUnavailable("nobody knows".to_owned()).into(),
            Reply::new(401).into(),
        ] {
            let unknown = Rights {
                root: Err(refused),
                ..Rights::of_one()
            };
            let (status, _, asked) = outcome(&own, &unknown, &ask);
            assert!(matches!(status, 401 | 503) && asked.is_empty(), "{status}");
        }
        let reply = Rights {
            root: Err(Reply::new(403).into()),
            ..Rights::of_one()
        };
        check(&own, &reply, &ask, (200, "", expected));
    }
    let add = request(
        "POST",
        "/streams",
        &json!({ "streams": ["chat/1", "other"] }),
    );
    let own = [
        ("target", 200, json!({ "target_stream": "inbox" })),
        ("add", 204, Value::Null),
    ];
    check(
        &own,
        &Rights::of_one(),
        &add,
        (403, "not this source", &[("target", false)]),
    );
    // All else of a subscription is for who has the root.
    for rest in ["/claim", "/retry"] {
        let post = request("POST", rest, &json!({}));
        check(&own, &Rights::of_one(), &post, (403, "not this root", &[]));
    }
}

#[test]
fn a_copy_of_an_era_is_asked_as_one() {
    let era = Some(Era::new(7));
    let of_era = Grant {
        era,
        ..Grant::HOLDER
    };
    let one = RootGrant {
        era,
        only: Some("inbox".to_owned()),
    };
    let rights = Rights {
        look: Some(one),
        write: of_era,
        read: of_era,
        ..Rights::of_one()
    };
    let world = World::default();
    world.0.shards.set(Some(1));
    let name = "__ds/era/0000000000000007/p/__ds/subscriptions/x";
    let target = json!({ "target_stream": "inbox" }).to_string();
    let answers = [(format!("target {name}"), Some((200, target)))];
    world.0.answers.borrow_mut().extend(answers);
    let add = request("POST", "/streams", &json!({ "streams": ["chat/1"] }));
    world.serve(&rights, &add).unwrap();
    let asked = world.0.questions.take().into_iter();
    // Who has a right to one target alone asks about copies into that.
    let asked = asked.map(|(asked, call)| (asked, call["into"].clone()));
    let expected = [
        (format!("target {name}"), Value::Null),
        (format!("add {name}"), json!("inbox")),
    ];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

/// A text that may be a path, and may be hard to read as one.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "/{0,2}[a-cé%2F]{1,3}(/[a-c]{1,2}){0,2}/{0,2}",
        1 => "(|/|//|\\.\\./a|__ds/a|a//b|a/\\.)",
    ]
}

fn field() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        2 => Just(json!("")),
        1 => Just(json!(7)),
        1 => Just(json!({ "streams": ["x"] })),
        4 => path().prop_map(Value::from),
        2 => prop::collection::vec(path(), 1..4).prop_map(Value::from),
    ]
}

proptest! {
    /// What the edge looks at is what the subscription goes by, also where a field comes twice.
    #[test]
    fn a_body_says_the_same_to_the_edge_and_to_the_subscription(
        fields in prop::collection::vec(
            ("(target_stream|streams|pattern|pattern|type|from)", field()),
            0..3,
        ),
        target in path(),
        streams in prop::collection::vec(path(), 0..4),
    ) {
        let root = Root::of_project("p");
        let whole = [
            ("target_stream".to_owned(), json!(target)),
            ("streams".to_owned(), json!(streams)),
        ];
        let more = fields.iter().cloned().chain([("type".to_owned(), json!("copy"))]);
        let fields = whole.into_iter().chain(more);
        let fields: Vec<String> = fields.map(|(name, value)| format!("{name:?}:{value}")).collect();
        let text = format!("{{{}}}", fields.join(","));
        let seen = Body::read(text.as_bytes());
        let mut paths: Vec<String> = seen.streams().map(str::to_owned).collect();
        paths.sort();
        paths.dedup();
        if let Ok(wanted) = Wanted::parse(&text, &root) {
            let copying = wanted.config.delivery.copying().unwrap();
            prop_assert_eq!(seen.target(&root), Some(copying.target.clone()));
            prop_assert_eq!(&paths, &wanted.streams);
            prop_assert_eq!(seen.has_pattern(), wanted.config.pattern.is_some());
        }
        let alone = format!("{{\"streams\":{}}}", json!(streams));
        if let Ok(wanted) = added(&alone, &root) {
            let seen = Body::read(alone.as_bytes());
            prop_assert!(seen.streams().all(|path| wanted.iter().any(|it| it == path)));
            prop_assert!(wanted.iter().all(|path| seen.streams().any(|it| it == path)));
        }
    }
}
