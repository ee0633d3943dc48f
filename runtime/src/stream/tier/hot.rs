//! How much of a stream lies in rows: whether that is enough to seal.
//!
//! Only that is of interest, so nothing is counted further than it takes to say so, and nothing
//! twice: what is sealed is subtracted, and counting goes on behind what was counted before. So
//! moving a backlog takes time that grows with its length, and not with its square.

use std::ops::ControlFlow;

use super::upkeep::Limits;
use crate::protocol::json;
use crate::protocol::offset::Offset;
use crate::stream::log::chunk::RowId;
use crate::stream::storage::{Param, Storage, StorageError};

/// Counts some rows from one on (its id in `?1`): rows, positions, bytes, the rows in which a
/// message starts, the last one of them, and the last one there is.
const SELECT_SIZE: &str = "SELECT count(*), coalesce(sum(count), 0), coalesce(sum(bytes), 0), \
    coalesce(sum(id % 64 = 0), 0), coalesce(max(id), 0), \
    coalesce((SELECT max(id) FROM stream), 0) FROM \
    (SELECT id, count, length(body) AS bytes FROM stream WHERE id >= ?1 ORDER BY id LIMIT 256)";

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Of a byte stream these are appends; of what was there before the stream was loaded, rows.
    messages: u64,
    /// Without what separates messages.
    bytes: u64,
    /// The first row that is not counted; `None` when all are.
    next: Option<i64>,
}

/// What is sealed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    messages: u64,
    bytes: u64,
}

impl Hot {
    /// Nothing has been counted.
    pub(super) fn uncounted() -> Self {
        Self {
            messages: 0,
            bytes: 0,
            next: Some(0),
        }
    }

    /// Whether it is enough to seal. Counts as many rows as it takes to say so.
    ///
    /// # Errors
    ///
    /// When storage fails.
    pub(super) fn is_due(
        &mut self,
        limits: &Limits,
        storage: &impl Storage,
        is_json: bool,
    ) -> Result<bool, StorageError> {
        let most = u64::try_from(limits.max_bytes).unwrap_or(u64::MAX);
        loop {
            if self.messages >= limits.max_messages || self.bytes >= most {
                return Ok(true);
            }
            let Some(next) = self.next else {
                return Ok(false);
            };
            self.count(storage, next, is_json)?;
        }
    }

    /// Counts some rows more.
    fn count(
        &mut self,
        storage: &impl Storage,
        next: i64,
        is_json: bool,
    ) -> Result<(), StorageError> {
        storage.query(SELECT_SIZE, &[Param::Integer(next)], &mut |row| {
            let count = |column| u64::try_from(row.integer(column)).unwrap_or(0);
            let (rows, positions, bytes, starts) = (count(0), count(1), count(2), count(3));
            let separators = if is_json {
                separators(positions.saturating_sub(starts))
            } else {
                0
            };
            let messages = if is_json { positions } else { rows };
            self.messages = self.messages.saturating_add(messages);
            let bytes = bytes.saturating_sub(separators);
            self.bytes = self.bytes.saturating_add(bytes);
            // The last row there is may still grow: whoever appends to it adds to what is
            // counted, but only when everything is.
            let (last, end) = (row.integer(4), row.integer(5));
            self.next = (rows > 0 && last < end).then(|| last.saturating_add(1));
            ControlFlow::Break(())
        })
    }

    /// Messages and bytes, when all of them are counted.
    #[cfg(test)]
    pub(in crate::stream) fn all(&self) -> Option<(u64, u64)> {
        self.next.is_none().then_some((self.messages, self.bytes))
    }

    /// Counts everything anew.
    #[cfg(test)]
    pub(in crate::stream) fn of(storage: &impl Storage, is_json: bool) -> Self {
        let mut hot = Self::uncounted();
        while let Some(next) = hot.next {
            hot.count(storage, next, is_json).unwrap();
        }
        hot
    }

    /// How many bytes were counted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts an append, unless it will be counted with the rows.
    pub(in crate::stream) fn add(&mut self, count: u64, bytes: usize, is_json: bool) {
        if self.next.is_some() {
            return;
        }
        let share = Share::of(count, bytes, is_json);
        self.messages = self.messages.saturating_add(share.messages);
        self.bytes = self.bytes.saturating_add(share.bytes);
    }

    /// What is counted of the oldest `count` positions. How many appends they were is not known of
    /// bytes: as many as their part in all bytes.
    pub(super) fn share(&self, count: u64, bytes: usize, is_json: bool) -> Share {
        let share = Share::of(count, bytes, is_json);
        if is_json {
            return share;
        }
        let messages = self.messages.saturating_mul(share.bytes.min(self.bytes));
        Share {
            messages: messages.checked_div(self.bytes).unwrap_or(0),
            ..share
        }
    }

    /// Subtracts what was sealed, up to `end`.
    pub(super) fn subtract(&mut self, share: Share, end: Offset) {
        let end = RowId::chunk(end).encode();
        *self = match (self.next, end) {
            // More was sealed than had been counted.
            (Some(next), Some(end)) if next < end => Self {
                next: Some(end),
                ..Self::uncounted()
            },
            _ => Self {
                messages: self.messages.saturating_sub(share.messages),
                bytes: self.bytes.saturating_sub(share.bytes),
                next: self.next,
            },
        };
    }
}

impl Share {
    fn of(count: u64, bytes: usize, is_json: bool) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if !is_json {
            let messages = count.min(1);
            return Self { messages, bytes };
        }
        Self {
            messages: count,
            bytes: bytes.saturating_sub(separators(count.saturating_sub(1))),
        }
    }
}

/// The length of so many separators.
fn separators(count: u64) -> u64 {
    let length = u64::try_from(json::SEPARATOR.len()).unwrap_or(u64::MAX);
    count.saturating_mul(length)
}
