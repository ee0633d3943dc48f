//! Sweeping: objects that the index does not know any more are deleted when nobody can still be
//! reading them.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::upkeep::GRACE;
use crate::protocol::error::Error;
use crate::stream::Stream;
use crate::stream::family::claims;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// The row of the first note of objects that are out of use.
const FIRST_ROW_ID: i64 = -(1 << 51);

const SELECT_FIRST: &str = "SELECT id, body FROM stream \
    WHERE id BETWEEN -2251799813685248 AND -2111062325329921 ORDER BY id LIMIT 1";
const SELECT_LAST: &str = "SELECT id FROM stream \
    WHERE id BETWEEN -2251799813685248 AND -2111062325329921 ORDER BY id DESC LIMIT 1";

/// Objects to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Their keys.
    pub keys: Vec<String>,
    row: i64,
}

/// A note of objects that are out of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Retired {
    row: i64,
    note: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// When they may be deleted, in milliseconds since the Unix epoch.
    due: u64,
    keys: Vec<String>,
}

impl Retired {
    /// A note for objects that go out of use now.
    pub fn new(storage: &impl Storage, keys: Vec<String>, now: u64) -> Result<Self, StorageError> {
        let mut row = FIRST_ROW_ID;
        storage.query(SELECT_LAST, &[], &mut |last| {
            row = last.integer(0).saturating_add(1);
            ControlFlow::Break(())
        })?;
        let due = now.saturating_add(GRACE);
        let note = serde_json::json!(Note { due, keys });
        let note = note.to_string().into_bytes();
        Ok(Self { row, note })
    }

    /// The statement that notes it.
    pub fn statement(&self) -> Statement<'_> {
        crate::stream::state::put(self.row, &self.note)
    }
}

fn first(storage: &impl Storage) -> Result<Option<(i64, Note)>, StorageError> {
    let mut found = None;
    storage.query(SELECT_FIRST, &[], &mut |row| {
        found = Some((row.integer(0), serde_json::from_slice(row.blob(1))));
        ControlFlow::Break(())
    })?;
    let Some((row, note)) = found else {
        return Ok(None);
    };
    let note = note.map_err(|error| {
        StorageError::Failed(format!(
            "a note of objects out of use is malformed: {error}"
        ))
    })?;
    Ok(Some((row, note)))
}

/// When the next objects may be deleted; `None` also while a fork may read them.
pub(in crate::stream) fn due(storage: &impl Storage) -> Result<Option<u64>, StorageError> {
    if claims::any(storage)? {
        return Ok(None);
    }
    Ok(first(storage)?.map(|(_, note)| note.due))
}

impl<S: Storage> Stream<S> {
    /// Plans to delete objects that are out of use for long enough.
    pub(in crate::stream) fn sweep(&mut self, now: u64) -> Result<Option<Sweep>, Error> {
        let Some((storage, ..)) = self.if_present(now)? else {
            return Ok(None);
        };
        if claims::any(storage)? {
            // A fork may read them for as long as it lives.
            return Ok(None);
        }
        let due = first(storage)?.filter(|(_, note)| note.due <= now);
        Ok(due.map(|(row, note)| Sweep {
            keys: note.keys,
            row,
        }))
    }

    /// The objects are gone: forgets them.
    pub(in crate::stream) fn swept(&mut self, sweep: &Sweep, now: u64) -> Result<bool, Error> {
        let Some((storage, ..)) = self.if_present(now)? else {
            return Ok(true);
        };
        // Another stream may be here by now, with notes of its own.
        let is_this =
            first(storage)?.is_some_and(|(row, note)| row == sweep.row && note.keys == sweep.keys);
        if is_this {
            storage.write(&[Statement {
                sql: "DELETE FROM stream WHERE id = ?1",
                params: vec![Param::Integer(sweep.row)],
            }])?;
        }
        Ok(true)
    }
}
