//! Links: which subscriptions are told of what is appended (section 6). They belong to the object,
//! not to the stream: one may wait for a stream that is not there yet, and for the next one when the
//! stream has ended.
//!
//! The table is made for the first link and goes with the last one; that it is there is seen when the
//! stream is loaded. So a stream without links pays nothing for them.

use std::ops::ControlFlow;

use super::storage::{Param, Statement, Storage, StorageError};
use super::{Cache, Present, Stream};
use crate::protocol::ask::{Interest, Life, Source, Tail, Told};
use crate::protocol::error::Error;
use crate::protocol::root::Root;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS link (subscription TEXT PRIMARY KEY, \
    since INTEGER NOT NULL, incarnation TEXT NOT NULL, interest INTEGER NOT NULL DEFAULT 0) \
    WITHOUT ROWID";
/// Tables of releases that knew of one interest alone have no column for it.
const EXTEND: &str = "ALTER TABLE link ADD COLUMN interest INTEGER NOT NULL DEFAULT 0";
const SELECT: &str = "SELECT subscription, since, incarnation, interest FROM link";
const SELECT_NAMES: &str = "SELECT subscription FROM link \
    WHERE subscription >= ?1 AND subscription < ?2 ORDER BY subscription LIMIT 1000";
const FIND: &str = "SELECT subscription, since, incarnation, interest FROM link \
    WHERE subscription = ?1";
const PUT: &str = "INSERT OR REPLACE INTO link (subscription, since, incarnation, interest) \
    VALUES (?1, ?2, ?3, ?4)";
const OTHERS: &str = "SELECT 1 FROM link WHERE subscription <> ?1 LIMIT 1";
const DELETE: &str = "DELETE FROM link WHERE subscription = ?1";
const DROP: &str = "DROP TABLE link";
/// Nobody copies the stream any more whose pattern alone is about it. Each is told of the next append,
/// and says what it wants to hear: there may be another subscription of its name by now.
const END_COPIES: &str = "UPDATE link SET interest = 0 WHERE interest = 1";

/// The link of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The subscription's name.
    pub subscription: String,
    /// The position behind which it is told of data of the stream that was there when it was noted.
    since: u64,
    /// Which stream that was; empty if there was none.
    incarnation: String,
    /// What the subscription wants to hear.
    pub interest: Interest,
}

/// What is known of all links together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Linked {
    /// Whether the table is one of a release that knew of one interest alone.
    is_old: bool,
    /// Whether somebody is told of appends.
    in_appends: bool,
    /// Whether somebody copies into the stream that is there.
    target: bool,
    /// Whether somebody copies the stream who was told to by name.
    named: bool,
}

impl Linked {
    /// Reads what `sql` has made, beside a stream if there is one.
    pub fn load(
        storage: &impl Storage,
        sql: &str,
        present: Option<&Present>,
    ) -> Result<Self, StorageError> {
        let is_old = !sql.contains("interest");
        Self::count(storage, is_old, present)
    }

    fn count(
        storage: &impl Storage,
        is_old: bool,
        present: Option<&Present>,
    ) -> Result<Self, StorageError> {
        let mut linked = Self {
            is_old,
            ..Self::default()
        };
        for link in select(storage, is_old, SELECT, &[])? {
            linked.add(&link, present);
        }
        Ok(linked)
    }

    /// The same beside a stream that is new: whoever copied into the one before has not asked for it.
    pub fn beside_new(self) -> Self {
        Self {
            target: false,
            ..self
        }
    }

    fn add(&mut self, link: &Link, present: Option<&Present>) {
        let is_of_present = present.is_some_and(|present| link.is_of(present));
        self.in_appends |= link.interest.is_in_appends();
        self.target |= link.interest == Interest::Target && is_of_present;
        self.named |= link.interest == Interest::NamedCopies;
    }
}

impl Link {
    /// A link that is noted now, of a subscription that waits for what comes behind a position of
    /// the stream, if there is one.
    fn new(subscription: &str, present: Option<&Present>, since: u64, interest: Interest) -> Self {
        Self {
            subscription: subscription.to_owned(),
            since,
            incarnation: present.map_or_else(String::new, |present| {
                present.birth.name.incarnation.clone()
            }),
            interest,
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
                Param::Integer(number(self.interest)),
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
        self.beside.links.is_some()
    }

    /// Whether there may be links of subscriptions that are told of appends. Known once the stream is
    /// loaded.
    pub fn is_followed(&self) -> bool {
        self.beside.links.is_some_and(|linked| linked.in_appends)
    }

    /// Whether some subscription copies into the stream. Known once the stream is loaded.
    pub fn is_target(&self) -> bool {
        self.living().is_some() && self.beside.links.is_some_and(|linked| linked.target)
    }

    /// What a subscription hears that wants to hear this: nobody copies a target of copies.
    pub fn admitted(&self, interest: Interest) -> Interest {
        match interest.is_in_content() && self.is_target() {
            true => Interest::Ends,
            false => interest,
        }
    }

    /// Whether some subscription copies the stream that was told to by name. Known once the stream is
    /// loaded.
    pub fn is_named_source(&self) -> bool {
        self.beside.links.is_some_and(|linked| linked.named)
    }

    /// What subscriptions that copy have to know of the stream; nothing if there is none, or it is
    /// not loaded.
    pub fn source(&self) -> Option<Source> {
        let present = self.living()?;
        Some(Source {
            content_type: present.birth.content_type.as_str().to_owned(),
            is_target: self.is_target(),
            slice: None,
        })
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

    pub(super) fn living(&self) -> Option<&Present> {
        match &self.cache {
            Cache::Present(present) if !present.state.deleted => Some(present),
            _ => None,
        }
    }

    /// Notes that a subscription is to be told of what is appended from now on, unless that is noted
    /// already, and says where the stream is. Says, too, whether the link is a new one. Nobody copies
    /// a target of copies.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn link(
        &mut self,
        subscription: &str,
        interest: Interest,
    ) -> Result<(Tail, Option<Link>), Error> {
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
            let source = stream.source();
            let known = found.as_ref().map(|link| link.interest);
            let interest = match stream.admitted(interest) {
                // It copies into the stream itself, which it has to hear the end of.
                Interest::Ends if known == Some(Interest::Target) => Interest::Target,
                interest => interest,
            };
            let link = Link::new(subscription, present, since, interest);
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
                source,
            };
            Ok((tail, is_new.then_some(link)))
        })
    }

    /// Forgets the link of a subscription. One that was noted for the stream that is there stays when
    /// the subscription was `told` of another one: it has not heard of this one. That of a subscription
    /// that copies into the stream stays until that is [over](Self::unfeed), or the stream is. Says
    /// whether there is none any more.
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
            if is_of_other || told.is_none() && link.interest == Interest::Target {
                return Ok(false);
            }
            stream.remove_link(subscription, &[])?;
            Ok(true)
        })
    }

    /// Removes a link in one batch with something else.
    fn remove_link(
        &mut self,
        subscription: &str,
        also: &[Statement<'_>],
    ) -> Result<(), StorageError> {
        let name = [Param::Text(subscription)];
        let mut are_others = false;
        self.storage.query(OTHERS, &name, &mut |_| {
            are_others = true;
            ControlFlow::Break(())
        })?;
        let (sql, params) = match are_others {
            true => (DELETE, name.to_vec()),
            false => (DROP, Vec::new()),
        };
        let mut batch = also.to_vec();
        batch.push(Statement { sql, params });
        self.storage.write(&batch)?;
        self.beside.links = match self.beside.links {
            Some(linked) if are_others => Some(self.count(linked.is_old)?),
            _ => None,
        };
        Ok(())
    }

    /// Notes that a subscription copies into the stream, in one batch with something else, and that
    /// nobody copies the stream any more. Nothing is written when there is nothing new.
    pub(super) fn link_target(
        &mut self,
        subscription: &str,
        also: &[Statement<'_>],
    ) -> Result<(), StorageError> {
        let found = self.find_link(subscription)?;
        let tail = self.end_of().map_or(0, |(_, tail)| tail);
        let present = self.living();
        let is_noted = found.is_some_and(|link| {
            link.interest == Interest::Target && present.is_some_and(|it| link.is_of(it))
        });
        if is_noted && also.is_empty() {
            return Ok(());
        }
        let link = Link::new(subscription, present, tail, Interest::Target);
        let mut also = also.to_vec();
        also.push(Statement {
            sql: END_COPIES,
            params: Vec::new(),
        });
        self.put_links_and(&[link], also)
    }

    /// Forgets that a subscription copies into the stream, in one batch with something else. Says
    /// whether it has no link then.
    pub(super) fn unlink_target(
        &mut self,
        subscription: &str,
        also: &[Statement<'_>],
    ) -> Result<bool, StorageError> {
        // A younger subscription of its name may have asked for another one.
        match self.find_link(subscription)?.map(|link| link.interest) {
            Some(Interest::Target) => self.remove_link(subscription, also)?,
            other => {
                if !also.is_empty() {
                    self.storage.write(also)?;
                }
                return Ok(other.is_none());
            }
        }
        Ok(true)
    }

    /// All links.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.turn(|stream| {
            stream.load()?;
            match stream.beside.links {
                Some(linked) => Ok(select(&stream.storage, linked.is_old, SELECT, &[])?),
                None => Ok(Vec::new()),
            }
        })
    }

    /// The ids of subscriptions of a root that are linked, 1000 at most. Known once the stream is
    /// loaded.
    pub(super) fn linked_of(&self, root: &Root) -> Result<Vec<String>, StorageError> {
        let mut ids = Vec::new();
        if self.beside.links.is_none() {
            return Ok(ids);
        }
        let first = root.subscription("");
        // What comes behind all that start so: the character behind the slash.
        let end = format!("{}0", first.trim_end_matches('/'));
        let range = [Param::Text(&first), Param::Text(&end)];
        self.storage.query(SELECT_NAMES, &range, &mut |row| {
            let id = row.text(0).and_then(|name| name.strip_prefix(&first));
            ids.extend(id.map(str::to_owned));
            ControlFlow::Continue(())
        })?;
        Ok(ids)
    }

    /// Takes note of what a subscription that is linked wants to hear from now on, and gives what it
    /// hears.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn change_interest(
        &mut self,
        subscription: &str,
        interest: Interest,
    ) -> Result<Interest, Error> {
        self.turn(|stream| {
            stream.load()?;
            let interest = stream.admitted(interest);
            match stream.find_link(subscription)? {
                // Copying into the stream is over when the subscription asks for that.
                Some(link) if link.interest == Interest::Target => return Ok(link.interest),
                Some(link) if link.interest != interest => {
                    stream.put_links(&[Link { interest, ..link }])?;
                }
                _ => {}
            }
            Ok(interest)
        })
    }

    /// What the subscription of a link is told of the stream; nothing if there is none.
    pub fn telling(&self, link: &Link) -> Option<Told> {
        let present = self.living()?;
        Some(Told {
            name: present.birth.name.path.clone(),
            life: present.life(),
            since: link.since(present),
            start: Some(present.start()),
            tail: present.tail.offset.position(),
            ended: false,
            source: self.source(),
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
            let interest = match &found {
                // This stream is no target so far. It says what it wants when it is told.
                Some(link) if link.interest != Interest::Ends => link.interest,
                _ => Interest::default(),
            };
            changed.push(Link::new(subscription, Some(present), since, interest));
        }
        if !changed.is_empty() {
            self.put_links(&changed)?;
        }
        Ok(changed)
    }

    fn find_link(&self, subscription: &str) -> Result<Option<Link>, StorageError> {
        let Some(linked) = self.beside.links else {
            return Ok(None);
        };
        let name = [Param::Text(subscription)];
        Ok(select(&self.storage, linked.is_old, FIND, &name)?.pop())
    }

    pub(super) fn put_links(&mut self, links: &[Link]) -> Result<(), StorageError> {
        self.put_links_and(links, Vec::new())
    }

    /// Notes links in one batch with what is to come behind.
    fn put_links_and(
        &mut self,
        links: &[Link],
        also: Vec<Statement<'_>>,
    ) -> Result<(), StorageError> {
        let known = self.beside.links;
        let before = match known {
            None => Some(CREATE),
            Some(linked) if linked.is_old => Some(EXTEND),
            Some(_) => None,
        };
        let before = before.map(|sql| Statement {
            sql,
            params: Vec::new(),
        });
        let batch: Vec<_> = before
            .into_iter()
            .chain(links.iter().map(Link::put))
            .chain(also)
            .collect();
        self.storage.write(&batch)?;
        // One of them may have been there with another interest, which was the last of its kind.
        self.beside.links = Some(self.count(false)?);
        Ok(())
    }

    fn count(&self, is_old: bool) -> Result<Linked, StorageError> {
        Linked::count(&self.storage, is_old, self.living())
    }
}

/// An interest as it is stored.
fn number(interest: Interest) -> i64 {
    match interest {
        Interest::Wakes => 0,
        Interest::Copies => 1,
        Interest::NamedCopies => 2,
        Interest::Target => 3,
        Interest::Ends => 4,
    }
}

/// An interest as it was stored; one that is not known wants to hear what each of them hears.
fn interest(number: i64) -> Interest {
    match number {
        0 => Interest::Wakes,
        1 => Interest::Copies,
        2 => Interest::NamedCopies,
        3 => Interest::Target,
        _ => Interest::Ends,
    }
}

fn select(
    storage: &impl Storage,
    is_old: bool,
    sql: &str,
    params: &[Param],
) -> Result<Vec<Link>, StorageError> {
    let old;
    let sql = match is_old {
        true => {
            old = sql.replacen(", interest", ", 0", 1);
            &old
        }
        false => sql,
    };
    let mut links = Vec::new();
    storage.query(sql, params, &mut |row| {
        links.push(Link {
            subscription: row.text(0).unwrap_or_default().to_owned(),
            since: u64::try_from(row.integer(1)).unwrap_or(0),
            incarnation: row.text(2).unwrap_or_default().to_owned(),
            interest: interest(row.integer(3)),
        });
        ControlFlow::Continue(())
    })?;
    Ok(links)
}
