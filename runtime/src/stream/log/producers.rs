//! Where a stream remembers its idempotent producers (section 5.2.1): in buckets, so that a
//! request reads one row and writes one, however many producers there are, without an index,
//! whose entries would be billed as rows too.

use std::collections::BTreeMap;

use crate::protocol::producer::{Accepted, Claim};
use crate::stream::storage::StorageError;

/// Finds a bucket by its row.
pub const SELECT: &str = "SELECT body FROM stream WHERE id = ?1";

/// The row of bucket 0; the others lie below it.
const FIRST_ROW_ID: i64 = -2;

/// The number of buckets. Part of the storage format.
const BUCKETS: u64 = 4096;

/// The producers of one bucket, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket(BTreeMap<String, (u64, u64)>);

impl Bucket {
    /// What is remembered of a producer.
    pub fn get(&self, id: &str) -> Option<Accepted> {
        self.0.get(id).map(|&(epoch, seq)| Accepted { epoch, seq })
    }

    /// Remembers an accepted request.
    pub fn accept(&mut self, claim: &Claim) {
        self.0.insert(claim.id.clone(), (claim.epoch, claim.seq));
    }

    /// The bucket as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::json!(self.0).to_string().into_bytes()
    }

    /// Reads a stored bucket.
    ///
    /// # Errors
    ///
    /// When [`Bucket::encode`] did not make it.
    pub fn decode(body: &[u8]) -> Result<Self, StorageError> {
        serde_json::from_slice(body).map(Self).map_err(|error| {
            StorageError::Failed(format!("a producer bucket is malformed: {error}"))
        })
    }
}

/// The row of the bucket that holds the producer `id`.
pub fn row_id(id: &str) -> i64 {
    let bucket = fnv1a(id.as_bytes()).checked_rem(BUCKETS).unwrap_or(0);
    FIRST_ROW_ID.saturating_sub_unsigned(bucket)
}

/// FNV-1a with 64 bits: the same on every machine and in every release, which the hashers of the
/// standard library do not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_stay_where_they_are() {
        // Published values of FNV-1a.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(row_id("foobar"), -2 - 0x7e8);
    }

    proptest! {
        #[test]
        fn buckets_round_trip(entries in proptest::collection::btree_map("\\PC{1,9}", any::<(u64, u64)>(), 0..5)) {
            let mut bucket = Bucket::default();
            for (id, (epoch, seq)) in &entries {
                bucket.accept(&Claim { id: id.clone(), epoch: *epoch, seq: *seq });
            }
            prop_assert_eq!(Bucket::decode(&bucket.encode()), Ok(bucket.clone()));
            for (id, (epoch, seq)) in entries {
                prop_assert_eq!(bucket.get(&id), Some(Accepted { epoch, seq }));
            }
        }

        #[test]
        fn rows_lie_between_state_and_the_last_bucket(id in "\\PC{1,30}") {
            prop_assert!((-4097..=-2).contains(&row_id(&id)));
        }
    }
}
