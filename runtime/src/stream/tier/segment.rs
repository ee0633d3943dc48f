//! Segments: parts of a stream that lie in objects of their own, in the stream's own content, and
//! the index that says which positions are where. A JSON segment is an array with one message a
//! line.

use std::ops::ControlFlow;

use super::marks::{Frame, Mark};
use super::record::Record;
use super::sweep::Retiring;
use crate::protocol::offset::Offset;
use crate::protocol::part::{Lines, Part};
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};

/// The row of the segment that starts at position 0; the others follow by position. All of them
/// lie below the rows of producers, and are exact as JavaScript numbers.
const FIRST_ROW_ID: i64 = -(1 << 52);

/// Finds the last segment, as [`Segment::from_row`] reads it, with its `Stream-Seq`.
pub const SELECT_LAST: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id BETWEEN -4503599627370496 AND -4362862139015169 ORDER BY id DESC LIMIT 1";

/// Finds some segments, from the one that holds a position (its row id in `?1`) on.
pub const SELECT_FROM: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id >= (SELECT max(id) FROM stream WHERE id BETWEEN -4503599627370496 AND ?1) \
    AND id <= -4362862139015169 ORDER BY id LIMIT 8";

/// Finds the last segments, the last one first.
pub const SELECT_BACKWARDS: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id BETWEEN -4503599627370496 AND -4362862139015169 ORDER BY id DESC LIMIT 256";

/// The rows of all segments, from the lowest to the highest.
pub const ROWS: (i64, i64) = (FIRST_ROW_ID, -4_362_862_139_015_169);

/// Finds the last segments, the last one first, with how long their objects are. Nobody reads the rest
/// of so many records.
const SELECT_SIZES: &str = "SELECT id, count, json_extract(CAST(body AS TEXT), '$.size') FROM stream \
    WHERE id BETWEEN -4503599627370496 AND -4362862139015169 ORDER BY id DESC LIMIT 1000";

/// Finds the segments in a range of row ids.
const SELECT_BETWEEN: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id BETWEEN ?1 AND ?2 ORDER BY id";

const INSERT: &str = "INSERT INTO stream (id, count, body, seq) VALUES (?1, ?2, ?3, ?4)";

/// A segment of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first position in it.
    pub start: Offset,
    /// How many positions count.
    pub count: u64,
    /// Everything else.
    pub record: Record,
    /// The latest `Stream-Seq` up to its end.
    pub seq: Option<String>,
}

/// What a read takes from a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The parts in order.
    pub parts: Vec<Part>,
    /// How many positions are in them.
    pub count: u64,
    /// About how many bytes are in them: never less.
    pub bytes: u64,
}

impl Segment {
    /// Reads a row that one of this module's queries found.
    ///
    /// # Errors
    ///
    /// When [`Segment::statement`] did not make it.
    pub fn from_row(row: &dyn Row) -> Result<Self, StorageError> {
        let malformed = || StorageError::Failed("a segment's row is malformed".into());
        let position = row.integer(0).checked_sub(FIRST_ROW_ID);
        let position = position.and_then(|position| u64::try_from(position).ok());
        Ok(Self {
            start: position.and_then(Offset::new).ok_or_else(malformed)?,
            count: u64::try_from(row.integer(1)).map_err(|_| malformed())?,
            record: Record::decode(row.blob(2))?,
            seq: row.text(3).map(str::to_owned),
        })
    }

    /// The statement that puts the segment into the index; `record` is its own, encoded.
    pub fn statement<'a>(&'a self, record: &'a [u8]) -> Statement<'a> {
        Statement {
            sql: INSERT,
            params: vec![
                Param::Integer(row_id(self.start)),
                Param::Integer(i64::try_from(self.count).unwrap_or(i64::MAX)),
                Param::Blob(record),
                self.seq.as_deref().map_or(Param::Null, Param::Text),
            ],
        }
    }

    /// The position after the last one that counts.
    ///
    /// # Errors
    ///
    /// When that is beyond what a stream can hold.
    pub fn end(&self) -> Result<Offset, StorageError> {
        let end = self.start.advance(self.count);
        end.ok_or_else(|| StorageError::Failed("a segment ends beyond the largest offset".into()))
    }

    /// The object's key; `own` is what the keys of the stream's own objects start with.
    pub fn key(&self, own: &str) -> String {
        let prefix = self.record.owner.as_deref().unwrap_or(own);
        let holds = self.record.holds.unwrap_or(self.count);
        key(
            prefix,
            self.start,
            self.start.position().saturating_add(holds),
        )
    }

    /// What is noted of the object when it goes out of use.
    pub(super) fn retiring(&self, own: &str) -> Retiring {
        Retiring {
            key: self.key(own),
            born: self.record.born,
        }
    }

    /// Whether the object is the stream's own, and all of it counts.
    pub fn is_own(&self) -> bool {
        self.record.owner.is_none() && self.record.holds.is_none()
    }

    /// The whole object's content, without what encloses it.
    pub fn whole(&self, own: &str, is_json: bool) -> Part {
        let frame = Frame::of(is_json);
        let length = self.record.size.saturating_sub(frame.enclosing());
        self.part(own, frame, frame.first, length, None)
    }

    /// Takes what starts `skip` positions behind the segment's start: about `room` bytes, or,
    /// when something `must` be taken, the least there is to take.
    pub fn take(&self, own: &str, is_json: bool, skip: u64, room: u64, must: bool) -> Taken {
        if is_json {
            self.take_lines(own, skip, room, must)
        } else {
            self.take_bytes(own, skip, room, must)
        }
    }

    fn take_bytes(&self, own: &str, skip: u64, room: u64, must: bool) -> Taken {
        let furthest = skip.saturating_add(room).min(self.count);
        let mark = self.record.marks.iter().map(|(position, _)| *position);
        let end = if furthest == self.count {
            self.count
        } else if let Some(mark) = mark.rev().find(|mark| *mark <= furthest && *mark > skip) {
            mark
        } else if must {
            furthest.max(skip.saturating_add(1))
        } else {
            skip
        };
        let length = end.saturating_sub(skip);
        if length == 0 {
            return Taken::default();
        }
        Taken {
            parts: vec![self.part(own, Frame::of(false), skip, length, None)],
            count: length,
            bytes: length,
        }
    }

    /// Messages are found by the marks. What starts or ends between two of them is cut out of
    /// the block between them by whoever reads it.
    fn take_lines(&self, own: &str, skip: u64, room: u64, must: bool) -> Taken {
        let frame = Frame::of(true);
        let mut marks = self.marks(frame);
        let mut taken = Taken::default();
        // The last mark that does not lie behind the start.
        let mut at = (0, frame.first);
        while let Some(mark) = marks.next_if(|(position, _)| *position <= skip) {
            at = mark;
        }
        if at.0 < skip {
            let Some(mark) = marks.next() else {
                return taken;
            };
            let lines = Lines {
                skip: skip.saturating_sub(at.0),
                take: mark.0.min(self.count).saturating_sub(skip),
            };
            if !self.add(&mut taken, own, (at, mark), Some(lines), room, must) {
                return taken;
            }
            at = mark;
        }
        // Whole blocks, as one range.
        let mut last = at;
        while let Some(mark) = marks.next_if(|(position, byte)| {
            let length = frame.between(at.1, *byte);
            let fits = taken.bytes.saturating_add(length) <= room;
            let is_first = must && taken.count == 0 && last == at;
            *position <= self.count && (fits || is_first)
        }) {
            last = mark;
        }
        if last != at && !self.add(&mut taken, own, (at, last), None, room, true) {
            return taken;
        }
        // The segment may end between two marks, when not all that the object holds counts.
        if let Some(mark) = marks
            .next()
            .filter(|mark| last.0 < self.count && mark.0 > self.count)
        {
            let take = self.count.saturating_sub(last.0);
            let lines = Lines { skip: 0, take };
            let must = must && taken.count == 0;
            self.add(&mut taken, own, (last, mark), Some(lines), room, must);
        }
        taken
    }

    /// Adds the messages between two marks if they fit or must be added; says whether it did.
    fn add(
        &self,
        taken: &mut Taken,
        own: &str,
        (from, to): (Mark, Mark),
        lines: Option<Lines>,
        room: u64,
        must: bool,
    ) -> bool {
        let frame = Frame::of(true);
        let length = frame.between(from.1, to.1);
        let bytes = taken.bytes.saturating_add(length);
        if bytes > room && !must {
            return false;
        }
        let count = lines.map_or_else(|| to.0.saturating_sub(from.0), |lines| lines.take);
        taken
            .parts
            .push(self.part(own, frame, from.1, length, lines));
        taken.count = taken.count.saturating_add(count);
        // What stands between this and what follows it.
        taken.bytes = bytes.saturating_add(frame.separator);
        true
    }

    fn part(
        &self,
        own: &str,
        frame: Frame,
        offset: u64,
        length: u64,
        lines: Option<Lines>,
    ) -> Part {
        Part {
            key: self.key(own),
            size: self.record.size,
            etag: self.record.etag.clone(),
            crc: self
                .record
                .crc
                .map(|crc| frame.enclose(crc, self.record.size)),
            offset,
            length,
            lines,
        }
    }

    /// All marks behind the first message, with the one behind the last.
    fn marks(&self, frame: Frame) -> std::iter::Peekable<impl Iterator<Item = Mark>> {
        let holds = self.record.holds.unwrap_or(self.count);
        let end = self.record.size.saturating_sub(frame.last);
        let last = (holds, end.saturating_add(frame.separator));
        self.record.marks.iter().copied().chain([last]).peekable()
    }
}

/// The segments that start before `end`, in order.
///
/// # Errors
///
/// When storage fails, or has what [`Segment::statement`] did not make.
pub fn before(storage: &impl Storage, end: Offset) -> Result<Vec<Segment>, StorageError> {
    between(storage, Offset::START, end)
}

/// The segments that start at `start` or behind it and before `end`, in order.
///
/// # Errors
///
/// As [`before`].
pub fn between(
    storage: &impl Storage,
    start: Offset,
    end: Offset,
) -> Result<Vec<Segment>, StorageError> {
    let first = Param::Integer(row_id(start));
    let last = Param::Integer(row_id(end).saturating_sub(1));
    select(storage, SELECT_BETWEEN, &[first, last], |_| Ok(true))
}

/// What is shown of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The first position in it.
    pub start: u64,
    /// How many positions count.
    pub count: u64,
    /// The length of its object in bytes.
    pub bytes: u64,
}

/// The last segments in order, 1000 at most.
///
/// # Errors
///
/// When storage fails.
pub fn shown(storage: &impl Storage) -> Result<Vec<Shown>, StorageError> {
    let mut shown = Vec::new();
    storage.query(SELECT_SIZES, &[], &mut |row| {
        let number = |value| u64::try_from(value).unwrap_or(0);
        shown.push(Shown {
            start: number(row.integer(0).saturating_sub(FIRST_ROW_ID)),
            count: number(row.integer(1)),
            bytes: number(row.integer(2)),
        });
        ControlFlow::Continue(())
    })?;
    shown.reverse();
    Ok(shown)
}

/// The segments that a query finds, up to the first that is not wanted.
///
/// # Errors
///
/// As [`before`], and what `is_wanted` fails with.
pub(super) fn select(
    storage: &impl Storage,
    sql: &'static str,
    params: &[Param<'_>],
    mut is_wanted: impl FnMut(&Segment) -> Result<bool, StorageError>,
) -> Result<Vec<Segment>, StorageError> {
    let mut segments = Vec::new();
    let mut outcome = Ok(());
    storage.query(sql, params, &mut |row| {
        let segment = Segment::from_row(row);
        match segment.and_then(|segment| Ok((is_wanted(&segment)?, segment))) {
            Ok((true, segment)) => {
                segments.push(segment);
                return ControlFlow::Continue(());
            }
            Ok(_) => {}
            Err(error) => outcome = Err(error),
        }
        ControlFlow::Break(())
    })?;
    outcome.map(|()| segments)
}

/// The row of the segment that starts at `position`.
pub fn row_id(position: Offset) -> i64 {
    FIRST_ROW_ID.saturating_add_unsigned(position.position())
}

/// The key of an object with the positions from `start` to `end`. Keys list in order.
pub fn key(prefix: &str, start: Offset, end: u64) -> String {
    format!("{prefix}{:016}-{end:016}", start.position())
}

/// The first position in the object with this key; `None` when [`key`] did not make it.
pub fn start_of(key: &str) -> Option<u64> {
    let (_, range) = key.rsplit_once('/')?;
    range.split_once('-')?.0.parse().ok()
}

/// Whether `key` is one that [`key`] makes with this prefix. Keys of other streams may start
/// like that, too, when their paths do.
pub fn is_key(prefix: &str, key: &str) -> bool {
    let range = key
        .strip_prefix(prefix)
        .and_then(|rest| rest.split_once('-'));
    let is_number = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit());
    range.is_some_and(|(start, end)| is_number(start) && is_number(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{checksum, json};
    use crate::stream::tier::marks::{content, joined_crc, joined_marks, joined_size, marks_of};
    use proptest::prelude::*;

    const PREFIX: &str = "streams/a/1/";

    /// An object with these messages, as sealing makes it.
    fn object(messages: &[String], is_json: bool) -> Vec<u8> {
        if is_json {
            format!("[{}]", messages.join(",\n")).into_bytes()
        } else {
            messages.concat().into_bytes()
        }
    }

    fn segment(start: u64, messages: &[String], is_json: bool) -> Segment {
        let body = object(messages, is_json);
        let count = if is_json { messages.len() } else { body.len() };
        Segment {
            start: Offset::new(start).unwrap(),
            count: count as u64,
            record: Record {
                size: body.len() as u64,
                etag: "e".into(),
                crc: Some(checksum::of(content(&body, is_json))),
                born: 0,
                holds: None,
                owner: None,
                marks: marks_of(&body, is_json),
            },
            seq: None,
        }
    }

    /// What the parts come to.
    fn read(parts: &[Part], object: &[u8], is_json: bool) -> Vec<u8> {
        let pieces = parts.iter().map(|part| {
            let end = part.offset + part.length;
            let range = &object[part.offset as usize..end as usize];
            part.lines.map_or(range, |lines| lines.cut(range).unwrap())
        });
        let separator: &[u8] = if is_json { json::SEPARATOR } else { b"" };
        pieces.collect::<Vec<_>>().join(separator)
    }

    #[test]
    fn keys_list_in_order_and_are_told_from_those_of_other_streams() {
        let at = |n| Offset::new(n).unwrap();
        let first = key(PREFIX, at(0), 7);
        assert_eq!(first, "streams/a/1/0000000000000000-0000000000000007");
        assert_eq!(start_of(&first), Some(0));
        assert_eq!(start_of(&key("streams/a/1-2/3-4/", at(7), 11)), Some(7));
        assert_eq!(start_of("streams/a/1/something-else"), None);
        assert!(first < key(PREFIX, at(7), 11));
        assert!(is_key(PREFIX, &first));
        // A stream may be called like the prefix of another.
        assert!(!is_key(PREFIX, &key("streams/a/1/2/", at(0), 7)));
        assert!(!is_key(PREFIX, &key("streams/b/1/", at(0), 7)));
        assert!(!is_key(PREFIX, "streams/a/1/something-else"));
    }

    #[test]
    fn rows_of_segments_lie_below_all_others_and_are_exact() {
        assert_eq!(row_id(Offset::START), -4_503_599_627_370_496);
        assert_eq!(row_id(Offset::MAX), -4_362_862_139_015_169);
        assert!(SELECT_LAST.contains("BETWEEN -4503599627370496 AND -4362862139015169"));
    }

    proptest! {
        /// Whatever is taken, in whatever steps: it is what comes next, and it fits.
        #[test]
        fn what_is_taken_comes_next_and_fits(
            messages in proptest::collection::vec("[a-z]{1,30}", 1..30),
            is_json: bool,
            covers in 0.1f64..=1.0,
            skip in 0.0f64..1.0,
            room in 0u64..200,
            must: bool,
        ) {
            let whole = segment(5, &messages, is_json);
            let object = object(&messages, is_json);
            // Not all that the object holds has to count.
            let count = ((whole.count as f64 * covers) as u64).max(1);
            let holds = (count < whole.count).then_some(whole.count);
            let record = Record { holds, ..whole.record };
            let segment = Segment { count, record, ..whole };
            let skip = (count as f64 * skip) as u64;
            let taken = segment.take(PREFIX, is_json, skip, room, must);

            prop_assert!(skip + taken.count <= count);
            prop_assert!(taken.parts.len() <= 3);
            prop_assert!(!must || taken.count > 0);
            prop_assert!(must || taken.bytes <= room + 2 * taken.parts.len() as u64);
            let expected = if is_json {
                let end = (skip + taken.count) as usize;
                messages[skip as usize..end].join(",\n").into_bytes()
            } else {
                object[skip as usize..(skip + taken.count) as usize].to_vec()
            };
            prop_assert!(expected.len() as u64 <= taken.bytes);
            prop_assert_eq!(read(&taken.parts, &object, is_json), expected);
            for part in &taken.parts {
                prop_assert_eq!(&part.key, &segment.key(PREFIX));
                prop_assert!(part.length > 0);
                prop_assert!(part.verify(&object));
            }
        }

        /// With room for everything, everything is taken, whatever the start.
        #[test]
        fn nothing_is_left_when_there_is_room(
            messages in proptest::collection::vec("[a-z]{1,30}", 1..30),
            is_json: bool,
            skip in 0.0f64..1.0,
        ) {
            let segment = segment(0, &messages, is_json);
            let skip = (segment.count as f64 * skip) as u64;
            let taken = segment.take(PREFIX, is_json, skip, 10_000, false);
            prop_assert_eq!(skip + taken.count, segment.count);
        }

        /// A merged object has the marks, the size and the checksum that its content has.
        #[test]
        fn merged_segments_are_as_if_sealed_at_once(
            groups in proptest::collection::vec(
                proptest::collection::vec("[a-z]{1,30}", 1..12), 1..6),
            is_json: bool,
        ) {
            let mut start = 0;
            let mut segments = Vec::new();
            for messages in &groups {
                segments.push(segment(start, messages, is_json));
                start += segments.last().unwrap().count;
            }
            let object = object(&groups.concat(), is_json);
            prop_assert_eq!(joined_size(&segments, is_json), object.len() as u64);
            let crc = checksum::of(content(&object, is_json));
            prop_assert_eq!(joined_crc(&segments, is_json), Some(crc));
            let first = segments.first_mut().unwrap();
            prop_assert!(first.whole(PREFIX, is_json).verify(&self::object(&groups[0], is_json)));
            first.record.crc = None;
            prop_assert_eq!(joined_crc(&segments, is_json), None, "of one nobody knows it");
            let starts: Vec<Mark> = if is_json {
                let ends = object.iter().enumerate().filter(|(_, b)| **b == b'\n');
                (1..).zip(ends).map(|(k, (at, _))| (k, at as u64 + 1)).collect()
            } else {
                (1..object.len() as u64).map(|at| (at, at)).collect()
            };
            for mark in joined_marks(&segments, is_json) {
                prop_assert!(starts.contains(&mark), "{:?}", mark);
            }
        }
    }
}
