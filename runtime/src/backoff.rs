//! How long to wait before something is tried again that has failed.

/// How long the first time, in milliseconds. Each failure doubles it.
const FIRST_WAIT: u64 = 1_000;

/// See the module's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    failures: u32,
    not_before: u64,
}

impl BackOff {
    /// Of something that was not done before the object left memory, perhaps because it failed. It is
    /// tried at once, but when it fails then, not so soon again.
    pub fn of_doubtful() -> Self {
        Self {
            failures: 4,
            not_before: 0,
        }
    }

    /// It has failed, and is tried again after `most` milliseconds at the latest.
    pub fn failed(&mut self, now: u64, most: u64) {
        let wait = FIRST_WAIT.checked_shl(self.failures).unwrap_or(most);
        self.failures = self.failures.saturating_add(1).min(30);
        self.not_before = now.saturating_add(wait.min(most));
    }

    /// Whether it has not failed before.
    pub fn is_fresh(self) -> bool {
        self.failures == 0
    }

    /// When to try again what has failed.
    pub fn retry(self) -> Option<u64> {
        (!self.is_fresh()).then_some(self.not_before)
    }

    /// When it may be tried, in milliseconds since the Unix epoch.
    pub fn not_before(self) -> u64 {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = |mut backoff: BackOff| {
            let wait = |_| {
                backoff.failed(7, 60_000);
                backoff.not_before() - 7
            };
            (0..40).map(wait).collect::<Vec<_>>()
        };
        let fresh = waits(BackOff::default());
        assert_eq!(fresh[..7], [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000]);
        assert!(fresh[7..].iter().all(|wait| *wait == 60_000));
        assert_eq!(waits(BackOff::of_doubtful())[0], 16_000);
    }
}
