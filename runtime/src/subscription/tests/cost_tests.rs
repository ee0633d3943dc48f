//! What is paid for what: rows written, rows read, alarms.

use serde_json::{Value, json};

use super::world::{HOOK, World, offset};

struct Cost {
    written: u64,
    read: u64,
    alarms: u64,
}

fn cost(world: &World, work: impl FnOnce()) -> Cost {
    let database = &world.database;
    let before = (
        database.written.get(),
        database.read.get(),
        world.alarms.get(),
    );
    work();
    Cost {
        written: database.written.get() - before.0,
        read: database.read.get() - before.1,
        alarms: world.alarms.get() - before.2,
    }
}

fn hook() -> Value {
    json!({ "type": "webhook", "pattern": "events/*", "webhook": { "url": HOOK } })
}

#[test]
fn a_wake_of_a_receiver_writes_four_rows_and_hardly_ever_an_alarm() {
    let world = World::new();
    world.put(&hook());
    world.push("events/a", 1);
    world.settle();
    let wakes = cost(&world, || {
        for _ in 0..20 {
            world.run(100);
            world.push("events/a", 1);
            world.settle();
        }
    });
    assert_eq!(world.posts().len(), 21);
    // The tail, the wake; the cursor, its end.
    assert_eq!(wakes.written, 20 * 4);
    assert!(wakes.alarms <= 1, "{}", wakes.alarms);
}

#[test]
fn to_be_told_while_somebody_is_awake_writes_a_row() {
    let world = World::new();
    world.answers(|_, _| Ok((200, "{}".into())));
    world.put(&hook());
    world.push("events/a", 1);
    world.settle();
    let told = cost(&world, || world.push("events/a", 1));
    assert_eq!((told.written, told.alarms), (1, 0));
    let life = world.streams.borrow()["p/events/a"].life.clone().unwrap();
    let again = cost(&world, || {
        world.told("p/events/a", life, 0, 2, false);
    });
    assert_eq!((again.written, again.alarms), (0, 0));
}

#[test]
fn a_wake_of_a_worker_writes_six_rows() {
    let world = World::new();
    world.create("wake");
    world.put(&json!({ "type": "pull-wake", "pattern": "events/*", "wake_stream": "wake" }));
    let wakes = cost(&world, || {
        for n in 1..=10 {
            world.run(100);
            world.push("events/a", 1);
            world.settle();
            let (_, claimed) = world.call("claim", &json!({ "worker": "w" }));
            let ack = json!({
                "wake_id": claimed["wake_id"], "generation": n, "done": true,
                "acks": [{ "stream": "events/a", "offset": offset(n) }],
            });
            let done = world.call_with("ack", &ack, claimed["token"].as_str(), "");
            assert_eq!(done.0, 200);
        }
    });
    // The tail, the wake, the event; the claim; the cursor, the end.
    assert_eq!(wakes.written, 10 * 6);
    assert!(wakes.alarms <= 2, "{}", wakes.alarms);
}

#[test]
fn nothing_is_gone_through_but_at_the_start() {
    let world = World::new();
    for n in 0..2_000 {
        world.append(&format!("events/{n}"), 1);
    }
    world.run(10);
    world.put(&hook());
    world.run_until(60_000, |world| {
        world.get()["backfill"]["state"] == "complete"
    });
    // They tell of what was there already.
    let told = cost(&world, || world.tell());
    assert_eq!((told.written, told.read), (0, 2_000));
    let wake = cost(&world, || {
        world.push("events/0", 1);
        world.settle();
    });
    assert_eq!(world.cursor("events/0").unwrap().1, 2);
    assert!(wake.read < 20, "{}", wake.read);
    let idle = cost(&world, || world.run(10 * 86_400_000));
    assert_eq!((idle.written, idle.alarms), (0, 0));
    let posts = world.posts();
    let sent = posts[0].body["streams"].as_array().unwrap().len();
    assert_eq!((posts.len(), sent), (1, 1));
}

#[test]
fn a_stream_that_is_found_writes_a_row() {
    let world = World::new();
    for n in 0..400 {
        world.append(&format!("events/{n}"), 1);
    }
    world.run(10);
    let made = cost(&world, || drop(world.put(&hook())));
    // Two tables are made on the way, and each batch notes how far it is.
    assert!((400..=410).contains(&made.written), "{}", made.written);
}
