//! Counts the rows that objects write, whatever they are about and whether anybody asked for it: by
//! triggers that are put into their databases while no server has them open. They count what
//! Cloudflare bills: each row that is inserted, updated or deleted.

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
        "CREATE TABLE IF NOT EXISTS counted(n INTEGER); DELETE FROM counted;
         INSERT INTO counted VALUES (0);",
    )?;
    for table in tables.iter().filter(|table| *table != "counted") {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            database.execute_batch(&format!(
                "CREATE TRIGGER IF NOT EXISTS \"count {event} {table}\" AFTER {event} ON \"{table}\"
                 BEGIN UPDATE counted SET n = n + 1; END;"
            ))?;
        }
    }
    Ok(())
}

/// The rows that objects of a class have written since, below the state of a server that may be
/// running.
pub fn written(state: &Path, class: &str) -> Result<u32> {
    let copies = Scratch::new("rows-copies")?;
    let mut all = 0;
    for file in databases(&state.join(folder(class)))? {
        let database = copy(&file, &copies)?;
        let n = database.query_row("SELECT n FROM counted", [], |row| row.get(0));
        // One that was made later has no counter.
        all += n.unwrap_or(0u32);
    }
    Ok(all)
}
