//! Whether the [directory](crate::directory) knows the stream. That it is to be told is noted before
//! it is: with the birth of a stream, or in the [state record](super::state) of one that was made when
//! there was no directory. Whatever may be in the directory leaves a [farewell](super::farewell).
//!
//! That it knows is not worth a row: an object that came into memory since asks once more, when its
//! alarm says that something was to be done, and notes the answer then.

use super::links::Link;
use super::state::{self, State};
use super::storage::Storage;
use super::{Cache, Stream};
use crate::protocol::ask::{Life, Register};
use crate::protocol::error::Error;

/// What is known of whether the directory knows the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// There is no stream, or it is not loaded.
    Absent,
    /// It does not need to, until somebody uses the stream.
    Unlisted,
    /// It is to be told, and was perhaps.
    Unsure,
    /// It knows.
    Registered,
}

impl<S: Storage> Stream<S> {
    /// The same stream, of which the directory is told when it is created.
    #[must_use]
    pub fn listing(self) -> Self {
        Self {
            lists: true,
            ..self
        }
    }

    /// What is known. Nothing is read.
    pub fn listed(&self) -> Listing {
        let present = match &self.cache {
            Cache::Present(present) if !present.state.deleted => present,
            _ => return Listing::Absent,
        };
        let is_listed = present.birth.listed || present.state.listed.is_some();
        match present.state.registered {
            Some(true) if is_listed => Listing::Registered,
            None if is_listed => Listing::Unsure,
            _ => Listing::Unlisted,
        }
    }

    /// Notes that the directory is to be told of the stream, if it does not need to so far, and that
    /// the last so many positions are news to whoever waits for it. Says whether there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn enlist(&mut self, news: u64, now: u64) -> Result<bool, Error> {
        self.turn(|stream| {
            let Some((storage, _, present)) = stream.if_present(now)? else {
                return Ok(false);
            };
            let tail = present.tail.offset.position();
            let listed = present.state.listed.unwrap_or(tail.saturating_sub(news));
            let is_listed = present.birth.listed || present.state.listed.is_some();
            if is_listed && present.state.registered != Some(false) {
                return Ok(true);
            }
            let state = State {
                listed: (!present.birth.listed).then_some(listed),
                registered: None,
                ..present.state.clone()
            };
            storage.write(&[state::put(state::ROW_ID, &state.encode())])?;
            present.state = state;
            Ok(true)
        })
    }

    /// Notes that the directory does not need to be told until somebody uses the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn postpone(&mut self, now: u64) -> Result<(), Error> {
        self.note_registered(false, true, now)
    }

    /// What the directory is to be told; nothing if there is no stream.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn registration(&mut self, now: u64) -> Result<Option<Register>, Error> {
        self.turn(|stream| {
            let present = stream.if_present(now)?;
            Ok(present.map(|(_, _, present)| Register {
                name: present.birth.name.path.clone(),
                life: present.life(),
                content_type: present.birth.content_type.as_str().to_owned(),
            }))
        })
    }

    /// The directory knows the stream of that life, and these subscriptions want to be told of it.
    /// It is noted in storage if it `is_worth` a row. Gives the links that are new.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn registered(
        &mut self,
        life: &Life,
        subscriptions: &[String],
        is_worth: bool,
        now: u64,
    ) -> Result<Vec<Link>, Error> {
        let links = self.turn(|stream| {
            let since = match stream.if_present(now)? {
                Some((_, _, present)) if present.life() == *life => {
                    present.state.listed.unwrap_or(present.start())
                }
                // Whoever is there now registers by itself.
                _ => return Ok(None),
            };
            Ok(Some(stream.link_all(subscriptions, since)?))
        })?;
        let Some(links) = links else {
            return Ok(Vec::new());
        };
        self.note_registered(true, is_worth, now)?;
        Ok(links)
    }

    fn note_registered(&mut self, is: bool, is_worth: bool, now: u64) -> Result<(), Error> {
        self.turn(|stream| {
            let Some((storage, _, present)) = stream.if_present(now)? else {
                return Ok(());
            };
            let state = State {
                registered: Some(is),
                ..present.state.clone()
            };
            if is_worth && state != present.state {
                storage.write(&[state::put(state::ROW_ID, &state.encode())])?;
            }
            present.state = state;
            Ok(())
        })
    }
}
