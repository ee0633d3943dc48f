//! The alarm: one for everything, at the time when there is something to do next. An earlier one
//! stays as it is, as it costs less to wake once for nothing than to set it anew each time.

use std::rc::Rc;

use super::core::Core;
use super::links::LINGER;
use super::{Subscription, Work};
use crate::machine::{Posts, Signs, insist};
use crate::object::wake::{FLOOR, SAFETY};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// So many rows that linger are taken away at once.
const SWEPT: usize = 500;

impl<P: Signs + Posts> Subscription<P> {
    /// Does what has to be done at this time.
    ///
    /// # Errors
    ///
    /// When the next alarm could not be set, or the database failed; the platform calls again then.
    pub async fn wake(self: &Rc<Self>) -> Result<(), Error> {
        self.alarm.set(None);
        let now = self.ports.now();
        let swept = self.core.borrow_mut().look(now);
        self.follow();
        self.arm().await?;
        swept
    }

    /// Begins what is to be done now, in this turn.
    pub(super) fn follow(self: &Rc<Self>) {
        self.tell();
        self.fill();
        self.leave();
    }

    /// Sets the alarm to when there is something to do next, unless there is an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it was not set, [`Error::Storage`], [`Error::Newer`].
    pub(super) async fn arm(&self) -> Result<(), Error> {
        let now = self.ports.now();
        let Some(next) = self.next(now)? else {
            return Ok(());
        };
        let next = next.max(now.saturating_add(FLOOR));
        // One that should have come long ago was lost.
        let stands = |at: u64| at <= next && at.saturating_add(SAFETY) > now;
        if self.alarm.get().is_some_and(stands) {
            return Ok(());
        }
        let asked = self.ports.set_alarm(Some(next));
        self.alarm.set(Some(next));
        asked.await.map_err(|error| {
            self.alarm.set(None);
            Error::Unavailable(error)
        })
    }

    /// The same for whoever cannot fail: what does not work is tried again.
    pub(super) async fn arm_surely(&self) {
        insist(&self.ports, async || self.arm().await).await;
    }

    fn next(&self, now: u64) -> Result<Option<u64>, Error> {
        let mut core = self.core.borrow_mut();
        let own = core.next(now)?;
        let fill = core.has_steps()?.then(|| self.filling.next(now));
        let leave = core.farewell()?.map(|_| self.leaving.next(now));
        Ok([own, fill, leave].into_iter().flatten().min())
    }
}

impl Work {
    /// When it is to be looked at.
    fn next(&self, now: u64) -> u64 {
        match self.is_on.get() {
            // In case the machine fails in it.
            true => now.saturating_add(SAFETY),
            false => self.at.get(),
        }
    }
}

impl<S: Storage> Core<S> {
    /// Lets go of what is over at a time, and takes away rows that have lingered long enough.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn look(&mut self, now: u64) -> Result<(), Error> {
        let is_due = self.sweep_at.is_some_and(|at| at <= now);
        if is_due {
            self.sweep_at = None;
        }
        let outcome = self.turn(now, |turn| {
            if !is_due {
                return Ok(());
            }
            let before = now.saturating_sub(LINGER);
            for path in super::links::stale(turn.storage, before, SWEPT)? {
                let gone = turn.link(&path)?;
                turn.set(&path, gone.as_ref(), None);
            }
            Ok(())
        });
        match outcome {
            Err(Error::Subscription(SubscriptionError::NotFound)) => Ok(()),
            outcome => outcome,
        }
    }

    /// When something happens by itself next.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn next(&mut self, now: u64) -> Result<Option<u64>, Error> {
        let telling = self.telling.clone();
        let sweep_at = self.sweep_at;
        let (_, known) = self.known()?;
        let Some(present) = &known.present else {
            return Ok(None);
        };
        let is_busy = telling.as_ref() == Some(&present.telling());
        let next = present.record.next().map(|at| match is_busy {
            // In case the machine fails in it.
            true => at.max(now.saturating_add(SAFETY)),
            false => at,
        });
        let sweep_at =
            (present.book.gone > 0).then(|| sweep_at.unwrap_or_else(|| now.saturating_add(LINGER)));
        self.sweep_at = sweep_at;
        Ok([next, sweep_at].into_iter().flatten().min())
    }

    /// What the subscription is called, and its project; nothing where there is none.
    pub(super) fn names(&mut self) -> (String, String) {
        match self.present() {
            Ok((_, present)) => (present.record.name(), present.record.project().to_owned()),
            Err(_) => Default::default(),
        }
    }
}
