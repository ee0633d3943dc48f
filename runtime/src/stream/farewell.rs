//! Farewells: what is left to say of a stream that has ended, to the [directory](crate::directory) if
//! it knew the stream, and to the subscriptions that are [linked](super::links) to it.
//!
//! They are noted in the batch that takes the stream away, or that keeps it for its forks alone, and
//! outlive it, for a stream may be made anew at once. As the [birth record](super::birth) does, they
//! lie in a comment inside the text of `CREATE TABLE`, which saves a row.

use serde::{Deserialize, Serialize};

use super::storage::{Statement, Storage, StorageError};
use super::{Present, Stream};
use crate::protocol::ask::{Life, Told, Unregister};
use crate::protocol::error::Error;
use crate::protocol::version::{self, STORED, Stated};

const DROP: &str = "DROP TABLE farewell";

/// So many are kept when a stream is made and deleted again and again and nobody hears of it. What
/// is said of a younger stream goes for the older ones as well.
const MOST: usize = 32;

/// What is left to say of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// What the stream was called.
    pub name: String,
    /// Which of that name it was.
    pub life: Life,
    /// The position of its tail.
    pub tail: u64,
    /// Whether the directory may know of it.
    pub listed: bool,
}

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Stated,
    farewells: Vec<Farewell>,
}

impl Farewell {
    /// What is to be said of a stream that ends; nothing if nobody cares.
    pub(super) fn of(present: &Present, has_links: bool) -> Option<Self> {
        let birth = &present.birth;
        let listed = birth.listed || present.state.listed.is_some();
        // A stream that is kept for its forks has ended before.
        let is_news = !present.state.deleted && (listed || has_links);
        is_news.then(|| Self {
            name: birth.name.path.clone(),
            life: present.life(),
            tail: present.tail.offset.position(),
            listed,
        })
    }

    /// What the directory is asked.
    pub fn unregister(&self) -> Unregister {
        Unregister {
            name: self.name.clone(),
            life: self.life.clone(),
        }
    }

    /// What a subscription is told.
    pub fn told(&self) -> Told {
        Told {
            name: self.name.clone(),
            life: self.life.clone(),
            since: self.tail,
            start: None,
            tail: self.tail,
            ended: true,
            source: None,
        }
    }
}

/// Reads them from the text of their table.
pub(super) fn from_table(sql: &str) -> Result<Vec<Farewell>, StorageError> {
    let between = |text: &str| {
        let (_, rest) = text.split_once("/*")?;
        Some(rest.split_once("*/")?.0.to_owned())
    };
    let malformed = || StorageError::Failed("the farewells are missing".to_owned());
    let record = between(sql).ok_or_else(malformed)?;
    let record: Record = version::read("the farewells", record.as_bytes(), STORED)?;
    Ok(record.farewells)
}

/// Farewells as they are to be stored in place of those that are.
pub(super) struct Noted {
    pub farewells: Vec<Farewell>,
    /// Whether there is a table that this takes the place of.
    replaces: bool,
    table: Option<String>,
}

impl Noted {
    pub fn new(mut farewells: Vec<Farewell>, replaces: bool) -> Self {
        let spare = farewells.len().saturating_sub(MOST);
        farewells.drain(..spare);
        let record = Record {
            v: None,
            farewells: farewells.clone(),
        };
        // An escaped slash is still JSON, and cannot end the comment.
        let record = serde_json::json!(record).to_string().replace('/', "\\/");
        let table = format!("CREATE TABLE farewell (/*{record}*/ id INTEGER PRIMARY KEY)");
        Self {
            replaces,
            table: (!farewells.is_empty()).then_some(table),
            farewells,
        }
    }

    /// The statements that store them.
    pub fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        let sql = [self.replaces.then_some(DROP), self.table.as_deref()];
        sql.into_iter().flatten().map(|sql| Statement {
            sql,
            params: Vec::new(),
        })
    }
}

impl<S: Storage> Stream<S> {
    /// What is left to say of streams that have ended, the oldest first. Known once the stream is
    /// loaded.
    pub fn farewells(&self) -> &[Farewell] {
        &self.beside.farewells
    }

    /// When a stream is born that is made now: after those that have ended, also where the clock went
    /// back, as of two streams the younger counts.
    pub(super) fn born_at(&self, now: u64) -> u64 {
        let born = self.farewells().iter().map(|farewell| farewell.life.born);
        born.fold(now, |at, born| at.max(born.saturating_add(1)))
    }

    /// Forgets a farewell, which everybody has heard.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn said(&mut self, life: &Life) -> Result<(), Error> {
        self.turn(|stream| {
            stream.load()?;
            let mut left = stream.beside.farewells.clone();
            left.retain(|farewell| farewell.life != *life);
            if left.len() < stream.beside.farewells.len() {
                let noted = Noted::new(left, true);
                let batch: Vec<_> = noted.statements().collect();
                stream.storage.write(&batch)?;
                drop(batch);
                stream.parted(Some(noted));
            }
            Ok(())
        })
    }

    /// The farewells there will be when the stream has ended; nothing if it adds none.
    pub(super) fn parting(&self, present: &Present) -> Option<Noted> {
        let farewell = Farewell::of(present, self.has_links())?;
        let mut farewells = self.beside.farewells.clone();
        let replaces = !farewells.is_empty();
        farewells.push(farewell);
        Some(Noted::new(farewells, replaces))
    }

    /// Takes note of what was stored.
    pub(super) fn parted(&mut self, noted: Option<Noted>) {
        if let Some(noted) = noted {
            self.beside.farewells = noted.farewells;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::birth;
    use proptest::prelude::*;

    fn farewell(name: &str, born: u64) -> Farewell {
        Farewell {
            name: name.to_owned(),
            life: Life {
                born,
                incarnation: format!("{born:x}-1"),
            },
            tail: 3,
            listed: true,
        }
    }

    proptest! {
        #[test]
        fn farewells_survive_in_a_real_table(
            name in "\\PC{1,40}",
            born: u64,
            tail: u64,
            listed: bool,
            count in 1usize..4,
        ) {
            let one = Farewell { tail, listed, ..farewell(&name, born) };
            let farewells = vec![one; count];
            let database = rusqlite::Connection::open_in_memory().unwrap();
            for statement in Noted::new(farewells.clone(), false).statements() {
                database.execute(statement.sql, []).unwrap();
            }
            let sql: String = database.query_row(birth::SELECT, [], |row| row.get(2)).unwrap();
            prop_assert_eq!(from_table(&sql), Ok(farewells));
        }
    }

    #[test]
    fn the_youngest_are_kept_and_newer_records_are_refused() {
        let many = (0..100).map(|born| farewell("*/x", born)).collect();
        let kept = Noted::new(many, true).farewells;
        assert_eq!((kept.len(), kept[0].life.born), (MOST, 100 - MOST as u64));
        let newer = "CREATE TABLE farewell (/*{\"v\":99,\"farewells\":[]}*/ id)";
        assert!(matches!(from_table(newer), Err(StorageError::Newer(_))));
        assert!(matches!(
            from_table("CREATE TABLE farewell (id)"),
            Err(StorageError::Failed(_))
        ));
    }
}
