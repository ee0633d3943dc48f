//! The directory: which streams and subscriptions there are below a root. It is split into shards,
//! each an object of its own, which serve all roots.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::machine::Signs;
use crate::protocol::error::Error;
use crate::protocol::reply::Reply;

/// How many shards there are. What is in them would have to move if it were another number.
pub const SHARDS: u32 = 16;

/// The number of the shard, of so many, that knows of the stream or subscription of a name.
pub fn shard_of(name: &str, shards: u32) -> u32 {
    let hash = Sha256::digest(name.as_bytes());
    let start = hash.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(start).checked_rem(shards).unwrap_or(0)
}

/// The object of a shard.
pub struct Shard<P: Signs> {
    ports: P,
}

impl<P: Signs> std::fmt::Debug for Shard<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").finish_non_exhaustive()
    }
}

impl<P: Signs> Shard<P> {
    /// The shard in a database. Nothing is read before the first question.
    pub fn new(ports: P, _storage: P::Storage) -> Rc<Self> {
        Rc::new(Self { ports })
    }

    /// Answers a question; see [`crate::protocol::ask`].
    pub async fn answer(self: &Rc<Self>, question: &str, _body: &[u8]) -> Reply {
        self.ports
            .log(format_args!("nobody knows how to {question}"));
        Reply::refused(&Error::UnknownRoute)
    }

    /// Does what has to be done at this time.
    ///
    /// # Errors
    ///
    /// When the next alarm could not be set, or the database failed; the platform calls again then.
    pub async fn wake(self: &Rc<Self>) -> Result<(), Error> {
        Ok(())
    }
}
