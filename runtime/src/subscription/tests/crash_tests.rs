//! The same when the machine fails wherever it waits: whoever was not answered asks again, alarms
//! come, and nothing is lost.

use serde_json::{Value, json};

use super::world::{HOOK, World, offset};

/// Plays it with a failure at each time at which the machine waits, until there is none any more.
fn everywhere(play: impl Fn(&World)) {
    let mut plays = 0u64;
    for at in 1.. {
        let world = World::new();
        world.fails_at.set(Some(at));
        play(&world);
        plays += 1;
        if world.fails_at.get().is_some() {
            break;
        }
    }
    assert!(plays > 20, "{plays}");
}

/// Asks until there is an answer that is no failure.
fn insist(world: &World, question: &str, body: &Value, token: Option<&str>) -> (u16, Value) {
    for _ in 0..20 {
        let reply = world.ask(question, super::world::call(body, token, ""));
        if let Some(reply) = reply.filter(|reply| reply.status < 500) {
            return super::world::seen(&reply);
        }
        world.run(1_000);
    }
    panic!("nobody answers {question}");
}

fn push(world: &World, path: &str, count: u64) {
    world.append(path, count);
    world.tell();
    world.run(1_000);
    world.tell();
}

fn cursor(world: &World, path: &str) -> Option<u64> {
    let (_, shown) = insist(world, "get", &Value::Null, None);
    let streams = shown["streams"].as_array().unwrap().clone();
    let link = streams.iter().find(|link| link["path"] == path)?;
    let acked = link["acked_offset"].as_str().unwrap();
    (0..10).find(|position| offset(*position) == acked)
}

#[test]
fn a_receiver_hears_of_all() {
    everywhere(|world| {
        world.append("events/old", 3);
        world.run(10);
        let body = json!({
            "type": "webhook", "pattern": "events/*", "streams": ["named"],
            "webhook": { "url": HOOK }, "lease_ttl_ms": 1000,
        });
        let (status, _) = insist(world, "create", &body, None);
        assert!(status == 201 || status == 200);
        world.run(130_000);
        let (_, shown) = insist(world, "get", &Value::Null, None);
        assert_eq!(shown["backfill"]["state"], "complete");
        assert_eq!(cursor(world, "events/old"), Some(3));
        push(world, "events/new", 2);
        push(world, "events/old", 1);
        push(world, "named", 1);
        world.run(200_000);
        for (path, tail) in [("events/new", 2), ("events/old", 4), ("named", 1)] {
            assert_eq!(cursor(world, path), Some(tail), "{path}");
            let told = world.posts().iter().any(|post| {
                let streams = post.body["streams"].as_array().unwrap();
                streams
                    .iter()
                    .any(|s| s["path"] == path && s["has_pending"] == true)
            });
            assert!(told, "{path}");
        }
        // At rest: nothing is sent any more.
        let posts = world.posts().len();
        world.run(1_000_000);
        assert_eq!(world.posts().len(), posts);
        assert_eq!(insist(world, "delete", &Value::Null, None).0, 204);
        world.run(200_000);
        assert!(world.watches.borrow().is_empty());
        assert!(
            world
                .database
                .texts("SELECT name FROM sqlite_master")
                .is_empty()
        );
    });
}

#[test]
fn workers_get_all() {
    everywhere(|world| {
        world.create("wake");
        let body = json!({
            "type": "pull-wake", "pattern": "events/*", "wake_stream": "wake",
            "lease_ttl_ms": 2000,
        });
        insist(world, "create", &body, None);
        let mut generations = Vec::new();
        for n in 1..=3 {
            push(world, "events/a", 1);
            world.run(130_000);
            let has_event = !world.streams.borrow()["p/wake"].events.is_empty();
            assert!(has_event);
            // Whoever does not hear that it has the wake waits until it is over.
            let claimed = loop {
                let (status, claimed) = insist(world, "claim", &json!({ "worker": "w" }), None);
                match status {
                    200 => break claimed,
                    _ => world.run(3_000),
                }
            };
            generations.push(claimed["generation"].as_u64().unwrap());
            let ack = json!({
                "wake_id": claimed["wake_id"], "generation": claimed["generation"],
                "acks": [{ "stream": "events/a", "offset": offset(n) }], "done": true,
            });
            let (status, _) = insist(world, "ack", &ack, claimed["token"].as_str());
            assert!(status == 200 || status == 409);
            assert_eq!(cursor(world, "events/a"), Some(n));
        }
        assert!(
            generations.windows(2).all(|two| two[0] < two[1]),
            "{generations:?}"
        );
        let (_, shown) = insist(world, "get", &Value::Null, None);
        assert_eq!(
            (&shown["pending"], &shown["phase"]),
            (&json!(0), &json!("idle"))
        );
    });
}
