//! How much of the database is read for what: never more than what is asked for, and a constant. And
//! how many rows are written to have less of it.

use super::KEY;
use super::bucket::{Bucket, Fault};
use super::sqlite::Sqlite;
use crate::protocol::ask::Interest;
use crate::protocol::content_type::ContentType;
use crate::protocol::offset::Offset;
use crate::protocol::request::{Append, Create, Read, ReadFrom};
use crate::protocol::retention::Retention;
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::family::lend::Claim;
use crate::stream::storage::{Param, Storage};
use crate::stream::tier::segment;
use crate::stream::tier::upkeep::{Abilities, GRACE, Limits};

/// Rows that may be read on top of those that are answered.
const SPARE: u64 = 70;

fn content_type(is_json: bool) -> ContentType {
    let text = if is_json { "application/json" } else { "a/b" };
    ContentType::parse(text).unwrap()
}

fn created(database: &Sqlite, is_json: bool) -> Stream<&Sqlite> {
    created_to_keep(database, is_json, None)
}

fn created_to_keep(
    database: &Sqlite,
    is_json: bool,
    retention: Option<Retention>,
) -> Stream<&Sqlite> {
    let mut stream = Stream::new(database);
    let request = Create {
        content_type: Some(content_type(is_json)),
        expiry: None,
        closed: false,
        public: false,
        fork: None,
        retention,
        will: None,
    };
    let name = Name {
        path: "a".into(),
        incarnation: "1".into(),
    };
    stream.create(&request, None, b"", name, KEY, 0).unwrap();
    stream
}

fn append(stream: &mut Stream<&Sqlite>, is_json: bool, bytes: usize) {
    let request = Append {
        content_type: Some(content_type(is_json)),
        close: false,
        producer: None,
        seq: None,
        if_match: None,
    };
    stream.append(&request, &vec![b'7'; bytes], 0).unwrap();
}

/// The number of rows with something from `start` on and before `end`.
fn rows(database: &Sqlite, start: u64, end: u64) -> u64 {
    let mut count = 0;
    let sql = "SELECT count(*) FROM stream WHERE id < ?2 \
        AND id >= (SELECT max(id) FROM stream WHERE id BETWEEN 0 AND ?1)";
    let id = |position| Param::Integer(position as i64 * 64);
    let params = [id(start), id(end)];
    Storage::query(&database, sql, &params, &mut |row| {
        count = row.integer(0) as u64;
        std::ops::ControlFlow::Break(())
    })
    .unwrap();
    count
}

/// Rows read and statements run meanwhile.
fn counted<T>(database: &Sqlite, work: impl FnOnce() -> T) -> (T, u64, u64) {
    let (read, statements) = (database.read.get(), database.statements.get());
    let done = work();
    let read = database.read.get() - read;
    (done, read, database.statements.get() - statements)
}

#[test]
fn a_page_reads_the_rows_it_answers() {
    for is_json in [true, false] {
        for (appends, sizes) in [
            (1, &[10][..]),
            (40, &[1700]),
            (3000, &[100]),
            (900, &[2500]),
            (60, &[40_000]),
            (400, &[100, 40_000, 2500, 300_000]),
        ] {
            let database = Sqlite::new();
            let mut stream = created(&database, is_json);
            // Each size for a while, so that no row tells how large the next ones are.
            let sizes_of = sizes.iter().flat_map(|size| [*size; 33]).cycle();
            let mut length = 0;
            for bytes in sizes_of.take(appends) {
                append(&mut stream, is_json, bytes);
                length += if is_json { 1 } else { bytes as u64 };
            }
            stream = Stream::new(&database);
            stream.head(0).unwrap();
            for max_bytes in [1, 5000, 64 << 10, 1 << 20, 8 << 20] {
                for from in [0, length / 3, length - 1] {
                    let request = Read {
                        from: ReadFrom::At(Offset::new(from).unwrap()),
                        live: None,
                        cursor: None,
                        if_none_match: None,
                    };
                    let (page, read, statements) =
                        counted(&database, || stream.read(&request, max_bytes, 0).unwrap());
                    let answered = rows(&database, from, page.next.position());
                    let what = format!(
                        "json {is_json}, {appends} of {sizes:?}, {max_bytes} bytes from {from}: \
                         {read} rows for {answered} in {statements} statements"
                    );
                    assert!(read <= answered + SPARE, "{what}");
                    assert!(statements <= 4 + answered / 48, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_loan_reads_the_rows_it_copies() {
    for is_json in [true, false] {
        let database = Sqlite::new();
        let mut stream = created(&database, is_json);
        for _ in 0..600 {
            append(&mut stream, is_json, 2500);
        }
        let per_row = if is_json { 1 } else { 2500 };
        for wanted in [1, 10, 300] {
            let claim = Claim {
                fork: Name {
                    path: "b".into(),
                    incarnation: "1".into(),
                },
                content_type: None,
                offset: Some(wanted * per_row),
                sub_offset: 0,
            };
            let (loan, read, _) = counted(&database, || stream.lend(&claim, 0).unwrap());
            assert!(!loan.rest.is_empty());
            assert!(
                read <= wanted + SPARE,
                "json {is_json}: {read} for {wanted}"
            );
        }
    }
}

/// Moves everything that was put into rows while the bucket was away, and a little that comes
/// meanwhile; returns the steps that took, for each row.
fn steps_to_move(appends: u64, bytes: usize, is_json: bool, max_messages: u64) -> u64 {
    let database = Sqlite::new();
    let mut stream = created(&database, is_json);
    for _ in 0..appends {
        append(&mut stream, is_json, bytes);
    }
    let limits = Limits {
        max_messages,
        max_bytes: 50_000,
        // Nothing is merged.
        merge_bytes: 1,
    };
    let before = database.steps.get();
    let mut bucket = Bucket::default();
    stream = Stream::new(&database);
    let able = Abilities {
        bucket: true,
        limits: Some(limits),
    };
    while let (Some(job), _) = stream.next_job(&able, 0) {
        append(&mut stream, is_json, 10);
        let outcome = bucket.carry_out(&job, Fault::None, 0).unwrap();
        assert_eq!(stream.finish(job, outcome, 0), Ok(true));
        append(&mut stream, is_json, 10);
        stream.is_due(&limits, 0).unwrap();
    }
    assert!(!stream.is_due(&limits, 0).unwrap());
    let stored: usize = bucket
        .objects
        .values()
        .map(|object| object.body.len())
        .sum();
    assert!(stored as u64 + 50_000 > appends * bytes as u64, "{stored}");
    (database.steps.get() - before) / appends
}

#[test]
fn what_a_backlog_takes_to_move_grows_with_its_length_alone() {
    for is_json in [true, false] {
        for max_messages in [20, 1_000_000] {
            let few = steps_to_move(300, 2500, is_json, max_messages);
            let many = steps_to_move(3000, 2500, is_json, max_messages);
            assert!(
                many <= few + few / 5,
                "json {is_json}: {few} steps a row of 300, {many} a row of 3000"
            );
        }
    }
}

/// What a worker has if nobody says otherwise.
const USUAL: Limits = Limits {
    max_messages: 1000,
    max_bytes: 4 << 20,
    merge_bytes: 64 << 20,
};

/// Does all there is to do, as an object does.
fn work(stream: &mut Stream<&Sqlite>, bucket: &mut Bucket, limits: Limits, now: u64) {
    let able = Abilities {
        bucket: true,
        limits: Some(limits),
    };
    loop {
        let (job, errors) = stream.next_job(&able, now);
        assert_eq!(errors, []);
        let Some(job) = job else {
            break;
        };
        let outcome = bucket.carry_out(&job, Fault::None, now).unwrap();
        assert_eq!(stream.finish(job, outcome, now), Ok(true));
    }
}

/// The number of rows with data.
fn all_rows(database: &Sqlite) -> u64 {
    let mut count = 0;
    let sql = "SELECT count(*) FROM stream WHERE id >= 0";
    Storage::query(&database, sql, &[], &mut |row| {
        count = row.integer(0) as u64;
        std::ops::ControlFlow::Break(())
    })
    .unwrap();
    count
}

/// How many rows a message costs in a stream of which only the end is kept, and how many rows it
/// has at the most.
fn kept(retention: Retention, appends: u64, bytes: usize) -> (f64, u64) {
    let database = Sqlite::new();
    let is_json = matches!(retention, Retention::Messages(_));
    let mut stream = created_to_keep(&database, is_json, Some(retention));
    let mut bucket = Bucket::default();
    let before = database.written.get();
    let mut most = 0;
    for n in 0..appends {
        // One in a second.
        let now = n * 1000;
        append(&mut stream, is_json, bytes);
        if stream.may_drop(now).unwrap() || stream.is_due(&USUAL, now).unwrap() {
            work(&mut stream, &mut bucket, USUAL, now);
        }
        if n % 100 == 0 {
            most = most.max(all_rows(&database));
        }
    }
    let each = (database.written.get() - before) as f64 / appends as f64;
    println!("{retention} of {bytes} bytes: {each:.4} rows a message, {most} rows at most");
    (each, most)
}

#[test]
fn what_is_not_kept_costs_a_twentieth_of_a_row_a_message() {
    let messages = [1, 100, 990, 5000].map(Retention::Messages);
    let bytes = [1000, 99_000].map(Retention::Bytes);
    for retention in messages.into_iter().chain(bytes) {
        let appends = if retention == Retention::Messages(990) {
            10_000
        } else {
            6000
        };
        let (each, most) = kept(retention, appends, 100);
        assert!(each <= 1.05, "{retention}: {each} rows a message");
        // What is kept, or would have moved to the bucket.
        assert!(most <= 40, "{retention}: {most} rows");
    }
    // One that fills a row by itself is a row more to remove.
    let (each, most) = kept(Retention::Messages(10), 1000, 5000);
    assert!(
        each <= 2.02 && most <= 20,
        "{each} rows a message, {most} rows"
    );
}

#[test]
fn to_truncate_costs_a_row_and_to_drop_one_for_each() {
    for is_json in [true, false] {
        let database = Sqlite::new();
        let mut stream = created(&database, is_json);
        let mut bucket = Bucket::default();
        let limits = Limits {
            max_messages: 100,
            max_bytes: 400_000,
            // Nothing is merged.
            merge_bytes: 1,
        };
        for _ in 0..500 {
            append(&mut stream, is_json, 4000);
        }
        work(&mut stream, &mut bucket, limits, 0);
        let index = || segment::before(&&database, Offset::MAX).unwrap().len() as u64;
        let segments = index();
        assert!(segments > 3, "{segments}");
        for _ in 0..50 {
            append(&mut stream, is_json, 4000);
        }
        let hot = all_rows(&database);
        let before = Truncate {
            before: stream.head(0).unwrap().tail,
            if_match: None,
        };
        let (_, read, _) = counted(&database, || stream.head(0).unwrap());
        assert_eq!(read, 0);
        let written = database.written.get();
        let (truncated, read, _) = counted(&database, || stream.truncate(&before, 0).unwrap());
        assert!(truncated.is_new);
        assert_eq!((database.written.get() - written, read), (1, 0));
        assert!(!stream.truncate(&before, 0).unwrap().is_new);
        assert_eq!(database.written.get() - written, 1, "nothing was new");

        let written = database.written.get();
        work(&mut stream, &mut bucket, limits, 0);
        let dropped = database.written.get() - written;
        // A note of the objects, and the generation of the index.
        assert_eq!(
            dropped,
            hot + segments + 2,
            "{hot} rows, {segments} segments"
        );
        assert_eq!((all_rows(&database), index()), (0, 0));
        assert_eq!(
            bucket.objects.len() as u64,
            segments,
            "somebody may be reading them"
        );
        let written = database.written.get();
        work(&mut stream, &mut bucket, limits, GRACE);
        assert_eq!(database.written.get() - written, 1, "the note");
        assert!(bucket.objects.is_empty());
        // What is left is the end, whoever looks at it.
        let mut stream = Stream::new(&database);
        assert_eq!(stream.head(0).unwrap().tail, before.before);
    }
}

#[test]
fn what_others_are_told_costs_a_stream_nothing_that_has_nobody_to_tell() {
    let database = Sqlite::new();
    let mut stream = created(&database, true);
    append(&mut stream, true, 1);
    let look = || {
        let mut stream = Stream::new(&database).listing();
        let (_, _, statements) = counted(&database, || stream.head(0).unwrap());
        let before = database.written.get();
        let (_, _, appending) = counted(&database, || append(&mut stream, true, 1));
        (statements, appending, database.written.get() - before)
    };
    let without = look();
    assert_eq!(without, (4, 1, 1));
    // Nor is anything read before there is something to tell; who is linked is looked up once.
    stream.link("s", Interest::Wakes).unwrap();
    let with = (without.0 + 1, without.1, without.2);
    assert_eq!(look(), with);
    stream.enlist(0, 0).unwrap();
    assert_eq!(look(), with);

    let count = |work: &mut dyn FnMut(&mut Stream<&Sqlite>)| {
        let (written, mut stream) = (database.written.get(), Stream::new(&database));
        work(&mut stream);
        database.written.get() - written
    };
    assert_eq!(
        count(&mut |stream| drop(stream.link("t", Interest::Wakes).unwrap())),
        1
    );
    assert_eq!(
        count(&mut |stream| drop(stream.link("t", Interest::Wakes).unwrap())),
        0
    );
    assert_eq!(count(&mut |stream| _ = stream.enlist(0, 0).unwrap()), 0);
    assert_eq!(
        count(&mut |stream| _ = stream.unlink("t", None).unwrap()),
        1
    );
}
