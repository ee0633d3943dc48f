//! Who is told of which stream.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::protocol::error::Error;
use crate::protocol::glob::Glob;

fn roots() -> [Root; 4] {
    [
        Root::ALL,
        Root::of_project("p"),
        Root::of_project("q"),
        later(),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Watch(usize, u8, u64, Option<String>),
    Unwatch(usize, u8, u64),
    Register(usize, String),
    /// The object comes into memory anew.
    Load,
}

fn any_step() -> impl Strategy<Value = Step> {
    let pattern = proptest::option::of("([abp]|\\*|\\*\\*)(/([ab]|\\*|\\*\\*)){0,2}");
    prop_oneof![
        2 => (0usize..4, 0u8..3, 1u64..4, pattern)
            .prop_map(|(root, id, n, pattern)| Step::Watch(root, id, n, pattern)),
        1 => (0usize..4, 0u8..3, 1u64..4).prop_map(|(root, id, n)| Step::Unwatch(root, id, n)),
        3 => (0usize..4, "[abp](/[ab]){0,2}").prop_map(|(root, path)| Step::Register(root, path)),
        1 => Just(Step::Load),
    ]
}

proptest! {
    #[test]
    fn a_stream_hears_of_all_whose_pattern_it_matches(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        // By name: the root, the number of the life, and the pattern.
        let mut watching: BTreeMap<String, (Root, u64, Option<String>)> = BTreeMap::new();
        let mut over = Vec::new();
        for step in steps {
            match step {
                Step::Watch(root, id, n, pattern) => {
                    let root = roots()[root].clone();
                    // What a subscription watches never changes.
                    let id = format!("{id}{}", pattern.as_deref().unwrap_or_default());
                    let message = watch(&root, &id, n, pattern.as_deref());
                    shelf.watch(&message).unwrap();
                    let name = message.subscription;
                    let known = watching.get(&name).is_none_or(|(_, known, _)| *known <= n);
                    if known && !over.contains(&(name.clone(), n)) {
                        watching.insert(name, (root, n, pattern));
                    }
                }
                Step::Unwatch(root, id, n) => {
                    let root = roots()[root].clone();
                    let start = root.subscription(&id.to_string());
                    let name = watching.keys().find(|name| name.starts_with(&start)).cloned();
                    let Some(name) = name else { continue };
                    let message = OfSubscription { subscription: name.clone(), life: life(n) };
                    shelf.unwatch(&message, 0).unwrap();
                    watching.retain(|known, (_, number, _)| *known != name || *number != n);
                    over.push((name, n));
                }
                Step::Register(root, path) => {
                    let name = format!("{}{path}", roots()[root].prefix());
                    let told = shelf.register(&register(&name, 1)).unwrap().subscriptions;
                    let matching = watching.iter().filter(|(_, (root, _, pattern))| {
                        let pattern = pattern.as_deref().map(|text| Glob::parse(text).unwrap());
                        let path = root.path_of(&name);
                        pattern.zip(path).is_some_and(|(pattern, path)| pattern.matches(path))
                    });
                    let mut told = told;
                    told.sort();
                    prop_assert_eq!(told, matching.map(|(name, _)| name.clone()).collect::<Vec<_>>());
                }
                Step::Load => shelf = Shelf::new(&database),
            }
        }
    }
}

#[test]
fn a_root_hears_of_what_is_below_it_alone() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    for root in roots() {
        shelf.watch(&watch(&root, "s", 1, Some("**"))).unwrap();
    }
    for (name, told) in [
        ("x", vec!["__ds/subscriptions/s"]),
        (
            "p/x",
            vec!["__ds/subscriptions/s", "p/__ds/subscriptions/s"],
        ),
        ("p2/x", vec!["__ds/subscriptions/s"]),
        (
            "__ds/era/00c0ffee00c0ffee/p/x",
            vec!["__ds/era/00c0ffee00c0ffee/p/__ds/subscriptions/s"],
        ),
        ("__ds/era/00c0ffee00c0ffef/p/x", vec![]),
    ] {
        let registered = shelf.register(&register(name, 1)).unwrap();
        assert_eq!(registered.subscriptions, told, "{name}");
    }
}

#[test]
fn a_stream_that_comes_back_late_is_told_of_nobody() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    shelf.watch(&watch(&Root::ALL, "s", 1, Some("**"))).unwrap();
    shelf.unregister(&unregister("a", 1), 0).unwrap();
    let registered = shelf.register(&register("a", 1)).unwrap();
    assert!(registered.subscriptions.is_empty());
}

#[test]
fn what_cannot_be_watched_is_named() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    let refused = shelf
        .watch(&watch(&Root::ALL, "s", 1, Some("a*")))
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::Invalid {
            field: "pattern",
            ..
        }
    ));
    let mut elsewhere = watch(&Root::ALL, "s", 1, None);
    elsewhere.root = Root::of_project("p");
    let refused = shelf.watch(&elsewhere).unwrap_err();
    assert!(matches!(
        refused,
        Error::Invalid {
            field: "subscription",
            ..
        }
    ));
}
