//! What can go wrong with a request.

use std::{fmt, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::{Offset, header};
use crate::http::{is_worth_another_try, retry_after};

/// How much of an answer that is no document of ours is repeated, in characters.
const QUOTED: usize = 200;

/// A request that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// What was asked for cannot be asked of any server.
    Invalid(String),
    /// It cannot be said who asks.
    Credentials(String),
    /// There is no answer.
    Unreachable {
        /// Where the server should be.
        url: String,
        /// What happened.
        why: String,
        /// The server cannot have got the request.
        unsent: bool,
    },
    /// There is no such stream (404).
    NotFound(Said),
    /// What was asked for was dropped (410); reads begin at this offset.
    Truncated {
        /// Where the stream begins.
        earliest: Offset,
    },
    /// The stream was deleted, and is kept for its forks alone (410).
    Gone(Said),
    /// The stream is closed (409), at this offset if the server says so.
    Closed {
        /// Where it ends.
        tail: Option<Offset>,
    },
    /// Somebody has claimed a higher epoch for this producer (403).
    StaleEpoch {
        /// The highest one.
        current: u64,
    },
    /// A producer has left out a number (409).
    SequenceGap {
        /// What would have been taken.
        expected: u64,
    },
    /// The server refuses it for another reason.
    Refused {
        /// The status.
        status: u16,
        /// What the server says.
        said: Said,
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// The answer is not as the protocol wants it.
    Strange(String),
}

/// What a server says of a refusal, of which each part may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What it calls it.
    pub code: String,
    /// Its words.
    pub message: String,
}

impl Said {
    /// Reads an answer: a document of ours, or a text.
    fn read(body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let part = |key: &str| document["error"][key].as_str().map(str::to_owned);
        if let (Some(code), Some(message)) = (part("code"), part("message")) {
            return Self { code, message };
        }
        let text = String::from_utf8_lossy(body);
        let line = text.trim().lines().next().unwrap_or_default();
        Self {
            code: String::new(),
            // A page for browsers says nothing to anybody else.
            message: match line.starts_with('<') {
                true => String::new(),
                false => line
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(QUOTED)
                    .collect(),
            },
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => Ok(()),
            ("", message) => write!(f, ": {message}"),
            (code, message) => write!(f, ": {message} ({code})"),
        }
    }
}

impl Error {
    /// Tells a refusal by its status and its headers, which all servers have in common.
    pub fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let said = Said::read(body);
        let number = |name| header::number(headers, name);
        let offset = |name| header::offset(headers, name);
        match status.as_u16() {
            404 => Self::NotFound(said),
            410 => match offset(header::EARLIEST) {
                Some(earliest) => Self::Truncated { earliest },
                None => Self::Gone(said),
            },
            409 if header::is_true(headers, header::CLOSED) => Self::Closed {
                tail: offset(header::NEXT),
            },
            status => match (number(header::EPOCH), number(header::EXPECTED_SEQ)) {
                (Some(current), _) if status == 403 => Self::StaleEpoch { current },
                (_, Some(expected)) if status == 409 => Self::SequenceGap { expected },
                _ => Self::Refused {
                    status,
                    said,
                    retry_after: retry_after(headers),
                },
            },
        }
    }

    /// Whether the same may come out otherwise in a while.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => is_worth_another_try(*status) && *status != 501,
            _ => false,
        }
    }

    /// Whether the server has surely done nothing of what was asked.
    pub fn is_untaken(&self) -> bool {
        match self {
            Self::Unreachable { unsent, .. } => *unsent,
            Self::Refused { status, .. } => *status < 500 || *status == 501,
            Self::Strange(_) => false,
            _ => true,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) | Self::Credentials(what) => f.write_str(what),
            Self::Unreachable { url, why, .. } => write!(f, "no server answers at {url}: {why}"),
            // Most servers have no more to say about that.
            Self::NotFound(said) => match said.code.as_str() {
                "" | "stream_not_found" => f.write_str("there is no such stream"),
                _ => write!(f, "nothing is found there{said}"),
            },
            Self::Truncated { earliest } => write!(
                f,
                "what lies there was dropped: the stream begins at {earliest} now"
            ),
            Self::Gone(_) => f.write_str("the stream was deleted; only its forks go on"),
            Self::Closed { tail: Some(tail) } => {
                write!(f, "the stream is closed: it ends at {tail}")
            }
            Self::Closed { tail: None } => f.write_str("the stream is closed"),
            Self::StaleEpoch { current } => write!(
                f,
                "another run of this producer has claimed epoch {current}"
            ),
            Self::SequenceGap { expected } => {
                write!(f, "the producer's next number is {expected}")
            }
            Self::Refused { status, said, .. } => {
                write!(f, "the server answers with status {status}{said}")
            }
            Self::Strange(what) => write!(
                f,
                "{what}: the answer is not that of a Durable Streams server"
            ),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        Error::refused(status, &map, body.as_bytes())
    }

    #[test]
    fn refusals_are_told_apart_by_status_and_headers() {
        let at = |text: &str| Offset::parse(text).unwrap();
        let closed = [(header::CLOSED, "true"), (header::NEXT, "0_9")];
        let tail = Some(at("0_9"));
        assert_eq!(refused(409, &closed, ""), Error::Closed { tail });
        let gap = [(header::EXPECTED_SEQ, "4")];
        assert_eq!(refused(409, &gap, ""), Error::SequenceGap { expected: 4 });
        let stale = [(header::EPOCH, "7")];
        assert_eq!(refused(403, &stale, ""), Error::StaleEpoch { current: 7 });
        let dropped = [(header::EARLIEST, "0_5")];
        let earliest = at("0_5");
        assert_eq!(refused(410, &dropped, ""), Error::Truncated { earliest });
        assert!(matches!(refused(410, &[], ""), Error::Gone(_)));
        assert!(matches!(
            refused(409, &[], ""),
            Error::Refused { status: 409, .. }
        ));
    }

    #[test]
    fn what_a_server_says_is_repeated_in_its_words() {
        let ours = r#"{"error":{"code":"too_large","message":"the body is longer"}}"#;
        assert_eq!(
            refused(413, &[], ours).to_string(),
            "the server answers with status 413: the body is longer (too_large)"
        );
        assert_eq!(
            refused(400, &[], "Empty body\nmore").to_string(),
            "the server answers with status 400: Empty body"
        );
        assert_eq!(
            refused(502, &[], "<html>").to_string(),
            "the server answers with status 502"
        );
    }

    #[test]
    fn only_what_was_surely_not_taken_counts_as_that() {
        assert!(!refused(503, &[], "").is_untaken());
        assert!(refused(503, &[], "").is_passing());
        assert!(refused(429, &[], "").is_untaken());
        assert!(!refused(501, &[], "").is_passing());
    }
}
