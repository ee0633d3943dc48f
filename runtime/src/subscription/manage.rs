//! How a subscription comes into being, changes, and ends (sections 6.2 to 6.4).

use super::config::{self, Delivery, MAX_EXPLICIT, Wanted};
use super::core::{Core, Present};
use super::links::{self, Book, Link};
use super::record::{self, Backfill, Farewell, Key, Record};
use crate::protocol::ask::{Call, Life};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::{Statement, Storage};

/// Tells a subscription that is about to be made from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Any number, for its incarnation.
    pub random: u64,
    /// What its tokens are signed with.
    pub key: Key,
    /// How many shards the directory has.
    pub shards: u32,
}

impl<S: Storage> Core<S> {
    /// Creates the subscription, unless it is there. Says whether it did.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Exists`] where there is one with another configuration; those of
    /// `check`, which looks at a new one; [`Error::Storage`], [`Error::Newer`].
    pub fn create(
        &mut self,
        call: &Call,
        wanted: Wanted,
        birth: impl FnOnce() -> Result<Birth, Error>,
        check: impl FnOnce(&config::Config) -> Result<(), Error>,
        now: u64,
    ) -> Result<bool, Error> {
        let (_, known) = self.known()?;
        if let Some(present) = &known.present {
            if present.record.hash != wanted.hash {
                return Err(SubscriptionError::Exists.into());
            }
            self.turn(now, |turn| {
                turn.record.base.clone_from(&call.base);
                Ok(())
            })?;
            return Ok(false);
        }
        check(&wanted.config)?;
        let Birth {
            random,
            key,
            shards,
        } = birth()?;
        let backfill = match wanted.config.delivery {
            Delivery::Copy(_) => Backfill::Feed,
            _ => Backfill::Watch,
        };
        let born = now.max(self.born.saturating_add(1));
        let record = Record {
            config: wanted.config,
            hash: wanted.hash,
            root: call.root.clone(),
            id: call.id.clone(),
            base: call.base.clone(),
            life: Life {
                born,
                incarnation: format!("{born}-{random}"),
            },
            key,
            generation: 0,
            wake: None,
            failing: None,
            shards,
            backfill,
            linked: 0,
            target: None,
            parked: None,
        };
        let named = Link::named();
        let mut book = Book::default();
        let body = record::encode(&record);
        let mut batch = vec![plain(record::CREATE), plain(links::CREATE)];
        for path in &wanted.streams {
            book.change(path, None, Some(&named));
            batch.push(links::put(path, Some(&named)));
        }
        batch.push(record::put(record::ROW_ID, &body));
        self.write(&batch)?;
        let (_, known) = self.known()?;
        known.has_tables = true;
        known.present = Some(Box::new(Present::new(record, book)));
        Ok(true)
    }

    /// Deletes the subscription. What is left is that the directory has to forget it.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn delete(&mut self, own_shard: impl FnOnce(&str, u32) -> u32) -> Result<(), Error> {
        let (_, known) = self.known()?;
        let Some(present) = &known.present else {
            return Ok(());
        };
        let farewell = present.record.farewell(own_shard)?;
        let last = known.farewells.last().map(|(row, _)| *row);
        let row = last.unwrap_or(record::ROW_ID).saturating_add(1);
        let body = record::encode(&farewell);
        let batch = [
            plain(links::DROP),
            record::remove(record::ROW_ID),
            record::put(row, &body),
        ];
        self.write(&batch)?;
        self.sweep_at = None;
        let (_, known) = self.known()?;
        known.present = None;
        known.farewells.push((row, farewell));
        Ok(())
    }

    /// What is left of a subscription of the name that was deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn farewell(&mut self) -> Result<Option<(i64, Farewell)>, Error> {
        let (_, known) = self.known()?;
        Ok(known.farewells.first().cloned())
    }

    /// Takes note that some shards have forgotten it, and perhaps its target.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn forgotten(
        &mut self,
        row: i64,
        life: &Life,
        by: &[u32],
        by_target: bool,
    ) -> Result<(), Error> {
        let (_, known) = self.known()?;
        let mut farewells = known.farewells.iter();
        let farewell = farewells.find(|(at, farewell)| *at == row && farewell.life == *life);
        let Some((_, farewell)) = farewell else {
            return Ok(());
        };
        let mut left = farewell.clone();
        left.shards.retain(|shard| !by.contains(shard));
        if by_target {
            left.target = None;
        }
        if left == *farewell && !left.is_over() {
            return Ok(());
        }
        if left.is_over() {
            self.write(&[record::remove(row)])?;
        } else {
            self.write(&[record::put(row, &record::encode(&left))])?;
        }
        let (_, known) = self.known()?;
        for (_, farewell) in known.farewells.iter_mut().filter(|(at, _)| *at == row) {
            farewell.clone_from(&left);
        }
        known.farewells.retain(|(_, it)| !it.is_over());
        Ok(())
    }

    /// Whether nothing is left in the database but the database itself.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn leaves_nothing(&mut self) -> Result<bool, Error> {
        let (_, known) = self.known()?;
        Ok(known.has_tables && known.present.is_none() && known.farewells.is_empty())
    }

    /// Takes note that the database is gone.
    pub fn freed(&mut self) {
        self.forget();
    }

    /// Links streams that somebody names (section 6.4). Which of them are new has to be found out
    /// by asking them. Gives those that were not named before.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`SubscriptionError::Invalid`], [`Error::Storage`],
    /// [`Error::Newer`].
    pub fn add(&mut self, paths: &[String], now: u64) -> Result<Vec<String>, Error> {
        self.turn(now, |turn| {
            turn.record.config.check_streams(paths)?;
            if let Some(why) = &turn.record.parked {
                let rule = format!("is parked, and copies nothing any more: {why}");
                return Err(SubscriptionError::invalid("the subscription", rule).into());
            }
            let copies = turn.record.config.delivery.copying().is_some();
            let mut added = Vec::new();
            for path in paths {
                let before = turn.link(path)?;
                let after = match &before {
                    Some(link) if link.explicit => continue,
                    // Whom it copies has to know that it was named.
                    Some(link) if !link.is_gone() => Link {
                        explicit: true,
                        tail: link.tail.filter(|_| !copies),
                        ..link.clone()
                    },
                    // Late messages about what is gone are still told from others.
                    Some(gone) => Link {
                        born: gone.born,
                        ..Link::named()
                    },
                    None => Link::named(),
                };
                added.push((path, before, after));
            }
            let more = u64::try_from(added.len()).unwrap_or(u64::MAX);
            if turn.book.explicit.saturating_add(more) > MAX_EXPLICIT {
                return Err(config::too_many().into());
            }
            let mut new = Vec::new();
            for (path, before, after) in added {
                turn.set(path, before.as_ref(), Some(after));
                new.push(path.clone());
            }
            Ok(new)
        })
    }

    /// Takes it back that somebody has named a stream (section 6.4). Where the pattern is about
    /// the stream, it stays linked.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn remove(&mut self, path: &str, now: u64) -> Result<(), Error> {
        self.turn(now, |turn| {
            let before = turn.link(path)?;
            let Some(link) = before.filter(|link| link.explicit) else {
                return Ok(());
            };
            let is_there = link.incarnation.is_some();
            let copies = turn.record.config.delivery.copying().is_some();
            let after = match link.born {
                Some(_) if is_there && turn.matches(path) => Some(Link {
                    explicit: false,
                    tail: link.tail.filter(|_| !copies),
                    ..link.clone()
                }),
                Some(born) if !is_there && turn.matches(path) => Some(Link::gone(born, turn.now)),
                _ => None,
            };
            turn.set(path, Some(&link), after);
            Ok(())
        })
    }

    /// Has the wake that nobody could be told of told of at once.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn retry(&mut self, now: u64) -> Result<(), Error> {
        self.turn(now, |turn| {
            turn.record.config.requires_wakes()?;
            turn.record.retry(now);
            Ok(())
        })
    }
}

impl Record {
    /// What is left of it when it is deleted.
    fn farewell(&self, own_shard: impl FnOnce(&str, u32) -> u32) -> Result<Farewell, Error> {
        let copying = self.config.delivery.copying();
        let target = copying.map(|copying| self.root.stream(&copying.target));
        Ok(Farewell {
            name: self.name(),
            life: self.life.clone(),
            // The directory hears of a subscription after its target.
            shards: match self.backfill {
                Backfill::Feed => Vec::new(),
                _ => self.watched(own_shard),
            },
            target: target.transpose()?,
        })
    }

    /// The shards of the directory that are to know of it: with a pattern all, as streams that match
    /// may be in any.
    pub fn watched(&self, own_shard: impl FnOnce(&str, u32) -> u32) -> Vec<u32> {
        match self.config.pattern {
            Some(_) => (0..self.shards).collect(),
            None => vec![own_shard(&self.name(), self.shards)],
        }
    }
}

fn plain(sql: &str) -> Statement<'_> {
    Statement {
        sql,
        params: Vec::new(),
    }
}
