//! JSON mode (protocol section 9.1).

use serde_json::value::RawValue;

/// What stands between two messages, in storage and on the wire.
pub const SEPARATOR: &[u8] = b",\n";

/// How many bytes enclose the messages of an answer.
pub const BRACKETS: usize = 2;

/// The messages of one request, each on a line of its own, joined by [`SEPARATOR`].
///
/// The text of each message is the sender's: number spelling, key order and escapes survive.
/// Only CR and LF between tokens have become spaces, so that a message is exactly one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The joined messages, without enclosing brackets.
    pub text: Vec<u8>,
    /// How many messages there are; 0 for an empty array.
    pub count: u64,
}

/// Validates a request body and flattens one level of array (section 9.1.2).
///
/// The error says where the JSON went wrong.
pub fn parse(body: &[u8]) -> Result<Batch, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let is_array = text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('[');
    let messages: Vec<&RawValue> = if is_array {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        vec![serde_json::from_str(text).map_err(|error| error.to_string())?]
    };
    let mut batch = Batch {
        text: Vec::with_capacity(body.len()),
        count: 0,
    };
    for message in messages {
        if batch.count > 0 {
            batch.text.extend_from_slice(SEPARATOR);
        }
        // A line break cannot be part of a string: inside one it has to be escaped.
        let one_line = message
            .get()
            .bytes()
            .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b });
        batch.text.extend(one_line);
        batch.count = batch.count.saturating_add(1);
    }
    Ok(batch)
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
            "{   \"z\": 12345678901234567890,  \"a\": 1.50e+2, \"n\": \"\\n\"}"
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
            "\u{feff}1",
            "{a:1}",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(deep.as_bytes()).unwrap().count, 1);
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
