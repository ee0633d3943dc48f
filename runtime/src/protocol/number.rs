//! Integers as JavaScript's numbers, which hold those below 2^53 exactly: offsets, lengths, times and
//! cursors all are.

/// As a number.
#[allow(clippy::cast_precision_loss, reason = "see the module's text")]
pub fn number(integer: u64) -> f64 {
    integer as f64
}

/// The whole part of a number; 0 for what is none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
pub fn integer(number: f64) -> u64 {
    number as u64
}

/// A number with three decimals; 0 for what is none. To write floating numbers of every size takes
/// a worker ten thousand bytes of code.
pub fn thousandths(number: f64) -> String {
    let all = integer((number * 1000.0).round());
    format!("{}.{:03}", all / 1000, all % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_number_is_zero() {
        assert_eq!(integer(f64::NAN), 0);
        assert_eq!(integer(-1.5), 0);
        assert_eq!(integer(1.9), 1);
    }

    #[test]
    fn three_decimals_are_written() {
        for (number, text) in [
            (0.0, "0.000"),
            (1.5, "1.500"),
            (0.0004, "0.000"),
            (0.0006, "0.001"),
            (2.0369, "2.037"),
            (12_345.006, "12345.006"),
            (-1.0, "0.000"),
            (f64::NAN, "0.000"),
        ] {
            assert_eq!(thousandths(number), text);
        }
    }

    proptest! {
        #[test]
        fn integers_come_back(whole in 0u64..1 << 53) {
            prop_assert_eq!(integer(number(whole)), whole);
        }
    }
}
