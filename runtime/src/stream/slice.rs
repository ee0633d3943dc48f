//! Slices: what subscriptions that copy the stream are given of it. A slice is read as [news] are, on
//! nobody's behalf, from the recent end and from segments, and put into words when the segments are
//! here: each JSON message on a line of its own, and everything else in base64.
//!
//! [news]: Stream::news

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Stream;
use super::storage::Storage;
use super::verbs::read;
use crate::protocol::ask;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::part::Part;

/// What there is of a stream behind a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extract {
    /// What tells the stream from others of its name.
    pub incarnation: String,
    /// The position behind which this is all that there is.
    pub behind: u64,
    /// The position at which it starts.
    pub from: Offset,
    /// The position up to which it goes.
    pub to: Offset,
    /// Whether that was the tail.
    pub is_all: bool,
    /// Where its start lies, if not here.
    pub parts: Vec<Part>,
    is_json: bool,
    /// The rest, without what encloses it.
    rest: Vec<u8>,
}

impl<S: Storage> Stream<S> {
    /// What is behind a position, in about so many bytes of text at most, but at least one message.
    /// What was dropped is passed over. Nothing if there is none, or no stream.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn extract(&mut self, behind: u64, most: usize) -> Result<Option<Extract>, Error> {
        self.turn(|stream| {
            stream.load()?;
            let Some(present) = stream.living() else {
                return Ok(None);
            };
            let tail = present.tail.offset;
            let Some(start) = Offset::new(behind).filter(|behind| *behind < tail) else {
                return Ok(None);
            };
            // Where all of it was dropped, nothing is what there is.
            let from = start.max(present.earliest());
            let is_json = present.birth.content_type.is_json();
            let room = match is_json {
                true => most,
                // Four characters for three bytes.
                false => (most >> 2).saturating_mul(3),
            };
            let mut collector = read::collect(&stream.storage, present, from, room)?;
            Ok(Some(Extract {
                incarnation: present.birth.name.incarnation.clone(),
                behind,
                from,
                to: collector.next(),
                is_all: collector.next() == tail,
                parts: collector.take_cold(),
                is_json,
                rest: collector.content(),
            }))
        })
    }

    /// The position behind which a slice starts that is to hold everything behind `behind`; nothing
    /// if there is no stream, or it is not loaded.
    pub fn slice_start(&self, behind: u64) -> Option<u64> {
        let earliest = self.living()?.earliest().position();
        Some(behind.max(earliest))
    }
}

impl Extract {
    /// About how long its text is, in bytes.
    pub fn length(&self) -> usize {
        let bytes = self.parts.iter().map(|part| part.length);
        let cold = usize::try_from(bytes.sum::<u64>()).unwrap_or(usize::MAX);
        cold.saturating_add(self.rest.len())
    }

    /// What is said of it.
    pub fn slice(&self) -> ask::Slice {
        ask::Slice {
            behind: self.behind,
            from: self.from.position(),
            to: self.to.position(),
            base64: !self.is_json,
        }
    }

    /// Its text, with what the parts have come to, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when that is not what was stored.
    pub fn text(&self, cold: &[Vec<u8>]) -> Result<String, Error> {
        let damaged = || Error::Storage(format!("what lies before {} is damaged", self.to));
        let mut pieces = Vec::with_capacity(cold.len().saturating_add(1));
        for (part, range) in self.parts.iter().zip(cold) {
            pieces.push(match part.lines {
                Some(lines) => lines.cut(range).ok_or_else(damaged)?,
                None => range,
            });
        }
        pieces.push(&self.rest);
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let count = self.to.since(self.from);
        if !self.is_json {
            let bytes: Vec<u8> = pieces.flatten().copied().collect();
            let is_whole = u64::try_from(bytes.len()) == Ok(count);
            return is_whole.then(|| STANDARD.encode(bytes)).ok_or_else(damaged);
        }
        let mut text = Vec::with_capacity(self.length().saturating_add(1));
        let mut lines = 0_u64;
        for piece in pieces {
            for line in piece.split(|byte| *byte == b'\n') {
                text.extend_from_slice(line.strip_suffix(b",").unwrap_or(line));
                text.push(b'\n');
                lines = lines.saturating_add(1);
            }
        }
        match String::from_utf8(text) {
            Ok(text) if lines == count => Ok(text),
            _ => Err(damaged()),
        }
    }
}
