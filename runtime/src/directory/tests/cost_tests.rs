//! Rows that are read and written, and a database that fails at any statement.

use super::world::World;
use super::*;
use crate::protocol::ask;
use crate::protocol::error::Error;
use crate::stream::storage::{Statement, Storage};
use serde_json::Value;

/// Rows read, rows written and statements.
fn cost(database: &Sqlite, work: impl FnOnce()) -> (u64, u64, u64) {
    let look = || {
        (
            database.read.get(),
            database.written.get(),
            database.statements.get(),
        )
    };
    let before = look();
    work();
    let after = look();
    (after.0 - before.0, after.1 - before.1, after.2 - before.2)
}

fn filled(database: &Sqlite) -> Shelf<'_> {
    let mut shelf = Shelf::new(database);
    for n in 0..3_000 {
        for place in ["p/", "p2/", &later().prefix()] {
            shelf
                .register(&register(&format!("{place}{n:05}"), 1))
                .unwrap();
        }
        shelf
            .unregister(&unregister(&format!("p/{n:05}"), 0), 0)
            .unwrap();
    }
    shelf.watch(&watch(&Root::ALL, "s", 1, Some("**"))).unwrap();
    shelf.register(&register("p/x", 1)).unwrap();
    shelf
}

#[test]
fn a_registration_is_one_row() {
    let database = Sqlite::new();
    let mut shelf = filled(&database);
    let mut register = |name, number| {
        let message = register(name, number);
        cost(&database, || drop(shelf.register(&message).unwrap()))
    };
    assert_eq!(register("p/new", 1), (0, 1, 2));
    // The same again: it is looked up.
    assert_eq!(register("p/new", 1), (1, 0, 1));
    assert_eq!(register("p/new", 2), (1, 1, 2));
    let end = unregister("p/new", 2);
    let ended = cost(&database, || shelf.unregister(&end, 0).unwrap());
    assert_eq!(ended, (0, 2, 2));
    let again = cost(&database, || shelf.unregister(&end, 0).unwrap());
    assert_eq!(again.1, 0);
}

#[test]
fn a_subscription_is_one_row() {
    let database = Sqlite::new();
    let mut shelf = filled(&database);
    let message = watch(&Root::ALL, "new", 1, Some("a/*"));
    let mut watch = || cost(&database, || shelf.watch(&message).unwrap());
    assert_eq!(watch(), (0, 1, 2));
    assert_eq!(watch(), (1, 0, 1));
}

#[test]
fn a_list_reads_what_it_tells_of() {
    let database = Sqlite::new();
    let mut shelf = filled(&database);
    let project = Root::of_project("p");
    for (root, prefix, after, limit, most) in [
        (&project, "", None, 100, 101),
        (&project, "0", Some("02000"), 1_000, 1_001),
        (&project, "0299", None, 1_000, 12),
        (&project, "nothing", None, 1_000, 2),
        (&later(), "", None, 10, 11),
        // Those of eras lie in between, and none of them is read.
        (&Root::ALL, "", None, 10, 12),
        (&Root::ALL, "__ds", None, 10, 2),
        (&Root::ALL, "", Some("p/02995"), 10, 12),
    ] {
        let list = page(root, prefix, after, limit);
        let (read, written, _) = cost(&database, || drop(shelf.list(&list).unwrap()));
        assert!(read <= most && written == 0, "{list:?}: {read}");
    }
}

#[test]
fn patterns_are_read_once() {
    let database = Sqlite::new();
    let mut shelf = filled(&database);
    for n in 0..100 {
        let message = watch(&Root::of_project("p"), &n.to_string(), 1, Some("**"));
        shelf.watch(&message).unwrap();
    }
    for (name, most) in [("p/1", 0), ("q/1", 0), ("p2/1", 0)] {
        let message = register(name, 1);
        let (read, _, _) = cost(&database, || drop(shelf.register(&message).unwrap()));
        assert!(read <= most, "{name}: {read}");
    }
    let mut shelf = Shelf::new(&database);
    shelf.register(&register("p/2", 1)).unwrap();
    let message = register("p/3", 1);
    let (read, _, _) = cost(&database, || drop(shelf.register(&message).unwrap()));
    assert_eq!(read, 0);
}

/// Does something over a database that fails at each statement in turn: nothing is left half done,
/// and then it works.
fn at_each_statement(prepare: impl Fn(&mut Shelf), work: impl Fn(&mut Shelf) -> Result<(), Error>) {
    let database = Sqlite::new();
    let mut whole = Shelf::new(&database);
    prepare(&mut whole);
    work(&mut whole).unwrap();
    let expected = content(&database);
    for statements in 0.. {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        prepare(&mut shelf);
        let before = content(&database);
        database.fail_after(statements);
        let outcome = work(&mut shelf);
        if !database.heal() {
            assert!(outcome.is_ok() && statements > 0);
            return;
        }
        if outcome.is_err() {
            assert_eq!(content(&database), before);
        }
        // Whoever hears of no answer says it again.
        work(&mut shelf).unwrap();
        assert_eq!(content(&database), expected);
        let told = |shelf: &mut Shelf| shelf.register(&register("p/told", 1)).unwrap();
        assert_eq!(told(&mut shelf), told(&mut Shelf::new(&database)));
    }
}

#[test]
fn a_database_that_fails_leaves_nothing_half_done() {
    let root = Root::of_project("p");
    let filled = |shelf: &mut Shelf| {
        shelf.register(&register("p/x", 1)).unwrap();
        let message = watch(&Root::of_project("p"), "s", 1, Some("**"));
        shelf.watch(&message).unwrap();
        shelf.register(&register("p/y", 1)).unwrap();
    };
    at_each_statement(filled, |shelf| {
        shelf.register(&register("p/x", 2)).map(drop)
    });
    at_each_statement(filled, |shelf| shelf.unregister(&unregister("p/x", 1), 7));
    at_each_statement(filled, |shelf| shelf.unwatch(&unwatch(&root, "s", 1), 7));
    at_each_statement(filled, |shelf| {
        shelf.watch(&watch(&root, "t", 1, Some("told")))
    });
    at_each_statement(filled, |shelf| shelf.watch(&watch(&root, "s", 2, None)));
    let pair = |n: u32| crate::machine::KeyPair {
        private: format!("private-{n}"),
        public: format!("public-{n}"),
    };
    let keyed = |shelf: &mut Shelf| {
        filled(shelf);
        shelf.first_key(&Root::ALL, pair(1), 5).unwrap();
    };
    at_each_statement(filled, |shelf| shelf.first_key(&Root::ALL, pair(1), 5));
    at_each_statement(keyed, |shelf| {
        shelf.next_key(&Root::ALL, pair(2), 5).map(drop)
    });
    at_each_statement(keyed, |shelf| {
        shelf.only_key(&Root::ALL, pair(2), 5).map(drop)
    });
}

#[test]
fn a_shard_that_is_made_when_its_database_fails_is_made_later() {
    for statements in 0..6 {
        let database = Sqlite::new();
        let mut shelf = Shelf::new(&database);
        database.fail_after(statements);
        shelf.list(&page(&Root::ALL, "", None, 1)).unwrap_err();
        database.heal();
        shelf.register(&register("a", 1)).unwrap();
        assert_eq!(content(&database).len(), 1);
    }
}

#[test]
fn what_a_newer_release_has_made_is_neither_read_nor_written() {
    for table in ["stream", "watch", "key", "gone"] {
        let world = World::new(1_764_000_000_000);
        let sql = format!("CREATE TABLE {table} (/*{{\"v\":2}}*/ something TEXT)");
        let params = Vec::new();
        world
            .database()
            .write(&[Statement { sql: &sql, params }])
            .unwrap();
        let shard = world.load();
        let of_root = ask::OfRoot { root: Root::ALL };
        let rotate = ask::Rotate {
            root: Root::ALL,
            now: true,
        };
        let list = page(&Root::ALL, "", None, 1);
        let name = "a";
        let replies = [
            world.ask(&shard, ask::REGISTER, &register(name, 1)),
            world.ask(&shard, ask::UNREGISTER, &unregister(name, 1)),
            world.ask(&shard, ask::WATCH, &watch(&Root::ALL, name, 1, None)),
            world.ask(&shard, ask::UNWATCH, &unwatch(&Root::ALL, name, 1)),
            world.ask(&shard, ask::LIST, &list),
            world.ask(&shard, ask::SUBSCRIPTIONS, &list),
            world.ask(&shard, ask::JWKS, &of_root),
            world.ask(&shard, ask::SIGNING_KEY, &of_root),
            world.ask(&shard, ask::ROTATE, &rotate),
        ];
        assert!(replies.iter().all(|reply| reply.status == 503));
        assert!(world.said().contains("of version 2"));
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
        assert_eq!(world.database().texts(tables), [[table]]);
    }
}

#[test]
fn what_is_no_question_is_refused() {
    let world = World::new(0);
    let shard = world.load();
    let ask = |question: &str, body: &str| {
        let reply = world.wait(shard.answer(question, body.as_bytes()));
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        (reply.status, said["error"]["code"].clone())
    };
    assert_eq!(ask("dance", "{}").0, 404);
    for question in [ask::REGISTER, ask::WATCH, ask::LIST, ask::ROTATE] {
        assert_eq!(ask(question, "{}").0, 400);
        assert_eq!(ask(question, "[").0, 400);
        assert_eq!(ask(question, r#"{"v":99}"#).0, 503);
    }
}
