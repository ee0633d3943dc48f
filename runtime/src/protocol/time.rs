//! Times as clients read them.

use chrono::{DateTime, Datelike, Timelike};

/// Milliseconds since the Unix epoch as RFC 3339 text with milliseconds, such as
/// `2026-05-09T00:00:00.000Z`; what is beyond all calendars is 1970.
pub fn iso(millis: u64) -> String {
    let time = i64::try_from(millis).ok();
    let time = time.and_then(DateTime::from_timestamp_millis);
    let time = time.unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        millis % 1000
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_written_to_the_millisecond() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_778_324_210_007), "2026-05-09T10:56:50.007Z");
        assert_eq!(iso(u64::MAX), "1970-01-01T00:00:00.615Z");
    }

    proptest! {
        #[test]
        fn it_is_read_back(millis in 0_u64..4_102_444_800_000) {
            let read = DateTime::parse_from_rfc3339(&iso(millis)).unwrap();
            prop_assert_eq!(read.timestamp_millis(), millis as i64);
        }
    }
}
