//! A stream's database on rusqlite, which can be made to fail at any statement.

use std::cell::Cell;
use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::storage::{Param, Row, Statement, Storage, StorageError};

/// See the module's text.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// How many statements still work; `None` for all.
    works_for: Cell<Option<u32>>,
    /// Rows changed so far.
    pub written: Cell<u64>,
}

impl Sqlite {
    /// An empty database in memory.
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        Self {
            connection,
            works_for: Cell::new(None),
            written: Cell::new(0),
        }
    }

    /// A database in memory with the content of a file.
    pub fn holding(file: &[u8]) -> Self {
        let mut file = file.to_vec();
        // Memory has no room for a log beside the file, which is in order without.
        file[18..20].fill(1);
        let mut database = Self::new();
        let length = file.len();
        let read = database
            .connection
            .deserialize_read_exact("main", &file[..], length, false);
        read.unwrap();
        database
    }

    /// The rows of a query whose columns are texts.
    pub fn texts(&self, sql: &str) -> Vec<Vec<String>> {
        let mut statement = self.connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Lets `statements` more statements work, and fails from then on.
    pub fn fail_after(&self, statements: u32) {
        self.works_for.set(Some(statements));
    }

    /// Lets everything work again; says whether anything has failed.
    pub fn heal(&self) -> bool {
        self.works_for.replace(None) == Some(0)
    }

    fn tick(&self) -> Result<(), StorageError> {
        match self.works_for.get() {
            Some(0) => Err(StorageError("injected".into())),
            Some(left) => {
                self.works_for.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn run(&self, statement: &Statement) -> Result<(), StorageError> {
        self.tick()?;
        let params = params_from_iter(&statement.params);
        let written = self
            .connection
            .execute(statement.sql, params)
            .map_err(failed)?;
        self.written.set(self.written.get() + written as u64);
        Ok(())
    }
}

impl Storage for &Sqlite {
    fn query(
        &self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.tick()?;
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(params)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if each(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &[Statement]) -> Result<(), StorageError> {
        let transaction = self.connection.unchecked_transaction().map_err(failed)?;
        for statement in batch {
            self.run(statement)?;
        }
        // What comes before the commit is lost in a crash; dropping the transaction does the same.
        self.tick()?;
        transaction.commit().map_err(failed)
    }
}

impl Row for rusqlite::Row<'_> {
    fn integer(&self, column: usize) -> i64 {
        self.get(column).unwrap()
    }

    fn text(&self, column: usize) -> Option<&str> {
        self.get_ref(column).unwrap().as_str_or_null().unwrap()
    }

    fn blob(&self, column: usize) -> &[u8] {
        self.get_ref(column).unwrap().as_blob().unwrap()
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

fn failed(error: rusqlite::Error) -> StorageError {
    StorageError(error.to_string())
}
