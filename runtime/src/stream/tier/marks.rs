//! Where an object may be cut without being read: at marks, which the index keeps.

use super::segment::Segment;
use crate::protocol::checksum;
use crate::protocol::json;
use crate::protocol::part::{CLOSE, OPEN};
use crate::stream::log::chunk::character_start;

/// About how many marks a segment has.
const MARKS: usize = 256;

/// Marks are at least this many bytes apart.
#[cfg(not(test))]
const MIN_SPACING: usize = 4096;
/// So few that the small segments of tests have marks, too.
#[cfg(test)]
const MIN_SPACING: usize = 16;

/// A place at which a segment may be cut: the position there, counted from the segment's start,
/// and its place in the object.
pub type Mark = (u64, u64);

/// What an object has around and between messages or bytes, in bytes.
#[derive(Clone, Copy)]
pub(in crate::stream) struct Frame {
    /// Before the first one.
    pub first: u64,
    /// Behind the last one.
    pub last: u64,
    /// Between two of them.
    pub separator: u64,
}

impl Frame {
    /// What a JSON object has; one of bytes has nothing.
    pub fn of(is_json: bool) -> Self {
        let length = |text: &[u8]| {
            if is_json {
                u64::try_from(text.len()).unwrap_or(0)
            } else {
                0
            }
        };
        Self {
            first: length(OPEN),
            last: length(CLOSE),
            separator: length(json::SEPARATOR),
        }
    }

    /// Before the first one and behind the last.
    pub fn enclosing(self) -> u64 {
        self.first.saturating_add(self.last)
    }

    /// The checksum of an object of this size whose content has the checksum `crc`.
    pub fn enclose(self, crc: u32, size: u64) -> u32 {
        if self.enclosing() == 0 {
            return crc;
        }
        let content = size.saturating_sub(self.enclosing());
        let first = (checksum::of(OPEN), self.first);
        let last = (checksum::of(CLOSE), self.last);
        checksum::joined([first, (crc, content), last], b"")
    }

    /// The length of the messages from the one that starts at `from` to the one before `to`.
    pub fn between(self, from: u64, to: u64) -> u64 {
        to.saturating_sub(from).saturating_sub(self.separator)
    }
}

/// How far apart the marks of an object of this length are, in bytes.
fn spacing(size: u64) -> u64 {
    let least = u64::try_from(MIN_SPACING).unwrap_or(u64::MAX);
    let marks = u64::try_from(MARKS).unwrap_or(1);
    size.div_ceil(marks).max(least)
}

/// The marks of an object with this content.
pub fn marks_of(body: &[u8], is_json: bool) -> Vec<Mark> {
    let spacing = usize::try_from(spacing(widen(body.len()))).unwrap_or(usize::MAX);
    if !is_json {
        let places = (spacing..body.len()).step_by(spacing);
        let places = places.map(|at| widen(character_start(body, at)));
        return places.map(|at| (at, at)).collect();
    }
    let mut marks = Vec::new();
    let mut next = spacing;
    let line_ends = body.iter().enumerate().filter(|(_, b)| **b == b'\n');
    for (position, (at, _)) in (1..).zip(line_ends) {
        if at >= next {
            marks.push((position, widen(at).saturating_add(1)));
            next = at.saturating_add(spacing);
        }
    }
    marks
}

/// The marks of an object that holds what all of these do, one after the other.
pub fn joined_marks(segments: &[Segment], is_json: bool) -> Vec<Mark> {
    let frame = Frame::of(is_json);
    let content = |segment: &Segment| segment.record.size.saturating_sub(frame.enclosing());
    let spacing = spacing(segments.iter().map(content).fold(0, u64::saturating_add));
    let mut marks = Vec::new();
    let mut next = spacing;
    let (mut position, mut byte) = (0_u64, frame.first);
    for segment in segments {
        let own = segment.record.marks.iter();
        for mark in [(0, frame.first)].iter().chain(own) {
            let at = byte.saturating_add(mark.1).saturating_sub(frame.first);
            if at >= next {
                marks.push((position.saturating_add(mark.0), at));
                next = at.saturating_add(spacing);
            }
        }
        position = position.saturating_add(segment.count);
        byte = byte
            .saturating_add(content(segment))
            .saturating_add(frame.separator);
    }
    marks
}

/// How long an object is that holds what all of these do.
pub fn joined_size(segments: &[Segment], is_json: bool) -> u64 {
    let frame = Frame::of(is_json);
    let content = |segment: &Segment| {
        let content = segment.record.size.saturating_sub(frame.enclosing());
        content.saturating_add(frame.separator)
    };
    let contents = segments.iter().map(content).fold(0, u64::saturating_add);
    contents
        .saturating_sub(frame.separator)
        .saturating_add(frame.enclosing())
}

/// The checksum of what an object holds that holds what all of these do; `None` when it is not
/// known of all of them.
pub fn joined_crc(segments: &[Segment], is_json: bool) -> Option<u32> {
    let enclosing = Frame::of(is_json).enclosing();
    let piece = |segment: &Segment| {
        let record = &segment.record;
        record
            .crc
            .map(|crc| (crc, record.size.saturating_sub(enclosing)))
    };
    let pieces: Vec<_> = segments.iter().map(piece).collect::<Option<_>>()?;
    let separator = if is_json { json::SEPARATOR } else { b"" };
    Some(checksum::joined(pieces, separator))
}

/// What an object holds, without what encloses it.
pub fn content(object: &[u8], is_json: bool) -> &[u8] {
    if !is_json {
        return object;
    }
    let inside = object.strip_prefix(OPEN);
    inside
        .and_then(|inside| inside.strip_suffix(CLOSE))
        .unwrap_or(object)
}

fn widen(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_torn_at_marks() {
        let marks = marks_of("aéé€😀".repeat(30).as_bytes(), false);
        let text = "aéé€😀".repeat(30);
        assert!(marks.len() > 10);
        for (position, byte) in marks {
            assert_eq!(position, byte);
            assert!(text.is_char_boundary(byte as usize));
        }
    }
}
