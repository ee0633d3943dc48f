//! Counts the rows that objects write, whatever they are about and whether anybody asked for it: by
//! triggers that are put into their databases while no server has them open. They count what
//! Cloudflare bills: each row that is inserted, updated or deleted, and each alarm that is set.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::Connection;

use crate::places::Scratch;
use crate::storage::{copy, databases};

/// Names of classes of objects.
pub const STREAMS: &str = "StreamDO";
/// The shards of the directory.
pub const DIRECTORIES: &str = "DirectoryDO";
/// Subscriptions.
pub const SUBSCRIPTIONS: &str = "SubscriptionDO";

/// The runtime's own table in each database, which has the time of the alarm.
const ALARMS: &str = "_cf_METADATA";

/// What was written since the counters were put in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: i64,
    /// Alarms that were set; each is billed as a row.
    pub alarms: i64,
}

impl Written {
    /// All that is billed as rows.
    pub fn billed(&self) -> i64 {
        self.rows + self.alarms
    }

    /// What came between an earlier count and this one.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            rows: self.rows - earlier.rows,
            alarms: self.alarms - earlier.alarms,
        }
    }
}

fn folder(class: &str) -> String {
    format!("do/streams-{class}")
}

/// Puts counters into all objects below the state of a server that has ended. Objects that are made
/// later have none.
pub fn count(state: &Path) -> Result<()> {
    for class in [STREAMS, DIRECTORIES, SUBSCRIPTIONS] {
        for file in databases(&state.join(folder(class)))? {
            let database = Connection::open(&file)?;
            count_in(&database).with_context(|| format!("counting in {}", file.display()))?;
        }
    }
    Ok(())
}

fn count_in(database: &Connection) -> Result<()> {
    let tables = "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'";
    let mut tables = database.prepare(tables)?;
    let tables = tables.query_map([], |row| row.get(0))?;
    let tables: Vec<String> = tables.collect::<Result<_, _>>()?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS counted(what TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
         INSERT OR REPLACE INTO counted VALUES ('rows', 0), ('alarms', 0);",
    )?;
    let on = |table: &str, what: &str, event: &str, condition: &str| {
        format!(
            "CREATE TRIGGER IF NOT EXISTS \"count {event} {table}\" AFTER {event} ON \"{table}\"
             {condition} BEGIN UPDATE counted SET n = n + 1 WHERE what = '{what}'; END;"
        )
    };
    for table in tables.iter().filter(|table| *table != "counted") {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            database.execute_batch(&on(table, "rows", event, ""))?;
        }
    }
    // As the runtime makes it when an alarm is set for the first time.
    let made = "(key INTEGER PRIMARY KEY, value BLOB)";
    database.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {ALARMS} {made}"))?;
    for event in ["INSERT", "UPDATE"] {
        let is_set = "WHEN NEW.key = 1 AND NEW.value IS NOT NULL";
        database.execute_batch(&on(ALARMS, "alarms", event, is_set))?;
    }
    Ok(())
}

/// What the objects of a class have written since, below the state of a server that may be running.
pub fn written(state: &Path, class: &str) -> Result<Written> {
    let copies = Scratch::new("rows-copies")?;
    let mut all = Written::default();
    for file in databases(&state.join(folder(class)))? {
        let database = copy(&file, &copies)?;
        // One that was made later has no counter.
        let n = |what: &str| {
            let n = "SELECT n FROM counted WHERE what = ?1";
            database
                .query_row(n, [what], |row| row.get(0))
                .unwrap_or(0i64)
        };
        all.rows += n("rows");
        all.alarms += n("alarms");
    }
    Ok(all)
}
