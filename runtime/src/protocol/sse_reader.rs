//! The strictest reader of events: what it does not know is an error. Tests read with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::offset::Offset;
use super::sse::Encoding;

/// A control event and what came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The data; empty for a control event alone.
    pub data: String,
    /// Where the reader goes on.
    pub next: Offset,
    /// Whether it has everything.
    pub up_to_date: bool,
    /// Whether the stream is closed.
    pub closed: bool,
}

/// See the module's text. It may be given events in pieces of any size.
#[derive(Debug)]
pub struct Reader {
    encoding: Encoding,
    text: Vec<u8>,
    /// Data and id of a data event whose control event has not come.
    pending: Option<(String, String)>,
    /// Where the last control event was.
    last: Option<Offset>,
    /// Comments that came.
    pub heartbeats: usize,
}

type Block<'a> = BTreeMap<&'a str, Vec<&'a str>>;

impl Reader {
    /// A reader of a stream whose data stands in events like this.
    pub fn of(encoding: Encoding) -> Self {
        Self {
            encoding,
            text: Vec::new(),
            pending: None,
            last: None,
            heartbeats: 0,
        }
    }

    /// Whether nothing was begun that has not ended.
    pub fn is_between(&self) -> bool {
        self.text.is_empty() && self.pending.is_none()
    }

    /// What is complete with these bytes, or what is wrong with them.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, String> {
        self.text.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let rest = self.text.split_off(end + 2);
            let block = std::mem::replace(&mut self.text, rest);
            let block = String::from_utf8(block).map_err(|error| error.to_string())?;
            let taken = self.block(block.trim_end_matches('\n'));
            pieces.extend(taken.map_err(|what| format!("{what}: {block:?}"))?);
        }
        Ok(pieces)
    }

    fn block(&mut self, block: &str) -> Result<Option<Piece>, String> {
        if block == ":" {
            self.heartbeats += 1;
            return match self.pending {
                None => Ok(None),
                Some(_) => Err("a comment within a piece".into()),
            };
        }
        let mut fields = Block::new();
        for line in block.split('\n') {
            let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
            let value = value.strip_prefix(' ').unwrap_or(value);
            fields.entry(name).or_default().push(value);
        }
        let once = |fields: &mut Block<'_>, name| match fields.remove(name).as_deref() {
            None => Ok(None),
            Some([value]) => Ok(Some((*value).to_owned())),
            Some(_) => Err(format!("{name} comes twice")),
        };
        let id = once(&mut fields, "id")?;
        let event = once(&mut fields, "event")?;
        let data = fields.remove("data").ok_or("no data")?;
        if let Some(name) = fields.into_keys().next() {
            return Err(format!("a field {name:?}"));
        }
        match event.as_deref() {
            Some("data") if self.pending.is_some() => Err("data without a control event".into()),
            Some("data") => {
                self.check(&data)?;
                let id = id.ok_or("data without an id")?;
                self.pending = Some((data.join("\n"), id));
                Ok(None)
            }
            Some("control") => self.control(&data.join("\n"), id).map(Some),
            other => Err(format!("an event {other:?}")),
        }
    }

    fn check(&self, data: &[&str]) -> Result<(), String> {
        if self.encoding != Encoding::Text && data.len() != 1 {
            return Err(format!("{} lines of data", data.len()));
        }
        if self.encoding == Encoding::Json {
            let messages: Result<Vec<Value>, _> = serde_json::from_str(data[0]);
            let messages = messages.map_err(|error| error.to_string())?;
            if messages.is_empty() {
                return Err("data without messages".into());
            }
        }
        Ok(())
    }

    fn control(&mut self, json: &str, id: Option<String>) -> Result<Piece, String> {
        let control: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let fields = control.as_object().ok_or("no object")?;
        for (name, value) in fields {
            let is_known = match name.as_str() {
                "streamNextOffset" => value.is_string(),
                "streamCursor" => value.as_str().is_some_and(|c| c.parse::<u64>().is_ok()),
                "upToDate" | "streamClosed" => *value == Value::Bool(true),
                _ => false,
            };
            if !is_known {
                return Err(format!("a field {name:?}"));
            }
        }
        let has = |name| fields.contains_key(name);
        if has("streamCursor") == has("streamClosed") {
            return Err("a cursor is for open streams".into());
        }
        let (data, id) = match (self.pending.take(), id) {
            (Some((data, id)), None) => (data, id),
            (None, Some(id)) => (String::new(), id),
            _ => return Err("not one id".into()),
        };
        if control["streamNextOffset"].as_str() != Some(&*id) {
            return Err("the id is another offset".into());
        }
        let next: Offset = id.parse().map_err(|error| format!("{error:?}"))?;
        if self
            .last
            .is_some_and(|last| next < last || (next == last && !data.is_empty()))
        {
            return Err(format!(
                "data that ends where it starts, or before, at {next}"
            ));
        }
        self.last = Some(next);
        Ok(Piece {
            data,
            next,
            up_to_date: has("upToDate"),
            closed: has("streamClosed"),
        })
    }
}

/// Bytes as readers of text have them: every line end is an LF.
pub fn normalised(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.replace("\r\n", "\n").replace('\r', "\n")
}
