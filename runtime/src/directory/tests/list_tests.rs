//! Pages, held against a sorted map.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::directory::list::MOST;

/// Names of streams' objects: of all roots, and with everything that means something to a database.
fn any_name() -> impl Strategy<Value = String> {
    let path = "[ab%_'\"\u{e9}\u{d7ff}\u{e000}\u{10ffff}]{1,2}(/[ab%_'\u{10ffff}]{1,2}){0,2}";
    let place = prop_oneof![
        Just(String::new()),
        Just("p/".to_owned()),
        Just("p2/".to_owned()),
        Just("__dt/".to_owned()),
        Just("__ds".to_owned()),
        Just(later().prefix()),
    ];
    (place, path).prop_map(|(place, path)| place + &path)
}

fn any_root() -> impl Strategy<Value = Root> {
    prop_oneof![
        Just(Root::ALL),
        Just(Root::of_project("p")),
        Just(Root::of_project("p2")),
        Just(Root::of_project("\u{10ffff}")),
        Just(later()),
    ]
}

proptest! {
    #[test]
    fn a_list_is_what_a_sorted_map_has(
        names in proptest::collection::btree_set(any_name(), 0..30),
        root in any_root(),
        prefix in "[ab%_'\u{e9}\u{10ffff}]{0,2}|[ab]/|p/|__d|__ds|__ds/e",
        after in proptest::option::of("[ab%_'\u{10ffff}p]{0,2}(/[ab]{1,2})?|__ds/era/x"),
        limit in 0usize..8,
    ) {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        for name in &names {
            shelf.register(&register(name, 1)).unwrap();
        }
        let listed = shelf.list(&page(&root, &prefix, after.as_deref(), limit)).unwrap();
        let paths: Vec<String> = listed.streams.into_iter().map(|entry| entry.path).collect();
        let all: BTreeSet<&str> = names.iter().filter_map(|name| root.path_of(name)).collect();
        let wanted = all
            .into_iter()
            .filter(|path| path.starts_with(&prefix))
            .filter(|path| after.as_deref().is_none_or(|after| *path > after))
            .take(limit.max(1));
        prop_assert_eq!(paths, wanted.collect::<Vec<_>>());
    }

    #[test]
    fn pages_joined_are_everything(
        names in proptest::collection::btree_set(any_name(), 0..30),
        root in any_root(),
        limit in 1usize..5,
    ) {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        for name in &names {
            shelf.register(&register(name, 1)).unwrap();
            shelf.watch(&watch(&root, name, 1, None)).unwrap();
        }
        let (mut paths, mut ids) = (Vec::new(), Vec::new());
        loop {
            let list = page(&root, "", paths.last().map(String::as_str), limit);
            let listed = shelf.list(&list).unwrap().streams;
            let is_last = listed.len() < limit;
            paths.extend(listed.into_iter().map(|entry| entry.path));
            if is_last {
                break;
            }
        }
        loop {
            let list = page(&root, "", ids.last().map(String::as_str), limit);
            let listed = shelf.subscriptions(&list).unwrap().ids;
            let is_last = listed.len() < limit;
            ids.extend(listed);
            if is_last {
                break;
            }
        }
        let all: BTreeSet<&str> = names.iter().filter_map(|name| root.path_of(name)).collect();
        prop_assert_eq!(paths, all.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(ids, names.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn an_entry_says_what_is_known() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    let born = 1_764_000_000_123;
    shelf.register(&register("p/x", born)).unwrap();
    let root = Root::of_project("p");
    let listed = shelf.list(&page(&root, "", None, 1)).unwrap().streams;
    assert_eq!(listed[0].path, "x");
    assert_eq!(listed[0].life, life(born));
    assert_eq!(listed[0].content_type, format!("text/{born}"));
}

#[test]
fn a_project_lists_no_other() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    let (first, other) = (Root::of_project("p"), Root::of_project("p2"));
    for root in [&Root::ALL, &first, &other, &later()] {
        let name = format!("{}x", root.prefix());
        shelf.register(&register(&name, 1)).unwrap();
        shelf.watch(&watch(root, "s", 1, None)).unwrap();
    }
    for root in [&first, &other, &later()] {
        let listed = shelf.list(&page(root, "", None, 9)).unwrap().streams;
        assert_eq!((listed.len(), &*listed[0].path), (1, "x"));
        let ids = shelf.subscriptions(&page(root, "", None, 9)).unwrap().ids;
        assert_eq!(ids, ["s"]);
    }
    let listed = shelf.list(&page(&Root::ALL, "", None, 9)).unwrap().streams;
    let paths: Vec<_> = listed.iter().map(|entry| &*entry.path).collect();
    assert_eq!(paths, ["p/x", "p2/x", "x"]);
    let ids = shelf.subscriptions(&page(&Root::ALL, "", None, 9));
    assert_eq!(ids.unwrap().ids, ["s"]);
}

#[test]
fn a_page_has_a_thousand_and_the_one_behind_it() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    for n in 0..MOST + 9 {
        shelf.register(&register(&format!("{n:05}"), 1)).unwrap();
    }
    let list = page(&Root::ALL, "", None, usize::MAX);
    assert_eq!(shelf.list(&list).unwrap().streams.len(), 1_001);
}
