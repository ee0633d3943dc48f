//! The alarm: one for everything, at the time when there is something to do next.
//!
//! It is set in the turn that makes it necessary, together with what the turn writes. What is
//! under way has an alarm in case the machine fails in it. One that could not be set is tried
//! again, by the platform when an alarm led to it, and by the object otherwise.

use std::cell::Cell;
use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use crate::protocol::error::Error;

/// No alarm is set to less than so many milliseconds ahead.
pub const FLOOR: u64 = 1_000;

/// While something is under way, the alarm is so many milliseconds ahead: should the machine fail,
/// it goes on then.
pub const SAFETY: u64 = 60_000;

/// How long the object waits before it sets an alarm again that could not be set, in milliseconds,
/// the first time. Each failure doubles it.
const FIRST_WAIT: u64 = 500;
/// So often is it tried before the next request or job has to.
const TRIES: u32 = 8;

/// No alarm is set to more than so many milliseconds ahead, a year: the runtime refuses those of
/// centuries to come. It is set anew then.
const FAR: u64 = 365 * 86_400_000;

/// What is known of the alarm.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// Whether jobs are being carried out, after which the alarm is set.
    pub working: Cell<bool>,
    /// Whether somebody asked for jobs to be done while they were.
    pub again: Cell<bool>,
    /// Whether there may be one that was set for something that is done by now.
    is_set: Cell<bool>,
}

impl<P: Ports> Object<P> {
    /// Does what has to be done at this time: ends the stream, asks forks, carries out jobs.
    ///
    /// # Errors
    ///
    /// When the next alarm could not be set, or the database failed; the platform calls again then.
    pub async fn wake(self: &Rc<Self>) -> Result<(), Error> {
        // It may have been set for something that is done by now.
        self.alarm.is_set.set(true);
        self.settle()?;
        self.ask_forks().await;
        self.work_off().await.map_err(Error::Unavailable)
    }

    /// Sets the alarm in case the machine fails in what comes now. It is set in this turn, or, when
    /// that does not work, as soon as it does: what comes now comes all the same.
    pub(super) fn arm(self: &Rc<Self>) {
        self.alarm.is_set.set(true);
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let mut wait = FIRST_WAIT;
            for _ in 0..TRIES {
                let at = this.ports.now().saturating_add(SAFETY);
                let Err(error) = this.ports.set_alarm(Some(at)).await else {
                    return;
                };
                this.ports
                    .log(format_args!("an alarm was not set: {error}"));
                this.ports.sleep(wait).await;
                wait = wait.saturating_mul(2);
                if !this.alarm.working.get() {
                    // Whoever has done it has set the next one.
                    return;
                }
            }
        });
    }

    /// Sets the alarm to when there is something to do next. When there never is, it is removed
    /// if there may be one.
    ///
    /// # Errors
    ///
    /// When it was not set.
    pub(super) async fn schedule(&self) -> Result<(), String> {
        let next = self.next_wake().unwrap_or_else(|error| {
            // Whatever it is, it is looked for again.
            self.ports.log(format_args!("{error:?}"));
            Some(self.ports.now().saturating_add(SAFETY))
        });
        if next.is_none() && !self.alarm.is_set.get() {
            return Ok(());
        }
        self.ports.set_alarm(next).await?;
        self.alarm.is_set.set(next.is_some());
        Ok(())
    }

    /// The same for whoever cannot fail: what does not work is tried again.
    pub(super) async fn schedule_surely(&self) {
        let mut wait = FIRST_WAIT;
        for _ in 0..TRIES {
            let Err(error) = self.schedule().await else {
                return;
            };
            self.ports
                .log(format_args!("the alarm of a stream was not set: {error}"));
            self.ports.sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }

    /// When there is something to do next, in milliseconds since the Unix epoch; `None` for never.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    fn next_wake(&self) -> Result<Option<u64>, Error> {
        let now = self.ports.now();
        if self.alarm.working.get() {
            // Whoever carries out jobs sets it afterwards.
            return Ok(Some(now.saturating_add(SAFETY)));
        }
        let can = self.abilities();
        let next = self.stream.borrow_mut().next_alarm(&can, now)?;
        let (floor, far) = (now.saturating_add(FLOOR), now.saturating_add(FAR));
        Ok(next.map(|at| at.clamp(floor, far)))
    }
}
