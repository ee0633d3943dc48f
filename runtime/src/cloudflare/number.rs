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

    proptest! {
        #[test]
        fn integers_come_back(whole in 0u64..1 << 53) {
            prop_assert_eq!(integer(number(whole)), whole);
        }
    }
}
