//! What is not waited for any longer. Nothing that is asked of the world has to answer, and
//! whoever waits for ever for one thing does nothing else about it.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};

/// How long another object may take to answer, in milliseconds.
pub const OBJECT: u64 = 30_000;

/// How long the bucket may take for anything, in milliseconds, and how much longer for each MiB
/// that is put.
pub const BUCKET: u64 = 60_000;
const BUCKET_PER_MIB: u64 = 1_000;

/// How long the bucket may take to put so many bytes, in milliseconds.
pub fn to_put(bytes: u64) -> u64 {
    let mib = bytes.checked_div(1 << 20).unwrap_or(0);
    BUCKET.saturating_add(mib.saturating_mul(BUCKET_PER_MIB))
}

/// What comes of something, or nothing when `time` has passed before. What was asked for may still
/// take effect.
pub async fn within<T>(time: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(time)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
