//! Where a stream remembers its idempotent producers (section 5.2.1): in buckets, so that a
//! request reads one row and writes one, however many producers there are, without an index,
//! whose entries would be billed as rows too.
//!
//! A bucket never gets longer than [`MAX_BYTES`]: it holds [`MOST`] producers, by a hash of their
//! ids and so in the same space whatever they are called. Nobody is forgotten as long as there is
//! room. When there is none, whoever has been idle for longest is:
//!
//! - One that was idle for longer than [`KEPT_HOURS`] is forgotten without a trace, and is new
//!   when it comes back.
//! - Of any other one the bucket keeps the epoch, if it is the highest of those that were
//!   forgotten so. Whoever is not known and does not claim a higher epoch may be one of them, with
//!   a request that was carried out before; it is told that its epoch is stale, and can go on in
//!   the next one. That holds until the last of them has been idle for longer than
//!   [`KEPT_HOURS`].
//!
//! Which bucket a producer is in is decided by a key that only the stream knows, so nobody can
//! choose ids that push others out of theirs: of 4096 buckets, all have to be full. Streams of
//! version 1 have no key.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::protocol::error::Error;
use crate::protocol::producer::{self, Accepted, Claim, Verdict};
use crate::protocol::version;
use crate::stream::birth::Key;
use crate::stream::storage::StorageError;

/// Finds a bucket by its row.
pub const SELECT: &str = "SELECT body FROM stream WHERE id = ?1";

/// The row of bucket 0; the others lie below it.
const FIRST_ROW_ID: i64 = -2;

/// The number of buckets. Part of the storage format.
const BUCKETS: u64 = 4096;

/// The rows of all buckets, from the lowest to the highest.
pub const ROWS: (i64, i64) = (-4097, FIRST_ROW_ID);

/// How many producers a bucket remembers.
pub const MOST: usize = 1024;

/// The longest bucket, in bytes.
pub const MAX_BYTES: usize = Lost::END + MOST * Entry::BYTES;

/// How long a producer can be idle before it may be taken for a new one, in hours: a year, after
/// which nobody sends the same request again.
pub const KEPT_HOURS: u32 = 365 * 24;

/// Epochs from here on are not guarded when whoever claimed them is forgotten: a producer that
/// starts at the largest epoch there is would leave none for those that come after it.
const UNGUARDED: u64 = 1 << 52;

/// The encoding of a bucket: this byte, what was lost, and the entries, the one that was idle for
/// longest first. Version 1 was a JSON object of epoch and sequence number by id.
const VERSION: u8 = 2;
const FIRST_BYTE_OF_VERSION_1: u8 = b'{';

/// Milliseconds.
const HOUR: u64 = 3_600_000;

/// A producer's id where it matters only whether two are the same. Nobody can find another id
/// with the same one.
type Print = [u8; 12];

/// Where a producer is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The row of its bucket.
    pub row: i64,
    print: Print,
}

impl Place {
    /// The place of a producer in a stream with this key.
    pub fn of(id: &str, key: Option<Key>) -> Self {
        let mut hash = Sha256::new();
        if let Some(key) = key {
            hash.update(key.bytes());
        }
        hash.update(id.as_bytes());
        let hash = hash.finalize();
        let mut hash = &hash[..];
        let print = take(&mut hash).unwrap_or_default();
        let bucket = match key {
            Some(_) => u64::from_le_bytes(take(&mut hash).unwrap_or_default()),
            None => fnv1a(id.as_bytes()),
        };
        let bucket = bucket.checked_rem(BUCKETS).unwrap_or(0);
        Self {
            row: FIRST_ROW_ID.saturating_sub_unsigned(bucket),
            print,
        }
    }
}

/// What is remembered of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    print: Print,
    accepted: Accepted,
    /// When a request was accepted, in hours since the Unix epoch.
    hour: u32,
}

impl Entry {
    /// The print, the epoch, the sequence number and the hour, all numbers little-endian.
    const BYTES: usize = 12 + 8 + 8 + 4;

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.print);
        into.extend_from_slice(&self.accepted.epoch.to_le_bytes());
        into.extend_from_slice(&self.accepted.seq.to_le_bytes());
        into.extend_from_slice(&self.hour.to_le_bytes());
    }

    fn decode(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            print: take(from)?,
            accepted: Accepted {
                epoch: u64::from_le_bytes(take(from)?),
                seq: u64::from_le_bytes(take(from)?),
            },
            hour: u32::from_le_bytes(take(from)?),
        })
    }
}

/// What is known of producers that were forgotten too soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lost {
    /// The highest epoch of them.
    epoch: u64,
    /// When a request of any of them was accepted, in hours since the Unix epoch; 0 when there
    /// are none.
    hour: u32,
}

impl Lost {
    /// Where the entries start: behind the version, the epoch and the hour.
    const END: usize = 1 + 8 + 4;

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.epoch.to_le_bytes());
        into.extend_from_slice(&self.hour.to_le_bytes());
    }

    fn decode(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            epoch: u64::from_le_bytes(take(from)?),
            hour: u32::from_le_bytes(take(from)?),
        })
    }

    fn is_of_interest(self, now: u32) -> bool {
        self.hour > 0 && now.saturating_sub(self.hour) <= KEPT_HOURS
    }

    fn add(&mut self, forgotten: &Entry, now: u32) {
        if !self.is_of_interest(now) {
            *self = Self::default();
        }
        if now.saturating_sub(forgotten.hour) <= KEPT_HOURS {
            let guarded = UNGUARDED.saturating_sub(1);
            self.epoch = self.epoch.max(forgotten.accepted.epoch.min(guarded));
            self.hour = self.hour.max(forgotten.hour).max(1);
        }
    }
}

/// The producers of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    lost: Lost,
    /// The one that was idle for longest comes first.
    entries: Vec<Entry>,
}

impl Bucket {
    /// What to do with a claim; `now` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`Error::StaleEpoch`], [`Error::EpochStart`] or [`Error::SequenceGap`].
    pub fn judge(&self, place: Place, claim: &Claim, now: u64) -> Result<Verdict, Error> {
        let known = self.entries.iter().find(|entry| entry.print == place.print);
        let may_be_lost = self.lost.is_of_interest(hour(now)) && claim.epoch <= self.lost.epoch;
        if known.is_none() && may_be_lost {
            return Err(Error::StaleEpoch {
                current: self.lost.epoch,
            });
        }
        producer::judge(known.map(|entry| entry.accepted), claim)
    }

    /// Remembers an accepted request.
    pub fn accept(&mut self, place: Place, claim: &Claim, now: u64) {
        self.accept_among(MOST, place, claim, hour(now));
    }

    fn accept_among(&mut self, most: usize, place: Place, claim: &Claim, now: u32) {
        self.entries.retain(|entry| entry.print != place.print);
        self.entries.push(Entry {
            print: place.print,
            accepted: Accepted {
                epoch: claim.epoch,
                seq: claim.seq,
            },
            hour: now,
        });
        let excess = self.entries.len().saturating_sub(most);
        for forgotten in self.entries.drain(..excess) {
            self.lost.add(&forgotten, now);
        }
    }

    /// The bucket as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.entries.len().saturating_mul(Entry::BYTES);
        let mut body = Vec::with_capacity(length.saturating_add(Lost::END));
        body.push(VERSION);
        self.lost.encode(&mut body);
        for entry in &self.entries {
            entry.encode(&mut body);
        }
        body
    }

    /// Reads a stored bucket. What was stored without a time counts as stored now.
    ///
    /// # Errors
    ///
    /// When [`Bucket::encode`] did not make it, or a newer release did.
    pub fn decode(body: &[u8], key: Option<Key>, now: u64) -> Result<Self, StorageError> {
        let malformed = || StorageError::Failed("a producer bucket is malformed".into());
        let (version, mut body) = match body.split_first() {
            Some((&FIRST_BYTE_OF_VERSION_1, _)) => return Self::of_version_1(body, key, hour(now)),
            Some((version, body)) => (*version, body),
            None => return Err(malformed()),
        };
        version::check("a producer bucket", Some(version.into()), VERSION.into())?;
        if version != VERSION {
            return Err(malformed());
        }
        let lost = Lost::decode(&mut body).ok_or_else(malformed)?;
        let mut entries = Vec::with_capacity(body.len().div_ceil(Entry::BYTES).saturating_add(1));
        while !body.is_empty() {
            entries.push(Entry::decode(&mut body).ok_or_else(malformed)?);
        }
        Ok(Self { lost, entries })
    }

    /// How many producers are in so many buckets that are so many bytes long together.
    pub fn entries(buckets: u64, bytes: u64) -> u64 {
        let widen = |length| u64::try_from(length).unwrap_or(1);
        let around = buckets.saturating_mul(widen(Lost::END));
        let entries = bytes.saturating_sub(around);
        entries.checked_div(widen(Entry::BYTES)).unwrap_or(0)
    }

    fn of_version_1(body: &[u8], key: Option<Key>, now: u32) -> Result<Self, StorageError> {
        let entries: BTreeMap<String, (u64, u64)> =
            serde_json::from_slice(body).map_err(|error| {
                StorageError::Failed(format!("a producer bucket is malformed: {error}"))
            })?;
        let entries = entries.into_iter().map(|(id, (epoch, seq))| Entry {
            print: Place::of(&id, key).print,
            accepted: Accepted { epoch, seq },
            hour: now,
        });
        Ok(Self {
            lost: Lost::default(),
            entries: entries.collect(),
        })
    }
}

/// The first bytes of some, which are taken away from them.
fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

/// Hours since the Unix epoch.
fn hour(millis: u64) -> u32 {
    let hours = millis.checked_div(HOUR).unwrap_or(0);
    u32::try_from(hours).unwrap_or(u32::MAX)
}

/// FNV-1a with 64 bits: the same on every machine and in every release, which the hashers of the
/// standard library do not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
