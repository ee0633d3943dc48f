//! DELETE, and how a stream ends (sections 4.2 and 5.4).

use crate::protocol::error::Error;
use crate::stream::Cache;
use crate::stream::Stream;
use crate::stream::birth::{self, Origin};
use crate::stream::copied;
use crate::stream::family::claims;
use crate::stream::farewell::Noted;
use crate::stream::state::{self, State};
use crate::stream::storage::{Statement, Storage};
use crate::stream::tier::purge::Removal;
use crate::stream::tier::sweep::Abandoned;

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It has forks, which go on. Nobody else sees it any more.
    Kept,
    /// Nothing of it is left.
    Gone(Option<Ended>),
}

/// What was left to do when a fork ended: its source can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the fork was called.
    pub name: birth::Name,
    /// Where it came from.
    pub origin: Origin,
}

impl<S: Storage> Stream<S> {
    /// Deletes the stream with all its data, or, when it has forks, keeps it for them alone.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Gone`], [`Error::Storage`].
    pub fn delete(&mut self, now: u64) -> Result<End, Error> {
        self.turn(|stream| {
            stream.present(now)?;
            stream.end(now)
        })
    }

    /// Ends what is there, if anything is.
    pub(in crate::stream) fn end(&mut self, now: u64) -> Result<End, Error> {
        if !claims::any(&self.storage)? {
            return self.remove(now);
        }
        let parting = match &self.cache {
            Cache::Present(present) => self.parting(present),
            _ => None,
        };
        let is_target = self.is_target();
        if let Cache::Present(present) = &mut self.cache {
            let state = State {
                deleted: true,
                ..present.state.clone()
            };
            let record = state.encode();
            let abandoned = Abandoned::new(&self.storage, present, now)?;
            let mut batch = vec![state::put(state::ROW_ID, &record), claims::distrust(now)];
            batch.extend(abandoned.statements());
            batch.extend(parting.iter().flat_map(Noted::statements));
            if is_target {
                batch.push(copied::delete_all());
            }
            self.storage.write(&batch)?;
            drop(batch);
            present.state = state;
            present.feeders = None;
            present.forks.distrusted(now);
        }
        self.parted(parting);
        Ok(End::Kept)
    }

    /// Removes what is there, if anything is.
    pub(in crate::stream) fn remove(&mut self, now: u64) -> Result<End, Error> {
        let mut ended = None;
        let mut parting = None;
        match &self.cache {
            Cache::Present(present) => {
                let removal = Removal::new(&self.storage, present, now)?;
                parting = self.parting(present);
                let mut batch = removal.statements();
                batch.extend(parting.iter().flat_map(Noted::statements));
                self.storage.write(&batch)?;
                let birth = &present.birth;
                ended = birth.origin.clone().map(|origin| Ended {
                    name: birth.name.clone(),
                    origin,
                });
            }
            _ => self.storage.write(&[Statement {
                sql: birth::DROP,
                params: Vec::new(),
            }])?,
        }
        self.parted(parting);
        self.cache = Cache::Absent;
        Ok(End::Gone(ended))
    }
}
