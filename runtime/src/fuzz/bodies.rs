//! Bodies in JSON, held against another reader of JSON; and data sent as events, read back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::feed;
use crate::protocol::json::{self, SEPARATOR};
use crate::protocol::offset::Offset;
use crate::protocol::sse::{self, Control, Encoding};
use crate::protocol::sse_reader::{Reader, normalised};

const JSON: &[&[u8]] = &[
    b"1",
    b"[]",
    b" [ ] ",
    b"[1,2,3]",
    b"[[1],[2,[3]],[]]",
    b"{\"a\":[1,{\"b\":null}],\"c\":\"d\\u00e9\\n\"}",
    b"[{\"op\":\"insert\",\"text\":\"hello\"},\r\n {\"op\":\"delete\",\"n\":-1.50e+2}]",
    b"\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"",
    b"\xef\xbb\xbf[{ \"a \\\" \" : [ ] } , 2]",
    b"[true,false,null,\"\",0,-0,1e5,12345678901234567890]",
];

/// The messages of a body, as the library reads them.
fn reference(body: &[u8]) -> Option<Vec<&RawValue>> {
    // It knows of no byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    match whole.get().starts_with('[') {
        true => serde_json::from_str(whole.get()).ok(),
        false => Some(vec![whole]),
    }
}

/// Valid JSON without the white space between its tokens.
fn without_spaces(json: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    json.chars()
        .filter(|c| {
            is_string ^= *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_string || !c.is_ascii_whitespace()
        })
        .collect()
}

#[test]
fn json() {
    feed("json", 20_000, |noise| {
        let mut body = noise.bytes_like(JSON);
        if noise.chance(5) {
            let depth = noise.below(400);
            body = [vec![b'['; depth], body, vec![b']'; depth]].concat();
        }
        let (ours, theirs) = (json::parse(&body), reference(&body));
        let text = String::from_utf8_lossy(&body);
        assert_eq!(ours.is_ok(), theirs.is_some(), "{text}: {ours:?}");
        let (Ok(batch), Some(messages)) = (ours, theirs) else {
            return;
        };
        assert_eq!(batch.count, messages.len() as u64, "{text}");
        let lines = match batch.count {
            0 => Vec::new(),
            _ => batch.text.split(|byte| *byte == b'\n').collect(),
        };
        assert_eq!(lines.len(), messages.len(), "{text}");
        for (n, (line, message)) in lines.iter().zip(&messages).enumerate() {
            let is_last = n + 1 == messages.len();
            let line = match is_last {
                true => line,
                false => line.strip_suffix(&SEPARATOR[..1]).expect("a comma"),
            };
            assert_eq!(line, without_spaces(message.get()).as_bytes());
            let said: Result<Value, _> = serde_json::from_slice(line);
            let meant: Result<Value, _> = serde_json::from_str(message.get());
            assert_eq!(said.ok(), meant.ok());
            let start = json::start_of(&batch.text, n as u64).expect("a start");
            assert!(batch.text[start..].starts_with(line));
        }
        assert_eq!(json::start_of(&batch.text, batch.count.max(1)), None);
    });
}

const DATA: &[&[u8]] = &[
    b"hello",
    b"two\nlines",
    b" a space\r\n\r\rand more\n",
    b"data: x\n\nevent: control\ndata:{\"streamNextOffset\":\"0\"}\n\n",
    b":comment\nid: 7\nretry: 1",
    b"\xff\xfe\0",
];

#[test]
fn events_read_back() {
    feed("events", 20_000, |noise| {
        let data = noise.bytes_like(DATA);
        let encoding = match noise.chance(50) {
            true => Encoding::Text,
            false => Encoding::Base64,
        };
        let next = Offset::new(noise.below(1 << 40) as u64).unwrap();
        let control = Control {
            next,
            cursor: noise.below(1 << 30) as u64,
            up_to_date: noise.chance(50),
            closed: noise.chance(20),
        };
        let text = sse::event(&data, encoding, &control);
        assert_eq!(sse::next_after(&text), Some(next));
        let mut reader = Reader::of(encoding);
        let read = reader.take(&text).expect("events");
        assert!(reader.is_between(), "an event is not ended");
        let [piece] = &read[..] else {
            panic!("{read:?}");
        };
        match encoding {
            // A reader cannot tell how a line ended.
            Encoding::Text => assert_eq!(piece.data, normalised(&data)),
            Encoding::Base64 => assert_eq!(STANDARD.decode(&piece.data).unwrap(), data),
            Encoding::Json => panic!("nobody asked for it"),
        }
        assert_eq!(piece.next, next);
        assert_eq!(piece.up_to_date, control.up_to_date);
        assert_eq!(piece.closed, control.closed);
    });
}
