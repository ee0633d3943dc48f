//! When a stream ends by itself (section 5.1): `Stream-TTL` slides with every access,
//! `Stream-Expires-At` stands.

use super::birth::Birth;
use super::family::claims;
use super::state::{self, State};
use super::storage::Storage;
use super::verbs::delete::End;
use super::{Cache, Stream};
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;

/// An access is noted in storage only when the last noted one is older than this part of the TTL,
/// so that accesses cost at most ten rows in the time of one TTL.
const NOTE_EVERY: u64 = 10;

/// When a stream ends.
#[derive(Clone, Debug)]
pub struct Lifetime {
    expiry: Option<Expiry>,
    /// The last access, or the latest it can have been.
    accessed_at: u64,
    /// The last access that storage knows of.
    noted_at: u64,
}

impl Lifetime {
    /// The lifetime of a stream that is created now.
    pub fn new(birth: &Birth) -> Self {
        let at = birth.created_at;
        Self {
            expiry: birth.expiry.clone(),
            accessed_at: at,
            noted_at: at,
        }
    }

    /// The lifetime of a stream as storage knows it. There may have been accesses that were not
    /// noted; they are given the benefit of the doubt, so that no stream ends too early.
    pub fn reloaded(birth: &Birth, state: &State) -> Self {
        let noted_at = state.accessed_at.max(birth.created_at);
        let accessed_at = noted_at.saturating_add(unnoted(birth.expiry.as_ref()));
        Self {
            expiry: birth.expiry.clone(),
            accessed_at,
            noted_at,
        }
    }

    /// When the stream ends; `None` for never.
    pub fn deadline(&self) -> Option<u64> {
        self.expiry
            .as_ref()
            .map(|expiry| expiry.deadline(self.accessed_at))
    }

    /// Whether the stream has ended.
    pub fn is_over(&self, now: u64) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Milliseconds that are left; `None` for no end.
    pub fn left(&self, now: u64) -> Option<u64> {
        self.deadline().map(|deadline| deadline.saturating_sub(now))
    }

    /// Takes an access into account; says whether it has to be noted in storage.
    fn access(&mut self, now: u64) -> bool {
        if !matches!(self.expiry, Some(Expiry::Ttl(_))) {
            return false;
        }
        self.accessed_at = now.max(self.noted_at);
        now > self.noted_at.saturating_add(unnoted(self.expiry.as_ref()))
    }
}

/// How much later than the last noted access the last one can have been, in milliseconds.
fn unnoted(expiry: Option<&Expiry>) -> u64 {
    match expiry {
        Some(Expiry::Ttl(seconds)) => seconds
            .saturating_mul(1000)
            .checked_div(NOTE_EVERY)
            .unwrap_or(0),
        _ => 0,
    }
}

impl<S: Storage> Stream<S> {
    /// Counts a read or a write as an access, from which the TTL starts anew.
    pub(super) fn access(&mut self, now: u64) -> Result<(), Error> {
        let (storage, _, present) = self.present(now)?;
        if present.lifetime.access(now) {
            let state = State {
                accessed_at: now,
                ..present.state.clone()
            };
            storage.write(&[state::put(state::ROW_ID, &state.encode())])?;
            present.state = state;
            present.lifetime.noted_at = now;
        }
        Ok(())
    }

    /// When the stream ends if nobody accesses it: the time to call [`Stream::expire`] at.
    /// `None` for never, and for a stream that does not exist or is not loaded.
    pub fn deadline(&self) -> Option<u64> {
        match &self.cache {
            Cache::Present(present) if present.state.deleted => None,
            Cache::Present(present) => present.lifetime.deadline(),
            _ => None,
        }
    }

    /// Ends the stream if its time is over, or if it was deleted and is kept for nobody any more,
    /// and says how; `None` when there is nothing to end.
    /// Whoever uses a stream calls this first, and then verbs with the same `now`: that a stream
    /// ends has consequences, which no verb can draw by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; then the stream is still there.
    pub fn expire(&mut self, now: u64) -> Result<Option<End>, Error> {
        self.turn(|stream| {
            stream.load()?;
            match &stream.cache {
                Cache::Present(present)
                    if !present.state.deleted && present.lifetime.is_over(now) =>
                {
                    stream.end(now).map(Some)
                }
                // The last of its forks has gone, and it has not yet.
                Cache::Present(present)
                    if present.state.deleted && !claims::any(&stream.storage)? =>
                {
                    stream.remove(now).map(Some)
                }
                _ => Ok(None),
            }
        })
    }
}
