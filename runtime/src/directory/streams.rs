//! Streams: those that there are say so, and those that have ended do.

use super::lives::{Kind, Verdict};
use super::records::Records;
use super::registry::News;
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
        let news = self.news_of(name, Some((life, content_type)))?;
        let put: Vec<_> = news.iter().map(News::put).collect();
        let verdict = self.goes_on(&STREAM, name, life, Some(content_type), &put)?;
        if verdict == Verdict::News {
            self.has_put(&news);
        }
        let subscriptions = match verdict {
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
        let Unregister { name, life } = stream;
        let news = self.news_of(name, None)?;
        let put = news.iter().map(|news| news.put_if_there(name, life));
        let put: Vec<_> = put.collect();
        self.is_over(&STREAM, name, life, now, &put)?;
        self.has_put(&news);
        Ok(())
    }
}
