//! The record: all of a subscription that is not in its links, in one row. A subscription that was
//! deleted leaves a row, too, until the directory has forgotten it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::{Config, Delivery};
use crate::protocol::ask::Life;
use crate::protocol::root::Root;
use crate::protocol::version;
use crate::stream::storage::{Param, Statement, StorageError};

/// The version of records.
const VERSION: u32 = 1;
/// That of what is about copies, of which releases that know of version 1 alone know nothing.
const OF_COPIES: u32 = 2;

/// Makes the table.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, body BLOB)";

/// Finds the table.
pub const FIND: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'record'";

/// Finds all rows.
pub const SELECT: &str = "SELECT id, body FROM record ORDER BY id";

/// The row of the subscription; the others are of those that had its name.
pub const ROW_ID: i64 = 0;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What is fixed.
    pub config: Config,
    /// What tells it from other configurations.
    pub hash: String,
    /// The root that it is of.
    pub root: Root,
    /// What it is called below the root.
    pub id: String,
    /// The URL of the root as clients know it.
    pub base: String,
    /// What tells it from others of its name.
    pub life: Life,
    /// What its tokens are signed with.
    pub key: Key,
    /// How often it has woken somebody.
    pub generation: u64,
    /// The wake that is on its way or in somebody's hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Wake>,
    /// Set while deliveries fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// How many shards the directory had when it was created.
    pub shards: u32,
    /// How far it is with what was there before it.
    pub backfill: Backfill,
    /// How many streams were linked because they had been there.
    #[serde(default)]
    pub linked: u64,
    /// What a subscription that copies knows of its target, once that has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Why it copies nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
}

/// See [`Record::target`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which stream of its name.
    pub life: Life,
    /// Its media type.
    pub content_type: String,
}

/// A secret of a subscription. It is never shown to anybody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(String);

impl Key {
    /// The key that is these two numbers, which nobody can guess.
    pub fn new(first: u128, second: u128) -> Self {
        Self(format!("{first:032x}{second:032x}"))
    }

    /// The key as it signs.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// A wake, of the subscription's generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// A stream that has caused it.
    pub path: String,
    /// How often it was told of already.
    #[serde(default)]
    pub told: u32,
    /// What it waits for.
    pub stage: Stage,
}

/// See [`Wake::stage`]. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody is to be told of it, for the first time or again.
    Due {
        /// When.
        at: u64,
    },
    /// Somebody has it.
    Held {
        /// Until when, unless the time is extended.
        until: u64,
        /// The worker that has claimed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// Its receiver has failed for too long: nobody is told any more until somebody asks for that.
    Parked,
}

/// See [`Record::failing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub error: String,
}

/// See [`Record::backfill`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backfill {
    /// The target of copies is to know of it first of all.
    Feed,
    /// The directory is to know of it first.
    Watch,
    /// The streams that a subscription that copies was created with are asked.
    Place,
    /// The streams that are in the directory are gone through.
    List {
        /// In this shard.
        shard: u32,
        /// Behind this path.
        after: Option<String>,
    },
    /// All of that is done.
    Complete,
}

/// What is left of a subscription that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// What it was called, as an object.
    pub name: String,
    /// Which of that name.
    pub life: Life,
    /// The shards that may still know of it.
    pub shards: Vec<u32>,
    /// The name of the target of its copies, which may still know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Farewell {
    /// Whether nobody knows of it any more.
    pub fn is_over(&self) -> bool {
        self.shards.is_empty() && self.target.is_none()
    }
}

/// What is stored, with the version that it states.
pub trait Stored: Serialize {
    /// Whether it is about copies.
    fn is_of_copies(&self) -> bool;
}

impl Stored for Record {
    fn is_of_copies(&self) -> bool {
        matches!(self.config.delivery, Delivery::Copy(_))
    }
}

impl Stored for Farewell {
    fn is_of_copies(&self) -> bool {
        self.target.is_some()
    }
}

impl Record {
    /// The name of its object.
    pub fn name(&self) -> String {
        self.root.subscription(&self.id)
    }

    /// What is told of it by metrics: its name and its project.
    pub fn project(&self) -> &str {
        self.root.project().unwrap_or_default()
    }
}

/// A record as it is stored.
pub fn encode(record: &impl Stored) -> Vec<u8> {
    let mut document = json!(record);
    if let Some(object) = document.as_object_mut() {
        let version = match record.is_of_copies() {
            true => OF_COPIES,
            false => VERSION,
        };
        object.insert("v".to_owned(), version.into());
    }
    document.to_string().into_bytes()
}

/// Reads a stored record.
///
/// # Errors
///
/// When [`encode`] did not make it, or a newer release did.
pub fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, StorageError> {
    Ok(version::read("the subscription's record", body, OF_COPIES)?)
}

/// Puts an encoded record in the row `id`.
pub fn put(id: i64, body: &[u8]) -> Statement<'_> {
    Statement {
        sql: "INSERT OR REPLACE INTO record (id, body) VALUES (?1, ?2)",
        params: vec![Param::Integer(id), Param::Blob(body)],
    }
}

/// Takes the row `id` away.
pub fn remove(id: i64) -> Statement<'static> {
    Statement {
        sql: "DELETE FROM record WHERE id = ?1",
        params: vec![Param::Integer(id)],
    }
}
