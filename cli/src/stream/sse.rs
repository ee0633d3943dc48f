//! Server-sent events, read as they come.

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub kind: String,
    /// Its lines, with `\n` between them.
    pub data: String,
}

/// Takes bytes as they come and gives events as soon as they are whole. What is left of an event when
/// the connection ends does not count.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    /// The last byte was a `\r`, of which a `\n` may be the rest.
    after_return: bool,
    is_past_first_line: bool,
    kind: String,
    data: Option<String>,
}

impl Reader {
    /// Takes some bytes, and gives the events they complete.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                byte => self.line.push(byte),
            }
        }
        events
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let mut text: &str = &text;
        if !std::mem::replace(&mut self.is_past_first_line, true) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            let kind = std::mem::take(&mut self.kind);
            return self.data.take().map(|data| Event { kind, data });
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // A comment, or nothing that matters here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_are_read_as_browsers_do_it() {
        let text = "\u{feff}event: data\r\ndata: [\r\ndata:1\rdata:  ]\n\n: comment\nid: 7\n\n\
                    event:control\ndata\n\ndata: cut";
        let events = [event("data", "[\n1\n ]"), event("control", "")];
        assert_eq!(Reader::default().read(text.as_bytes()), events);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_bytes_are_cut(
            text in "(event: ?[a-z]{0,3}|data: ?[xé]{0,3}|:|id|\r\n|\n|\r|\n\n){0,20}",
            cuts in proptest::collection::vec(0..60_usize, 0..6),
        ) {
            let whole = Reader::default().read(text.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut reader = Reader::default();
            let mut parts = Vec::new();
            let mut from = 0;
            for to in cuts.into_iter().chain([text.len()]) {
                parts.extend(reader.read(&text.as_bytes()[from..to]));
                from = to;
            }
            prop_assert_eq!(parts, whole);
        }
    }
}
