//! What can be said against a call.

use std::fmt;

use serde::Deserialize;
use serde_json::Map;

use crate::auth;
use crate::edge::ports::Outgoing;
use crate::protocol::error::Error as Refusal;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;
use crate::protocol::subscription_error::SubscriptionError;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such stream, or it has expired.
    NotFound,
    /// The stream was deleted, and is kept for its forks alone (section 4.2).
    Gone,
    /// A stream with another configuration is there already; the text says what differs (section 5.1).
    Exists(String),
    /// The stream is closed (section 5.2).
    Closed {
        /// Its final offset.
        tail: Offset,
    },
    /// The tail is not where [`Append::if_match`](super::Append::if_match) says: somebody was faster.
    Overtaken {
        /// The stream's tail.
        tail: Offset,
        /// Whether the stream is closed.
        closed: bool,
    },
    /// What is asked for lies before the earliest position that is kept (section 5.6).
    Truncated {
        /// That position.
        earliest: Offset,
    },
    /// A producer with a newer epoch has taken over (section 5.2.1).
    StaleEpoch {
        /// The newer epoch.
        current: u64,
    },
    /// Requests of the producer are missing before this one (section 5.2.1).
    SequenceGap {
        /// The sequence number that would be accepted.
        expected: u64,
        /// The one that came.
        received: u64,
    },
    /// Something else that breaks a rule.
    Refused {
        /// The status that a request from outside would have got.
        status: u16,
        /// The stable name of the refusal, as in `content_type_mismatch`.
        code: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The object did not answer. What was asked of it may have been done all the same; an append
    /// that a [`Producer`](super::Producer) sends can be sent again without harm.
    Unavailable(String),
    /// A value cannot be written as JSON, or a message is not what was expected.
    Json(String),
}

/// What a refusal says of itself.
#[derive(Deserialize)]
struct Document {
    error: About,
}

#[derive(Deserialize)]
struct About {
    code: String,
    message: String,
}

impl Error {
    /// Reads a response that refuses.
    pub(super) fn read(response: &impl Outgoing, body: &[u8]) -> Self {
        let (code, message) = match serde_json::from_slice(body) {
            Ok(Document { error }) => (error.code, error.message),
            Err(_) => (String::new(), String::from_utf8_lossy(body).into_owned()),
        };
        let offset = |name| response.header(name)?.parse::<Offset>().ok();
        let number = |name| response.header(name)?.parse::<u64>().ok();
        let tail = || offset(header::STREAM_NEXT_OFFSET);
        let known = match &*code {
            "stream_not_found" => Some(Self::NotFound),
            "stream_gone" => Some(Self::Gone),
            "stream_exists" => Some(Self::Exists(message.clone())),
            "stream_closed" => tail().map(|tail| Self::Closed { tail }),
            "overtaken" => tail().map(|tail| Self::Overtaken {
                tail,
                closed: response.header(header::STREAM_CLOSED).is_some(),
            }),
            "truncated" => {
                offset(header::STREAM_EARLIEST_OFFSET).map(|earliest| Self::Truncated { earliest })
            }
            "stale_epoch" => {
                number(header::PRODUCER_EPOCH).map(|current| Self::StaleEpoch { current })
            }
            "sequence_gap" => number(header::PRODUCER_EXPECTED_SEQ)
                .zip(number(header::PRODUCER_RECEIVED_SEQ))
                .map(|(expected, received)| Self::SequenceGap { expected, received }),
            "unavailable" | "registry_unavailable" | "newer_version" | "UNAVAILABLE" => {
                Some(Self::Unavailable(message.clone()))
            }
            // What refuses a HEAD has no body.
            "" => match response.status() {
                404 => Some(Self::NotFound),
                410 => Some(Self::Gone),
                503 => Some(Self::Unavailable("the stream answers 503".to_owned())),
                _ => None,
            },
            _ => None,
        };
        known.unwrap_or(Self::Refused {
            status: response.status(),
            code,
            message,
        })
    }

    /// Reads an answer of an object that is no stream's.
    pub(super) fn said(status: u16, body: &[u8]) -> Self {
        struct Bare(u16);
        impl Outgoing for Bare {
            fn status(&self) -> u16 {
                self.0
            }
            fn header(&self, _name: &str) -> Option<String> {
                None
            }
        }
        Self::read(&Bare(status), body)
    }

    /// Nothing came in time.
    pub(super) fn late(limit: u64) -> Self {
        Self::Unavailable(format!("no answer within {limit} ms"))
    }

    /// What breaks a rule before anybody is asked.
    pub(super) fn refused(field: &'static str, message: impl Into<String>) -> Self {
        Refusal::invalid(field, message).into()
    }

    /// What a response lacks that each of its kind has.
    pub(super) fn lacking(what: &str) -> Self {
        Self::Unavailable(format!("the stream's answer has no {what}"))
    }

    /// What a request from outside would have been answered. What happened inside the server is not
    /// in it.
    pub(crate) fn reply(&self) -> Reply {
        let refusal = match self {
            Self::NotFound => Refusal::NotFound,
            Self::Gone => Refusal::Gone,
            Self::Closed { tail } => Refusal::Closed { tail: *tail },
            Self::Overtaken { tail, closed } => Refusal::Overtaken {
                tail: *tail,
                closed: *closed,
            },
            Self::Truncated { earliest } => Refusal::Truncated {
                earliest: *earliest,
            },
            Self::StaleEpoch { current } => Refusal::StaleEpoch { current: *current },
            Self::SequenceGap { expected, received } => Refusal::SequenceGap {
                expected: *expected,
                received: *received,
            },
            Self::Unavailable(detail) => Refusal::Unavailable(detail.clone()),
            Self::Json(message) => Refusal::invalid("JSON", message),
            Self::Exists(message) => {
                return Reply::refusing(409, "stream_exists", message, Map::new());
            }
            Self::Refused {
                status,
                code,
                message,
            } => return Reply::refusing(*status, code, message, Map::new()),
        };
        Reply::refused(&refusal)
    }

    /// The status that a request from outside would have got.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Gone | Self::Truncated { .. } => 410,
            Self::Exists(_) | Self::Closed { .. } | Self::SequenceGap { .. } => 409,
            Self::Overtaken { .. } => 412,
            Self::StaleEpoch { .. } => 403,
            Self::Refused { status, .. } => *status,
            Self::Unavailable(_) => 503,
            Self::Json(_) => 400,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NotFound,
            Refusal::Gone => Self::Gone,
            Refusal::Exists(_) => Self::Exists(refusal.to_string()),
            Refusal::Closed { tail } => Self::Closed { tail },
            Refusal::Overtaken { tail, closed } => Self::Overtaken { tail, closed },
            Refusal::Truncated { earliest } => Self::Truncated { earliest },
            Refusal::StaleEpoch { current } => Self::StaleEpoch { current },
            Refusal::SequenceGap { expected, received } => Self::SequenceGap { expected, received },
            // Inside the worker nobody is to be kept from knowing what it was.
            Refusal::Unavailable(detail)
            | Refusal::RegistryUnavailable(detail)
            | Refusal::Newer(detail) => Self::Unavailable(detail),
            Refusal::Subscription(SubscriptionError::NoAnswer) => {
                Self::Unavailable(SubscriptionError::NoAnswer.to_string())
            }
            other => Self::Refused {
                status: other.status(),
                code: other.code().to_owned(),
                message: match other.detail() {
                    Some(detail) => format!("{other}: {detail}"),
                    None => other.to_string(),
                },
            },
        }
    }
}

impl From<auth::Refusal> for Error {
    fn from(refusal: auth::Refusal) -> Self {
        match refusal {
            auth::Refusal::Error(error) => error.into(),
            auth::Refusal::Reply(reply) => Self::Refused {
                status: reply.status,
                code: String::new(),
                message: String::from_utf8_lossy(&reply.body).into_owned(),
            },
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such stream"),
            Self::Gone => f.write_str("the stream was deleted; only its forks go on"),
            Self::Exists(message) => f.write_str(message),
            Self::Closed { tail } => write!(f, "the stream is closed at {tail}"),
            Self::Overtaken { tail, .. } => {
                write!(f, "somebody was faster: the tail is {tail}")
            }
            Self::Truncated { earliest } => {
                write!(f, "what lies before {earliest} was dropped")
            }
            Self::StaleEpoch { current } => {
                write!(f, "a producer of epoch {current} has taken over")
            }
            Self::SequenceGap { expected, received } => {
                write!(
                    f,
                    "the producer's number is {received}, but {expected} comes next"
                )
            }
            Self::Refused { code, message, .. } => write!(f, "{code}: {message}"),
            Self::Unavailable(detail) => write!(
                f,
                "the stream did not answer, and may have done what was asked: {detail}"
            ),
            Self::Json(message) => write!(f, "JSON: {message}"),
        }
    }
}

impl std::error::Error for Error {}
