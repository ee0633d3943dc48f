//! Random operations, failures and crashes around segments, each run in a world of its own. A run
//! that fails prints its operations, as few as still fail, and keeps the seed to repeat it with.
//! `SIMULATIONS` is the number of runs.

use proptest::prelude::*;

use super::bucket::any_fault;
use super::events::{Op, any_op};
use super::simulation::World;
use super::sqlite::Sqlite;

fn config() -> ProptestConfig {
    let runs = std::env::var("SIMULATIONS").ok();
    ProptestConfig::with_cases(runs.map_or(1000, |runs| runs.parse().unwrap()))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_is_left_behind(
        is_json: bool,
        ops in proptest::collection::vec(any_op(), 1..60),
    ) {
        let database = Sqlite::new();
        let mut world = World::new(&database, is_json);
        world.run(&Op::Create { first: vec!["x".into()], lives: None, keeps: None })?;
        for op in &ops {
            world.run(op)?;
        }
        world.rest()?;
    }

    /// Whatever statement a crash comes before, and whatever the bucket has done by then.
    #[test]
    fn a_crash_at_any_step_is_made_good(
        is_json: bool,
        kind in prop::sample::select(vec!["drop", "seal", "merge", "sweep", "purge"]),
        fault in any_fault(),
        fails_planned in proptest::option::of(0u32..12),
        fails_finished in proptest::option::of(0u32..12),
        reborn: bool,
        text in "[a-z]{1,22}",
        meanwhile in proptest::collection::vec("[a-z]{1,5}", 1..4),
    ) {
        let database = Sqlite::new();
        let mut world = World::new(&database, is_json);
        world.run(&Op::Create { first: vec!["x".into()], lives: None, keeps: None })?;
        world.come_to(kind, &text)?;
        // The stream of which the job is may not be there any more when it is done.
        let first = vec![text; 4];
        let birth = [Op::Delete, Op::Create { first, lives: None, keeps: None }];
        let mut during = if reborn { birth.to_vec() } else { Vec::new() };
        during.push(Op::Append(meanwhile.clone()));
        world.run(&Op::Job {
            kind: None,
            fault,
            fails_planned,
            fails_finished,
            meanwhile: during,
        })?;
        world.run(&Op::Restart)?;
        world.run(&Op::Append(meanwhile))?;
        world.rest()?;
    }
}

#[test]
fn many_small_segments_become_few() {
    let database = Sqlite::new();
    let mut world = World::new(&database, true);
    let create = Op::Create {
        first: vec!["x".into()],
        lives: None,
        keeps: None,
    };
    world.run(&create).unwrap();
    for _ in 0..300 {
        world.run(&Op::Fill(vec!["abcdef".into(); 3])).unwrap();
    }
    let before = world.segments();
    let bytes: u64 = before.iter().map(|segment| segment.record.size).sum();
    assert!(bytes > 9000, "{bytes}");
    // Objects of up to 700 bytes: 9000 bytes need 13, and a few more are not merged yet.
    assert!(before.len() < 45, "{} segments", before.len());
    world.rest().unwrap();
}

/// Whatever became of the entity tag: what was stored is read, and nothing else.
#[test]
fn damage_is_noticed_and_a_copy_is_none() {
    for is_json in [true, false] {
        let database = Sqlite::new();
        let mut world = World::new(&database, is_json);
        let first = vec!["x".into()];
        world
            .run(&Op::Create {
                first,
                lives: None,
                keeps: None,
            })
            .unwrap();
        for kind in ["seal", "merge"] {
            world.come_to(kind, "some text").unwrap();
            world.run(&Op::Fill(vec!["more".into()])).unwrap();
            world.run(&Op::Copy).unwrap();
            let intact = world.bucket.clone();
            for segment in world.segments() {
                let key = segment.key("streams/a/1/");
                let size = usize::try_from(segment.record.size).unwrap();
                for at in 0..size {
                    world.bucket.damage(&key, at);
                    assert!(world.check().is_err(), "{key} at {at}");
                    world.bucket.clone_from(&intact);
                }
            }
            world.check().unwrap();
        }
        world.rest().unwrap();
    }
}
