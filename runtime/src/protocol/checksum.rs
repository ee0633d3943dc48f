//! A checksum of what an object holds: CRC-32, as zip files have it. That of some content is
//! computed from those of its pieces, without the pieces.
//!
//! It tells an object that was copied from one that was damaged or is another. It is no protection
//! against somebody who writes to the bucket on purpose.

use crc32fast::Hasher;

/// The checksum of some bytes.
pub fn of(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of pieces one after the other with a separator between each two; they are given
/// by their checksums and their lengths in bytes.
pub fn joined(pieces: impl IntoIterator<Item = (u32, u64)>, separator: &[u8]) -> u32 {
    let mut whole = Hasher::new();
    let mut is_first = true;
    for (crc, length) in pieces {
        if !std::mem::take(&mut is_first) {
            whole.update(separator);
        }
        whole.combine(&Hasher::new_with_initial_len(crc, length));
    }
    whole.finalize()
}

/// The checksum of what comes in chunks.
#[derive(Clone, Default)]
pub struct Running {
    length: u64,
    hasher: Hasher,
}

impl Running {
    /// Takes what comes next.
    pub fn update(&mut self, chunk: &[u8]) {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(length);
        self.hasher.update(chunk);
    }

    /// How many bytes have come, and their checksum.
    pub fn finish(self) -> (u64, u32) {
        (self.length, self.hasher.finalize())
    }
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
