//! A look into the SQLite files of a running server's objects.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::Connection;

use crate::places::Scratch;

/// How many tables, and rows in them, all objects below a server's state made and kept.
pub fn tables_and_rows(state: &Path) -> Result<i64> {
    let copies = Scratch::new("storage-copies")?;
    let mut count = 0;
    for file in object_files(state)? {
        // A copy: opening the file itself would take part in the server's locks.
        let name = file.file_name().context("a file without a name")?;
        let copy = copies.path().join(name);
        fs::copy(&file, &copy)?;
        let log = file.with_extension("sqlite-wal");
        if log.exists() {
            fs::copy(&log, copy.with_extension("sqlite-wal"))?;
        }
        count += count_of(&Connection::open(&copy)?)?;
    }
    Ok(count)
}

fn count_of(file: &Connection) -> Result<i64> {
    // Tables that begin with _cf_ are the runtime's.
    let mut names = file.prepare(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'",
    )?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut count = i64::try_from(names.len())?;
    for name in names {
        let rows = format!("SELECT count(*) FROM \"{name}\"");
        count += file.query_row(&rows, [], |row| row.get::<_, i64>(0))?;
    }
    Ok(count)
}

fn object_files(state: &Path) -> Result<Vec<PathBuf>> {
    let dir = state.join("do/streams-StreamDO");
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        // The file with the alarms of all objects lies among them.
        let is_object = path
            .file_name()
            .is_some_and(|name| name != "metadata.sqlite");
        if is_object && path.extension().is_some_and(|end| end == "sqlite") {
            files.push(path);
        }
    }
    Ok(files)
}
