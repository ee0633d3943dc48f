//! Merging: several small segments become one, so that a long stream needs few objects.
//!
//! Segments are merged by size: as soon as enough of the last ones are shorter than some
//! threshold and together reach it. So each byte is copied once a threshold, and between two
//! thresholds there are never many segments.

use super::generation;
use super::marks::{self, Mark};
use super::record::Record;
use super::segment::{self, Segment};
use super::sweep;
use super::upkeep::{Intent, Limits};
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::part::Plan;
use crate::stream::Stream;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// Fewer segments than this are not worth merging, and thresholds are this far apart.
const FEW: usize = 8;
const STEP: u64 = 8;

/// At most this many segments are merged at once: each is a request to the bucket.
const MOST: usize = 32;

const DELETE: &str = "DELETE FROM stream WHERE id BETWEEN ?1 AND ?2";

/// An object to put together from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Its key.
    pub key: String,
    /// Its type.
    pub content_type: String,
    /// Where its content lies.
    pub plan: Plan,
    size: u64,
    crc: Option<u32>,
    prefix: String,
    start: Offset,
    end: Offset,
    marks: Vec<Mark>,
    seq: Option<String>,
    /// What is known of the objects that go out of use.
    retiring: Vec<sweep::Retiring>,
}

impl Merge {
    /// The length of the object in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many positions are in it.
    pub fn count(&self) -> u64 {
        self.end.since(self.start)
    }

    fn new(
        segments: &[Segment],
        prefix: String,
        content_type: &str,
        is_json: bool,
    ) -> Result<Option<Self>, StorageError> {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return Ok(None);
        };
        let end = last.end()?;
        let parts = segments.iter().map(|s| s.whole(&prefix, is_json)).collect();
        let retiring = segments.iter().map(|segment| segment.retiring(&prefix));
        Ok(Some(Self {
            key: segment::key(&prefix, first.start, end.position()),
            content_type: content_type.to_owned(),
            plan: Plan { is_json, parts },
            size: marks::joined_size(segments, is_json),
            crc: marks::joined_crc(segments, is_json),
            retiring: retiring.collect(),
            start: first.start,
            end,
            marks: marks::joined_marks(segments, is_json),
            seq: last.seq.clone(),
            prefix,
        }))
    }
}

impl<S: Storage> Stream<S> {
    /// Plans to merge segments, if there are enough or it was begun before.
    pub(in crate::stream) fn merge(
        &mut self,
        limits: &Limits,
        now: u64,
    ) -> Result<Option<Merge>, Error> {
        let present = self.if_present(now)?;
        let Some((storage, _, present)) = present.filter(|found| found.2.sealed > Offset::START)
        else {
            return Ok(None);
        };
        let begun = Intent::load(storage, Intent::MERGE)?;
        let segments = match begun {
            Some(intent) => {
                let (start, end) = intent.range()?;
                segment::between(storage, start, end)?
            }
            None => {
                let last = last(storage, limits, present.earliest())?;
                choose(last, limits.merge_bytes)
            }
        };
        let content_type = &present.birth.content_type;
        let merge = Merge::new(
            &segments,
            present.birth.name.prefix(),
            content_type.as_str(),
            content_type.is_json(),
        )?;
        if let Some(merge) = &merge
            && begun.is_none()
        {
            Intent::new(merge.start, merge.end).note(storage, Intent::MERGE)?;
        }
        Ok(merge)
    }

    /// The object is there: lets the index say so, and keeps in mind that the others have to go,
    /// all at once.
    pub(in crate::stream) fn merged(
        &mut self,
        merge: Merge,
        etag: String,
        now: u64,
    ) -> Result<bool, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(true);
        };
        let intent = Intent::new(merge.start, merge.end);
        let is_this = present.birth.name.prefix() == merge.prefix
            && Intent::load(storage, Intent::MERGE)? == Some(intent);
        if !is_this {
            return Ok(true);
        }
        let count = merge.end.since(merge.start);
        let last = segment::row_id(merge.end).saturating_sub(1);
        let generation = generation::current(storage)?.saturating_add(1);
        let record = Record {
            size: merge.size,
            etag,
            crc: merge.crc,
            born: generation,
            holds: None,
            owner: None,
            marks: merge.marks,
        };
        let segment = Segment {
            start: merge.start,
            count,
            record,
            seq: merge.seq,
        };
        let record = segment.record.encode();
        let retired = sweep::Retired::new(storage, merge.retiring, generation, now)?;
        let generation = generation::encode(generation);
        storage.write(&[
            Statement {
                sql: DELETE,
                params: vec![
                    Param::Integer(segment::row_id(merge.start)),
                    Param::Integer(last),
                ],
            },
            segment.statement(&record),
            retired.statement(),
            generation::begin(&generation),
            Intent::forget(Intent::MERGE),
        ])?;
        Ok(true)
    }
}

/// The last segments, in order, back to one that is large enough, not the stream's own, or about
/// to be dropped: behind the last of those may be a gap.
fn last(
    storage: &impl Storage,
    limits: &Limits,
    earliest: Offset,
) -> Result<Vec<Segment>, StorageError> {
    let largest = limits.merge_bytes.div_ceil(2);
    let mut segments = segment::select(storage, segment::SELECT_BACKWARDS, &[], |segment| {
        let is_small = segment.is_own() && segment.record.size < largest;
        Ok(is_small && segment.end().is_ok_and(|end| end > earliest))
    })?;
    segments.reverse();
    Ok(segments)
}

/// Chooses which of the last segments become one; none if it is too early.
fn choose(mut segments: Vec<Segment>, most_bytes: u64) -> Vec<Segment> {
    let below = |threshold: &u64| threshold.checked_div(STEP).filter(|next| *next > 0);
    let thresholds = std::iter::successors(Some(most_bytes.div_ceil(2)), below);
    let thresholds: Vec<u64> = thresholds.collect();
    for threshold in thresholds.into_iter().rev() {
        let small = |segment: &&Segment| segment.record.size < threshold;
        let run = segments.iter().rev().take_while(small).count();
        let first = segments.len().saturating_sub(run);
        let fits = fitting(segments.get(first..).unwrap_or(&[]), most_bytes);
        let is_enough = run >= FEW && fits.bytes >= threshold;
        let is_full = fits.count < run;
        if fits.count > 1 && (is_enough || is_full) {
            segments.truncate(first.saturating_add(fits.count));
            return segments.split_off(first);
        }
    }
    Vec::new()
}

struct Fitting {
    count: usize,
    bytes: u64,
}

/// How many of the first segments fit into one object.
fn fitting(segments: &[Segment], most_bytes: u64) -> Fitting {
    let mut fitting = Fitting { count: 0, bytes: 0 };
    for segment in segments.iter().take(MOST) {
        let bytes = fitting.bytes.saturating_add(segment.record.size);
        if bytes > most_bytes {
            break;
        }
        fitting.count = fitting.count.saturating_add(1);
        fitting.bytes = bytes;
    }
    fitting
}
