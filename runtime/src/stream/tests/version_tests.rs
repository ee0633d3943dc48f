//! What a newer release has stored is refused by everything that looks at it, and nothing is
//! changed: the newer release finds it as it was.

use super::KEY;
use super::sqlite::Sqlite;
use crate::protocol::ask::{Copy, Interest, Life, OfSubscription};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::producer::Claim;
use crate::protocol::request::{Append, Create, Read, ReadFrom};
use crate::protocol::retention::Retention;
use crate::protocol::truncate::Truncate;
use crate::protocol::version::STORED;
use crate::stream::Stream;
use crate::stream::birth::{self, Birth, Name};
use crate::stream::family::lend;
use crate::stream::storage::{Param, Statement, Storage};
use crate::stream::tier::upkeep::{Abilities, Limits};

const LIMITS: Limits = Limits {
    max_messages: 1,
    max_bytes: 1,
    merge_bytes: 1,
};
const ABLE: Abilities = Abilities {
    bucket: true,
    limits: Some(LIMITS),
};

fn bytes() -> ContentType {
    ContentType::parse("a/b").unwrap()
}

fn name() -> Name {
    Name {
        path: "a".into(),
        incarnation: "1".into(),
    }
}

fn life() -> Life {
    Life {
        born: 0,
        incarnation: "1".into(),
    }
}

fn creation() -> Create {
    Create {
        content_type: Some(bytes()),
        expiry: None,
        closed: false,
        public: false,
        fork: None,
        retention: None,
        will: None,
    }
}

fn append(producer: Option<&str>) -> Append {
    let claim = |id: &str| Claim {
        id: id.into(),
        epoch: 0,
        seq: 0,
    };
    Append {
        content_type: Some(bytes()),
        close: false,
        producer: producer.map(claim),
        seq: None,
        if_match: None,
    }
}

fn read() -> Read {
    Read {
        from: ReadFrom::Start,
        live: None,
        cursor: None,
        if_none_match: None,
    }
}

/// A stream with some data, a producer and a state record.
fn filled(database: &Sqlite) {
    let mut stream = Stream::new(database);
    stream
        .create(&creation(), None, b"one", name(), KEY, 0)
        .unwrap();
    stream.append(&append(Some("p")), b"two", 0).unwrap();
    run(
        database,
        "INSERT INTO stream (id, count, body) VALUES (-1, 0, ?1)",
        &[Param::Blob(b"{}")],
    );
}

fn run(database: &Sqlite, sql: &str, params: &[Param]) {
    let params = params.to_vec();
    Storage::write(&database, &[Statement { sql, params }]).unwrap();
}

/// Makes the birth record state a version.
fn state_in_birth_record(database: &Sqlite, version: u32) {
    let stated = |version: u32| format!("\"v\":{version}");
    run(database, "PRAGMA writable_schema = ON", &[]);
    // Streams state the lowest version that is enough.
    for known in [2, STORED, STORED + 1] {
        let sql = "UPDATE sqlite_master SET sql = replace(sql, ?1, ?2) WHERE name = 'stream'";
        let (old, new) = (stated(known), stated(version));
        run(database, sql, &[Param::Text(&old), Param::Text(&new)]);
    }
    run(database, "PRAGMA writable_schema = RESET", &[]);
}

fn state_in_state_record(database: &Sqlite, version: u32) {
    let record = format!("{{\"v\":{version},\"unheard\":[\"of\"]}}");
    let body = Param::Blob(record.as_bytes());
    run(
        database,
        "UPDATE stream SET body = ?1 WHERE id = -1",
        &[body],
    );
}

fn state_in_bucket(database: &Sqlite, version: u32) {
    let sql = "UPDATE stream SET body = CAST(?1 || substr(body, 2) AS BLOB) \
        WHERE id BETWEEN -4097 AND -2";
    let version = [u8::try_from(version).unwrap()];
    run(database, sql, &[Param::Blob(&version)]);
}

/// Everything in the database.
fn content(database: &Sqlite) -> Vec<(i64, Vec<u8>)> {
    let mut content = Vec::new();
    for sql in [
        "SELECT rootpage, CAST(coalesce(sql, '') AS BLOB) FROM sqlite_master ORDER BY name",
        "SELECT id, body FROM stream ORDER BY id",
    ] {
        Storage::query(&database, sql, &[], &mut |row| {
            content.push((row.integer(0), row.blob(1).to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    content
}

type Verb = fn(&mut Stream<&Sqlite>) -> Result<(), Error>;

/// Everything that can be asked of a stream.
const VERBS: [(&str, Verb); 24] = [
    ("create", |s| {
        s.create(&creation(), None, b"", name(), KEY, 0).map(drop)
    }),
    ("find", |s| s.find(&creation(), 0).map(drop)),
    ("append", |s| s.append(&append(None), b"x", 0).map(drop)),
    ("append as a producer", |s| {
        s.append(&append(Some("q")), b"x", 0).map(drop)
    }),
    ("truncate", |s| {
        let cut = Truncate {
            before: Offset::START,
            if_match: None,
        };
        s.truncate(&cut, 0).map(drop)
    }),
    ("may_drop", |s| s.may_drop(0).map(drop)),
    ("read", |s| s.read(&read(), 100, 0).map(drop)),
    ("news", |s| s.news(Offset::START, 100, 0).map(drop)),
    ("head", |s| s.head(0).map(drop)),
    ("delete", |s| s.delete(0).map(drop)),
    ("expire", |s| s.expire(u64::MAX).map(drop)),
    ("require_public", |s| s.require_public(0)),
    ("is_called", |s| s.is_called(&name()).map(drop)),
    ("lend", |s| {
        let claim = lend::Claim {
            fork: name(),
            content_type: None,
            offset: None,
            sub_offset: 0,
        };
        s.lend(&claim, 0).map(drop)
    }),
    ("link", |s| s.link("s", Interest::Wakes).map(drop)),
    ("unlink", |s| s.unlink("s", None).map(drop)),
    ("links", |s| s.links().map(drop)),
    ("feed", |s| {
        let (subscription, life) = ("s".into(), life());
        s.feed(&OfSubscription { subscription, life }, 0).map(drop)
    }),
    ("unfeed", |s| {
        let (subscription, life) = ("s".into(), life());
        s.unfeed(&OfSubscription { subscription, life }, 0)
            .map(drop)
    }),
    ("copy", |s| {
        let copy = Copy {
            subscription: "s".into(),
            life: life(),
            target: life(),
            parts: Vec::new(),
        };
        s.copy(&copy, b"", 0).map(drop)
    }),
    ("enlist", |s| s.enlist(0, 0).map(drop)),
    ("registration", |s| s.registration(0).map(drop)),
    ("is_due", |s| s.is_due(&LIMITS, 0).map(drop)),
    ("next_job", |s| match s.next_job(&ABLE, 0) {
        (None, mut errors) if !errors.is_empty() => Err(errors.remove(0)),
        (job, errors) => panic!("{job:?} {errors:?}"),
    }),
];

#[test]
fn every_verb_refuses_what_is_newer_and_changes_nothing() {
    for state_it in [state_in_birth_record, state_in_state_record] {
        let database = Sqlite::new();
        filled(&database);
        state_it(&database, STORED + 1);
        let before = content(&database);
        for (verb, run) in VERBS {
            let outcome = run(&mut Stream::new(&database));
            let error = outcome.expect_err(verb);
            assert!(matches!(error, Error::Newer(_)), "{verb}: {error:?}");
            assert_eq!(error.status(), 503);
            assert_eq!(content(&database), before, "{verb}");
        }
        // As if by a release that knows it.
        let mut stream = Stream::new(&database);
        assert!(stream.head(0).is_err());
        state_it(&database, STORED);
        assert_eq!(stream.read(&read(), 100, 0).unwrap().body, b"onetwo");
        let again = stream.append(&append(Some("p")), b"two", 0).unwrap();
        assert_eq!((again.count, again.is_new_data), (0, false));
        assert_eq!(stream.append(&append(None), b"x", 0).unwrap().count, 1);
    }
}

#[test]
fn a_newer_bucket_keeps_out_its_producers_alone() {
    let database = Sqlite::new();
    filled(&database);
    state_in_bucket(&database, STORED + 1);
    let before = content(&database);
    let mut stream = Stream::new(&database);
    let refused = stream.append(&append(Some("p")), b"three", 0);
    assert!(matches!(refused, Err(Error::Newer(_))), "{refused:?}");
    assert_eq!(content(&database), before);
    assert_eq!(stream.read(&read(), 100, 0).unwrap().body, b"onetwo");
    assert!(stream.append(&append(Some("q")), b"three", 0).is_ok());
    // Buckets have a form of their own.
    state_in_bucket(&database, 2);
    let again = stream.append(&append(Some("p")), b"two", 0).unwrap();
    assert_eq!((again.count, again.is_new_data), (0, false));
}

#[test]
fn what_states_a_version_goes_on_to_state_it() {
    let database = Sqlite::new();
    filled(&database);
    state_in_state_record(&database, STORED);
    let mut stream = Stream::new(&database);
    let close = Append {
        close: true,
        ..append(None)
    };
    stream.append(&close, b"x", 0).unwrap();
    let stated = format!("\"v\":{STORED}");
    let mut record = String::new();
    Storage::query(
        &&database,
        "SELECT body FROM stream WHERE id = -1",
        &[],
        &mut |row| {
            record = String::from_utf8(row.blob(0).to_vec()).unwrap();
            std::ops::ControlFlow::Break(())
        },
    )
    .unwrap();
    assert!(record.contains(&stated), "{record}");
}

/// What the records in a database state.
fn stated(database: &Sqlite) -> (Option<u32>, Option<u32>) {
    let version = |sql: &str| {
        let mut version = None;
        Storage::query(&database, sql, &[], &mut |row| {
            let text = row.text(0).unwrap_or_default().to_owned();
            let digit = text.split_once("\"v\":").map(|(_, rest)| rest[..1].parse());
            version = digit.transpose().unwrap();
            std::ops::ControlFlow::Break(())
        })
        .unwrap();
        version
    };
    let state = "SELECT CAST(body AS TEXT) FROM stream WHERE id = -1";
    (version(birth::SELECT), version(state))
}

/// Releases that do not know it would serve what was dropped. All other streams are theirs, too.
#[test]
fn only_what_starts_in_the_middle_states_it() {
    let close = Append {
        close: true,
        ..append(None)
    };
    let cut = Truncate {
        before: Offset::new(3).unwrap(),
        if_match: None,
    };
    let database = Sqlite::new();
    filled(&database);
    let mut stream = Stream::new(&database);
    stream.append(&close, b"x", 0).unwrap();
    let nothing = Truncate {
        before: Offset::START,
        if_match: None,
    };
    stream.truncate(&nothing, 0).unwrap();
    assert_eq!(stated(&database), (Some(2), None));
    stream.truncate(&cut, 0).unwrap();
    assert_eq!(stated(&database), (Some(2), Some(3)));

    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    let kept = Create {
        retention: Some(Retention::Bytes(1)),
        ..creation()
    };
    stream.create(&kept, None, b"one", name(), KEY, 0).unwrap();
    assert_eq!(stated(&database), (Some(3), None));
    let claim = lend::Claim {
        fork: name(),
        content_type: None,
        offset: None,
        sub_offset: 0,
    };
    let loan = stream.lend(&claim, 0).unwrap();
    let fork = Sqlite::new();
    let everything = Create {
        retention: Some(Retention::Bytes(100)),
        ..creation()
    };
    let mut stream = Stream::new(&fork);
    let made = stream.create(&everything, Some(&loan), b"", name(), KEY, 0);
    assert!(made.unwrap().is_new);
    assert_eq!(stated(&fork), (Some(3), None));
    assert_eq!(Stream::new(&fork).head(0).unwrap().earliest.position(), 2);
}

/// A database as the first release wrote it.
#[test]
fn what_version_1_has_stored_is_read() {
    let database = Sqlite::new();
    run(
        &database,
        r#"CREATE TABLE stream (/*{"closed":false,"content_type":"a\/b","created_at":0,"incarnation":"1","path":"a"}*/ id INTEGER PRIMARY KEY, count INTEGER NOT NULL, body BLOB NOT NULL, seq TEXT)"#,
        &[],
    );
    let put = "INSERT INTO stream (id, count, body) VALUES (?1, ?2, ?3)";
    let producer = -2 - 0x7e8;
    for (id, count, body) in [
        (0, 6, &b"onetwo"[..]),
        (-1, 0, br#"{"accessed_at":5}"#),
        (producer, 0, br#"{"foobar":[0,0]}"#),
    ] {
        let params = [Param::Integer(id), Param::Integer(count), Param::Blob(body)];
        run(&database, put, &params);
    }
    let mut stream = Stream::new(&database);
    assert_eq!(stream.read(&read(), 100, 0).unwrap().body, b"onetwo");
    let again = stream.append(&append(Some("foobar")), b"two", 0).unwrap();
    assert_eq!((again.count, again.is_new_data), (0, false));
    assert_eq!(stream.append(&append(Some("q")), b"x", 0).unwrap().count, 1);
    // It has no key, and stays readable for the first release, apart from buckets.
    let mut table = String::new();
    Storage::query(&&database, birth::SELECT, &[], &mut |row| {
        table = row.text(0).unwrap().to_owned();
        std::ops::ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(Birth::from_table(&table).unwrap().key, None);
}
