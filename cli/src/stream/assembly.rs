//! What a reader of events has, put together so that each message counts once.
//!
//! A server sends data, and then in a control event the offset behind it (section 5.8). Data counts as
//! soon as that offset is there and not before: when the connection breaks in between, the next one
//! begins at the last offset, and brings it again.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{Error, Offset, sse::Event};

/// What came at once, and where one is then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The bytes in their order; of JSON, each part is an array of messages.
    pub parts: Vec<Vec<u8>>,
    /// Where what comes next begins.
    pub next: Offset,
    /// There is no more for the moment.
    pub up_to_date: bool,
    /// And there will be no more.
    pub closed: bool,
}

/// Collects the events of one connection.
#[derive(Debug, Default)]
pub struct Assembly {
    is_base64: bool,
    parts: Vec<Vec<u8>>,
}

/// A control event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    stream_next_offset: String,
    stream_cursor: Option<String>,
    #[serde(default)]
    up_to_date: bool,
    #[serde(default)]
    stream_closed: bool,
}

impl Assembly {
    /// Nothing yet of a connection whose data is encoded like this.
    pub fn new(is_base64: bool) -> Self {
        Self {
            is_base64,
            parts: Vec::new(),
        }
    }

    /// Takes an event. Gives all that counts now, and the cursor that goes with it.
    ///
    /// # Errors
    ///
    /// [`Error::Strange`] for what no server sends.
    pub fn take(&mut self, event: &Event) -> Result<Option<(Batch, Option<String>)>, Error> {
        let strange = |what: &str| Error::Strange(format!("an event of type {what}"));
        match event.kind.as_str() {
            "data" if self.is_base64 => {
                let text: String = event.data.split(['\n', '\r']).collect();
                let bytes = STANDARD.decode(text).map_err(|_| strange("data"))?;
                self.parts.push(bytes);
                Ok(None)
            }
            "data" => {
                self.parts.push(event.data.clone().into_bytes());
                Ok(None)
            }
            "control" => {
                let control: Control =
                    serde_json::from_str(&event.data).map_err(|_| strange("control"))?;
                let batch = Batch {
                    parts: std::mem::take(&mut self.parts),
                    next: Offset::parse(&control.stream_next_offset)?,
                    up_to_date: control.up_to_date || control.stream_closed,
                    closed: control.stream_closed,
                };
                Ok(Some((batch, control.stream_cursor)))
            }
            // Whatever servers may add is nothing that changes what is read.
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::sse::Reader;

    /// What a server sends from this message on: batches of messages, the offset of each is its number.
    fn sent(batches: &[Vec<u8>], from: usize) -> Vec<u8> {
        let mut text = String::new();
        let mut at = 0;
        for batch in batches {
            let messages: Vec<String> = (at..at + batch.len())
                .filter(|number| *number >= from)
                .map(|number| number.to_string())
                .collect();
            at += batch.len();
            if !messages.is_empty() {
                // Some servers send each message as an event, and then one control.
                for message in &messages {
                    text.push_str(&format!(
                        "event: data\ndata: [\ndata: {message}\ndata: ]\n\n"
                    ));
                }
                text.push_str(&format!(
                    "event: control\ndata: {{\"streamNextOffset\":\"{at:03}\",\"streamCursor\":\"9\"}}\n\n"
                ));
            }
        }
        text.push_str(&format!(
            "event: control\ndata: {{\"streamNextOffset\":\"{at:03}\",\"streamClosed\":true}}\n\n"
        ));
        text.into_bytes()
    }

    proptest! {
        /// However often the connection breaks, and wherever, each message counts once, in its order.
        #[test]
        fn messages_count_once_wherever_connections_break(
            batches in proptest::collection::vec(proptest::collection::vec(0..1_u8, 1..4), 0..5),
            breaks in proptest::collection::vec(0..400_usize, 0..10),
        ) {
            let all: usize = batches.iter().map(Vec::len).sum();
            let mut seen = Vec::new();
            let mut position = Offset::start();
            let mut ended = false;
            for limit in breaks.into_iter().chain([usize::MAX]) {
                let from = position.as_str().parse().unwrap_or(0);
                let bytes = sent(&batches, from);
                let mut assembly = Assembly::new(false);
                for event in Reader::default().read(&bytes[..bytes.len().min(limit)]) {
                    let Some((batch, _)) = assembly.take(&event).unwrap() else { continue };
                    for part in batch.parts {
                        for message in crate::stream::content::split(&part).unwrap() {
                            seen.push(message.parse::<usize>().unwrap());
                        }
                    }
                    position = batch.next;
                    ended = batch.closed;
                }
                if ended {
                    break;
                }
            }
            prop_assert!(ended);
            prop_assert_eq!(seen, (0..all).collect::<Vec<_>>());
        }
    }

    #[test]
    fn bytes_come_as_base64_on_lines() {
        let mut assembly = Assembly::new(true);
        let text = b"event: data\ndata: AQIDBAUG\ndata: BwgJCg==\n\n\
                     event: control\ndata: {\"streamNextOffset\":\"7\",\"upToDate\":true}\n\n";
        let events = Reader::default().read(text);
        assert_eq!(assembly.take(&events[0]), Ok(None));
        let (batch, _) = assembly.take(&events[1]).unwrap().unwrap();
        assert_eq!(batch.parts, [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]);
        assert!(batch.up_to_date && !batch.closed);
        let bad = Event {
            kind: "data".to_owned(),
            data: "?".to_owned(),
        };
        assembly.take(&bad).unwrap_err();
    }
}
