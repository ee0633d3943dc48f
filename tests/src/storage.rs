//! A look into the files of a running server: its objects' SQLite, and its R2 bucket.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::Connection;

use crate::places::Scratch;

/// How many tables, and rows in them, all objects below a server's state made and kept.
pub fn tables_and_rows(state: &Path) -> Result<i64> {
    let copies = Scratch::new("storage-copies")?;
    let mut count = 0;
    for file in databases(&state.join("do/streams-StreamDO"))? {
        count += count_of(&copy(&file, &copies)?)?;
    }
    Ok(count)
}

/// How many rows all objects of a class below a server's state have in their tables, and how many bytes
/// their databases take up, without what SQLite's log has besides.
pub fn rows_and_bytes(state: &Path, class: &str) -> Result<(i64, i64)> {
    rows_and_bytes_of(state, "streams", class)
}

/// The same of a worker that is not called `streams`.
pub fn rows_and_bytes_of(state: &Path, worker: &str, class: &str) -> Result<(i64, i64)> {
    let copies = Scratch::new("class-copies")?;
    let (mut rows, mut bytes) = (0, 0);
    for file in databases(&state.join(format!("do/{worker}-{class}")))? {
        let database = copy(&file, &copies)?;
        rows += rows_in(&database)?.1;
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        bytes += database.query_row(size, [], |row| row.get::<_, i64>(0))?;
    }
    Ok((rows, bytes))
}

/// How many alarms are set below a server's state.
pub fn alarms(state: &Path) -> Result<i64> {
    let file = state.join("do/streams-StreamDO/metadata.sqlite");
    if !file.exists() {
        return Ok(0);
    }
    let copies = Scratch::new("alarm-copies")?;
    let count = "SELECT count(*) FROM _cf_ALARM";
    Ok(copy(&file, &copies)?.query_row(count, [], |row| row.get(0))?)
}

/// An object in the bucket, as any program that reads it finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its type.
    pub content_type: String,
    /// Its content.
    pub body: Vec<u8>,
}

/// All objects in the bucket below a server's state whose keys start with `prefix`, by key.
pub fn objects(state: &Path, prefix: &str) -> Result<Vec<Object>> {
    let copies = Scratch::new("bucket-copies")?;
    let mut objects = Vec::new();
    for file in databases(&state.join("r2/miniflare-R2BucketObject"))? {
        let database = copy(&file, &copies)?;
        let mut rows = database.prepare(
            "SELECT key, blob_id, http_metadata FROM _mf_objects
             WHERE key GLOB ?1 || '*' ORDER BY key",
        )?;
        let rows = rows.query_map([prefix], |row| {
            let strings: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(strings)
        })?;
        for row in rows {
            let (key, blob, metadata) = row?;
            let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
            objects.push(Object {
                key,
                content_type: metadata["contentType"].as_str().unwrap_or("").to_owned(),
                body: fs::read(state.join("r2/R2/blobs").join(blob))?,
            });
        }
    }
    Ok(objects)
}

/// Opens a copy: opening the file itself would take part in the server's locks.
pub(crate) fn copy(file: &Path, copies: &Scratch) -> Result<Connection> {
    let name = file.file_name().context("a file without a name")?;
    let copy = copies.path().join(name);
    fs::copy(file, &copy)?;
    let log = file.with_extension("sqlite-wal");
    if log.exists() {
        fs::copy(&log, copy.with_extension("sqlite-wal"))?;
    }
    Ok(Connection::open(&copy)?)
}

fn count_of(file: &Connection) -> Result<i64> {
    let (tables, rows) = rows_in(file)?;
    Ok(tables + rows)
}

/// How many tables there are, and rows in all of them.
fn rows_in(file: &Connection) -> Result<(i64, i64)> {
    // Tables that begin with _cf_ are the runtime's.
    let mut names = file.prepare(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'",
    )?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for name in &names {
        let rows = format!("SELECT count(*) FROM \"{name}\"");
        count += file.query_row(&rows, [], |row| row.get::<_, i64>(0))?;
    }
    Ok((i64::try_from(names.len())?, count))
}

/// The databases in a folder; none when there is no such folder yet.
pub(crate) fn databases(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        entries => entries.with_context(|| format!("listing {}", dir.display()))?,
    };
    for entry in entries {
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
