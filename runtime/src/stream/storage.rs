//! The port to the SQLite database that holds a stream.

use std::ops::ControlFlow;

use crate::protocol::error::Error;
use crate::protocol::version::{Newer, Unreadable};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// An INTEGER.
    Integer(i64),
    /// A TEXT.
    Text(&'a str),
    /// A BLOB.
    Blob(&'a [u8]),
}

/// One writing statement with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement<'a> {
    /// The SQL text.
    pub sql: &'a str,
    /// The values of `?1`, `?2`, …
    pub params: Vec<Param<'a>>,
}

/// A row that a query found; columns are numbered from 0.
pub trait Row {
    /// An INTEGER column; 0 when it holds anything else.
    fn integer(&self, column: usize) -> i64;
    /// A TEXT column; `None` for NULL.
    fn text(&self, column: usize) -> Option<&str>;
    /// A BLOB column; empty when it holds anything else.
    fn blob(&self, column: usize) -> &[u8];
}

/// The database of one stream. Nobody else writes to it.
pub trait Storage {
    /// Shows the rows of a query to `each` until it breaks off.
    ///
    /// # Errors
    ///
    /// Whatever the database reports.
    fn query(
        &self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// Runs all statements, or, when one fails or the machine does, none.
    ///
    /// # Errors
    ///
    /// Whatever the database reports; nothing has changed then.
    fn write(&self, batch: &[Statement]) -> Result<(), StorageError>;

    /// How long the database is, in bytes.
    fn size(&self) -> u64;
}

/// Why the database gave no answer that can be used; the texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// It failed, or holds what nobody can have written.
    Failed(String),
    /// A newer release has written what it holds.
    Newer(String),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Failed(what) => Self::Storage(what),
            StorageError::Newer(what) => Self::Newer(what),
        }
    }
}

impl From<Newer> for StorageError {
    fn from(newer: Newer) -> Self {
        Self::Newer(newer.to_string())
    }
}

impl From<Unreadable> for StorageError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer(newer) => newer.into(),
            Unreadable::Malformed(what) => Self::Failed(what),
        }
    }
}
