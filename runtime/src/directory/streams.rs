//! Streams: those that there are say so, and those that have ended do.

use super::lives::{Kind, Verdict};
use super::records::Records;
use crate::protocol::ask::{Register, Registered, Unregister};
use crate::protocol::error::Error;
use crate::stream::storage::Storage;

const STREAM: Kind = Kind {
    select: "SELECT incarnation, born, type FROM stream WHERE name = ?1 \
             UNION ALL SELECT NULL, at, NULL FROM gone WHERE name = ?1 AND incarnation = ?2",
    put: "INSERT INTO stream VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE \
          SET incarnation = ?2, born = ?3, type = ?4",
    delete: "DELETE FROM stream WHERE name = ?1 AND incarnation = ?2",
};

impl<S: Storage> Records<S> {
    /// Notes a stream, and then looks who watches it, in one turn: of a stream and a subscription
    /// that come at the same time, one sees the other.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn register(&mut self, stream: &Register) -> Result<Registered, Error> {
        let Register {
            name,
            life,
            content_type,
        } = stream;
        let subscriptions = match self.goes_on(&STREAM, name, life, Some(content_type))? {
            Verdict::Late => Vec::new(),
            Verdict::Known | Verdict::News => self.watchers_of(name)?,
        };
        Ok(Registered { subscriptions })
    }

    /// Forgets a stream that has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn unregister(&mut self, stream: &Unregister, now: u64) -> Result<(), Error> {
        self.is_over(&STREAM, &stream.name, &stream.life, now)
    }
}
