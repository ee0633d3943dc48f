//! The stream `__registry__` of a root: what streams came and went below it, as events of the State
//! protocol, for whoever wants to hear of it. Its user makes it. Whatever happens is put into an outbox
//! together with what it changes, and appended when that works; an event may be appended twice, which
//! its key makes harmless.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use serde_json::{Value, json};

use super::Shard;
use super::records::{Records, rows, text, time, whole};
use super::watches::roots_of;
use crate::backoff::BackOff;
use crate::machine::{Peer, Signs};
use crate::protocol::ask::{EVENT, Event, Life, say};
use crate::protocol::error::Error;
use crate::stream::storage::{Param, Statement, Storage};

/// The path of the stream below its root.
const PATH: &str = "__registry__";

/// So many events are kept until they are appended; then those go that are oldest.
pub const MOST: u64 = 10_000;
/// So many of them at once.
const DROPPED: u64 = 1_000;
/// So many are appended in one go; what is left then is for the next event, or the alarm.
const AT_ONCE: u32 = 500;

/// So many streams are left alone at once.
const RESTING: usize = 1_000;

/// The longest that a stream is left alone when nothing can be appended to it, in milliseconds.
const LONGEST_REST: u64 = 15 * 60_000;

/// What is in memory of the outbox.
#[derive(Debug, Default)]
pub struct Outbox {
    /// How many events there are, and the number of the next one, once it was looked up.
    known: Option<(u64, u64)>,
    /// Streams that are left alone for a while.
    resting: BTreeMap<String, BackOff>,
}

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The name of the stream that it is for.
    pub registry: String,
    /// Its number: those of a stream are in order.
    pub id: u64,
    /// The event, in JSON.
    pub message: String,
}

impl News {
    /// Puts it into the outbox.
    pub fn put(&self) -> Statement<'_> {
        self.statement("INSERT INTO event VALUES (?1, ?2, ?3)")
    }

    /// Puts it into the outbox if a stream is there that this life has.
    pub fn put_if_there<'a>(&'a self, name: &'a str, life: &'a Life) -> Statement<'a> {
        let mut statement = self.statement(
            "INSERT INTO event SELECT ?1, ?2, ?3 \
             WHERE EXISTS (SELECT 1 FROM stream WHERE name = ?4 AND incarnation = ?5)",
        );
        let who = [Param::Text(name), Param::Text(&life.incarnation)];
        statement.params.extend(who);
        statement
    }

    fn statement(&self, sql: &'static str) -> Statement<'_> {
        let params = vec![
            Param::Text(&self.registry),
            time(self.id),
            Param::Text(&self.message),
        ];
        Statement { sql, params }
    }
}

/// What a stream's coming, or going, is for those who read of it.
fn event(path: &str, came: Option<(&Life, &str)>) -> Value {
    match came {
        Some((life, content_type)) => json!({
            "type": "stream",
            "key": path,
            "value": {"path": path, "contentType": content_type, "createdAt": life.born},
            "headers": {"operation": "insert"},
        }),
        None => json!({"type": "stream", "key": path, "headers": {"operation": "delete"}}),
    }
}

impl<S: Storage> Records<S> {
    /// The events that a stream's coming, or going, is worth: one for each root that it is below.
    pub(super) fn news_of(
        &mut self,
        name: &str,
        came: Option<(&Life, &str)>,
    ) -> Result<Vec<News>, Error> {
        if self.outbox.is_none() {
            return Ok(Vec::new());
        }
        let (_, first) = self.in_outbox()?;
        let to_tell = roots_of(name).filter_map(|root| {
            let path = root.path_of(name).filter(|path| *path != PATH)?;
            Some((format!("{}{PATH}", root.prefix()), event(path, came)))
        });
        let news = (first..).zip(to_tell);
        let news = news.map(|(id, (registry, event))| News {
            registry,
            id,
            message: event.to_string(),
        });
        Ok(news.collect())
    }

    /// Counts what was put into the outbox.
    pub(super) fn has_put(&mut self, news: &[News]) {
        let known = self
            .outbox
            .as_mut()
            .and_then(|outbox| outbox.known.as_mut());
        if let (Some((count, next)), Some(last)) = (known, news.last()) {
            *count = count.saturating_add(u64::try_from(news.len()).unwrap_or(0));
            *next = last.id.saturating_add(1);
        }
    }

    /// How many events there are, and the number of the next one.
    fn in_outbox(&mut self) -> Result<(u64, u64), Error> {
        if let Some(known) = self.outbox.as_ref().and_then(|outbox| outbox.known) {
            return Ok(known);
        }
        let mut known = (0, 0);
        let select = "SELECT count(*), ifnull(max(id) + 1, 0) FROM event";
        self.storage()?.query(select, &[], &mut |row| {
            known = (whole(row, 0), whole(row, 1));
            ControlFlow::Break(())
        })?;
        if let Some(outbox) = &mut self.outbox {
            outbox.known = Some(known);
        }
        Ok(known)
    }

    /// Some were counted that were not put into it, as nothing was there that they were about.
    fn is_empty(&mut self) {
        let known = self
            .outbox
            .as_mut()
            .and_then(|outbox| outbox.known.as_mut());
        if let Some((count, _)) = known {
            *count = 0;
        }
    }

    /// Whether there is something in the outbox.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn has_news(&mut self) -> Result<bool, Error> {
        Ok(self.outbox.is_some() && self.in_outbox()?.0 > 0)
    }

    /// Drops the oldest events when there are too many. Says how many.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn drop_news(&mut self) -> Result<u64, Error> {
        let (count, next) = self.in_outbox()?;
        if count <= MOST {
            return Ok(0);
        }
        let sql = "DELETE FROM event WHERE id < \
                   (SELECT id FROM event ORDER BY id LIMIT 1 OFFSET ?1)";
        let params = vec![time(DROPPED)];
        self.storage()?.write(&[Statement { sql, params }])?;
        if let Some(outbox) = &mut self.outbox {
            outbox.known = Some((count.saturating_sub(DROPPED), next));
        }
        Ok(DROPPED)
    }

    /// The events for the next stream behind one, by their names, that is not left alone: some of
    /// them, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn next_news(&mut self, after: &str, now: u64) -> Result<Vec<News>, Error> {
        let mut after = after.to_owned();
        loop {
            let select = "SELECT registry FROM event WHERE registry > ?1 ORDER BY registry LIMIT 1";
            let params = [Param::Text(&after)];
            let next = rows(self.storage()?, select, &params, |row| text(row, 0))?;
            let Some(registry) = next.into_iter().next() else {
                if after.is_empty() {
                    self.is_empty();
                }
                return Ok(Vec::new());
            };
            let resting = self.outbox.as_ref().map(|outbox| &outbox.resting);
            let rest = resting.and_then(|resting| resting.get(&registry));
            if rest.is_some_and(|rest| rest.not_before() > now) {
                after = registry;
                continue;
            }
            let select = "SELECT id, message FROM event WHERE registry = ?1 ORDER BY id LIMIT 100";
            let params = [Param::Text(&registry)];
            let news = rows(self.storage()?, select, &params, |row| News {
                registry: registry.clone(),
                id: whole(row, 0),
                message: text(row, 1),
            })?;
            return Ok(news);
        }
    }

    /// Takes events out of the outbox that were appended, and leaves their stream alone for a while
    /// if others could not be.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn has_told(&mut self, told: &[News], failed: Option<&str>, now: u64) -> Result<(), Error> {
        if let Some(outbox) = &mut self.outbox {
            // What was appended a moment ago says that the stream is there again.
            if let Some(News { registry, .. }) = told.last() {
                outbox.resting.remove(registry);
            }
            if outbox.resting.len() > RESTING {
                outbox.resting.clear();
            }
            if let Some(registry) = failed {
                let rest = outbox.resting.entry(registry.to_owned()).or_default();
                rest.failed(now, LONGEST_REST);
            }
        }
        let Some(last) = told.last() else {
            return Ok(());
        };
        self.storage()?.write(&[Statement {
            sql: "DELETE FROM event WHERE registry = ?1 AND id <= ?2",
            params: vec![Param::Text(&last.registry), time(last.id)],
        }])?;
        if let Some(outbox) = &mut self.outbox {
            let told = u64::try_from(told.len()).unwrap_or(0);
            // Some may have been dropped meanwhile: what seems to be the end is counted anew.
            outbox.known = outbox.known.filter(|(count, _)| *count > told);
            if let Some((count, _)) = &mut outbox.known {
                *count = count.saturating_sub(told);
            }
        }
        Ok(())
    }
}

impl<P: Signs> Shard<P> {
    /// Appends what is in the outbox while questions are answered. There is an alarm from this turn
    /// on, should the machine fail meanwhile.
    pub(super) fn tell_behind(self: &Rc<Self>) {
        match self.look_after_news() {
            Ok(false) => {}
            Ok(true) => {
                self.arm();
                let this = Rc::clone(self);
                self.ports.spawn(async move {
                    if let Err(error) = this.tell().await {
                        this.ports.log(format_args!("{error:?}"));
                    }
                });
            }
            Err(error) => self.ports.log(format_args!("{error:?}")),
        }
    }

    /// Whether there is something in the outbox, from which goes what is too much.
    fn look_after_news(&self) -> Result<bool, Error> {
        let mut records = self.records.borrow_mut();
        if !records.has_news()? {
            return Ok(false);
        }
        let dropped = records.drop_news()?;
        if dropped > 0 {
            self.ports.log(format_args!(
                "{dropped} events for {PATH} were dropped: nobody takes them"
            ));
        }
        Ok(true)
    }

    /// Appends what is in the outbox, as far as that works. Says whether something is left.
    pub(super) async fn tell(&self) -> Result<bool, Error> {
        if !self.records.borrow_mut().has_news()? {
            return Ok(false);
        }
        if self.is_telling.replace(true) {
            return Ok(true);
        }
        let outcome = self.tell_all().await;
        self.is_telling.set(false);
        outcome?;
        self.records.borrow_mut().has_news()
    }

    async fn tell_all(&self) -> Result<(), Error> {
        let (mut after, mut left) = (String::new(), AT_ONCE);
        loop {
            let now = self.ports.now();
            let news = self.records.borrow_mut().next_news(&after, now)?;
            let Some(first) = news.first() else {
                return Ok(());
            };
            let registry = first.registry.clone();
            let mut told = 0;
            let mut failed = None;
            for one in &news {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(1);
                if let Err(why) = self.append(one).await {
                    self.ports
                        .log(format_args!("{registry} is told later: {why}"));
                    failed = Some(&*registry);
                    break;
                }
                told = usize::saturating_add(told, 1);
            }
            let is_failed = failed.is_some();
            let told = news.get(..told).unwrap_or_default();
            let now = self.ports.now();
            self.records.borrow_mut().has_told(told, failed, now)?;
            if left == 0 {
                return Ok(());
            }
            // Of one to which all was appended, there may be more; and there is no way back but the
            // next time.
            if is_failed {
                after = registry;
            }
        }
    }

    async fn append(&self, news: &News) -> Result<(), String> {
        let message = serde_json::from_slice(news.message.as_bytes());
        let message = message.map_err(|error| error.to_string())?;
        let question = say(&Event { message });
        let peer = Peer::Stream(&news.registry);
        match self.ports.ask_in_time(peer, EVENT, question).await {
            Ok((200..=299, _)) => Ok(()),
            Ok((404, _)) => Err("there is no such stream".to_owned()),
            Ok((status, _)) => Err(format!("it answers {status}")),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}
