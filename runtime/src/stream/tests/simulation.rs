//! A stream in a world where everything fails, and a model of it that cannot.

use std::collections::BTreeSet;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::KEY;
use super::bucket::{Bucket, Fault};
use super::events::Op;
use super::sqlite::Sqlite;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::part::Plan;
use crate::protocol::reply::Page;
use crate::protocol::request::{Append, Create, Read, ReadFrom};
use crate::protocol::retention::Retention;
use crate::protocol::truncate::Truncate;
use crate::stream::Cache;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::log::chunk::RowLimits;
use crate::stream::storage::Storage;
use crate::stream::tier::hot::Hot;
use crate::stream::tier::segment::{self, Segment};
use crate::stream::tier::upkeep::{Abilities, GRACE, Limits};

/// So small that chunks, rows, segments and pages end all the time.
pub const ROWS: RowLimits = RowLimits { chunk: 24, row: 40 };
pub const LIMITS: Limits = Limits {
    max_messages: 3,
    max_bytes: 70,
    merge_bytes: 700,
};
pub const ABLE: Abilities = Abilities {
    bucket: true,
    limits: Some(LIMITS),
};

/// A stream that cannot fail.
#[derive(Clone, Debug)]
struct Model {
    /// JSON messages, or single bytes.
    items: Vec<Vec<u8>>,
    ends_at: Option<u64>,
    truncated: u64,
    keeps: Option<u64>,
}

impl Model {
    /// Nothing before this can be read.
    fn earliest(&self) -> u64 {
        let length = self.items.len() as u64;
        let kept = self.keeps.map_or(length, |keeps| keeps.min(length));
        self.truncated.max(length - kept)
    }

    fn kept(&self) -> &[Vec<u8>] {
        &self.items[self.earliest() as usize..]
    }
}

/// A page that a reader has been told where to find.
struct Told {
    plan: Plan,
    rest: Vec<u8>,
    answer: Vec<u8>,
    at: u64,
    life: u64,
}

/// A stream under test, its model, its bucket, and the time.
pub struct World<'a> {
    database: &'a Sqlite,
    pub bucket: Bucket,
    stream: Stream<&'a Sqlite>,
    model: Option<Model>,
    is_json: bool,
    now: u64,
    life: u64,
    told: Vec<Told>,
}

type Outcome = Result<(), TestCaseError>;

fn fail(reason: impl ToString) -> TestCaseError {
    TestCaseError::fail(reason.to_string())
}

impl<'a> World<'a> {
    pub fn new(database: &'a Sqlite, is_json: bool) -> Self {
        Self {
            database,
            bucket: Bucket::default(),
            stream: Stream::with_limits(database, ROWS),
            model: None,
            is_json,
            now: 1_000_000,
            life: 0,
            told: Vec::new(),
        }
    }

    /// Lets something happen, and looks whether all is as it should be.
    pub fn run(&mut self, op: &Op) -> Outcome {
        self.happen(op)?;
        self.check()
    }

    fn happen(&mut self, op: &Op) -> Outcome {
        self.pass(0);
        self.stream.expire(self.now).map_err(fail)?;
        match op {
            Op::Create {
                first,
                lives,
                keeps,
            } => self.create(first, *lives, *keeps)?,
            Op::Truncate(part) => self.truncate(*part)?,
            Op::Append(messages) => self.append(messages)?,
            Op::Read { at, max } => self.read(*at, *max)?,
            Op::Delete => {
                let expected = self.model.take().map(|_| ()).ok_or(Error::NotFound);
                prop_assert_eq!(self.stream.delete(self.now).map(drop), expected);
            }
            Op::Wait(seconds) => self.pass(seconds * 1000),
            Op::Restart => self.restart(),
            Op::Copy => self.bucket.copy(),
            Op::Expire => {
                let ended = self.stream.expire(self.now);
                prop_assert_eq!(ended, Ok(None), "it has ended before");
            }
            Op::Job {
                kind,
                fault,
                fails_planned,
                fails_finished,
                meanwhile,
            } => {
                if let Some(kind) = kind {
                    self.work_off_before(kind)?;
                }
                self.job(*fault, *fails_planned, *fails_finished, meanwhile)?;
            }
            Op::Fill(messages) => {
                self.append(messages)?;
                self.work_off()?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.bucket.advance(self.now);
        let ends_at = self.model.as_ref().and_then(|model| model.ends_at);
        if ends_at.is_some_and(|at| at <= self.now) {
            self.model = None;
        }
    }

    fn restart(&mut self) {
        self.stream = Stream::with_limits(self.database, ROWS);
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
    fn body(&self, messages: &[String]) -> (Vec<u8>, Vec<Vec<u8>>) {
        if self.is_json {
            let items = messages.iter().map(|m| format!("\"{m}\""));
            let items: Vec<String> = items.collect();
            let body = format!("[{}]", items.join(","));
            return (
                body.into(),
                items.into_iter().map(String::into_bytes).collect(),
            );
        }
        // A byte stream has no empty appends.
        let body = format!("{}.", messages.concat()).into_bytes();
        let items = body.iter().map(|b| vec![*b]).collect();
        (body, items)
    }

    fn create(&mut self, first: &[String], lives: Option<u64>, keeps: Option<u64>) -> Outcome {
        let (body, items) = self.body(first);
        let ends_at = lives.map(|seconds| self.now + seconds * 1000);
        let expiry = ends_at.map(|at| {
            let date = DateTime::from_timestamp_millis(at as i64).unwrap();
            Expiry::parse_at(&date.to_rfc3339()).unwrap()
        });
        let request = Create {
            content_type: Some(self.content_type()),
            expiry,
            closed: false,
            public: false,
            fork: None,
            retention: keeps.map(if self.is_json {
                Retention::Messages
            } else {
                Retention::Bytes
            }),
            will: None,
        };
        let name = Name {
            path: "a".into(),
            incarnation: (self.life + 1).to_string(),
        };
        let created = self
            .stream
            .create(&request, None, &body, name, KEY, self.now);
        if self.model.is_some() {
            prop_assert!(!matches!(created, Ok(created) if created.is_new));
            return Ok(());
        }
        prop_assert!(created.map_err(fail)?.is_new);
        self.life += 1;
        self.model = Some(Model {
            items,
            ends_at,
            truncated: 0,
            keeps,
        });
        Ok(())
    }

    fn append(&mut self, messages: &[String]) -> Outcome {
        let (body, items) = self.body(messages);
        let request = Append {
            content_type: Some(self.content_type()),
            close: false,
            producer: None,
            seq: None,
            if_match: None,
        };
        let appended = self.stream.append(&request, &body, self.now);
        let Some(model) = &mut self.model else {
            prop_assert_eq!(appended, Err(Error::NotFound));
            return Ok(());
        };
        model.items.extend(items);
        prop_assert_eq!(
            appended.map_err(fail)?.tail.position(),
            model.items.len() as u64
        );
        Ok(())
    }

    fn truncate(&mut self, part: u8) -> Outcome {
        let length = self
            .model
            .as_ref()
            .map_or(0, |model| model.items.len() as u64);
        let before = length * u64::from(part) / 255;
        let request = Truncate {
            before: Offset::new(before).unwrap(),
            if_match: None,
        };
        let written = self.database.written.get();
        let truncated = self.stream.truncate(&request, self.now);
        let written = self.database.written.get() - written;
        let Some(model) = &mut self.model else {
            prop_assert_eq!(truncated, Err(Error::NotFound));
            return Ok(());
        };
        let truncated = truncated.map_err(fail)?;
        let is_new = before > model.earliest();
        prop_assert_eq!((truncated.is_new, written), (is_new, u64::from(is_new)));
        model.truncated = model.truncated.max(before);
        prop_assert_eq!(truncated.earliest.position(), model.earliest());
        prop_assert_eq!(truncated.tail.position(), length);
        Ok(())
    }

    fn read(&mut self, at: u64, max: usize) -> Outcome {
        let length = self
            .model
            .as_ref()
            .map_or(0, |model| model.items.len() as u64);
        let at = at.min(length);
        self.slice(at, max)?;
        let earliest = self.model.as_ref().map_or(0, Model::earliest);
        if at < earliest {
            let refused = self.stream.read(&request_from(at), max, self.now);
            let earliest = Offset::new(earliest).unwrap();
            prop_assert_eq!(refused, Err(Error::Truncated { earliest }));
            return Ok(());
        }
        let Some((page, answer)) = self.page(at, max)? else {
            prop_assert!(self.model.is_none());
            return Ok(());
        };
        let items = &self.model.as_ref().unwrap().items;
        let next = page.next.position();
        prop_assert!(next > at || at == length);
        prop_assert_eq!(page.up_to_date, next == length);
        prop_assert_eq!(page.count, next - at);
        prop_assert_eq!(
            &items_of(&answer, self.is_json),
            &items[at as usize..next as usize]
        );
        // The distance of marks, a line that spans it, and a message in parts come on top.
        prop_assert!(
            answer.len() <= max + 200 || page.count == 1,
            "{} bytes",
            answer.len()
        );
        Ok(())
    }

    /// What those get that copy the stream and are so far.
    fn slice(&mut self, at: u64, max: usize) -> Outcome {
        let written = self.database.written.get();
        let extract = self.stream.extract(at, max).map_err(fail)?;
        prop_assert_eq!(self.database.written.get(), written);
        let Some(model) = &self.model else {
            prop_assert_eq!(extract, None);
            return Ok(());
        };
        let (from, length) = (at.max(model.earliest()), model.items.len() as u64);
        let Some(extract) = extract else {
            prop_assert!(at >= length);
            return Ok(());
        };
        let slice = extract.slice();
        prop_assert_eq!((slice.behind, slice.from), (at, from));
        prop_assert_eq!(extract.is_all, slice.to == length);
        prop_assert_eq!(
            &self.bucket.slice(&extract).map_err(fail)?[..],
            &model.items[from as usize..slice.to as usize]
        );
        // As for pages.
        prop_assert!(extract.length() <= max + 200 || slice.to - from == 1);
        Ok(())
    }

    /// A page and what it comes to, which every reader has to find for a while.
    fn page(&mut self, at: u64, max: usize) -> Result<Option<(Page, Vec<u8>)>, TestCaseError> {
        let page = match self.stream.read(&request_from(at), max, self.now) {
            Ok(page) => page,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        if page.cold.is_empty() {
            let answer = page.body.clone();
            return Ok(Some((page, answer)));
        }
        let plan = Plan {
            is_json: self.is_json,
            parts: page.cold.clone(),
        };
        let answer = self.bucket.assemble(&plan, &page.body).map_err(fail)?;
        self.told.push(Told {
            plan,
            rest: page.body.clone(),
            answer: answer.clone(),
            at: self.now,
            life: self.life,
        });
        Ok(Some((page, answer)))
    }

    fn job(
        &mut self,
        fault: Fault,
        fails_planned: Option<u32>,
        fails_finished: Option<u32>,
        meanwhile: &[Op],
    ) -> Outcome {
        if let Some(statements) = fails_planned {
            self.database.fail_after(statements);
        }
        let (planned, errors) = self.stream.next_job(&ABLE, self.now);
        let has_failed = self.database.heal();
        prop_assert!(has_failed || errors.is_empty(), "{errors:?}");
        let Some(job) = planned else {
            return Ok(());
        };
        prop_assert_eq!(
            self.stream.next_job(&ABLE, self.now).0,
            None,
            "one at a time"
        );
        // It takes effect while other things happen.
        let (before, after) = meanwhile.split_at(meanwhile.len() / 2);
        for op in before {
            self.run(op)?;
        }
        let outcome = self.bucket.carry_out(&job, fault, self.now);
        for op in after {
            self.run(op)?;
        }
        let Some(outcome) = outcome else {
            self.restart();
            return Ok(());
        };
        if let Some(statements) = fails_finished {
            self.database.fail_after(statements);
        }
        let finished = self.stream.finish(job, outcome, self.now);
        if self.database.heal() && finished.is_err() {
            return Ok(());
        }
        finished.map(drop).map_err(fail)
    }

    /// Does all there is to do now.
    fn work_off(&mut self) -> Outcome {
        self.work_off_before("nothing").map(drop)
    }

    /// Does what there is to do before a job of this kind; says whether there is one.
    fn work_off_before(&mut self, kind: &str) -> Result<bool, TestCaseError> {
        for _ in 0..200 {
            let (job, errors) = self.stream.next_job(&ABLE, self.now);
            prop_assert!(errors.is_empty(), "{errors:?}");
            let Some(job) = job else {
                return Ok(false);
            };
            if job.name() == kind {
                // As if nobody had asked for it yet.
                self.restart();
                return Ok(true);
            }
            let outcome = self.bucket.carry_out(&job, Fault::None, self.now).unwrap();
            let is_done = self.stream.finish(job, outcome, self.now).map_err(fail)?;
            prop_assert!(is_done);
        }
        Err(fail("there is no end of what is to do"))
    }

    /// Lets happen what it takes until a job of this kind is the next.
    pub fn come_to(&mut self, kind: &str, text: &str) -> Outcome {
        for round in 0..200 {
            if self.work_off_before(kind)? {
                return self.check();
            }
            match kind {
                "purge" if round > 2 => self.happen(&Op::Delete)?,
                "drop" if round > 2 => self.happen(&Op::Truncate(200))?,
                "sweep" => self.pass(GRACE / 2),
                _ => {}
            }
            self.append(&vec![text.to_owned(); 3])?;
        }
        Err(fail(format!("there is never anything to {kind}")))
    }

    /// Everything acknowledged is there, and everybody who was told of something finds it.
    pub fn check(&mut self) -> Outcome {
        self.pass(0);
        self.check_hot()?;
        let earliest = self.model.as_ref().map_or(0, Model::earliest);
        let everything = self.page(earliest, 1 << 20)?;
        let everything = everything.map(|(page, answer)| (page.up_to_date, answer));
        match (&self.model, everything) {
            (Some(model), Some((true, answer))) => {
                prop_assert_eq!(&items_of(&answer, self.is_json), model.kept());
            }
            // An answer has a bounded number of parts.
            (Some(_), Some((false, _))) => self.check_pages(1 << 20)?,
            (model, everything) => {
                prop_assert_eq!(model.is_some(), everything.is_some());
            }
        }
        let (now, life, is_there) = (self.now, self.life, self.model.is_some());
        self.told
            .retain(|told| is_there && told.life == life && now < told.at + GRACE);
        for told in &self.told {
            let answer = self.bucket.assemble(&told.plan, &told.rest).map_err(fail)?;
            prop_assert_eq!(&answer, &told.answer);
        }
        Ok(())
    }

    /// What is counted while rows come and go is what is there.
    fn check_hot(&self) -> Outcome {
        let Cache::Present(present) = &self.stream.cache else {
            return Ok(());
        };
        if let Some((messages, bytes)) = present.hot.and_then(|hot| hot.all()) {
            let there = Hot::of(&self.database, self.is_json).all().unwrap();
            prop_assert_eq!(bytes, there.1);
            // Appends to a byte stream are not rows.
            prop_assert!(!self.is_json || messages == there.0);
            prop_assert!((messages == 0) == (bytes == 0));
        }
        Ok(())
    }

    /// Reads everything, page by page.
    fn check_pages(&mut self, max: usize) -> Outcome {
        let mut items = Vec::new();
        let earliest = self.model.as_ref().map_or(0, Model::earliest);
        while let Some((page, answer)) = self.page(earliest + items.len() as u64, max)? {
            items.extend(items_of(&answer, self.is_json));
            if page.up_to_date {
                break;
            }
        }
        let model = self.model.as_ref();
        prop_assert_eq!(Some(&items[..]), model.map(Model::kept));
        Ok(())
    }

    /// Lets everything come to rest: then the bucket holds what the index says, and no more.
    pub fn rest(&mut self) -> Outcome {
        self.restart();
        for _ in 0..200 {
            self.work_off()?;
            self.check()?;
            let Some(at) = self.stream.next_alarm(&ABLE, self.now).map_err(fail)? else {
                return self.check_rest();
            };
            self.pass(at.saturating_sub(self.now));
            self.stream.expire(self.now).map_err(fail)?;
        }
        Err(fail("there is no rest"))
    }

    fn check_rest(&mut self) -> Outcome {
        self.pass(GRACE);
        let stored: BTreeSet<String> = self.bucket.objects.keys().cloned().collect();
        let segments = self.segments();
        let prefix = format!("streams/a/{}/", self.life);
        let known = segments.iter().map(|segment| segment.key(&prefix));
        prop_assert_eq!(stored, known.collect::<BTreeSet<_>>());
        let content_type = self.content_type();
        for segment in &segments {
            let object = &self.bucket.objects[&segment.key(&prefix)];
            prop_assert_eq!(&object.content_type, content_type.as_str());
            let items = items_of(&object.body, self.is_json);
            prop_assert_eq!(items.len() as u64, segment.count);
            if self.is_json {
                let lines = object.body.iter().filter(|b| **b == b'\n').count();
                prop_assert_eq!(lines + 1, items.len());
            }
            let model = self.model.as_ref().unwrap();
            let (start, end) = (segment.start.position(), segment.end().unwrap().position());
            prop_assert_eq!(&items, &model.items[start as usize..end as usize]);
            prop_assert!(end > model.earliest(), "{end} of what was dropped");
        }
        let Some(model) = &self.model else {
            prop_assert_eq!(self.tables(), 0);
            return Ok(());
        };
        prop_assert_eq!(self.tables(), 1);
        // Of the rows before what is kept, only the one is left that holds its start.
        let (earliest, length) = (model.earliest(), model.items.len() as u64);
        let holder = if earliest < length {
            format!(
                "SELECT max(id) FROM stream WHERE id BETWEEN 0 AND {}",
                earliest * 64
            )
        } else {
            format!("SELECT {}", earliest * 64)
        };
        let old = format!("SELECT count(*) FROM stream WHERE id >= 0 AND id < ({holder})");
        prop_assert_eq!(self.number(&old), 0);
        self.check_pages(40)?;
        for at in (0..=length).step_by(7) {
            self.read(at, 60)?;
        }
        Ok(())
    }

    /// The index.
    pub fn segments(&self) -> Vec<Segment> {
        if self.model.is_none() {
            return Vec::new();
        }
        segment::before(&self.database, Offset::MAX).unwrap()
    }

    fn tables(&self) -> i64 {
        self.number("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
    }

    fn number(&self, sql: &str) -> i64 {
        let mut count = 0;
        Storage::query(&self.database, sql, &[], &mut |row| {
            count = row.integer(0);
            std::ops::ControlFlow::Break(())
        })
        .unwrap();
        count
    }
}

fn request_from(at: u64) -> Read {
    Read {
        from: ReadFrom::At(Offset::new(at).unwrap()),
        live: None,
        cursor: None,
        if_none_match: None,
    }
}

pub fn items_of(answer: &[u8], is_json: bool) -> Vec<Vec<u8>> {
    if !is_json {
        return answer.iter().map(|b| vec![*b]).collect();
    }
    let items: Vec<&RawValue> = serde_json::from_slice(answer).unwrap();
    let texts = items.iter().map(|item| item.get().as_bytes().to_vec());
    texts.collect()
}
