//! Purging: the objects of a stream that was deleted or has expired are deleted as well.
//!
//! That they have to be is noted in a table of its own, which outlives the stream's: the stream
//! may be created anew at once, with another name, and so with other keys.

use std::ops::ControlFlow;

use super::segment;
use super::sweep;
use super::upkeep::{GRACE, Intent};
use crate::protocol::offset::Offset;
use crate::stream::Present;
use crate::stream::birth;
use crate::stream::family::claims;
use crate::stream::storage::{Param, Statement, Storage, StorageError};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS purge (id INTEGER PRIMARY KEY, \
    prefix TEXT NOT NULL, due INTEGER NOT NULL, again INTEGER NOT NULL)";
const EXISTS: &str = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'purge'";
const INSERT: &str = "INSERT INTO purge (prefix, due, again) VALUES (?1, ?2, ?3)";
const SELECT: &str = "SELECT id, prefix, due, again FROM purge ORDER BY due, id LIMIT 1";
const COUNT: &str = "SELECT count(*) FROM purge";
const POSTPONE: &str = "UPDATE purge SET due = again WHERE id = ?1";
const DELETE: &str = "DELETE FROM purge WHERE id = ?1";
const DROP: &str = "DROP TABLE purge";

/// Objects to list and delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What their keys start with.
    pub prefix: String,
    id: i64,
    due: u64,
    again: u64,
}

impl Purge {
    /// Whether the object with this key is one of them. The path of another stream may start with
    /// the whole prefix.
    pub fn concerns(&self, key: &str) -> bool {
        segment::is_key(&self.prefix, key)
    }
}

/// How a stream is taken away.
#[derive(Debug)]
pub(in crate::stream) struct Removal {
    /// The prefix of the objects it may have, when they are to be listed, and when they are to be
    /// listed once more.
    objects: Option<(String, i64, i64)>,
}

impl Removal {
    /// Takes away what is there.
    pub fn new(storage: &impl Storage, present: &Present, now: u64) -> Result<Self, StorageError> {
        let may_have = present.sealed > Offset::START
            || Intent::load(storage, Intent::SEAL)?.is_some()
            || sweep::any(storage)?;
        if !may_have {
            return Ok(Self { objects: None });
        }
        // A put that nobody has heard of any more may take effect after the others are gone.
        let again = now.saturating_add(GRACE);
        let time = |time| i64::try_from(time).unwrap_or(i64::MAX);
        let prefix = present.birth.name.prefix();
        Ok(Self {
            objects: Some((prefix, time(now), time(again))),
        })
    }

    /// The statements that do it.
    pub fn statements(&self) -> Vec<Statement<'_>> {
        let plain = |sql| Statement {
            sql,
            params: Vec::new(),
        };
        let mut batch = vec![plain(birth::DROP), plain(claims::DROP)];
        if let Some((prefix, due, again)) = &self.objects {
            batch.push(plain(CREATE));
            batch.push(Statement {
                sql: INSERT,
                params: vec![
                    Param::Text(prefix),
                    Param::Integer(*due),
                    Param::Integer(*again),
                ],
            });
        }
        batch
    }
}

fn first(storage: &impl Storage) -> Result<Option<Purge>, StorageError> {
    let mut exists = false;
    storage.query(EXISTS, &[], &mut |_| {
        exists = true;
        ControlFlow::Break(())
    })?;
    let mut found = None;
    if exists {
        storage.query(SELECT, &[], &mut |row| {
            let time = |column| u64::try_from(row.integer(column)).unwrap_or(0);
            found = Some(Purge {
                id: row.integer(0),
                prefix: row.text(1).unwrap_or_default().to_owned(),
                due: time(2),
                again: time(3),
            });
            ControlFlow::Break(())
        })?;
    }
    Ok(found.filter(|purge| !purge.prefix.is_empty()))
}

/// When the next objects are to be deleted; `None` when there are none.
pub(in crate::stream) fn due(storage: &impl Storage) -> Result<Option<u64>, StorageError> {
    Ok(first(storage)?.map(|purge| purge.due))
}

/// The objects to delete now.
pub(in crate::stream) fn next(
    storage: &impl Storage,
    now: u64,
) -> Result<Option<Purge>, StorageError> {
    Ok(first(storage)?.filter(|purge| purge.due <= now))
}

/// All that was there is gone: it is looked for either once more, later, or never again.
pub(in crate::stream) fn done(
    storage: &impl Storage,
    purge: &Purge,
    now: u64,
) -> Result<(), StorageError> {
    if now < purge.again {
        return storage.write(&[Statement {
            sql: POSTPONE,
            params: vec![Param::Integer(purge.id)],
        }]);
    }
    let mut count = 0;
    storage.query(COUNT, &[], &mut |row| {
        count = row.integer(0);
        ControlFlow::Break(())
    })?;
    let last = Statement {
        sql: DROP,
        params: Vec::new(),
    };
    let one = Statement {
        sql: DELETE,
        params: vec![Param::Integer(purge.id)],
    };
    storage.write(&[if count > 1 { one } else { last }])
}
