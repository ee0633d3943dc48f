//! Cursors of live reads (protocol section 10.1): a number that grows with time, so that no cache
//! answers a waiting reader with the same empty response forever.

/// 2024-10-09T00:00:00Z in milliseconds since the Unix epoch: where the intervals are counted from.
const EPOCH: u64 = 1_728_432_000_000;

/// The length of an interval in milliseconds.
const INTERVAL: u64 = 20_000;

/// The most intervals a cursor is put forward by: an hour.
const MAX_JITTER: u64 = 180;

/// The largest cursor taken from a client. Nobody was ever given one as large as this.
const MAX: u64 = 1 << 53;

/// Takes the value of the `cursor` parameter; `None` for one this server cannot have given.
pub fn parse(value: &str) -> Option<u64> {
    super::expiry::parse_integer(value)
}

/// The cursor of a response at `now` (milliseconds since the Unix epoch) to a request with the
/// cursor `client`: the current interval, or, when the client is there already, one further on by
/// up to an hour, as `random` has it.
pub fn next(now: u64, client: Option<u64>, random: u64) -> u64 {
    let current = current(now);
    match client.filter(|cursor| (current..MAX).contains(cursor)) {
        Some(cursor) => {
            let jitter = random.checked_rem(MAX_JITTER).unwrap_or(0);
            cursor.saturating_add(jitter).saturating_add(1)
        }
        None => current,
    }
}

/// The number of the interval at `now`.
pub fn current(now: u64) -> u64 {
    now.saturating_sub(EPOCH).checked_div(INTERVAL).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_are_twenty_seconds_since_october_2024() {
        assert_eq!(current(EPOCH), 0);
        assert_eq!(current(EPOCH + 19_999), 0);
        assert_eq!(current(EPOCH + 20_000), 1);
        assert_eq!(current(0), 0, "a clock that is far behind");
        assert_eq!(next(EPOCH + 40_000, None, 7), 2);
        assert_eq!(next(EPOCH + 40_000, Some(1), 7), 2);
        assert_eq!(next(EPOCH + 40_000, Some(2), 0), 3);
    }

    proptest! {
        #[test]
        fn a_cursor_never_stands_still(now in EPOCH..EPOCH * 2, client in 0u64..MAX, random: u64) {
            let next = next(now, Some(client), random);
            prop_assert!(next > client);
            prop_assert!(next >= current(now));
            prop_assert!(next <= client.max(current(now)) + MAX_JITTER);
        }

        #[test]
        fn nonsense_counts_as_none(now in EPOCH..EPOCH * 2, client in MAX.., random: u64) {
            prop_assert_eq!(next(now, Some(client), random), current(now));
        }
    }
}
