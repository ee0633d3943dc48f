//! What a stream does besides serving requests: sealing what is old into segments, merging those,
//! and removing objects that nobody needs.
//!
//! Each job has three steps. [`Stream::next_job`] decides what to do and notes it where a crash
//! would leave something behind that nobody knows of. Whoever called it carries the job out,
//! however long that takes; requests are served meanwhile. [`Stream::finish`] takes the outcome
//! and commits. Every job can be repeated: from a crash at any point to the end is one more call
//! of [`Stream::next_job`].

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::drop::{self, Drop};
use super::hot::Hot;
use super::merge::Merge;
use super::purge::{self, Purge};
use super::seal::Seal;
use super::sweep::{self, Sweep};
use crate::backoff::BackOff;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::version::{self, STORED};
use crate::stream::Cache;
use crate::stream::Stream;
use crate::stream::family::claims;
use crate::stream::state;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// After the index has moved, an object is kept for this long, in milliseconds, for readers who
/// have been told of it.
pub const GRACE: u64 = 600_000;

/// The longest that a job waits after it has failed, in milliseconds.
const LONGEST_WAIT: u64 = 300_000;

/// When to look again whether what cannot be done for lack of a bucket can be done, in
/// milliseconds: once a day.
const LOOK_AGAIN: u64 = 86_400_000;

/// When data is sealed, and how large objects get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many messages are sealed. An append to a byte stream counts as a message.
    pub max_messages: u64,
    /// So many bytes are sealed; no more go into one segment, unless a message is longer.
    pub max_bytes: usize,
    /// Merged segments get no longer, in bytes.
    pub merge_bytes: u64,
}

/// What can be done besides requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Whether there is a bucket.
    pub bucket: bool,
    /// When data is sealed, if anybody knows. Without, nothing moves to the bucket.
    pub limits: Option<Limits>,
}

impl Abilities {
    /// Whether jobs of this kind can be done.
    fn allow(&self, kind: Kind) -> bool {
        let moves = matches!(kind, Kind::Seal | Kind::Merge);
        kind == Kind::Drop || self.bucket && (!moves || self.limits.is_some())
    }
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Drop what nobody can read any more, which takes nothing but the database.
    Drop(Drop),
    /// Put an object with this content.
    Seal(Seal),
    /// Put an object that holds what others do.
    Merge(Merge),
    /// Delete objects.
    Sweep(Sweep),
    /// Delete all objects of a stream that is gone.
    Purge(Purge),
}

/// Kinds of jobs, in the order of their importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Drop,
    Seal,
    Merge,
    Sweep,
    Purge,
}

/// What nobody can read is dropped first: so it is not moved any more.
const KINDS: [Kind; 5] = [
    Kind::Drop,
    Kind::Seal,
    Kind::Merge,
    Kind::Sweep,
    Kind::Purge,
];

/// What came of a job that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object is there.
    Stored {
        /// Its length in bytes.
        size: u64,
        /// Its entity tag.
        etag: String,
    },
    /// What was to be removed is not there any more, or may go now.
    Removed,
    /// It failed, or nobody knows what came of it.
    Failed,
}

impl Job {
    fn kind(&self) -> Kind {
        match self {
            Self::Drop(_) => Kind::Drop,
            Self::Seal(_) => Kind::Seal,
            Self::Merge(_) => Kind::Merge,
            Self::Sweep(_) => Kind::Sweep,
            Self::Purge(_) => Kind::Purge,
        }
    }

    /// The job in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Seal(_) => "seal",
            Self::Merge(_) => "merge",
            Self::Sweep(_) => "sweep",
            Self::Purge(_) => "purge",
        }
    }

    /// The path of the stream it is about.
    pub fn path(&self) -> &str {
        let key = match self {
            Self::Drop(drop) => &drop.prefix,
            Self::Seal(seal) => &seal.key,
            Self::Merge(merge) => &merge.key,
            Self::Sweep(sweep) => sweep.keys.first().map_or("", String::as_str),
            Self::Purge(purge) => &purge.prefix,
        };
        // What is before the incarnation, and behind it what is not empty only for a key.
        let below = key.strip_prefix("streams/").unwrap_or(key);
        below.rsplitn(3, '/').nth(2).unwrap_or_default()
    }

    /// How many positions and how many bytes it puts in place.
    pub fn extent(&self) -> (u64, u64) {
        match self {
            Self::Seal(seal) => (seal.count(), seal.size()),
            Self::Merge(merge) => (merge.count(), merge.size()),
            Self::Drop(_) | Self::Sweep(_) | Self::Purge(_) => (0, 0),
        }
    }
}

/// What is known of jobs, as long as the stream is in memory.
#[derive(Debug, Default)]
pub(in crate::stream) struct Upkeep {
    /// Whether a job is being carried out.
    busy: bool,
    drop: BackOff,
    seal: BackOff,
    merge: BackOff,
    sweep: BackOff,
    purge: BackOff,
}

impl Upkeep {
    fn fate(&mut self, kind: Kind) -> &mut BackOff {
        match kind {
            Kind::Drop => &mut self.drop,
            Kind::Seal => &mut self.seal,
            Kind::Merge => &mut self.merge,
            Kind::Sweep => &mut self.sweep,
            Kind::Purge => &mut self.purge,
        }
    }
}

impl Upkeep {
    /// Whether something may be dropped now, if there is anything to drop.
    pub(super) fn can_drop(&self, now: u64) -> bool {
        !self.busy && self.drop.not_before() <= now
    }
}

impl<S: Storage> Stream<S> {
    /// Whether there is enough to seal. Cheap enough to be asked after each append.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn is_due(&mut self, limits: &Limits, now: u64) -> Result<bool, Error> {
        if self.upkeep.busy || self.upkeep.seal.not_before() > now {
            return Ok(false);
        }
        self.turn(|stream| stream.has_enough(limits, now))
    }

    /// How many bytes are not sealed, as far as they were counted.
    pub fn unsealed_bytes(&self) -> Option<u64> {
        match &self.cache {
            Cache::Present(present) => present.hot.map(|hot| hot.bytes()),
            _ => None,
        }
    }

    /// Whether there is enough to seal, whatever else there is to do.
    fn has_enough(&mut self, limits: &Limits, now: u64) -> Result<bool, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(false);
        };
        let is_json = present.birth.content_type.is_json();
        let hot = present.hot.get_or_insert_with(Hot::uncounted);
        Ok(hot.is_due(limits, storage, is_json)?)
    }

    /// The next thing to do, to be carried out and then handed to [`Stream::finish`]. Nothing
    /// while another one is being carried out, and while what failed has to wait. What cannot be
    /// planned counts as failed, and stands in nothing else's way; the errors are for the log.
    pub fn next_job(&mut self, can: &Abilities, now: u64) -> (Option<Job>, Vec<Error>) {
        let mut errors = Vec::new();
        if self.upkeep.busy {
            return (None, errors);
        }
        for kind in KINDS {
            if self.upkeep.fate(kind).not_before() > now || !can.allow(kind) {
                continue;
            }
            match self.plan(kind, can, now) {
                Ok(Some(job)) => {
                    self.upkeep.busy = true;
                    return (Some(job), errors);
                }
                Ok(None) => *self.upkeep.fate(kind) = BackOff::default(),
                Err(error) => {
                    self.upkeep.fate(kind).failed(now, LONGEST_WAIT);
                    errors.push(error);
                }
            }
        }
        (None, errors)
    }

    fn plan(&mut self, kind: Kind, can: &Abilities, now: u64) -> Result<Option<Job>, Error> {
        self.turn(|stream| match (kind, &can.limits) {
            (Kind::Drop, _) => Ok(stream.plan_drop(now)?.map(Job::Drop)),
            (Kind::Seal, Some(limits)) => {
                let is_due = stream.has_enough(limits, now)?;
                Ok(stream.seal(is_due, limits, now)?.map(Job::Seal))
            }
            (Kind::Merge, Some(limits)) => Ok(stream.merge(limits, now)?.map(Job::Merge)),
            (Kind::Sweep, _) => Ok(stream.sweep(now)?.map(Job::Sweep)),
            (Kind::Purge, _) => Ok(purge::next(&stream.storage, now)?.map(Job::Purge)),
            _ => Ok(None),
        })
    }

    /// Takes what came of a job. Says whether that was what it should be; a job of a stream that
    /// is gone meanwhile has come to nothing, which is as it should be, too.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; then the job will be done again.
    pub fn finish(&mut self, job: Job, outcome: Outcome, now: u64) -> Result<bool, Error> {
        self.upkeep.busy = false;
        let kind = job.kind();
        let finished = self.turn(|stream| match (job, outcome) {
            (Job::Drop(_), Outcome::Removed) => stream.drop_some(now),
            (Job::Seal(seal), Outcome::Stored { size, etag }) if size == seal.size() => {
                stream.sealed(seal, etag, now)
            }
            (Job::Merge(merge), Outcome::Stored { size, etag }) if size == merge.size() => {
                stream.merged(merge, etag, now)
            }
            (Job::Sweep(sweep), Outcome::Removed) => stream.swept(&sweep, now),
            (Job::Purge(purge), Outcome::Removed) => {
                purge::done(&stream.storage, &purge, now)?;
                Ok(true)
            }
            _ => Ok(false),
        });
        let fate = self.upkeep.fate(kind);
        if matches!(finished, Ok(true)) {
            *fate = BackOff::default();
        } else {
            fate.failed(now, LONGEST_WAIT);
        }
        finished
    }

    /// Whether there is no stream, and nothing to remember of one that was.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn leaves_nothing(&mut self, now: u64) -> Result<bool, Error> {
        self.turn(|stream| {
            if !matches!(stream.present(now), Err(Error::NotFound)) {
                return Ok(false);
            }
            let is_absent = matches!(stream.cache, Cache::Absent);
            let beside = &stream.beside;
            let is_awaited = beside.links.is_some() || !beside.farewells.is_empty();
            Ok(is_absent && !is_awaited && purge::due(&stream.storage)?.is_none())
        })
    }

    /// When to look for something to do, or for the stream's end, at the latest; `None` for
    /// never. It is never earlier than the time at which there is something to be done about it.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn next_alarm(&mut self, can: &Abilities, now: u64) -> Result<Option<u64>, Error> {
        self.turn(|stream| {
            stream.load()?;
            let present = stream.if_present(now)?;
            let is_there = present.is_some();
            let dropped = match present {
                Some((storage, _, present)) => drop::any(storage, present)?.then_some(now),
                None => None,
            };
            let mut swept = None;
            let mut asked = None;
            if let Some((storage, present)) = stream.sweepable(now)? {
                swept = sweep::due(storage, present, now)?;
            }
            if let Cache::Present(present) = &mut stream.cache {
                asked = present.forks.due(&stream.storage)?;
            }
            let purged = purge::due(&stream.storage)?;
            // What was begun has to be brought to its end, whoever has forgotten about it.
            let begun = |row| match is_there {
                true => Intent::load(&stream.storage, row).map(|begun| begun.map(|_| now)),
                false => Ok(None),
            };
            let (sealed, merged) = (begun(Intent::SEAL)?, begun(Intent::MERGE)?);
            let is_left = match &stream.cache {
                Cache::Present(present) if present.state.deleted => !claims::any(&stream.storage)?,
                _ => false,
            };
            let upkeep = &mut stream.upkeep;
            let jobs = [
                (Kind::Drop, dropped),
                (Kind::Seal, sealed),
                (Kind::Merge, merged),
                (Kind::Sweep, swept),
                (Kind::Purge, purged),
            ];
            let jobs = jobs.map(|(kind, due)| {
                let fate = *upkeep.fate(kind);
                let retry = fate.retry().filter(|_| is_there || kind == Kind::Purge);
                if can.allow(kind) {
                    return due.map(|at| at.max(fate.not_before())).or(retry);
                }
                // Somebody may make it possible again.
                due.map(|at| at.max(now.saturating_add(LOOK_AGAIN)))
            });
            let others = [
                stream.deadline(),
                stream.will_due(),
                asked,
                is_left.then_some(now),
            ];
            Ok(jobs.into_iter().chain(others).flatten().min())
        })
    }
}

/// A note of an object that is about to be put: until the index has it, it is not known whether
/// it is there. The very same object is put again after a crash, so that it is never forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::stream) struct Intent {
    /// The first position in the object.
    pub start: u64,
    /// The position after the last one.
    pub end: u64,
}

impl Intent {
    /// The row of a seal's intent.
    pub const SEAL: i64 = -5000;
    /// The row of a merge's intent.
    pub const MERGE: i64 = -5001;

    /// An intent with these positions.
    pub fn new(start: Offset, end: Offset) -> Self {
        Self {
            start: start.position(),
            end: end.position(),
        }
    }

    /// The positions.
    pub fn range(self) -> Result<(Offset, Offset), StorageError> {
        let range = Offset::new(self.start).zip(Offset::new(self.end));
        range.ok_or_else(|| StorageError::Failed("an intent is beyond the largest offset".into()))
    }

    /// The intent in a row, if there is one.
    pub fn load(storage: &impl Storage, row: i64) -> Result<Option<Self>, StorageError> {
        let mut found = None;
        let select = "SELECT body FROM stream WHERE id = ?1";
        storage.query(select, &[Param::Integer(row)], &mut |row| {
            found = Some(version::read("an intent", row.blob(0), STORED));
            ControlFlow::Break(())
        })?;
        Ok(found.transpose()?)
    }

    /// Notes it in a row.
    pub fn note(self, storage: &impl Storage, row: i64) -> Result<(), StorageError> {
        let record = serde_json::json!(self).to_string().into_bytes();
        storage.write(&[state::put(row, &record)])
    }

    /// The statement that forgets the intent in a row.
    pub fn forget(row: i64) -> Statement<'static> {
        Statement {
            sql: "DELETE FROM stream WHERE id = ?1",
            params: vec![Param::Integer(row)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let mut fate = BackOff::default();
        assert_eq!(fate.retry(), None);
        let mut waits = Vec::new();
        for _ in 0..40 {
            fate.failed(1_000_000, LONGEST_WAIT);
            waits.push(fate.not_before() - 1_000_000);
        }
        assert_eq!(
            waits[..9],
            [
                1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000
            ]
        );
        assert!(waits[9..].iter().all(|wait| *wait == 300_000));
    }
}
