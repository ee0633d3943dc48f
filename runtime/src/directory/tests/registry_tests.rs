//! Streams that say which streams came and went.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Shard;
use super::world::World;
use super::*;
use crate::directory::lives::GONE_FOR;
use crate::directory::registry::MOST;
use crate::protocol::ask;

const START: u64 = 1_764_000_000_000;

fn come(world: &World, shard: &Rc<Shard<World>>, name: &str, number: u64) {
    let _: Value = world.hear(shard, ask::REGISTER, &register(name, number));
}

fn go(world: &World, shard: &Rc<Shard<World>>, name: &str, number: u64) {
    let _: Value = world.hear(shard, ask::UNREGISTER, &unregister(name, number));
}

fn waiting(world: &World) -> usize {
    world.database().texts("SELECT registry FROM event").len()
}

/// Lets what is under way come to its end.
fn settle(world: &World) {
    for _ in 0..2_000 {
        world.pass(1);
    }
}

#[test]
fn each_root_hears_of_its_streams() {
    let world = World::new(START);
    let shard = world.load_with_registry();
    for name in ["__registry__", "p/__registry__"] {
        world.make(name);
        // Not of itself, but the root of all hears of that of a project.
        come(&world, &shard, name, 1);
    }
    come(&world, &shard, "p/x", 7);
    come(&world, &shard, "p/x", 7);
    go(&world, &shard, "p/x", 6);
    go(&world, &shard, "p/x", 7);
    go(&world, &shard, "p/x", 7);
    come(&world, &shard, "p/x", 7);
    settle(&world);
    let came = json!({
        "type": "stream",
        "key": "x",
        "value": {"path": "x", "contentType": "text/7", "createdAt": 7},
        "headers": {"operation": "insert"},
    });
    let went = json!({"type": "stream", "key": "x", "headers": {"operation": "delete"}});
    assert_eq!(world.stream("p/__registry__"), [came, went]);
    let keys = world.stream("__registry__");
    let keys: Vec<&str> = keys
        .iter()
        .map(|event| event["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["p/__registry__", "p/x", "p/x"]);
    assert_eq!(waiting(&world), 0);
}

#[test]
fn what_nobody_takes_waits_for_its_stream() {
    let world = World::new(START);
    let shard = world.load_with_registry();
    world.make("__registry__");
    for n in 1..=20 {
        come(&world, &shard, &format!("p/{n:02}"), n);
        for _ in 0..100 {
            world.pass(1);
        }
    }
    // It is not asked for each of them.
    assert!(world.asked() <= 24, "{}", world.asked());
    assert!(
        world
            .said()
            .contains("p/__registry__ is told later: there is no such stream")
    );
    assert_eq!(
        (world.stream("__registry__").len(), waiting(&world)),
        (20, 20)
    );
    world.make("p/__registry__");
    world.pass(4 * GONE_FOR);
    assert!(world.ring(&shard));
    settle(&world);
    let told = world.stream("p/__registry__");
    let keys: Vec<String> = told.iter().map(|event| event["key"].to_string()).collect();
    let expected: Vec<String> = (1..=20).map(|n| format!("\"{n:02}\"")).collect();
    assert_eq!((keys, waiting(&world)), (expected, 0));
    // And nothing is done any more.
    world.pass(4 * GONE_FOR);
    world.ring(&shard);
    assert_eq!(world.alarm(), None);
}

#[test]
fn what_was_noted_before_a_crash_is_told_after_it() {
    let world = World::new(START);
    let shard = world.load_with_registry();
    world.make("__registry__");
    come(&world, &shard, "x", 1);
    let shard = world.load_with_registry();
    assert_eq!(
        (world.stream("__registry__").len(), waiting(&world)),
        (0, 1)
    );
    world.pass(GONE_FOR);
    assert!(world.ring(&shard));
    assert_eq!(
        (world.stream("__registry__").len(), waiting(&world)),
        (1, 0)
    );
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let world = World::new(START);
    let shard = world.load_with_registry();
    let count = MOST + 500;
    for n in 0..count {
        come(&world, &shard, &format!("{n:05}"), 1);
    }
    settle(&world);
    assert!(waiting(&world) as u64 <= MOST, "{}", waiting(&world));
    assert!(
        world
            .said()
            .contains("1000 events for __registry__ were dropped")
    );
    let first = world
        .database()
        .texts("SELECT message FROM event ORDER BY id LIMIT 1");
    assert!(first[0][0].contains("\"01000\""), "{first:?}");
}

#[test]
fn a_stream_that_nobody_knew_goes_without_a_word() {
    let world = World::new(START);
    let shard = world.load_with_registry();
    world.make("__registry__");
    go(&world, &shard, "x", 1);
    settle(&world);
    assert_eq!((world.stream("__registry__").len(), world.asked()), (0, 0));
    for _ in 0..4 {
        world.pass(GONE_FOR);
        world.ring(&shard);
    }
    assert_eq!(world.alarm(), None);
}

#[test]
fn without_registry_streams_nothing_is_noted() {
    let world = World::new(START);
    let shard = world.load();
    come(&world, &shard, "x", 1);
    go(&world, &shard, "x", 1);
    assert_eq!((waiting(&world), world.asked()), (0, 0));
}

#[test]
fn events_are_noted_together_with_what_they_are_about() {
    for statements in 0.. {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database).with_registry();
        shelf.register(&register("p/x", 1)).unwrap();
        database.fail_after(statements);
        let gone = shelf.unregister(&unregister("p/x", 1), 5);
        let came = shelf.register(&register("p/y", 1));
        let has_failed = database.heal();
        let noted = database.texts("SELECT message FROM event ORDER BY id");
        let noted = format!("{noted:?}");
        assert_eq!(noted.contains("delete"), gone.is_ok());
        assert_eq!(noted.contains("p/y"), came.is_ok());
        if !has_failed {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_reads_all_events_knows_all_streams(
        steps in proptest::collection::vec((0usize..4, 0u8..10), 1..40),
        fates in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..40),
    ) {
        let world = World::new(START);
        let mut shard = world.load_with_registry();
        world.make("p/__registry__");
        world.let_answers_be(fates);
        let mut there: BTreeMap<String, u64> = BTreeMap::new();
        let mut number = 0;
        for (n, what) in steps {
            let name = format!("p/{n}");
            match (what, there.get(&name).copied()) {
                (0, _) => shard = world.load_with_registry(),
                (1..4, _) => world.pass(u64::from(what) * 1_500),
                (_, Some(number)) => {
                    go(&world, &shard, &name, number);
                    there.remove(&name);
                }
                (_, None) => {
                    number += 1;
                    come(&world, &shard, &name, number);
                    there.insert(name, number);
                }
            }
        }
        for _ in 0..40 {
            world.pass(GONE_FOR);
            world.ring(&shard);
        }
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        for event in world.stream("p/__registry__") {
            let name = format!("p/{}", event["key"].as_str().unwrap());
            match event["headers"]["operation"].as_str() {
                Some("insert") => known.insert(name, event["value"]["createdAt"].as_u64().unwrap()),
                _ => known.remove(&name),
            };
        }
        prop_assert_eq!(known, there);
    }
}
