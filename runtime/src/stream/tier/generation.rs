//! Generations of the index: each merge begins one.
//!
//! A fork needs the objects that were in its source's index when it was made. An object whose time
//! in the index is known in generations, and a fork whose first one is known, need not know of
//! each other.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::protocol::version::{self, STORED};
use crate::stream::state;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// The row of the current generation. A stream that has never merged has none.
const ROW_ID: i64 = -5002;

/// How the row is written. As for all records, a version is stated only when earlier readers
/// would get it wrong. Releases that do not know the row neither read nor write it, so that after
/// a rollback merges go uncounted: the notes they leave behind say so.
#[derive(Serialize, Deserialize)]
struct Record {
    generation: u64,
}

/// The current generation; 0 before the first merge.
pub(in crate::stream) fn current(storage: &impl Storage) -> Result<u64, StorageError> {
    let mut found = None;
    let select = "SELECT body FROM stream WHERE id = ?1";
    storage.query(select, &[Param::Integer(ROW_ID)], &mut |row| {
        found = Some(version::read(
            "the generation of the index",
            row.blob(0),
            STORED,
        ));
        ControlFlow::Break(())
    })?;
    let record: Option<Record> = found.transpose()?;
    Ok(record.map_or(0, |record| record.generation))
}

/// The record of a generation.
pub(in crate::stream) fn encode(generation: u64) -> Vec<u8> {
    let record = Record { generation };
    serde_json::json!(record).to_string().into_bytes()
}

/// The statement that begins a generation; `record` is its own, encoded.
pub(in crate::stream) fn begin(record: &[u8]) -> Statement<'_> {
    state::put(ROW_ID, record)
}
