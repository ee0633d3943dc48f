//! What a shard knows, in its database: tables of names, and a mark of version in the text of each.

use std::ops::ControlFlow;

use super::span::Span;
use super::watches::Patterns;
use crate::protocol::error::Error;
use crate::protocol::version::{self, Says};
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

/// The version of the tables. One that states a newer one is neither read nor written.
const VERSION: u32 = 1;

/// The tables and their columns. Names are compared by their bytes, and each row is where its name
/// is: there is nothing else to write.
const TABLES: [(&str, &str); 4] = [
    // Streams.
    (
        "stream",
        "name TEXT PRIMARY KEY, incarnation TEXT NOT NULL, born INTEGER NOT NULL, \
         type TEXT NOT NULL",
    ),
    // Subscriptions.
    (
        "watch",
        "name TEXT PRIMARY KEY, incarnation TEXT NOT NULL, born INTEGER NOT NULL, pattern TEXT",
    ),
    // Keys of roots.
    (
        "key",
        "name TEXT PRIMARY KEY, private TEXT NOT NULL, public TEXT NOT NULL, \
         active_at INTEGER NOT NULL",
    ),
    // Which of them are gone, and since when.
    (
        "gone",
        "name TEXT NOT NULL, incarnation TEXT NOT NULL, at INTEGER NOT NULL, \
         PRIMARY KEY (name, incarnation)",
    ),
];

/// See the module's text.
#[derive(Debug)]
pub struct Records<S> {
    storage: S,
    is_ready: bool,
    pub(super) patterns: Patterns,
}

impl<S: Storage> Records<S> {
    /// The records in a database. Nothing is read before the first question.
    pub fn new(storage: S) -> Self {
        Self {
            storage,
            is_ready: false,
            patterns: Patterns::default(),
        }
    }

    /// The database, once it is known that it can be read, and has all tables.
    pub(super) fn storage(&mut self) -> Result<&S, Error> {
        if !self.is_ready {
            self.prepare()?;
            self.is_ready = true;
        }
        Ok(&self.storage)
    }

    fn prepare(&self) -> Result<(), StorageError> {
        let select = "SELECT name, sql FROM sqlite_master WHERE type = 'table'";
        let found = rows(&self.storage, select, &[], |row| {
            (text(row, 0), text(row, 1))
        })?;
        let mut missing = Vec::new();
        for (name, columns) in TABLES {
            match found.iter().find(|(known, _)| known == name) {
                Some((_, sql)) => check(sql)?,
                None => missing.push(format!(
                    "CREATE TABLE {name} (/*{{\"v\":{VERSION}}}*/ {columns}) WITHOUT ROWID"
                )),
            }
        }
        let batch: Vec<Statement> = missing
            .iter()
            .map(|sql| Statement {
                sql,
                params: Vec::new(),
            })
            .collect();
        if batch.is_empty() {
            return Ok(());
        }
        self.storage.write(&batch)
    }

    /// The rows of a table that are in a span, `limit` at most.
    pub(super) fn within<T>(
        &mut self,
        table: &str,
        columns: &str,
        span: &Span,
        limit: usize,
        read: impl FnMut(&dyn Row) -> T,
    ) -> Result<Vec<T>, Error> {
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE name >= ?1 AND name < ?2 AND name <> ?3 \
             ORDER BY name LIMIT ?4"
        );
        let params = [
            Param::Text(&span.from),
            span.end(),
            Param::Text(&span.after),
            Param::Integer(u32::try_from(limit).unwrap_or(u32::MAX).into()),
        ];
        Ok(rows(self.storage()?, &sql, &params, read)?)
    }
}

/// Refuses a table that a newer release has made.
fn check(sql: &str) -> Result<(), StorageError> {
    let mark = sql
        .split_once("/*")
        .and_then(|(_, rest)| rest.split_once("*/"));
    let (mark, _) = mark.ok_or_else(|| StorageError::Failed("a table has no mark".to_owned()))?;
    let _: Says = version::read("the directory", mark.as_bytes(), VERSION)?;
    Ok(())
}

/// All rows of a query.
pub(super) fn rows<S: Storage, T>(
    storage: &S,
    sql: &str,
    params: &[Param],
    mut read: impl FnMut(&dyn Row) -> T,
) -> Result<Vec<T>, StorageError> {
    let mut found = Vec::new();
    storage.query(sql, params, &mut |row| {
        found.push(read(row));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// A column that is a text.
pub(super) fn text(row: &dyn Row, column: usize) -> String {
    row.text(column).unwrap_or_default().to_owned()
}

/// A column that is a time, in milliseconds.
pub(super) fn whole(row: &dyn Row, column: usize) -> u64 {
    u64::try_from(row.integer(column)).unwrap_or(0)
}

/// A time, in milliseconds, as a parameter.
pub(super) fn time(millis: u64) -> Param<'static> {
    Param::Integer(i64::try_from(millis).unwrap_or(i64::MAX))
}
