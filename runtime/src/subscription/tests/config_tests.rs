//! What clients ask for, and how it is stored.

use std::ops::ControlFlow;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::HOOK;
use crate::protocol::ask::Life;
use crate::protocol::error::Error;
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::{Storage, StorageError};
use crate::stream::tests::sqlite::Sqlite;
use crate::subscription::config::{Config, Delivery, Wanted};
use crate::subscription::copy::{Copying, From};
use crate::subscription::links::{self, Link, Refusal};
use crate::subscription::record::{
    self, Backfill, Failing, Farewell, Key, Record, Stage, Target, Wake, decode, encode,
};

fn parse(body: &Value) -> Result<Wanted, Error> {
    Wanted::parse(&body.to_string(), &Root::of_project("p"))
}

fn wanted() -> Value {
    json!({
        "type": "webhook", "pattern": "events/*", "streams": ["a", "b/c"],
        "webhook": { "url": HOOK }, "lease_ttl_ms": 5000, "description": "d",
    })
}

#[test]
fn what_means_the_same_has_the_same_hash() {
    let hash = parse(&wanted()).unwrap().hash;
    let same = |name: &str, value: Value| {
        let mut body = wanted();
        body[name] = value;
        parse(&body).unwrap().hash == hash
    };
    assert!(same("pattern", json!("/events/*/")));
    assert!(same("streams", json!(["/b/c", "a", "a/", "b/c"])));
    assert!(same("wake_stream", Value::Null));
    assert!(same("wake_stream", json!("of/another/type")));
    assert!(!same("pattern", json!("events/**")));
    assert!(!same("pattern", Value::Null));
    assert!(!same("streams", json!(["a"])));
    assert!(!same("webhook", json!({ "url": "https://other.example/" })));
    assert!(!same("lease_ttl_ms", json!(5001)));
    assert!(!same("description", json!("e")));
    let pull = json!({ "type": "pull-wake", "streams": ["a"], "wake_stream": "w" });
    let parsed = parse(&pull).unwrap();
    assert_eq!(parsed.config.lease_ttl_ms, 30_000);
    assert_eq!(parsed.config.delivery, Delivery::PullWake("w".into()));
}

#[test]
fn what_is_wrong_is_named() {
    for (name, value, field) in [
        ("type", json!("email"), "type"),
        ("type", json!(1), "type"),
        ("type", Value::Null, "type"),
        ("type", json!("pull-wake"), "wake_stream"),
        ("pattern", json!("a*"), "pattern"),
        ("pattern", json!(["a"]), "pattern"),
        ("streams", json!("a"), "streams"),
        ("streams", json!(["a", 1]), "streams[1]"),
        ("streams", json!(["a", ""]), "streams[1]"),
        ("streams", json!(["a//b"]), "streams[0]"),
        ("streams", json!(["__ds/x"]), "streams[0]"),
        ("webhook", json!(HOOK), "webhook"),
        ("webhook", Value::Null, "webhook.url"),
        ("webhook", json!({}), "webhook.url"),
        ("webhook", json!({ "url": 1 }), "webhook.url"),
        (
            "webhook",
            json!({ "url": HOOK, "secret": "x" }),
            "webhook.secret",
        ),
        ("wake_stream", json!(1), "wake_stream"),
        ("wake_stream", json!("../x"), "wake_stream"),
        ("lease_ttl_ms", json!(999), "lease_ttl_ms"),
        ("lease_ttl_ms", json!(600_001), "lease_ttl_ms"),
        ("lease_ttl_ms", json!(1000.5), "lease_ttl_ms"),
        ("lease_ttl_ms", json!("5000"), "lease_ttl_ms"),
        ("description", json!("x".repeat(1025)), "description"),
        ("description", json!({}), "description"),
        ("patern", json!("a"), "patern"),
    ] {
        let mut body = wanted();
        body[name] = value;
        match parse(&body) {
            Err(Error::Subscription(SubscriptionError::Invalid { field: found, .. })) => {
                assert_eq!(found, field);
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    let mut body = wanted();
    body["pattern"] = json!("");
    body["streams"] = json!([]);
    parse(&body).unwrap_err();
    let root = Root::ALL;
    for body in ["[]", "{", "1", ""] {
        Wanted::parse(body, &root).unwrap_err();
    }
    let long = Wanted::parse(&" ".repeat(65_537), &root);
    assert_eq!(long, Err(Error::TooLarge { limit: 65_536 }));
}

#[test]
fn what_is_asked_of_a_copy_is_read() {
    let body = json!({ "type": "copy", "target_stream": "/inbox/7/", "streams": ["a"] });
    let of = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        parse(&body)
    };
    let wanted = parse(&body).unwrap();
    assert_eq!(
        wanted.config.delivery,
        Delivery::Copy(Copying {
            target: "inbox/7".into(),
            from: From::Now,
            envelope: false,
        })
    );
    for (name, value) in [
        ("from", json!("now")),
        ("from", Value::Null),
        ("envelope", json!(false)),
        ("target_stream", json!("inbox/7")),
        ("webhook", Value::Null),
        ("lease_ttl_ms", Value::Null),
    ] {
        assert_eq!(of(name, value).unwrap().hash, wanted.hash, "{name}");
    }
    for (name, value) in [
        ("from", json!("start")),
        ("envelope", json!(true)),
        ("target_stream", json!("inbox/8")),
        ("pattern", json!("x/*")),
        ("description", json!("d")),
    ] {
        assert_ne!(of(name, value).unwrap().hash, wanted.hash, "{name}");
    }
    for (name, value, field) in [
        ("target_stream", Value::Null, "target_stream"),
        ("target_stream", json!(""), "target_stream"),
        ("target_stream", json!("a//b"), "target_stream"),
        ("target_stream", json!("__ds/x"), "target_stream"),
        ("target_stream", json!(["a"]), "target_stream"),
        ("target_stream", json!("a"), "streams"),
        ("streams", Value::Null, "pattern"),
        ("from", json!("tail"), "from"),
        ("from", json!(0), "from"),
        ("envelope", json!("true"), "envelope"),
        ("webhook", json!({ "url": HOOK }), "webhook"),
        ("wake_stream", json!("w"), "wake_stream"),
        ("lease_ttl_ms", json!(5000), "lease_ttl_ms"),
        ("target", json!("x"), "target"),
    ] {
        match of(name, value) {
            Err(Error::Subscription(SubscriptionError::Invalid { field: found, .. })) => {
                assert_eq!(found, field, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    for (name, value) in [
        ("target_stream", json!("x")),
        ("from", json!("now")),
        ("envelope", json!(false)),
    ] {
        for kind in ["webhook", "pull-wake"] {
            let mut other = self::wanted();
            other["type"] = json!(kind);
            other["wake_stream"] = json!("w");
            other[name] = value.clone();
            let refused = parse(&other).unwrap_err().to_string();
            assert!(refused.starts_with(name), "{refused}");
        }
    }
}

#[test]
fn links_of_older_releases_are_read() {
    let database = Sqlite::new();
    let storage = &&database;
    let rows = "INSERT INTO link VALUES ('a', 1, 3, 5, 'i', 7), ('b', 0, 9, 0, NULL, 8)";
    for sql in [links::CREATE, rows] {
        let made = crate::stream::storage::Statement {
            sql,
            params: vec![],
        };
        storage.write(&[made]).unwrap();
    }
    let named = Link {
        acked: 3,
        tail: Some(5),
        incarnation: Some("i".into()),
        born: Some(7),
        ..Link::named()
    };
    assert_eq!(links::get(storage, "a"), Ok(Some(named)));
    assert_eq!(links::get(storage, "b"), Ok(Some(Link::gone(8, 9))));
    assert_eq!(links::stale(storage, 9, 5), Ok(vec!["b".to_owned()]));
}

fn config() -> impl Strategy<Value = Config> {
    let delivery = prop_oneof![
        "\\PC{1,9}".prop_map(Delivery::Webhook),
        "\\PC{1,9}".prop_map(Delivery::PullWake),
        ("\\PC{1,9}", any::<bool>(), any::<bool>()).prop_map(|(target, is_all, envelope)| {
            let from = if is_all { From::Start } else { From::Now };
            Delivery::Copy(Copying {
                target,
                from,
                envelope,
            })
        }),
    ];
    let pattern = proptest::option::of("\\PC{1,9}");
    let description = proptest::option::of("\\PC{0,9}");
    (delivery, pattern, 1000u64..600_000, description).prop_map(
        |(delivery, pattern, lease_ttl_ms, description)| Config {
            delivery,
            pattern,
            lease_ttl_ms,
            description,
        },
    )
}

fn wake() -> impl Strategy<Value = Wake> {
    let stage = prop_oneof![
        any::<u64>().prop_map(|at| Stage::Due { at }),
        (any::<u64>(), proptest::option::of("\\PC{0,9}"))
            .prop_map(|(until, holder)| Stage::Held { until, holder }),
        Just(Stage::Parked),
    ];
    ("\\PC{1,9}", any::<u32>(), stage).prop_map(|(path, told, stage)| Wake { path, told, stage })
}

fn life() -> impl Strategy<Value = Life> {
    (any::<u64>(), "\\PC{1,9}").prop_map(|(born, incarnation)| Life { born, incarnation })
}

fn backfill() -> impl Strategy<Value = Backfill> {
    prop_oneof![
        Just(Backfill::Feed),
        Just(Backfill::Watch),
        Just(Backfill::Place),
        (any::<u32>(), proptest::option::of("\\PC{0,9}"))
            .prop_map(|(shard, after)| Backfill::List { shard, after }),
        Just(Backfill::Complete),
    ]
}

proptest! {
    #[test]
    fn records_round_trip(
        (config, life, wake, backfill) in (config(), life(), proptest::option::of(wake()), backfill()),
        (hash, id, base) in ("[0-9a-f]{64}", "\\PC{1,9}", "\\PC{1,9}"),
        keys: (u128, u128),
        (generation, linked, shards) in any::<(u64, u64, u32)>(),
        failing in proptest::option::of((any::<u64>(), any::<u32>(), "\\PC{0,9}")),
        project in proptest::option::of("[a-z]{1,9}"),
        (target, parked) in (
            proptest::option::of((self::life(), "\\PC{1,9}")),
            proptest::option::of("\\PC{1,9}"),
        ),
    ) {
        let failing = failing.map(|(since, attempts, error)| Failing { since, attempts, error });
        let target = target.map(|(life, content_type)| Target { life, content_type });
        let root = project.map_or(Root::ALL, |project| Root::of_project(&project));
        let key = Key::new(keys.0, keys.1);
        let record = Record {
            config, hash, root, id, base, life, key, generation, wake, failing, shards, backfill,
            linked, target, parked,
        };
        prop_assert_eq!(decode::<Record>(&encode(&record)), Ok(record));
    }

    #[test]
    fn what_is_left_round_trips(name in "\\PC{1,9}", life in life(), shards: Vec<u32>, target: Option<String>) {
        let farewell = Farewell { name, life, shards, target };
        prop_assert_eq!(decode::<Farewell>(&encode(&farewell)), Ok(farewell));
    }

    #[test]
    fn links_round_trip(
        path in "\\PC{1,9}",
        explicit: bool,
        (acked, tail) in (0u64..1 << 50, proptest::option::of(0u64..1 << 50)),
        (incarnation, born) in (proptest::option::of("\\PC{1,9}"), proptest::option::of(0u64..1 << 50)),
        refused in proptest::option::of(prop_oneof![
            Just(Refusal::IsTarget),
            "[a-z/;= ]{1,20}".prop_map(Refusal::IsOfType),
        ]),
    ) {
        let refused = incarnation.as_ref().and(refused);
        let link = Link { explicit, acked, tail, incarnation, born, refused };
        let database = Sqlite::new();
        let storage = &&database;
        let made = crate::stream::storage::Statement { sql: links::CREATE, params: vec![] };
        storage.write(&[made, links::put(&path, Some(&link))]).unwrap();
        prop_assert_eq!(links::get(storage, &path), Ok(Some(link)));
        storage.write(&[links::put(&path, None)]).unwrap();
        prop_assert_eq!(links::get(storage, &path), Ok(None));
    }
}

#[test]
fn what_is_newer_or_malformed_is_refused() {
    assert!(matches!(
        decode::<Record>(b"{\"v\":3}"),
        Err(StorageError::Newer(_))
    ));
    assert!(matches!(
        decode::<Record>(b"{}"),
        Err(StorageError::Failed(_))
    ));
    let database = Sqlite::new();
    let storage = &&database;
    let made = crate::stream::storage::Statement {
        sql: record::CREATE,
        params: vec![],
    };
    storage
        .write(&[made, record::put(record::ROW_ID, b"{\"v\":3}")])
        .unwrap();
    let mut core = crate::subscription::core::Core::new(*storage);
    assert!(matches!(core.look(0), Err(Error::Newer(_))));
    let mut rows = 0;
    let count = &mut |_: &dyn crate::stream::storage::Row| {
        rows += 1;
        ControlFlow::Continue(())
    };
    storage.query(record::SELECT, &[], count).unwrap();
    assert_eq!(rows, 1);
}
