//! The text of Server-Sent Events (protocol section 5.8).
//!
//! Most readers are whole parsers, and some look at lines. So JSON and base64 stand in one line,
//! behind `data: ` with the space that such readers look for. A line of text and a control event
//! follow their `data:` at once, as the protocol's own tests look for them; a parser drops the space
//! where there is one, and cannot tell.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::content_type::ContentType;
use super::offset::Offset;

/// How data stands in a data event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As JSON, in one line.
    Json,
    /// As text, one `data:` line a line.
    Text,
    /// As base64, in one line.
    Base64,
}

impl Encoding {
    /// The encoding for streams of a type.
    pub fn of(content_type: &ContentType) -> Self {
        if content_type.is_json() {
            Self::Json
        } else if content_type.is_text() {
            Self::Text
        } else {
            Self::Base64
        }
    }

    /// How many bytes at the end of data wait for those after them: a part of a character, or a CR
    /// that an LF may follow. At most [`MOST_HELD`], and only in text.
    pub fn held_back(self, data: &[u8]) -> usize {
        if self == Self::Text {
            unfinished(data)
        } else {
            0
        }
    }

    /// The value of `Stream-SSE-Data-Encoding`, if there is to be one.
    pub fn header_value(self) -> Option<&'static str> {
        (self == Self::Base64).then_some("base64")
    }
}

/// What a control event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Where the reader goes on.
    pub next: Offset,
    /// The cursor; only for an open stream.
    pub cursor: u64,
    /// Whether `next` was the tail.
    pub up_to_date: bool,
    /// Whether the stream is closed and `next` its final offset.
    pub closed: bool,
}

/// The most bytes that text may hold back.
pub const MOST_HELD: usize = 3;

/// How long the end of data is that has no meaning yet, whatever comes before it: a first byte
/// starts a character, wherever it stands.
fn unfinished(data: &[u8]) -> usize {
    let end = data.get(data.len().saturating_sub(MOST_HELD)..);
    let end = end.unwrap_or_default();
    if end.last() == Some(&b'\r') {
        return 1;
    }
    let Some(start) = end.iter().rposition(|byte| byte & 0xC0 != 0x80) else {
        return 0;
    };
    let character = end.get(start..).unwrap_or_default();
    match std::str::from_utf8(character) {
        Err(error) if error.error_len().is_none() => character.len(),
        _ => 0,
    }
}

/// A comment, which keeps a connection open and says nothing.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// A data event with its control event, in one piece: a reader that has seen one has seen both.
/// Without data it is the control event alone.
///
/// The first event has the offset as its `id`. An `EventSource` remembers it when it hands that
/// event on, and no sooner: what it has not seen comes again after a cut, and nothing else does.
pub fn event(data: &[u8], encoding: Encoding, control: &Control) -> Vec<u8> {
    let mut text = Vec::with_capacity(capacity(data, encoding));
    let id = format!("id: {}\n\n", control.next);
    if !data.is_empty() {
        text.extend_from_slice(b"event: data\n");
        match encoding {
            Encoding::Json => json_line(&mut text, data),
            Encoding::Text => lines(&mut text, data),
            Encoding::Base64 => base64_line(&mut text, data),
        }
        text.extend_from_slice(id.as_bytes());
    }
    text.extend_from_slice(b"event: control\ndata:");
    text.extend_from_slice(control.to_json().as_bytes());
    text.push(b'\n');
    let end = if data.is_empty() { &id } else { "\n" };
    text.extend_from_slice(end.as_bytes());
    text
}

/// How many bytes at the end of an event [`next_after`] needs at most.
pub const END_BYTES: usize = 256;

/// What stands before the offset in a control event.
const BEFORE_OFFSET: &str = "event: control\ndata:{\"streamNextOffset\":\"";

/// Where a reader goes on that has seen these events, or their end.
pub fn next_after(events: &[u8]) -> Option<Offset> {
    let end = events.get(events.len().saturating_sub(END_BYTES)..)?;
    let end = String::from_utf8_lossy(end);
    let (_, offset) = end.rsplit_once(BEFORE_OFFSET)?;
    offset.split('"').next()?.parse().ok()
}

impl Control {
    /// A closed stream has no cursor: nobody is to come back.
    fn to_json(self) -> String {
        let next = self.next;
        let mut json = format!("{{\"streamNextOffset\":\"{next}\"");
        if !self.closed {
            json.push_str(&format!(",\"streamCursor\":\"{}\"", self.cursor));
        }
        if self.up_to_date {
            json.push_str(",\"upToDate\":true");
        }
        if self.closed {
            json.push_str(",\"streamClosed\":true");
        }
        json.push('}');
        json
    }
}

fn capacity(data: &[u8], encoding: Encoding) -> usize {
    let data = match encoding {
        Encoding::Json => data.len(),
        Encoding::Text => data.len().saturating_add(data.len() >> 3),
        Encoding::Base64 => data.len().saturating_add(data.len() >> 1),
    };
    data.saturating_add(256)
}

/// All of it in one line: a line end in JSON stands between tokens, never within one.
fn json_line(text: &mut Vec<u8>, data: &[u8]) {
    text.extend_from_slice(b"data: ");
    for line in data.split(|byte| matches!(byte, b'\r' | b'\n')) {
        text.extend_from_slice(line);
    }
    text.push(b'\n');
}

/// A `data:` line for each line. CR, LF and CRLF all end a line for the reader, so each of them
/// starts a new `data:` line here: whatever the data holds, it stays data. A reader drops one
/// space after the colon, so a line that starts with one gets another. What is no UTF-8 becomes
/// U+FFFD, as the reader would have it.
fn lines(text: &mut Vec<u8>, data: &[u8]) {
    let data: Cow<'_, str> = String::from_utf8_lossy(data);
    let mut rest = Some(data.as_bytes());
    while let Some(from) = rest {
        let end = from.iter().position(|b| matches!(b, b'\r' | b'\n'));
        let line = end.and_then(|end| from.get(..end)).unwrap_or(from);
        text.extend_from_slice(b"data:");
        if line.first() == Some(&b' ') {
            text.push(b' ');
        }
        text.extend_from_slice(line);
        text.push(b'\n');
        rest = end.and_then(|end| {
            let after = from.get(end..)?;
            after.strip_prefix(b"\r\n").or_else(|| after.get(1..))
        });
    }
}

fn base64_line(text: &mut Vec<u8>, data: &[u8]) {
    text.extend_from_slice(b"data: ");
    text.extend_from_slice(STANDARD.encode(data).as_bytes());
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::sse_reader::{Piece, Reader, normalised};
    use super::*;
    use proptest::prelude::*;

    const CONTROL: Control = Control {
        next: Offset::START,
        cursor: 7,
        up_to_date: true,
        closed: false,
    };

    fn text(data: &[u8], encoding: Encoding) -> String {
        String::from_utf8(event(data, encoding, &CONTROL)).unwrap()
    }

    fn read(text: &str, encoding: Encoding) -> Vec<Piece> {
        Reader::of(encoding).take(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_control_event_says_what_the_protocol_asks_for() {
        let json = |control: Control| control.to_json();
        assert_eq!(
            json(CONTROL),
            r#"{"streamNextOffset":"0000000000000000_0000000000000000_0000","streamCursor":"7","upToDate":true}"#
        );
        let behind = Control {
            up_to_date: false,
            ..CONTROL
        };
        assert!(!json(behind).contains("upToDate"));
        let closed = Control {
            closed: true,
            ..CONTROL
        };
        assert_eq!(
            json(closed),
            r#"{"streamNextOffset":"0000000000000000_0000000000000000_0000","upToDate":true,"streamClosed":true}"#
        );
    }

    #[test]
    fn data_and_control_come_together_and_the_first_has_the_id() {
        let control = CONTROL.to_json();
        let id = CONTROL.next;
        for (data, encoding, lines) in [
            (&b"[1,\n2]"[..], Encoding::Json, "data: [1,2]"),
            (b" a\nb", Encoding::Text, "data:  a\ndata:b"),
            (b"\x01", Encoding::Base64, "data: AQ=="),
        ] {
            assert_eq!(
                text(data, encoding),
                format!("event: data\n{lines}\nid: {id}\n\nevent: control\ndata:{control}\n\n")
            );
            assert_eq!(
                text(b"", encoding),
                format!("event: control\ndata:{control}\nid: {id}\n\n")
            );
        }
    }

    #[test]
    fn types_have_their_encoding() {
        for (content_type, expected) in [
            ("application/json; charset=utf-8", Encoding::Json),
            ("text/plain", Encoding::Text),
            ("TEXT/CSV", Encoding::Text),
            ("application/octet-stream", Encoding::Base64),
            ("application/ndjson", Encoding::Base64),
            ("image/png", Encoding::Base64),
        ] {
            let content_type = ContentType::parse(content_type).unwrap();
            let name = content_type.as_str();
            assert_eq!(Encoding::of(&content_type), expected, "{name}");
        }
        assert_eq!(Encoding::Base64.header_value(), Some("base64"));
        assert_eq!(Encoding::Json.header_value(), None);
    }

    #[test]
    fn what_may_go_on_is_held_back() {
        for (data, held) in [
            (&b""[..], 0),
            (b"a", 0),
            (b"a\r", 1),
            (b"\r\r", 1),
            (b"\r\n", 0),
            (b"\xe4", 1),
            (b"a\xe4\xbd", 2),
            ("\u{4f60}".as_bytes(), 0),
            (b"\xf0\x9f\x98", 3),
            (b"\r\xf0\x9f", 2),
            // What no byte can complete is not waited for.
            (b"\xbd\xbd\xbd", 0),
            (b"\xe4\xbd\xc3", 1),
            (b"\xe0\x80", 0),
            (b"\xff", 0),
            (b"\xc0", 0),
        ] {
            assert_eq!(Encoding::Text.held_back(data), held, "{data:?}");
            assert_eq!(Encoding::Base64.held_back(data), 0);
            assert_eq!(Encoding::Json.held_back(data), 0);
        }
    }

    /// Bytes of which characters and line ends are cut wherever an append ends.
    pub fn splinters() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(&b"\r"[..]),
            Just(&b"\n"[..]),
            Just(&b"\r\n"[..]),
            Just(&b" "[..]),
            Just(&b"a"[..]),
            Just(&b"\xf0"[..]),
            Just(&b"\x9f\x98"[..]),
            Just(&b"\x80"[..]),
            Just(&b"\xe4\xbd"[..]),
            Just(&b"\xff"[..]),
            Just("\u{e9}\u{4f60}\u{1f600}".as_bytes()),
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// However text is cut into events, their data is that of the whole.
        #[test]
        fn text_is_whole_however_it_is_cut(appends in prop::collection::vec(splinters(), 1..8)) {
            let mut seen = String::new();
            let mut waiting = Vec::new();
            for append in &appends {
                waiting.extend_from_slice(append);
                let rest = waiting.split_off(waiting.len() - Encoding::Text.held_back(&waiting));
                for piece in read(&text(&waiting, Encoding::Text), Encoding::Text) {
                    seen += &piece.data;
                }
                waiting = rest;
            }
            for piece in read(&text(&waiting, Encoding::Text), Encoding::Text) {
                seen += &piece.data;
            }
            prop_assert_eq!(seen, normalised(&appends.concat()));
        }
    }

    proptest! {
        /// Whatever the text is, it arrives as the data of one event, with each line end a `\n`.
        #[test]
        fn text_cannot_leave_its_event(data in "( |\r\n|\r|\n|event: control|data: |:|id: 1|retry: 1|\\{|.){1,20}") {
            let pieces = read(&text(data.as_bytes(), Encoding::Text), Encoding::Text);
            prop_assert_eq!(pieces.len(), 1);
            prop_assert_eq!(&pieces[0].data, &normalised(data.as_bytes()));
            prop_assert_eq!(pieces[0].next, CONTROL.next);
        }

        #[test]
        fn the_last_control_event_says_where_to_go_on(
            data in "( |\n|event: control|data:\\{\"streamNextOffset\":\"0\"|.){0,20}",
            next in 0..=Offset::MAX.position(),
            cursor in 0..1u64 << 53,
            closed: bool,
            skip in 0usize..40,
        ) {
            let next = Offset::new(next).unwrap();
            let control = Control { next, cursor, up_to_date: true, closed };
            let first = event(b"1", Encoding::Text, &CONTROL);
            let last = event(data.as_bytes(), Encoding::Text, &control);
            prop_assert_eq!(next_after(&[first, last.clone()].concat()), Some(next));
            let end = &last[last.len().saturating_sub(END_BYTES + skip)..];
            prop_assert_eq!(next_after(end), Some(next));
        }

        #[test]
        fn bytes_survive_in_base64(data in proptest::collection::vec(any::<u8>(), 1..100)) {
            let pieces = read(&text(&data, Encoding::Base64), Encoding::Base64);
            prop_assert_eq!(pieces.len(), 1);
            let decoded = STANDARD.decode(&pieces[0].data).unwrap();
            prop_assert_eq!(decoded, data);
        }
    }
}
