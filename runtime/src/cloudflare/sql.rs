//! The object's SQLite as the sequencer's storage.

use std::cell::Cell;
use std::ops::ControlFlow;

use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{SqlCursor, SqlStorage, SqlStorageValue, js_sys};

use super::timing::Clock;
use crate::machine::{Metered, Usage};
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen)]
extern "C" {
    /// `DurableObjectStorage`, for the one method that the `worker` crate has no binding for.
    type TransactionalStorage;

    /// Runs `work` and commits what it wrote, or, when it throws, undoes it.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &TransactionalStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// See the module's text.
pub struct Sql {
    storage: TransactionalStorage,
    sql: SqlStorage,
    clock: Clock,
    usage: Cell<Usage>,
}

impl std::fmt::Debug for Sql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sql")
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl Sql {
    /// The database behind `storage`, timed by `clock`.
    pub fn new(storage: &worker::Storage, clock: Clock) -> Self {
        let raw: &JsValue = storage.as_raw().as_ref();
        Self {
            storage: raw.clone().unchecked_into(),
            sql: storage.sql(),
            clock,
            usage: Cell::default(),
        }
    }

    fn execute(&self, sql: &str, params: &[Param]) -> Result<SqlCursor, StorageError> {
        let params: Vec<JsValue> = params.iter().map(param).collect();
        self.sql
            .exec_raw(sql, params)
            .map_err(|error| StorageError::Failed(error.to_string()))
    }

    fn run(&self, statement: &Statement) -> Result<(), StorageError> {
        let cursor = self.execute(statement.sql, &statement.params)?;
        self.count(&cursor);
        Ok(())
    }

    fn run_all(&self, batch: &[Statement]) -> Result<(), StorageError> {
        let mut work = || {
            let outcome = batch.iter().try_for_each(|statement| self.run(statement));
            outcome
                .map(|()| JsValue::UNDEFINED)
                .map_err(|error| JsValue::from_str(&format!("{error:?}")))
        };
        let outcome = self.storage.transaction_sync(&mut work);
        outcome.map(drop).map_err(|error| {
            StorageError::Failed(error.as_string().unwrap_or_else(|| format!("{error:?}")))
        })
    }

    fn count(&self, cursor: &SqlCursor) {
        let usage = self.usage.get();
        #[allow(clippy::cast_precision_loss, reason = "it was a JavaScript number")]
        self.usage.set(Usage {
            rows_read: usage.rows_read + cursor.rows_read() as f64,
            rows_written: usage.rows_written + cursor.rows_written() as f64,
            ..usage
        });
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = self.clock.now();
        let outcome = work();
        let usage = self.usage.get();
        let millis = usage.millis + (self.clock.now() - started);
        self.usage.set(Usage { millis, ..usage });
        outcome
    }
}

impl Metered for Sql {
    fn take_usage(&self) -> Usage {
        self.usage.take()
    }

    fn give_back(&self, used: Usage) {
        self.usage.set(self.usage.get().and(used));
    }
}

impl Storage for Sql {
    fn query(
        &self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.timed(|| {
            let cursor = self.execute(sql, params)?;
            let mut rows = cursor.raw();
            for row in &mut rows {
                let row = row.map_err(|error| StorageError::Failed(error.to_string()))?;
                if each(&Columns(row)).is_break() {
                    break;
                }
            }
            // A statement that has not come to its end keeps its table from being dropped.
            rows.for_each(drop);
            self.count(&cursor);
            Ok(())
        })
    }

    fn write(&self, batch: &[Statement]) -> Result<(), StorageError> {
        self.timed(|| match batch {
            [] => Ok(()),
            [single] => self.run(single),
            several => self.run_all(several),
        })
    }

    fn size(&self) -> u64 {
        u64::try_from(self.sql.database_size()).unwrap_or(u64::MAX)
    }
}

struct Columns(Vec<SqlStorageValue>);

impl Row for Columns {
    fn integer(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(SqlStorageValue::Integer(value)) => *value,
            _ => 0,
        }
    }

    fn text(&self, column: usize) -> Option<&str> {
        match self.0.get(column) {
            Some(SqlStorageValue::String(value)) => Some(value),
            _ => None,
        }
    }

    fn blob(&self, column: usize) -> &[u8] {
        match self.0.get(column) {
            Some(SqlStorageValue::Blob(value)) => value,
            _ => &[],
        }
    }
}

fn param(param: &Param) -> JsValue {
    match param {
        Param::Null => JsValue::NULL,
        // Row ids and counts are exact as JavaScript numbers.
        #[allow(clippy::cast_precision_loss)]
        Param::Integer(value) => JsValue::from_f64(*value as f64),
        Param::Text(value) => JsValue::from_str(value),
        Param::Blob(value) => js_sys::Uint8Array::from(*value).into(),
    }
}
