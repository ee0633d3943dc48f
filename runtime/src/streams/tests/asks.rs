//! What the directory and subscriptions are asked, and how they are understood.

use serde_json::{Value, json};

use crate::edge::tests::world::World;
use crate::protocol::offset::Offset;
use crate::streams::{Error, List, Streams, Subscribe};

const SUBSCRIPTION: &str = "p/__ds/subscriptions/s";

/// A world of two shards in which somebody answers this.
fn world_with(answers: &[(&str, u16, Value)]) -> World {
    let world = World::default();
    world.0.shards.set(Some(2));
    let answers = answers.iter().map(|(question, status, document)| {
        let said = Some((*status, document.to_string()));
        ((*question).to_owned(), said)
    });
    world.0.answers.borrow_mut().extend(answers);
    world
}

fn entry(path: &str) -> Value {
    let life = json!({ "born": 5, "incarnation": "5-1" });
    json!({ "path": path, "life": life, "content_type": "text/plain" })
}

fn listing(paths: &[&str]) -> Value {
    let streams: Vec<_> = paths.iter().map(|path| entry(path)).collect();
    json!({ "v": 3, "streams": streams })
}

fn refused(error: Error) -> String {
    match error {
        Error::Refused { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn streams_of_a_project_are_listed_by_their_whole_paths() {
    let world = world_with(&[
        (
            "list shard 0 of the directory",
            200,
            listing(&["x/b", "x/c"]),
        ),
        ("list shard 1 of the directory", 200, listing(&["x/a"])),
    ]);
    let streams = Streams::over(world.clone(), true);
    let list = List::of("p/x/").after("p/x/0").limit(2);
    let listed = world.run(streams.list(list)).unwrap();
    let paths: Vec<_> = listed.streams.iter().map(|entry| &*entry.path).collect();
    assert_eq!(paths, ["p/x/a", "p/x/b"]);
    assert_eq!(listed.next.as_deref(), Some("p/x/b"));
    assert_eq!(listed.streams[0].created_at, 5);
    for (_, asked) in &*world.0.questions.borrow() {
        assert_eq!(asked["root"], json!({ "project": "p" }));
        assert_eq!(
            (&asked["prefix"], &asked["after"]),
            (&json!("x/"), &json!("x/0"))
        );
        assert_eq!(
            asked["limit"], 3,
            "one more, to know whether there are more"
        );
    }
}

#[test]
fn without_projects_all_streams_are_of_one_root() {
    let world = world_with(&[
        ("list shard 0 of the directory", 200, listing(&["p/a"])),
        ("list shard 1 of the directory", 200, listing(&[])),
    ]);
    let streams = Streams::over(world.clone(), true).without_projects();
    let listed = world.run(streams.list(List::default())).unwrap();
    assert_eq!(listed.streams[0].path, "p/a");
    assert_eq!(listed.next, None);
}

#[test]
fn a_list_that_cannot_be_is_refused_before_anybody_is_asked() {
    let world = world_with(&[]);
    let streams = Streams::over(world.clone(), true);
    for (list, why) in [
        (List::of("p"), "prefix must start with a project"),
        (List::of("p/").after("q/a"), "after must start with \"p/\""),
        (List::of("p/").limit(0), "limit must be a number"),
        (List::of("p/").limit(1001), "limit must be a number"),
        (List::of("__ds/"), "stream"),
    ] {
        let message = refused(world.run(streams.list(list.clone())).unwrap_err());
        assert!(message.contains(why), "{list:?}: {message}");
    }
    assert!(world.0.questions.borrow().is_empty());
    world.0.shards.set(None);
    let off = world.run(streams.list(List::of("p/"))).unwrap_err();
    assert_eq!(off.status(), 501);
}

#[test]
fn a_wake_is_claimed_acknowledged_and_done_with_its_token() {
    let offset = |position| Offset::new(position).unwrap();
    let claim = json!({
        "wake_id": "w1", "generation": 4, "token": "secret", "lease_ttl_ms": 1000,
        "streams": [{
            "path": "x", "link_type": "glob", "has_pending": true,
            "acked_offset": offset(1).to_string(), "tail_offset": offset(3).to_string(),
        }],
    });
    let world = world_with(&[
        (&format!("claim {SUBSCRIPTION}"), 200, claim),
        (
            &format!("ack {SUBSCRIPTION}"),
            200,
            json!({ "ok": true, "next_wake": true }),
        ),
    ]);
    let subscriptions = Streams::over(world.clone(), true).subscriptions("p");
    let wake = world.run(subscriptions.claim("s", "me")).unwrap().unwrap();
    assert_eq!(wake.streams()[0].acked, offset(1));
    world.run(wake.ack(&[("x", offset(2))])).unwrap();
    assert!(world.run(wake.done(&[])).unwrap());
    let asked = world.0.questions.borrow();
    let bodies: Vec<Value> = asked
        .iter()
        .map(|(_, call)| serde_json::from_str(call["body"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(bodies[0], json!({ "worker": "me" }));
    let ack = json!({ "stream": "x", "offset": offset(2).to_string() });
    let said = |done, acks: &[Value]| json!({ "wake_id": "w1", "generation": 4, "done": done, "acks": acks });
    assert_eq!(bodies[1], said(false, &[ack]));
    assert_eq!(bodies[2], said(true, &[]));
    assert_eq!(asked[0].1["token"], Value::Null);
    assert_eq!(asked[1].1["token"], "secret");
}

#[test]
fn nothing_to_do_is_no_error() {
    let nothing = json!({ "error": { "code": "NO_PENDING_WORK", "message": "nothing" } });
    let world = world_with(&[(&format!("claim {SUBSCRIPTION}"), 409, nothing)]);
    let subscriptions = Streams::over(world.clone(), true).subscriptions("p");
    assert!(world.run(subscriptions.claim("s", "me")).unwrap().is_none());
}

#[test]
fn receivers_of_webhooks_have_to_know_where_the_server_is() {
    let world = world_with(&[]);
    let subscriptions = Streams::over(world.clone(), true).subscriptions("p");
    let hook = Subscribe::webhook("https://a.example").pattern("*");
    let error = world.run(subscriptions.create("s", &hook)).unwrap_err();
    assert!(refused(error).contains("PUBLIC_URL"));
    assert!(world.0.questions.borrow().is_empty());
    // Nobody answers here, but it is asked.
    let there = subscriptions.clone().at("https://s.example/");
    let error = world.run(there.create("s", &hook)).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let asked = world.0.questions.borrow();
    assert_eq!(asked[0].1["base"], "https://s.example/v1/stream/p");
    assert_eq!(asked[0].1["may_copy"], true);
}

#[test]
fn what_no_subscription_is_called_is_refused() {
    let world = world_with(&[]);
    for (project, id) in [
        ("p", ""),
        ("p", ".."),
        ("p", "a\nb"),
        ("p/q", "s"),
        ("", "s"),
    ] {
        let subscriptions = Streams::over(world.clone(), true).subscriptions(project);
        let error = world.run(subscriptions.get(id)).unwrap_err();
        assert_eq!(error.status(), 400, "{project:?} {id:?}: {error}");
    }
    assert!(world.0.questions.borrow().is_empty());
}
