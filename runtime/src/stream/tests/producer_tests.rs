//! How producers are remembered by a whole stream, whatever they are called.

use super::sqlite::Sqlite;
use super::{KEY, creation, named};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::producer::Claim;
use crate::protocol::request::Append;
use crate::stream::Stream;
use crate::stream::birth::{Birth, Name};
use crate::stream::log::producers;
use crate::stream::storage::{Statement, Storage};

fn created(database: &Sqlite) -> Stream<&Sqlite> {
    let mut stream = Stream::new(database);
    let (request, name) = (creation("a/b"), named("a", "1"));
    stream.create(&request, None, b"", name, KEY, 0).unwrap();
    stream
}

/// Ids that an unkeyed hash puts in one bucket.
fn aimed(count: usize) -> impl Iterator<Item = String> {
    let fnv = |id: &str| {
        id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let ids = (0_u64..).map(|n| n.to_string());
    ids.filter(move |id| fnv(id).is_multiple_of(4096))
        .take(count)
}

/// The lengths of the rows with producers.
fn lengths(database: &Sqlite) -> Vec<i64> {
    let mut lengths = Vec::new();
    let sql = "SELECT length(body) FROM stream WHERE id BETWEEN -4097 AND -2";
    Storage::query(&database, sql, &[], &mut |row| {
        lengths.push(row.integer(0));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    lengths
}

fn append(stream: &mut Stream<&Sqlite>, id: String, epoch: u64) -> Result<bool, Error> {
    let request = Append {
        content_type: ContentType::parse("a/b"),
        close: false,
        producer: Some(Claim { id, epoch, seq: 0 }),
        seq: None,
        if_match: None,
    };
    let appended = stream.append(&request, b"x", 0)?;
    Ok(appended.is_new_data)
}

#[test]
fn nobody_can_choose_ids_of_one_bucket() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    for id in aimed(200) {
        assert_eq!(append(&mut stream, id, 0), Ok(true));
    }
    let lengths = lengths(&database);
    let longest = lengths.iter().max().unwrap();
    assert!(lengths.len() > 150, "{} rows", lengths.len());
    assert!(*longest < 300, "{longest} bytes");
}

/// A stream that was there before there were keys.
#[test]
fn a_bucket_that_is_filled_on_purpose_stays_small_and_takes_producers() {
    let database = Sqlite::new();
    let name = Name {
        path: "a".into(),
        incarnation: "1".into(),
    };
    let birth = Birth {
        content_type: ContentType::parse("a/b").unwrap(),
        expiry: None,
        closed: false,
        public: false,
        listed: false,
        name,
        key: None,
        origin: None,
        retention: None,
        will: None,
        will_from: crate::protocol::offset::Offset::START,
        earliest: 0,
        created_at: 0,
    };
    let table = Statement {
        sql: &birth.create_table(),
        params: Vec::new(),
    };
    Storage::write(&&database, &[table]).unwrap();
    let mut stream = Stream::new(&database);
    let ids: Vec<String> = aimed(producers::MOST + 100).collect();
    for (n, id) in ids.iter().enumerate() {
        match append(&mut stream, id.clone(), 0) {
            Ok(is_new) => assert!(is_new),
            // It may be one that was forgotten.
            Err(Error::StaleEpoch { current: 0 }) => {
                assert!(n > producers::MOST);
                assert_eq!(append(&mut stream, id.clone(), 1), Ok(true));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let lengths = lengths(&database);
    assert_eq!(lengths, [i64::try_from(producers::MAX_BYTES).unwrap()]);
    // Those who came first are told so, and those who are known are known.
    let first = append(&mut stream, ids[0].clone(), 0);
    assert_eq!(first, Err(Error::StaleEpoch { current: 0 }));
    let last = ids.last().unwrap();
    assert_eq!(append(&mut stream, last.clone(), 1), Ok(false));
}
