use proptest::prelude::*;

use super::*;
use crate::stream::tests::sqlite::Sqlite;

fn life(born: u64) -> Life {
    Life {
        born,
        incarnation: format!("{born:x}-1"),
    }
}

fn part(path: &str, born: u64, since: u64, behind: u64, to: u64) -> CopyPart {
    CopyPart {
        path: path.to_owned(),
        life: life(born),
        since,
        behind,
        to,
        length: 0,
        base64: false,
    }
}

/// Stores what has changed, and reads all of it.
fn stored(database: &Sqlite, feeders: &mut Feeders) -> Feeders {
    let changed = feeders.changed();
    let batch: Vec<_> = put(&changed).collect();
    Storage::write(&database, &batch).unwrap();
    Feeders::load(&database).unwrap()
}

fn database() -> Sqlite {
    let database = Sqlite::new();
    let sql = "CREATE TABLE stream (id INTEGER PRIMARY KEY, count INTEGER, body BLOB)";
    let params = Vec::new();
    Storage::write(&&database, &[Statement { sql, params }]).unwrap();
    database
}

fn put_row(database: &Sqlite, row: i64, record: &[u8]) {
    Storage::write(&database, &[state::put(row, record)]).unwrap();
}

#[test]
fn version_1_is_read_and_written_so() {
    let record = br#"{"cursors":[["chat/1",7,"7-1",5],["news/\"a\"",9,"9-1",0]],"life":{"born":3,"incarnation":"3-1"},"subscription":"p/s","v":1}"#;
    let database = database();
    put_row(&database, -1_125_899_906_842_624, record);
    let mut feeders = Feeders::load(&&database).unwrap();
    assert_eq!(feeders.changed(), []);
    let feeder = feeders.find("p/s").unwrap();
    assert_eq!(feeder.life, life(3));
    assert_eq!(feeder.judge(&part("chat/1", 7, 0, 4, 5)), Verdict::At(5));
    assert_eq!(
        feeder.judge(&part("news/\"a\"", 9, 0, 1, 2)),
        Verdict::At(0)
    );
    assert_eq!(feeder.encode(0), record);
    assert_eq!(feeders.next, FIRST_ROW_ID + 1);
}

#[test]
fn what_is_newer_or_malformed_is_refused() {
    let is_newer = |record: &[u8]| {
        let database = database();
        put_row(&database, FIRST_ROW_ID + 5, record);
        match Feeders::load(&&database) {
            Err(StorageError::Newer(_)) => Some(true),
            Err(StorageError::Failed(_)) => Some(false),
            Ok(_) => None,
        }
    };
    assert_eq!(
        is_newer(br#"{"v":2,"cursors":"of another form"}"#),
        Some(true)
    );
    for malformed in [&b""[..], b"{}", b"\x01", br#"{"v":1,"cursors":[]}"#] {
        assert_eq!(is_newer(malformed), Some(false), "{malformed:?}");
    }
}

#[test]
fn what_goes_on_where_the_cursor_is_is_taken() {
    let mut feeders = Feeders::load(&&database()).unwrap();
    feeders.put("s", &life(1));
    let feeder = feeders.find("s").unwrap();
    let (taken, at) = (Verdict::Taken, Verdict::At);
    for (part, verdict) in [
        // Where the interest starts, and nowhere else.
        (part("a", 5, 3, 2, 4), at(3)),
        (part("a", 5, 3, 4, 6), at(3)),
        (part("a", 5, 3, 3, 6), taken(6)),
        // It was there before, overlaps, or comes too soon.
        (part("a", 5, 3, 3, 6), at(6)),
        (part("a", 5, 3, 3, 5), at(6)),
        (part("a", 5, 3, 5, 8), at(6)),
        (part("a", 5, 3, 7, 8), at(6)),
        // It goes nowhere, and only asks.
        (part("a", 5, 3, 6, 6), at(6)),
        (part("a", 5, 3, 9, 9), at(6)),
        // It was removed, and added again.
        (part("a", 5, 9, 6, 12), at(9)),
        (part("a", 5, 9, 9, 12), taken(12)),
        (part("a", 5, 0, 0, 12), at(12)),
        // Another source.
        (part("b", 5, 0, 0, 1), taken(1)),
        // A younger stream starts anew, and an older one has nothing to say any more.
        (part("a", 6, 0, 12, 13), at(0)),
        (part("a", 5, 9, 12, 13), taken(13)),
        (part("a", 6, 0, 0, 2), taken(2)),
        (part("a", 5, 9, 13, 14), at(14)),
        (part("a", 6, 0, 2, 3), taken(3)),
        // What is malformed moves nothing.
        (part("a", 6, 0, 3, 2), at(3)),
    ] {
        assert_eq!(feeder.judge(&part), verdict, "{part:?}");
    }
}

#[test]
fn a_row_has_64_of_them() {
    let database = database();
    let mut feeders = Feeders::load(&&database).unwrap();
    feeders.put("s", &life(1));
    feeders.put("t", &life(2));
    let path = |n: u64| format!("a/{n}");
    for n in 0..130 {
        let feeder = feeders.find("s").unwrap();
        assert_eq!(feeder.judge(&part(&path(n), 1, 0, 0, 1)), Verdict::Taken(1));
    }
    let rows = feeders.changed().len();
    assert_eq!(rows, 3 + 1);
    for (which, changed) in [(&[1, 5, 63][..], 1), (&[0, 64], 2), (&[0, 64, 128], 3)] {
        for n in which {
            let at = feeders
                .find("s")
                .unwrap()
                .judge(&part(&path(*n), 1, 0, 9, 9));
            let Verdict::At(at) = at else {
                panic!("{at:?}")
            };
            let next = part(&path(*n), 1, 0, at, at + 1);
            feeders.find("s").unwrap().judge(&next);
        }
        assert_eq!(feeders.changed().len(), changed);
    }
    assert_eq!(feeders.remove("s").len(), 3);
    assert_eq!(feeders.remove("s"), [] as [i64; 0]);
    assert_eq!(feeders.remove("t").len(), 1);
}

proptest! {
    #[test]
    fn they_survive_in_a_real_table(
        subscriptions in proptest::collection::btree_map("\\PC{1,12}", 1u64..9, 1..4),
        moves in proptest::collection::vec(("\\PC{1,20}", 0u8..4, 1u64..3, 1u64..1 << 53), 0..150),
    ) {
        let database = database();
        let mut feeders = Feeders::load(&&database).unwrap();
        let names: Vec<_> = subscriptions.keys().cloned().collect();
        for (name, born) in &subscriptions {
            feeders.put(name, &life(*born));
        }
        for (path, which, born, to) in moves {
            let name = &names[usize::from(which) % names.len()];
            feeders.find(name).unwrap().judge(&part(&path, born, 0, 0, to));
            if to % 25 == 0 {
                let read = stored(&database, &mut feeders);
                prop_assert_eq!(&read.all.len(), &names.len());
            }
        }
        let mut read = stored(&database, &mut feeders);
        for name in &names {
            prop_assert_eq!(read.find(name), feeders.find(name));
        }
        prop_assert_eq!(read.next, feeders.next);
        let rows = feeders.remove(&names[0]);
        let batch: Vec<_> = delete(&rows).collect();
        Storage::write(&&database, &batch).unwrap();
        prop_assert_eq!(Feeders::load(&&database).unwrap().all.len(), names.len() - 1);
        Storage::write(&&database, &[delete_all()]).unwrap();
        prop_assert_eq!(Feeders::load(&&database).unwrap().all, []);
    }
}
