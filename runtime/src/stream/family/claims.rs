//! Claims: which forks there are of a stream (section 4.2). Each keeps what it may read from being
//! removed.
//!
//! A claim is made before its fork is, and taken back after the fork is gone, in another object
//! each, so either side may fail in between. But only the fork itself knows whether it lives: so
//! whoever holds a claim asks it, a while after the claim was made and, once nothing but claims
//! keeps the stream or objects that are out of use, again and again. What a fork says when it goes
//! only makes that quick.
//!
//! Claims of releases before `generation` and `until` have neither, and keep everything from being
//! removed. Those releases make such claims in a table that has the columns as well, and keep
//! everything as long as there is any claim: so either may follow the other.

use std::ops::ControlFlow;

use super::asking::Asking;
use super::book::Book;
use super::needs::{Extent, Needs};
use crate::stream::birth::Name;
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

/// How long after a claim was made its fork is asked whether it lives, in milliseconds. By then
/// it has been made, or never will be.
pub const FIRST_CHECK: u64 = 60_000;

/// How often forks are asked when nothing else keeps the stream, or an object that is out of use, in
/// milliseconds: once a day.
pub const RECHECK: u64 = 86_400_000;

/// How many claims are looked at together.
pub const PAGE: usize = 32;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS claim (path TEXT NOT NULL, \
    incarnation TEXT NOT NULL, due INTEGER, generation INTEGER, until INTEGER, \
    PRIMARY KEY (path, incarnation)) WITHOUT ROWID";
const TABLE: &str = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'claim'";
const ADD_GENERATION: &str = "ALTER TABLE claim ADD COLUMN generation INTEGER";
const ADD_UNTIL: &str = "ALTER TABLE claim ADD COLUMN until INTEGER";
const ANY: &str = "SELECT 1 FROM claim LIMIT 1";
// Nothing is -1: the port knows no NULL among integers.
const SUM: &str = "SELECT count(*), coalesce(min(due), -1), coalesce(generation, -1), \
    coalesce(until, -1) FROM claim GROUP BY generation, until";
const SUM_BEFORE: &str = "SELECT count(*), coalesce(min(due), -1), -1, -1 FROM claim";
const FIND: &str = "SELECT coalesce(generation, -1), coalesce(until, -1) FROM claim \
    WHERE path = ?1 AND incarnation = ?2";
const FIND_BEFORE: &str = "SELECT -1, -1 FROM claim WHERE path = ?1 AND incarnation = ?2";
const SELECT_FIRST: &str = "SELECT path, incarnation, coalesce(due, -1) FROM claim \
    ORDER BY path, incarnation LIMIT 32";
const SELECT_AFTER: &str = "SELECT path, incarnation, coalesce(due, -1) FROM claim \
    WHERE (path, incarnation) > (?1, ?2) ORDER BY path, incarnation LIMIT 32";
const SELECT_PATHS: &str = "SELECT path FROM claim ORDER BY path, incarnation LIMIT 1000";
const INSERT: &str = "INSERT OR REPLACE INTO claim (path, incarnation, due, generation, until) \
    VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM claim WHERE path = ?1 AND incarnation = ?2";
const SETTLE: &str = "UPDATE claim SET due = ?3 WHERE path = ?1 AND incarnation = ?2";
const ASK_ALL: &str = "UPDATE claim SET due = ?1 WHERE due IS NULL";
const DISTRUST: &str = "UPDATE claim SET due = ?1";

/// Takes away an empty list of claims.
pub const DROP: &str = "DROP TABLE IF EXISTS claim";

/// The table of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// There is none, and so no claim.
    Missing,
    /// It does not say what forks were given.
    Before,
    Current,
}

impl Table {
    fn of(storage: &impl Storage) -> Result<Self, StorageError> {
        let mut table = Self::Missing;
        storage.query(TABLE, &[], &mut |row| {
            let text = row.text(0).unwrap_or_default();
            // What is added first is there when the other is.
            table = if text.contains("until") {
                Self::Current
            } else {
                Self::Before
            };
            ControlFlow::Break(())
        })?;
        Ok(table)
    }
}

/// Whether there are any.
pub(in crate::stream) fn any(storage: &impl Storage) -> Result<bool, StorageError> {
    let mut found = false;
    if Table::of(storage)? != Table::Missing {
        storage.query(ANY, &[], &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?;
    }
    Ok(found)
}

/// The names of forks in their order, 1000 at most.
pub(in crate::stream) fn forks(storage: &impl Storage) -> Result<Vec<String>, StorageError> {
    let mut forks = Vec::new();
    if Table::of(storage)? != Table::Missing {
        storage.query(SELECT_PATHS, &[], &mut |row| {
            forks.push(row.text(0).unwrap_or_default().to_owned());
            ControlFlow::Continue(())
        })?;
    }
    // A fork may be another one than the one that had its name before.
    forks.dedup();
    Ok(forks)
}

/// Goes through all of them.
pub(super) fn load(storage: &impl Storage) -> Result<Book, StorageError> {
    let sum = match Table::of(storage)? {
        Table::Missing => return Ok(Book::default()),
        Table::Before => SUM_BEFORE,
        Table::Current => SUM,
    };
    let mut needs = Needs::default();
    let mut earliest: Option<u64> = None;
    storage.query(sum, &[], &mut |row| {
        let forks = number(row, 0).unwrap_or(0);
        if forks > 0 {
            needs.add(extent(row, 2), forks);
        }
        earliest = earliest.into_iter().chain(number(row, 1)).min();
        ControlFlow::Continue(())
    })?;
    let asking = Asking::from(earliest);
    Ok(Book { needs, asking })
}

/// The next forks in the order of their names, and when they are to be asked.
pub(super) fn page(
    storage: &impl Storage,
    after: Option<&Name>,
) -> Result<Vec<(Name, Option<u64>)>, StorageError> {
    let mut page = Vec::new();
    if Table::of(storage)? == Table::Missing {
        return Ok(page);
    }
    let (select, params) = match after {
        None => (SELECT_FIRST, Vec::new()),
        Some(name) => {
            let params = [&name.path, &name.incarnation].map(|text| Param::Text(text));
            (SELECT_AFTER, params.to_vec())
        }
    };
    storage.query(select, &params, &mut |row| {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let name = Name {
            path: text(0),
            incarnation: text(1),
        };
        page.push((name, number(row, 2)));
        ControlFlow::Continue(())
    })?;
    Ok(page)
}

/// What came of making a claim.
pub(super) struct Made {
    /// What the claim that was there before said, if one was.
    pub before: Option<Option<Extent>>,
    /// What the claim says.
    pub extent: Option<Extent>,
}

/// Notes the claim of a fork that is about to be made.
pub(super) fn make(
    storage: &impl Storage,
    fork: &Name,
    extent: Extent,
    now: u64,
) -> Result<Made, StorageError> {
    let table = Table::of(storage)?;
    let before = find(storage, table, fork)?;
    // Whoever asks twice was told of two extents, and may have made the fork of either.
    let extent = before.is_none().then_some(extent);
    let of = |value: fn(Extent) -> u64| extent.map(value).map_or(Param::Null, integer);
    let insert = Statement {
        sql: INSERT,
        params: vec![
            Param::Text(&fork.path),
            Param::Text(&fork.incarnation),
            integer(now.saturating_add(FIRST_CHECK)),
            of(|extent| extent.generation),
            of(|extent| extent.until),
        ],
    };
    let mut batch = match table {
        Table::Missing => vec![plain(CREATE)],
        Table::Before => vec![plain(ADD_GENERATION), plain(ADD_UNTIL)],
        Table::Current => Vec::new(),
    };
    batch.push(insert);
    storage.write(&batch)?;
    Ok(Made { before, extent })
}

/// Forgets the claim of a fork; gives what it said, if there was one.
pub(super) fn forget(
    storage: &impl Storage,
    fork: &Name,
) -> Result<Option<Option<Extent>>, StorageError> {
    let found = find(storage, Table::of(storage)?, fork)?;
    if found.is_some() {
        storage.write(&[Statement {
            sql: DELETE,
            params: vec![Param::Text(&fork.path), Param::Text(&fork.incarnation)],
        }])?;
    }
    Ok(found)
}

/// Notes that a fork lives, and when it is to be asked again, if it is.
pub(super) fn settle(
    storage: &impl Storage,
    fork: &Name,
    again: Option<u64>,
) -> Result<(), StorageError> {
    if Table::of(storage)? == Table::Missing {
        return Ok(());
    }
    storage.write(&[Statement {
        sql: SETTLE,
        params: vec![
            Param::Text(&fork.path),
            Param::Text(&fork.incarnation),
            again.map_or(Param::Null, integer),
        ],
    }])
}

/// Notes that all forks that are not to be asked are to be asked at a time.
pub(super) fn ask_all(storage: &impl Storage, at: u64) -> Result<(), StorageError> {
    if Table::of(storage)? == Table::Missing {
        return Ok(());
    }
    storage.write(&[Statement {
        sql: ASK_ALL,
        params: vec![integer(at)],
    }])
}

/// The statement by which all forks are to be asked from now on.
pub(in crate::stream) fn distrust(now: u64) -> Statement<'static> {
    Statement {
        sql: DISTRUST,
        params: vec![integer(now)],
    }
}

fn find(
    storage: &impl Storage,
    table: Table,
    fork: &Name,
) -> Result<Option<Option<Extent>>, StorageError> {
    let select = match table {
        Table::Missing => return Ok(None),
        Table::Before => FIND_BEFORE,
        Table::Current => FIND,
    };
    let params = [Param::Text(&fork.path), Param::Text(&fork.incarnation)];
    let mut found = None;
    storage.query(select, &params, &mut |row| {
        found = Some(extent(row, 0));
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// What a claim says in two columns, the first of which is `column`.
fn extent(row: &dyn Row, column: usize) -> Option<Extent> {
    let generation = number(row, column)?;
    let until = number(row, column.saturating_add(1))?;
    Some(Extent { generation, until })
}

fn number(row: &dyn Row, column: usize) -> Option<u64> {
    u64::try_from(row.integer(column)).ok()
}

fn plain(sql: &str) -> Statement<'_> {
    Statement {
        sql,
        params: Vec::new(),
    }
}

fn integer(value: u64) -> Param<'static> {
    Param::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
