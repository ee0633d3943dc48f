//! Claims: which forks there are of a stream (section 4.2). Each keeps what it may read from being
//! removed.
//!
//! A claim is made before its fork is, and taken back after the fork is gone, in another object
//! each, so either side may fail in between. But only the fork itself knows whether it lives: so
//! whoever holds a claim asks it, a while after the claim was made and, once nothing but claims
//! keeps the stream, again and again. What a fork says when it goes only makes that quick.

use std::ops::ControlFlow;

use crate::stream::birth::Name;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

/// How long after a claim was made its fork is asked whether it lives, in milliseconds. By then
/// it has been made, or never will be.
pub const FIRST_CHECK: u64 = 60_000;

/// How often forks are asked when nothing else keeps the stream, in milliseconds: once a day.
pub const RECHECK: u64 = 86_400_000;

/// How many forks are asked at once.
const AT_ONCE: usize = 32;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS claim (path TEXT NOT NULL, \
    incarnation TEXT NOT NULL, due INTEGER, PRIMARY KEY (path, incarnation)) WITHOUT ROWID";
const EXISTS: &str = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'claim'";
const ANY: &str = "SELECT 1 FROM claim LIMIT 1";
const EARLIEST: &str = "SELECT min(due) FROM claim WHERE due IS NOT NULL HAVING count(*) > 0";
const SELECT_DUE: &str = "SELECT path, incarnation FROM claim WHERE due <= ?1 ORDER BY due";
const INSERT: &str = "INSERT OR REPLACE INTO claim (path, incarnation, due) VALUES (?1, ?2, ?3)";
const DELETE: &str = "DELETE FROM claim WHERE path = ?1 AND incarnation = ?2";
const SETTLE: &str = "UPDATE claim SET due = ?3 WHERE path = ?1 AND incarnation = ?2";
const DISTRUST: &str = "UPDATE claim SET due = ?1";

/// Takes away an empty list of claims.
pub const DROP: &str = "DROP TABLE IF EXISTS claim";

/// Whether there are any.
pub(in crate::stream) fn any(storage: &impl Storage) -> Result<bool, StorageError> {
    Ok(exist(storage)? && is_found(storage, ANY)?)
}

/// When the next fork is to be asked whether it lives.
pub(in crate::stream) fn due(storage: &impl Storage) -> Result<Option<u64>, StorageError> {
    let mut earliest = None;
    if exist(storage)? {
        storage.query(EARLIEST, &[], &mut |row| {
            earliest = u64::try_from(row.integer(0)).ok();
            ControlFlow::Break(())
        })?;
    }
    Ok(earliest)
}

/// The forks to ask now, not too many at once.
pub(in crate::stream) fn doubtful(
    storage: &impl Storage,
    now: u64,
) -> Result<Vec<Name>, StorageError> {
    let mut forks = Vec::new();
    if exist(storage)? {
        storage.query(SELECT_DUE, &[time(now)], &mut |row| {
            forks.push(Name {
                path: row.text(0).unwrap_or_default().to_owned(),
                incarnation: row.text(1).unwrap_or_default().to_owned(),
            });
            if forks.len() < AT_ONCE {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
    }
    Ok(forks)
}

/// The statements that note the claim of a fork that is about to be made.
pub(in crate::stream) fn make(fork: &Name, now: u64) -> [Statement<'_>; 2] {
    let due = time(now.saturating_add(FIRST_CHECK));
    let insert = Statement {
        sql: INSERT,
        params: vec![Param::Text(&fork.path), Param::Text(&fork.incarnation), due],
    };
    [plain(CREATE), insert]
}

/// Forgets the claim of a fork.
pub(in crate::stream) fn forget(storage: &impl Storage, fork: &Name) -> Result<(), StorageError> {
    if !exist(storage)? {
        return Ok(());
    }
    storage.write(&[Statement {
        sql: DELETE,
        params: vec![Param::Text(&fork.path), Param::Text(&fork.incarnation)],
    }])
}

/// Notes that a fork lives, and when it is to be asked again, if it is.
pub(in crate::stream) fn settle(
    storage: &impl Storage,
    fork: &Name,
    again: Option<u64>,
) -> Result<(), StorageError> {
    storage.write(&[Statement {
        sql: SETTLE,
        params: vec![
            Param::Text(&fork.path),
            Param::Text(&fork.incarnation),
            again.map_or(Param::Null, time),
        ],
    }])
}

/// The statement by which all forks are to be asked from now on.
pub(in crate::stream) fn distrust(now: u64) -> Statement<'static> {
    Statement {
        sql: DISTRUST,
        params: vec![time(now)],
    }
}

fn exist(storage: &impl Storage) -> Result<bool, StorageError> {
    is_found(storage, EXISTS)
}

fn is_found(storage: &impl Storage, select: &str) -> Result<bool, StorageError> {
    let mut found = false;
    storage.query(select, &[], &mut |_| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn plain(sql: &str) -> Statement<'_> {
    Statement {
        sql,
        params: Vec::new(),
    }
}

fn time(time: u64) -> Param<'static> {
    Param::Integer(i64::try_from(time).unwrap_or(i64::MAX))
}
