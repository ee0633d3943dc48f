//! DELETE (section 5.4).

use super::purge::Farewell;
use super::storage::{Statement, Storage};
use super::{Cache, Stream, birth};
use crate::protocol::error::Error;

impl<S: Storage> Stream<S> {
    /// Deletes the stream with all its data.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn delete(&mut self, now: u64) -> Result<(), Error> {
        self.turn(|stream| {
            stream.present(now)?;
            stream.remove(now)
        })
    }

    /// Removes what is there, if anything is.
    pub(super) fn remove(&mut self, now: u64) -> Result<(), Error> {
        match &self.cache {
            Cache::Present(present) => {
                let farewell = Farewell::new(&self.storage, present, now)?;
                self.storage.write(&farewell.statements())?;
            }
            _ => self.storage.write(&[Statement {
                sql: birth::DROP,
                params: Vec::new(),
            }])?,
        }
        self.cache = Cache::Absent;
        Ok(())
    }
}
