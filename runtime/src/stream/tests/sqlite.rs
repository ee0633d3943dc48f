//! A stream's database on rusqlite, which can be made to fail at any statement.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement as Prepared, StatementStatus, ToSql, params_from_iter};

use crate::machine::{Metered, Usage};
use crate::protocol::number::{integer, number};
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

/// See the module's text.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// How many statements still work; `None` for all.
    works_for: Cell<Option<u32>>,
    /// Rows changed so far.
    pub written: Cell<u64>,
    /// Rows read by queries so far: those that were found, and those of tables that were gone
    /// through to find them.
    pub read: Cell<u64>,
    /// Steps of SQLite's virtual machine so far: a few for each row that is found, passed over
    /// or changed.
    pub steps: Cell<u64>,
    /// Statements so far.
    pub statements: Cell<u64>,
}

impl Sqlite {
    /// An empty database in memory.
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        Self {
            connection,
            works_for: Cell::new(None),
            written: Cell::new(0),
            read: Cell::new(0),
            steps: Cell::new(0),
            statements: Cell::new(0),
        }
    }

    /// Empties the database.
    pub fn clear(&self) {
        let select = "SELECT 'DROP TABLE ' || name FROM sqlite_master WHERE type = 'table'";
        let mut statement = self.connection.prepare(select).unwrap();
        let tables = statement.query_map([], |row| row.get(0)).unwrap();
        let tables: Vec<String> = tables.map(Result::unwrap).collect();
        drop(statement);
        for table in tables {
            self.connection.execute(&table, []).unwrap();
        }
    }

    /// Looks at the database from outside, where nothing fails.
    pub fn observe<T>(&self, look: impl FnOnce(&Self) -> T) -> T {
        let works_for = self.works_for.replace(None);
        let seen = look(self);
        self.works_for.set(works_for);
        seen
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

    /// The rows of a query as texts; none where there is no such table.
    pub fn try_texts(&self, sql: &str) -> Vec<Vec<String>> {
        let Ok(mut statement) = self.connection.prepare(sql) else {
            return Vec::new();
        };
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>, at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Integer(number) => number.to_string(),
                other => other.as_str_or_null()?.unwrap_or_default().to_owned(),
            })
        };
        let rows = statement.query_map([], |row| (0..columns).map(|at| text(row, at)).collect());
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
            Some(0) => Err(StorageError::Failed("injected".into())),
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
        let mut prepared = self.connection.prepare(statement.sql).map_err(failed)?;
        // Tables are no rows; for them, SQLite gives the count of whatever came before.
        let before = self.connection.total_changes();
        prepared.execute(params).map_err(failed)?;
        let written = self.connection.total_changes() - before;
        self.written.set(self.written.get() + written);
        self.count_steps(&prepared);
        Ok(())
    }

    fn count_steps(&self, statement: &Prepared) {
        let steps = statement.get_status(StatementStatus::VmStep);
        self.steps.set(self.steps.get() + steps as u64);
        self.statements.set(self.statements.get() + 1);
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
        // The platform reads a query to its end, whoever breaks it off.
        let (mut found, mut goes_on) = (0, true);
        while let Some(row) = rows.next().map_err(failed)? {
            found += 1;
            goes_on = goes_on && each(row).is_continue();
        }
        drop(rows);
        let scanned = statement.get_status(StatementStatus::FullscanStep);
        let read = found.max(u64::try_from(scanned).unwrap());
        self.read.set(self.read.get() + read);
        self.count_steps(&statement);
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

    fn size(&self) -> u64 {
        let pragma = |name| -> i64 {
            let value = self
                .connection
                .pragma_query_value(None, name, |row| row.get(0));
            value.unwrap()
        };
        (pragma("page_count") * pragma("page_size")) as u64
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
    StorageError::Failed(error.to_string())
}

/// A database that outlives the object that uses it, and says what was written since somebody looked.
pub struct Database {
    database: Rc<Sqlite>,
    seen: Cell<u64>,
}

impl Database {
    pub fn new(database: Rc<Sqlite>) -> Self {
        let seen = Cell::new(database.written.get());
        Self { database, seen }
    }
}

impl Storage for Database {
    fn query(
        &self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        (&*self.database).query(sql, params, each)
    }

    fn write(&self, batch: &[Statement]) -> Result<(), StorageError> {
        (&*self.database).write(batch)
    }

    fn size(&self) -> u64 {
        (&*self.database).size()
    }
}

impl Metered for Database {
    fn take_usage(&self) -> Usage {
        let written = self.database.written.get();
        let rows = written.saturating_sub(self.seen.replace(written));
        Usage {
            rows_written: number(rows),
            ..Usage::default()
        }
    }

    fn give_back(&self, used: Usage) {
        self.seen.set(self.seen.get() - integer(used.rows_written));
    }
}
