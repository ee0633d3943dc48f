//! What streams hold, on stdout.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::stream::{Error, Kind, content};

/// Whoever has read what we print has gone away, as `head` does: that is the end, and no error.
#[derive(Debug)]
pub struct NobodyReads;

impl fmt::Display for NobodyReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for NobodyReads {}

/// Prints bytes as they are, at once.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(NobodyReads.into()),
        Err(error) => Err(error).context("what was read cannot be written to stdout"),
    }
}

/// A part of what a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Messages of JSON, each without line breaks.
    Messages(Vec<String>),
    /// Text or bytes.
    Raw(Kind, Vec<u8>),
}

impl Content {
    /// Reads bodies in their order.
    pub fn read(kind: Kind, bodies: &[Vec<u8>]) -> Result<Self, Error> {
        match kind {
            Kind::Json => {
                let mut messages = Vec::new();
                for body in bodies {
                    messages.extend(content::split(body)?);
                }
                Ok(Self::Messages(messages))
            }
            kind => Ok(Self::Raw(kind, bodies.concat())),
        }
    }

    /// How many messages, or bytes.
    pub fn count(&self) -> u64 {
        match self {
            Self::Messages(messages) => messages.len() as u64,
            Self::Raw(_, bytes) => bytes.len() as u64,
        }
    }

    /// This and then more of the same.
    pub fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Messages(mut all), Self::Messages(more)) => {
                all.extend(more);
                Self::Messages(all)
            }
            (Self::Raw(kind, mut all), Self::Raw(_, more)) => {
                all.extend(more);
                Self::Raw(kind, all)
            }
            (all, _) => all,
        }
    }

    /// Keeps the first so many messages, or bytes.
    fn keep(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match self {
            Self::Messages(messages) => messages.truncate(count),
            Self::Raw(_, bytes) => bytes.truncate(count),
        }
    }

    /// For a person or a pipe: a message a line, and all else as it is.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Messages(messages) => {
                let lines = messages.iter().flat_map(|message| [message.as_str(), "\n"]);
                lines.collect::<String>().into_bytes()
            }
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }

    /// A member of a JSON object; messages are as they were written.
    pub fn member(&self) -> String {
        match self {
            Self::Messages(messages) => {
                format!(
                    r#""messages":{}"#,
                    content::join(messages.iter().map(String::as_str))
                )
            }
            Self::Raw(Kind::Text, bytes) if std::str::from_utf8(bytes).is_ok() => {
                format!(r#""text":{}"#, json!(String::from_utf8_lossy(bytes)))
            }
            Self::Raw(_, bytes) => format!(r#""base64":"{}""#, STANDARD.encode(bytes)),
        }
    }
}

/// What may still be printed.
#[derive(Debug)]
pub struct Rest(Option<u64>);

impl Rest {
    /// So much at most; nothing for all.
    pub fn new(limit: Option<u64>) -> Self {
        Self(limit)
    }

    /// Cuts off what is too much. Whether anything was.
    pub fn cut(&mut self, content: &mut Content) -> bool {
        let Some(rest) = &mut self.0 else {
            return false;
        };
        let count = content.count();
        content.keep(*rest);
        let is_cut = count > *rest;
        *rest = rest.saturating_sub(count);
        is_cut
    }

    /// Whether that was all.
    pub fn is_nothing(&self) -> bool {
        self.0 == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_for_a_person_or_a_program() {
        let bodies = [
            b"[1,\n{\"a\":1.0e400}]".to_vec(),
            b"[]".to_vec(),
            b"[\"x\"]".to_vec(),
        ];
        let messages = Content::read(Kind::Json, &bodies).unwrap();
        assert_eq!(messages.bytes(), b"1\n{\"a\":1.0e400}\n\"x\"\n");
        assert_eq!(messages.member(), r#""messages":[1,{"a":1.0e400},"x"]"#);
        let raw = |kind, bytes: &[u8]| Content::read(kind, &[bytes.to_vec()]).unwrap();
        assert_eq!(raw(Kind::Text, b"a\"").member(), r#""text":"a\"""#);
        assert_eq!(raw(Kind::Text, b"\xff").member(), r#""base64":"/w==""#);
        assert_eq!(raw(Kind::Bytes, b"a").member(), r#""base64":"YQ==""#);
    }

    #[test]
    fn no_more_is_shown_than_is_wanted() {
        let mut rest = Rest::new(Some(3));
        let mut two = Content::read(Kind::Json, &[b"[1,2]".to_vec()]).unwrap();
        assert!(!rest.cut(&mut two.clone()) && !rest.is_nothing());
        assert!(rest.cut(&mut two) && rest.is_nothing());
        assert_eq!(two, Content::Messages(vec!["1".to_owned()]));
        assert!(!Rest::new(None).is_nothing());
    }
}
