//! How data lies in rows. Rows written are what storage costs, so a row is a chunk of many
//! messages: an append joins the last chunk while that stays small, and starts a new one else.
//! One row is written either way.
//!
//! A chunk's row id is the position it starts at times `PARTS`. The rest is for the one case
//! that does not fit: a JSON message larger than a row lies in parts, in rows that follow each
//! other; the first counts 1 message, the others 0.

use crate::protocol::json;
use crate::protocol::offset::Offset;
use crate::stream::storage::{Param, Row, Statement};
use crate::stream::will::Mark;

/// Row ids per position.
const PARTS: i64 = 64;

/// The rows of all chunks, from the lowest to the highest.
pub const ROWS: (i64, i64) = (0, (1 << 53) - 1);

/// Finds the row that ends the stream, as [`Tail::from_row`] reads it.
pub const SELECT_LAST: &str =
    "SELECT id, count, length(body), seq FROM stream WHERE id >= 0 ORDER BY id DESC LIMIT 1";

/// Finds the chunks from the one that holds a position (its row id in `?1`) to the last one before
/// another (`?2`), but not more than `?3`.
pub const SELECT_FROM: &str = "SELECT id, count, body FROM stream \
    WHERE id >= (SELECT max(id) FROM stream WHERE id BETWEEN 0 AND ?1) AND id < ?2 \
    ORDER BY id LIMIT ?3";

/// Finds the chunks behind a row (its id in `?1`), as [`SELECT_FROM`] does.
pub const SELECT_AFTER: &str =
    "SELECT id, count, body FROM stream WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";

/// Finds the last row before another (its id in `?1`).
pub const SELECT_LAST_BEFORE: &str = "SELECT id, count, body, seq FROM stream \
    WHERE id >= 0 AND id < ?1 ORDER BY id DESC LIMIT 1";

/// Removes the rows before one (its id in `?1`).
pub const DELETE_BEFORE: &str = "DELETE FROM stream WHERE id >= 0 AND id < ?1";

const EXTEND: &str = "UPDATE stream SET body = CAST(body || ?1 AS BLOB), count = count + ?2, \
    seq = ?3 WHERE id = ?4";

/// The same of streams with a will.
const EXTEND_AT: &str = "UPDATE stream SET body = CAST(body || ?1 AS BLOB), count = count + ?2, \
    seq = ?3, at = ?5 WHERE id = ?4";

/// Adds a row.
pub const INSERT: &str = "INSERT INTO stream (id, count, body, seq) VALUES (?1, ?2, ?3, ?4)";

/// The same of streams with a will.
const INSERT_AT: &str = "INSERT INTO stream (id, count, body, seq, at) VALUES (?1, ?2, ?3, ?4, ?5)";

/// How large rows get, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct RowLimits {
    /// An append joins the last chunk up to this size.
    pub chunk: usize,
    /// No row is larger than this.
    pub row: usize,
}

impl Default for RowLimits {
    fn default() -> Self {
        // A chunk that stays inside a page of 4096 bytes is written as one page; a larger one takes
        // about twice as long. The platform takes rows of 2 MB, everything in them included.
        Self {
            chunk: 3200,
            row: 1_900_000,
        }
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId {
    /// The position of the first message or byte in it.
    pub position: u64,
    /// 0, or for the continuation of a message its number.
    pub part: u32,
}

impl RowId {
    /// The row of a chunk that starts at `position`.
    pub fn chunk(position: Offset) -> Self {
        Self {
            position: position.position(),
            part: 0,
        }
    }

    /// The id in the database; `None` outside what the format can hold.
    pub fn encode(self) -> Option<i64> {
        let position = i64::try_from(Offset::new(self.position)?.position()).ok()?;
        let part = i64::from(self.part);
        (part < PARTS).then_some(())?;
        position.checked_mul(PARTS)?.checked_add(part)
    }

    /// Takes an id from the database; negative ones are no chunks.
    pub fn decode(id: i64) -> Option<Self> {
        let position = u64::try_from(id.checked_div_euclid(PARTS)?).ok()?;
        let part = u32::try_from(id.checked_rem_euclid(PARTS)?).ok()?;
        Some(Self { position, part })
    }
}

/// The end of a stream: what an append has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The offset of the next message or byte.
    pub offset: Offset,
    /// The latest `Stream-Seq`.
    pub seq: Option<String>,
    /// The chunk that the next append may join, and its size in bytes.
    last: Option<(RowId, usize)>,
}

impl Tail {
    /// Reads a row that [`SELECT_LAST`] found.
    pub fn from_row(row: &dyn Row) -> Option<Self> {
        let id = RowId::decode(row.integer(0))?;
        let count = u64::try_from(row.integer(1)).ok()?;
        let bytes = usize::try_from(row.integer(2)).ok()?;
        let count = if id.part == 0 { count } else { 1 };
        Some(Self {
            offset: Offset::new(id.position)?.advance(count)?,
            seq: row.text(3).map(str::to_owned),
            last: (id.part == 0).then_some((id, bytes)),
        })
    }

    /// The end of a stream without chunks.
    pub fn bare(offset: Offset, seq: Option<String>) -> Self {
        Self {
            offset,
            seq,
            last: None,
        }
    }

    /// Lets the next append start a new chunk.
    pub fn end_chunk(&mut self) {
        self.last = None;
    }

    /// Takes into account that no row before `start` is left; the row there, if `start` was
    /// inside one before, has `bytes`.
    pub fn cut_off(&mut self, start: Offset, bytes: Option<usize>) {
        if let Some((id, _)) = self.last
            && id.position < start.position()
        {
            self.last = bytes.map(|bytes| (RowId::chunk(start), bytes));
        }
    }
}

/// Data to append: as stored, and how many positions it takes.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// JSON messages joined by [`json::SEPARATOR`], or plain bytes.
    pub body: &'a [u8],
    /// Messages or bytes.
    pub count: u64,
    /// Whether the stream is in JSON mode.
    pub is_json: bool,
}

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Write<'a> {
    /// A copy, with the separator before it: it is never longer than a chunk.
    Extend {
        id: i64,
        body: Vec<u8>,
        count: i64,
    },
    Insert {
        id: i64,
        body: &'a [u8],
        count: i64,
    },
}

/// The rows that an append writes, and the tail after it.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The tail after the append.
    pub tail: Tail,
    writes: Vec<Write<'a>>,
    /// What the rows say of when they were written, in streams with a will.
    mark: Option<String>,
}

impl<'a> Plan<'a> {
    /// Plans an append after `tail` that leaves `seq` as the latest `Stream-Seq`. `None` when the
    /// data reaches beyond [`Offset::MAX`] or a message takes more than `PARTS` rows.
    pub fn new(
        tail: &Tail,
        data: Data<'a>,
        seq: Option<String>,
        limits: RowLimits,
    ) -> Option<Self> {
        let end = tail.offset.advance(data.count)?;
        if let Some((id, bytes)) = joinable(tail, data, limits) {
            let mut body = Vec::with_capacity(data.body.len().saturating_add(2));
            if data.is_json {
                body.extend_from_slice(json::SEPARATOR);
            }
            body.extend_from_slice(data.body);
            let last = Some((id, bytes.saturating_add(body.len())));
            let count = i64::try_from(data.count).ok()?;
            let writes = vec![Write::Extend {
                id: id.encode()?,
                body,
                count,
            }];
            return Some(Self {
                tail: Tail {
                    offset: end,
                    seq,
                    last,
                },
                writes,
                mark: None,
            });
        }
        let mut writes = Vec::new();
        let mut last = None;
        for (id, body, count) in split(tail.offset, data, limits.row) {
            last = (id.part == 0).then_some((id, body.len()));
            let count = i64::try_from(count).ok()?;
            writes.push(Write::Insert {
                id: id.encode()?,
                body,
                count,
            });
        }
        Some(Self {
            tail: Tail {
                offset: end,
                seq,
                last,
            },
            writes,
            mark: None,
        })
    }

    /// The same for a stream with a will: what is appended at a time, in milliseconds since the Unix
    /// epoch.
    #[must_use]
    pub fn at(mut self, time: Option<u64>) -> Self {
        self.mark = time.map(|time| Mark::new(self.tail.offset, time).encode());
        self
    }

    /// The plan of an append without data: nothing.
    pub fn nothing(tail: &Tail, seq: Option<String>) -> Self {
        Self {
            tail: Tail {
                seq,
                ..tail.clone()
            },
            writes: Vec::new(),
            mark: None,
        }
    }

    /// The plan as statements. Every row carries the latest `Stream-Seq`, so that the last one
    /// always has it.
    pub fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        let seq = self.tail.seq.as_deref().map_or(Param::Null, Param::Text);
        let mark = self.mark.as_deref().map(Param::Text);
        let (extend, insert) = match mark {
            Some(_) => (EXTEND_AT, INSERT_AT),
            None => (EXTEND, INSERT),
        };
        self.writes.iter().map(move |write| match write {
            Write::Extend { id, body, count } => Statement {
                sql: extend,
                params: with(
                    mark,
                    vec![
                        Param::Blob(body),
                        Param::Integer(*count),
                        seq,
                        Param::Integer(*id),
                    ],
                ),
            },
            Write::Insert { id, body, count } => Statement {
                sql: insert,
                params: with(
                    mark,
                    vec![
                        Param::Integer(*id),
                        Param::Integer(*count),
                        Param::Blob(body),
                        seq,
                    ],
                ),
            },
        })
    }
}

fn with<'a>(mark: Option<Param<'a>>, mut params: Vec<Param<'a>>) -> Vec<Param<'a>> {
    params.extend(mark);
    params
}

/// The last chunk, if the data fits in.
fn joinable(tail: &Tail, data: Data, limits: RowLimits) -> Option<(RowId, usize)> {
    let (id, bytes) = tail.last?;
    let size = bytes
        .saturating_add(data.body.len())
        .saturating_add(json::SEPARATOR.len());
    (size <= limits.chunk).then_some((id, bytes))
}

/// Cuts data into rows: their ids, bodies and counts.
fn split(start: Offset, data: Data<'_>, max: usize) -> Vec<(RowId, &[u8], u64)> {
    let mut rows = Vec::new();
    let mut position = start.position();
    let mut rest = data.body;
    while !rest.is_empty() {
        let cut = Cut::whole_positions(rest, max, data.is_json);
        let mut pieces = cut.taken.chunks(max.max(1)).zip(0..);
        let mut count = cut.count;
        if let Some((piece, part)) = pieces.next() {
            rows.push((RowId { position, part }, piece, count));
            count = 0;
        }
        rows.extend(pieces.map(|(piece, part)| (RowId { position, part }, piece, count)));
        position = position.saturating_add(cut.count);
        rest = cut.rest;
    }
    rows
}

/// The start of some data, cut off where it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The start, at least one message or byte, without a separator at its end.
    pub taken: &'a [u8],
    /// The positions in it.
    pub count: u64,
    /// What follows it and the separator.
    pub rest: &'a [u8],
}

impl<'a> Cut<'a> {
    /// Takes as many whole messages, or bytes, as fit into `room`, but at least one message.
    /// Bytes are cut so that no character of UTF-8 text is torn.
    pub fn whole_positions(data: &'a [u8], room: usize, is_json: bool) -> Self {
        if is_json {
            Self::messages(data, room)
        } else {
            Self::bytes(data, room)
        }
    }

    /// Takes the first `count` positions, of which there have to be more.
    pub fn at(data: &'a [u8], count: u64, is_json: bool) -> Option<Self> {
        let (taken, rest) = if is_json {
            let rest = json::start_of(data, count)?;
            (rest.checked_sub(json::SEPARATOR.len())?, rest)
        } else {
            let length = usize::try_from(count).ok()?;
            (length, length)
        };
        Some(Self {
            taken: data.get(..taken)?,
            count,
            rest: data.get(rest..)?,
        })
    }

    fn messages(data: &'a [u8], room: usize) -> Self {
        let newlines = |part: &[u8]| part.iter().filter(|b| **b == b'\n').count();
        if data.len() <= room {
            return Self {
                taken: data,
                count: messages_in(newlines(data)),
                rest: &[],
            };
        }
        // A message of exactly `room` bytes is followed by a separator of two.
        let window = data
            .get(..room.saturating_add(json::SEPARATOR.len()))
            .unwrap_or(data);
        let newline = window
            .iter()
            .rposition(|b| *b == b'\n')
            .or_else(|| data.iter().position(|b| *b == b'\n'))
            .unwrap_or(data.len());
        let taken = data.get(..newline).unwrap_or(data);
        let taken = taken.strip_suffix(b",").unwrap_or(taken);
        let rest = data.get(newline.saturating_add(1)..).unwrap_or(&[]);
        Self {
            taken,
            count: messages_in(newlines(taken)),
            rest,
        }
    }

    fn bytes(data: &'a [u8], room: usize) -> Self {
        let at = if data.len() <= room {
            data.len()
        } else {
            character_start(data, room.max(1))
        };
        let (taken, rest) = data.split_at_checked(at).unwrap_or((data, &[]));
        Self {
            taken,
            count: u64::try_from(taken.len()).unwrap_or(u64::MAX),
            rest,
        }
    }
}

fn messages_in(newlines: usize) -> u64 {
    u64::try_from(newlines)
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// The largest index up to `at` at which no character continues. Where none is near, the data is
/// no UTF-8 and `at` is as good as any.
pub(in crate::stream) fn character_start(data: &[u8], at: usize) -> usize {
    let continues = |i: usize| data.get(i).is_some_and(|b| b & 0b1100_0000 == 0b1000_0000);
    (0..4)
        .filter_map(|back| at.checked_sub(back))
        .find(|i| *i > 0 && !continues(*i))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_comma_of_a_message_is_its_own() {
        // `"a,"` ends in a quote; only a separator's comma stands before a line break.
        let cut = Cut::messages(b"\"a,\",\n\"b\"", 5);
        assert_eq!(
            (cut.taken, cut.count, cut.rest),
            (&b"\"a,\""[..], 1, &b"\"b\""[..])
        );
    }

    #[test]
    fn a_message_too_long_is_taken_whole() {
        let cut = Cut::messages(b"123456,\n7", 3);
        assert_eq!(
            (cut.taken, cut.count, cut.rest),
            (&b"123456"[..], 1, &b"7"[..])
        );
        let cut = Cut::messages(b"123456", 3);
        assert_eq!(
            (cut.taken, cut.count, cut.rest),
            (&b"123456"[..], 1, &b""[..])
        );
    }

    #[test]
    fn characters_stay_whole() {
        let text = "aé€😀".as_bytes();
        let lengths: Vec<usize> = (1..=10)
            .map(|room| Cut::bytes(text, room).taken.len())
            .collect();
        assert_eq!(lengths, [1, 1, 3, 3, 3, 6, 6, 6, 6, 10]);
        assert_eq!(
            Cut::bytes("é".as_bytes(), 1).taken.len(),
            1,
            "something is always taken"
        );
        assert_eq!(Cut::bytes(&[0x80; 9], 6).taken.len(), 6);
    }

    proptest! {
        #[test]
        fn row_ids_round_trip(position in 0..=Offset::MAX.position(), part in 0u32..64) {
            let id = RowId { position, part };
            prop_assert_eq!(RowId::decode(id.encode().unwrap()), Some(id));
            prop_assert!(id.encode().unwrap() < 1 << 53, "exact as a JavaScript number");
        }

        #[test]
        fn other_rows_are_no_chunks(id in i64::MIN..0) {
            prop_assert_eq!(RowId::decode(id), None);
        }

        #[test]
        fn cuts_lose_nothing(
            messages in proptest::collection::vec("[a-z,]{0,12}[a-z]", 1..12),
            room in 0usize..30,
        ) {
            let data = messages.join(",\n").into_bytes();
            let mut rest = &data[..];
            let mut seen = Vec::new();
            while !rest.is_empty() {
                let cut = Cut::messages(rest, room);
                let taken = std::str::from_utf8(cut.taken).unwrap();
                prop_assert_eq!(taken.split(",\n").count() as u64, cut.count);
                prop_assert!(cut.taken.len() <= room || cut.count == 1);
                seen.extend(taken.split(",\n").map(str::to_owned));
                rest = cut.rest;
            }
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn rows_hold_the_data_in_order(
            messages in proptest::collection::vec("[a-z]{1,12}", 1..9),
            is_json: bool,
            max in 1usize..20,
            start in 0u64..5,
        ) {
            let body = messages.join(",\n").into_bytes();
            let count = if is_json { messages.len() } else { body.len() } as u64;
            let start = Offset::new(start).unwrap();
            let rows = split(start, Data { body: &body, count, is_json }, max);
            let mut end = start.position();
            let mut joined = Vec::new();
            for (id, piece, count) in &rows {
                prop_assert!(piece.len() <= max);
                if id.part == 0 {
                    prop_assert_eq!(id.position, end);
                    if is_json && !joined.is_empty() {
                        joined.extend_from_slice(b",\n");
                    }
                } else {
                    prop_assert_eq!(id.position + 1, end);
                }
                joined.extend_from_slice(piece);
                end += count;
            }
            prop_assert_eq!(end, start.position() + count);
            prop_assert_eq!(joined, body);
        }
    }
}
