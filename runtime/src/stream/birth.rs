//! The birth record: what is fixed when a stream is created.
//!
//! Its place is a comment inside the text of `CREATE TABLE`, which SQLite keeps. Creating a table
//! is billed as two rows; a record in a row of its own would make every stream cost a third.
//!
//! Every record states the lowest version whose readers get it right, and is refused by those of
//! earlier ones. The birth record states that for the table as a whole, with the rows there are
//! in it and what they mean, and the [state record](super::state) for what was added to the table
//! later. Both are read before anything else is, and before anything is written. So a release
//! that stores something which earlier ones must not pass over, such as rows in a new range of
//! ids, or a table beside this one,
//!
//! 1. raises [`STORED`],
//! 2. lets the birth records of new streams state it, if they are to have such things, and
//! 3. writes, in the batch that stores the first such thing in a stream that states less, a state
//!    record that states it. That costs a row, once a stream.
//!
//! What earlier releases can pass over without harm needs no version. A record whose readers are
//! kept away by nothing else, such as a bucket of producers, states its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::storage::StorageError;
use crate::protocol::content_type::ContentType;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::retention::Retention;
use crate::protocol::version::{self, STORED, Stated};
use crate::protocol::will::Will;

/// Finds the text of the table, and with it the birth record; and those of what may be beside it:
/// [links](super::links) and [farewells](super::farewell).
pub const SELECT: &str = "SELECT max(CASE name WHEN 'stream' THEN sql END), \
    max(CASE name WHEN 'link' THEN sql END), max(CASE name WHEN 'farewell' THEN sql END) \
    FROM sqlite_master WHERE type = 'table'";

/// Takes away what a stream left behind.
pub const DROP: &str = "DROP TABLE IF EXISTS stream";

/// From this version on, producers are where the key says.
const KEYED: u32 = 2;

/// From this version on, streams may start in the middle.
const TRUNCATED: u32 = 3;

/// What the creator of a stream asked for, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The stream's media type.
    pub content_type: ContentType,
    /// The stream's lifetime.
    pub expiry: Option<Expiry>,
    /// Whether the stream was closed from the start.
    pub closed: bool,
    /// Whether the stream can be read without credentials where others need some.
    pub public: bool,
    /// Whether the [directory](crate::directory) is told of the stream.
    pub listed: bool,
    /// What the stream is called.
    pub name: Name,
    /// What decides where its producers are remembered; streams of version 1 have none.
    pub key: Option<Key>,
    /// Where its first content is from, for a fork.
    pub origin: Option<Origin>,
    /// How much of the stream is kept, if not everything.
    pub retention: Option<Retention>,
    /// What becomes of the stream when nobody appends to it any more, as streams of its type keep it.
    pub will: Option<Will>,
    /// Of a stream with a will, the tail it was created with.
    pub will_from: Offset,
    /// The first position there was at its creation; 0 unless it is a fork of a stream that had
    /// lost its beginning.
    pub earliest: u64,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
}

/// Where a fork comes from (section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source's path.
    pub path: String,
    /// The fork offset, as a position, before the sub-offset is added.
    pub offset: u64,
    /// The sub-offset, in messages or bytes.
    #[serde(default, skip_serializing_if = "super::state::is_zero")]
    pub sub_offset: u64,
}

/// What a stream is called; no other one ever is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The path in its URL, decoded.
    pub path: String,
    /// Tells this stream from others that had or will have its path.
    pub incarnation: String,
}

impl Name {
    /// What the keys of the stream's objects start with.
    pub fn prefix(&self) -> String {
        format!("streams/{}/{}/", self.path, self.incarnation)
    }
}

/// A secret of the stream: whoever does not know it cannot tell what is stored beside what, and so
/// cannot choose what to send so that much comes to lie in one place. It is never shown to anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(u128);

impl Key {
    /// The key that is this number, which nobody can guess.
    pub const fn new(secret: u128) -> Self {
        Self(secret)
    }

    /// The key as it goes into a hash.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn encode(self) -> String {
        format!("{:032x}", self.0)
    }

    fn decode(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// How a [`Birth`] is written down. What readers of earlier versions can do without may be added
/// at any time: they pass over it.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The lowest version whose readers get everything in the table right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Stated,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    public: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    listed: bool,
    path: String,
    incarnation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    will: Option<WillRecord>,
    #[serde(default, skip_serializing_if = "super::state::is_zero")]
    earliest: u64,
    created_at: u64,
}

/// How a will is written down. Earlier releases pass over it.
#[derive(Serialize, Deserialize)]
struct WillRecord {
    after: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(default, skip_serializing_if = "super::state::is_zero")]
    from: u64,
}

impl WillRecord {
    fn encode(will: &Will, from: Offset) -> Self {
        Self {
            after: will.after,
            content: STANDARD.encode(&will.content),
            from: from.position(),
        }
    }

    fn decode(self) -> Option<(Will, Offset)> {
        let content = STANDARD.decode(self.content).ok()?;
        let after = self.after;
        Some((Will { after, content }, Offset::new(self.from)?))
    }
}

impl Birth {
    /// The statement that makes the table of a stream with this birth record.
    ///
    /// `id` is what the `chunk`, `state`, `producers`, `copied`, `segment` and `upkeep` modules say; `count`
    /// is the number of positions that start in the row; `seq` is the latest `Stream-Seq` up to the row;
    /// `at`, which only streams with a will have, is what the `will` module says.
    pub fn create_table(&self) -> String {
        let record = self.encode();
        let at = if self.will.is_some() { ", at TEXT" } else { "" };
        format!(
            "CREATE TABLE stream (/*{record}*/ id INTEGER PRIMARY KEY, count INTEGER NOT NULL, \
             body BLOB NOT NULL, seq TEXT{at})"
        )
    }

    /// Reads the record back from the text of the table.
    ///
    /// # Errors
    ///
    /// When the text is not one that [`Birth::create_table`] made, or a newer release has made it.
    pub fn from_table(sql: &str) -> Result<Self, StorageError> {
        let between = |text: &str| {
            let (_, rest) = text.split_once("/*")?;
            Some(rest.split_once("*/")?.0.to_owned())
        };
        let malformed = |what| StorageError::Failed(format!("the birth record {what}"));
        let record = between(sql).ok_or_else(|| malformed("is missing"))?;
        let record: Record = version::read("the birth record", record.as_bytes(), STORED)?;
        // What is in it is not for the log.
        Self::decode(record).ok_or_else(|| malformed("is malformed"))
    }

    fn encode(&self) -> String {
        let (ttl, expires_at) = Expiry::split(self.expiry.as_ref());
        let record = Record {
            v: self.version(),
            content_type: self.content_type.as_str().to_owned(),
            ttl,
            expires_at,
            closed: self.closed,
            public: self.public,
            listed: self.listed,
            path: self.name.path.clone(),
            incarnation: self.name.incarnation.clone(),
            key: self.key.map(Key::encode),
            origin: self.origin.clone(),
            retention: self.retention.map(|retention| retention.to_string()),
            will: self
                .will
                .as_ref()
                .map(|will| WillRecord::encode(will, self.will_from)),
            earliest: self.earliest,
            created_at: self.created_at,
        };
        // An escaped slash is still JSON, and cannot end the comment.
        serde_json::json!(record).to_string().replace('/', "\\/")
    }

    /// The lowest version whose readers get it right.
    fn version(&self) -> Stated {
        if self.retention.is_some() || self.earliest > 0 {
            return Some(TRUNCATED);
        }
        self.key.map(|_| KEYED)
    }

    fn decode(record: Record) -> Option<Self> {
        let retention = record.retention.as_deref().map(Retention::parse);
        let expiry = Expiry::join(record.ttl, record.expires_at)?;
        let will = match record.will {
            Some(will) => Some(will.decode()?),
            None => None,
        };
        let will_from = will.as_ref().map_or(Offset::START, |(_, from)| *from);
        let key = match record.key {
            Some(key) => Some(Key::decode(&key)?),
            None => None,
        };
        Some(Self {
            content_type: ContentType::parse(&record.content_type)?,
            expiry,
            closed: record.closed,
            public: record.public,
            listed: record.listed,
            name: Name {
                path: record.path,
                incarnation: record.incarnation,
            },
            key,
            origin: record.origin,
            retention: retention.transpose().ok()?,
            will: will.map(|(will, _)| will),
            will_from,
            earliest: record.earliest,
            created_at: record.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_expiry() -> impl Strategy<Value = Option<Expiry>> {
        prop_oneof![
            Just(None),
            (0u64..1 << 53).prop_map(|seconds| Some(Expiry::Ttl(seconds))),
            (1970u32..9999)
                .prop_map(|year| Expiry::parse_at(&format!("{year}-02-03T04:05:06+07:00"))),
        ]
    }

    proptest! {
        #[test]
        fn records_survive_in_a_real_table(
            parameter in "[ -~]{0,60}",
            expiry in any_expiry(),
            closed: bool,
            public: bool,
            listed: bool,
            path in "\\PC{1,40}",
            incarnation in "[0-9a-f]{16}",
            key: Option<u128>,
            origin in proptest::option::of(("\\PC{1,40}", any::<u64>(), any::<u64>())),
            retention in proptest::option::of(1u64..1 << 47),
            will in proptest::option::of((any::<u64>(), prop::collection::vec(any::<u8>(), 0..60), 0u64..1 << 47)),
            earliest in 0u64..3,
            created_at: u64,
        ) {
            let content_type = ContentType::parse(&format!("text/plain; x={parameter}")).unwrap();
            let name = Name { path, incarnation };
            let origin = origin
                .map(|(path, offset, sub_offset)| Origin { path, offset, sub_offset });
            let birth = Birth {
                content_type,
                expiry,
                closed,
                public,
                listed,
                name,
                key: key.map(Key::new),
                origin,
                retention: retention.map(Retention::Bytes),
                will_from: will.as_ref().map_or(Offset::START, |will| Offset::new(will.2).unwrap()),
                will: will.map(|(after, content, _)| Will { after, content }),
                earliest,
                created_at,
            };
            let database = rusqlite::Connection::open_in_memory().unwrap();
            database.execute(&birth.create_table(), []).unwrap();
            let sql: String = database.query_row(SELECT, [], |row| row.get(0)).unwrap();
            prop_assert_eq!(Birth::from_table(&sql), Ok(birth));
        }
    }

    #[test]
    fn a_content_type_cannot_leave_the_comment() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let content_type = ContentType::parse("a/b; */); DROP TABLE stream; --").unwrap();
        let birth = Birth {
            content_type,
            expiry: None,
            closed: false,
            public: false,
            listed: false,
            name: Name {
                path: "a/*/b".into(),
                incarnation: "1".into(),
            },
            key: None,
            origin: None,
            retention: None,
            will: None,
            will_from: Offset::START,
            earliest: 0,
            created_at: 0,
        };
        database.execute(&birth.create_table(), []).unwrap();
        let sql: String = database.query_row(SELECT, [], |row| row.get(0)).unwrap();
        assert_eq!(Birth::from_table(&sql), Ok(birth));
    }

    /// As they are stored, which later releases have to go on reading.
    #[test]
    fn a_will_is_beside_what_earlier_releases_read() {
        let birth = Birth {
            content_type: ContentType::parse("application/json").unwrap(),
            expiry: None,
            closed: false,
            public: false,
            listed: false,
            name: Name {
                path: "a/b".into(),
                incarnation: "1".into(),
            },
            key: Some(Key::new(7)),
            origin: None,
            retention: None,
            will: Some(Will {
                after: 60,
                content: b"[1]".to_vec(),
            }),
            will_from: Offset::new(3).unwrap(),
            earliest: 0,
            created_at: 9,
        };
        let table = "CREATE TABLE stream (/*{\"content_type\":\"application\\/json\",\"created_at\":9,\
            \"incarnation\":\"1\",\"key\":\"00000000000000000000000000000007\",\"path\":\"a\\/b\",\"v\":2,\
            \"will\":{\"after\":60,\"content\":\"WzFd\",\"from\":3}}*/ id INTEGER PRIMARY KEY, \
            count INTEGER NOT NULL, body BLOB NOT NULL, seq TEXT, at TEXT)";
        assert_eq!(birth.create_table(), table);
        assert_eq!(Birth::from_table(table).as_ref(), Ok(&birth));
        // What an earlier release makes of it, and writes.
        let without = table.replace(
            ",\"will\":{\"after\":60,\"content\":\"WzFd\",\"from\":3}",
            ",\"of a later release\":{}",
        );
        let known = Birth::from_table(&without).unwrap();
        let will_from = Offset::START;
        assert_eq!(
            known,
            Birth {
                will: None,
                will_from,
                ..birth
            }
        );
        assert!(!known.create_table().contains("at TEXT"));
    }

    #[test]
    fn a_key_is_not_told() {
        let key = Key::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(format!("{key:?}"), "Key");
        let key = key.encode();
        for record in [
            format!(r#"{{"v":2,"key":"{key}"}}"#),
            format!(r#"{{"v":99,"key":"{key}"}}"#),
            format!(
                r#"{{"v":2,"key":"{key}","content_type":"?","path":"","incarnation":"","created_at":0}}"#
            ),
            format!(r#"{{"v":2,"key":"x{key}","#),
        ] {
            let error = Birth::from_table(&format!("CREATE TABLE stream (/*{record}*/ id)"));
            let text = format!("{error:?}");
            assert!(
                error.is_err() && !text.contains("0123456789abcdef"),
                "{text}"
            );
        }
    }

    #[test]
    fn other_tables_are_refused() {
        for sql in [
            "",
            "CREATE TABLE stream (id)",
            "CREATE TABLE stream (/*{}*/ id)",
        ] {
            assert!(Birth::from_table(sql).is_err(), "{sql}");
        }
    }
}
