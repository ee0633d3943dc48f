//! What a [pipe](super::pipe) is fed with: bytes as they come, or the events in them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream as Source;

/// The longest event that is waited for to its end, in bytes.
const MAX_EVENT: usize = 4 << 20;

/// Why a source has no more although it is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenOff(pub String);

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BrokenOff {}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of event it is: `message` if it does not say.
    pub name: String,
    /// Its data, of several lines with LF between them.
    pub data: String,
}

/// The events in some bytes, which may be cut anywhere.
///
/// What is not complete when the bytes end is no event. A source whose last event says that it is the
/// last one, as providers of models have it, has broken off if it ends without.
pub struct Events<E> {
    bytes: Pin<Box<dyn Source<Item = Result<Vec<u8>, E>>>>,
    reader: Reader,
    ready: VecDeque<Event>,
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl<E> Events<E> {
    /// The events in these bytes.
    pub fn of(bytes: impl Source<Item = Result<Vec<u8>, E>> + 'static) -> Self {
        Self {
            bytes: Box::pin(bytes),
            reader: Reader::default(),
            ready: VecDeque::new(),
        }
    }
}

impl<E: fmt::Display> Source for Events<E> {
    type Item = Result<Event, BrokenOff>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            match ready!(this.bytes.as_mut().poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(BrokenOff(error.to_string())))),
                Some(Ok(bytes)) => this.reader.take(&bytes, &mut this.ready),
            }
            if this.reader.length() > MAX_EVENT {
                let what = format!("an event is longer than {MAX_EVENT} bytes");
                return Poll::Ready(Some(Err(BrokenOff(what))));
            }
        }
    }
}

/// Reads events as browsers do: what it does not know it passes over.
#[derive(Debug, Default)]
struct Reader {
    /// The line that has not ended.
    line: Vec<u8>,
    /// Whether the last byte was a CR, with which an LF would be one line end.
    after_cr: bool,
    /// Whether a line has ended.
    is_begun: bool,
    name: String,
    data: String,
    has_data: bool,
}

impl Reader {
    fn length(&self) -> usize {
        self.line.len().saturating_add(self.data.len())
    }

    fn take(&mut self, bytes: &[u8], events: &mut VecDeque<Event>) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
            let (text, end) = match part.split_last() {
                Some((end @ (b'\r' | b'\n'), text)) => (text, Some(*end)),
                _ => (part, None),
            };
            let is_second = std::mem::take(&mut self.after_cr) && text.is_empty();
            self.line.extend_from_slice(text);
            match end {
                Some(b'\n') if is_second => {}
                Some(end) => {
                    self.after_cr = end == b'\r';
                    events.extend(self.end_line());
                }
                None => {}
            }
        }
    }

    /// Takes a line, and gives the event that ends with it.
    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.is_begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let has_data = std::mem::take(&mut self.has_data);
        has_data.then(|| Event {
            name: if name.is_empty() {
                "message".into()
            } else {
                name
            },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    fn read(parts: Vec<Vec<u8>>) -> Vec<Result<Event, BrokenOff>> {
        let parts = stream::iter(parts).map(Ok::<_, BrokenOff>);
        Events::of(parts).collect().now_or_never().unwrap()
    }

    fn event(name: &str, data: &str) -> Result<Event, BrokenOff> {
        Ok(Event {
            name: name.into(),
            data: data.into(),
        })
    }

    const TEXT: &str = "\u{feff}: a comment\r\nevent: token\r\ndata: {\"a\":\r\ndata:1}\r\n\r\n\
        event: nothing\n\nid: 7\ndata\rdata:  ü\r\rretry: 9\ndata: [DONE]\n\ndata: cut";

    #[test]
    fn events_are_read_as_browsers_do() {
        assert_eq!(
            read(vec![TEXT.into()]),
            [
                event("token", "{\"a\":\n1}"),
                event("message", "\n ü"),
                event("message", "[DONE]"),
            ]
        );
    }

    #[test]
    fn a_source_that_breaks_off_says_so_behind_what_is_complete() {
        let parts = [
            Ok(b"data: 1\n\ndata: 2".to_vec()),
            Err(BrokenOff("gone".into())),
        ];
        let read: Vec<_> = Events::of(stream::iter(parts))
            .collect()
            .now_or_never()
            .unwrap();
        assert_eq!(read, [event("message", "1"), Err(BrokenOff("gone".into()))]);
    }

    #[test]
    fn an_event_that_never_ends_is_not_waited_for() {
        let parts = stream::repeat(vec![b'x'; 1 << 20]).map(Ok::<_, BrokenOff>);
        let first = Events::of(parts).next().now_or_never().unwrap();
        assert!(matches!(first, Some(Err(BrokenOff(_)))), "{first:?}");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_bytes_are_cut(cuts in prop::collection::vec(0..TEXT.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.extend([0, TEXT.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|cut| TEXT.as_bytes()[cut[0]..cut[1]].to_vec());
            prop_assert_eq!(read(parts.collect()), read(vec![TEXT.into()]));
        }
    }
}
