//! Messages that are doubled, late and out of order: whatever comes when, in the end those are there
//! that have not ended.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Streams and subscriptions, by names that lie next to each other in every way.
const PATHS: [&str; 6] = ["a", "p/x", "p/%", "p/_'\"", "p2/x", "p/\u{10ffff}"];
const IDS: [&str; 3] = ["a", "b/c", "\u{e9}"];

#[derive(Clone, Debug)]
enum Message {
    Register(usize, u64),
    Unregister(usize, u64),
    Watch(usize, u64),
    Unwatch(usize, u64),
}

impl Message {
    fn tell(&self, shelf: &mut Shelf, now: u64) {
        let root = Root::of_project("p");
        match *self {
            Self::Register(n, number) => {
                shelf.register(&register(PATHS[n], number)).unwrap();
            }
            Self::Unregister(n, number) => {
                shelf
                    .unregister(&unregister(PATHS[n], number), now)
                    .unwrap();
            }
            Self::Watch(n, number) => {
                shelf
                    .watch(&watch(&root, IDS[n], number, Some("**")))
                    .unwrap();
            }
            Self::Unwatch(n, number) => {
                shelf.unwatch(&unwatch(&root, IDS[n], number), now).unwrap();
            }
        }
    }
}

/// What there is at last: for each stream and subscription, how many lives it had, and whether the
/// last one goes on.
fn any_history() -> impl Strategy<Value = (Vec<(u64, bool)>, Vec<Message>)> {
    let names = PATHS.len() + IDS.len();
    let lives = proptest::collection::vec((0u64..4, any::<bool>()), names);
    let copies = proptest::collection::vec(1usize..3, 8 * names);
    (lives, copies).prop_flat_map(|(lives, copies)| {
        let mut messages = Vec::new();
        let mut copies = copies.into_iter();
        for (n, (count, goes_on)) in lives.iter().enumerate() {
            for number in 1..=*count {
                let is_over = number < *count || !goes_on;
                let (begins, ends) = match n.checked_sub(PATHS.len()) {
                    None => (Message::Register(n, number), Message::Unregister(n, number)),
                    Some(n) => (Message::Watch(n, number), Message::Unwatch(n, number)),
                };
                let times = copies.next().unwrap();
                messages.extend(std::iter::repeat_n(begins, times));
                let times = if is_over { copies.next().unwrap() } else { 0 };
                messages.extend(std::iter::repeat_n(ends, times));
            }
        }
        (Just(lives), Just(messages).prop_shuffle())
    })
}

/// Who is there, by name: the number of the life.
fn there(database: &Sqlite) -> BTreeMap<String, u64> {
    let sql = "SELECT name, CAST(born AS TEXT) FROM stream \
               UNION ALL SELECT name, CAST(born AS TEXT) FROM watch";
    let rows = database.texts(sql).into_iter();
    rows.map(|row| (row[0].clone(), row[1].parse().unwrap()))
        .collect()
}

proptest! {
    #[test]
    fn in_the_end_those_are_there_that_have_not_ended((lives, messages) in any_history()) {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        let mut over = BTreeSet::new();
        shelf.list(&page(&Root::ALL, "", None, 1)).unwrap();
        for (now, message) in messages.iter().enumerate() {
            message.tell(&mut shelf, now as u64);
            let root = Root::of_project("p");
            match *message {
                Message::Unregister(n, number) => over.insert((PATHS[n].to_owned(), number)),
                Message::Unwatch(n, number) => over.insert((root.subscription(IDS[n]), number)),
                _ => false,
            };
            for one in there(&database) {
                prop_assert!(!over.contains(&one), "{:?} came back", one);
            }
        }
        let names = PATHS.iter().map(|path| (*path).to_owned());
        let names = names.chain(IDS.map(|id| Root::of_project("p").subscription(id)));
        let last: BTreeMap<String, u64> = names
            .zip(&lives)
            .filter(|(_, (count, goes_on))| *count > 0 && *goes_on)
            .map(|(name, (count, _))| (name, *count))
            .collect();
        prop_assert_eq!(there(&database), last);
    }
}

#[test]
fn the_younger_stays_until_it_ends_itself() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    shelf.register(&register("a", 2)).unwrap();
    shelf.register(&register("a", 1)).unwrap();
    shelf.unregister(&unregister("a", 1), 0).unwrap();
    assert_eq!(there(&database), BTreeMap::from([("a".to_owned(), 2)]));
    shelf.unregister(&unregister("a", 2), 0).unwrap();
    shelf.register(&register("a", 2)).unwrap();
    shelf.register(&register("a", 1)).unwrap();
    assert_eq!(there(&database), BTreeMap::new());
    shelf.register(&register("a", 3)).unwrap();
    assert_eq!(there(&database), BTreeMap::from([("a".to_owned(), 3)]));
}

#[test]
fn of_two_that_were_made_in_the_same_moment_the_later_message_counts() {
    let database = Sqlite::new();
    let mut shelf = Shelf::new(&database);
    let mut other = register("a", 1);
    other.life.incarnation = "other".into();
    shelf.register(&register("a", 1)).unwrap();
    shelf.register(&other).unwrap();
    shelf.unregister(&unregister("a", 1), 0).unwrap();
    let listed = shelf.list(&page(&Root::ALL, "", None, 9)).unwrap().streams;
    assert_eq!(listed[0].life, other.life);
}
