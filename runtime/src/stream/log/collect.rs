//! Putting together what lies in rows: a page, what is sealed, what a fork copies.
//!
//! Whatever a query finds, the platform reads, even when nobody wants to see the rest. So rows are
//! asked for in batches, and what is read is what is taken and at most a batch more.

use std::ops::ControlFlow;

use super::chunk::{self, Cut, RowId};
use crate::protocol::json;
use crate::protocol::offset::Offset;
use crate::protocol::part::{CLOSE, OPEN, Part};
use crate::stream::storage::{Param, Row, Storage, StorageError};
use crate::stream::tier::cold::Cold;

/// What encloses bytes.
const NOTHING: (&[u8], &[u8]) = (b"", b"");

/// Puts a page together from rows.
pub(in crate::stream) struct Collector {
    start: Offset,
    next: Offset,
    /// Nothing from here on belongs to the page.
    until: Offset,
    is_json: bool,
    max_bytes: usize,
    /// The start of the page, where it does not lie in rows.
    cold: Vec<Part>,
    /// What encloses the messages.
    brackets: (&'static [u8], &'static [u8]),
    data: Vec<u8>,
    /// No further message fits; only parts of the last one may follow.
    full: bool,
    /// The length of `data` and the next offset before the last chunk was added.
    before_last: (usize, Offset),
}

impl Collector {
    /// An empty page that starts at `start`.
    pub fn new(start: Offset, is_json: bool, max_bytes: usize) -> Self {
        let brackets = if is_json { (OPEN, CLOSE) } else { NOTHING };
        Self {
            start,
            next: start,
            until: Offset::MAX,
            is_json,
            max_bytes,
            cold: Vec::new(),
            brackets,
            data: brackets.0.to_vec(),
            full: false,
            before_last: (0, start),
        }
    }

    /// A page without end, and without what encloses it.
    pub fn bare(start: Offset, is_json: bool) -> Self {
        Self {
            brackets: NOTHING,
            data: Vec::new(),
            ..Self::new(start, is_json, usize::MAX)
        }
    }

    /// Lets the page end at `until` at the latest.
    pub fn until(self, until: Offset) -> Self {
        Self { until, ..self }
    }

    /// Lets the page start with what does not lie in rows. The rest comes without brackets:
    /// whoever puts both together has to add them anyway.
    pub fn begin_with(&mut self, cold: Cold) {
        let bytes = usize::try_from(cold.bytes).unwrap_or(usize::MAX);
        self.cold = cold.parts;
        self.next = cold.next;
        self.max_bytes = self.max_bytes.saturating_sub(bytes);
        self.brackets = NOTHING;
        self.data.clear();
    }

    /// Whether a text fits that may have to be separated from what is there.
    pub fn has_room_for(&self, text: &[u8]) -> bool {
        let length = self.data.len().saturating_add(json::SEPARATOR.len());
        length.saturating_add(text.len()) <= self.max_bytes
    }

    /// Takes all that is left up to `tail`.
    pub fn end_with(&mut self, text: &[u8], tail: Offset) {
        // Where something lies elsewhere, whoever puts both together separates them.
        self.data.extend_from_slice(text);
        self.next = tail;
    }

    /// Takes what fits from the rows.
    ///
    /// # Errors
    ///
    /// When storage fails, or has nothing that starts where the page goes on.
    pub fn collect(&mut self, storage: &impl Storage) -> Result<(), StorageError> {
        let malformed = || StorageError::Failed("a chunk is malformed".into());
        let end = RowId::chunk(self.reach()).encode().ok_or_else(malformed)?;
        let mut after = RowId::chunk(self.next).encode().ok_or_else(malformed)?;
        let mut sql = chunk::SELECT_FROM;
        let mut batch = Batch::first(self.room());
        let mut well_formed = true;
        loop {
            let params = [after, end, batch.rows].map(Param::Integer);
            let mut goes_on = true;
            let mut found = 0_i64;
            storage.query(sql, &params, &mut |row| {
                found = found.saturating_add(1);
                after = row.integer(0);
                batch.saw(row.blob(2).len());
                let added = self.add(row).unwrap_or_else(|| {
                    well_formed = false;
                    ControlFlow::Break(())
                });
                goes_on = added.is_continue();
                added
            })?;
            if !goes_on || found < batch.rows {
                break;
            }
            batch.next(self.room());
            sql = chunk::SELECT_AFTER;
        }
        // A page without data, short of the tail, would send the reader round in circles.
        let moved = self.next > self.start;
        if well_formed && moved {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    /// Bytes that still fit.
    fn room(&self) -> usize {
        self.max_bytes.saturating_sub(self.data.len())
    }

    /// Nothing that starts here or further on fits: every position takes a byte at least.
    fn reach(&self) -> Offset {
        let room = u64::try_from(self.room()).unwrap_or(u64::MAX).max(1);
        let reach = self.next.advance(room).unwrap_or(Offset::MAX);
        reach.min(self.until)
    }

    /// Where the page starts.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The parts that [`Collector::begin_with`] put in front; they are told once.
    pub fn take_cold(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.cold)
    }

    /// The position after the page.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// How long the data is, without what encloses it.
    pub fn content_length(&self) -> usize {
        self.data.len().saturating_sub(self.brackets.0.len())
    }

    /// The page's data, without what encloses it.
    pub fn content(mut self) -> Vec<u8> {
        self.data.drain(..self.brackets.0.len());
        self.data
    }

    /// The page's data.
    pub fn finish(mut self) -> Vec<u8> {
        self.data.extend_from_slice(self.brackets.1);
        self.data
    }

    /// Takes from a row what belongs to the page; `None` for a row that no append can have made.
    fn add(&mut self, row: &dyn Row) -> Option<ControlFlow<()>> {
        let id = RowId::decode(row.integer(0))?;
        if id.part > 0 {
            return Some(self.add_part(row.blob(2)));
        }
        if self.full || id.position >= self.until.position() {
            return Some(ControlFlow::Break(()));
        }
        let mut body = row.blob(2);
        let within = self.until.position().saturating_sub(id.position);
        if within < u64::try_from(row.integer(1)).ok()? {
            body = Cut::at(body, within, self.is_json)?.taken;
        }
        let skip = self.next.position().checked_sub(id.position)?;
        self.add_chunk(body.get(self.index_of(body, skip)?..)?)
    }

    /// Where in a chunk the message or byte after `skip` others is.
    fn index_of(&self, body: &[u8], skip: u64) -> Option<usize> {
        if self.is_json {
            json::start_of(body, skip)
        } else {
            usize::try_from(skip).ok()
        }
    }

    fn add_chunk(&mut self, chunk: &[u8]) -> Option<ControlFlow<()>> {
        let is_first = self.next == self.start;
        let separator: &[u8] = if self.is_json && self.data.len() > self.brackets.0.len() {
            json::SEPARATOR
        } else {
            b""
        };
        let room = self
            .max_bytes
            .saturating_sub(self.data.len())
            .saturating_sub(separator.len());
        if chunk.len() > room && !is_first {
            return Some(ControlFlow::Break(()));
        }
        let cut = Cut::whole_positions(chunk, room, self.is_json);
        self.before_last = (self.data.len(), self.next);
        self.data.extend_from_slice(separator);
        self.data.extend_from_slice(cut.taken);
        self.next = self.next.advance(cut.count)?;
        self.full = !cut.rest.is_empty() || self.data.len() >= self.max_bytes;
        Some(ControlFlow::Continue(()))
    }

    /// Goes on with a message that lies in parts, or, when it does not fit, takes it back.
    fn add_part(&mut self, part: &[u8]) -> ControlFlow<()> {
        let (length, next) = self.before_last;
        let fits = self.data.len().saturating_add(part.len()) <= self.max_bytes;
        if !fits && next > self.start {
            self.data.truncate(length);
            self.next = next;
            return ControlFlow::Break(());
        }
        self.data.extend_from_slice(part);
        ControlFlow::Continue(())
    }
}

/// How many rows are asked for at once. What is asked for is read to the end, so it must not be
/// much more than fits; how large rows are is only known once some of them were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    rows: i64,
    /// Rows seen so far, and their bytes.
    seen: (usize, usize),
}

impl Batch {
    /// Rows in the first one: of the largest there are, these are a few megabytes.
    const FIRST: i64 = 4;
    /// Each is at most so many times as large as the one before.
    const GROWTH: i64 = 4;
    /// Rows in the largest: enough for a statement to cost little beside what it finds.
    const MOST: i64 = 64;
    /// A row of many messages, in bytes; see [`chunk::RowLimits`].
    const USUAL: usize = 3200;

    /// The first one of a page with room for so many bytes.
    fn first(room: usize) -> Self {
        Self {
            rows: fitting(room, Self::USUAL).min(Self::FIRST),
            seen: (0, 0),
        }
    }

    /// Takes the size of a row into account.
    fn saw(&mut self, bytes: usize) {
        let (rows, sum) = self.seen;
        self.seen = (rows.saturating_add(1), sum.saturating_add(bytes));
    }

    /// The next one, with room for so many bytes more.
    fn next(&mut self, room: usize) {
        let (rows, sum) = self.seen;
        let usual = sum.checked_div(rows).unwrap_or(Self::USUAL);
        let most = self.rows.saturating_mul(Self::GROWTH).min(Self::MOST);
        self.rows = fitting(room, usual).min(most);
    }
}

/// How many rows of a size it takes to fill so many bytes, if the first one is begun already.
fn fitting(room: usize, bytes: usize) -> i64 {
    let rows = room.checked_div(bytes).unwrap_or(room).saturating_add(2);
    i64::try_from(rows).unwrap_or(i64::MAX)
}
