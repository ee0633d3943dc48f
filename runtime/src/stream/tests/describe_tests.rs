//! What is shown of a stream, and what it costs to look.

use serde_json::{Value, json};

use super::bucket::{Bucket, Fault};
use super::sqlite::Sqlite;
use super::{KEY, creation, named};
use crate::protocol::ask::{Inspect, Interest};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::path::StreamPath;
use crate::protocol::producer;
use crate::protocol::request::{Append, Create, Fork};
use crate::protocol::retention::Retention;
use crate::protocol::root::Root;
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::birth::{Birth, Name};
use crate::stream::family::lend::Claim;
use crate::stream::log::producers::{self, Place};
use crate::stream::storage::{Param, Statement, Storage};
use crate::stream::tier::upkeep::{Abilities, Limits};
use crate::stream::verbs::delete::End;

/// 2001-09-09T01:46:40Z.
const BORN: u64 = 1_000_000_000_000;

fn below(root: Root) -> Inspect {
    Inspect { root, alone: false }
}

fn root() -> Inspect {
    below(Root::of_project("p"))
}

fn shown(stream: &mut Stream<&Sqlite>, now: u64) -> Value {
    let described = stream.describe(&root(), now).unwrap();
    serde_json::from_slice(&described.encode()).unwrap()
}

fn create<'a>(database: &'a Sqlite, request: &Create, body: &[u8]) -> Stream<&'a Sqlite> {
    let mut stream = Stream::new(database);
    let created = stream.create(request, None, body, named("p/x/a", "1"), KEY, BORN);
    assert!(created.unwrap().is_new);
    stream
}

fn append(stream: &mut Stream<&Sqlite>, producer: Option<&str>, body: &[u8], close: bool) {
    let request = Append {
        content_type: ContentType::parse("application/json").filter(|_| !body.is_empty()),
        close,
        producer: producer.map(|id| producer::Claim {
            id: id.to_owned(),
            epoch: 0,
            seq: 0,
        }),
        seq: None,
        if_match: None,
    };
    stream.append(&request, body, BORN).unwrap();
}

fn offset(position: u64) -> String {
    Offset::new(position).unwrap().to_string()
}

/// Moves everything that there is into the bucket.
fn work(stream: &mut Stream<&Sqlite>, max_messages: u64) {
    let limits = Limits {
        max_messages,
        max_bytes: 1 << 20,
        // Nothing is merged.
        merge_bytes: 1,
    };
    let able = Abilities {
        bucket: true,
        limits: Some(limits),
    };
    let mut bucket = Bucket::default();
    while let (Some(job), _) = stream.next_job(&able, BORN) {
        let outcome = bucket.carry_out(&job, Fault::None, BORN).unwrap();
        assert_eq!(stream.finish(job, outcome, BORN), Ok(true));
    }
}

#[test]
fn a_new_stream_is_shown_with_everything() {
    let database = Sqlite::new();
    let mut stream = create(&database, &creation("application/json"), b"[1,2]");
    let bytes = (&database).size();
    assert!(bytes > 0);
    let expected = json!({
        "path": "x/a",
        "contentType": "application/json",
        "createdAt": "2001-09-09T01:46:40.000Z",
        "earliest": offset(0),
        "tail": offset(2),
        "closed": false,
        "public": false,
        "ttl": null,
        "expiresAt": null,
        "endsAt": null,
        "retention": null,
        "forkedFrom": null,
        "forks": [],
        "segments": [],
        "segmentCount": 0,
        "hot": {"from": offset(0), "bytes": 4, "rows": 1},
        "producers": 0,
        "subscriptions": [],
        "databaseBytes": bytes,
    });
    assert_eq!(shown(&mut stream, BORN), expected);
    // An object that was away says the same.
    assert_eq!(shown(&mut Stream::new(&database), BORN), expected);
}

#[test]
fn what_its_creator_wanted_is_shown() {
    let database = Sqlite::new();
    let request = Create {
        expiry: Some(Expiry::Ttl(60)),
        public: true,
        retention: Some(Retention::Messages(2)),
        ..creation("application/json")
    };
    let mut stream = create(&database, &request, b"[1,2,3]");
    append(&mut stream, Some("me"), b"4", false);
    append(&mut stream, Some("you"), b"5", false);
    append(&mut stream, Some("me"), b"4", false);
    append(&mut stream, None, b"", true);
    let seen = shown(&mut stream, BORN + 1000);
    let of =
        |fields: &[&str]| -> Vec<Value> { fields.iter().map(|it| seen[*it].clone()).collect() };
    assert_eq!(
        of(&[
            "closed",
            "public",
            "ttl",
            "expiresAt",
            "endsAt",
            "retention"
        ]),
        [
            json!(true),
            json!(true),
            json!(60),
            Value::Null,
            json!("2001-09-09T01:47:40.000Z"),
            json!("messages=2")
        ]
    );
    assert_eq!(
        of(&["earliest", "tail", "producers"]),
        [json!(offset(3)), json!(offset(5)), json!(2)]
    );
    assert_eq!(seen["hot"]["from"], offset(3));

    let database = Sqlite::new();
    let request = Create {
        expiry: Expiry::parse_at("2001-09-09T04:00:00+02:00"),
        ..creation("text/plain")
    };
    let seen = shown(&mut create(&database, &request, b""), BORN);
    assert_eq!(seen["expiresAt"], "2001-09-09T04:00:00+02:00");
    assert_eq!(seen["endsAt"], "2001-09-09T02:00:00.000Z");
}

#[test]
fn segments_follow_each_other_up_to_what_is_in_rows() {
    let database = Sqlite::new();
    let mut stream = create(&database, &creation("application/json"), b"");
    for _ in 0..3 {
        append(&mut stream, None, b"[10,20,30,40]", false);
        work(&mut stream, 4);
    }
    append(&mut stream, None, b"[5,6]", false);
    let seen = shown(&mut stream, BORN);
    let segment = |n: u64| json!({"from": offset(4 * n), "to": offset(4 * n + 4), "bytes": 16});
    assert_eq!(
        seen["segments"],
        json!([segment(0), segment(1), segment(2)])
    );
    assert_eq!(seen["segmentCount"], 3);
    assert_eq!(
        seen["hot"],
        json!({"from": offset(12), "bytes": 4, "rows": 1})
    );
    // What is dropped is not there, whatever storage still holds.
    let truncate = Truncate {
        before: Offset::new(13).unwrap(),
        if_match: None,
    };
    stream.truncate(&truncate, BORN).unwrap();
    let seen = shown(&mut stream, BORN);
    assert_eq!(
        (&seen["earliest"], &seen["hot"]["from"]),
        (&json!(offset(13)), &json!(offset(13)))
    );
    work(&mut stream, 4);
    let seen = shown(&mut stream, BORN);
    assert_eq!(
        (&seen["segments"], &seen["segmentCount"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(seen["tail"], offset(14));
}

#[test]
fn forks_and_subscriptions_are_those_of_the_root() {
    let (database, of_fork) = (Sqlite::new(), Sqlite::new());
    let mut stream = create(&database, &creation("application/json"), b"[1,2,3]");
    let claim = |fork: Name| Claim {
        fork,
        content_type: None,
        offset: Some(1),
        sub_offset: 1,
    };
    // One was there before, with the same name; one is of another project, and one of another era.
    let other_era = "__ds/era/0000000000000007/p/f";
    for fork in [
        named("p/f", "1"),
        named("p/f", "2"),
        named("q/f", "1"),
        named("p/e/f", "1"),
        named(other_era, "1"),
    ] {
        stream.lend(&claim(fork), BORN).unwrap();
    }
    for subscription in [
        "p/__ds/subscriptions/s:1",
        "p/__ds/subscriptions/a/b",
        "__ds/subscriptions/all",
        "p/__ds/subscriptions0",
        "q/__ds/subscriptions/s",
        "__ds/era/0000000000000007/p/__ds/subscriptions/s",
    ] {
        stream.link(subscription, Interest::Wakes).unwrap();
    }
    let seen = shown(&mut stream, BORN);
    assert_eq!(seen["forks"], json!([{"path": "e/f"}, {"path": "f"}]));
    assert_eq!(seen["subscriptions"], json!(["a/b", "s:1"]));
    let all = stream.describe(&below(Root::ALL), BORN).unwrap().encode();
    let all: Value = serde_json::from_slice(&all).unwrap();
    assert_eq!(all["path"], "p/x/a");
    assert_eq!(
        all["forks"],
        json!([{"path": "p/e/f"}, {"path": "p/f"}, {"path": "q/f"}])
    );
    assert_eq!(all["subscriptions"], json!(["all"]));
    // A stream of another root is none.
    let other = below(Root::of_project("q"));
    assert_eq!(stream.describe(&other, BORN).unwrap_err(), Error::NotFound);

    let loan = stream.lend(&claim(named("p/f", "2")), BORN).unwrap();
    let request = Create {
        fork: Some(Fork {
            source: StreamPath::of_decoded("p/x/a").unwrap(),
            offset: Offset::new(1),
            sub_offset: 1,
        }),
        ..creation("application/json")
    };
    let mut fork = Stream::new(&of_fork);
    let created = fork.create(&request, Some(&loan), b"9", named("p/f", "2"), KEY, BORN);
    assert!(created.unwrap().is_new);
    let seen = shown(&mut fork, BORN);
    let source = json!({"path": "x/a", "offset": offset(1), "subOffset": 1});
    assert_eq!(
        (&seen["forkedFrom"], &seen["tail"]),
        (&source, &json!(offset(3)))
    );
    // Who may see one stream alone is told of no other.
    let alone = Inspect {
        alone: true,
        ..root()
    };
    let seen = |stream: &mut Stream<&Sqlite>| -> Value {
        let described = stream.describe(&alone, BORN).unwrap();
        serde_json::from_slice(&described.encode()).unwrap()
    };
    let source = seen(&mut stream);
    assert_eq!(
        (&source["forks"], &source["subscriptions"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(seen(&mut fork)["forkedFrom"]["path"], Value::Null);
}

#[test]
fn what_is_gone_is_not_shown() {
    let database = Sqlite::new();
    let mut none = Stream::new(&database);
    assert_eq!(none.describe(&root(), BORN).unwrap_err(), Error::NotFound);
    let request = Create {
        expiry: Some(Expiry::Ttl(60)),
        ..creation("application/json")
    };
    let mut stream = create(&database, &request, b"1");
    let over = stream.describe(&root(), BORN + 60_000).unwrap_err();
    assert_eq!(over, Error::NotFound);

    let database = Sqlite::new();
    let mut stream = create(&database, &creation("application/json"), b"1");
    let claim = Claim {
        fork: named("p/f", "1"),
        content_type: None,
        offset: None,
        sub_offset: 0,
    };
    stream.lend(&claim, BORN).unwrap();
    assert!(matches!(stream.delete(BORN), Ok(End::Kept)));
    assert_eq!(stream.describe(&root(), BORN).unwrap_err(), Error::Gone);
}

#[test]
fn to_look_is_no_use_of_the_stream() {
    let database = Sqlite::new();
    let request = Create {
        expiry: Some(Expiry::Ttl(60)),
        ..creation("application/json")
    };
    let mut stream = create(&database, &request, b"1");
    let written = database.written.get();
    for second in 0..60 {
        let seen = shown(&mut stream, BORN + second * 1000);
        assert_eq!(seen["endsAt"], "2001-09-09T01:47:40.000Z");
    }
    assert_eq!(database.written.get(), written);
    assert!(stream.describe(&root(), BORN + 60_000).is_err());
}

/// Writes so many rows.
fn fill(database: &Sqlite, sql: &str, rows: impl Iterator<Item = i64>) {
    let rows: Vec<i64> = rows.collect();
    for some in rows.chunks(1000) {
        let statements: Vec<_> = some
            .iter()
            .map(|row| Statement {
                sql,
                params: vec![Param::Integer(*row)],
            })
            .collect();
        Storage::write(&database, &statements).unwrap();
    }
}

#[test]
fn whatever_a_stream_holds_so_many_rows_are_read_and_no_more() {
    let database = Sqlite::new();
    let mut stream = create(&database, &creation("application/json"), b"1");
    stream
        .link("p/__ds/subscriptions/s", Interest::Wakes)
        .unwrap();
    let claim = Claim {
        fork: named("p/f", "1"),
        content_type: None,
        offset: None,
        sub_offset: 0,
    };
    stream.lend(&claim, BORN).unwrap();
    let count = |stream: &mut Stream<&Sqlite>| {
        let (read, written) = (database.read.get(), database.written.get());
        let seen = shown(stream, BORN);
        assert_eq!(database.written.get(), written);
        (database.read.get() - read, seen)
    };
    let (few, _) = count(&mut stream);
    assert!(few <= 10, "{few} rows of a small stream");

    // More of everything than is looked at.
    let insert = |first: &str, step: i64, body: &str| {
        format!("INSERT INTO stream (id, count, body) VALUES ({first} + {step} * ?1, 1, {body})")
    };
    fill(&database, &insert("0", 64, "x'31'"), 1..12_000);
    let segment = "CAST('{\"etag\":\"e\",\"marks\":[],\"size\":' || ?1 || '}' AS BLOB)";
    fill(
        &database,
        &insert("-4503599627370496", 1, segment),
        0..11_000,
    );
    let entries = 3 * 32 + 13;
    fill(
        &database,
        &insert("-2", -1, &format!("zeroblob({entries})")),
        0..4096,
    );
    let link = "INSERT INTO link (subscription, since, incarnation) \
        VALUES ('p/__ds/subscriptions/' || ?1, 0, '1')";
    fill(&database, link, 0..3000);
    let fork = "INSERT INTO claim (path, incarnation) VALUES ('p/' || ?1, '1')";
    fill(&database, fork, 0..3000);
    let (many, seen) = count(&mut stream);
    assert!(many <= 28_000, "{many} rows of a large stream");
    let length = |field: &str| seen[field].as_array().unwrap().len();
    assert_eq!(
        (length("forks"), length("segments"), length("subscriptions")),
        (1000, 1000, 1000)
    );
    assert_eq!(
        (&seen["segmentCount"], &seen["hot"]["rows"]),
        (&json!(10_000), &json!(10_000))
    );
    assert_eq!(seen["producers"], 3 * 4096);
    // The newest ones, in order.
    let last = json!({"from": offset(10_999), "to": offset(11_000), "bytes": 10_999});
    assert_eq!(seen["segments"][999], last);
    assert_eq!(seen["segments"][0]["bytes"], 10_000);
}

#[test]
fn producers_are_where_they_are_looked_for() {
    let rows = (0..200_000).map(|n| Place::of(&n.to_string(), Some(KEY)).row);
    let (first, last) = (rows.clone().min().unwrap(), rows.max().unwrap());
    assert_eq!((first, last), producers::ROWS);
    // Those that know no key are in another form.
    let database = Sqlite::new();
    drop(create(&database, &creation("application/json"), b"1"));
    let sql = database.texts("SELECT sql FROM sqlite_master WHERE name = 'stream'");
    let birth = Birth::from_table(&sql[0][0]).unwrap();
    let old = Sqlite::new();
    let table = Birth { key: None, ..birth }.create_table();
    let statement = Statement {
        sql: &table,
        params: Vec::new(),
    };
    Storage::write(&&old, &[statement]).unwrap();
    assert_eq!(
        shown(&mut Stream::new(&old), BORN)["producers"],
        Value::Null
    );
}
