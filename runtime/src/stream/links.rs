//! Links: which subscriptions are told of what is appended (section 6). They belong to the object,
//! not to the stream: one may wait for a stream that is not there yet, and for the next one when the
//! stream has ended.
//!
//! The table is made for the first link and goes with the last one; that it is there is seen when the
//! stream is loaded. So a stream without links pays nothing for them.

use std::ops::ControlFlow;

use super::storage::{Param, Statement, Storage, StorageError};
use super::{Cache, Present, Stream};
use crate::protocol::ask::{Life, Tail, Told};
use crate::protocol::error::Error;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS link (subscription TEXT PRIMARY KEY, \
    since INTEGER NOT NULL, incarnation TEXT NOT NULL) WITHOUT ROWID";
const SELECT: &str = "SELECT subscription, since, incarnation FROM link";
const FIND: &str = "SELECT subscription, since, incarnation FROM link WHERE subscription = ?1";
const PUT: &str = "INSERT OR REPLACE INTO link (subscription, since, incarnation) \
    VALUES (?1, ?2, ?3)";
const OTHERS: &str = "SELECT 1 FROM link WHERE subscription <> ?1 LIMIT 1";
const DELETE: &str = "DELETE FROM link WHERE subscription = ?1";
const DROP: &str = "DROP TABLE link";

/// The link of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The subscription's name.
    pub subscription: String,
    /// The position behind which it is told of data of the stream that was there when it was noted.
    since: u64,
    /// Which stream that was; empty if there was none.
    incarnation: String,
}

impl Link {
    /// A link that is noted now, of a subscription that waits for what comes behind a position of
    /// the stream, if there is one.
    fn new(subscription: &str, present: Option<&Present>, since: u64) -> Self {
        Self {
            subscription: subscription.to_owned(),
            since,
            incarnation: present.map_or_else(String::new, |present| {
                present.birth.name.incarnation.clone()
            }),
        }
    }

    /// The position behind which the subscription is told of data. A stream that came after the link
    /// is new to it from its start.
    fn since(&self, present: &Present) -> u64 {
        if self.is_of(present) {
            self.since
        } else {
            present.start()
        }
    }

    fn is_of(&self, present: &Present) -> bool {
        self.incarnation == present.birth.name.incarnation
    }

    fn put(&self) -> Statement<'_> {
        Statement {
            sql: PUT,
            params: vec![
                Param::Text(&self.subscription),
                Param::Integer(i64::try_from(self.since).unwrap_or(i64::MAX)),
                Param::Text(&self.incarnation),
            ],
        }
    }
}

impl Present {
    /// Which of its name the stream is.
    pub(super) fn life(&self) -> Life {
        Life {
            born: self.birth.created_at,
            incarnation: self.birth.name.incarnation.clone(),
        }
    }

    /// The position at which the stream's own content starts, behind what a fork has inherited.
    pub(super) fn start(&self) -> u64 {
        let origin = self.birth.origin.as_ref();
        origin.map_or(0, |origin| origin.offset.saturating_add(origin.sub_offset))
    }
}

impl<S: Storage> Stream<S> {
    /// Whether there may be links. Known once the stream is loaded.
    pub fn has_links(&self) -> bool {
        self.beside.links
    }

    /// Which stream there is, and the position of its tail; nothing if there is none, or it is not
    /// loaded.
    pub fn end_of(&self) -> Option<(Life, u64)> {
        let present = self.living()?;
        Some((present.life(), present.tail.offset.position()))
    }

    /// The position at which the stream's own content starts.
    pub fn start(&self) -> Option<u64> {
        self.living().map(Present::start)
    }

    fn living(&self) -> Option<&Present> {
        match &self.cache {
            Cache::Present(present) if !present.state.deleted => Some(present),
            _ => None,
        }
    }

    /// Notes that a subscription is to be told of what is appended from now on, unless that is noted
    /// already, and says where the stream is. Says, too, whether the link is a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn link(&mut self, subscription: &str) -> Result<(Tail, Option<Link>), Error> {
        self.turn(|stream| {
            stream.load()?;
            let found = stream.find_link(subscription)?;
            let present = stream.living();
            let tail = present.map_or(0, |present| present.tail.offset.position());
            let since = match (&found, present) {
                (Some(link), Some(present)) => link.since(present),
                _ => tail,
            };
            let life = present.map(Present::life);
            let start = present.map(Present::start);
            let link = Link::new(subscription, present, since);
            let is_noted = found.as_ref() == Some(&link);
            if !is_noted {
                stream.put_links(std::slice::from_ref(&link))?;
            }
            let is_new = found.is_none();
            let tail = Tail {
                life,
                since,
                tail,
                start,
            };
            Ok((tail, is_new.then_some(link)))
        })
    }

    /// Forgets the link of a subscription. One that was noted for the stream that is there stays when
    /// the subscription was `told` of another one: it has not heard of this one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn unlink(&mut self, subscription: &str, told: Option<&Life>) -> Result<bool, Error> {
        self.turn(|stream| {
            stream.load()?;
            let Some(link) = stream.find_link(subscription)? else {
                return Ok(true);
            };
            let is_of_other = stream.living().is_some_and(|present| {
                link.is_of(present) && told.is_some_and(|life| *life != present.life())
            });
            if is_of_other {
                return Ok(false);
            }
            let name = [Param::Text(subscription)];
            let mut are_others = false;
            stream.storage.query(OTHERS, &name, &mut |_| {
                are_others = true;
                ControlFlow::Break(())
            })?;
            let (sql, params) = match are_others {
                true => (DELETE, name.to_vec()),
                false => (DROP, Vec::new()),
            };
            stream.storage.write(&[Statement { sql, params }])?;
            stream.beside.links = are_others;
            Ok(true)
        })
    }

    /// All links.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.turn(|stream| {
            stream.load()?;
            let mut links = Vec::new();
            if stream.beside.links {
                links = select(&stream.storage, SELECT, &[])?;
            }
            Ok(links)
        })
    }

    /// What the subscription of a link is told of the stream; nothing if there is none.
    pub fn telling(&self, link: &Link) -> Option<Told> {
        let present = self.living()?;
        Some(Told {
            name: present.birth.name.path.clone(),
            life: present.life(),
            since: link.since(present),
            tail: present.tail.offset.position(),
            ended: false,
        })
    }

    /// Links subscriptions to the stream that are to be told of what is behind a position, and gives
    /// the links that are new.
    pub(super) fn link_all(
        &mut self,
        subscriptions: &[String],
        since: u64,
    ) -> Result<Vec<Link>, StorageError> {
        let mut changed = Vec::new();
        for subscription in subscriptions {
            let found = self.find_link(subscription)?;
            let Some(present) = self.living() else {
                break;
            };
            let since = match &found {
                Some(link) if link.is_of(present) => continue,
                Some(link) => link.since(present),
                None => since,
            };
            changed.push(Link::new(subscription, Some(present), since));
        }
        if !changed.is_empty() {
            self.put_links(&changed)?;
        }
        Ok(changed)
    }

    fn find_link(&self, subscription: &str) -> Result<Option<Link>, StorageError> {
        if !self.beside.links {
            return Ok(None);
        }
        let name = [Param::Text(subscription)];
        Ok(select(&self.storage, FIND, &name)?.pop())
    }

    fn put_links(&mut self, links: &[Link]) -> Result<(), StorageError> {
        let create = Statement {
            sql: CREATE,
            params: Vec::new(),
        };
        let create = (!self.beside.links).then_some(create);
        let batch: Vec<_> = create
            .into_iter()
            .chain(links.iter().map(Link::put))
            .collect();
        self.storage.write(&batch)?;
        self.beside.links = true;
        Ok(())
    }
}

fn select(storage: &impl Storage, sql: &str, params: &[Param]) -> Result<Vec<Link>, StorageError> {
    let mut links = Vec::new();
    storage.query(sql, params, &mut |row| {
        links.push(Link {
            subscription: row.text(0).unwrap_or_default().to_owned(),
            since: u64::try_from(row.integer(1)).unwrap_or(0),
            incarnation: row.text(2).unwrap_or_default().to_owned(),
        });
        ControlFlow::Continue(())
    })?;
    Ok(links)
}
