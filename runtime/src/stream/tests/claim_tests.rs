//! Claims: those of other releases, and what it costs to ask forks whether they live.

use std::collections::BTreeSet;

use super::KEY;
use super::bucket::{Bucket, Fault};
use super::simulation::{ABLE, ROWS};
use super::sqlite::Sqlite;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::request::{Append, Create};
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::family::claims::{FIRST_CHECK, RECHECK};
use crate::stream::family::lend::{Claim, Loan};
use crate::stream::storage::{Param, Statement, Storage};
use crate::stream::tier::segment;
use crate::stream::tier::upkeep::GRACE;
use crate::stream::verbs::delete::End;

/// As version 1 made it.
const TABLE_1: &str = "CREATE TABLE IF NOT EXISTS claim (path TEXT NOT NULL, \
    incarnation TEXT NOT NULL, due INTEGER, PRIMARY KEY (path, incarnation)) WITHOUT ROWID";
const INSERT_1: &str = "INSERT OR REPLACE INTO claim (path, incarnation, due) VALUES (?1, ?2, ?3)";

fn named(n: u64) -> Name {
    Name {
        path: format!("s{n}"),
        incarnation: "1".into(),
    }
}

fn number_of(name: &Name) -> u64 {
    name.path.trim_start_matches('s').parse().unwrap()
}

/// A source with a bucket.
struct Source<'a> {
    database: &'a Sqlite,
    stream: Stream<&'a Sqlite>,
    bucket: Bucket,
    now: u64,
}

impl<'a> Source<'a> {
    fn new(database: &'a Sqlite) -> Self {
        let mut stream = Stream::with_limits(database, ROWS);
        let request = Create {
            content_type: None,
            expiry: None,
            closed: false,
            public: false,
            fork: None,
            retention: None,
            will: None,
        };
        let created = stream.create(&request, None, b"text", named(0), KEY, 0);
        created.unwrap();
        Self {
            database,
            stream,
            bucket: Bucket::default(),
            now: 0,
        }
    }

    fn restart(&mut self) {
        self.stream = Stream::with_limits(self.database, ROWS);
    }

    fn lend(&mut self, n: u64) -> Result<Loan, Error> {
        let claim = Claim {
            fork: named(n),
            content_type: None,
            offset: None,
            sub_offset: 0,
        };
        self.stream.lend(&claim, self.now)
    }

    fn claim_as_version_1(&mut self, n: u64) {
        let fork = named(n);
        let params = [&fork.path, &fork.incarnation].map(|text| Param::Text(text));
        let params = [&params[..], &[Param::Null]].concat();
        let sql = INSERT_1;
        self.database.write_one(sql, params);
        self.restart();
    }

    fn append(&mut self) {
        let request = Append {
            content_type: Some(ContentType::default_type()),
            close: false,
            producer: None,
            seq: None,
            if_match: None,
        };
        let appended = self.stream.append(&request, b"0123456789", self.now);
        appended.unwrap();
    }

    /// Appends, and lets everything be done that there is to do then and later.
    fn fill(&mut self) {
        for _ in 0..60 {
            self.append();
            self.work();
        }
        self.rest();
    }

    fn work(&mut self) {
        loop {
            let (job, errors) = self.stream.next_job(&ABLE, self.now);
            assert_eq!(errors, []);
            let Some(job) = job else {
                break;
            };
            let outcome = self.bucket.carry_out(&job, Fault::None, self.now);
            let is_done = self.stream.finish(job, outcome.unwrap(), self.now);
            assert_eq!(is_done, Ok(true));
        }
        for fork in self.stream.doubtful_forks(self.now).unwrap() {
            self.stream.settle(&fork, true, self.now).unwrap();
        }
        let next = self.stream.next_alarm(&ABLE, self.now).unwrap();
        assert!(next.is_none_or(|next| next > self.now));
    }

    fn rest(&mut self) {
        self.now += GRACE;
        self.work();
    }

    /// Objects that are not in the index.
    fn held(&self) -> usize {
        let index = segment::before(&self.database, Offset::MAX).unwrap();
        self.bucket.objects.len() - index.len()
    }
}

impl Sqlite {
    fn write_one(&self, sql: &str, params: Vec<Param>) {
        Storage::write(&self, &[Statement { sql, params }]).unwrap();
    }
}

#[test]
fn what_the_last_release_has_claimed_keeps_everything_and_moves_on() {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    source.fill();
    assert_eq!(source.held(), 0);
    database.write_one(TABLE_1, Vec::new());
    source.claim_as_version_1(1);
    source.fill();
    let held = source.held();
    assert!(held > 20, "{held}");
    // Nothing is to be swept, but the fork is asked again: it may have gone without a word.
    let next = source.stream.next_alarm(&ABLE, source.now).unwrap();
    let within_a_day = source.now..=source.now + RECHECK;
    assert!(
        next.is_some_and(|next| within_a_day.contains(&next)),
        "{next:?}"
    );

    // One that is made now needs what was left later, of what was there before.
    source.lend(2).unwrap();
    source.fill();
    let more = source.held() - held;
    assert!(more > 20, "{more}");
    assert_eq!(source.stream.release(&named(1), source.now), Ok(None));
    source.rest();
    let left = source.held();
    assert!(0 < left && left < more, "{left}");
    assert_eq!(source.stream.release(&named(2), source.now), Ok(None));
    source.rest();
    assert_eq!(source.held(), 0);
}

#[test]
fn the_last_release_can_claim_again() {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    source.fill();
    source.lend(1).unwrap();
    source.claim_as_version_1(2);
    source.fill();
    let everything = source.held();
    assert_eq!(source.stream.release(&named(2), source.now), Ok(None));
    source.rest();
    assert!(0 < source.held() && source.held() < everything);
    assert_eq!(source.stream.release(&named(1), source.now), Ok(None));
    source.rest();
    assert_eq!(source.held(), 0);
}

/// Whether the stream goes at once or is kept for a fork for a while: what was on its way when it
/// was deleted goes, too.
#[test]
fn what_was_on_its_way_goes_with_the_stream() {
    for waits in [false, true] {
        let database = Sqlite::new();
        let mut source = Source::new(&database);
        for _ in 0..8 {
            source.append();
        }
        let (job, _) = source.stream.next_job(&ABLE, source.now);
        source.lend(1).unwrap();
        let unheard = source
            .bucket
            .carry_out(&job.unwrap(), Fault::Unheard, source.now);
        assert!(unheard.is_some() && source.bucket.objects.len() == 1);
        source.restart();
        assert_eq!(source.stream.delete(source.now), Ok(End::Kept));
        source.work();
        if waits {
            source.rest();
            assert!(source.bucket.objects.is_empty());
        }
        let gone = source.stream.release(&named(1), source.now);
        assert_eq!(gone, Ok(Some(End::Gone(None))));
        source.work();
        assert!(source.bucket.objects.is_empty());
    }
}

/// The first answer may have been lost, or come late.
#[test]
fn whoever_claims_twice_may_have_been_given_either() {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    source.fill();
    let first = source.lend(1).unwrap();
    source.fill();
    let second = source.lend(1).unwrap();
    source.fill();
    source.restart();
    source.fill();
    for segment in first.segments.iter().chain(&second.segments) {
        let key = segment.key("another");
        assert!(source.bucket.objects.contains_key(&key), "{key}");
    }
    assert_eq!(source.stream.release(&named(1), source.now), Ok(None));
    source.rest();
    assert_eq!(source.held(), 0);
}

#[test]
fn what_a_newer_release_has_written_is_left_alone() {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    source.fill();
    source.lend(1).unwrap();
    source.fill();
    assert!(source.held() > 0);
    let newer = |what: &str| {
        // Rows of notes, of the generation, of intents, and of segments.
        let rows = match what {
            "notes" => "id BETWEEN -2251799813685248 AND -2111062325329921",
            "generation" => "id = -5002",
            _ => "id < -2251799813685249",
        };
        let body = Param::Blob(br#"{"v":99,"another":"form"}"#);
        let sql = format!("UPDATE stream SET body = ?1 WHERE {rows}");
        database.write_one(&sql, vec![body]);
    };
    let refused = |error: &Error| matches!(error, Error::Newer(_));

    newer("notes");
    source.restart();
    let written = database.written.get();
    source.now += GRACE;
    let (_, errors) = source.stream.next_job(&ABLE, source.now);
    assert!(
        errors.iter().all(refused) && errors.len() == 1,
        "{errors:?}"
    );

    newer("generation");
    let lent = source.lend(2);
    assert!(lent.as_ref().is_err_and(refused), "{lent:?}");

    newer("segments");
    source.restart();
    let head = source.stream.head(source.now);
    assert!(head.as_ref().is_err_and(refused), "{head:?}");
    let rows = database.written.get() - written;
    let changed_here =
        database.read_one("SELECT count(*) FROM stream WHERE id < -2251799813685249");
    assert_eq!(rows, 1 + changed_here, "only what this test has changed");
}

impl Sqlite {
    fn read_one(&self, sql: &str) -> u64 {
        let mut found = 0;
        let read = Storage::query(&self, sql, &[], &mut |row| {
            found = row.integer(0);
            std::ops::ControlFlow::Break(())
        });
        read.unwrap();
        found.try_into().unwrap()
    }
}

#[test]
fn who_is_not_heard_of_is_asked_again_after_a_while() {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    for n in 1..4 {
        source.lend(n).unwrap();
    }
    let due = FIRST_CHECK;
    assert_eq!(source.stream.next_alarm(&ABLE, 0), Ok(Some(due)));
    assert_eq!(source.stream.doubtful_forks(due - 1), Ok(Vec::new()));
    let forks = source.stream.doubtful_forks(due).unwrap();
    assert_eq!(forks.iter().map(number_of).collect::<Vec<_>>(), [1, 2, 3]);
    source.stream.settle(&forks[0], true, due).unwrap();
    assert_eq!(source.stream.release(&forks[1], due), Ok(None));
    // Nothing is known of the third.
    let again = due + FIRST_CHECK;
    assert_eq!(source.stream.next_alarm(&ABLE, due), Ok(Some(again)));
    assert_eq!(source.stream.doubtful_forks(due), Ok(Vec::new()));
    assert_eq!(source.stream.next_alarm(&ABLE, due), Ok(Some(again)));
    assert_eq!(source.stream.doubtful_forks(again), Ok(vec![named(3)]));
    // It is being made.
    source.stream.settle(&named(3), false, again).unwrap();
    let later = again + FIRST_CHECK;
    assert_eq!(source.stream.next_alarm(&ABLE, again), Ok(Some(later)));
    source.restart();
    assert_eq!(source.stream.next_alarm(&ABLE, again), Ok(Some(later)));
    assert_eq!(source.stream.doubtful_forks(later), Ok(vec![named(3)]));
    source.stream.settle(&named(3), true, later).unwrap();
    assert_eq!(source.stream.next_alarm(&ABLE, later), Ok(None));
}

/// Rows read from when a source is deleted until all of its forks were asked, a third of which
/// are gone.
fn rows_read_to_ask(forks: u64) -> u64 {
    let database = Sqlite::new();
    let mut source = Source::new(&database);
    for n in 1..=forks {
        source.lend(n).unwrap();
    }
    let stream = &mut source.stream;
    assert_eq!(stream.delete(1), Ok(End::Kept));
    database.read.set(0);
    let mut asked = BTreeSet::new();
    while stream.next_alarm(&ABLE, 2).unwrap() <= Some(2) {
        for fork in stream.doubtful_forks(2).unwrap() {
            let n = number_of(&fork);
            assert!(asked.insert(n), "{n} was asked twice");
            if n.is_multiple_of(3) {
                assert_eq!(stream.release(&fork, 2), Ok(None));
            } else {
                stream.settle(&fork, true, 2).unwrap();
            }
        }
    }
    assert_eq!(asked.len() as u64, forks);
    assert_eq!(stream.next_alarm(&ABLE, 2), Ok(Some(2 + RECHECK)));
    assert_eq!(stream.doubtful_forks(2), Ok(Vec::new()));
    database.read.get()
}

#[test]
fn asking_forks_costs_what_there_are() {
    let few = rows_read_to_ask(500);
    let many = rows_read_to_ask(2000);
    println!("{few} rows for 500, {many} for 2000");
    assert!(few <= 500 * 20, "{few} rows");
    assert!(many <= few * 5, "{few} rows for 500 forks, {many} for 2000");
}
