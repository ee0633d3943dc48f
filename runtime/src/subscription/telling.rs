//! Telling somebody of a wake: what is sent, and what becomes of the wake by what comes back
//! (sections 7.1 and 7.2).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::config::Delivery;
use super::copy::Copying;
use super::core::{Core, Present};
use super::links::{self, Link};
use super::record::{Record, Stage};
use super::token;
use crate::protocol::ask::Life;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::path;
use crate::protocol::root::Root;
#[cfg(doc)]
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// So many streams are told of at the most.
pub const MOST_STREAMS: usize = 1000;

/// Somebody is to be told of a wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What the subscription is called below its root.
    pub id: String,
    /// Of which subscription.
    pub life: Life,
    /// Which wake.
    pub generation: u64,
    /// How often it has failed before.
    pub failures: u32,
    /// Whether nobody was told of this wake before.
    pub is_first: bool,
    /// How much was pending, in positions.
    pub lag: u64,
    /// Who, and how.
    pub delivery: Delivery,
    /// How long a lease lasts, in milliseconds.
    pub lease_ttl: u64,
}

/// What a receiver is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The body of the request.
    pub body: String,
    /// The streams that it is about, with their tails and what tells them from others.
    pub sent: Vec<Sent>,
}

/// A stream in a [`Parcel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    path: String,
    tail: u64,
    incarnation: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has done all that it was sent.
    Done(Vec<Sent>),
    /// The receiver has it since this time, and will say when it is done.
    Accepted {
        /// In milliseconds since the Unix epoch.
        since: u64,
    },
    /// Workers can read of it.
    Announced,
    /// Nobody was told, or nobody knows; the text says why.
    Failed(String),
}

impl<S: Storage> Core<S> {
    /// Whom to tell now, if anybody. Until [`finish`](Self::finish) there is nobody else.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn begin(&mut self, now: u64) -> Result<Option<Job>, Error> {
        let telling = self.telling.take();
        let (_, known) = self.known()?;
        let present = known.present.as_deref();
        let is_new = |present: &&Present| telling.as_ref() != Some(&present.telling());
        let due = present.filter(|p| matches!(wake_at(&p.record), Some(at) if at <= now));
        let Some(present) = due.filter(is_new) else {
            self.telling = telling;
            return Ok(None);
        };
        let record = &present.record;
        let job = Job {
            id: record.id.clone(),
            life: record.life.clone(),
            generation: record.generation,
            failures: record.failing.as_ref().map_or(0, |f| f.attempts),
            is_first: record.failing.is_none()
                && record.wake.as_ref().is_some_and(|wake| wake.told == 0),
            lag: present.book.lag,
            delivery: record.config.delivery.clone(),
            lease_ttl: record.config.lease_ttl_ms,
        };
        self.telling = Some(present.telling());
        Ok(Some(job))
    }

    /// What the receiver is sent, with the tails of now; nothing when the wake is over.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn parcel(&mut self, job: &Job, now: u64) -> Result<Option<Parcel>, Error> {
        let Ok((storage, present)) = self.current(job) else {
            return Ok(None);
        };
        let (entries, is_all) = entries(storage, present)?;
        let record = &present.record;
        let name = record.name();
        let mut body = json!({
            "subscription_id": record.id,
            "wake_id": record.wake_id(),
            "generation": record.generation,
            "streams": shown(&entries),
            "callback_url": record.callback_url(),
            "callback_token": token::make(&record.key, &name, record.generation, now),
        });
        if let (false, Some(body)) = (is_all, body.as_object_mut()) {
            body.insert("streams_truncated".to_owned(), true.into());
        }
        let sent = entries.into_iter().map(|(path, link)| Sent {
            path,
            tail: link.tail.unwrap_or(0),
            incarnation: link.incarnation,
        });
        Ok(Some(Parcel {
            body: body.to_string(),
            sent: sent.collect(),
        }))
    }

    /// What workers are to read, and the path of the stream in which; nothing when the wake is over.
    pub fn event(&mut self, job: &Job, now: u64) -> Option<Value> {
        let (_, present) = self.current(job).ok()?;
        let record = &present.record;
        Some(json!({
            "type": "wake",
            "subscription_id": record.id,
            "stream": record.wake.as_ref().map(|wake| &wake.path),
            "generation": record.generation,
            "ts": now,
        }))
    }

    /// The subscription, if the wake is still due.
    fn current(&mut self, job: &Job) -> Result<(&S, &mut Present), Error> {
        let (storage, present) = self.present()?;
        let record = &present.record;
        match is_of(record, job) && wake_at(record).is_some() {
            true => Ok((storage, present)),
            false => Err(Error::NotFound),
        }
    }

    /// When somebody is told of the same wake again.
    pub fn next_attempt(&mut self, job: &Job) -> Option<u64> {
        let (_, present) = self.current(job).ok()?;
        wake_at(&present.record)
    }

    /// The root that the subscription is of.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn root(&mut self) -> Result<Root, Error> {
        Ok(self.present()?.1.record.root.clone())
    }

    /// Which of its name it is.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn life(&mut self) -> Result<Life, Error> {
        Ok(self.present()?.1.record.life.clone())
    }

    /// What it copies, if it does.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn copying(&mut self) -> Result<Option<Copying>, Error> {
        Ok(self.present()?.1.record.config.delivery.copying().cloned())
    }

    /// Whether it has a receiver of webhooks.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn is_webhook(&mut self) -> Result<bool, Error> {
        Ok(self.present()?.1.record.is_webhook())
    }

    /// Takes note of what came of it.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn finish(
        &mut self,
        job: &Job,
        outcome: Outcome,
        park_after: u64,
        random: u64,
        now: u64,
    ) -> Result<(), Error> {
        let telling = (job.life.incarnation.clone(), job.generation);
        let finished = self.turn(now, |turn| {
            if turn.is_of(job) {
                match outcome {
                    Outcome::Done(sent) => {
                        for sent in sent {
                            turn.done(&sent)?;
                        }
                        turn.record.rest();
                    }
                    // A receiver that has called back meanwhile has it already.
                    _ if wake_at(turn.record).is_none() => {}
                    Outcome::Accepted { since } => turn.record.hold(None, since),
                    Outcome::Announced => turn.record.announced(now),
                    Outcome::Failed(error) => {
                        turn.record.failed(&error, park_after, random, now);
                    }
                }
            }
            turn.is_busy = turn.is_busy && !turn.is_of(job);
            Ok(())
        });
        if self.telling.as_ref() == Some(&telling) {
            self.telling = None;
        }
        match finished {
            Err(Error::Subscription(_)) => Ok(()),
            finished => finished,
        }
    }
}

impl<S: Storage> super::core::Turn<'_, S> {
    /// Whether the present wake is the one that a job is about.
    fn is_of(&self, job: &Job) -> bool {
        is_of(self.record, job)
    }

    /// Acknowledges what a receiver was sent of a stream, if that is still the same.
    fn done(&mut self, sent: &Sent) -> Result<(), Error> {
        let Some(before) = self.link(&sent.path)? else {
            return Ok(());
        };
        let tail = before.tail.unwrap_or(0);
        let acked = sent.tail.min(tail).max(before.acked);
        if before.incarnation == sent.incarnation && acked > before.acked && !before.is_gone() {
            let after = Link {
                acked,
                ..before.clone()
            };
            self.set(&sent.path, Some(&before), Some(after));
        }
        Ok(())
    }
}

impl Record {
    /// Where receivers say what they have done.
    fn callback_url(&self) -> String {
        let id = path::encoded(&self.id);
        format!(
            "{}/{}/subscriptions/{id}/callback",
            self.base,
            path::RESERVED
        )
    }
}

fn is_of(record: &Record, job: &Job) -> bool {
    record.life == job.life && record.generation == job.generation && record.wake.is_some()
}

/// When somebody is to be told of the present wake.
fn wake_at(record: &Record) -> Option<u64> {
    match record.wake.as_ref()?.stage {
        Stage::Due { at } => Some(at),
        Stage::Held { .. } | Stage::Parked => None,
    }
}

/// A link and its path.
pub(super) type Entry = (String, Link);

/// Links as whoever is woken gets them: those with something pending first, and the others where
/// there are not too many. Says whether these are all.
///
/// # Errors
///
/// [`Error::Storage`].
pub(super) fn entries<S: Storage>(
    storage: &S,
    present: &mut Present,
) -> Result<(Vec<Entry>, bool), Error> {
    let mut entries = Vec::new();
    let mut pending = BTreeSet::new();
    for path in present.book.pending(storage, MOST_STREAMS)? {
        if let Some(link) = links::get(storage, &path)? {
            entries.push((path.clone(), link));
            pending.insert(path);
        }
    }
    // Rows that only linger would be gone through, too.
    let rows = present.book.links.saturating_add(present.book.gone);
    if usize::try_from(rows).is_ok_and(|rows| rows <= MOST_STREAMS) {
        let others = links::page(storage, "", MOST_STREAMS)?.into_iter();
        entries.extend(others.filter(|(path, link)| !link.is_gone() && !pending.contains(path)));
    }
    let is_all = u64::try_from(entries.len()) == Ok(present.book.links);
    Ok((entries, is_all))
}

/// Links as they are shown.
pub(super) fn shown(entries: &[Entry]) -> Vec<Value> {
    let shown = entries.iter().map(|(path, link)| {
        json!({
            "path": path,
            "link_type": link.kind(),
            "acked_offset": offset(link.acked),
            "tail_offset": offset(link.tail.unwrap_or(0)),
            "has_pending": link.lag() > 0,
        })
    });
    shown.collect()
}

/// A position as clients know it.
pub(super) fn offset(position: u64) -> String {
    Offset::new(position).unwrap_or(Offset::MAX).to_string()
}
