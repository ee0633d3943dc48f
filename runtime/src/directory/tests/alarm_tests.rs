//! What is gone, and is forgotten when nobody can speak of it any more.

use super::world::World;
use super::*;
use crate::directory::alarm::next_time;
use crate::directory::lives::GONE_FOR;
use crate::protocol::ask;
use serde_json::Value;

const START: u64 = 1_764_000_000_000;

fn gone(world: &World) -> usize {
    world.database().texts("SELECT name FROM gone").len()
}

#[test]
fn there_is_an_alarm_when_there_is_something_to_forget() {
    let world = World::new(START);
    let shard = world.load();
    let _: Value = world.hear(&shard, ask::REGISTER, &register("a", 1));
    let _: Value = world.hear(&shard, ask::WATCH, &watch(&Root::ALL, "s", 1, None));
    assert_eq!(world.alarm(), None);
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", 1));
    assert_eq!(world.alarm(), Some(next_time(START)));
    let _: Value = world.hear(&shard, ask::UNWATCH, &unwatch(&Root::ALL, "s", 1));
    // One does for all.
    assert_eq!((world.alarms_set(), gone(&world)), (1, 2));
    let mut rung = 0;
    for _ in 0..120 {
        world.pass(30_000);
        rung += u32::from(world.ring(&shard));
        let is_young = world.time() < START + GONE_FOR;
        assert!(!is_young || gone(&world) == 2);
    }
    // It is forgotten after half an hour at the latest, and then nothing is done any more.
    assert_eq!((gone(&world), world.alarm()), (0, None));
    assert!(rung <= 2, "{rung}");
}

#[test]
fn objects_that_come_and_go_do_not_put_the_alarm_off() {
    let world = World::new(START);
    for n in 0..90 {
        let shard = world.load();
        let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", n));
        world.pass(60_000);
        world.ring(&shard);
    }
    // Those of the last half hour.
    assert!(gone(&world) <= 31, "{}", gone(&world));
}

#[test]
fn an_alarm_that_is_not_set_is_tried_again() {
    let world = World::new(START);
    let shard = world.load();
    world.let_alarms_fail(3);
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", 1));
    assert_eq!(world.alarm(), None);
    for _ in 0..20 {
        world.pass(500);
    }
    assert!(world.alarm().is_some());
    // And by the next one who needs it, should that not help.
    let world = World::new(START);
    let shard = world.load();
    world.let_alarms_fail(8);
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", 1));
    for _ in 0..1_000 {
        world.pass(500);
    }
    assert_eq!(world.alarm(), None);
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("b", 1));
    assert!(world.alarm().is_some());
}

#[test]
fn an_alarm_that_cannot_be_followed_by_another_is_called_again() {
    let world = World::new(START);
    let shard = world.load();
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", 1));
    world.let_alarms_fail(1);
    world.wait(shard.wake()).unwrap_err();
    world.wait(shard.wake()).unwrap();
    assert_eq!(world.alarm(), Some(next_time(world.time())));
}

#[test]
fn a_database_that_fails_is_looked_through_later() {
    let world = World::new(START);
    let shard = world.load();
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("a", 1));
    world.pass(2 * GONE_FOR);
    for statements in 0..4 {
        world.database().fail_after(statements);
        world.ring(&shard);
        assert!(world.database().heal());
        assert_eq!(gone(&world), 1);
        world.pass(GONE_FOR);
    }
    world.ring(&shard);
    assert_eq!((gone(&world), world.alarm()), (0, None));
}

#[test]
fn much_is_forgotten_in_parts() {
    let world = World::new(START);
    let shard = world.load();
    let mut shelf = Shelf::new(world.database());
    for n in 0..2_500 {
        shelf
            .unregister(&unregister(&format!("{n:04}"), 1), START)
            .unwrap();
    }
    // Many lives of one name lie across the parts.
    for n in 0..2_500 {
        shelf.unregister(&unregister("1500", n), START).unwrap();
    }
    let late = START + GONE_FOR;
    shelf.unregister(&unregister("9999", 1), late).unwrap();
    let _: Value = world.hear(&shard, ask::UNREGISTER, &unregister("x", 1));
    world.pass(GONE_FOR + GONE_FOR / 2);
    world.ring(&shard);
    assert_eq!(gone(&world), 1);
    world.pass(2 * GONE_FOR);
    world.ring(&shard);
    world.pass(GONE_FOR);
    world.ring(&shard);
    assert_eq!((gone(&world), world.alarm()), (0, None));
}
