//! What the index says of a segment: the records in the rows of segments, which forks are handed,
//! too.
//!
//! A record states a version only if it holds something that readers of earlier versions would
//! get wrong; none does so far. Releases that do not know `crc` and `born` pass over them: after a
//! rollback they read every object whose entity tag is the one it was stored with, and merge
//! without a checksum. What they write is read like anything that was stored before there were
//! those.

use serde::{Deserialize, Serialize};

use super::marks::Mark;
use crate::protocol::version::{self, STORED};
use crate::stream::state::is_zero;
use crate::stream::storage::StorageError;

/// What the index says of a segment, apart from where it starts and how much of it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The object's length in bytes.
    pub size: u64,
    /// The entity tag that the object had when it was stored.
    pub etag: String,
    /// The checksum of what the object holds, without what encloses it; `None` when nobody has
    /// ever computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc: Option<u32>,
    /// The [generation](super::generation) of the index with which the object came into it, if
    /// it was merged; 0 otherwise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub born: u64,
    /// How many positions the object holds, when that is more than count here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<u64>,
    /// What the object's key starts with, when that is another stream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Some of the places between the first and the last message at which messages start; for
    /// bytes, some places at which no character is torn.
    pub marks: Vec<Mark>,
}

impl Record {
    /// The record as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    /// Reads a stored record.
    ///
    /// # Errors
    ///
    /// When [`Record::encode`] did not make it, or a newer release did.
    pub fn decode(body: &[u8]) -> Result<Self, StorageError> {
        Ok(version::read("a segment's record", body, STORED)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(
            size: u64,
            etag in "\\PC{0,40}",
            crc: Option<u32>,
            born: u64,
            holds in proptest::option::of(any::<u64>()),
            owner in proptest::option::of("\\PC{1,20}"),
            marks in proptest::collection::vec(any::<(u64, u64)>(), 0..5),
        ) {
            let record = Record { size, etag, crc, born, holds, owner, marks };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn records_of_other_releases() {
        // As version 1 wrote them.
        let own = Record::decode(br#"{"etag":"e","marks":[[3,17]],"size":20}"#);
        let expected = Record {
            size: 20,
            etag: "e".into(),
            crc: None,
            born: 0,
            holds: None,
            owner: None,
            marks: vec![(3, 17)],
        };
        assert_eq!(own, Ok(expected.clone()));
        let lent = br#"{"etag":"e","holds":9,"marks":[[3,17]],"owner":"streams/a/1/","size":20}"#;
        let expected = Record {
            holds: Some(9),
            owner: Some("streams/a/1/".into()),
            ..expected
        };
        assert_eq!(Record::decode(lent), Ok(expected));

        let newer = Record::decode(br#"{"v":99,"etag":"e","marks":[],"size":20}"#);
        assert!(matches!(newer, Err(StorageError::Newer(_))), "{newer:?}");
        assert!(matches!(
            Record::decode(b"{}"),
            Err(StorageError::Failed(_))
        ));
    }
}
