//! Envelopes: each message of a copy says which stream it is of, and where a reader of that stream
//! goes on behind it. Messages pass through as they are stored, byte by byte.

use std::fmt::Write;

use serde_json::Value;

use crate::protocol::ask::Slice;
use crate::protocol::offset::Offset;

/// A piece is as long as this, in bytes, if one message alone is not longer.
const MOST: usize = 256 << 10;

/// Some of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The position behind which it is all that there is.
    pub behind: u64,
    /// The position up to which it goes.
    pub to: u64,
    /// Its messages, each on a line, which is ended; or base64.
    pub content: String,
    /// Whether it is base64.
    pub base64: bool,
}

/// Puts the messages of a slice into envelopes. As these may be much longer than what is in them, more
/// than one piece may come of it. Nothing comes of a slice that does not hold what it says.
pub fn wrap(path: &str, slice: &Slice, content: &str) -> Option<Vec<Piece>> {
    let stream = Value::from(path).to_string();
    let mut pieces = Pieces::new(slice.behind);
    if slice.base64 {
        if !content.is_empty() {
            let offset = Offset::new(slice.to)?;
            let message = format_args!("\"{content}\",\"encoding\":\"base64\"");
            pieces.add(&stream, offset, message)?;
        }
        return Some(pieces.end(slice.to));
    }
    let mut position = slice.from;
    for line in content.split_terminator('\n') {
        position = position.checked_add(1)?;
        pieces.add(&stream, Offset::new(position)?, format_args!("{line}"))?;
    }
    (position == slice.to && is_ended(content)).then(|| pieces.end(slice.to))
}

/// A slice as it is, if it holds what it says.
pub fn plain(slice: &Slice, content: String) -> Option<Vec<Piece>> {
    let count = content.bytes().filter(|byte| *byte == b'\n').count();
    let is_whole = u64::try_from(count) == Ok(slice.to.saturating_sub(slice.from));
    let holds = slice.base64 || is_whole && is_ended(&content);
    holds.then(|| {
        vec![Piece {
            behind: slice.behind,
            to: slice.to,
            content,
            base64: slice.base64,
        }]
    })
}

fn is_ended(lines: &str) -> bool {
    lines.is_empty() || lines.ends_with('\n')
}

/// What comes of a slice.
struct Pieces {
    done: Vec<Piece>,
    behind: u64,
    to: u64,
    content: String,
}

impl Pieces {
    fn new(behind: u64) -> Self {
        Self {
            done: Vec::new(),
            behind,
            to: behind,
            content: String::new(),
        }
    }

    fn add(&mut self, stream: &str, offset: Offset, data: std::fmt::Arguments<'_>) -> Option<()> {
        let before = self.content.len();
        let content = &mut self.content;
        writeln!(
            content,
            "{{\"stream\":{stream},\"offset\":\"{offset}\",\"data\":{data}}}"
        )
        .ok()?;
        if before > 0 && content.len() > MOST {
            let next = content.split_off(before);
            self.cut();
            self.content = next;
        }
        self.to = offset.position();
        Some(())
    }

    fn cut(&mut self) {
        self.done.push(Piece {
            behind: self.behind,
            to: self.to,
            content: std::mem::take(&mut self.content),
            base64: false,
        });
        self.behind = self.to;
    }

    fn end(mut self, to: u64) -> Vec<Piece> {
        self.to = to;
        self.cut();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn slice(behind: u64, from: u64, to: u64, base64: bool) -> Slice {
        Slice {
            behind,
            from,
            to,
            base64,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,9}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("\\PC{0,4}", inner, 0..4)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn envelopes_hold_what_was_stored(
            path in any::<String>(),
            values in proptest::collection::vec(value(), 0..20),
            (behind, gap) in (0u64..1 << 40, 0u64..9),
        ) {
            let from = behind + gap;
            let to = from + values.len() as u64;
            let lines: Vec<String> = values.iter().map(Value::to_string).collect();
            let content: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let pieces = wrap(&path, &slice(behind, from, to, false), &content).unwrap();
            prop_assert_eq!(pieces.len(), 1);
            prop_assert_eq!((pieces[0].behind, pieces[0].to), (behind, to));
            let wrapped: Vec<&str> = pieces[0].content.split_terminator('\n').collect();
            prop_assert_eq!(wrapped.len(), values.len());
            for (n, (line, value)) in wrapped.iter().zip(&values).enumerate() {
                let offset = Offset::new(from + n as u64 + 1).unwrap().to_string();
                let read: Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(read, json!({ "stream": path, "offset": offset, "data": value }));
                let data = format!("\"data\":{}}}", lines[n]);
                prop_assert!(line.ends_with(&data));
            }
        }
    }

    #[test]
    fn messages_pass_through_unchanged() {
        let content = "{\"b\":1.50,\"a\":1e3,\"b\":\"\\u00e9\\/\"}\n";
        let pieces = wrap("x", &slice(0, 0, 1, false), content).unwrap();
        let offset = Offset::new(1).unwrap();
        let line = content.trim_end();
        assert_eq!(
            pieces[0].content,
            format!("{{\"stream\":\"x\",\"offset\":\"{offset}\",\"data\":{line}}}\n")
        );
    }

    #[test]
    fn what_is_not_json_is_one_message_of_base64() {
        let pieces = wrap("a/b", &slice(3, 4, 9, true), "aGVsbG8=").unwrap();
        let offset = Offset::new(9).unwrap().to_string();
        assert_eq!((pieces.len(), pieces[0].behind, pieces[0].to), (1, 3, 9));
        assert!(!pieces[0].base64);
        let read: Value = serde_json::from_str(&pieces[0].content).unwrap();
        let expected = json!({
            "stream": "a/b", "offset": offset, "data": "aGVsbG8=", "encoding": "base64",
        });
        assert_eq!(read, expected);
        let nothing = wrap("a", &slice(3, 3, 3, true), "").unwrap();
        assert_eq!((nothing.len(), nothing[0].content.as_str()), (1, ""));
    }

    #[test]
    fn many_small_messages_become_pieces_that_follow_each_other() {
        let count = 20_000;
        let content = "1\n".repeat(count);
        let pieces = wrap("s", &slice(5, 7, 7 + count as u64, false), &content).unwrap();
        assert!(pieces.len() > 2);
        assert!(pieces.iter().all(|piece| piece.content.len() <= MOST));
        assert_eq!(pieces[0].behind, 5);
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].to, pair[1].behind);
            let lines = pair[1].content.lines().count() as u64;
            assert_eq!(pair[1].to - pair[1].behind, lines);
        }
        assert_eq!(pieces.last().unwrap().to, 7 + count as u64);
        let long = format!("\"{}\"\n1\n", "x".repeat(MOST));
        let pieces = wrap("s", &slice(0, 0, 2, false), &long).unwrap();
        let ends: Vec<u64> = pieces.iter().map(|piece| piece.to).collect();
        assert_eq!(ends, [1, 2]);
    }

    #[test]
    fn what_does_not_hold_what_it_says_is_refused() {
        for (content, to) in [("1\n", 2), ("1\n2\n", 1), ("1", 1), ("1\n2", 2), ("", 1)] {
            let said = slice(0, 0, to, false);
            assert_eq!(wrap("s", &said, content), None, "{content:?}");
            assert_eq!(plain(&said, content.to_owned()), None, "{content:?}");
        }
        let whole = plain(&slice(0, 0, 2, false), "1\n2\n".to_owned()).unwrap();
        assert_eq!((whole.len(), whole[0].to), (1, 2));
        let bytes = plain(&slice(0, 0, 5, true), "aGVsbG8=".to_owned()).unwrap();
        assert!(bytes[0].base64);
    }
}
