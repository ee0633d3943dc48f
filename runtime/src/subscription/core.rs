//! A subscription over its database, apart from all I/O. A verb reads what it needs, decides, and
//! commits in one batch: what is refused leaves nothing behind, and a crash finds a verb whole or not
//! at all. Before a verb and after it, what is over is let go, and whoever has to be woken is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::links::{self, Book, Link};
use super::record::{self, Farewell, Record};
use crate::protocol::error::Error;
use crate::protocol::glob::Glob;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::{Statement, Storage, StorageError};

/// A subscription, which may not exist (yet). All times are in milliseconds since the Unix epoch.
#[derive(Debug)]
pub struct Core<S> {
    pub(super) storage: S,
    known: Option<Known>,
    /// The wake that somebody is being told of right now.
    pub(super) telling: Option<Telling>,
    /// When the youngest subscription of the name was born.
    pub(super) born: u64,
    /// When rows that linger are looked at.
    pub(super) sweep_at: Option<u64>,
}

/// What tells wakes apart: the subscription's incarnation, and the generation.
pub(super) type Telling = (String, u64);

/// What is known of the database's content.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether there is anything in the database at all.
    pub has_tables: bool,
    pub present: Option<Box<Present>>,
    /// What is left of those that had the name, by row.
    pub farewells: Vec<(i64, Farewell)>,
}

/// A subscription that exists.
#[derive(Debug)]
pub(super) struct Present {
    pub record: Record,
    glob: Option<Glob>,
    pub book: Book,
}

impl Present {
    pub fn new(record: Record, book: Book) -> Self {
        let pattern = record.config.pattern.as_deref();
        Self {
            glob: pattern.and_then(|pattern| Glob::parse(pattern).ok()),
            record,
            book,
        }
    }

    /// Whether the pattern is about a path.
    pub fn matches(&self, path: &str) -> bool {
        self.glob.as_ref().is_some_and(|glob| glob.matches(path))
    }

    /// What all paths start with that the pattern is about.
    pub fn prefix(&self) -> String {
        let prefix = self.glob.as_ref().map(Glob::literal_prefix);
        prefix.unwrap_or_default()
    }

    /// What tells its present wake from others.
    pub fn telling(&self) -> Telling {
        (self.record.life.incarnation.clone(), self.record.generation)
    }
}

/// What a verb sees and changes.
#[derive(Debug)]
pub(super) struct Turn<'a, S> {
    pub storage: &'a S,
    pub record: &'a mut Record,
    pub book: &'a mut Book,
    pub now: u64,
    glob: Option<&'a Glob>,
    pub is_busy: bool,
    changed: BTreeMap<String, Option<Link>>,
}

impl<S: Storage> Core<S> {
    /// The subscription in `storage`. Nothing is read before the first verb.
    pub fn new(storage: S) -> Self {
        Self {
            storage,
            known: None,
            telling: None,
            born: 0,
            sweep_at: None,
        }
    }

    /// Where it lies.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// What storage knows, read if need be.
    pub(super) fn known(&mut self) -> Result<(&S, &mut Known), Error> {
        let known = match self.known.take() {
            Some(known) => known,
            None => load(&self.storage)?,
        };
        let lives = known.farewells.iter().map(|(_, farewell)| &farewell.life);
        let present = known.present.as_ref();
        let lives = lives.chain(present.map(|present| &present.record.life));
        self.born = lives.map(|life| life.born).fold(self.born, u64::max);
        Ok((&self.storage, self.known.insert(known)))
    }

    /// The subscription.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub(super) fn present(&mut self) -> Result<(&S, &mut Present), Error> {
        let (storage, known) = self.known()?;
        let present = known.present.as_mut();
        let present = present.ok_or(SubscriptionError::NotFound)?;
        Ok((storage, present))
    }

    /// Writes what is no verb's, such as the subscription itself.
    pub(super) fn write(&mut self, batch: &[Statement]) -> Result<(), Error> {
        self.storage.write(batch).map_err(|error| {
            self.forget();
            error.into()
        })
    }

    /// Forgets what is known: it is read anew when it is needed.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Runs a verb of a subscription that exists.
    ///
    /// # Errors
    ///
    /// Those of the verb, which has changed nothing then; [`SubscriptionError::NotFound`],
    /// [`Error::Storage`], [`Error::Newer`].
    pub(super) fn turn<T>(
        &mut self,
        now: u64,
        verb: impl FnOnce(&mut Turn<'_, S>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // What is over is over also for a verb that is refused.
        self.step(now, |_| Ok(()))?;
        self.step(now, verb)
    }

    fn step<T>(
        &mut self,
        now: u64,
        verb: impl FnOnce(&mut Turn<'_, S>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let telling = self.telling.take();
        let mut is_spoilt = false;
        let outcome = self.present().and_then(|(storage, present)| {
            let is_busy = telling.as_ref() == Some(&present.telling());
            let before = present.record.clone();
            let mut turn = Turn {
                storage,
                record: &mut present.record,
                book: &mut present.book,
                now,
                glob: present.glob.as_ref(),
                is_busy,
                changed: BTreeMap::new(),
            };
            let outcome = verb(&mut turn).and_then(|value| {
                turn.settle()?;
                Ok(value)
            });
            let changed = turn.changed;
            match outcome {
                Ok(value) => {
                    commit(storage, &before, &present.record, &changed)?;
                    Ok(value)
                }
                Err(error) => {
                    present.record = before;
                    is_spoilt = !changed.is_empty();
                    Err(error)
                }
            }
        });
        self.telling = telling;
        // What was counted in vain is counted anew.
        if is_spoilt || matches!(outcome, Err(Error::Storage(_) | Error::Newer(_))) {
            self.forget();
        }
        outcome
    }
}

fn commit(
    storage: &impl Storage,
    before: &Record,
    record: &Record,
    changed: &BTreeMap<String, Option<Link>>,
) -> Result<(), StorageError> {
    let body = (before != record).then(|| record::encode(record));
    let links = changed.iter();
    let links = links.map(|(path, link)| links::put(path, link.as_ref()));
    let record = body.as_ref().map(|body| record::put(record::ROW_ID, body));
    let batch: Vec<Statement> = links.chain(record).collect();
    match batch.is_empty() {
        true => Ok(()),
        false => storage.write(&batch),
    }
}

fn load(storage: &impl Storage) -> Result<Known, StorageError> {
    let mut known = Known::default();
    storage.query(record::FIND, &[], &mut |_| {
        known.has_tables = true;
        ControlFlow::Break(())
    })?;
    if !known.has_tables {
        return Ok(known);
    }
    let mut rows = Vec::new();
    storage.query(record::SELECT, &[], &mut |row| {
        rows.push((row.integer(0), row.blob(1).to_vec()));
        ControlFlow::Continue(())
    })?;
    for (id, body) in rows {
        if id == record::ROW_ID {
            let record = record::decode(&body)?;
            let book = Book::load(storage)?;
            known.present = Some(Box::new(Present::new(record, book)));
        } else {
            known.farewells.push((id, record::decode(&body)?));
        }
    }
    Ok(known)
}

impl<S: Storage> Turn<'_, S> {
    /// The link of a path, also one that only lingers.
    pub fn link(&self, path: &str) -> Result<Option<Link>, Error> {
        match self.changed.get(path) {
            Some(link) => Ok(link.clone()),
            None => Ok(links::get(self.storage, path)?),
        }
    }

    /// Makes another link of one.
    pub fn set(&mut self, path: &str, before: Option<&Link>, after: Option<Link>) {
        self.book.change(path, before, after.as_ref());
        self.changed.insert(path.to_owned(), after);
    }

    /// Whether the pattern is about a path.
    pub fn matches(&self, path: &str) -> bool {
        self.glob.is_some_and(|glob| glob.matches(path))
    }

    /// Lets go of a wake that is over, and starts one if somebody has to be woken.
    pub fn settle(&mut self) -> Result<(), Error> {
        let has_pending = self.book.pending > 0;
        if self.record.is_over(has_pending, self.is_busy, self.now) {
            self.record.rest();
        }
        if self.record.wake.is_none() && has_pending {
            // What was changed in this turn is not in the database yet, but in the book.
            let some = self.book.pending(self.storage, 1)?;
            let path = some.into_iter().next().unwrap_or_default();
            self.record.rouse(path, self.now);
        }
        Ok(())
    }
}
