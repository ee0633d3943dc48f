//! Medians, and how far the values of several rounds lie apart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The values of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: middle(&values)?,
            low: *values.first()?,
            high: *values.last()?,
        })
    }

    /// Whether, as ratios, they say that there is a difference: all of them the same way, and in the
    /// middle by 2 %.
    pub fn differs_from_one(&self) -> bool {
        self.differs_from(&Self {
            median: 1.0,
            low: 1.0,
            high: 1.0,
        })
    }

    /// Whether two runs differ by more than their own rounds do: the median of neither lies among the
    /// values of the other.
    pub fn differs_from(&self, other: &Self) -> bool {
        // Two runs of the same are never quite the same, however alike their rounds are.
        let least = 0.02 * other.median.abs();
        let is_outside = |median: f64, range: &Self| median < range.low || median > range.high;
        (self.median - other.median).abs() > least
            && is_outside(self.median, other)
            && is_outside(other.median, self)
    }
}

/// The one in the middle of sorted values, or what is in the middle of two.
fn middle(sorted: &[f64]) -> Option<f64> {
    let (above, below) = (
        sorted.get(sorted.len() / 2)?,
        sorted.get((sorted.len() - 1) / 2)?,
    );
    Some(f64::midpoint(*above, *below))
}

/// Of some values, the one below which so many percent of them are, in microseconds.
pub fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) * percent / 100;
    times.get(at).map_or(f64::NAN, |time| micros(*time))
}

/// A time in microseconds.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_middle_and_its_ends() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0, 10.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 3.0, 10.0));
        assert_eq!(Spread::of(vec![1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn only_what_exceeds_the_noise_has_moved() {
        let quiet = Spread::of(vec![1.0, 1.01, 1.02]).unwrap();
        let noisy = Spread::of(vec![0.8, 1.2, 1.6]).unwrap();
        let other = Spread::of(vec![1.1, 1.11, 1.12]).unwrap();
        assert!(other.differs_from(&quiet));
        assert!(!noisy.differs_from(&quiet));
        assert!(!quiet.differs_from(&noisy));
        assert!(!quiet.differs_from(&quiet));
        let close = Spread::of(vec![1.021, 1.022, 1.023]).unwrap();
        assert!(!close.differs_from(&quiet), "less than 2 %");
    }

    #[test]
    fn ratios_differ_from_one_when_all_do() {
        let of = |values: &[f64]| Spread::of(values.to_vec()).unwrap();
        assert!(of(&[1.03, 1.05, 1.2]).differs_from_one());
        assert!(of(&[0.9, 0.95, 0.99]).differs_from_one());
        assert!(!of(&[0.99, 1.05, 1.2]).differs_from_one());
        assert!(!of(&[1.005, 1.01, 1.2]).differs_from_one(), "less than 2 %");
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_micros).collect();
        assert!((percentile(&mut times, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&mut times, 99) - 99.0).abs() < 1e-9);
    }
}
