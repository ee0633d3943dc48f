//! The state record: what changes in the life of a stream, apart from its data. A stream without
//! one is open and was last accessed when it was created.

use serde::{Deserialize, Serialize};

use super::birth::Birth;
use super::storage::{Param, Statement, StorageError};
use super::will::Mark;
use crate::protocol::offset::Offset;
use crate::protocol::producer::Claim;
use crate::protocol::version::{self, STORED, Stated};

/// The row of the state record.
pub const ROW_ID: i64 = -1;

/// Finds the state record.
pub const SELECT: &str = "SELECT body FROM stream WHERE id = -1";

/// See the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The lowest version whose readers get right what was stored since the stream was created,
    /// when that is not the one its birth record states. It is never lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Stated,
    /// Whether the stream takes no more data (section 4.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Whether the stream was deleted and is kept only for its forks (section 4.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The producer's request that closed the stream, so that its repetition is told apart from
    /// an append to a closed stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<ClosedBy>,
    /// When the stream was last known to be accessed, in milliseconds since the Unix epoch; 0
    /// when nothing was noted since its creation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accessed_at: u64,
    /// What lies before this position was dropped by a truncation, of this stream or of those it
    /// is a fork of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earliest: u64,
    /// The latest `Stream-Seq` of a stream that was truncated to its tail, in which there may be
    /// nothing else that remembers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<String>,
    /// Where the tail was when the [directory](crate::directory) was to be told of the stream; nothing
    /// if that was to be done from the start, or is not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u64>,
    /// Whether the directory knows the stream; nothing if nobody has noted that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<bool>,
    /// Of a stream with a will, when it was last appended to, where no row says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Mark>,
}

/// From this version on, streams may start in the middle.
const TRUNCATED: u32 = 3;

/// The `Producer-*` headers of the request that closed a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedBy {
    /// `Producer-Id`.
    pub id: String,
    /// `Producer-Epoch`.
    pub epoch: u64,
    /// `Producer-Seq`.
    pub seq: u64,
}

impl ClosedBy {
    /// Whether `claim` is the request that closed the stream.
    pub fn is(&self, claim: &Claim) -> bool {
        (self.id.as_str(), self.epoch, self.seq) == (claim.id.as_str(), claim.epoch, claim.seq)
    }
}

impl From<&Claim> for ClosedBy {
    fn from(claim: &Claim) -> Self {
        Self {
            id: claim.id.clone(),
            epoch: claim.epoch,
            seq: claim.seq,
        }
    }
}

impl State {
    /// The state of a stream that was just created.
    pub fn of(birth: &Birth) -> Self {
        Self {
            closed: birth.closed,
            earliest: birth.earliest,
            ..Self::default()
        }
    }

    /// The first position that was not truncated.
    pub fn earliest(&self) -> Offset {
        Offset::new(self.earliest).unwrap_or(Offset::MAX)
    }

    /// What becomes of it when what lies before a position is dropped. Releases that do not know
    /// of that would serve it.
    #[must_use]
    pub fn truncated(&self, before: Offset) -> Self {
        Self {
            v: self.v.max(Some(TRUNCATED)),
            earliest: before.position(),
            ..self.clone()
        }
    }

    /// The record as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    /// Reads a stored record.
    ///
    /// # Errors
    ///
    /// When [`State::encode`] did not make it, or a newer release did.
    pub fn decode(body: &[u8]) -> Result<Self, StorageError> {
        Ok(version::read("the state record", body, STORED)?)
    }
}

/// Puts an encoded record, of this or another kind, in the row `id`.
pub fn put(id: i64, record: &[u8]) -> Statement<'_> {
    Statement {
        sql: "INSERT OR REPLACE INTO stream (id, count, body) VALUES (?1, 0, ?2)",
        params: vec![Param::Integer(id), Param::Blob(record)],
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(in crate::stream) fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(
            v in proptest::option::of(1..=STORED),
            closed: bool,
            deleted: bool,
            closed_by in proptest::option::of(("\\PC{1,9}", any::<u64>(), any::<u64>())),
            accessed_at: u64,
            earliest: u64,
            seq in proptest::option::of("\\PC{1,9}"),
            listed: Option<u64>,
            registered: Option<bool>,
            quiet in proptest::option::of((any::<u64>(), any::<u64>())),
        ) {
            let closed_by = closed_by.map(|(id, epoch, seq)| ClosedBy { id, epoch, seq });
            let state = State {
                v,
                closed,
                deleted,
                closed_by,
                accessed_at,
                earliest,
                seq,
                listed,
                registered,
                quiet: quiet.map(|(tail, at)| Mark { tail, at }),
            };
            prop_assert_eq!(State::decode(&state.encode()), Ok(state));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(State::decode(b"").is_err());
        assert!(State::decode(b"[]x").is_err());
    }
}
