//! How a subscription finds the streams that are there already (section 6.2): the directory hears of
//! it first, and the target of copies before, then the streams that were named are asked for their
//! tails, then those in the directory.
//! So each stream is found by it, or finds it. Each step is noted before the next one, and may be
//! done twice.

use super::core::Core;
use super::describe::is_complete;
use super::links;
use super::record::{Backfill, Record};
use super::sources::refused;
use crate::protocol::ask::{Entry, Fed, Life, List, Listed, OfSubscription, Tail, Watch};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// So many streams are looked at in a step.
pub const BATCH: usize = 200;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The stream of this name has to be made the target of copies.
    Feed(String, OfSubscription),
    /// These shards of the directory have to hear of the subscription.
    Watch(Vec<u32>, Watch),
    /// These streams, if any, have to be asked for their tails.
    Place(Vec<String>),
    /// This shard has to be asked for streams.
    List(u32, List),
}

impl<S: Storage> Core<S> {
    /// What to do next, and for which subscription; nothing when all is done.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn next_step(
        &mut self,
        own_shard: impl FnOnce(&str, u32) -> u32,
    ) -> Result<Option<(Life, Step)>, Error> {
        if !self.has_steps()? {
            return Ok(None);
        }
        let (storage, present) = self.present()?;
        let record = &present.record;
        let step = match &record.backfill {
            Backfill::Feed => {
                let (name, feed) = record.feeding()?;
                Step::Feed(name, feed)
            }
            Backfill::Watch => Step::Watch(
                record.watched(own_shard),
                Watch {
                    subscription: record.name(),
                    life: record.life.clone(),
                    root: record.root.clone(),
                    pattern: record.config.pattern.clone(),
                },
            ),
            _ if present.book.unplaced > 0 => Step::Place(links::unplaced(storage, BATCH)?),
            Backfill::List { shard, after } => Step::List(
                *shard,
                List {
                    root: record.root.clone(),
                    prefix: present.prefix(),
                    after: after.clone(),
                    limit: BATCH,
                },
            ),
            // Those that were left may have been removed.
            Backfill::Place => Step::Place(Vec::new()),
            Backfill::Complete => return Ok(None),
        };
        Ok(Some((record.life.clone(), step)))
    }

    /// Whether there is anything to do.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn has_steps(&mut self) -> Result<bool, Error> {
        let (_, known) = self.known()?;
        let present = known.present.as_ref();
        Ok(present.is_some_and(|present| {
            let record = &present.record;
            record.parked.is_none() && !is_complete(record, present.book.unplaced)
        }))
    }

    /// Whether streams that were named have not been asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn has_unplaced(&mut self) -> Result<bool, Error> {
        let (_, known) = self.known()?;
        Ok(known.present.as_ref().is_some_and(|p| p.book.unplaced > 0))
    }

    /// Takes note of what the target of copies answers. Says why it cannot be the target, if so.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn fed(
        &mut self,
        life: &Life,
        fed: &Fed,
        now: u64,
    ) -> Result<Option<SubscriptionError>, Error> {
        let mut refusal = None;
        self.of(life, now, |turn| {
            if turn.record.backfill != Backfill::Feed {
                return Ok(());
            }
            match turn.record.take_target(fed) {
                Ok(()) => turn.record.backfill = Backfill::Watch,
                Err(error) => refusal = Some(error),
            }
            Ok(())
        })?;
        Ok(refusal)
    }

    /// Takes note that the directory has heard of it.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn watched(&mut self, life: &Life, now: u64) -> Result<(), Error> {
        self.of(life, now, |turn| {
            if turn.record.backfill == Backfill::Watch {
                let copies = turn.record.config.delivery.copying().is_some();
                turn.record.backfill = match copies && turn.book.unplaced > 0 {
                    true => Backfill::Place,
                    false => turn.record.behind_places(),
                };
            }
            Ok(())
        })
    }

    /// Takes note of what streams answer that were named. Says why one cannot be copied with which
    /// the subscription was created.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn placed(
        &mut self,
        life: &Life,
        tails: &[(String, Tail)],
        now: u64,
    ) -> Result<Option<SubscriptionError>, Error> {
        let mut refusal = None;
        self.of(life, now, |turn| {
            for (path, tail) in tails {
                turn.hear_tail(path, tail)?;
            }
            if turn.record.backfill != Backfill::Place {
                return Ok(());
            }
            for (path, _) in tails {
                let link = turn.link(path)?.filter(|link| link.explicit);
                let error = link.and_then(|link| refused(turn.record, path, &link));
                refusal = refusal.take().or(error);
            }
            if turn.book.unplaced == 0 {
                turn.record.backfill = turn.record.behind_places();
            }
            Ok(())
        })?;
        Ok(refusal)
    }

    /// Those of the streams in the directory that have to be asked for their tails.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn wanted(&mut self, listed: &[Entry]) -> Result<Vec<String>, Error> {
        let (storage, present) = self.present()?;
        let mut wanted = Vec::new();
        for entry in listed {
            let is_own = present.record.config.is_own(&entry.path);
            if is_own || !present.matches(&entry.path) {
                continue;
            }
            let link = links::get(storage, &entry.path)?;
            if !link.is_some_and(|link| link.is_to(&entry.life)) {
                wanted.push(entry.path.clone());
            }
        }
        Ok(wanted)
    }

    /// Takes note of what streams in the directory answer, and goes on behind the last of them.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn listed(
        &mut self,
        life: &Life,
        step: (u32, &List),
        listed: &Listed,
        tails: &[(String, Tail)],
        now: u64,
    ) -> Result<(), Error> {
        let (shard, list) = step;
        self.of(life, now, |turn| {
            let asked = Backfill::List {
                shard,
                after: list.after.clone(),
            };
            if turn.record.backfill != asked {
                return Ok(());
            }
            let before = turn.book.links;
            for (path, tail) in tails.iter().filter(|(_, tail)| tail.life.is_some()) {
                turn.hear_tail(path, tail)?;
            }
            let more = turn.book.links.saturating_sub(before);
            turn.record.linked = turn.record.linked.saturating_add(more);
            let next = shard.saturating_add(1);
            let last = listed.streams.last();
            turn.record.backfill = match last.filter(|_| listed.streams.len() >= list.limit) {
                Some(last) => Backfill::List {
                    shard,
                    after: Some(last.path.clone()),
                },
                None if next < turn.record.shards => Backfill::List {
                    shard: next,
                    after: None,
                },
                None => Backfill::Complete,
            };
            Ok(())
        })
    }

    /// Runs a verb, unless there is another subscription meanwhile, or none.
    pub(super) fn of(
        &mut self,
        life: &Life,
        now: u64,
        verb: impl FnOnce(&mut super::core::Turn<'_, S>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outcome = self.turn(now, |turn| match turn.record.life == *life {
            true => verb(turn),
            false => Ok(()),
        });
        match outcome {
            Err(Error::Subscription(_)) => Ok(()),
            outcome => outcome,
        }
    }
}

impl Record {
    /// What comes when the streams that were named are asked.
    fn behind_places(&self) -> Backfill {
        match self.config.pattern {
            Some(_) => Backfill::List {
                shard: 0,
                after: None,
            },
            None => Backfill::Complete,
        }
    }
}
