//! When a subscription wakes somebody, and whose the wake is (section 7): idle, waking, held, and
//! idle again. All of it is decided over the [record](super::record), and all times are in
//! milliseconds since the Unix epoch.

use super::config::Delivery;
use super::record::{Failing, Record, Stage, Wake};
use super::token;

/// How long the first retry waits, in milliseconds; each further one twice as long.
const FIRST_RETRY: u64 = 1_000;
/// No retry waits longer.
const LAST_RETRY: u64 = 60_000;

/// A wake that nobody claims is told of again after the time of a lease, then after twice as long,
/// up to this.
const LAST_REPEAT: u64 = 600_000;

/// The longest text that is kept of what went wrong, in bytes.
pub(super) const MAX_ERROR: usize = 500;

impl Record {
    /// Whether it has a receiver of webhooks.
    pub fn is_webhook(&self) -> bool {
        matches!(self.config.delivery, Delivery::Webhook(_))
    }

    /// What the present wake is called.
    pub fn wake_id(&self) -> Option<String> {
        self.wake.as_ref()?;
        Some(token::wake_id(&self.key, self.generation))
    }

    /// When the next thing happens by itself.
    pub fn next(&self) -> Option<u64> {
        match self.wake.as_ref()?.stage {
            Stage::Due { at } => Some(at),
            Stage::Held { until, .. } => Some(until),
            Stage::Parked => None,
        }
    }

    /// Whether the present wake is over at a time: its lease has run out, or there is nothing left
    /// to tell anybody of. `is_busy` is whether somebody is being told right now.
    pub fn is_over(&self, has_pending: bool, is_busy: bool, now: u64) -> bool {
        let stage = self.wake.as_ref().map(|wake| &wake.stage);
        match stage {
            Some(Stage::Held { until, .. }) => *until <= now,
            Some(Stage::Due { .. }) => !has_pending && !is_busy,
            Some(Stage::Parked) | None => false,
        }
    }

    /// Lets go of the present wake.
    pub fn rest(&mut self) {
        self.wake = None;
        self.failing = None;
    }

    /// Starts a wake, of the next generation.
    pub fn rouse(&mut self, path: String, now: u64) {
        self.generation = self.generation.saturating_add(1);
        self.wake = Some(Wake {
            path,
            told: 0,
            stage: Stage::Due { at: now },
        });
    }

    /// Takes note that somebody has the wake, from a time on.
    pub fn hold(&mut self, holder: Option<String>, from: u64) {
        let until = from.saturating_add(self.config.lease_ttl_ms);
        self.failing = None;
        if let Some(wake) = &mut self.wake {
            wake.stage = Stage::Held { until, holder };
        }
    }

    /// Extends the lease from a time on: it never gets shorter. Whoever does that has it.
    pub fn extend(&mut self, from: u64) {
        let (until, holder) = match self.wake.as_mut().map(|wake| &mut wake.stage) {
            Some(Stage::Held { until, holder }) => (*until, holder.take()),
            _ => (0, None),
        };
        self.hold(holder, from);
        if let Some(Stage::Held { until: new, .. }) = self.wake.as_mut().map(|w| &mut w.stage) {
            *new = until.max(*new);
        }
    }

    /// Takes note that workers were told of the wake: they are told again if none claims it.
    pub fn announced(&mut self, now: u64) {
        let lease = self.config.lease_ttl_ms;
        self.failing = None;
        if let Some(wake) = &mut self.wake {
            let wait = doubled(lease, wake.told).min(LAST_REPEAT.max(lease));
            wake.told = wake.told.saturating_add(1);
            wake.stage = Stage::Due {
                at: now.saturating_add(wait),
            };
        }
    }

    /// Takes note that nobody could be told, and why: it is tried again, unless a receiver has
    /// failed for `park_after`.
    pub fn failed(&mut self, error: &str, park_after: u64, random: u64, now: u64) {
        let is_webhook = self.is_webhook();
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now,
            attempts: 0,
            error: String::new(),
        });
        failing.attempts = failing.attempts.saturating_add(1);
        cut(error, MAX_ERROR).clone_into(&mut failing.error);
        let has_failed_for = now.saturating_sub(failing.since);
        let wait = back_off(failing.attempts, random);
        if let Some(wake) = &mut self.wake {
            wake.stage = match is_webhook && has_failed_for >= park_after {
                true => Stage::Parked,
                false => Stage::Due {
                    at: now.saturating_add(wait),
                },
            };
        }
    }

    /// Has the wake told of at once, whatever has failed before.
    pub fn retry(&mut self, now: u64) {
        match self.wake.as_mut().map(|wake| &mut wake.stage) {
            Some(stage @ (Stage::Due { .. } | Stage::Parked)) => {
                *stage = Stage::Due { at: now };
                if let Some(failing) = &mut self.failing {
                    failing.since = now;
                    failing.attempts = 0;
                }
            }
            Some(Stage::Held { .. }) | None => {}
        }
    }
}

/// How long to wait after so many failures: 1 s, 2 s … 60 s, a fifth less or more.
pub fn back_off(failures: u32, random: u64) -> u64 {
    let whole = doubled(FIRST_RETRY, failures.saturating_sub(1)).min(LAST_RETRY);
    let fifth = whole.checked_div(5).unwrap_or(0);
    let spread = fifth.saturating_mul(2).saturating_add(1);
    let jitter = random.checked_rem(spread).unwrap_or(0);
    whole.saturating_sub(fifth).saturating_add(jitter)
}

fn doubled(value: u64, times: u32) -> u64 {
    1u64.checked_shl(times)
        .map_or(u64::MAX, |factor| value.saturating_mul(factor))
}

/// The start of a text, at most so many bytes.
pub fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn retries_wait_longer_up_to_a_minute(failures in 1u32..200, random in 0u64..1 << 32) {
            let whole = (1000u64 << (failures - 1).min(6)).min(60_000);
            let wait = back_off(failures, random);
            prop_assert!((whole * 4 / 5..=whole * 6 / 5).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("a\u{e9}b", 2), "a");
        assert_eq!(cut("a\u{e9}b", 3), "a\u{e9}");
        assert_eq!(cut("ab", 9), "ab");
    }
}
