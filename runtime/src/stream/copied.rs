//! What subscriptions have copied into the stream, which is their target: for each source the position
//! up to which everything is here, its cursor. Cursors move in the batch that appends what they move
//! over, and decide what is appended: so each message of a source comes once, in its order, whoever
//! repeats what and whatever fails.
//!
//! A subscription has its cursors in rows of 64, in the order in which its sources first came, and
//! one without any from when it makes the stream its target. A row that is full changes on; so a copy
//! of one source writes one row of them, and a copy of many that came together does as well. The
//! rows are the stream's own and go with it. Releases that do not know of them pass over them: they
//! take no copies.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::state;
use super::storage::{Param, Statement, Storage, StorageError};
use crate::protocol::ask::{CopyPart, Life};
use crate::protocol::version::{self, Stated};

/// The first of the rows, and the last that there can be.
const FIRST_ROW_ID: i64 = -(1 << 50);
const SELECT: &str = "SELECT id, body FROM stream \
    WHERE id BETWEEN -1125899906842624 AND -1125899638407169 ORDER BY id";
const DELETE: &str = "DELETE FROM stream WHERE id = ?1";
const DELETE_ALL: &str =
    "DELETE FROM stream WHERE id BETWEEN -1125899906842624 AND -1125899638407169";

/// How many cursors are in a row.
const A_ROW: usize = 64;

/// The version of the rows.
const VERSION: u32 = 1;

/// How far the copies of a source are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
struct Cursor {
    /// The source's path below the root.
    path: String,
    /// Which stream of that path.
    life: Life,
    /// The position up to which everything is here.
    at: u64,
}

/// A cursor as it is stored, without names: there are many in a row.
#[derive(Serialize, Deserialize)]
struct Packed(String, u64, String, u64);

impl From<Packed> for Cursor {
    fn from(Packed(path, born, incarnation, at): Packed) -> Self {
        let life = Life { born, incarnation };
        Self { path, life, at }
    }
}

impl From<Cursor> for Packed {
    fn from(Cursor { path, life, at }: Cursor) -> Self {
        Self(path, life.born, life.incarnation, at)
    }
}

/// A row as it is read.
#[derive(Deserialize)]
struct Record {
    subscription: String,
    life: Life,
    cursors: Vec<Cursor>,
}

/// A row as it is written.
#[derive(Serialize)]
struct Written<'a> {
    v: Stated,
    subscription: &'a str,
    life: &'a Life,
    cursors: &'a [Cursor],
}

/// What becomes of a part that is to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on where the cursor is, which moves to its end: it is to be appended.
    Taken(u64),
    /// It does not, or nothing of it is new: the position to go on behind.
    At(u64),
}

/// A subscription that copies into the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feeder {
    /// The subscription's name.
    pub subscription: String,
    /// Which of that name.
    pub life: Life,
    rows: Vec<i64>,
    cursors: Vec<Cursor>,
    /// Where the cursor of each path is.
    places: BTreeMap<String, usize>,
    /// Which rows are to be written.
    changed: BTreeSet<usize>,
}

impl Feeder {
    fn new(subscription: &str, life: &Life) -> Self {
        Self {
            subscription: subscription.to_owned(),
            life: life.clone(),
            rows: Vec::new(),
            cursors: Vec::new(),
            places: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Looks whether a part is the next one of its source, and moves the cursor to its end if so.
    /// Nobody repeats what is new of a stream that was there before the one that is known.
    pub fn judge(&mut self, part: &CopyPart) -> Verdict {
        let place = self.places.get(&part.path).copied();
        let known = place.and_then(|place| self.cursors.get(place));
        let at = match known {
            Some(cursor) if cursor.life == part.life => cursor.at.max(part.since),
            Some(cursor) if cursor.life.is_after(&part.life) => return Verdict::At(part.to),
            _ => part.since,
        };
        if part.to <= at || part.behind != at {
            return Verdict::At(at);
        }
        let moved = Cursor {
            path: part.path.clone(),
            life: part.life.clone(),
            at: part.to,
        };
        let place = match place {
            Some(place) => {
                if let Some(cursor) = self.cursors.get_mut(place) {
                    *cursor = moved;
                }
                place
            }
            None => self.add(moved),
        };
        self.changed.extend(place.checked_div(A_ROW));
        Verdict::Taken(part.to)
    }

    fn add(&mut self, cursor: Cursor) -> usize {
        let place = self.cursors.len();
        self.places.insert(cursor.path.clone(), place);
        self.cursors.push(cursor);
        place
    }

    fn encode(&self, row: usize) -> Vec<u8> {
        let start = row.saturating_mul(A_ROW).min(self.cursors.len());
        let end = start.saturating_add(A_ROW).min(self.cursors.len());
        let written = Written {
            v: Some(VERSION),
            subscription: &self.subscription,
            life: &self.life,
            cursors: self.cursors.get(start..end).unwrap_or_default(),
        };
        serde_json::json!(written).to_string().into_bytes()
    }
}

/// All subscriptions that copy into the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feeders {
    all: Vec<Feeder>,
    /// The row that is used next.
    next: i64,
}

impl Feeders {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Whatever the database reports; [`StorageError::Newer`].
    pub fn load(storage: &impl Storage) -> Result<Self, StorageError> {
        let mut feeders = Self {
            all: Vec::new(),
            next: FIRST_ROW_ID,
        };
        let mut outcome = Ok(());
        storage.query(SELECT, &[], &mut |row| {
            outcome = decode(row.blob(1)).map(|record| feeders.add(row.integer(0), record));
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        outcome?;
        Ok(feeders)
    }

    fn add(&mut self, row: i64, record: Record) {
        self.next = row.saturating_add(1);
        let Record {
            subscription,
            life,
            cursors,
        } = record;
        let is_of = |feeder: &Feeder| feeder.subscription == subscription && feeder.life == life;
        let known = self.all.iter().position(is_of);
        let place = known.unwrap_or_else(|| {
            self.all.push(Feeder::new(&subscription, &life));
            self.all.len().saturating_sub(1)
        });
        if let Some(feeder) = self.all.get_mut(place) {
            feeder.rows.push(row);
            for cursor in cursors {
                feeder.add(cursor);
            }
        }
    }

    /// The subscription of a name, if it copies into the stream.
    pub fn find(&mut self, subscription: &str) -> Option<&mut Feeder> {
        let mut all = self.all.iter_mut();
        all.find(|feeder| feeder.subscription == subscription)
    }

    /// Puts a subscription without cursors in the place of the one of its name.
    pub fn put(&mut self, subscription: &str, life: &Life) {
        self.all.retain(|it| it.subscription != subscription);
        let mut feeder = Feeder::new(subscription, life);
        feeder.changed.insert(0);
        self.all.push(feeder);
    }

    /// Forgets the subscription of a name. Gives the rows that are to go.
    pub fn remove(&mut self, subscription: &str) -> Vec<i64> {
        let removed = self
            .find(subscription)
            .map(|it| std::mem::take(&mut it.rows));
        self.all.retain(|it| it.subscription != subscription);
        removed.unwrap_or_default()
    }

    /// The rows that are to be written, as they are then.
    pub fn changed(&mut self) -> Vec<(i64, Vec<u8>)> {
        let mut rows = Vec::new();
        for feeder in &mut self.all {
            for row in std::mem::take(&mut feeder.changed) {
                if row == feeder.rows.len() {
                    feeder.rows.push(self.next);
                    self.next = self.next.saturating_add(1);
                }
                if let Some(id) = feeder.rows.get(row) {
                    rows.push((*id, feeder.encode(row)));
                }
            }
        }
        rows
    }
}

/// Stores rows that have changed.
pub(super) fn put(rows: &[(i64, Vec<u8>)]) -> impl Iterator<Item = Statement<'_>> {
    rows.iter().map(|(row, record)| state::put(*row, record))
}

/// Removes rows.
pub(super) fn delete(rows: &[i64]) -> impl Iterator<Item = Statement<'static>> {
    rows.iter().map(|row| Statement {
        sql: DELETE,
        params: vec![Param::Integer(*row)],
    })
}

/// Removes all rows.
pub(super) fn delete_all() -> Statement<'static> {
    Statement {
        sql: DELETE_ALL,
        params: Vec::new(),
    }
}

fn decode(body: &[u8]) -> Result<Record, StorageError> {
    Ok(version::read("a row of cursors", body, VERSION)?)
}

#[cfg(test)]
mod tests;
