//! A checksum of what an object holds: CRC-32, as zip files have it. That of some content is
//! computed from those of its pieces, without the pieces.
//!
//! It tells an object that was copied from one that was damaged or is another. It is no protection
//! against somebody who writes to the bucket on purpose.
//!
//! The tables of the usual crate are a twentieth of what a worker may be long, for a speed that an
//! object needs once in its life.

/// The polynomial, with the coefficient of 1 in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What each byte does to a checksum.
const TABLE: [u32; 256] = table();

/// The polynomials 1 and x^8.
const ONE: u32 = 1 << 31;
const BYTE: u32 = 1 << 23;

#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed by the compiler, which would say so"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = times_x(value);
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// A polynomial times x, modulo [`POLYNOMIAL`].
const fn times_x(polynomial: u32) -> u32 {
    let rest = polynomial >> 1;
    if polynomial & 1 == 0 {
        rest
    } else {
        rest ^ POLYNOMIAL
    }
}

/// The product of two polynomials, modulo [`POLYNOMIAL`].
fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    for power in 0..32 {
        if a & (ONE >> power) != 0 {
            sum ^= b;
        }
        b = times_x(b);
    }
    sum
}

/// The checksum of two pieces one after the other, the second of which has so many bytes.
fn combined(first: u32, second: u32, mut length: u64) -> u32 {
    let (mut shift, mut power) = (ONE, BYTE);
    while length > 0 {
        if length & 1 == 1 {
            shift = product(shift, power);
        }
        power = product(power, power);
        length >>= 1;
    }
    product(shift, first) ^ second
}

/// The checksum of some bytes.
pub fn of(bytes: &[u8]) -> u32 {
    let mut running = Running::default();
    running.update(bytes);
    running.finish().1
}

/// The checksum of pieces one after the other with a separator between each two; they are given
/// by their checksums and their lengths in bytes.
pub fn joined(pieces: impl IntoIterator<Item = (u32, u64)>, separator: &[u8]) -> u32 {
    let between = (of(separator), widen(separator.len()));
    let mut whole = 0;
    let mut is_first = true;
    for (crc, length) in pieces {
        if !std::mem::take(&mut is_first) {
            whole = combined(whole, between.0, between.1);
        }
        whole = combined(whole, crc, length);
    }
    whole
}

/// The checksum of what comes in chunks.
#[derive(Clone, Default)]
pub struct Running {
    length: u64,
    crc: u32,
}

impl Running {
    /// Takes what comes next.
    pub fn update(&mut self, chunk: &[u8]) {
        self.length = self.length.saturating_add(widen(chunk.len()));
        let rest = chunk.iter().fold(!self.crc, |rest, byte| {
            let [low, ..] = rest.to_le_bytes();
            let row = TABLE.get(usize::from(low ^ byte));
            (rest >> 8) ^ row.copied().unwrap_or(0)
        });
        self.crc = !rest;
    }

    /// How many bytes have come, and their checksum.
    pub fn finish(self) -> (u64, u32) {
        (self.length, self.crc)
    }
}

fn widen(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_the_usual_one() {
        assert_eq!(of(b"123456789"), 0xcbf4_3926);
        assert_eq!(of(b""), 0);
        assert_eq!(joined([], b",\n"), 0);
    }

    proptest! {
        #[test]
        fn it_is_computed_from_pieces(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..9),
            separator in proptest::sample::select(vec![&b",\n"[..], b""]),
        ) {
            let known = pieces.iter().map(|piece| (of(piece), piece.len() as u64));
            prop_assert_eq!(joined(known, separator), of(&pieces.join(separator)));
        }

        #[test]
        fn chunks_may_be_of_any_length(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..9),
        ) {
            let mut running = Running::default();
            for chunk in &chunks {
                running.update(chunk);
            }
            let whole = chunks.concat();
            prop_assert_eq!(running.finish(), (whole.len() as u64, of(&whole)));
        }
    }
}
