//! Bodies in JSON, held against another reader of JSON; and data sent as events, read back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::feed;
use crate::protocol::json::{self, SEPARATOR};
use crate::protocol::offset::Offset;
use crate::protocol::sse::{self, Control, Encoding};

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

/// The events of a text, as the standard says that clients read them: type and data.
fn events(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut events = Vec::new();
    let (mut kind, mut data): (String, Option<Vec<Vec<u8>>>) = Default::default();
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = &rest[..end];
        let is_pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(is_pair)..];
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"" if line.is_empty() => {
                if let Some(lines) = data.take() {
                    events.push((std::mem::take(&mut kind), lines.join(&b'\n')));
                }
                kind.clear();
            }
            b"event" => kind = String::from_utf8(value.to_vec()).unwrap(),
            b"data" => data.get_or_insert_default().push(value.to_vec()),
            _ => {}
        }
    }
    assert!(rest.is_empty(), "an event is not ended");
    events
}

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
        let mut read = events(&text).into_iter();
        if !data.is_empty() {
            let (kind, read) = read.next().expect("an event");
            assert_eq!(kind, "data");
            match encoding {
                // A reader cannot tell how a line ended.
                Encoding::Text => {
                    let text = String::from_utf8_lossy(&data);
                    assert_eq!(read, with_newlines(text.as_bytes()));
                }
                Encoding::Json => panic!("nobody asked for it"),
                Encoding::Base64 => assert_eq!(STANDARD.decode(read).unwrap(), data),
            }
        }
        let (kind, said) = read.next().expect("a control event");
        assert_eq!(kind, "control");
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["streamNextOffset"], next.to_string());
        assert_eq!(
            said["upToDate"],
            Value::from(control.up_to_date.then_some(true))
        );
        assert_eq!(
            said["streamClosed"],
            Value::from(control.closed.then_some(true))
        );
        assert_eq!(read.next(), None);
    });
}

fn with_newlines(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut bytes = data.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte == b'\r' {
            bytes.next_if(|next| **next == b'\n');
        }
        text.push(if *byte == b'\r' { b'\n' } else { *byte });
    }
    text
}
