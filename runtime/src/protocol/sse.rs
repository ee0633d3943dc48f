//! The text of Server-Sent Events (protocol section 5.8).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::content_type::ContentType;
use super::offset::Offset;

/// How data stands in a data event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As text, one `data:` line a line.
    Text,
    /// As base64, in one line.
    Base64,
}

impl Encoding {
    /// The encoding for streams of a type.
    pub fn of(content_type: &ContentType) -> Self {
        if content_type.is_json() || content_type.is_text() {
            Self::Text
        } else {
            Self::Base64
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

/// A data event with its control event, in one piece: a reader that has seen one has seen both.
/// Without data it is the control event alone.
pub fn event(data: &[u8], encoding: Encoding, control: &Control) -> Vec<u8> {
    let mut text = Vec::with_capacity(capacity(data, encoding));
    if !data.is_empty() {
        text.extend_from_slice(b"event: data\n");
        match encoding {
            Encoding::Text => lines(&mut text, data),
            Encoding::Base64 => base64_line(&mut text, data),
        }
        text.push(b'\n');
    }
    text.extend_from_slice(b"event: control\ndata:");
    text.extend_from_slice(control.to_json().as_bytes());
    text.extend_from_slice(b"\n\n");
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
        Encoding::Text => data.len().saturating_add(data.len() >> 3),
        Encoding::Base64 => data.len().saturating_add(data.len() >> 1),
    };
    data.saturating_add(192)
}

/// A `data:` line for each line. CR, LF and CRLF all end a line for the reader, so each of them
/// starts a new `data:` line here: whatever the data holds, it stays data. A reader drops one
/// space after the colon, so a line that starts with one gets another.
fn lines(text: &mut Vec<u8>, data: &[u8]) {
    let mut rest = Some(data);
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
    text.extend_from_slice(b"data:");
    text.extend_from_slice(STANDARD.encode(data).as_bytes());
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONTROL: Control = Control {
        next: Offset::START,
        cursor: 7,
        up_to_date: true,
        closed: false,
    };

    /// What a browser makes of an event stream: (event, data) pairs.
    fn parsed(text: &str) -> Vec<(String, String)> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut events = Vec::new();
        for block in text.split_terminator("\n\n") {
            let mut event = String::new();
            let mut data = Vec::new();
            for line in block.split('\n') {
                let (field, value) = line.split_once(':').unwrap();
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => event = value.to_owned(),
                    "data" => data.push(value.to_owned()),
                    _ => panic!("{line:?} in {text:?}"),
                }
            }
            events.push((event, data.join("\n")));
        }
        events
    }

    fn text(data: &[u8], encoding: Encoding) -> String {
        String::from_utf8(event(data, encoding, &CONTROL)).unwrap()
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
    fn data_and_control_come_together() {
        assert_eq!(
            text(b"[1,\n2]", Encoding::Text),
            format!(
                "event: data\ndata:[1,\ndata:2]\n\nevent: control\ndata:{}\n\n",
                CONTROL.to_json()
            )
        );
        assert!(text(b"", Encoding::Base64).starts_with("event: control\n"));
    }

    #[test]
    fn types_have_their_encoding() {
        for (content_type, expected) in [
            ("application/json; charset=utf-8", None),
            ("text/plain", None),
            ("TEXT/CSV", None),
            ("application/octet-stream", Some("base64")),
            ("application/ndjson", Some("base64")),
            ("image/png", Some("base64")),
        ] {
            let content_type = ContentType::parse(content_type).unwrap();
            assert_eq!(
                Encoding::of(&content_type).header_value(),
                expected,
                "{}",
                content_type.as_str()
            );
        }
    }

    proptest! {
        /// Whatever the text is, it arrives as the data of one event, with each line end a `\n`.
        #[test]
        fn text_cannot_leave_its_event(data in "( |\r\n|\r|\n|event: control|data: |:|id: 1|retry: 1|\\{|.){1,20}") {
            let events = parsed(&text(data.as_bytes(), Encoding::Text));
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(events.len(), 2);
            prop_assert_eq!(&events[0], &("data".to_owned(), lines));
            prop_assert_eq!(&events[1], &("control".to_owned(), CONTROL.to_json()));
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
            let events = parsed(&text(&data, Encoding::Base64));
            prop_assert_eq!(events.len(), 2);
            let decoded = STANDARD.decode(&events[0].1).unwrap();
            prop_assert_eq!(decoded, data);
        }
    }
}
