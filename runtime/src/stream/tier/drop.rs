//! Dropping: what lies before the earliest position is removed, after the stream was truncated or
//! as its retention says. Nobody can read it any more, so it may take its time: rows and segments
//! go in bounded batches, and only those of which nothing is left to read.
//!
//! Segments leave the index as they do when they are merged: their objects are noted, and stay for
//! readers who were told of them and for forks. Those of another stream are its own affair.

use std::ops::ControlFlow;

use super::generation;
use super::segment::{self, Segment};
use super::sweep::{NEVER, Retired, Retiring};
use super::upkeep::Intent;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::log::chunk::{self, RowId};
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// At most so many rows are removed at once.
#[cfg(not(test))]
const ROWS: usize = 256;
#[cfg(test)]
const ROWS: usize = 4;

/// At most so many segments.
const SEGMENTS: i64 = 32;

/// As long as the earliest position moves by itself, it is looked for something to drop whenever
/// it has moved so many messages or bytes: a batch costs a few rows for what it is part of.
#[cfg(not(test))]
const SLACK: (u64, u64) = (256, 65_536);
#[cfg(test)]
const SLACK: (u64, u64) = (4, 30);

/// Finds the segments that start before a position (its row id in `?1`), but not more than `?2`.
const SELECT_SEGMENTS: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id BETWEEN -4503599627370496 AND ?1 ORDER BY id LIMIT ?2";

/// Finds the row that holds a position (its row id in `?1`).
const SELECT_HOLDER: &str = "SELECT coalesce(max(id), 0) FROM stream WHERE id BETWEEN 0 AND ?1";

/// Finds the rows before one (its id in `?1`), but not more than `?2`.
const SELECT_BEFORE: &str = "SELECT id FROM stream WHERE id >= 0 AND id < ?1 ORDER BY id LIMIT ?2";

const DELETE_SEGMENTS: &str = "DELETE FROM stream WHERE id BETWEEN ?1 AND ?2";

/// What was found to drop. What it is exactly is looked up again when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// What the keys of the stream's objects start with.
    pub prefix: String,
}

/// What is dropped next.
#[derive(Debug)]
enum Old {
    Segments(Vec<Segment>),
    /// The rows before this one.
    Rows(RowId),
}

impl Old {
    fn find(storage: &impl Storage, present: &Present) -> Result<Option<Self>, StorageError> {
        let earliest = present.earliest();
        if earliest == Offset::START {
            return Ok(None);
        }
        let segments = segments(storage, earliest)?;
        if !segments.is_empty() {
            return Ok(Some(Self::Segments(segments)));
        }
        Ok(rows(storage, present)?.map(Self::Rows))
    }
}

/// Some segments that end at `earliest` or before.
fn segments(storage: &impl Storage, earliest: Offset) -> Result<Vec<Segment>, StorageError> {
    let last = segment::row_id(earliest).saturating_sub(1);
    let params = [last, SEGMENTS].map(Param::Integer);
    segment::select(storage, SELECT_SEGMENTS, &params, |segment| {
        Ok(segment.end()? <= earliest)
    })
}

/// The row before which some rows have nothing that can be read.
fn rows(storage: &impl Storage, present: &Present) -> Result<Option<RowId>, StorageError> {
    let malformed = || StorageError::Failed("a chunk is malformed".into());
    let (earliest, tail) = (present.earliest(), present.tail.offset);
    let mut holder = RowId::chunk(earliest).encode().ok_or_else(malformed)?;
    if earliest < tail {
        storage.query(SELECT_HOLDER, &[Param::Integer(holder)], &mut |row| {
            holder = row.integer(0);
            ControlFlow::Break(())
        })?;
    }
    let most = i64::try_from(ROWS).unwrap_or(i64::MAX);
    let params = [holder, most.saturating_add(1)].map(Param::Integer);
    let mut found = Vec::new();
    storage.query(SELECT_BEFORE, &params, &mut |row| {
        found.push(row.integer(0));
        ControlFlow::Continue(())
    })?;
    if found.is_empty() {
        return Ok(None);
    }
    let end = found.get(ROWS).copied().unwrap_or(holder);
    RowId::decode(end).ok_or_else(malformed).map(Some)
}

/// Whether there is something to drop.
pub(in crate::stream) fn any(
    storage: &impl Storage,
    present: &Present,
) -> Result<bool, StorageError> {
    Ok(Old::find(storage, present)?.is_some())
}

impl<S: Storage> Stream<S> {
    /// Whether it is time to look for something to drop: nobody has yet, and a fork may have been
    /// given what its source had not dropped, or the earliest position has moved since. Cheap
    /// enough to be asked after each append.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn may_drop(&mut self, now: u64) -> Result<bool, Error> {
        if !self.upkeep.can_drop(now) {
            return Ok(false);
        }
        self.turn(|stream| {
            let Some((_, _, present)) = stream.if_present(now)? else {
                return Ok(false);
            };
            let earliest = present.earliest();
            if earliest == Offset::START {
                return Ok(false);
            }
            let (messages, bytes) = SLACK;
            let is_json = present.birth.content_type.is_json();
            let slack = if is_json { messages } else { bytes };
            let looked = present.looked_for_old;
            Ok(looked.is_none_or(|looked| earliest.since(looked) >= slack))
        })
    }

    /// Plans to drop what can be dropped.
    pub(in crate::stream) fn plan_drop(&mut self, now: u64) -> Result<Option<Drop>, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(None);
        };
        let is_there = any(storage, present)?;
        present.looked_for_old = Some(present.earliest());
        let prefix = present.birth.name.prefix();
        Ok(is_there.then_some(Drop { prefix }))
    }

    /// Drops some of what can be dropped.
    pub(in crate::stream) fn drop_some(&mut self, now: u64) -> Result<bool, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(true);
        };
        match Old::find(storage, present)? {
            Some(Old::Segments(segments)) => drop_segments(storage, present, &segments, now)?,
            Some(Old::Rows(end)) => drop_rows(storage, present, end, now)?,
            None => {}
        }
        Ok(true)
    }
}

/// Takes segments out of the index.
fn drop_segments(
    storage: &impl Storage,
    present: &Present,
    segments: &[Segment],
    now: u64,
) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Ok(());
    };
    let prefix = present.birth.name.prefix();
    let generation = generation::current(storage)?.saturating_add(1);
    let own = segments.iter().filter(|segment| segment.is_own());
    let mut objects: Vec<_> = own.map(|segment| segment.retiring(&prefix)).collect();
    // What is merged from them is not needed any more, and will never be in the index.
    let merge = begun(storage, Intent::MERGE, &prefix, last.end()?, generation)?;
    let is_merging = merge.is_some();
    objects.extend(merge);
    let begins = (!objects.is_empty()).then(|| generation::encode(generation));
    let retired = Retired::new(storage, objects, generation, now)?;
    let mut batch = vec![Statement {
        sql: DELETE_SEGMENTS,
        params: [first.start, last.start]
            .map(|start| Param::Integer(segment::row_id(start)))
            .to_vec(),
    }];
    if let Some(record) = &begins {
        batch.extend([retired.statement(), generation::begin(record)]);
    }
    if is_merging {
        batch.push(Intent::forget(Intent::MERGE));
    }
    storage.write(&batch)
}

/// Removes the rows before one.
fn drop_rows(
    storage: &impl Storage,
    present: &mut Present,
    end: RowId,
    now: u64,
) -> Result<(), StorageError> {
    let too_far = || StorageError::Failed("a row lies beyond the largest offset".into());
    let id = end.encode().ok_or_else(too_far)?;
    let position = Offset::new(end.position).ok_or_else(too_far)?;
    let mut batch = vec![Statement {
        sql: chunk::DELETE_BEFORE,
        params: vec![Param::Integer(id)],
    }];
    // What was being sealed is not all there any more, and will never be in the index.
    let prefix = present.birth.name.prefix();
    let seal = begun(storage, Intent::SEAL, &prefix, position, NEVER)?;
    let seal = seal.map(|object| Retired::new(storage, vec![object], NEVER, now));
    let seal = seal.transpose()?;
    if let Some(retired) = &seal {
        batch.extend([retired.statement(), Intent::forget(Intent::SEAL)]);
    }
    storage.write(&batch)?;
    drop(batch);
    present.tail.cut_off(position, None);
    present.hot = None;
    Ok(())
}

/// The object that was begun of what starts before `end`, which will not be finished. It came into
/// the index no earlier than it left: `generation`.
fn begun(
    storage: &impl Storage,
    row: i64,
    prefix: &str,
    end: Offset,
    generation: u64,
) -> Result<Option<Retiring>, StorageError> {
    let Some(intent) = Intent::load(storage, row)? else {
        return Ok(None);
    };
    let (start, until) = intent.range()?;
    Ok((start < end).then(|| Retiring {
        key: segment::key(prefix, start, until.position()),
        born: generation,
    }))
}
