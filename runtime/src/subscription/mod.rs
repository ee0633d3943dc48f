//! Subscriptions (sections 6 and 7): durable cursors that wake workers when streams have something for
//! them.

use std::rc::Rc;

use crate::machine::{Posts, Signs};
use crate::protocol::error::Error;
use crate::protocol::reply::Reply;

/// What the worker's variables mean for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many shards the directory has, if there is one.
    pub shards: Result<Option<u32>, Error>,
    /// Whether this is a server for development, on the machine of its user.
    pub is_dev: bool,
    /// How long a receiver may fail before nothing is sent to it any more, in milliseconds.
    pub park_after: Result<u64, Error>,
}

/// The object of a subscription.
pub struct Subscription<P: Signs + Posts> {
    ports: P,
}

impl<P: Signs + Posts> std::fmt::Debug for Subscription<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl<P: Signs + Posts> Subscription<P> {
    /// The subscription in a database. Nothing is read before the first question.
    pub fn new(ports: P, _settings: Settings, _storage: P::Storage) -> Rc<Self> {
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
