//! What is kept in memory of a stream's claims, so that they are gone through once and not each
//! time somebody wants to know something of all of them.

use super::asking::Asking;
use super::claims::{self, FIRST_CHECK};
use super::needs::{Extent, Needs, Retired};
use crate::stream::birth::Name;
use crate::stream::storage::{Storage, StorageError};

/// See the module's text. What is not known yet is read when somebody asks.
#[derive(Debug, Default)]
pub(in crate::stream) struct Forks {
    known: Option<Book>,
    /// The last note of retired objects of which forks need all, like all before it.
    pub passed: Option<i64>,
}

/// What is known of all claims.
#[derive(Debug, Default)]
pub(in crate::stream) struct Book {
    pub(super) needs: Needs,
    pub(super) asking: Asking,
}

impl Book {
    /// Whether a fork may read an object that the index has left.
    pub fn needs(&self, object: Retired) -> bool {
        self.needs.include(object)
    }
}

impl Forks {
    /// What is known of all claims, read if need be.
    pub fn book(&mut self, storage: &impl Storage) -> Result<&mut Book, StorageError> {
        let book = match self.known.take() {
            Some(book) => book,
            None => claims::load(storage)?,
        };
        Ok(self.known.insert(book))
    }

    /// Notes the claim of a fork that is about to be made.
    pub fn make(
        &mut self,
        storage: &impl Storage,
        fork: &Name,
        extent: Extent,
        now: u64,
    ) -> Result<(), StorageError> {
        let made = claims::make(storage, fork, extent, now)?;
        if let Some(book) = &mut self.known {
            if let Some(before) = made.before {
                book.needs.remove(before);
            }
            book.needs.add(made.extent, 1);
            book.asking.expect(now.saturating_add(FIRST_CHECK));
        }
        Ok(())
    }

    /// Forgets the claim of a fork.
    pub fn forget(&mut self, storage: &impl Storage, fork: &Name) -> Result<(), StorageError> {
        let Some(extent) = claims::forget(storage, fork)? else {
            return Ok(());
        };
        match &mut self.known {
            Some(book) => {
                book.asking.heard_of(fork);
                if book.needs.remove(extent) {
                    self.passed = None;
                }
            }
            None => self.passed = None,
        }
        Ok(())
    }

    /// Notes that a fork lives, and when it is to be asked again, if it is.
    pub fn settle(
        &mut self,
        storage: &impl Storage,
        fork: &Name,
        again: Option<u64>,
    ) -> Result<(), StorageError> {
        claims::settle(storage, fork, again)?;
        if let Some(book) = &mut self.known {
            book.asking.heard_of(fork);
            if let Some(again) = again {
                book.asking.expect(again);
            }
        }
        Ok(())
    }

    /// Has all forks asked at a time that are not to be asked at all.
    pub fn ask_all(&mut self, storage: &impl Storage, at: u64) -> Result<(), StorageError> {
        claims::ask_all(storage, at)?;
        if let Some(book) = &mut self.known {
            book.asking.expect(at);
        }
        Ok(())
    }

    /// Takes note that [`claims::distrust`] was carried out.
    pub fn distrusted(&mut self, now: u64) {
        if let Some(book) = &mut self.known {
            book.asking = Asking::from(Some(now));
        }
    }

    /// When forks are to be asked whether they live; `None` for never.
    pub fn due(&mut self, storage: &impl Storage) -> Result<Option<u64>, StorageError> {
        Ok(self.book(storage)?.asking.due())
    }

    /// Some of the forks to ask now; none when all were asked.
    pub fn doubtful(
        &mut self,
        storage: &impl Storage,
        now: u64,
    ) -> Result<Vec<Name>, StorageError> {
        self.book(storage)?.asking.next(storage, now)
    }
}
