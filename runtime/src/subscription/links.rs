//! The streams that a subscription is about: a row for each, and what is known of all of them
//! without looking.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::protocol::ask::Life;
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

/// Makes the table. A tail of -1 is none yet, and so is when a stream was born; a stream that is
/// gone, or never was, has no incarnation. Whether a stream was named is the lowest bit of `explicit`;
/// the next two say that it is not copied, and why: it is a target itself, or of another type, which
/// stands behind the incarnation then, on a line of its own.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS link (path TEXT PRIMARY KEY, \
     explicit INTEGER NOT NULL, acked INTEGER NOT NULL, tail INTEGER NOT NULL, incarnation TEXT, \
     born INTEGER NOT NULL) WITHOUT ROWID";

/// Takes the table away.
pub const DROP: &str = "DROP TABLE IF EXISTS link";

const COLUMNS: &str = "path, explicit, acked, tail, incarnation, born";

/// So many paths with something pending are kept in memory at the most.
const MOST: usize = 4096;

/// For so long, in milliseconds, the row of a stream that is gone is kept: messages about it may
/// still come.
pub const LINGER: u64 = 900_000;

const PUT: &str = "INSERT OR REPLACE INTO link VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const PUT_WITH_TYPE: &str =
    "INSERT OR REPLACE INTO link VALUES (?1, ?2, ?3, ?4, ?5 || char(10) || ?7, ?6)";

const NAMED: i64 = 1;
const IS_TARGET: i64 = 2;
const IS_OF_TYPE: i64 = 4;

/// Why a stream is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is the target of copies itself.
    IsTarget,
    /// It is of this type, and the target of another one.
    IsOfType(String),
}

/// The cursor of a subscription in a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether somebody named the stream. The pattern alone decides about the others.
    pub explicit: bool,
    /// The position up to which everything was acknowledged; for a row that only lingers, when the
    /// stream was found to be gone, in milliseconds since the Unix epoch.
    pub acked: u64,
    /// The position of the tail; nothing before the stream was asked.
    pub tail: Option<u64>,
    /// What tells the stream from others of its name; nothing if there is none (any more).
    pub incarnation: Option<String>,
    /// When the latest stream of the name was born that was heard of.
    pub born: Option<u64>,
    /// Why it is not copied, of a stream that a subscription would copy.
    pub refused: Option<Refusal>,
}

impl Link {
    /// A stream that somebody named, and that was not asked yet.
    pub fn named() -> Self {
        Self {
            explicit: true,
            ..Self::default()
        }
    }

    /// The row that is left for a while of a stream that is gone.
    pub fn gone(born: u64, now: u64) -> Self {
        Self {
            explicit: false,
            acked: now,
            tail: Some(0),
            incarnation: None,
            born: Some(born),
            refused: None,
        }
    }

    /// Whether it is one: then it is no link any more.
    pub fn is_gone(&self) -> bool {
        !self.explicit && self.incarnation.is_none()
    }

    /// How much was not acknowledged yet.
    pub fn lag(&self) -> u64 {
        match self.tail {
            Some(tail) if !self.is_gone() => tail.saturating_sub(self.acked),
            _ => 0,
        }
    }

    /// Whether the link is to this stream.
    pub fn is_to(&self, life: &Life) -> bool {
        self.incarnation.as_ref() == Some(&life.incarnation)
    }

    fn from_row(row: &dyn Row) -> (String, Self) {
        let path = row.text(0).unwrap_or_default().to_owned();
        let bits = row.integer(1);
        let mut lines = row.text(4).into_iter().flat_map(|text| text.split('\n'));
        let incarnation = lines.next().map(str::to_owned);
        let refused = match bits & (IS_TARGET | IS_OF_TYPE) {
            0 => None,
            IS_TARGET => Some(Refusal::IsTarget),
            _ => Some(Refusal::IsOfType(
                lines.next().unwrap_or_default().to_owned(),
            )),
        };
        let link = Self {
            explicit: bits & NAMED != 0,
            acked: u64::try_from(row.integer(2)).unwrap_or(0),
            tail: u64::try_from(row.integer(3)).ok(),
            incarnation,
            born: u64::try_from(row.integer(5)).ok(),
            refused,
        };
        (path, link)
    }
}

/// Writes a link, or takes it away.
pub fn put<'a>(path: &'a str, link: Option<&'a Link>) -> Statement<'a> {
    let Some(link) = link else {
        return Statement {
            sql: "DELETE FROM link WHERE path = ?1",
            params: vec![Param::Text(path)],
        };
    };
    let optional = |value: Option<u64>| Param::Integer(value.map_or(-1, signed));
    let named = if link.explicit { NAMED } else { 0 };
    let incarnation = link.incarnation.as_deref();
    let (sql, refused, kind) = match &link.refused {
        None => (PUT, 0, None),
        Some(Refusal::IsTarget) => (PUT, IS_TARGET, None),
        Some(Refusal::IsOfType(kind)) => (PUT_WITH_TYPE, IS_OF_TYPE, Some(Param::Text(kind))),
    };
    let mut params = vec![
        Param::Text(path),
        Param::Integer(named | refused),
        Param::Integer(signed(link.acked)),
        optional(link.tail),
        incarnation.map_or(Param::Null, Param::Text),
        optional(link.born),
    ];
    params.extend(kind);
    Statement { sql, params }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The link of a path.
///
/// # Errors
///
/// When the database fails.
pub fn get(storage: &impl Storage, path: &str) -> Result<Option<Link>, StorageError> {
    let sql = format!("SELECT {COLUMNS} FROM link WHERE path = ?1");
    Ok(select(storage, &sql, &[Param::Text(path)])?
        .pop()
        .map(|(_, link)| link))
}

/// So many rows at most behind a path, in order, those that only linger, too.
///
/// # Errors
///
/// When the database fails.
pub fn page(
    storage: &impl Storage,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, Link)>, StorageError> {
    let sql = format!("SELECT {COLUMNS} FROM link WHERE path > ?1 ORDER BY path LIMIT ?2");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select(storage, &sql, &[Param::Text(after), Param::Integer(limit)])
}

/// Some of those that were not asked yet.
///
/// # Errors
///
/// When the database fails.
pub fn unplaced(storage: &impl Storage, limit: usize) -> Result<Vec<String>, StorageError> {
    paths(storage, "tail < 0", limit)
}

/// Some of those that have lingered since before a time.
///
/// # Errors
///
/// When the database fails.
pub fn stale(
    storage: &impl Storage,
    before: u64,
    limit: usize,
) -> Result<Vec<String>, StorageError> {
    let condition = format!("explicit & 1 = 0 AND incarnation IS NULL AND acked <= {before}");
    paths(storage, &condition, limit)
}

fn paths(
    storage: &impl Storage,
    condition: &str,
    limit: usize,
) -> Result<Vec<String>, StorageError> {
    let sql = format!("SELECT path FROM link WHERE {condition} ORDER BY path LIMIT {limit}");
    let mut found = Vec::new();
    storage.query(&sql, &[], &mut |row| {
        found.extend(row.text(0).map(str::to_owned));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn select(
    storage: &impl Storage,
    sql: &str,
    params: &[Param],
) -> Result<Vec<(String, Link)>, StorageError> {
    let mut links = Vec::new();
    storage.query(sql, params, &mut |row| {
        links.push(Link::from_row(row));
        ControlFlow::Continue(())
    })?;
    Ok(links)
}

/// What is known of all links. It is counted once, when the subscription is loaded, and kept up to
/// date from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// How many links there are.
    pub links: u64,
    /// How many of them somebody named.
    pub explicit: u64,
    /// How many of those were not asked yet.
    pub unplaced: u64,
    /// How many have something pending.
    pub pending: u64,
    /// How much is pending in all of them together, in positions.
    pub lag: u64,
    /// How many rows only linger.
    pub gone: u64,
    /// Paths with something pending: all of them, unless there are very many.
    some: BTreeSet<String>,
}

impl Book {
    /// Counts all links.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn load(storage: &impl Storage) -> Result<Self, StorageError> {
        let mut book = Self::default();
        let sql = format!("SELECT {COLUMNS} FROM link");
        storage.query(&sql, &[], &mut |row| {
            let (path, link) = Link::from_row(row);
            book.count(&path, Some(&link), true);
            ControlFlow::Continue(())
        })?;
        Ok(book)
    }

    /// Takes note that a link becomes another one.
    pub fn change(&mut self, path: &str, before: Option<&Link>, after: Option<&Link>) {
        self.count(path, before, false);
        self.count(path, after, true);
    }

    fn count(&mut self, path: &str, link: Option<&Link>, is_more: bool) {
        let Some(link) = link else {
            return;
        };
        let step = |count: &mut u64, by: u64| {
            *count = match is_more {
                true => count.saturating_add(by),
                false => count.saturating_sub(by),
            };
        };
        if link.is_gone() {
            return step(&mut self.gone, 1);
        }
        let lag = link.lag();
        step(&mut self.links, 1);
        step(&mut self.explicit, u64::from(link.explicit));
        step(&mut self.unplaced, u64::from(link.tail.is_none()));
        step(&mut self.lag, lag);
        if lag == 0 {
            return;
        }
        step(&mut self.pending, 1);
        match is_more {
            true if self.some.len() < MOST => drop(self.some.insert(path.to_owned())),
            true => {}
            false => drop(self.some.remove(path)),
        }
    }

    /// So many paths at most with something pending.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn pending(
        &mut self,
        storage: &impl Storage,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let all = usize::try_from(self.pending).unwrap_or(usize::MAX);
        if self.some.len() < limit.min(all) {
            self.some.extend(paths(storage, "tail > acked", MOST)?);
        }
        Ok(self.some.iter().take(limit).cloned().collect())
    }
}
