//! A shard, held against models that are too simple to be wrong.
//!
//! | file | what it knows |
//! |---|---|
//! | [`world`] | the ports of a shard: a clock, an alarm that may fail, keys that take time |
//! | [`lives_tests`] | messages that are doubled, late and out of order |
//! | [`list_tests`] | pages |
//! | [`watch_tests`] | who is told of which stream |
//! | [`key_tests`] | keys over time |
//! | [`alarm_tests`] | what is gone, and is forgotten |
//! | [`registry_tests`] | streams that say which streams came and went |
//! | [`cost_tests`] | rows that are read and written, and a database that fails at any of them |

mod alarm_tests;
mod cost_tests;
mod key_tests;
mod list_tests;
mod lives_tests;
mod registry_tests;
mod watch_tests;
mod world;

use super::records::Records;
use crate::protocol::ask::{Life, List, OfSubscription, Register, Unregister, Watch};
use crate::protocol::root::Root;
use crate::stream::tests::sqlite::Sqlite;

/// What a shard's records are in these tests.
type Shelf<'a> = Records<&'a Sqlite>;

/// The life of this number of a name.
fn life(number: u64) -> Life {
    Life {
        born: number,
        incarnation: format!("i{number}"),
    }
}

fn register(name: &str, number: u64) -> Register {
    Register {
        name: name.to_owned(),
        life: life(number),
        content_type: format!("text/{number}"),
    }
}

fn unregister(name: &str, number: u64) -> Unregister {
    Unregister {
        name: name.to_owned(),
        life: life(number),
    }
}

fn watch(root: &Root, id: &str, number: u64, pattern: Option<&str>) -> Watch {
    Watch {
        subscription: root.subscription(id),
        life: life(number),
        root: root.clone(),
        pattern: pattern.map(str::to_owned),
    }
}

fn unwatch(root: &Root, id: &str, number: u64) -> OfSubscription {
    OfSubscription {
        subscription: root.subscription(id),
        life: life(number),
    }
}

fn page(root: &Root, prefix: &str, after: Option<&str>, limit: usize) -> List {
    List {
        root: root.clone(),
        prefix: prefix.to_owned(),
        after: after.map(str::to_owned),
        limit,
    }
}

/// A project whose name was taken by another one later.
fn later() -> Root {
    Root::of_project("p").in_era(crate::protocol::path::Era::parse("00c0ffee00c0ffee"))
}

/// Everything that is stored.
fn content(database: &Sqlite) -> Vec<Vec<String>> {
    let tables = [
        "SELECT 'stream', name, incarnation, CAST(born AS TEXT), type FROM stream",
        "SELECT 'watch', name, incarnation, CAST(born AS TEXT), ifnull(pattern, '') FROM watch",
        "SELECT 'key', name, private, public, CAST(active_at AS TEXT) FROM key",
        "SELECT 'gone', name, incarnation, CAST(at AS TEXT) FROM gone",
    ];
    tables.iter().flat_map(|sql| database.texts(sql)).collect()
}
