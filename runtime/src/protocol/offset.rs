//! Offset tokens (protocol section 8).

use std::fmt;
use std::str::FromStr;

/// A position in a stream, and the token that stands for it on the wire.
///
/// The unit is messages for `application/json` streams and bytes for all others. The token is
/// `{16 digits}_{16 digits}_{4 digits}`: the second number is the position, the others are reserved
/// and always 0, so tokens sort as their positions do. One without the third part, as the first
/// release minted them and clients write the start of a stream, stands for the same position; it
/// is taken, but not given any more. There are three parts because some clients take two for a
/// time and a counter, and count on by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(u64);

impl Offset {
    /// The first position of every stream.
    pub const START: Self = Self(0);

    /// The largest position a stream can reach: row identifiers, which are positions times 64,
    /// have to stay exact as JavaScript numbers.
    pub const MAX: Self = Self((1 << 47) - 1);

    /// The offset at `position`, or `None` above [`Offset::MAX`].
    pub fn new(position: u64) -> Option<Self> {
        (position <= Self::MAX.0).then_some(Self(position))
    }

    /// The position in messages (JSON) or bytes.
    pub fn position(self) -> u64 {
        self.0
    }

    /// The offset `amount` further on, or `None` above [`Offset::MAX`].
    pub fn advance(self, amount: u64) -> Option<Self> {
        self.0.checked_add(amount).and_then(Self::new)
    }

    /// The offset `amount` before this one; the start where there is none.
    pub fn back(self, amount: impl TryInto<u64>) -> Self {
        Self(self.0.saturating_sub(amount.try_into().unwrap_or(u64::MAX)))
    }

    /// How far this offset lies behind `earlier`; 0 when it does not.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The first part of every token.
const RESERVED: &str = "0000000000000000";

/// The third part of every token.
const END: &str = "0000";

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RESERVED}_{:016}_{END}", self.0)
    }
}

/// The token is not one this server mints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedOffset;

impl FromStr for Offset {
    type Err = MalformedOffset;

    fn from_str(token: &str) -> Result<Self, MalformedOffset> {
        let (reserved, rest) = token.split_once('_').ok_or(MalformedOffset)?;
        let (position, end) = rest.split_once('_').unwrap_or((rest, END));
        let is_number = position.len() == 16 && position.bytes().all(|b| b.is_ascii_digit());
        if reserved != RESERVED || !is_number || end != END {
            return Err(MalformedOffset);
        }
        let position = position.parse().map_err(|_| MalformedOffset)?;
        Self::new(position).ok_or(MalformedOffset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_round_trip(position in 0..=Offset::MAX.0) {
            let offset = Offset::new(position).unwrap();
            prop_assert_eq!(offset.to_string().parse::<Offset>(), Ok(offset));
        }

        #[test]
        fn back_undoes_advance(position in 0..=Offset::MAX.0, amount in 0..=Offset::MAX.0) {
            let offset = Offset(position);
            if let Some(further) = offset.advance(amount) {
                prop_assert_eq!(further.back(amount), offset);
            }
            let none = offset.back(position) == Offset::START;
            prop_assert!(none && offset.back(u64::MAX) == Offset::START);
        }

        #[test]
        fn tokens_sort_as_positions(a in 0..=Offset::MAX.0, b in 0..=Offset::MAX.0) {
            let (a, b) = (Offset(a), Offset(b));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn tokens_of_the_first_release_stand_for_the_same(position in 0..=Offset::MAX.0) {
            let offset = Offset(position);
            let old = format!("{:016}_{position:016}", 0);
            prop_assert_eq!(old.parse::<Offset>(), Ok(offset));
            let next = format!("{:016}_{:016}", 0, position + 1);
            prop_assert!(old < offset.to_string() && offset.to_string() < next);
        }

        #[test]
        fn only_minted_tokens_parse(token in "\\PC{0,40}|0{16}_[0-9]{16}(_[0-9]{0,5})?") {
            if let Ok(offset) = token.parse::<Offset>() {
                let minted = offset.to_string();
                prop_assert!(minted == token || minted.strip_suffix("_0000") == Some(&token));
            }
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for token in [
            "",
            "-1",
            "now",
            "0",
            "0000000000000000",
            "0000000000000000_000000000000000",
            "0000000000000000_00000000000000000",
            "0000000000000001_0000000000000000",
            "0000000000000000_000000000000000a",
            "+000000000000000_0000000000000000",
            "0000000000000000_9999999999999999",
            "0000000000000000_0000000000000000_",
            "0000000000000000_0000000000000000_000",
            "0000000000000000_0000000000000000_00000",
            "0000000000000000_0000000000000000_0001",
            "0000000000000000_0000000000000000_0000_0000",
        ] {
            assert_eq!(token.parse::<Offset>(), Err(MalformedOffset), "{token}");
        }
    }
}
