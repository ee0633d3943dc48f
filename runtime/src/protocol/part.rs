//! Answers whose data lies elsewhere: the parts of a page that are ranges of stored objects, and
//! the plan by which whoever answers puts them together.

use serde::{Deserialize, Serialize};

use super::checksum::Running;
use super::error::Error;
use super::json;
use super::version::{self, SPOKEN};

/// What stands at the start of a JSON answer.
pub const OPEN: &[u8] = b"[";
/// What stands at its end.
pub const CLOSE: &[u8] = b"]";

/// A range of a stored object that is part of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The object's key.
    pub key: String,
    /// The object's length in bytes. An object of another length is not the one that was stored.
    pub size: u64,
    /// The entity tag that the object had when it was stored. A copy of it has another one when
    /// it was put in other pieces.
    pub etag: String,
    /// The [checksum](super::checksum) of the whole object. Objects that were stored before there
    /// was one have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc: Option<u32>,
    /// Where the range starts.
    pub offset: u64,
    /// The length of the range in bytes; never 0.
    pub length: u64,
    /// Which lines of the range belong to the answer; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,
}

/// Some of the lines of a range of JSON messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// How many messages come before.
    pub skip: u64,
    /// How many messages belong to the answer.
    pub take: u64,
}

/// What an object's length and entity tag say about whether it is the one that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is.
    Same,
    /// It is if its content is: see [`Part::verifier`].
    ToVerify,
    /// It is not.
    Other,
}

impl Part {
    /// What can be said of an object without reading it.
    pub fn identity(&self, size: u64, etag: &str) -> Identity {
        if size != self.size {
            return Identity::Other;
        }
        match self.crc {
            _ if etag == self.etag => Identity::Same,
            Some(_) => Identity::ToVerify,
            // A key is only ever used for one stream's content in one range. What lies there in
            // the right length is either that or damaged, which nobody can tell any more; to
            // refuse it would make a bucket that was restored unreadable for ever.
            None => Identity::Same,
        }
    }

    /// Looks whether an object holds what was stored. All of it has to be shown to it.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            found: Running::default(),
            size: self.size,
            crc: self.crc,
        }
    }

    /// Whether this is the whole of the object that was stored.
    pub fn verify(&self, object: &[u8]) -> bool {
        let mut verifier = self.verifier();
        verifier.update(object);
        verifier.is_same()
    }
}

/// See [`Part::verifier`].
#[derive(Clone)]
pub struct Verifier {
    found: Running,
    size: u64,
    crc: Option<u32>,
}

impl Verifier {
    /// Takes the next bytes of the object.
    pub fn update(&mut self, chunk: &[u8]) {
        self.found.update(chunk);
    }

    /// Whether what has come is what was stored. Without a checksum, so many bytes are.
    pub fn is_same(self) -> bool {
        let (size, crc) = self.found.finish();
        size == self.size && self.crc.is_none_or(|stored| stored == crc)
    }
}

impl Lines {
    /// Cuts the lines out of their range, without a separator at either end; `None` when there
    /// are fewer.
    pub fn cut(self, range: &[u8]) -> Option<&[u8]> {
        let range = range.get(json::start_of(range, self.skip)?..)?;
        match json::start_of(range, self.take) {
            Some(end) => range.get(..end.checked_sub(json::SEPARATOR.len())?),
            // The last line has no separator behind it.
            None => {
                let last = self.take.checked_sub(1)?;
                json::start_of(range, last).map(|_| range)
            }
        }
    }
}

/// How an answer is put together: its parts, one after the other, and then what the plan came
/// with. For JSON, each of them is some messages without what encloses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether the answer is a JSON array.
    pub is_json: bool,
    /// The parts in order.
    pub parts: Vec<Part>,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What encloses or separates the others.
    Text(&'static [u8]),
    /// What this part comes to.
    Part(&'a Part),
    /// What came with the plan.
    Rest,
}

impl Plan {
    /// The plan as text. It states its version.
    pub fn encode(&self) -> Vec<u8> {
        let Self { is_json, parts } = self;
        let plan = serde_json::json!({ "v": SPOKEN, "is_json": is_json, "parts": parts });
        plan.to_string().into_bytes()
    }

    /// Reads what [`Plan::encode`] made, in this release or an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`], [`Error::Unavailable`] for what is malformed.
    pub fn decode(text: &[u8]) -> Result<Self, Error> {
        version::read("a plan", text, SPOKEN).map_err(version::Unreadable::said)
    }

    /// What the answer consists of, in order. Without a rest, nothing came with the plan.
    pub fn pieces(&self, has_rest: bool) -> Vec<Piece<'_>> {
        let parts = self.parts.iter().map(Piece::Part);
        let rest = has_rest.then_some(Piece::Rest);
        let mut pieces = Vec::new();
        for piece in parts.chain(rest) {
            if self.is_json {
                let before = if pieces.is_empty() {
                    OPEN
                } else {
                    json::SEPARATOR
                };
                pieces.push(Piece::Text(before));
            }
            pieces.push(piece);
        }
        if self.is_json {
            pieces.push(Piece::Text(CLOSE));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(lines: Option<Lines>) -> Part {
        Part {
            key: "streams/a/1/0-9".into(),
            size: 9,
            etag: "e".into(),
            crc: Some(7),
            offset: 1,
            length: 7,
            lines,
        }
    }

    #[test]
    fn json_gets_what_encloses_and_separates() {
        let plan = |is_json, count| Plan {
            is_json,
            parts: vec![part(None); count],
        };
        let texts = |plan: &Plan, has_rest| -> String {
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Piece::Part(_) => "<part>".to_owned(),
                Piece::Rest => "<rest>".to_owned(),
            };
            plan.pieces(has_rest).iter().map(text).collect()
        };
        assert_eq!(texts(&plan(true, 2), true), "[<part>,\n<part>,\n<rest>]");
        assert_eq!(texts(&plan(true, 1), false), "[<part>]");
        assert_eq!(texts(&plan(false, 2), true), "<part><part><rest>");
    }

    #[test]
    fn too_few_lines_are_noticed() {
        let cut = |skip, take| Lines { skip, take }.cut(b"1,\n2,\n3");
        assert_eq!(cut(0, 3), Some(&b"1,\n2,\n3"[..]));
        assert_eq!(cut(1, 1), Some(&b"2"[..]));
        assert_eq!(cut(2, 1), Some(&b"3"[..]));
        assert_eq!(cut(2, 2), None);
        assert_eq!(cut(3, 1), None);
        assert_eq!(cut(0, 4), None);
        assert_eq!(cut(0, 0), None);
    }

    #[test]
    fn plans_of_other_releases() {
        // As version 1 wrote it.
        let first = br#"{"is_json":true,"parts":[{"etag":"e","key":"k","length":7,"lines":{"skip":1,"take":2},"offset":1,"size":9},{"etag":"e","key":"k","length":7,"offset":1,"size":9}]}"#;
        let plan = Plan::decode(first).unwrap();
        assert_eq!(plan.parts.len(), 2);
        assert_eq!(plan.parts[0].lines, Some(Lines { skip: 1, take: 2 }));
        assert_eq!(plan.parts[1].crc, None);

        let newer = Plan::decode(br#"{"v":99,"pieces":[]}"#);
        assert!(matches!(newer, Err(Error::Newer(_))), "{newer:?}");
        let malformed = Plan::decode(b"[");
        assert!(matches!(malformed, Err(Error::Unavailable(_))));
    }

    #[test]
    fn a_copy_is_told_from_another_object() {
        let object = b"[1,\n2,\n3]";
        let stored = Part {
            size: object.len() as u64,
            crc: Some(super::super::checksum::of(object)),
            ..part(None)
        };
        let old = Part {
            crc: None,
            ..stored.clone()
        };
        assert_eq!(stored.identity(9, "e"), Identity::Same);
        assert_eq!(stored.identity(9, "f"), Identity::ToVerify);
        assert_eq!(old.identity(9, "f"), Identity::Same);
        for part in [&stored, &old] {
            assert_eq!(part.identity(8, "e"), Identity::Other);
            assert_eq!(part.identity(8, "f"), Identity::Other);
        }
        assert!(stored.verify(object));
        assert!(!stored.verify(b"[1,\n2,\n4]"), "damaged");
        assert!(!stored.verify(b"[1,\n2,\n3"), "cut off");
    }

    proptest! {
        #[test]
        fn lines_are_those_asked_for(
            messages in proptest::collection::vec("[a-z]{0,9}", 1..9),
            skip in 0usize..9,
            take in 1usize..9,
        ) {
            let text = messages.join(",\n").into_bytes();
            let lines = Lines { skip: skip as u64, take: take as u64 };
            let expected = messages.get(skip..skip + take).map(|m| m.join(",\n").into_bytes());
            prop_assert_eq!(lines.cut(&text), expected.as_deref());
        }

        #[test]
        fn plans_round_trip(is_json: bool, count in 0usize..4, skip: u64, take: u64) {
            let mut parts = vec![part(None); count];
            parts.push(part(Some(Lines { skip, take })));
            let plan = Plan { is_json, parts };
            prop_assert_eq!(Plan::decode(&plan.encode()), Ok(plan));
        }
    }
}
