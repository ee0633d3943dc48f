//! Receivers of webhooks.

use serde_json::{Value, json};

use super::world::{BASE, HOOK, World, call, code, offset, seen};

fn hook(lease: u64) -> Value {
    json!({
        "type": "webhook",
        "pattern": "events/*",
        "webhook": { "url": HOOK },
        "lease_ttl_ms": lease,
    })
}

fn nothing_more() -> Result<(u16, String), String> {
    Ok((200, "{}".into()))
}

#[test]
fn what_was_sent_is_acknowledged_by_done() {
    let world = World::new();
    let shown = world.put(&hook(1000));
    assert_eq!(shown["webhook"]["signing"]["kid"], "ds_1");
    assert_eq!(
        shown["webhook"]["signing"]["jwks_url"],
        format!("{BASE}/__ds/jwks.json")
    );
    assert!(!shown.to_string().contains("secret"), "{shown}");
    world.push("events/a", 2);
    world.settle();
    let posts = world.posts();
    assert_eq!(posts.len(), 1);
    let body = &posts[0].body;
    assert_eq!(body["subscription_id"], "s");
    assert_eq!(
        body["callback_url"],
        format!("{BASE}/__ds/subscriptions/s/callback")
    );
    assert_eq!(
        body["streams"],
        json!([{
            "path": "events/a", "link_type": "glob", "acked_offset": offset(0),
            "tail_offset": offset(2), "has_pending": true,
        }])
    );
    let parts: Vec<&str> = posts[0].signature.split(',').collect();
    assert_eq!(parts[0], format!("t={}", posts[0].at / 1000));
    assert_eq!(parts[1], "kid=ds_1");
    assert!(parts[2].starts_with("ed25519="));
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 2)));
    assert_eq!(world.get()["phase"], "idle");
    world.run(100_000);
    assert_eq!(
        world.posts().len(),
        1,
        "acknowledged data wakes nobody again"
    );
}

#[test]
fn what_comes_after_the_snapshot_wakes_again() {
    let world = World::new();
    world.put(&hook(1000));
    world.held.borrow_mut().insert("post");
    world.push("events/a", 1);
    world.settle();
    world.push("events/a", 1);
    assert_eq!(world.posts().len(), 1);
    world.held.borrow_mut().clear();
    world.settle();
    let posts = world.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].body["streams"][0]["acked_offset"], offset(1));
    assert_eq!(posts[1].body["generation"], 2);
    assert_ne!(posts[0].body["wake_id"], posts[1].body["wake_id"]);
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 2)));
}

fn said(body: &Value, acked: u64, done: bool) -> Value {
    json!({
        "wake_id": body["wake_id"],
        "generation": body["generation"],
        "acks": [{ "stream": "events/a", "offset": offset(acked) }],
        "done": done,
    })
}

fn token(body: &Value) -> Option<String> {
    body["callback_token"].as_str().map(str::to_owned)
}

#[test]
fn callbacks_acknowledge_and_are_fenced() {
    let world = World::new();
    world.answers(|_, _| nothing_more());
    world.put(&hook(1000));
    world.push("events/a", 2);
    world.settle();
    let body = world.posts()[0].body.clone();
    let token = token(&body);
    let ask = |sent: &Value| world.call_with("callback", sent, token.as_deref(), "");
    assert_eq!(world.get()["phase"], "held");
    for wrong in [
        json!({ "wake_id": "w_other", "generation": 1 }),
        json!({ "wake_id": body["wake_id"], "generation": 2 }),
    ] {
        assert_eq!(code(&ask(&wrong)), (409, "FENCED"));
    }
    let unheard = world.call_with("callback", &said(&body, 2, true), None, "");
    assert_eq!(code(&unheard), (401, "TOKEN_INVALID"));
    let beyond = said(&body, 3, true);
    assert_eq!(code(&ask(&beyond)), (409, "INVALID_OFFSET"));
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 0)));
    let extended = ask(&said(&body, 1, false));
    assert_eq!(extended, (200, json!({ "ok": true, "next_wake": false })));
    let back = said(&body, 0, true);
    assert_eq!(code(&ask(&back)), (409, "INVALID_OFFSET"));
    let done = ask(&said(&body, 2, true));
    assert_eq!(done, (200, json!({ "ok": true, "next_wake": false })));
    assert_eq!(code(&ask(&said(&body, 2, true))), (409, "FENCED"));
    let other = world.call_with("ack", &said(&body, 2, true), token.as_deref(), "");
    assert_eq!(code(&other), (400, "INVALID_REQUEST"));
}

#[test]
fn all_acks_count_or_none() {
    let world = World::new();
    world.answers(|_, _| nothing_more());
    world.put(&hook(30_000));
    world.append("events/a", 2);
    world.append("events/b", 2);
    world.tell();
    world.settle();
    let body = world.posts()[0].body.clone();
    for bad in [
        json!({ "stream": "events/b", "offset": offset(9) }),
        json!({ "stream": "events/b", "offset": "-1" }),
        json!({ "stream": "events/c", "offset": offset(1) }),
    ] {
        let good = json!({ "stream": "events/a", "offset": offset(2) });
        let sent = json!({
            "wake_id": body["wake_id"], "generation": 1, "acks": [good, bad], "done": true,
        });
        let answer = world.call_with("callback", &sent, token(&body).as_deref(), "");
        assert_eq!(code(&answer), (409, "INVALID_OFFSET"));
    }
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 0)));
    assert_eq!(world.get()["pending"], 2);
}

#[test]
fn an_ack_beyond_the_known_tail_asks_the_stream() {
    let world = World::new();
    world.answers(|_, _| nothing_more());
    world.put(&hook(30_000));
    world.push("events/a", 1);
    world.settle();
    let body = world.posts()[0].body.clone();
    // It was read before the subscription was told of it.
    world.append("events/a", 1);
    let sent = said(&body, 2, true);
    let done = world.call_with("callback", &sent, token(&body).as_deref(), "");
    assert_eq!(done, (200, json!({ "ok": true, "next_wake": false })));
    world.tell();
    world.run(100_000);
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn what_was_fenced_while_a_stream_was_asked_counts_no_more() {
    let world = World::new();
    world.answers(|_, _| nothing_more());
    world.put(&hook(30_000));
    world.push("events/a", 1);
    world.settle();
    let body = world.posts()[0].body.clone();
    let token = token(&body);
    world.append("events/a", 1);
    world.held.borrow_mut().insert("link");
    let late = world.begin(
        "callback",
        call(&said(&body, 2, true), token.as_deref(), ""),
    );
    world.settle();
    let done = world.call_with("callback", &said(&body, 1, true), token.as_deref(), "");
    assert_eq!(done.0, 200);
    world.held.borrow_mut().clear();
    world.settle();
    assert_eq!(code(&seen(&late.get().unwrap())), (409, "FENCED"));
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 1)));
}

#[test]
fn a_lease_that_runs_out_wakes_the_next_generation() {
    let world = World::new();
    world.answers(|_, _| nothing_more());
    world.put(&hook(5000));
    world.push("events/a", 1);
    world.run(4_999);
    assert_eq!(world.posts().len(), 1);
    world.run(2);
    let posts = world.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].body["generation"], 2);
    let late = said(&posts[0].body, 1, true);
    let late = world.call_with("callback", &late, token(&posts[0].body).as_deref(), "");
    assert_eq!(code(&late), (409, "FENCED"));
    // A heartbeat keeps it.
    world.run(4_000);
    let beat = said(&posts[1].body, 0, false);
    let beat = world.call_with("callback", &beat, token(&posts[1].body).as_deref(), "");
    assert_eq!(beat.0, 200);
    world.run(4_000);
    assert_eq!(world.posts().len(), 2);
    world.run(1_001);
    assert_eq!(world.posts().len(), 3);
}

#[test]
fn failures_are_retried_later_and_later_with_the_same_wake() {
    let world = World::new();
    world.answers(|_, _| Ok((500, String::new())));
    world.put(&hook(1000));
    world.push("events/a", 1);
    world.run(300_000);
    let posts = world.posts();
    let gaps: Vec<u64> = posts.windows(2).map(|two| two[1].at - two[0].at).collect();
    for (n, gap) in gaps.iter().enumerate() {
        let whole = (1000u64 << n.min(6)).min(60_000);
        assert!((whole * 4 / 5..=whole * 6 / 5).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() > 7, "{gaps:?}");
    assert!(posts.iter().all(|post| post.body["generation"] == 1));
    assert_ne!(posts[0].signature, posts[3].signature);
    let shown = world.get();
    assert_eq!(
        (&shown["status"], &shown["phase"]),
        (&json!("failed"), &json!("waking"))
    );
    assert_eq!(shown["last_error"], "the receiver answered 500");
    assert!(shown["next_attempt_at"].is_string(), "{shown}");
    // The schedule outlives the machine.
    let (before, at) = (world.posts().len(), world.now.get());
    world.crash();
    world.push("events/a", 1);
    world.settle();
    assert_eq!(world.posts().len(), before);
    world.answers(|_, _| Ok((200, "{\"done\":true}".into())));
    world.run(75_000);
    let posts = world.posts();
    assert_eq!(posts.len(), before + 1);
    assert!(posts[before].at > at);
    assert_eq!(posts[before].body["streams"][0]["tail_offset"], offset(2));
    assert_eq!(world.get()["status"], "active");
}

#[test]
fn redirects_and_silence_are_failures() {
    let world = World::new();
    world.answers(|_, _| Ok((302, "{\"done\":true}".into())));
    world.put(&hook(5000));
    world.push("events/a", 1);
    world.settle();
    assert_eq!(world.get()["last_error"], "the receiver answered 302");
    world.held.borrow_mut().insert("post");
    world.run(7_000);
    let shown = world.get();
    assert_eq!(
        shown["last_error"],
        "the receiver did not answer within 5000 ms"
    );
    assert_eq!(shown["attempts"], 2);
}

#[test]
fn a_callback_during_an_attempt_or_before_a_retry_takes_the_wake() {
    for is_during in [true, false] {
        let world = World::new();
        world.answers(|_, _| Ok((500, String::new())));
        world.put(&hook(5000));
        if is_during {
            world.held.borrow_mut().insert("post");
        }
        world.push("events/a", 1);
        world.settle();
        let body = world.posts()[0].body.clone();
        let sent = said(&body, 0, false);
        let answer = world.call_with("callback", &sent, token(&body).as_deref(), "");
        assert_eq!(answer.0, 200);
        world.held.borrow_mut().clear();
        world.settle();
        let shown = world.get();
        assert_eq!(
            (&shown["status"], &shown["phase"]),
            (&json!("active"), &json!("held"))
        );
        world.run(4_000);
        assert_eq!(world.posts().len(), 1, "the retry is off");
        let done = said(&body, 1, true);
        let done = world.call_with("callback", &done, token(&body).as_deref(), "");
        assert_eq!(done.0, 200);
    }
}

#[test]
fn done_of_a_wake_that_is_over_acknowledges_nothing() {
    let world = World::new();
    world.put(&hook(5000));
    world.held.borrow_mut().insert("post");
    world.push("events/a", 1);
    world.settle();
    let body = world.posts()[0].body.clone();
    let done = said(&body, 0, true);
    let done = world.call_with("callback", &done, token(&body).as_deref(), "");
    assert_eq!(done, (200, json!({ "ok": true, "next_wake": true })));
    world.answers(|_, body| match body["generation"] == 1 {
        true => Ok((200, "{\"done\":true}".into())),
        false => nothing_more(),
    });
    world.held.borrow_mut().clear();
    world.settle();
    let shown = world.get();
    assert_eq!(
        (&shown["generation"], &shown["phase"]),
        (&json!(2), &json!("held"))
    );
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 0)));
}

#[test]
fn a_receiver_that_fails_for_days_is_left_alone_until_somebody_asks() {
    let world = World::new();
    world.answers(|_, _| Err("connection refused".into()));
    world.put(&hook(30_000));
    world.push("events/a", 1);
    world.run(4 * 86_400_000);
    let shown = world.get();
    assert_eq!(
        (&shown["status"], &shown["parked"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(shown["last_error"], "connection refused");
    let posts = world.posts().len();
    world.push("events/a", 1);
    world.run(86_400_000);
    assert_eq!(world.posts().len(), posts);
    assert_eq!(world.get()["lag"], 2);
    assert_eq!(world.alarm.get(), None);
    world.answers(|_, _| Ok((200, "{\"done\":true}".into())));
    assert_eq!(world.call("retry", &Value::Null).0, 204);
    world.settle();
    assert_eq!(world.posts().len(), posts + 1);
    let shown = world.get();
    assert_eq!(
        (&shown["status"], &shown["parked"]),
        (&json!("active"), &json!(false))
    );
    assert_eq!(shown["lag"], 0);
}

#[test]
fn a_callback_takes_a_parked_wake() {
    let world = World::new();
    world.answers(|_, _| Err("connection refused".into()));
    world.put(&hook(30_000));
    world.push("events/a", 1);
    world.run(4 * 86_400_000);
    let body = world.posts().last().unwrap().body.clone();
    let sent = said(&body, 0, false);
    assert_eq!(
        world
            .call_with("callback", &sent, token(&body).as_deref(), "")
            .0,
        200
    );
    let shown = world.get();
    assert_eq!(
        (&shown["status"], &shown["phase"]),
        (&json!("active"), &json!("held"))
    );
}

#[test]
fn a_stream_of_another_life_is_not_acknowledged_by_what_was_sent_of_an_older_one() {
    let world = World::new();
    world.put(&hook(5000));
    world.held.borrow_mut().insert("post");
    world.push("events/a", 5);
    world.settle();
    world.run(10);
    world.end("events/a");
    world.run(10);
    world.push("events/a", 3);
    world.answers(|_, body| match body["generation"] == 1 {
        true => Ok((200, "{\"done\":true}".into())),
        false => nothing_more(),
    });
    world.held.borrow_mut().clear();
    world.settle();
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 0)));
    assert_eq!(world.get()["lag"], 3);
}

#[test]
fn attempts_are_logged_for_development_without_secrets() {
    let world = World::new();
    world.is_dev.set(true);
    world.answers(|_, _| Ok((503, String::new())));
    world.put(&hook(5000));
    world.push("events/a", 1);
    world.settle();
    let log = world.log.borrow().join("\n");
    let said = format!("s, generation 1: POST {HOOK}: ");
    assert!(log.contains(&said), "{log}");
    assert!(
        log.contains("answered 503") && log.contains("again in 1"),
        "{log}"
    );
    let token = world.posts()[0].body["callback_token"].clone();
    assert!(!log.contains(token.as_str().unwrap()), "{log}");
}

#[test]
fn a_wake_that_nobody_could_be_alarmed_of_is_told_again() {
    let world = World::new();
    world.put(&hook(5000));
    world.run(100_000);
    world.failing.borrow_mut().insert("alarm");
    world.held.borrow_mut().insert("post");
    world.push("events/a", 1);
    world.crash();
    world.failing.borrow_mut().clear();
    world.held.borrow_mut().clear();
    // It was told that it was not heard.
    world.tell();
    world.settle();
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 1)));
}

#[test]
fn operations_are_measured() {
    let world = World::new();
    world.put(&hook(5000));
    world.push("events/a", 3);
    world.settle();
    let points = world.points.borrow();
    let point = |name| points.iter().find(|point| point.operation == name).unwrap();
    assert_eq!(
        (point("wake").count, point("wake").project.as_str()),
        (3, "p")
    );
    assert_eq!(point("deliver").outcome, "done");
    assert!(point("deliver").bytes > 100);
}

#[test]
fn a_key_is_kept_for_a_while_and_asked_for_anew_after_a_failure() {
    let world = World::new();
    world.put(&hook(5000));
    let kid = || {
        world.push("events/a", 1);
        world.settle();
        let signature = world.posts().last().unwrap().signature.clone();
        signature.split(',').nth(1).unwrap().to_owned()
    };
    assert_eq!(kid(), "kid=ds_1");
    world.kid.set("ds_2");
    assert_eq!(kid(), "kid=ds_1");
    let asked = world.questions.borrow().clone();
    let asked = asked
        .iter()
        .filter(|asked| asked.starts_with("signing-key"));
    assert_eq!(asked.count(), 1);
    world.run(60_001);
    assert_eq!(kid(), "kid=ds_2");
    world.kid.set("ds_3");
    world.answers(|_, _| Ok((401, String::new())));
    assert_eq!(kid(), "kid=ds_2");
    world.run(2_000);
    let posts = world.posts();
    assert!(posts.last().unwrap().signature.contains("kid=ds_3"));
    world.kid.set("ds_4");
    assert_eq!(world.get()["webhook"]["signing"]["kid"], "ds_4");
}

#[test]
fn a_key_that_cannot_be_had_is_a_failure_and_hides_nothing() {
    let world = World::new();
    world.failing.borrow_mut().insert("signing-key");
    let shown = world.put(&hook(5000));
    assert_eq!(shown["webhook"]["signing"]["kid"], Value::Null);
    world.push("events/a", 1);
    world.settle();
    assert_eq!(world.get()["status"], "failed");
    world.failing.borrow_mut().clear();
    world.run(2_000);
    assert_eq!(world.cursor("events/a"), Some(("glob".into(), 1)));
}

#[test]
fn without_a_directory_there_are_no_subscriptions() {
    let world = World::new();
    world.shards.set(None);
    let refused = world.call("create", &hook(5000));
    assert_eq!(code(&refused), (501, "DIRECTORY_OFF"));
    world.shards.set(Some(2));
    world.crash();
    world.put(&hook(5000));
    world.shards.set(None);
    world.crash();
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    world.run(10);
    let tables = world.database.texts("SELECT name FROM sqlite_master");
    assert!(tables.is_empty(), "{tables:?}");
}

#[test]
fn the_same_request_says_where_the_server_is_now() {
    let world = World::new();
    world.put(&hook(5000));
    let moved = call(&hook(5000), None, "").replace("streams.example", "moved.example");
    let (status, shown) = seen(&world.ask("create", moved).unwrap());
    assert_eq!(status, 200);
    let url = &shown["webhook"]["signing"]["jwks_url"];
    assert_eq!(url, "https://moved.example/v1/stream/p/__ds/jwks.json");
    world.push("events/a", 1);
    world.settle();
    let callback = world.posts()[0].body["callback_url"].clone();
    assert!(
        callback
            .as_str()
            .unwrap()
            .starts_with("https://moved.example/")
    );
}
