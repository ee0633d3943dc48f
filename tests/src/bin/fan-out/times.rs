//! Times, and what is said of them.

use std::fmt::{self, Display};
use std::time::Duration;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The medians of those that were first, a tenth of all, and of as many that were last.
    pub fn ends(&self) -> (Duration, Duration) {
        let tenth = self.0.len().div_ceil(10);
        let median = |times: &[Duration]| Self(times.to_vec()).percentile(50);
        let last = self.0.len() - tenth;
        (median(&self.0[..tenth]), median(&self.0[last..]))
    }

    /// The one below which so many percent are.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = sorted.len().saturating_sub(1) * percent / 100;
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl Extend<Duration> for Times {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().collect())
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, at most {most:.1?}")
    }
}
