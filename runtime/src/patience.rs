//! What is not waited for any longer. Nothing that is asked of the world has to answer, and
//! whoever waits for ever for one thing does nothing else about it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};

/// The longest that can be waited, in milliseconds: a timer of the platform that is set to more comes
/// at once.
pub const LONGEST: u64 = (1 << 31) - 1;

/// A time in milliseconds, as far as that can be waited.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}

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

/// What comes of each of some works that are done at the same time, in their order. Whenever one of
/// them moves, all that are left are looked at: there are to be few.
pub async fn together<F: Future>(works: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut works: Vec<_> = works.into_iter().map(|work| Ok(Box::pin(work))).collect();
    poll_fn(|context| {
        let mut is_over = true;
        for work in &mut works {
            if let Ok(left) = work {
                match left.as_mut().poll(context) {
                    Poll::Ready(outcome) => *work = Err(outcome),
                    Poll::Pending => is_over = false,
                }
            }
        }
        match is_over {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    works.into_iter().filter_map(Result::err).collect()
}
