//! Every way a request can be refused, and what the client is told.

use std::fmt;

use super::header;
use super::offset::Offset;
use super::subscription_error::SubscriptionError;

/// A refusal. [`Error::status`], [`Error::headers`] and the message are all a client sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request shows no valid credentials; the text says what is wrong.
    Unauthorized(&'static str),
    /// The credentials do not allow the request; the text says why.
    Forbidden(&'static str),
    /// The URL is no stream's.
    UnknownRoute,
    /// The method is none that streams have.
    MethodNotAllowed,
    /// A part of the request breaks a rule.
    Invalid {
        /// The header or parameter at fault.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        message: String,
    },
    /// The body is longer than this server takes.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body holds more messages than one request may bring.
    TooManyMessages {
        /// How many it may.
        limit: u64,
    },
    /// There is no such stream, or it has expired.
    NotFound,
    /// The stream was deleted, and is kept only for its forks (section 4.2).
    Gone,
    /// The stream that was at the path is kept for its forks, and so is the path (section 4.2).
    PathKept,
    /// The stream to fork does not exist (section 4.2).
    NoSource,
    /// The stream to fork was deleted, and is kept only for its other forks (section 4.2).
    SourceGone,
    /// A stream with another configuration is there already (section 5.1).
    Exists(&'static str),
    /// What is asked for lies before the earliest position that is kept (section 5.6).
    Truncated {
        /// That position.
        earliest: Offset,
    },
    /// `If-Match` names another offset than the tail: somebody was faster.
    Overtaken {
        /// The stream's tail.
        tail: Offset,
        /// Whether the stream is closed.
        closed: bool,
    },
    /// The body comes in an encoding that this server does not decode; the text is its name.
    UnsupportedEncoding(String),
    /// The stream is closed (section 5.2).
    Closed {
        /// The stream's final offset.
        tail: Offset,
    },
    /// The body's type is not the stream's (section 5.2).
    ContentTypeMismatch {
        /// The stream's type.
        stream: String,
    },
    /// `Stream-Seq` is not greater than the last one (section 5.2).
    SeqRegression {
        /// The last accepted value.
        last: String,
    },
    /// A producer with a newer epoch has taken over (section 5.2.1).
    StaleEpoch {
        /// The newer epoch.
        current: u64,
    },
    /// A new epoch has to start at sequence number 0 (section 5.2.1).
    EpochStart {
        /// The claimed epoch.
        epoch: u64,
        /// The claimed sequence number.
        seq: u64,
    },
    /// Requests of the producer are missing before this one (section 5.2.1).
    SequenceGap {
        /// The sequence number that would be accepted.
        expected: u64,
        /// The one that came.
        received: u64,
    },
    /// As many live readers as one stream may have are there already.
    TooManyReaders {
        /// How many that is.
        limit: u32,
    },
    /// The stream has reached the largest position there is.
    Full,
    /// A request about subscriptions is refused (sections 6 and 7).
    Subscription(SubscriptionError),
    /// Storage failed; the request changed nothing.
    Storage(String),
    /// The server cannot be reached; the request may or may not have been carried out.
    Unavailable(String),
    /// What is stored, or what another part of the server said, is of a newer release than this
    /// one; the request changed nothing.
    Newer(String),
    /// The registry of projects and public streams cannot be reached. Nothing was decided, or a
    /// stream was created or deleted and is not registered so; the same request again does that.
    RegistryUnavailable(String),
    /// A variable or binding of the worker is wrong; the text says which, and what would be
    /// right.
    Misconfigured(String),
}

impl Error {
    /// A request part that breaks a rule.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } | Self::EpochStart { .. } => 400,
            Self::Unauthorized(_) => 401,
            Self::StaleEpoch { .. } | Self::Forbidden(_) => 403,
            Self::UnknownRoute | Self::NotFound | Self::NoSource => 404,
            Self::Gone | Self::Truncated { .. } => 410,
            Self::Overtaken { .. } => 412,
            Self::UnsupportedEncoding(_) => 415,
            Self::MethodNotAllowed => 405,
            Self::Exists(_)
            | Self::PathKept
            | Self::SourceGone
            | Self::Closed { .. }
            | Self::ContentTypeMismatch { .. }
            | Self::SeqRegression { .. }
            | Self::SequenceGap { .. } => 409,
            Self::TooLarge { .. } | Self::TooManyMessages { .. } => 413,
            Self::TooManyReaders { .. } => 429,
            Self::Storage(_) | Self::Misconfigured(_) => 500,
            Self::Unavailable(_) | Self::RegistryUnavailable(_) | Self::Newer(_) => 503,
            Self::Full => 507,
            Self::Subscription(error) => error.status(),
        }
    }

    /// What happened inside the server: for the log, not for clients.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Storage(detail)
            | Self::Unavailable(detail)
            | Self::Newer(detail)
            | Self::RegistryUnavailable(detail)
            | Self::Misconfigured(detail) => Some(detail),
            _ => None,
        }
    }

    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::UnknownRoute => "unknown_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Invalid { .. } => "invalid_request",
            Self::TooLarge { .. } => "too_large",
            Self::TooManyMessages { .. } => "too_many_messages",
            Self::TooManyReaders { .. } => "too_many_readers",
            Self::NotFound => "stream_not_found",
            Self::Gone => "stream_gone",
            Self::Truncated { .. } => "truncated",
            Self::Overtaken { .. } => "overtaken",
            Self::UnsupportedEncoding(_) => "unsupported_encoding",
            Self::PathKept => "path_kept",
            Self::NoSource => "source_not_found",
            Self::SourceGone => "source_gone",
            Self::Exists(_) => "stream_exists",
            Self::Closed { .. } => "stream_closed",
            Self::ContentTypeMismatch { .. } => "content_type_mismatch",
            Self::SeqRegression { .. } => "seq_regression",
            Self::StaleEpoch { .. } => "stale_epoch",
            Self::EpochStart { .. } => "epoch_start",
            Self::SequenceGap { .. } => "sequence_gap",
            Self::Full => "stream_full",
            Self::Subscription(error) => error.code(),
            Self::Storage(_) => "storage_error",
            Self::Unavailable(_) => "unavailable",
            Self::Newer(_) => "newer_version",
            Self::RegistryUnavailable(_) => "registry_unavailable",
            Self::Misconfigured(_) => "misconfigured",
        }
    }

    /// The headers the protocol gives this refusal.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            // RFC 9110 section 11.6.1 wants it of every 401.
            Self::Unauthorized(_)
            | Self::Subscription(SubscriptionError::Token(_) | SubscriptionError::TokenExpired) => {
                vec![("WWW-Authenticate", "Bearer".to_owned())]
            }
            Self::Subscription(SubscriptionError::Method { allow }) => {
                vec![("Allow", (*allow).to_owned())]
            }
            Self::MethodNotAllowed => {
                vec![("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS".to_owned())]
            }
            Self::Closed { tail } => vec![
                (header::STREAM_CLOSED, "true".to_owned()),
                (header::STREAM_NEXT_OFFSET, tail.to_string()),
            ],
            Self::Truncated { earliest } => {
                vec![(header::STREAM_EARLIEST_OFFSET, earliest.to_string())]
            }
            Self::Overtaken { tail, closed } => {
                let closed = closed.then(|| (header::STREAM_CLOSED, "true".to_owned()));
                let tail = (header::STREAM_NEXT_OFFSET, tail.to_string());
                std::iter::once(tail).chain(closed).collect()
            }
            // RFC 9110 section 15.5.16: what would have been taken.
            Self::UnsupportedEncoding(_) => {
                vec![(header::ACCEPT_ENCODING, "gzip, deflate".to_owned())]
            }
            Self::Unavailable(_)
            | Self::RegistryUnavailable(_)
            | Self::Subscription(SubscriptionError::NoAnswer) => {
                vec![(header::RETRY_AFTER, "1".to_owned())]
            }
            Self::Newer(_) => vec![(header::RETRY_AFTER, "60".to_owned())],
            Self::StaleEpoch { current } => vec![(header::PRODUCER_EPOCH, current.to_string())],
            Self::SequenceGap { expected, received } => vec![
                (header::PRODUCER_EXPECTED_SEQ, expected.to_string()),
                (header::PRODUCER_RECEIVED_SEQ, received.to_string()),
            ],
            Self::TooManyReaders { .. } => vec![(header::RETRY_AFTER, "5".to_owned())],
            _ => Vec::new(),
        }
    }
}

impl From<SubscriptionError> for Error {
    fn from(error: SubscriptionError) -> Self {
        Self::Subscription(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized(what) | Self::Forbidden(what) => f.write_str(what),
            Self::UnknownRoute => f.write_str("nothing is here; streams are at /v1/stream/<path>"),
            Self::MethodNotAllowed => {
                f.write_str("streams take GET, HEAD, POST, PUT, DELETE and OPTIONS")
            }
            Self::Invalid { field, message } => write!(f, "{field} {message}"),
            Self::TooLarge { limit } => write!(f, "the body is longer than {limit} bytes"),
            Self::TooManyMessages { limit } => write!(
                f,
                "the body holds more than {limit} messages; append them in several requests"
            ),
            Self::NotFound => f.write_str("there is no such stream; create it with PUT"),
            Self::Gone => f.write_str("the stream was deleted; only its forks go on"),
            Self::Truncated { earliest } => {
                write!(f, "what lies before {earliest} was dropped; read from there on, or from -1")
            }
            Self::Overtaken { tail, .. } => {
                write!(f, "If-Match is not the tail, which is \"{tail}\"")
            }
            Self::UnsupportedEncoding(encoding) => write!(
                f,
                "Content-Encoding is {encoding:?}; gzip and deflate are decoded, or send none"
            ),
            Self::PathKept => f.write_str(
                "the stream that was here is kept for its forks; delete those, or take another path",
            ),
            Self::NoSource => f.write_str("Stream-Forked-From names no stream that exists"),
            Self::SourceGone => f.write_str(
                "Stream-Forked-From names a stream that was deleted; only its other forks go on",
            ),
            Self::Exists(what) => write!(f, "the stream exists with another {what}"),
            Self::Closed { .. } => f.write_str("the stream is closed"),
            Self::ContentTypeMismatch { stream } => {
                write!(f, "Content-Type must be the stream's, {stream}")
            }
            // Clients look for the first two words to tell this from other conflicts.
            Self::SeqRegression { last } => write!(
                f,
                "sequence conflict: Stream-Seq must be greater than the last one, {last:?}"
            ),
            Self::StaleEpoch { current } => {
                write!(f, "Producer-Epoch is stale; the current epoch is {current}")
            }
            Self::EpochStart { epoch, seq } => write!(
                f,
                "Producer-Seq is {seq}, but epoch {epoch} is new and has to start at 0"
            ),
            Self::SequenceGap { expected, received } => {
                write!(f, "Producer-Seq is {received}, but {expected} comes next")
            }
            Self::TooManyReaders { limit } => {
                write!(f, "the stream has {limit} live readers and takes no more")
            }
            Self::Full => f.write_str("the stream has reached the largest offset"),
            Self::Subscription(error) => error.fmt(f),
            // What went wrong inside is for the log, not for the client.
            Self::Storage(_) => f.write_str("storage failed; nothing was changed"),
            Self::Unavailable(_) => f.write_str(
                "the stream did not answer, and may have done what was asked; try again, and with an \
                 append only if a producer sends it or its end shows that it is not there",
            ),
            Self::Newer(_) => f.write_str("the stream is of a newer release; try again later"),
            Self::RegistryUnavailable(_) => {
                f.write_str("the registry of projects cannot be reached; repeat the request")
            }
            Self::Misconfigured(_) => f.write_str("the server is misconfigured; its log says how"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_tell_a_broken_order_by_two_words() {
        let error = Error::SeqRegression {
            last: "b".to_owned(),
        };
        let text = error.to_string();
        assert!(text.contains("sequence conflict"), "{text}");
    }
}
