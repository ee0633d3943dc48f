//! JSON mode (protocol section 9.1).

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::error::Error;

/// What stands between two messages, in storage and on the wire.
pub const SEPARATOR: &[u8] = b",\n";

/// The most messages one request may bring. It bounds how much longer than its body a batch can be:
/// each message takes a separator that is one byte longer than the sender's.
pub const MAX_MESSAGES: u64 = 1_000_000;

/// How deep arrays and objects may lie in each other. Whoever checks them remembers a byte or two for
/// each that is open.
const MAX_DEPTH: usize = 1_000_000;

/// RFC 8259 section 8.1 lets whoever parses JSON pass over it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How many bytes enclose the messages of an answer.
pub const BRACKETS: usize = 2;

/// The messages of one request, each on a line of its own, joined by [`SEPARATOR`].
///
/// The text of each message is the sender's: number spelling, key order and escapes survive.
/// Only white space between tokens is dropped, so that a message is exactly one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The joined messages, without enclosing brackets.
    pub text: Vec<u8>,
    /// How many messages there are; 0 for an empty array.
    pub count: u64,
}

/// Validates a request body and flattens one level of array (section 9.1.2), in one pass and into
/// one buffer that never has to grow. Before that, one that is long enough for it is looked through
/// for its depth.
///
/// # Errors
///
/// [`Error::Invalid`] that says where the JSON went wrong, [`Error::TooManyMessages`].
pub fn parse(body: &[u8]) -> Result<Batch, Error> {
    parse_at_most(body, MAX_MESSAGES)
}

fn parse_at_most(body: &[u8], limit: u64) -> Result<Batch, Error> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.len() > MAX_DEPTH && depth(body) > MAX_DEPTH {
        let rule = format!("must not nest arrays and objects deeper than {MAX_DEPTH}");
        return Err(Error::invalid("the body", rule));
    }
    let first = body.iter().find(|byte| !is_space(**byte));
    let mut messages = Messages {
        batch: Batch {
            text: Vec::with_capacity(most_bytes(body.len())),
            count: 0,
        },
        limit,
        is_over: false,
    };
    let mut json = Deserializer::from_slice(body);
    let read = if first == Some(&b'[') {
        json.deserialize_seq(&mut messages)
    } else {
        <&RawValue>::deserialize(&mut json).map(|message| messages.batch.add(message))
    };
    match read.and_then(|()| json.end()) {
        Ok(()) => Ok(messages.batch),
        Err(_) if messages.is_over => Err(Error::TooManyMessages { limit }),
        Err(error) => Err(Error::invalid("the body", format!("must be JSON: {error}"))),
    }
}

/// How long the text of a body of so many bytes may get: a message takes two of them at least.
fn most_bytes(body: usize) -> usize {
    let most = usize::try_from(MAX_MESSAGES).unwrap_or(usize::MAX);
    body.saturating_add((body >> 1).min(most))
}

/// The messages of an array, taken as they are parsed.
struct Messages {
    batch: Batch,
    limit: u64,
    is_over: bool,
}

impl<'de> Visitor<'de> for &mut Messages {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(message) = array.next_element::<&RawValue>()? {
            if self.batch.count >= self.limit {
                self.is_over = true;
                return Err(A::Error::custom("too many messages"));
            }
            self.batch.add(message);
        }
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, message: &RawValue) {
        if self.count > 0 {
            self.text.extend_from_slice(SEPARATOR);
        }
        without_spaces(message.get().as_bytes(), &mut self.text);
        self.count = self.count.saturating_add(1);
    }
}

/// Copies valid JSON without the white space between its tokens.
fn without_spaces(json: &[u8], to: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(quote) = rest.iter().position(|byte| *byte == b'"') {
        let (between, string) = rest.split_at_checked(quote).unwrap_or((rest, &[]));
        tokens(between, to);
        let length = string_length(string);
        let (string, after) = string.split_at_checked(length).unwrap_or((string, &[]));
        to.extend_from_slice(string);
        rest = after;
    }
    tokens(rest, to);
}

/// How deep arrays and objects of some JSON lie in each other.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = json;
    while let Some(byte) = rest.first() {
        let mut length = 1;
        match byte {
            b'"' => length = string_length(rest),
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        rest = rest.get(length..).unwrap_or(&[]);
    }
    deepest
}

/// Copies what stands outside of strings.
fn tokens(json: &[u8], to: &mut Vec<u8>) {
    if json.iter().any(|byte| is_space(*byte)) {
        to.extend(json.iter().filter(|byte| !is_space(**byte)));
    } else {
        to.extend_from_slice(json);
    }
}

/// The length of the string that some JSON starts with, quotes included.
fn string_length(json: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = json.iter().skip(1).position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end.saturating_add(2))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Where in joined messages the message after `skip` others starts; `None` if there are fewer.
pub fn start_of(text: &[u8], skip: u64) -> Option<usize> {
    if skip == 0 {
        return Some(0);
    }
    let nth = usize::try_from(skip.checked_sub(1)?).ok()?;
    let newline = text
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(nth)?
        .0;
    newline.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn parsed(body: &str) -> (String, u64) {
        let batch = parse(body.as_bytes()).unwrap();
        (String::from_utf8(batch.text).unwrap(), batch.count)
    }

    #[test]
    fn one_level_is_flattened() {
        assert_eq!(parsed(r#"{"a":1}"#), (r#"{"a":1}"#.into(), 1));
        assert_eq!(parsed("[1, 2]"), ("1,\n2".into(), 2));
        assert_eq!(parsed("[[1,2],[3]]"), ("[1,2],\n[3]".into(), 2));
        assert_eq!(parsed("[[[1]]]"), ("[[1]]".into(), 1));
        assert_eq!(parsed(" [ ] "), (String::new(), 0));
    }

    #[test]
    fn the_senders_spelling_survives_on_one_line() {
        let body = "{\r\n \"z\": 12345678901234567890,\n \"a\": 1.50e+2, \"n\": \"\\n\"}";
        let text = parsed(body).0;
        assert_eq!(
            text,
            "{\"z\":12345678901234567890,\"a\":1.50e+2,\"n\":\"\\n\"}"
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for body in [
            "",
            " ",
            "{",
            "[1,]",
            "nul",
            "1 2",
            "[1][2]",
            "\"a\nb\"",
            "01",
            "\u{feff}",
            "\u{feff}\u{feff}1",
            "1\u{feff}",
            "{a:1}",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(parsed("\u{feff}[1,2]"), ("1,\n2".into(), 2));
        assert_eq!(parsed("\u{feff} {\"a\" : 1}"), ("{\"a\":1}".into(), 1));
    }

    #[test]
    fn white_space_is_dropped_but_in_strings() {
        let kept = [r#"" a ""#, r#""\" [ \" ""#, r#""\\""#, r#""\\\" ,""#];
        for string in kept {
            let body = format!(" [ {string} , {{ {string} : [ 1 , {string} ] }} ] ");
            let text = format!("{string},\n{{{string}:[1,{string}]}}");
            assert_eq!(parsed(&body), (text, 2));
        }
    }

    #[test]
    fn messages_are_counted_before_there_are_too_many() {
        let batch = parse_at_most(b"[1,2,3]", 3).unwrap();
        assert_eq!(batch.count, 3);
        let refused = parse_at_most(b"[1,2,3,4,", 3);
        assert_eq!(refused, Err(Error::TooManyMessages { limit: 3 }));
        assert_eq!(refused.unwrap_err().status(), 413);
    }

    #[test]
    fn a_batch_takes_no_more_memory_than_was_reserved() {
        for body in [&b"[0,0,0,0,0,0,0,0]"[..], b"1", b"[1]", b"[]", b"[1,2]"] {
            let batch = parse(body).unwrap();
            assert!(batch.text.len() <= most_bytes(body.len()), "{body:?}");
            assert!(batch.text.capacity() <= most_bytes(body.len()).max(8));
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(deep.as_bytes()).unwrap().count, 1);
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(depth(br#"{"a[[[\"[":[[]],"b":[{}]}"#), 3);
        let at = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(parse(&at(MAX_DEPTH)).unwrap().count, 1);
        let refused = parse(&at(MAX_DEPTH + 1)).unwrap_err().to_string();
        assert!(refused.contains("deeper than 1000000"), "{refused}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|[\r\n\u{2028}\"\\\\]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("\\PC{0,4}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn messages_come_back_as_sent(body in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&body).unwrap().replace('\n', "\r\n")
            } else {
                body.to_string()
            };
            let expected = match body {
                Value::Array(elements) => elements,
                single => vec![single],
            };
            let batch = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(batch.count as usize, expected.len());
            let joined = String::from_utf8(batch.text.clone()).unwrap();
            let array: Vec<Value> = serde_json::from_str(&format!("[{joined}]")).unwrap();
            prop_assert_eq!(&array, &expected);
            prop_assert!(!joined.contains('\r'));
            prop_assert!(batch.text.len() <= most_bytes(text.len()));
            if !expected.is_empty() {
                let compact: Vec<_> = expected.iter().map(Value::to_string).collect();
                prop_assert_eq!(&joined, &compact.join(",\n"));
            }
            if !expected.is_empty() {
                prop_assert_eq!(joined.split('\n').count(), expected.len());
                for (k, message) in expected.iter().enumerate() {
                    let start = start_of(&batch.text, k as u64).unwrap();
                    let rest: Vec<Value> =
                        serde_json::from_str(&format!("[{}]", &joined[start..])).unwrap();
                    prop_assert_eq!(&rest[0], message);
                    prop_assert_eq!(rest.len(), expected.len() - k);
                }
                prop_assert_eq!(start_of(&batch.text, expected.len() as u64), None);
            }
        }
    }
}
