//! Keys over time.

use std::pin::pin;
use std::task::{Context, Waker};

use proptest::prelude::*;
use serde_json::Value;

use super::super::Shard;
use super::world::World;
use super::*;
use crate::directory::keys::{GOOD_FOR, LEAD};
use crate::directory::lives::GONE_FOR;
use crate::protocol::ask::{self, OfRoot, Rotate, Rotated, SigningKey};
use std::rc::Rc;

/// For how long receivers and caches keep a set.
const CACHED: u64 = 5 * 60_000;

const START: u64 = 1_764_000_000_000;

fn of(root: &Root) -> OfRoot {
    OfRoot { root: root.clone() }
}

fn signing_key(world: &World, shard: &Rc<Shard<World>>) -> SigningKey {
    world.hear(shard, ask::SIGNING_KEY, &of(&Root::ALL))
}

fn rotate(world: &World, shard: &Rc<Shard<World>>, now: bool) -> Rotated {
    let root = Root::ALL;
    world.hear(shard, ask::ROTATE, &Rotate { root, now })
}

fn published(world: &World, shard: &Rc<Shard<World>>, root: &Root) -> Vec<String> {
    let document: Value = world.hear(shard, ask::JWKS, &of(root));
    let keys = document["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Sign,
    Rotate,
    Load,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![1u64..5_000, 1u64..600_000, Just(GONE_FOR), Just(LEAD), Just(LEAD - 1)]
            .prop_map(Step::Pass),
        3 => Just(Step::Sign),
        1 => Just(Step::Rotate),
        1 => Just(Step::Load),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_signed_can_be_verified_for_as_long_as_anybody_takes_it(
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        let world = World::new(START);
        let mut shard = world.load();
        // What was published when, and what may be signed with from when to when.
        let mut sets: Vec<(u64, Vec<String>)> = Vec::new();
        let mut signed: Vec<(String, u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Pass(millis) => world.pass(millis),
                Step::Sign => {
                    let key = signing_key(&world, &shard);
                    prop_assert!(key.good_for > 0 && key.good_for <= GOOD_FOR);
                    signed.push((key.kid, world.time(), world.time() + key.good_for));
                }
                Step::Rotate => {
                    let rotated = rotate(&world, &shard, false);
                    prop_assert!(published(&world, &shard, &Root::ALL).contains(&rotated.kid));
                }
                Step::Load => shard = world.load(),
            }
            world.ring(&shard);
            let set = published(&world, &shard, &Root::ALL);
            // One to sign with, one to come, and those that are retired.
            prop_assert!(set.len() <= 5, "{:?}", set);
            if !set.is_empty() {
                sets.push((world.time(), set));
            }
        }
        for (kid, from, to) in signed {
            for (at, set) in &sets {
                if *at + CACHED >= from && *at < to + GONE_FOR {
                    prop_assert!(set.contains(&kid), "{} is missing at {}", kid, at);
                }
            }
        }
    }
}

#[test]
fn the_set_is_as_receivers_want_it() {
    let world = World::new(START);
    let shard = world.load();
    let key = signing_key(&world, &shard);
    let reply = world.ask(&shard, ask::JWKS, &of(&Root::ALL));
    let kid = "ds_0SdYuSEnjEPNOT7GwZl-NYXKgPTinPu7agzFYINFjQE";
    let expected = format!(
        r#"{{"keys":[{{"alg":"EdDSA","crv":"Ed25519","kid":"{kid}","kty":"OKP","use":"sig","x":"public-1"}}]}}"#
    );
    let document: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(document, serde_json::from_str::<Value>(&expected).unwrap());
    assert_eq!((&*key.kid, &*key.private), (kid, "private-1"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("private"));
}

#[test]
fn whoever_asks_for_the_set_makes_no_key() {
    let world = World::new(START);
    let shard = world.load();
    assert!(published(&world, &shard, &Root::of_project("nobody")).is_empty());
    assert!(content(world.database()).is_empty());
}

#[test]
fn roots_have_keys_of_their_own() {
    let world = World::new(START);
    let shard = world.load();
    let roots = [
        Root::ALL,
        Root::of_project("p"),
        Root::of_project("p2"),
        later(),
    ];
    for root in &roots {
        let key: SigningKey = world.hear(&shard, ask::SIGNING_KEY, &of(root));
        assert_eq!(published(&world, &shard, root), [key.kid]);
    }
}

#[test]
fn a_rotation_overlaps() {
    let world = World::new(START);
    let shard = world.load();
    let first = signing_key(&world, &shard).kid;
    let rotated = rotate(&world, &shard, false);
    assert_eq!(rotated.active_at, START + LEAD);
    // Once more is no more.
    world.pass(1_000);
    assert_eq!(rotate(&world, &shard, false), rotated);
    assert_eq!(published(&world, &shard, &Root::ALL).len(), 2);
    world.pass(LEAD - 1_000 - 10);
    let present = signing_key(&world, &shard);
    assert_eq!((&present.kid, present.good_for), (&first, 10));
    world.pass(10);
    let present = signing_key(&world, &shard);
    assert_eq!((&present.kid, present.good_for), (&rotated.kid, GOOD_FOR));
    world.pass(GONE_FOR - 1);
    assert_eq!(published(&world, &shard, &Root::ALL).len(), 2);
    world.pass(1);
    assert_eq!(published(&world, &shard, &Root::ALL), [rotated.kid]);
    // And the old one is stored no more, once somebody has looked.
    for _ in 0..3 {
        world.pass(GONE_FOR);
        world.ring(&shard);
    }
    assert!(!format!("{:?}", content(world.database())).contains("private-1"));
    assert_eq!((content(world.database()).len(), world.alarm()), (1, None));
}

#[test]
fn a_compromised_key_is_dropped_at_once_with_all_others() {
    let world = World::new(START);
    let shard = world.load();
    signing_key(&world, &shard);
    rotate(&world, &shard, false);
    let rotated = rotate(&world, &shard, true);
    assert_eq!(rotated.active_at, START);
    assert_eq!(published(&world, &shard, &Root::ALL), [&*rotated.kid]);
    assert_eq!(signing_key(&world, &shard).kid, rotated.kid);
    let stored = format!("{:?}", content(world.database()));
    assert!(!stored.contains("private-1") && !stored.contains("private-2"));
}

#[test]
fn the_first_rotation_makes_the_first_key() {
    let world = World::new(START);
    let shard = world.load();
    let rotated = rotate(&world, &shard, false);
    assert_eq!(rotated.active_at, START);
    assert_eq!(signing_key(&world, &shard).kid, rotated.kid);
}

#[test]
fn two_who_need_a_key_at_once_get_the_same() {
    let world = World::new(START);
    let shard = world.load();
    world.let_keys_take(10);
    let question = ask::say(&of(&Root::ALL));
    let both = async {
        let first = shard.answer(ask::SIGNING_KEY, question.as_bytes());
        let second = shard.answer(ask::SIGNING_KEY, question.as_bytes());
        futures_util::future::join(first, second).await
    };
    let (first, second) = world.wait(both);
    assert_eq!(first.status, 200);
    assert_eq!(first.body, second.body);
    assert_eq!(published(&world, &shard, &Root::ALL).len(), 1);

    let question = ask::say(&Rotate {
        root: Root::ALL,
        now: false,
    });
    let both = async {
        let first = shard.answer(ask::ROTATE, question.as_bytes());
        let second = shard.answer(ask::ROTATE, question.as_bytes());
        futures_util::future::join(first, second).await
    };
    let (first, second) = world.wait(both);
    assert_eq!((first.status, first.body), (200, second.body));
    assert_eq!(published(&world, &shard, &Root::ALL).len(), 2);
}

#[test]
fn a_crash_while_a_key_is_made_leaves_nothing() {
    let world = World::new(START);
    let shard = world.load();
    world.let_keys_take(10);
    let question = ask::say(&of(&Root::ALL));
    {
        let mut asked = pin!(shard.answer(ask::SIGNING_KEY, question.as_bytes()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending());
    }
    let shard = world.load();
    world.pass(100);
    assert!(content(world.database()).is_empty());
    let key = signing_key(&world, &shard);
    assert_eq!(signing_key(&world, &world.load()), key);
}

#[test]
fn a_key_that_cannot_be_made_is_asked_for_again() {
    let world = World::new(START);
    let shard = world.load();
    world.let_keys_fail(true);
    let reply = world.ask(&shard, ask::SIGNING_KEY, &of(&Root::ALL));
    assert_eq!(reply.status, 503);
    assert!(world.said().contains("injected"));
    world.let_keys_fail(false);
    signing_key(&world, &shard);
    assert!(!world.said().contains("private"));
}
