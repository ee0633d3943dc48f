//! The alarm: one for everything, at the time when there is something to do next.
//!
//! It is set in the turn that makes it necessary, together with what the turn writes. What is
//! under way has an alarm in case the machine fails in it. One that could not be set is tried
//! again, by the platform when an alarm led to it, and by the object otherwise.

use std::cell::Cell;
use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use crate::machine::insist;
use crate::protocol::error::Error;

/// No alarm is set to less than so many milliseconds ahead.
pub const FLOOR: u64 = 1_000;

/// While something is under way, the alarm is so many milliseconds ahead: should the machine fail,
/// it goes on then.
pub const SAFETY: u64 = 60_000;

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
    /// The time of the one that stands, if that is known.
    stands: Cell<Option<u64>>,
    /// When one is to come at the latest because nobody knows what was done before the object came
    /// into memory.
    latest: Cell<Option<u64>>,
}

impl Alarm {
    /// When the alarm is to come for what nobody knows to be done. The one that was to see to it may
    /// have been moved away since, but it is not to be moved further with each job.
    pub fn in_doubt(&self, now: u64) -> u64 {
        let latest = self.latest.get();
        let latest = latest.unwrap_or_else(|| now.saturating_add(SAFETY));
        self.latest.set(Some(latest));
        latest
    }
}

impl<P: Ports> Object<P> {
    /// Does what has to be done at this time: ends the stream, tells whoever has to hear of it, asks
    /// forks, carries out jobs.
    ///
    /// # Errors
    ///
    /// When the next alarm could not be set, or the database failed; the platform calls again then.
    pub async fn wake(self: &Rc<Self>) -> Result<(), Error> {
        // It may have been set for something that is done by now.
        self.alarm.is_set.set(true);
        self.alarm.stands.set(None);
        self.alarm.latest.set(None);
        self.settle()?;
        self.doubt_registration();
        self.register_behind();
        self.doubt_telling();
        self.part_behind();
        self.ask_forks().await;
        self.work_off().await.map_err(Error::Unavailable)
    }

    /// Sets the alarm in case the machine fails in what comes now. It is set in this turn, or, when
    /// that does not work, as soon as it does: what comes now comes all the same.
    pub(super) fn arm(self: &Rc<Self>) {
        self.arm_for(None);
    }

    /// The same where nothing comes before a time, if that is known.
    pub(super) fn arm_for(self: &Rc<Self>, due: Option<u64>) {
        self.alarm.is_set.set(true);
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let is_first = Cell::new(true);
            insist(&this.ports, async || {
                // Whoever has done it meanwhile has set the next one.
                let is_done = || this.alarm.stands.get().is_some() || this.next_wake() == Ok(None);
                if !is_first.replace(false) && is_done() {
                    return Ok(());
                }
                let now = this.ports.now();
                let due = due.filter(|due| *due > now.saturating_add(FLOOR));
                let at = now.saturating_add(SAFETY);
                this.set_alarm(Some(due.map_or(at, |due| due.min(at))))
                    .await
            })
            .await;
        });
    }

    /// Whether an alarm is known to stand that comes as soon as one does that [`Object::arm`] sets.
    pub(super) fn has_alarm_soon(&self) -> bool {
        let now = self.ports.now();
        // One that is late for so long is lost.
        let soon = now.saturating_sub(SAFETY)..=now.saturating_add(SAFETY);
        let stands = self.alarm.stands.get();
        stands.is_some_and(|at| soon.contains(&at))
    }

    /// Whether an alarm is known to stand that comes at a time or before.
    pub(super) fn has_alarm_by(&self, at: u64) -> bool {
        let now = self.ports.now();
        let in_time = now.saturating_sub(SAFETY)..=at.max(now.saturating_add(FLOOR));
        let stands = self.alarm.stands.get();
        stands.is_some_and(|at| in_time.contains(&at))
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> {
        self.alarm.stands.set(at);
        let set = self.ports.set_alarm(at);
        async {
            let outcome = set.await;
            if outcome.is_err() {
                self.alarm.stands.set(None);
            }
            outcome
        }
    }

    /// Sets the alarm to when there is something to do next. When there never is, it is removed
    /// if there may be one.
    ///
    /// # Errors
    ///
    /// When it was not set.
    pub(super) async fn schedule(&self) -> Result<(), String> {
        let next = self.counted(Self::next_wake).0.unwrap_or_else(|error| {
            // Whatever it is, it is looked for again.
            self.ports.log(format_args!("{error:?}"));
            Some(self.ports.now().saturating_add(SAFETY))
        });
        if next.is_none() && !self.alarm.is_set.get() {
            return Ok(());
        }
        self.set_alarm(next).await?;
        self.alarm.is_set.set(next.is_some());
        Ok(())
    }

    /// The same for whoever cannot fail: what does not work is tried again.
    pub(super) async fn schedule_surely(&self) {
        insist(&self.ports, async || self.schedule().await).await;
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
        let others = [self.next_enrollment(now), self.next_telling(now)];
        let next = next.into_iter().chain(others.into_iter().flatten()).min();
        let (floor, far) = (now.saturating_add(FLOOR), now.saturating_add(FAR));
        Ok(next.map(|at| at.clamp(floor, far)))
    }
}
