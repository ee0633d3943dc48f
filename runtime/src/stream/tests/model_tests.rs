//! Random operations on a stream over SQLite, held against a model that is too simple to be
//! wrong; with failures injected before every statement.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::KEY;
use super::sqlite::Sqlite;
use crate::protocol::condition::Condition;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::producer::{self, Accepted, Claim, Verdict};
use crate::protocol::reply::Page;
use crate::protocol::request::{Append, Create, Read, ReadFrom};
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::log::chunk::RowLimits;
use crate::stream::tier::upkeep::{Abilities, Outcome};
use crate::stream::verbs::delete::End;

/// So small that chunks, rows and pages end all the time.
const LIMITS: RowLimits = RowLimits { chunk: 24, row: 40 };

const TTL_SECONDS: u64 = 100;

fn json() -> ContentType {
    ContentType::parse("application/json").unwrap()
}

fn create(content_type: ContentType, ttl: bool) -> Create {
    let expiry = ttl.then_some(Expiry::Ttl(TTL_SECONDS));
    Create {
        content_type: Some(content_type),
        expiry,
        closed: false,
        public: false,
        fork: None,
        retention: None,
        will: None,
    }
}

fn named(incarnation: &str) -> Name {
    Name {
        path: "a/b".into(),
        incarnation: incarnation.into(),
    }
}

fn from(position: u64) -> Read {
    Read {
        from: ReadFrom::At(Offset::new(position).unwrap()),
        live: None,
        cursor: None,
        if_none_match: None,
    }
}

fn only_at(offset: Offset) -> Condition {
    Condition::At(vec![offset])
}

/// What a client wants to do.
#[derive(Clone, Debug)]
enum Op {
    Create {
        first: Vec<String>,
        ttl: bool,
    },
    Append {
        messages: Vec<String>,
        claim: Option<(u8, u64, u64)>,
        seq: Option<String>,
        /// How far before the tail it is to be, for an append that asks for it.
        behind: Option<u64>,
        close: bool,
    },
    Close {
        claim: Option<(u8, u64, u64)>,
        behind: Option<u64>,
    },
    /// Drops what lies so far before the tail and further, when it is so far before it.
    Truncate {
        left: u64,
        behind: Option<u64>,
    },
    /// Removes from storage what was dropped.
    Tidy,
    Read {
        at: u64,
        max: usize,
    },
    Head,
    Delete,
    Wait {
        seconds: u64,
    },
    Expire,
    /// The object is evicted from memory, or crashes.
    Restart,
}

fn any_op() -> impl Strategy<Value = Op> {
    let message = prop_oneof![4 => "[a-z]{0,9}", 1 => "[a-z]{30,130}"];
    let messages = proptest::collection::vec(message, 1..6);
    let claim = proptest::option::of((0u8..2, 0u64..2, 0u64..4));
    let seq = proptest::option::weighted(0.2, "[a-c]{1,2}");
    let behind = proptest::option::weighted(0.3, 0u64..2);
    prop_oneof![
        2 => (messages.clone(), any::<bool>()).prop_map(|(first, ttl)| Op::Create { first, ttl }),
        12 => (messages, claim.clone(), seq, behind.clone(), proptest::bool::weighted(0.05))
            .prop_map(|(messages, claim, seq, behind, close)| Op::Append {
                messages, claim, seq, behind, close,
            }),
        1 => (claim, behind.clone()).prop_map(|(claim, behind)| Op::Close { claim, behind }),
        3 => (prop_oneof![Just(0), 0u64..40], behind)
            .prop_map(|(left, behind)| Op::Truncate { left, behind }),
        2 => Just(Op::Tidy),
        6 => (0u64..40, 1usize..120).prop_map(|(at, max)| Op::Read { at, max }),
        1 => Just(Op::Head),
        1 => Just(Op::Delete),
        3 => (0u64..70).prop_map(|seconds| Op::Wait { seconds }),
        1 => Just(Op::Expire),
        3 => Just(Op::Restart),
    ]
}

fn claimed((id, epoch, seq): (u8, u64, u64)) -> Claim {
    Claim {
        id: format!("p{id}"),
        epoch,
        seq,
    }
}

/// A stream as the protocol describes it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// JSON messages, or single bytes.
    items: Vec<Vec<u8>>,
    closed: bool,
    closed_by: Option<Claim>,
    producers: std::collections::BTreeMap<String, Accepted>,
    seq: Option<String>,
    ttl: bool,
    earliest: u64,
}

impl Model {
    fn overtaken(&self, if_match: Option<&Condition>) -> Option<Error> {
        let tail = Offset::new(self.items.len() as u64).unwrap();
        let wanted = if_match.filter(|at| **at != only_at(tail));
        wanted.map(|_| Error::Overtaken {
            tail,
            closed: self.closed,
        })
    }

    fn append(&mut self, request: &Append, items: Vec<Vec<u8>>) -> Result<bool, Error> {
        let tail = Offset::new(self.items.len() as u64).unwrap();
        if self.closed {
            if request.producer.is_some() && self.closed_by == request.producer {
                return Ok(false);
            }
            if request.content_type.is_some() || request.producer.is_some() {
                return Err(Error::Closed { tail });
            }
            return self
                .overtaken(request.if_match.as_ref())
                .map_or(Ok(false), Err);
        }
        if let Some(claim) = &request.producer {
            let known = self.producers.get(&claim.id).copied();
            if producer::judge(known, claim)? != Verdict::Append {
                return Ok(false);
            }
        }
        if let Some(error) = self.overtaken(request.if_match.as_ref()) {
            return Err(error);
        }
        if let (Some(last), Some(seq)) = (&self.seq, &request.seq)
            && seq <= last
        {
            return Err(Error::SeqRegression { last: last.clone() });
        }
        if let Some(claim) = &request.producer {
            let accepted = Accepted {
                epoch: claim.epoch,
                seq: claim.seq,
            };
            self.producers.insert(claim.id.clone(), accepted);
        }
        self.seq = request.seq.clone().or(self.seq.take());
        self.items.extend(items);
        if request.close {
            self.closed = true;
            self.closed_by = request.producer.clone();
        }
        Ok(true)
    }
}

/// A stream under test, its model, and the time.
struct Bench<'a> {
    database: &'a Sqlite,
    stream: Stream<&'a Sqlite>,
    model: Option<Model>,
    is_json: bool,
    now: u64,
    /// Between these times the stream may have expired or not: after a restart it is given up
    /// to a tenth of its TTL more.
    deadline: (u64, u64),
    lives: u64,
}

impl<'a> Bench<'a> {
    fn new(database: &'a Sqlite, is_json: bool) -> Self {
        let stream = Stream::with_limits(database, LIMITS);
        Self {
            database,
            stream,
            model: None,
            is_json,
            now: 1_000_000,
            deadline: (0, 0),
            lives: 0,
        }
    }

    fn content_type(&self) -> ContentType {
        if self.is_json {
            json()
        } else {
            ContentType::parse("text/plain").unwrap()
        }
    }

    /// A request body and the items it is made of.
    fn body(&self, messages: &[String]) -> (Vec<u8>, Vec<Vec<u8>>) {
        if self.is_json {
            let items: Vec<_> = messages
                .iter()
                .map(|m| format!("\"{m}\"").into_bytes())
                .collect();
            (
                format!("[{}]", String::from_utf8(items.join(&b","[..])).unwrap()).into_bytes(),
                items,
            )
        } else {
            // A byte stream has no empty appends.
            let body = format!("{}.", messages.concat()).into_bytes();
            let items = body.iter().map(|b| vec![*b]).collect();
            (body, items)
        }
    }

    /// The condition of a writer who believes the tail to be so far behind.
    fn behind(&self, behind: Option<u64>) -> Option<Condition> {
        let tail = self
            .model
            .as_ref()
            .map_or(0, |model| model.items.len() as u64);
        behind.map(|behind| only_at(Offset::new(tail.saturating_sub(behind)).unwrap()))
    }

    fn name(&self) -> Name {
        named(&self.lives.to_string())
    }

    fn restart(&mut self) {
        self.stream = Stream::with_limits(self.database, LIMITS);
    }

    /// What is there at this time, or nothing when the test cannot know.
    fn settle(&mut self) -> bool {
        let expires = self.model.as_ref().is_some_and(|model| model.ttl);
        if expires && self.now >= self.deadline.0 {
            if self.now < self.deadline.1 {
                return false;
            }
            self.model = None;
        }
        true
    }

    fn accessed(&mut self) {
        let ttl = TTL_SECONDS * 1000;
        self.deadline = (self.now + ttl, self.now + ttl + ttl / 10);
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        if !self.settle() {
            // Nothing can be said of it; go on when something can.
            self.now = self.deadline.1;
            self.settle();
        }
        self.stream
            .expire(self.now)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        match op {
            Op::Create { first, ttl } => self.create(first, *ttl)?,
            Op::Append {
                messages,
                claim,
                seq,
                behind,
                close,
            } => {
                let (body, items) = self.body(messages);
                let producer = claim.map(claimed);
                let content_type = Some(self.content_type());
                let request = Append {
                    content_type,
                    close: *close,
                    producer,
                    seq: seq.clone(),
                    if_match: self.behind(*behind),
                };
                self.append(&request, &body, items)?;
            }
            Op::Close { claim, behind } => {
                let request = Append {
                    content_type: None,
                    close: true,
                    producer: claim.map(claimed),
                    seq: None,
                    if_match: self.behind(*behind),
                };
                self.append(&request, b"", Vec::new())?;
            }
            Op::Truncate { left, behind } => self.truncate(*left, *behind)?,
            Op::Tidy => {
                // There is no bucket.
                let can = Abilities {
                    bucket: false,
                    limits: None,
                };
                while let (Some(job), errors) = self.stream.next_job(&can, self.now) {
                    prop_assert_eq!((job.name(), errors.len()), ("drop", 0));
                    let finished = self.stream.finish(job, Outcome::Removed, self.now);
                    prop_assert_eq!(finished, Ok(true));
                }
            }
            Op::Read { at, max } => self.read(*at, *max)?,
            Op::Head => {
                let expected = self
                    .model
                    .as_ref()
                    .map(|m| (m.items.len() as u64, m.closed));
                let found = self
                    .stream
                    .head(self.now)
                    .map(|h| (h.tail.position(), h.closed));
                prop_assert_eq!(found, expected.ok_or(Error::NotFound));
            }
            Op::Delete => {
                let expected = self.model.take().map(|_| ()).ok_or(Error::NotFound);
                prop_assert_eq!(self.stream.delete(self.now).map(drop), expected);
            }
            Op::Wait { seconds } => self.now += seconds * 1000,
            Op::Expire => {
                let ended = self.stream.expire(self.now);
                prop_assert_eq!(ended, Ok(None), "it has ended before");
            }
            Op::Restart => self.restart(),
        }
        Ok(())
    }

    fn create(&mut self, first: &[String], ttl: bool) -> Result<(), TestCaseError> {
        let (body, items) = self.body(first);
        let request = create(self.content_type(), ttl);
        self.lives += 1;
        let created = self
            .stream
            .create(&request, None, &body, self.name(), KEY, self.now);
        match &self.model {
            None => {
                let created = created.map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert!(created.is_new);
                prop_assert_eq!(created.tail.position(), items.len() as u64);
                self.model = Some(Model {
                    items,
                    ttl,
                    ..Model::default()
                });
                self.accessed();
            }
            Some(model) if model.ttl == ttl && !model.closed => {
                let created = created.map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert!(!created.is_new);
                prop_assert_eq!(created.tail.position(), model.items.len() as u64);
            }
            Some(_) => prop_assert!(matches!(created, Err(Error::Exists(_)))),
        }
        Ok(())
    }

    fn append(
        &mut self,
        request: &Append,
        body: &[u8],
        items: Vec<Vec<u8>>,
    ) -> Result<(), TestCaseError> {
        let appended = self.stream.append(request, body, self.now);
        let Some(model) = &mut self.model else {
            prop_assert_eq!(appended, Err(Error::NotFound));
            return Ok(());
        };
        let before = model.items.len() as u64;
        let expected = model.append(request, items);
        let after = model.items.len() as u64;
        match (appended, expected) {
            (Ok(appended), Ok(is_new)) => {
                prop_assert_eq!(appended.tail.position(), after);
                prop_assert_eq!(appended.count, after - before);
                prop_assert_eq!(appended.closed, model.closed);
                prop_assert_eq!(
                    appended.is_new_data,
                    is_new && request.content_type.is_some()
                );
            }
            (appended, expected) => prop_assert_eq!(appended.map(|_| ()), expected.map(|_| ())),
        }
        self.accessed();
        Ok(())
    }

    fn truncate(&mut self, left: u64, behind: Option<u64>) -> Result<(), TestCaseError> {
        let length = self
            .model
            .as_ref()
            .map_or(0, |model| model.items.len() as u64);
        let before = length.saturating_sub(left);
        let request = Truncate {
            before: Offset::new(before).unwrap(),
            if_match: self.behind(behind),
        };
        let truncated = self.stream.truncate(&request, self.now);
        let Some(model) = &mut self.model else {
            prop_assert_eq!(truncated, Err(Error::NotFound));
            return Ok(());
        };
        if let Some(overtaken) = model.overtaken(request.if_match.as_ref()) {
            prop_assert_eq!(truncated, Err(overtaken));
        } else {
            model.earliest = model.earliest.max(before);
            let truncated = truncated.map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(truncated.earliest.position(), model.earliest);
            prop_assert_eq!(truncated.tail.position(), length);
            prop_assert_eq!(truncated.closed, model.closed);
        }
        self.accessed();
        Ok(())
    }

    fn read(&mut self, at: u64, max: usize) -> Result<(), TestCaseError> {
        let page = self.stream.read(&from(at), max, self.now);
        let Some(model) = &self.model else {
            prop_assert_eq!(page, Err(Error::NotFound));
            return Ok(());
        };
        let len = model.items.len() as u64;
        if at > len {
            let refused = matches!(
                page,
                Err(Error::Invalid {
                    field: "offset",
                    ..
                })
            );
            prop_assert!(refused);
        } else if at < model.earliest {
            let earliest = Offset::new(model.earliest).unwrap();
            prop_assert_eq!(page, Err(Error::Truncated { earliest }));
        } else {
            let page = page.map_err(|e| TestCaseError::fail(e.to_string()))?;
            let next = page.next.position();
            prop_assert!(next > at || at == len);
            prop_assert_eq!(page.count, next - at);
            prop_assert_eq!(page.up_to_date, next == len);
            prop_assert_eq!(page.closed, model.closed && next == len);
            let expected = &model.items[at as usize..next as usize];
            prop_assert_eq!(items_of(&page, self.is_json), expected);
            prop_assert!(
                page.body.len() <= max + 1 || page.count == 1,
                "{} bytes",
                page.body.len()
            );
        }
        self.accessed();
        Ok(())
    }

    /// Everything in the stream, page by page.
    fn everything(&mut self) -> Result<Option<Vec<Vec<u8>>>, TestCaseError> {
        let mut items = Vec::new();
        let mut request = Read {
            from: ReadFrom::Start,
            ..from(0)
        };
        loop {
            match self.stream.read(&request, 50, self.now) {
                Ok(page) => {
                    items.extend(items_of(&page, self.is_json));
                    request = from(page.next.position());
                    if page.up_to_date {
                        return Ok(Some(items));
                    }
                }
                Err(Error::NotFound) => return Ok(None),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}

fn items_of(page: &Page, is_json: bool) -> Vec<Vec<u8>> {
    if is_json {
        let items: Vec<&RawValue> = serde_json::from_slice(&page.body).unwrap();
        items
            .iter()
            .map(|item| item.get().as_bytes().to_vec())
            .collect()
    } else {
        page.body.iter().map(|b| vec![*b]).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_stream_does_what_the_model_does(
        is_json: bool,
        ops in proptest::collection::vec(any_op(), 1..50),
    ) {
        let database = Sqlite::new();
        let mut bench = Bench::new(&database, is_json);
        bench.create(&["x".into()], false)?;
        for op in &ops {
            bench.run(op)?;
        }
        bench.restart();
        if bench.settle() {
            let kept = |model: &Model| model.items[model.earliest as usize..].to_vec();
            let expected = bench.model.as_ref().map(kept);
            prop_assert_eq!(bench.everything()?, expected);
        }
    }

    /// Whatever statement an append crashes at: without an acknowledgement nothing of it is there,
    /// with one all of it is, and after a repetition it is there once.
    #[test]
    fn a_crash_finds_an_append_whole_or_not_at_all(
        is_json: bool,
        before in proptest::collection::vec(proptest::collection::vec("[a-z]{0,60}", 1..4), 0..4),
        messages in proptest::collection::vec("[a-z]{0,60}", 1..8),
        by_producer: bool,
        close: bool,
        statements in 0u32..12,
    ) {
        let database = Sqlite::new();
        let mut bench = Bench::new(&database, is_json);
        bench.create(&["x".into()], false)?;
        let content_type = Some(bench.content_type());
        let plain = Append { content_type: content_type.clone(), close: false, producer: None, seq: None, if_match: None };
        for messages in &before {
            let (body, items) = bench.body(messages);
            bench.append(&plain, &body, items)?;
        }
        let producer = by_producer.then(|| Claim { id: "p".into(), epoch: 0, seq: 0 });
        let request = Append { content_type, close, producer, seq: Some("s".into()), if_match: None };
        let (body, items) = bench.body(&messages);

        database.fail_after(statements);
        let outcome = bench.stream.append(&request, &body, bench.now);
        let failed = database.heal() && outcome.is_err();
        if failed {
            prop_assert!(matches!(outcome, Err(Error::Storage(_))));
            let unchanged = bench.model.as_ref().unwrap().items.clone();
            prop_assert_eq!(bench.everything()?, Some(unchanged.clone()), "with the same object");
            bench.restart();
            prop_assert_eq!(bench.everything()?, Some(unchanged), "with a new one");
            bench.append(&request, &body, items)?;
        } else {
            prop_assert!(outcome.is_ok());
            bench.restart();
            let model = bench.model.as_mut().unwrap();
            let _ = model.append(&request, items);
        }
        let expected = bench.model.as_ref().unwrap().items.clone();
        prop_assert_eq!(bench.everything()?, Some(expected));
        if by_producer {
            let again = bench.stream.append(&request, &body, bench.now).unwrap();
            prop_assert_eq!((again.count, again.is_new_data), (0, false));
        }
    }

    #[test]
    fn a_crash_finds_a_creation_whole_or_not_at_all(is_json: bool, statements in 0u32..8) {
        let database = Sqlite::new();
        let mut bench = Bench::new(&database, is_json);
        let (body, items) = bench.body(&["a".repeat(50), "b".into()]);
        let request = create(bench.content_type(), true);
        database.fail_after(statements);
        let outcome = bench.stream.create(&request, None, &body, named("1"), KEY, bench.now);
        database.heal();
        bench.restart();
        let there = bench.everything()?;
        match outcome {
            Ok(_) => prop_assert_eq!(there, Some(items)),
            Err(_) => prop_assert_eq!(there, None),
        }
    }
}

#[test]
fn accesses_are_noted_ten_times_a_ttl_at_most() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    stream
        .create(&create(json(), true), None, b"[1]", named("1"), KEY, 0)
        .unwrap();
    let before = database.written.get();
    for now in 0..100 {
        stream.read(&from(0), 100, now * 1000).unwrap();
    }
    let written = database.written.get() - before;
    assert!((8..=10).contains(&written), "{written}");
}

#[test]
fn after_a_restart_a_stream_ends_late_rather_than_early() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    stream
        .create(&create(json(), true), None, b"[1]", named("1"), KEY, 0)
        .unwrap();
    // Accessed, but too soon after the creation to be noted.
    stream.read(&from(0), 100, 9_000).unwrap();
    assert_eq!(stream.deadline(), Some(109_000));
    let mut stream = Stream::new(&database);
    assert!(stream.head(109_000 - 1).is_ok());
    assert_eq!(stream.deadline(), Some(110_000));
    assert_eq!(stream.head(110_000), Err(Error::NotFound));
    assert_eq!(stream.expire(110_000), Ok(Some(End::Gone(None))));
    assert_eq!(stream.expire(110_000), Ok(None), "nothing is there to end");
}

#[test]
fn what_expired_makes_room_for_a_new_stream() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    stream
        .create(&create(json(), true), None, b"[1]", named("1"), KEY, 0)
        .unwrap();
    let second = create(json(), false);
    let before = stream.create(&second, None, b"[2,3]", named("2"), KEY, 200_000);
    assert!(
        matches!(before, Err(Error::Storage(_))),
        "its end has consequences, which nobody has drawn"
    );
    assert_eq!(stream.expire(200_000), Ok(Some(End::Gone(None))));
    let created = stream
        .create(&second, None, b"[2,3]", named("2"), KEY, 200_000)
        .unwrap();
    assert!(created.is_new);
    let page = stream.read(&from(0), 100, 200_000).unwrap();
    assert_eq!(page.body, b"[2,\n3]");
    assert_eq!(page.etag.as_deref(), Some("\"2:0:2\""));
}

#[test]
fn a_refused_creation_leaves_nothing() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    let refused = stream.create(&create(json(), false), None, b"{", named("1"), KEY, 0);
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            field: "the body",
            ..
        })
    ));
    assert_eq!(stream.head(0), Err(Error::NotFound));
    assert!(
        stream
            .create(&create(json(), false), None, b"[]", named("1"), KEY, 0)
            .unwrap()
            .is_new
    );
}

#[test]
fn nothing_joins_a_message_in_parts() {
    let database = Sqlite::new();
    let mut bench = Bench::new(&database, true);
    // Parts of 40 and 2 bytes: the last one is small enough to be joined.
    bench.create(&["a".repeat(40)], false).unwrap();
    for _ in 0..2 {
        bench.restart();
        let append = Op::Append {
            messages: vec!["b".into()],
            claim: None,
            seq: None,
            behind: None,
            close: false,
        };
        bench.run(&append).unwrap();
    }
    let expected = bench.model.clone().unwrap().items;
    assert_eq!(bench.everything().unwrap(), Some(expected));
}

#[test]
fn small_appends_share_a_row() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    stream
        .create(&create(json(), false), None, b"", named("1"), KEY, 0)
        .unwrap();
    let content_type = Some(json());
    let request = Append {
        content_type,
        close: false,
        producer: None,
        seq: None,
        if_match: None,
    };
    let before = database.written.get();
    for _ in 0..1000 {
        stream.append(&request, b"{\"text\":\"hello\"}", 0).unwrap();
    }
    assert_eq!(database.written.get() - before, 1000, "one row an append");
    let mut rows = 0;
    crate::stream::storage::Storage::query(&&database, "SELECT id FROM stream", &[], &mut |_| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rows, 6, "18 KB in chunks of 3200 bytes");
}

/// A stream that was truncated to its tail has nothing left that could say where that is.
#[test]
fn what_is_left_of_nothing_is_its_end() {
    let database = Sqlite::new();
    let mut bench = Bench::new(&database, true);
    let append = |text: &str, seq: &str, claim| Op::Append {
        messages: vec![text.into()],
        claim,
        seq: Some(seq.into()),
        behind: None,
        close: false,
    };
    bench.create(&["x".into()], false).unwrap();
    let first = Some((0, 0, 0));
    bench.run(&append("y", "b", first)).unwrap();
    let all = Op::Truncate {
        left: 0,
        behind: Some(0),
    };
    for op in [all, Op::Tidy, Op::Restart] {
        bench.run(&op).unwrap();
    }
    let mut rows = 0;
    let sql = "SELECT id FROM stream WHERE id >= 0";
    crate::stream::storage::Storage::query(&&database, sql, &[], &mut |_| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rows, 0);
    assert_eq!(bench.everything().unwrap(), Some(Vec::new()));
    // The sequence and the producer go on, and so do offsets.
    for op in [
        append("z", "d", first),
        append("z", "b", None),
        Op::Read { at: 1, max: 9 },
    ] {
        bench.run(&op).unwrap();
    }
    let op = Op::Append {
        messages: vec!["z".into()],
        claim: None,
        seq: Some("c".into()),
        behind: Some(0),
        close: false,
    };
    bench.run(&op).unwrap();
    bench.run(&Op::Restart).unwrap();
    bench.run(&Op::Read { at: 2, max: 9 }).unwrap();
    assert_eq!(bench.everything().unwrap(), Some(vec![b"\"z\"".to_vec()]));
}

fn append_if(if_match: Condition) -> Append {
    Append {
        content_type: Some(json()),
        close: false,
        producer: None,
        seq: None,
        if_match: Some(if_match),
    }
}

/// Two writers have read the same tail.
#[test]
fn whoever_was_faster_has_won() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    let creation = create(json(), false);
    let absent = stream.append(&append_if(Condition::Anywhere), b"1", 0);
    assert_eq!(absent, Err(Error::NotFound));
    stream
        .create(&creation, None, b"[1]", named("1"), KEY, 0)
        .unwrap();
    let at = |position| Offset::new(position).unwrap();
    let before = database.written.get();
    let first = stream.append(&append_if(only_at(at(1))), b"[2,3]", 0);
    assert_eq!(first.unwrap().tail, at(3));
    assert_eq!(database.written.get() - before, 1, "no row more");
    let second = Append {
        producer: Some(claimed((0, 0, 0))),
        seq: Some("a".into()),
        ..append_if(only_at(at(1)))
    };
    let overtaken = Error::Overtaken {
        tail: at(3),
        closed: false,
    };
    let lost = stream.append(&second, b"4", 0);
    assert_eq!(lost, Err(overtaken));
    assert_eq!(
        database.written.get() - before,
        1,
        "also not of the producer"
    );
    let again = Append {
        if_match: Some(Condition::At(vec![at(1), at(3)])),
        ..second.clone()
    };
    assert_eq!(stream.append(&again, b"4", 0).unwrap().tail, at(4));
    // A repetition is not told that it has lost.
    for request in [again, second] {
        let repeated = stream.append(&request, b"4", 0).unwrap();
        assert_eq!((repeated.tail, repeated.is_new_data), (at(4), false));
    }
    let anywhere = stream.append(&append_if(Condition::Anywhere), b"5", 0);
    assert_eq!(anywhere.unwrap().tail, at(5));
}

fn with_a_message(database: &Sqlite) -> Stream<&Sqlite> {
    let mut stream = Stream::new(database);
    let creation = create(json(), false);
    let created = stream.create(&creation, None, b"[1]", named("1"), KEY, 0);
    assert_eq!(created.unwrap().count, 1);
    stream
}

#[test]
fn a_close_is_overtaken_like_any_append() {
    let database = Sqlite::new();
    let mut stream = with_a_message(&database);
    let at = |position| Offset::new(position).unwrap();
    let close = |tail| Append {
        content_type: None,
        close: true,
        ..append_if(only_at(at(tail)))
    };
    let overtaken = |closed| {
        Err(Error::Overtaken {
            tail: at(1),
            closed,
        })
    };
    assert_eq!(stream.append(&close(0), b"", 0), overtaken(false));
    assert!(!stream.head(0).unwrap().closed);
    for _ in 0..2 {
        assert!(stream.append(&close(1), b"", 0).unwrap().closed);
    }
    assert_eq!(stream.append(&close(0), b"", 0), overtaken(true));
    let late = stream.append(&append_if(only_at(at(1))), b"2", 0);
    assert_eq!(late, Err(Error::Closed { tail: at(1) }));
}

/// Of producers, only the one that has closed a stream may close it again.
#[test]
fn another_producer_has_not_closed_the_stream() {
    let database = Sqlite::new();
    let mut stream = with_a_message(&database);
    let close = |producer| Append {
        content_type: None,
        close: true,
        producer,
        seq: None,
        if_match: None,
    };
    let by = |id, seq| close(Some(claimed((id, 0, seq))));
    assert!(stream.append(&by(0, 0), b"", 0).unwrap().closed);
    let tail = Offset::new(1).unwrap();
    for (id, seq) in [(1, 0), (0, 1)] {
        let refused = stream.append(&by(id, seq), b"", 0);
        assert_eq!(refused, Err(Error::Closed { tail }));
    }
    assert!(stream.append(&by(0, 0), b"", 0).unwrap().closed);
    assert!(stream.append(&close(None), b"", 0).unwrap().closed);
}

#[test]
fn pages_tell_caches_how_long() {
    use crate::protocol::reply::Caching;
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    let at = Expiry::parse_at("1970-01-01T00:01:40Z");
    let request = Create {
        content_type: Some(json()),
        expiry: at,
        closed: false,
        public: false,
        fork: None,
        retention: None,
        will: None,
    };
    stream
        .create(&request, None, b"[1]", named("1"), KEY, 0)
        .unwrap();
    let mut caching = |from, now| {
        stream
            .read(
                &Read {
                    from,
                    live: None,
                    cursor: None,
                    if_none_match: None,
                },
                100,
                now,
            )
            .unwrap()
            .caching
    };
    assert_eq!(
        caching(ReadFrom::Start, 0),
        Caching::MaxAge {
            fresh: 60,
            stale: 40
        }
    );
    assert_eq!(
        caching(ReadFrom::Start, 70_500),
        Caching::MaxAge {
            fresh: 29,
            stale: 0
        }
    );
    assert_eq!(caching(ReadFrom::Now, 0), Caching::NoStore);
    assert_eq!(
        caching(ReadFrom::At(Offset::new(1).unwrap()), 0),
        Caching::Revalidate
    );
}
