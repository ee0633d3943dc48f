//! Which streams a subscription is about, and from where on.

use serde_json::{Value, json};

use super::world::{HOOK, World, call, code, seen};
use crate::protocol::ask::{self, Interest, Kept, Life, Source, TOLD, Told};

fn hook(more: &Value) -> Value {
    let mut body = json!({ "type": "webhook", "webhook": { "url": HOOK } });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn silent() -> World {
    let world = World::new();
    world.answers(|_, _| Ok((200, "{}".into())));
    world
}

fn glob(position: u64) -> Option<(String, u64)> {
    Some(("glob".into(), position))
}

fn explicit(position: u64) -> Option<(String, u64)> {
    Some(("explicit".into(), position))
}

#[test]
fn streams_that_are_there_are_linked_at_their_tails() {
    let world = silent();
    for n in 0..450 {
        world.append(&format!("events/{n}"), 3);
    }
    world.append("other", 3);
    world.run(10);
    let shown = world.put(&hook(
        &json!({ "pattern": "events/*", "streams": ["x", "other"] }),
    ));
    assert_eq!(
        shown["backfill"],
        json!({ "state": "complete", "linked": 450 })
    );
    assert_eq!(shown["streams_total"], 452);
    assert_eq!(world.cursor("events/7"), glob(3));
    assert_eq!(world.cursor("other"), explicit(3));
    assert_eq!(world.cursor("x"), explicit(0));
    world.tell();
    world.settle();
    assert_eq!(
        (world.posts().len(), &world.get()["pending"]),
        (0, &json!(0))
    );
    world.push("x", 1);
    world.settle();
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn what_a_stream_tells_before_it_was_heard_that_it_is_linked_counts_from_its_start() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "events/*" })));
    let told = |path: &str, born, start| {
        let told = Told {
            name: format!("p/{path}"),
            life: Life {
                born,
                incarnation: format!("{born}-{path}"),
            },
            since: 5,
            start,
            tail: 6,
            ended: false,
            source: None,
        };
        world.ask(TOLD, ask::say(&told)).unwrap();
        world.cursor(path)
    };
    let later = world.now.get() + 1;
    assert_eq!(told("events/a", later, Some(2)), glob(2));
    assert_eq!(told("events/b", later, None), glob(5));
    assert_eq!(told("events/c", 1, Some(2)), glob(5));
}

#[test]
fn who_wakes_somebody_wants_no_content() {
    let world = silent();
    world.put(&hook(&json!({ "streams": ["a"] })));
    let told = |source| {
        let told = Told {
            name: "p/a".into(),
            life: Life {
                born: 1,
                incarnation: "1-a".into(),
            },
            since: 0,
            start: None,
            tail: 0,
            ended: false,
            source,
        };
        let reply = world.ask(TOLD, ask::say(&told)).unwrap();
        let kept: Kept = ask::answered(&(reply.status, reply.body)).unwrap();
        (kept.keep, kept.interest)
    };
    let source = Source {
        content_type: "application/json".into(),
        is_target: false,
        slice: None,
    };
    assert_eq!(told(Some(source)), (true, Some(Interest::Wakes)));
    assert_eq!(told(None), (true, None));
}

#[test]
fn a_directory_that_does_not_answer_is_waited_for() {
    for question in ["watch", "list", "link"] {
        let world = silent();
        world.append("events/a", 3);
        world.run(10);
        world.failing.borrow_mut().insert(question);
        let body = hook(&json!({ "pattern": "events/*" }));
        let shown = world.put(&body);
        assert_eq!(shown["backfill"]["state"], "running");
        world.run(1_000);
        world.failing.borrow_mut().clear();
        world.run(60_000);
        assert_eq!(world.get()["backfill"]["state"], "complete", "{question}");
        assert_eq!(world.cursor("events/a"), glob(3));
    }
}

#[test]
fn the_same_request_while_the_first_is_under_way_waits_with_it() {
    let world = silent();
    world.append("events/a", 3);
    world.run(10);
    world.held.borrow_mut().insert("list");
    let body = hook(&json!({ "pattern": "events/*" }));
    let first = world.begin("create", call(&body, None, ""));
    world.settle();
    let second = world.begin("create", call(&body, None, ""));
    world.settle();
    assert!(first.get().is_none() && second.get().is_none());
    world.held.borrow_mut().clear();
    world.run(100);
    let (status, shown) = seen(&first.get().unwrap());
    assert_eq!(
        (status, &shown["backfill"]["state"]),
        (201, &json!("complete"))
    );
    assert_eq!(seen(&second.get().unwrap()).0, 200);
}

#[test]
fn a_configuration_is_compared_before_its_url_is_looked_at() {
    let world = silent();
    let body = |streams: Value| hook(&json!({ "streams": streams }));
    let refused = json!({
        "type": "webhook", "streams": ["a"], "webhook": { "url": "nonsense" },
    });
    let answer = world.call("create", &refused);
    assert_eq!(code(&answer), (400, "WEBHOOK_URL_REJECTED"));
    world.put(&body(json!(["a", "b/c"])));
    assert_eq!(
        world.call("create", &body(json!(["/b/c/", "a", "b/c"]))).0,
        200
    );
    let other = world.call("create", &body(json!(["a"])));
    assert_eq!(code(&other), (409, "SUBSCRIPTION_ALREADY_EXISTS"));
    let answer = world.call("create", &refused);
    assert_eq!(code(&answer), (409, "SUBSCRIPTION_ALREADY_EXISTS"));
}

#[test]
fn a_stream_that_comes_later_is_linked_before_its_content() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "events/*" })));
    world.push("events/a", 2);
    assert_eq!(world.cursor("events/a"), glob(0));
    assert_eq!(world.get()["lag"], 2);
}

#[test]
fn a_stream_that_tells_during_the_backfill_is_linked_where_it_would_be_after() {
    let world = silent();
    world.append("events/old", 3);
    world.run(10);
    world.held.borrow_mut().insert("list");
    world.begin(
        "create",
        call(&hook(&json!({ "pattern": "events/*" })), None, ""),
    );
    world.settle();
    // It still knows a link of another subscription of the name, or registers now.
    let old = world.streams.borrow()["p/events/old"].life.clone().unwrap();
    assert!(world.told("p/events/old", old, 0, 3, false));
    world.run(10);
    world.push("events/new", 2);
    assert_eq!(world.cursor("events/old"), glob(3));
    assert_eq!(world.cursor("events/new"), glob(0));
    world.held.borrow_mut().clear();
    world.run(1_000);
    assert_eq!(world.cursor("events/old"), glob(3));
    assert_eq!(world.cursor("events/new"), glob(0));
}

#[test]
fn what_was_named_counts_more_and_can_be_taken_back() {
    let world = silent();
    world.append("events/a", 2);
    world.append("x/y", 2);
    world.run(10);
    world.put(&hook(&json!({ "pattern": "events/*" })));
    assert_eq!(world.cursor("events/a"), glob(2));
    let streams = json!({ "streams": ["/events/a", "x/y", "later"] });
    for _ in 0..2 {
        assert_eq!(world.call("add", &streams).0, 204);
        assert_eq!(world.cursor("events/a"), explicit(2));
        assert_eq!(world.cursor("x/y"), explicit(2));
        assert_eq!(world.cursor("later"), explicit(0));
    }
    let remove = |path: &str| world.call_with("remove", &Value::Null, None, path).0;
    for _ in 0..2 {
        assert_eq!(
            (remove("events/a"), remove("x/y"), remove("later")),
            (204, 204, 204)
        );
        assert_eq!(world.cursor("events/a"), glob(2));
        assert_eq!((world.cursor("x/y"), world.cursor("later")), (None, None));
    }
    // It hears of that when it tells of itself.
    world.push("x/y", 1);
    assert!(world.streams.borrow()["p/x/y"].links.is_empty());
    assert_eq!(world.get()["pending"], 0);
    // Linked anew, at the tail.
    assert_eq!(world.call("add", &json!({ "streams": ["x/y"] })).0, 204);
    assert_eq!(world.cursor("x/y"), explicit(3));
    world.push("x/y", 1);
    assert_eq!(world.get()["lag"], 1);
}

#[test]
fn streams_that_were_named_are_linked_before_that_is_answered() {
    let world = silent();
    world.put(&hook(&json!({ "streams": ["a"] })));
    world.append("b", 3);
    world.run(10);
    world.failing.borrow_mut().insert("link");
    let refused = world.call("add", &json!({ "streams": ["b"] }));
    assert_eq!(refused.0, 503);
    world.failing.borrow_mut().clear();
    assert_eq!(world.call("add", &json!({ "streams": ["b"] })).0, 204);
    assert_eq!(world.cursor("b"), explicit(3));
    for wrong in [
        json!({}),
        json!({ "streams": [] }),
        json!({ "streams": [1] }),
        json!({ "stream": [] }),
    ] {
        assert_eq!(
            code(&world.call("add", &wrong)),
            (400, "INVALID_REQUEST"),
            "{wrong}"
        );
    }
}

#[test]
fn tails_and_lives_never_go_back() {
    let world = silent();
    world.put(&hook(
        &json!({ "pattern": "events/*", "streams": ["named"] }),
    ));
    let life = |born: u64| Life {
        born: world.now.get() + born,
        incarnation: format!("i{born}"),
    };
    let lag = || world.get()["lag"].clone();
    let told = |born, since, tail, ended| world.told("p/events/a", life(born), since, tail, ended);
    told(5, 0, 4, false);
    told(5, 0, 2, false);
    assert_eq!(lag(), 4);
    told(3, 0, 9, false);
    told(3, 0, 9, true);
    assert_eq!(lag(), 4);
    told(7, 1, 3, false);
    assert_eq!((world.cursor("events/a"), lag()), (glob(1), json!(2)));
    told(7, 1, 3, true);
    assert_eq!((world.cursor("events/a"), lag()), (None, json!(0)));
    told(7, 1, 4, false);
    told(5, 0, 4, false);
    assert_eq!((world.cursor("events/a"), lag()), (None, json!(0)));
    told(8, 0, 1, false);
    assert_eq!((world.cursor("events/a"), lag()), (glob(0), json!(1)));
    // One that was named stays, where it will start again.
    let named = |born, tail, ended| world.told("p/named", life(born), 0, tail, ended);
    named(5, 4, false);
    named(5, 4, true);
    assert_eq!((world.cursor("named"), lag()), (explicit(0), json!(1)));
    named(5, 4, false);
    assert_eq!(lag(), json!(1));
    named(6, 2, false);
    assert_eq!((world.cursor("named"), lag()), (explicit(0), json!(3)));
}

#[test]
fn the_end_of_an_unknown_life_ends_the_known_one() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "events/*" })));
    let life = |born: u64| Life {
        born,
        incarnation: format!("i{born}"),
    };
    let at = world.now.get();
    world.told("p/events/a", life(at + 1), 0, 4, false);
    world.told("p/events/a", life(at + 2), 0, 4, true);
    assert_eq!(world.cursor("events/a"), None);
}

#[test]
fn what_lingers_of_streams_that_are_gone_is_taken_away() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "events/*" })));
    world.push("events/a", 1);
    world.run(10);
    world.end("events/a");
    let rows = || world.database.texts("SELECT path FROM link").len();
    assert_eq!(
        (world.get()["streams_total"].clone(), rows()),
        (json!(0), 1)
    );
    world.run(2_000_000);
    assert_eq!(rows(), 0);
}

#[test]
fn streams_of_others_are_never_linked() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "**" })));
    let life = Life {
        born: world.now.get() + 1,
        incarnation: "i".into(),
    };
    for name in [
        "q/a",
        "p",
        "__ds/era/00c0ffee00c0ffee/p/a",
        "p/__ds/subscriptions/s",
    ] {
        world.told(name, life.clone(), 0, 1, false);
    }
    assert_eq!(world.get()["streams"], json!([]));
}

#[test]
fn there_is_a_limit_of_named_streams() {
    let world = silent();
    let streams = |from: u32, to: u32| {
        let streams: Vec<String> = (from..to).map(|n| format!("{n:x}")).collect();
        json!({ "streams": streams })
    };
    world.put(&hook(&streams(0, 8_000)));
    world.run_until(100_000, |world| {
        world
            .database
            .texts("SELECT path FROM link WHERE tail < 0")
            .is_empty()
    });
    assert_eq!(world.call("add", &streams(6_000, 10_000)).0, 204);
    let refused = world.call("add", &json!({ "streams": ["one/more"] }));
    assert_eq!(code(&refused), (400, "INVALID_REQUEST"));
    let message = refused.1["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("10000"), "{message}");
    // Of those there are, as many are sent as are good for anybody.
    let world = silent();
    world.put(&hook(&json!({ "pattern": "**" })));
    for n in 0..1_200 {
        world.append(&format!("{n:04}"), 1);
    }
    // The body is made when the key is there.
    world.held.borrow_mut().insert("signing-key");
    world.run(100_000);
    world.tell();
    world.held.borrow_mut().clear();
    world.answers(|_, _| Ok((200, "{\"done\":true}".into())));
    world.settle();
    let posts = world.posts();
    assert_eq!(posts[0].body["streams"].as_array().unwrap().len(), 1000);
    assert_eq!(posts[0].body["streams_truncated"], true);
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].body["streams"].as_array().unwrap().len(), 200);
    assert_eq!(world.get()["pending"], 0);
    let page = |rest: &str| world.call_with("get", &Value::Null, None, rest).1["streams"].clone();
    assert_eq!(page("after=0003&limit=2")[1]["path"], "0005");
    let refused = world.call_with("get", &Value::Null, None, "limit=0");
    assert_eq!(code(&refused), (400, "INVALID_REQUEST"));
}

#[test]
fn a_deleted_subscription_is_forgotten_everywhere() {
    let world = silent();
    world.put(&hook(&json!({ "pattern": "**" })));
    world.push("a", 1);
    world.failing.borrow_mut().insert("unwatch");
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    assert_eq!(
        code(&world.call("get", &Value::Null)),
        (404, "SUBSCRIPTION_NOT_FOUND")
    );
    world.run(3_000);
    assert_eq!(world.watches.borrow().len(), 2);
    // Its streams hear of that when they tell of themselves.
    world.push("a", 1);
    assert!(world.streams.borrow()["p/a"].links.is_empty());
    world.crash();
    world.failing.borrow_mut().clear();
    world.run(120_000);
    assert!(world.watches.borrow().is_empty());
    assert!(
        world
            .database
            .texts("SELECT name FROM sqlite_master")
            .is_empty()
    );
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    world.run(1_000_000);
    assert_eq!(world.alarm.get(), None);
}

#[test]
fn one_that_is_created_anew_while_the_last_is_being_forgotten_is_another_one() {
    for held in ["unwatch", "post", "list"] {
        let world = silent();
        world.append("old", 5);
        world.held.borrow_mut().insert(held);
        world.begin("create", call(&hook(&json!({ "pattern": "**" })), None, ""));
        world.run(20_000);
        world.push("old", 1);
        assert_eq!(world.call("delete", &Value::Null).0, 204);
        world.begin("create", call(&hook(&json!({ "pattern": "**" })), None, ""));
        world.run(20_000);
        world.held.borrow_mut().clear();
        world.run(120_000);
        assert_eq!(world.watches.borrow().len(), 2, "{held}");
        let shown = world.get();
        assert_eq!(shown["backfill"]["state"], "complete", "{held}");
        assert_eq!(world.cursor("old"), glob(6), "{held}");
        assert_eq!(shown["phase"], "idle", "{held}");
        let posts = world.posts().len();
        world.push("old", 1);
        world.settle();
        assert_eq!(world.posts().len(), posts + 1, "{held}");
        let rows = world.database.texts("SELECT CAST(id AS TEXT) FROM record");
        assert_eq!(rows.len(), 1, "{held}");
    }
}

#[test]
fn without_a_subscription_nobody_is_interested() {
    let world = silent();
    world.append("a", 1);
    let links = |world: &World| world.streams.borrow()["p/a"].links.len();
    world
        .streams
        .borrow_mut()
        .get_mut("p/a")
        .unwrap()
        .links
        .insert("p/__ds/subscriptions/s".into(), 0);
    world.tell();
    assert_eq!(links(&world), 0);
    assert!(
        world
            .database
            .texts("SELECT name FROM sqlite_master")
            .is_empty()
    );
    for question in [
        "get", "add", "remove", "claim", "ack", "callback", "release", "retry",
    ] {
        let answer = world.call(question, &json!({ "streams": ["a"], "worker": "w" }));
        assert_eq!(code(&answer), (404, "SUBSCRIPTION_NOT_FOUND"), "{question}");
    }
}
