//! A stream's will: when nobody has appended for as long as it says, its content is appended and the
//! stream is closed, in one batch.
//!
//! What is to happen is in the birth record. When the stream was last appended to is in the row that
//! the append has written, in a column `at` that only tables of streams with a will have: so it costs no
//! row, and is known after a crash as it was before. It stands there with the tail that the append has led to,
//! because an earlier release appends without it; what does not belong to the tail counts for nothing.
//! Where no row has it, as all were moved or dropped, the state record does.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::birth::Birth;
use super::log::chunk::Plan;
use super::state::{self, State};
use super::storage::{Storage, StorageError};
use super::verbs::append::Body;
use super::{Cache, Present, Stream};
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Appended;
use crate::protocol::will::Will;

/// Finds what the last row says.
const SELECT: &str = "SELECT at FROM stream WHERE id >= 0 ORDER BY id DESC LIMIT 1";

/// When the stream was last appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The tail then, as a position.
    pub tail: u64,
    /// The time, in milliseconds since the Unix epoch.
    pub at: u64,
}

impl Mark {
    /// The mark of an append that has led to a tail.
    pub fn new(tail: Offset, at: u64) -> Self {
        let tail = tail.position();
        Self { tail, at }
    }

    /// The mark as a row has it.
    pub fn encode(self) -> String {
        format!("{}@{}", self.tail, self.at)
    }

    fn decode(text: &str) -> Option<Self> {
        let (tail, at) = text.split_once('@')?;
        Some(Self {
            tail: tail.parse().ok()?,
            at: at.parse().ok()?,
        })
    }
}

/// What is known of the silence that a will waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) enum Silence {
    /// Since then.
    Since(u64),
    /// Nobody knows since when.
    Unknown,
}

impl Silence {
    /// As storage knows it, of a stream that ends at `tail`; nothing of one without a will.
    pub fn load(
        storage: &impl Storage,
        birth: &Birth,
        state: &State,
        tail: Offset,
    ) -> Result<Option<Self>, StorageError> {
        if birth.will.is_none() || state.closed {
            return Ok(None);
        }
        let mut row = None;
        storage.query(SELECT, &[], &mut |found| {
            row = found.text(0).and_then(Mark::decode);
            ControlFlow::Break(())
        })?;
        let born = Mark::new(birth.will_from, birth.created_at);
        let marks = [row, state.quiet, Some(born)].into_iter().flatten();
        let last = marks
            .filter(|mark| mark.tail == tail.position())
            .map(|mark| mark.at);
        Ok(Some(last.max().map_or(Self::Unknown, Self::Since)))
    }

    /// The time of an append that comes now: no earlier than that of the one before.
    pub fn ended(self, now: u64) -> u64 {
        match self {
            Self::Since(at) => at.max(now),
            Self::Unknown => now,
        }
    }
}

impl Present {
    /// The time that an append notes which comes now, if the stream has a will.
    pub(in crate::stream) fn heard(&self, now: u64) -> Option<u64> {
        self.silence.map(|silence| silence.ended(now))
    }

    /// What the state record says of the silence where rows do not any more.
    pub(in crate::stream) fn quiet(&self) -> Option<Mark> {
        match self.silence {
            Some(Silence::Since(at)) if !self.state.closed => Some(Mark::new(self.tail.offset, at)),
            _ => None,
        }
    }

    /// The will, and when it is due, while the stream is open.
    fn due_will(&self) -> Option<(&Will, u64)> {
        let will = self.birth.will.as_ref()?;
        let Some(Silence::Since(at)) = self.silence else {
            return None;
        };
        let is_open = !self.state.closed && !self.state.deleted;
        is_open.then(|| (will, at.saturating_add(will.millis())))
    }
}

impl<S: Storage> Stream<S> {
    /// When the will is to be carried out if nobody appends: the time to call
    /// [`Stream::carry_out_will`] at. `None` for never, and for a stream that is not loaded.
    pub fn will_due(&self) -> Option<u64> {
        match &self.cache {
            Cache::Present(present) => present.due_will().map(|(_, due)| due),
            _ => None,
        }
    }

    /// Carries out the will if its time has come: appends its content, and closes the stream. Whoever
    /// uses a stream calls this first, as [`Stream::expire`], and after that: so nothing is appended
    /// when the time has passed, however late somebody looks. It is no access.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; then nothing has changed.
    pub fn carry_out_will(&mut self, now: u64) -> Result<Option<Appended>, Error> {
        self.turn(|stream| {
            let Some((storage, limits, present)) = stream.if_present(now)? else {
                return Ok(None);
            };
            if present.silence == Some(Silence::Unknown) {
                // Of a release that does not know wills. It has the benefit of the doubt.
                let quiet = Mark::new(present.tail.offset, now);
                let state = State {
                    quiet: Some(quiet),
                    ..present.state.clone()
                };
                storage.write(&[state::put(state::ROW_ID, &state.encode())])?;
                present.state = state;
                present.silence = Some(Silence::Since(now));
            }
            let Some((will, due)) = present.due_will() else {
                return Ok(None);
            };
            if now < due {
                return Ok(None);
            }
            let content = will.content.clone();
            let body = Body::parse(&content, &present.birth.content_type)?;
            let seq = present.tail.seq.clone();
            // A stream that is full is closed all the same.
            let plan = body.plan(&present.tail, seq.clone(), limits);
            let plan = plan.unwrap_or_else(|_| Plan::nothing(&present.tail, seq));
            let state = State {
                closed: true,
                quiet: None,
                ..present.state.clone()
            };
            let record = state.encode();
            let mut batch: Vec<_> = plan.statements().collect();
            batch.push(state::put(state::ROW_ID, &record));
            storage.write(&batch)?;
            drop(batch);
            let count = body.appended(present, plan.tail);
            present.state = state;
            Ok(Some(Appended {
                tail: present.tail.offset,
                closed: true,
                producer: None,
                is_new_data: count > 0,
                count,
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_goes_back_holds_no_append_for_older() {
        assert_eq!(Silence::Since(500).ended(900), 900);
        assert_eq!(Silence::Since(500).ended(100), 500);
        assert_eq!(Silence::Unknown.ended(100), 100);
    }

    #[test]
    fn what_is_no_mark_counts_for_nothing() {
        for text in ["", "@", "1@", "@1", "1@x", "1@2@3", "-1@2"] {
            assert_eq!(Mark::decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn marks_survive(tail: u64, at: u64) {
            let mark = Mark { tail, at };
            prop_assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        }
    }
}
