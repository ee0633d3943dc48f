//! The alarm: the time at which what is gone is looked through, and what was not told is told.
//!
//! Such times are the same for all shards and at all times, [`GONE_FOR`] apart: so whoever does not
//! know whether the alarm is set sets it to the time to which it is set already, and does not put it
//! off.

use std::rc::Rc;

use super::Shard;
use super::lives::GONE_FOR;
use crate::machine::{Signs, insist};
use crate::object::wake::FLOOR;
use crate::protocol::error::Error;

/// The next time at which what is gone is looked through.
pub fn next_time(now: u64) -> u64 {
    let rest = now.checked_rem(GONE_FOR).unwrap_or(0);
    let next = now.saturating_sub(rest).saturating_add(GONE_FOR);
    next.max(now.saturating_add(FLOOR))
}

impl<P: Signs> Shard<P> {
    /// Does what has to be done at this time: forgets what has been gone for long, and tells
    /// registry streams what they were not told.
    ///
    /// # Errors
    ///
    /// When the next alarm could not be set; the platform calls again then.
    pub async fn wake(self: &Rc<Self>) -> Result<(), Error> {
        self.is_armed.set(false);
        let is_more = self.sweep().await.unwrap_or_else(|error| {
            // Whatever it is, it is looked for again.
            self.ports.log(format_args!("{error:?}"));
            true
        });
        let is_untold = self.tell().await.unwrap_or_else(|error| {
            self.ports.log(format_args!("{error:?}"));
            true
        });
        if !(is_more || is_untold) || self.is_armed.get() {
            return Ok(());
        }
        let set = self.ports.set_alarm(Some(next_time(self.ports.now())));
        set.await.map_err(Error::Unavailable)?;
        self.is_armed.set(true);
        Ok(())
    }

    /// Goes through everything that is gone. Each part is a turn of its own. Says whether there is
    /// something left.
    async fn sweep(&self) -> Result<bool, Error> {
        let (mut after, mut is_more) = (None, false);
        loop {
            let now = self.ports.now();
            let swept = self.records.borrow_mut().sweep(after, now)?;
            is_more |= swept.is_more;
            after = swept.next;
            if after.is_none() {
                return Ok(is_more);
            }
            self.ports.sleep(0).await;
        }
    }

    /// Sees to it that there is an alarm, in the turn in which something is noted to be gone. When
    /// that does not work, it is tried again while questions are answered.
    pub(super) fn arm(self: &Rc<Self>) {
        if self.is_armed.replace(true) {
            return;
        }
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let set = async || {
                let at = next_time(this.ports.now());
                this.ports.set_alarm(Some(at)).await
            };
            if !insist(&this.ports, set).await {
                this.is_armed.set(false);
            }
        });
    }
}
