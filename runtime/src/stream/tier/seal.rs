//! Sealing: what is oldest in rows becomes a segment in an object of its own.

use std::ops::ControlFlow;

use super::hot::{Hot, Share};
use super::marks::{self, Mark};
use super::record::Record;
use super::segment::{self, Segment};
use super::upkeep::{Intent, Limits};
use crate::protocol::checksum;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::log::chunk::{self, Cut, RowId, Tail};
use crate::stream::log::collect::Collector;
use crate::stream::state::{self, State};
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// An object to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its key.
    pub key: String,
    /// Its type.
    pub content_type: String,
    /// Its content.
    pub body: Vec<u8>,
    prefix: String,
    start: Offset,
    end: Offset,
    marks: Vec<Mark>,
    /// What it is of everything in rows, where that is known.
    share: Option<Share>,
}

impl Seal {
    /// The length of the object in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.body.len()).unwrap_or(u64::MAX)
    }

    /// How many positions are in it.
    pub fn count(&self) -> u64 {
        self.end.since(self.start)
    }
}

impl<S: Storage> Stream<S> {
    /// Plans to seal what is oldest, if it is due or was begun before.
    pub(in crate::stream) fn seal(
        &mut self,
        is_due: bool,
        limits: &Limits,
        now: u64,
    ) -> Result<Option<Seal>, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(None);
        };
        let begun = Intent::load(storage, Intent::SEAL)?;
        let tail = present.tail.offset;
        // What nobody can read any more is not worth an object.
        let oldest = present.sealed.max(present.earliest());
        let (start, until, max_bytes) = match begun {
            // The very same again.
            Some(intent) => {
                let (start, end) = intent.range()?;
                (start, end, usize::MAX)
            }
            None if is_due && oldest < tail => (oldest, tail, limits.max_bytes),
            None => return Ok(None),
        };
        let is_json = present.birth.content_type.is_json();
        let mut collector = Collector::new(start, is_json, max_bytes).until(until);
        collector.collect(storage)?;
        let end = collector.next();
        if begun.is_some() && end != until {
            let message = "what was being sealed is not there any more".to_owned();
            return Err(StorageError::Failed(message).into());
        }
        if begun.is_none() {
            Intent::new(start, end).note(storage, Intent::SEAL)?;
        }
        if end == present.tail.offset {
            // Otherwise the next append joins what is being sealed, and has to be cut off again.
            present.tail.end_chunk();
        }
        let content = collector.content_length();
        let share = |hot: &Hot| hot.share(end.since(start), content, is_json);
        let hot = present.hot.as_ref().filter(|_| start == present.sealed);
        let share = hot.map(share);
        let body = collector.finish();
        let prefix = present.birth.name.prefix();
        Ok(Some(Seal {
            key: segment::key(&prefix, start, end.position()),
            content_type: present.birth.content_type.as_str().to_owned(),
            marks: marks::marks_of(&body, is_json),
            body,
            prefix,
            start,
            end,
            share,
        }))
    }

    /// The object is there: lets the index say so, and removes the rows, all at once.
    pub(in crate::stream) fn sealed(
        &mut self,
        seal: Seal,
        etag: String,
        now: u64,
    ) -> Result<bool, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(true);
        };
        let intent = Intent::new(seal.start, seal.end);
        let is_this = present.birth.name.prefix() == seal.prefix
            && Intent::load(storage, Intent::SEAL)? == Some(intent);
        if !is_this {
            // Of a stream that was here before. Its objects are being removed.
            return Ok(true);
        }
        let is_json = present.birth.content_type.is_json();
        let last = Border::find(storage, seal.end, is_json)?;
        let record = Record {
            size: seal.size(),
            etag,
            crc: Some(checksum::of(marks::content(&seal.body, is_json))),
            born: 0,
            holds: None,
            owner: None,
            marks: seal.marks,
        };
        let segment = Segment {
            start: seal.start,
            count: seal.end.since(seal.start),
            record,
            seq: last.seq.clone(),
        };
        // The row that says when the stream was last appended to may go.
        let state = present.quiet().map(|quiet| State {
            quiet: Some(quiet),
            ..present.state.clone()
        });
        commit(storage, &segment, seal.end, &last, state.as_ref())?;
        if let Some(state) = state {
            present.state = state;
        }
        let rest = last.rest.as_ref().map(|(_, rest)| rest.len());
        moved(present, seal.end, seal.share, rest);
        Ok(true)
    }
}

/// What is known of a sealed stream's memory.
fn moved(present: &mut Present, end: Offset, share: Option<Share>, rest: Option<usize>) {
    present.sealed = end;
    match (&mut present.hot, share) {
        (Some(hot), Some(share)) => hot.subtract(share, end),
        (hot, _) => *hot = None,
    }
    present.tail.cut_off(end, rest);
}

fn commit(
    storage: &impl Storage,
    segment: &Segment,
    end: Offset,
    last: &Border,
    state: Option<&State>,
) -> Result<(), StorageError> {
    let too_far = || StorageError::Failed("a segment ends beyond the largest offset".into());
    let end = RowId::chunk(end).encode().ok_or_else(too_far)?;
    let record = segment.record.encode();
    let state = state.map(State::encode);
    let mut batch = vec![
        Statement {
            sql: chunk::DELETE_BEFORE,
            params: vec![Param::Integer(end)],
        },
        segment.statement(&record),
        Intent::forget(Intent::SEAL),
    ];
    if let Some((count, rest)) = &last.rest {
        batch.push(Statement {
            sql: chunk::INSERT,
            params: vec![
                Param::Integer(end),
                Param::Integer(*count),
                Param::Blob(rest),
                last.seq.as_deref().map_or(Param::Null, Param::Text),
            ],
        });
    }
    batch.extend(state.as_ref().map(|state| state::put(state::ROW_ID, state)));
    storage.write(&batch)
}

/// The last row with something before the end of a segment.
#[derive(Debug, Default)]
struct Border {
    seq: Option<String>,
    /// The count and the content of what lies behind the end in the same row.
    rest: Option<(i64, Vec<u8>)>,
}

impl Border {
    fn find(storage: &impl Storage, end: Offset, is_json: bool) -> Result<Self, StorageError> {
        let malformed = || StorageError::Failed("a chunk is malformed".into());
        let before = RowId::chunk(end).encode().ok_or_else(malformed)?;
        let mut found = None;
        let before = [Param::Integer(before)];
        storage.query(chunk::SELECT_LAST_BEFORE, &before, &mut |row| {
            let seq = row.text(3).map(str::to_owned);
            found = RowId::decode(row.integer(0)).and_then(|id| {
                let count = u64::try_from(row.integer(1)).ok()?;
                let inside = end.position().checked_sub(id.position)?;
                let behind = if id.part == 0 {
                    count.saturating_sub(inside)
                } else {
                    0
                };
                if behind == 0 {
                    return Some(Self { seq, rest: None });
                }
                let cut = Cut::at(row.blob(2), inside, is_json)?;
                let rest = (i64::try_from(behind).ok()?, cut.rest.to_vec());
                Some(Self {
                    seq,
                    rest: Some(rest),
                })
            });
            ControlFlow::Break(())
        })?;
        found.ok_or_else(malformed)
    }
}

/// The end of a stream whose last row may be sealed.
pub(in crate::stream) fn tail(
    storage: &impl Storage,
    last_chunk: Option<Tail>,
) -> Result<(Tail, Offset), StorageError> {
    let mut last = None;
    storage.query(segment::SELECT_LAST, &[], &mut |row| {
        last = Some(Segment::from_row(row));
        ControlFlow::Break(())
    })?;
    let Some(last) = last.transpose()? else {
        return Ok((last_chunk.unwrap_or_default(), Offset::START));
    };
    let sealed = last.end()?;
    let tail = last_chunk.unwrap_or_else(|| Tail::bare(sealed, last.seq));
    Ok((tail, sealed))
}
