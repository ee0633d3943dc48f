//! Workers that claim.

use serde_json::{Value, json};

use super::world::{World, call, code, offset, seen};

fn pull(lease: u64) -> Value {
    json!({
        "type": "pull-wake",
        "pattern": "**",
        "wake_stream": "wake/pool",
        "lease_ttl_ms": lease,
    })
}

fn world(lease: u64) -> World {
    let world = World::new();
    world.create("wake/pool");
    world.put(&pull(lease));
    world
}

fn events(world: &World) -> Vec<Value> {
    world.streams.borrow()["p/wake/pool"].events.clone()
}

fn claim(world: &World, worker: &str) -> (u16, Value) {
    world.call("claim", &json!({ "worker": worker }))
}

fn say(world: &World, what: &str, claimed: &Value, acks: &Value, done: bool) -> (u16, Value) {
    let body = json!({
        "wake_id": claimed["wake_id"], "generation": claimed["generation"],
        "acks": acks, "done": done,
    });
    world.call_with(what, &body, claimed["token"].as_str(), "")
}

fn upto(path: &str, position: u64) -> Value {
    json!([{ "stream": path, "offset": offset(position) }])
}

#[test]
fn a_worker_reads_of_a_wake_claims_it_and_acknowledges() {
    let world = world(30_000);
    world.push("a", 2);
    world.settle();
    let event = events(&world)[0].clone();
    let now = world.now.get();
    let expected = json!({
        "type": "wake", "subscription_id": "s", "stream": "a", "generation": 1, "ts": now,
    });
    assert_eq!(event, expected);
    let (status, claimed) = claim(&world, "one");
    assert_eq!(status, 200, "{claimed}");
    assert_eq!(
        (&claimed["generation"], &claimed["lease_ttl_ms"]),
        (&json!(1), &json!(30_000))
    );
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(2));
    let second = claim(&world, "two");
    assert_eq!(code(&second), (409, "ALREADY_CLAIMED"));
    assert_eq!(second.1["error"]["current_holder"], "one");
    assert_eq!(second.1["error"]["generation"], 1);
    assert_eq!(world.get()["holder"], "one");
    let done = say(&world, "ack", &claimed, &upto("a", 2), true);
    assert_eq!(done, (200, json!({ "ok": true, "next_wake": false })));
    let again = say(&world, "ack", &claimed, &upto("a", 2), true);
    assert_eq!(code(&again), (409, "FENCED"));
    assert_eq!(code(&claim(&world, "one")), (409, "NO_PENDING_WORK"));
    world.run(700_000);
    assert_eq!(events(&world).len(), 1);
}

#[test]
fn a_claim_right_after_an_append_asks_the_streams() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    let (_, claimed) = claim(&world, "one");
    say(&world, "ack", &claimed, &upto("a", 1), true);
    world.append("a", 1);
    let (status, claimed) = claim(&world, "one");
    assert_eq!((status, &claimed["generation"]), (200, &json!(2)));
    assert_eq!(claimed["streams"][0]["tail_offset"], offset(2));
    assert_eq!(
        events(&world).len(),
        1,
        "whoever has it need not read of it"
    );
    world.tell();
    let released = say(&world, "release", &claimed, &Value::Null, false);
    assert_eq!(released.0, 204);
    world.settle();
    assert_eq!(events(&world).len(), 2, "a release wakes the next one");
    let fenced = say(&world, "release", &claimed, &Value::Null, false);
    assert_eq!(code(&fenced), (409, "FENCED"));
}

#[test]
fn one_of_two_claims_at_once_gets_the_wake() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    let (_, claimed) = claim(&world, "one");
    say(&world, "ack", &claimed, &upto("a", 1), true);
    world.append("a", 1);
    world.held.borrow_mut().insert("link");
    let ask = |worker| world.begin("claim", call(&json!({ "worker": worker }), None, ""));
    let (first, second) = (ask("one"), ask("two"));
    world.settle();
    assert!(first.get().is_none() && second.get().is_none());
    world.held.borrow_mut().clear();
    world.settle();
    let mut statuses = [first, second].map(|slot| seen(&slot.get().unwrap()).0);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[test]
fn streams_that_do_not_answer_do_not_keep_a_worker_waiting() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    let (_, claimed) = claim(&world, "one");
    say(&world, "ack", &claimed, &upto("a", 1), true);
    world.held.borrow_mut().insert("link");
    let before = world.now.get();
    assert_eq!(code(&claim(&world, "one")), (409, "NO_PENDING_WORK"));
    assert_eq!(world.now.get() - before, 5_000);
}

#[test]
fn a_lease_is_extended_by_acks_and_ends_without() {
    let world = world(2_000);
    world.push("a", 2);
    world.settle();
    let (_, claimed) = claim(&world, "one");
    world.run(1_500);
    let beat = say(&world, "ack", &claimed, &upto("a", 1), false);
    assert_eq!(beat, (200, json!({ "ok": true, "next_wake": false })));
    world.run(1_500);
    assert_eq!(world.get()["phase"], "held");
    world.run(501);
    let shown = world.get();
    assert_eq!(
        (&shown["generation"], &shown["phase"]),
        (&json!(2), &json!("waking"))
    );
    assert_eq!(shown["holder"], Value::Null);
    assert_eq!(events(&world).len(), 2);
    let late = say(&world, "ack", &claimed, &upto("a", 2), true);
    assert_eq!(code(&late), (409, "FENCED"));
    assert_eq!(world.cursor("a"), Some(("glob".into(), 1)));
}

#[test]
fn a_wake_that_nobody_claims_is_told_of_again() {
    let world = world(30_000);
    world.push("a", 1);
    let start = world.now.get();
    world.run(2_000_000);
    let at: Vec<u64> = events(&world)
        .iter()
        .map(|event| event["ts"].as_u64().unwrap() - start)
        .collect();
    let expected = [0, 30_000, 90_000, 210_000, 450_000, 930_000, 1_530_000];
    assert_eq!(at, expected);
    assert!(events(&world).iter().all(|event| event["generation"] == 1));
    assert_eq!(claim(&world, "one").0, 200);
}

#[test]
fn a_wake_stream_that_is_missing_is_waited_for() {
    let world = World::new();
    world.put(&pull(30_000));
    world.push("a", 1);
    world.run(5_000);
    let shown = world.get();
    assert_eq!(shown["status"], "failed");
    let error = shown["last_error"].as_str().unwrap();
    assert!(
        error.contains("wake/pool") && error.contains("no such stream"),
        "{error}"
    );
    // A claim works all the same.
    let (status, claimed) = claim(&world, "one");
    assert_eq!(status, 200);
    assert_eq!(world.get()["status"], "active");
    say(&world, "release", &claimed, &Value::Null, false);
    world.run(10 * 86_400_000);
    assert_eq!(world.get()["parked"], false);
    world.create("wake/pool");
    world.run(75_000);
    assert_eq!(
        events(&world).len(),
        2,
        "the event, and its first repetition"
    );
    assert_eq!(world.get()["status"], "active");
}

#[test]
fn the_wake_stream_wakes_nobody() {
    let world = world(30_000);
    world.push("wake/pool", 3);
    world.run(1_000);
    assert_eq!(world.get()["streams"], json!([]));
    let named = json!({
        "type": "pull-wake", "streams": ["x", "/wake/pool/"], "wake_stream": "wake/pool",
    });
    let refused = world.call("create", &named);
    assert_eq!(code(&refused), (400, "INVALID_REQUEST"));
    let refused = world.call("add", &json!({ "streams": ["wake/pool"] }));
    assert_eq!(code(&refused), (400, "INVALID_REQUEST"));
}

#[test]
fn nothing_is_told_of_any_more_when_what_was_pending_is_gone() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    world.run(10);
    world.end("a");
    assert_eq!(world.get()["phase"], "idle");
    world.run(700_000);
    assert_eq!(events(&world).len(), 1);
    assert_eq!(code(&claim(&world, "one")), (409, "NO_PENDING_WORK"));
}

#[test]
fn tokens_open_their_own_subscription_only() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    let (_, claimed) = claim(&world, "one");
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    let gone = say(&world, "ack", &claimed, &upto("a", 1), true);
    assert_eq!(code(&gone), (404, "SUBSCRIPTION_NOT_FOUND"));
    world.put(&pull(30_000));
    world.push("a", 1);
    world.settle();
    let (_, next) = claim(&world, "one");
    assert_eq!(next["generation"], 1);
    let old = say(&world, "ack", &claimed, &upto("a", 2), true);
    assert_eq!(code(&old), (401, "TOKEN_INVALID"));
    assert_eq!(say(&world, "ack", &next, &upto("a", 2), true).0, 200);
    world.run(8 * 86_400_000);
    let expired = say(&world, "ack", &next, &upto("a", 2), true);
    assert_eq!(code(&expired), (401, "TOKEN_EXPIRED"));
}

#[test]
fn requests_say_what_is_wrong_with_them() {
    let world = world(30_000);
    world.push("a", 1);
    world.settle();
    for body in [json!({}), json!({ "worker": "" }), json!({ "worker": 1 })] {
        let refused = world.call("claim", &body);
        assert_eq!(code(&refused), (400, "INVALID_REQUEST"));
        assert!(
            refused.1["error"]["message"]
                .as_str()
                .unwrap()
                .contains("worker")
        );
    }
    let (_, claimed) = claim(&world, "one");
    for (field, value) in [
        ("wake_id", json!(1)),
        ("generation", json!("1")),
        ("done", json!("yes")),
        ("acks", json!({})),
        ("acks", json!([{ "offset": offset(1) }])),
        ("acks", json!([{ "stream": "a" }])),
    ] {
        let mut body = json!({
            "wake_id": claimed["wake_id"], "generation": 1, "acks": [], "done": true,
        });
        body[field] = value;
        let refused = world.call_with("ack", &body, claimed["token"].as_str(), "");
        assert_eq!(code(&refused), (400, "INVALID_REQUEST"), "{body}");
        let message = refused.1["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(field), "{message}");
    }
    let hook = world.call("callback", &json!({}));
    assert_eq!(code(&hook), (401, "TOKEN_INVALID"));
    let token = claimed["token"].as_str();
    let hook = world.call_with("callback", &json!({}), token, "");
    assert_eq!(code(&hook), (400, "INVALID_REQUEST"));
}
