//! The end of the log in memory: what was appended last, so that whoever follows a stream costs no
//! rows read.

use crate::protocol::json;
use crate::protocol::offset::Offset;

/// About how much is kept, in bytes.
const MAX_BYTES: usize = 16_384;

/// See the module's text. It ends at the tail.
#[derive(Debug)]
pub struct Latest {
    start: Offset,
    text: Vec<u8>,
}

impl Latest {
    /// Nothing, of a stream that ends at `tail`.
    pub fn none(tail: Offset) -> Self {
        Self {
            start: tail,
            text: Vec::new(),
        }
    }

    /// Adds what was appended between `before` and `after`.
    pub fn add(&mut self, before: Offset, after: Offset, text: &[u8], is_json: bool) {
        if before == after {
            return;
        }
        if text.len() > MAX_BYTES {
            *self = Self::none(after);
            return;
        }
        if self.text.len().saturating_add(text.len()) > MAX_BYTES {
            *self = Self::none(before);
        }
        if is_json && !self.text.is_empty() {
            self.text.extend_from_slice(json::SEPARATOR);
        }
        self.text.extend_from_slice(text);
    }

    /// Everything from `offset` on, if all of it is here.
    pub fn since(&self, offset: Offset, is_json: bool) -> Option<&[u8]> {
        let skip = offset.position().checked_sub(self.start.position())?;
        let start = if is_json {
            json::start_of(&self.text, skip)?
        } else {
            usize::try_from(skip).ok()?
        };
        self.text.get(start..).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(position: u64) -> Offset {
        Offset::new(position).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_here_is_the_end_of_all(
            sizes in prop::collection::vec(0usize..7000, 1..20),
            is_json: bool,
            from in 0u64..20_000,
        ) {
            let mut latest = Latest::none(Offset::START);
            let (mut all, mut tail, mut last) = (Vec::new(), 0, 0);
            for (n, size) in sizes.into_iter().enumerate() {
                let text = (n % 10).to_string().repeat(size).into_bytes();
                let count = if is_json { u64::from(size > 0) } else { size as u64 };
                latest.add(at(tail), at(tail + count), &text, is_json);
                if count > 0 {
                    last = tail;
                }
                tail += count;
                if is_json && count > 0 {
                    all.push(text);
                } else if !is_json {
                    all.extend(text.into_iter().map(|byte| vec![byte]));
                }
            }
            let separator = if is_json { json::SEPARATOR } else { b"" };
            let from = from % (tail + 1);
            if let Some(rest) = latest.since(at(from), is_json) {
                prop_assert_eq!(rest, all[from as usize..].join(separator));
            } else {
                prop_assert!(from < last || from == tail, "the last append is here");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut latest = Latest::none(at(3));
        latest.add(at(3), at(4), b"1", true);
        latest.add(at(4), at(5), &[b'2'; MAX_BYTES + 1], true);
        assert_eq!(latest.since(at(3), true), None);
        assert_eq!(latest.since(at(4), true), None);
        latest.add(at(5), at(6), b"3", true);
        assert_eq!(latest.since(at(5), true), Some(&b"3"[..]));
        assert_eq!(latest.since(at(4), true), None);
    }
}
