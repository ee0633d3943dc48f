//! Streams that fork each other over one bucket, while every message between them may be lost and
//! every machine may fail, held against a model that cannot.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::KEY;
use super::bucket::{Bucket, Fault, any_fault};
use super::simulation::{ABLE, ROWS, items_of};
use super::sqlite::Sqlite;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::part::Plan;
use crate::protocol::path::StreamPath;
use crate::protocol::request::{Append, Create, Fork, Read, ReadFrom};
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::family::claims::{FIRST_CHECK, RECHECK};
use crate::stream::family::lend::{Claim, Loan};
use crate::stream::tier::segment;
use crate::stream::tier::upkeep::GRACE;
use crate::stream::verbs::delete::End;

/// How many paths there are.
const PATHS: usize = 4;

/// What goes wrong when a fork is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Nothing,
    /// The fork's machine fails, or the answer is lost, before the fork is made.
    NeverMade,
    /// The fork cannot be written.
    NotWritten,
    /// Neither can it be written, nor does the source hear of that.
    NotWrittenNorReleased,
    /// The source is deleted in between, and asks whether the fork lives.
    DeletedMeanwhile,
}

#[derive(Clone, Debug)]
enum Op {
    Create(usize),
    Append(usize, String),
    /// Drops so much of a stream, in 255ths.
    Truncate(usize, u8),
    Fork {
        source: usize,
        target: usize,
        /// How much of the source, in 255ths.
        cut: u8,
        mishap: Mishap,
    },
    Delete {
        at: usize,
        /// The source does not hear of it.
        unheard: bool,
    },
    /// A source asks its forks whether they live.
    Check(usize),
    Job(usize, Fault),
    Restart(usize),
    /// The bucket is replaced by a copy of it.
    Copy,
    /// Appends, and what has to be done then.
    Fill(usize, String),
    Wait(u64),
}

fn any_op() -> impl Strategy<Value = Op> {
    let at = || 0..PATHS;
    let mishap = prop_oneof![
        5 => Just(Mishap::Nothing),
        1 => Just(Mishap::NeverMade),
        1 => Just(Mishap::NotWritten),
        1 => Just(Mishap::NotWrittenNorReleased),
        1 => Just(Mishap::DeletedMeanwhile),
    ];
    let fork =
        (at(), at(), any::<u8>(), mishap).prop_map(|(source, target, cut, mishap)| Op::Fork {
            source,
            target,
            cut,
            mishap,
        });
    prop_oneof![
        2 => at().prop_map(Op::Create),
        8 => (at(), "[a-z]{1,30}").prop_map(|(at, text)| Op::Append(at, text)),
        3 => (at(), any::<u8>()).prop_map(|(at, part)| Op::Truncate(at, part)),
        6 => fork,
        3 => (at(), proptest::bool::weighted(0.3))
            .prop_map(|(at, unheard)| Op::Delete { at, unheard }),
        2 => at().prop_map(Op::Check),
        10 => (at(), any_fault()).prop_map(|(at, fault)| Op::Job(at, fault)),
        1 => at().prop_map(Op::Restart),
        1 => Just(Op::Copy),
        3 => (at(), "[a-z]{1,20}").prop_map(|(at, text)| Op::Fill(at, text)),
        1 => (0u64..90).prop_map(Op::Wait),
    ]
}

/// A stream as its clients see it.
#[derive(Clone, Debug)]
struct Model {
    items: Vec<Vec<u8>>,
    name: Name,
    source: Option<Name>,
    /// Nothing before this can be read.
    earliest: usize,
    /// The objects it was given, which are kept for it as long as it lives.
    given: Vec<String>,
}

struct Town<'a> {
    databases: &'a [Sqlite],
    streams: Vec<Stream<&'a Sqlite>>,
    models: Vec<Option<Model>>,
    /// Streams that were deleted, as long as a fork of them may live.
    deleted: Vec<Model>,
    /// Forks that are being made.
    pending: Vec<Name>,
    bucket: Bucket,
    is_json: bool,
    now: u64,
    lives: u64,
}

type Outcome<T = ()> = Result<T, TestCaseError>;

fn fail(reason: impl ToString) -> TestCaseError {
    TestCaseError::fail(reason.to_string())
}

fn path(at: usize) -> StreamPath {
    StreamPath::parse(&format!("/v1/stream/s{at}")).unwrap()
}

fn index_of(name: &str) -> usize {
    name.trim_start_matches('s').parse().unwrap()
}

impl<'a> Town<'a> {
    fn new(databases: &'a [Sqlite], is_json: bool) -> Self {
        Self {
            databases,
            streams: databases
                .iter()
                .map(|d| Stream::with_limits(d, ROWS))
                .collect(),
            models: vec![None; databases.len()],
            deleted: Vec::new(),
            pending: Vec::new(),
            bucket: Bucket::default(),
            is_json,
            now: 1_000_000,
            lives: 0,
        }
    }

    fn content_type(&self) -> ContentType {
        let text = if self.is_json {
            "application/json"
        } else {
            "text/plain"
        };
        ContentType::parse(text).unwrap()
    }

    /// A request body and the items it is made of.
    fn body(&self, text: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
        if self.is_json {
            let item = format!("\"{text}\"").into_bytes();
            return (item.clone(), vec![item]);
        }
        let items = text.bytes().map(|b| vec![b]).collect();
        (text.as_bytes().to_vec(), items)
    }

    fn name(&mut self, at: usize) -> Name {
        self.lives += 1;
        Name {
            path: format!("s{at}"),
            incarnation: self.lives.to_string(),
        }
    }

    fn restart(&mut self, at: usize) {
        self.streams[at] = Stream::with_limits(&self.databases[at], ROWS);
    }

    fn run(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Create(at) => self.create(*at)?,
            Op::Append(at, text) => self.append(*at, text)?,
            Op::Truncate(at, part) => self.truncate(*at, *part)?,
            Op::Fork {
                source,
                target,
                cut,
                mishap,
            } => {
                self.fork(*source, *target, *cut, *mishap)?;
            }
            Op::Delete { at, unheard } => self.delete(*at, *unheard)?,
            Op::Check(at) => self.ask_forks(*at)?,
            Op::Job(at, fault) => self.job(*at, *fault)?,
            Op::Restart(at) => self.restart(*at),
            Op::Copy => self.bucket.copy(),
            Op::Fill(at, text) if self.models[*at].is_some() => self.fill(*at, text, 30)?,
            Op::Fill(..) => {}
            Op::Wait(seconds) => self.now += seconds * 1000,
        }
        self.bucket.advance(self.now);
        self.check()
    }

    fn create(&mut self, at: usize) -> Outcome {
        let request = Create {
            content_type: Some(self.content_type()),
            expiry: None,
            closed: false,
            public: false,
            fork: None,
            retention: None,
            will: None,
        };
        let name = self.name(at);
        let created = self.streams[at].create(&request, None, b"", name.clone(), KEY, self.now);
        match created {
            Ok(created) if created.is_new => {
                prop_assert!(self.models[at].is_none());
                self.models[at] = Some(Model {
                    items: Vec::new(),
                    name,
                    source: None,
                    earliest: 0,
                    given: Vec::new(),
                });
            }
            Ok(_) => prop_assert!(self.models[at].as_ref().is_some_and(|m| m.source.is_none())),
            Err(Error::Exists(_)) => prop_assert!(self.models[at].is_some()),
            Err(Error::PathKept) => prop_assert!(self.models[at].is_none()),
            Err(error) => return Err(fail(error)),
        }
        Ok(())
    }

    fn append(&mut self, at: usize, text: &str) -> Outcome {
        let (body, items) = self.body(text);
        let request = Append {
            content_type: Some(self.content_type()),
            close: false,
            producer: None,
            seq: None,
            if_match: None,
        };
        match (
            self.streams[at].append(&request, &body, self.now),
            &mut self.models[at],
        ) {
            (Ok(appended), Some(model)) => {
                model.items.extend(items);
                prop_assert_eq!(appended.tail.position(), model.items.len() as u64);
            }
            (Err(Error::NotFound | Error::Gone), None) => {}
            (other, model) => return Err(fail(format!("{other:?} with {model:?}"))),
        }
        Ok(())
    }

    fn truncate(&mut self, at: usize, part: u8) -> Outcome {
        let length = self.models[at]
            .as_ref()
            .map_or(0, |model| model.items.len());
        let before = length * usize::from(part) / 255;
        let request = Truncate {
            before: Offset::new(before as u64).unwrap(),
            if_match: None,
        };
        let truncated = self.streams[at].truncate(&request, self.now);
        match (truncated, &mut self.models[at]) {
            (Ok(truncated), Some(model)) => {
                model.earliest = model.earliest.max(before);
                prop_assert_eq!(truncated.earliest.position(), model.earliest as u64);
            }
            (Err(Error::NotFound | Error::Gone), None) => {}
            (other, model) => return Err(fail(format!("{other:?} with {model:?}"))),
        }
        Ok(())
    }

    fn fork(&mut self, source: usize, target: usize, cut: u8, mishap: Mishap) -> Outcome {
        let length = self.models[source]
            .as_ref()
            .map_or(0, |model| model.items.len());
        let end = length * usize::from(cut) / 255;
        // The sub-offset is added, wherever the cut is.
        let earliest = self.models[source]
            .as_ref()
            .map_or(0, |model| model.earliest);
        let sub_offset = match end.checked_sub(earliest) {
            Some(kept) => (end / 3).min(kept),
            None => end / 3,
        };
        let offset = end - sub_offset;
        let request = Create {
            content_type: None,
            expiry: None,
            closed: false,
            public: false,
            fork: Some(Fork {
                source: path(source),
                offset: Offset::new(offset as u64),
                sub_offset: sub_offset as u64,
            }),
            retention: None,
            will: None,
        };
        match self.streams[target].find(&request, self.now) {
            Ok(None) => prop_assert!(self.models[target].is_none()),
            Ok(Some(_)) | Err(Error::Exists(_)) => {
                prop_assert!(self.models[target].is_some());
                return Ok(());
            }
            Err(Error::PathKept) => return Ok(()),
            Err(error) => return Err(fail(error)),
        }
        let name = self.name(target);
        let claim = Claim {
            fork: name.clone(),
            content_type: None,
            offset: Some(offset as u64),
            sub_offset: sub_offset as u64,
        };
        let loan = match (
            self.streams[source].lend(&claim, self.now),
            &self.models[source],
        ) {
            (Ok(loan), Some(model)) if model.earliest <= offset => loan,
            (Err(Error::Invalid { field, .. }), Some(model)) if model.earliest > offset => {
                prop_assert_eq!(field, "Stream-Fork-Offset");
                return Ok(());
            }
            (Err(Error::NoSource | Error::SourceGone), None) => return Ok(()),
            (other, model) => return Err(fail(format!("{other:?} with {model:?}"))),
        };
        prop_assert_eq!(Loan::decode(&loan.encode().unwrap()), Ok(loan.clone()));
        let origin = self.models[source].clone().unwrap();
        let (body, more) = self.body("forked");
        self.pending.push(name.clone());
        match mishap {
            Mishap::NeverMade => {
                self.pending.clear();
                self.restart(target);
                return Ok(());
            }
            Mishap::DeletedMeanwhile if source != target => {
                self.delete(source, false)?;
                self.ask_forks(source)?;
            }
            Mishap::NotWritten | Mishap::NotWrittenNorReleased => {
                self.databases[target].fail_after(3);
            }
            _ => {}
        }
        let stream = &mut self.streams[target];
        let created = stream.create(&request, Some(&loan), &body, name.clone(), KEY, self.now);
        self.databases[target].heal();
        self.pending.clear();
        match created {
            Ok(created) => {
                prop_assert!(created.is_new);
                let mut items = origin.items[..end].to_vec();
                items.extend(more);
                let source = Some(origin.name);
                let given = loan.segments.iter().map(|segment| segment.key("its own/"));
                self.models[target] = Some(Model {
                    items,
                    name,
                    source,
                    earliest: origin.earliest,
                    given: given.collect(),
                });
            }
            Err(_) if mishap == Mishap::NotWritten => self.release(source, &name)?,
            Err(_) if mishap == Mishap::NotWrittenNorReleased => {}
            Err(error) => return Err(fail(error)),
        }
        Ok(())
    }

    fn delete(&mut self, at: usize, unheard: bool) -> Outcome {
        match (self.streams[at].delete(self.now), self.models[at].take()) {
            (Ok(end), Some(model)) => {
                self.deleted.push(model);
                if !unheard {
                    self.ended(end)?;
                }
            }
            (Err(Error::NotFound | Error::Gone), None) => {}
            (other, model) => return Err(fail(format!("{other:?} with {model:?}"))),
        }
        Ok(())
    }

    fn ended(&mut self, end: End) -> Outcome {
        match end {
            End::Gone(Some(ended)) => self.release(index_of(&ended.origin.path), &ended.name),
            End::Gone(None) | End::Kept => Ok(()),
        }
    }

    fn release(&mut self, at: usize, fork: &Name) -> Outcome {
        let end = self.streams[at].release(fork, self.now).map_err(fail)?;
        end.map_or(Ok(()), |end| self.ended(end))
    }

    fn ask_forks(&mut self, at: usize) -> Outcome {
        for fork in self.streams[at].doubtful_forks(self.now).map_err(fail)? {
            let is_pending = self.pending.contains(&fork);
            let there = &mut self.streams[index_of(&fork.path)];
            if is_pending || there.is_called(&fork).map_err(fail)? {
                let settled = self.streams[at].settle(&fork, !is_pending, self.now);
                settled.map_err(fail)?;
            } else {
                self.release(at, &fork)?;
            }
        }
        Ok(())
    }

    fn job(&mut self, at: usize, fault: Fault) -> Outcome {
        let (job, errors) = self.streams[at].next_job(&ABLE, self.now);
        prop_assert!(errors.is_empty(), "{errors:?}");
        let Some(job) = job else {
            return Ok(());
        };
        match self.bucket.carry_out(&job, fault, self.now) {
            None => self.restart(at),
            Some(outcome) => {
                let finished = self.streams[at].finish(job, outcome, self.now);
                finished.map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Whoever lives can be read, whatever became of where it comes from.
    fn check(&mut self) -> Outcome {
        for at in 0..self.streams.len() {
            match self.models[at].clone() {
                Some(model) => {
                    prop_assert_eq!(&self.everything(at)?[..], &model.items[model.earliest..]);
                    prop_assert_eq!(&self.slices(at)?[..], &model.items[model.earliest..]);
                }
                None => {
                    let head = self.streams[at].head(self.now);
                    prop_assert!(matches!(head, Err(Error::NotFound | Error::Gone)));
                }
            }
        }
        Ok(())
    }

    fn everything(&mut self, at: usize) -> Outcome<Vec<Vec<u8>>> {
        let mut items = Vec::new();
        let mut from = ReadFrom::Start;
        loop {
            let request = Read {
                from,
                live: None,
                cursor: None,
                if_none_match: None,
            };
            let page = self.streams[at]
                .read(&request, 1 << 20, self.now)
                .map_err(fail)?;
            let answer = if page.cold.is_empty() {
                page.body.clone()
            } else {
                let plan = Plan {
                    is_json: self.is_json,
                    parts: page.cold.clone(),
                };
                self.bucket.assemble(&plan, &page.body).map_err(fail)?
            };
            items.extend(items_of(&answer, self.is_json));
            from = ReadFrom::At(page.next);
            if page.up_to_date {
                return Ok(items);
            }
        }
    }

    /// What a subscription gets that copies a stream from its start.
    fn slices(&mut self, at: usize) -> Outcome<Vec<Vec<u8>>> {
        let (mut items, mut behind) = (Vec::new(), 0);
        while let Some(extract) = self.streams[at].extract(behind, 100).map_err(fail)? {
            items.extend(self.bucket.slice(&extract).map_err(fail)?);
            behind = extract.to.position();
        }
        Ok(items)
    }

    /// Time passes, and nothing fails any more: then only what somebody may read is left.
    fn rest(&mut self) -> Outcome {
        for at in 0..self.streams.len() {
            self.restart(at);
        }
        for _ in 0..PATHS + 2 {
            for at in 0..self.streams.len() {
                self.ask_forks(at)?;
                for _ in 0..40 {
                    self.job(at, Fault::None)?;
                }
                let next = self.streams[at].next_alarm(&ABLE, self.now).map_err(fail)?;
                prop_assert!(
                    next.is_none_or(|next| next > self.now),
                    "an alarm in the past"
                );
            }
            self.now += RECHECK + FIRST_CHECK + GRACE;
            self.bucket.advance(self.now);
            self.check()?;
        }
        let mut needed: Vec<Name> = self
            .models
            .iter()
            .flatten()
            .map(|m| m.name.clone())
            .collect();
        let mut seen = 0;
        let known: Vec<Model> = self
            .models
            .iter()
            .flatten()
            .chain(&self.deleted)
            .cloned()
            .collect();
        while seen < needed.len() {
            let model = known
                .iter()
                .find(|model| model.name == needed[seen])
                .unwrap();
            if let Some(source) = &model.source
                && !needed.contains(source)
            {
                needed.push(source.clone());
            }
            seen += 1;
        }
        for at in 0..self.streams.len() {
            let is_kept = needed.iter().any(|name| index_of(&name.path) == at);
            let head = self.streams[at].head(self.now);
            match (self.models[at].is_some(), is_kept) {
                (true, _) => prop_assert!(head.is_ok()),
                (false, true) => prop_assert_eq!(head.map(drop), Err(Error::Gone)),
                (false, false) => prop_assert_eq!(head.map(drop), Err(Error::NotFound)),
            }
        }
        // What is in the bucket is what somebody's index says, and nothing else.
        let mut known = BTreeSet::new();
        for name in &needed {
            let database = &self.databases[index_of(&name.path)];
            let index = segment::before(&database, Offset::MAX).unwrap();
            known.extend(index.iter().map(|segment| segment.key(&name.prefix())));
        }
        // A source does not hear what its forks have dropped.
        let truncated = self.models.iter().flatten().chain(&self.deleted);
        let truncated = truncated.filter(|m| m.earliest > 0 && needed.contains(&m.name));
        let may_be: BTreeSet<_> = truncated.flat_map(|model| model.given.clone()).collect();
        let stored: BTreeSet<String> = self.bucket.objects.keys().cloned().collect();
        let left: BTreeSet<_> = stored.difference(&may_be).cloned().collect();
        let known_left: BTreeSet<_> = known.difference(&may_be).cloned().collect();
        prop_assert_eq!(left, known_left);
        prop_assert!(known.is_subset(&stored));
        Ok(())
    }

    /// How many bytes the bucket holds.
    fn stored(&self) -> usize {
        let objects = self.bucket.objects.values();
        objects.map(|object| object.body.len()).sum()
    }

    /// A busy time for a stream.
    fn fill(&mut self, at: usize, text: &str, rounds: usize) -> Outcome {
        for _ in 0..rounds {
            self.append(at, text)?;
            for _ in 0..3 {
                self.job(at, Fault::None)?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn forks_and_sources_outlive_each_other(
        is_json: bool,
        ops in proptest::collection::vec(any_op(), 1..70),
    ) {
        let databases: Vec<Sqlite> = (0..PATHS).map(|_| Sqlite::new()).collect();
        let mut town = Town::new(&databases, is_json);
        town.run(&Op::Create(0))?;
        for op in &ops {
            town.run(op)?;
        }
        town.rest()?;
    }
}

/// In whatever order a chain of three is deleted, nothing is left of it.
#[test]
fn every_order_of_deletion_cleans_up() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let databases: Vec<Sqlite> = (0..PATHS).map(|_| Sqlite::new()).collect();
        let mut town = Town::new(&databases, true);
        town.run(&Op::Create(0)).unwrap();
        for at in 0..3 {
            for _ in 0..9 {
                town.run(&Op::Append(at, "some text to seal".into()))
                    .unwrap();
                town.run(&Op::Job(at, Fault::None)).unwrap();
            }
            if at < 2 {
                let fork = Op::Fork {
                    source: at,
                    target: at + 1,
                    cut: 200,
                    mishap: Mishap::Nothing,
                };
                town.run(&fork).unwrap();
            }
        }
        assert!(!town.bucket.objects.is_empty());
        for at in order {
            town.run(&Op::Delete { at, unheard: false }).unwrap();
        }
        for at in 0..3 {
            let head = town.streams[at].head(town.now);
            assert_eq!(head.map(drop), Err(Error::NotFound), "{at} after {order:?}");
        }
        town.rest().unwrap();
        assert!(town.bucket.objects.is_empty(), "after {order:?}");
    }
}

/// A fork keeps what its source has dropped, and the source what its fork has.
#[test]
fn who_truncates_drops_nothing_of_others() {
    for is_json in [true, false] {
        let databases: Vec<Sqlite> = (0..PATHS).map(|_| Sqlite::new()).collect();
        let mut town = Town::new(&databases, is_json);
        town.run(&Op::Create(0)).unwrap();
        town.fill(0, "some text to seal", 12).unwrap();
        let fork = |source, target| Op::Fork {
            source,
            target,
            cut: 255,
            mishap: Mishap::Nothing,
        };
        town.run(&fork(0, 1)).unwrap();
        town.run(&fork(0, 2)).unwrap();
        let given = town.models[1].as_ref().unwrap().given.clone();
        assert!(given.len() > 1);
        town.run(&Op::Truncate(0, 255)).unwrap();
        town.run(&Op::Truncate(2, 255)).unwrap();
        town.rest().unwrap();
        for key in &given {
            assert!(town.bucket.objects.contains_key(key), "{key}");
        }
        let index = |at: usize| segment::before(&&databases[at], Offset::MAX).unwrap();
        assert_eq!((index(0), index(2)), (Vec::new(), Vec::new()));
        assert_eq!(index(1).len(), given.len());
        // A fork of what is left starts where that does.
        town.run(&fork(2, 3)).unwrap();
        let length = town.models[2].as_ref().unwrap().items.len();
        assert_eq!(town.models[3].as_ref().unwrap().earliest, length);
        town.run(&Op::Restart(3)).unwrap();
        town.run(&Op::Append(3, "more".into())).unwrap();
        town.run(&Op::Delete {
            at: 1,
            unheard: false,
        })
        .unwrap();
        town.run(&Op::Delete {
            at: 2,
            unheard: false,
        })
        .unwrap();
        town.run(&Op::Delete {
            at: 3,
            unheard: false,
        })
        .unwrap();
        town.rest().unwrap();
        assert!(
            town.bucket.objects.is_empty(),
            "{:?}",
            town.bucket.objects.keys()
        );
    }
}

/// What a fork does not need goes, however long it lives.
#[test]
fn a_living_fork_keeps_what_it_needs_and_no_more() {
    // Objects of longer messages are merged once, of short ones twice.
    let texts = ["some text to seal", "short"];
    for (is_json, text) in texts.iter().flat_map(|text| [(true, text), (false, text)]) {
        let databases: Vec<Sqlite> = (0..PATHS).map(|_| Sqlite::new()).collect();
        let mut town = Town::new(&databases, is_json);
        town.run(&Op::Create(0)).unwrap();
        town.fill(0, text, 12).unwrap();
        let early = town.stored();
        let fork = Op::Fork {
            source: 0,
            target: 1,
            cut: 255,
            mishap: Mishap::Nothing,
        };
        town.run(&fork).unwrap();
        town.fill(0, text, 200).unwrap();
        town.rest().unwrap();
        let items = &town.models[0].as_ref().unwrap().items;
        let content: usize = items.iter().map(|item| item.len() + 2).sum();
        let most = content * 3 / 2 + early;
        assert!(town.stored() <= most, "{} bytes of {most}", town.stored());
        let delete = Op::Delete {
            at: 1,
            unheard: false,
        };
        town.run(&delete).unwrap();
        town.rest().unwrap();
        assert!(town.stored() <= content, "{} bytes", town.stored());
    }
}
