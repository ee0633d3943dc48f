//! How requests about subscriptions are refused (sections 6 and 7). The codes are the protocol's.

use std::fmt;

use serde_json::{Map, Value};

/// See [`Error::Subscription`](super::error::Error::Subscription).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    /// A field of the request breaks a rule.
    Invalid {
        /// The field, as its client wrote it.
        field: String,
        /// What is wrong with it, and what would be right.
        message: String,
    },
    /// No webhook goes to such a URL; the text says why (section 12.8).
    WebhookUrl(&'static str),
    /// The wake token is missing, or none of this subscription; the text says which.
    Token(&'static str),
    /// The wake token's time is over.
    TokenExpired,
    /// There is no such subscription.
    NotFound,
    /// There is nothing at this route.
    NoRoute,
    /// The route has no such method.
    Method {
        /// Those that it has, as in `Allow`.
        allow: &'static str,
    },
    /// There is one with another configuration (section 6.2).
    Exists,
    /// The wake that the request is about is not the current one (section 7.3).
    Fenced,
    /// Another worker holds the lease (section 7.2).
    AlreadyClaimed {
        /// Who.
        holder: String,
        /// The generation of the wake.
        generation: u64,
    },
    /// There is nothing to claim.
    NoPendingWork,
    /// An offset that cannot be acknowledged; the text says of which stream, and why.
    InvalidOffset(String),
    /// There is no directory, and so nobody knows which streams there are.
    DirectoryOff,
    /// Who would answer did not; what was asked for may have been done.
    NoAnswer,
    /// There is no stream to copy into.
    TargetNotFound {
        /// Its path.
        target: String,
    },
    /// The stream to copy into takes no appends any more.
    TargetClosed {
        /// Its path.
        target: String,
    },
    /// The stream to copy into is copied itself, by a subscription to which somebody has named it.
    TargetIsSource {
        /// Its path.
        target: String,
    },
    /// A stream that was named is the target of copies.
    SourceIsTarget {
        /// Its path.
        source: String,
    },
    /// Nobody has looked whether whoever asks may have streams copied. Whoever passes it on has to, and
    /// asks again then.
    Unchecked {
        /// The path of the stream to copy into.
        target: String,
    },
}

impl SubscriptionError {
    /// A field that breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } | Self::WebhookUrl(_) => 400,
            Self::Token(_) | Self::TokenExpired => 401,
            Self::Unchecked { .. } => 403,
            Self::NotFound | Self::NoRoute | Self::TargetNotFound { .. } => 404,
            Self::Method { .. } => 405,
            Self::Exists
            | Self::Fenced
            | Self::AlreadyClaimed { .. }
            | Self::NoPendingWork
            | Self::InvalidOffset(_)
            | Self::TargetClosed { .. }
            | Self::TargetIsSource { .. }
            | Self::SourceIsTarget { .. } => 409,
            Self::DirectoryOff => 501,
            Self::NoAnswer => 503,
        }
    }

    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "INVALID_REQUEST",
            Self::WebhookUrl(_) => "WEBHOOK_URL_REJECTED",
            Self::Token(_) => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::NotFound | Self::NoRoute => "SUBSCRIPTION_NOT_FOUND",
            Self::Method { .. } => "METHOD_NOT_ALLOWED",
            Self::Exists => "SUBSCRIPTION_ALREADY_EXISTS",
            Self::Fenced => "FENCED",
            Self::AlreadyClaimed { .. } => "ALREADY_CLAIMED",
            Self::NoPendingWork => "NO_PENDING_WORK",
            Self::InvalidOffset(_) => "INVALID_OFFSET",
            Self::DirectoryOff => "DIRECTORY_OFF",
            Self::NoAnswer => "UNAVAILABLE",
            Self::TargetNotFound { .. } => "TARGET_NOT_FOUND",
            Self::TargetClosed { .. } => "TARGET_CLOSED",
            Self::TargetIsSource { .. } => "TARGET_IS_SOURCE",
            Self::SourceIsTarget { .. } => "SOURCE_IS_TARGET",
            Self::Unchecked { .. } => "UNCHECKED",
        }
    }

    /// What the document says besides the code and the message.
    pub fn more(&self) -> Map<String, Value> {
        match self {
            Self::AlreadyClaimed { holder, generation } => Map::from_iter([
                ("current_holder".to_owned(), Value::from(holder.as_str())),
                ("generation".to_owned(), Value::from(*generation)),
            ]),
            Self::Unchecked { target } => {
                Map::from_iter([("target_stream".to_owned(), Value::from(target.as_str()))])
            }
            _ => Map::new(),
        }
    }
}

impl fmt::Display for SubscriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, message } => write!(f, "{field} {message}"),
            Self::WebhookUrl(why) => write!(f, "webhook.url {why}"),
            Self::Token(what) => f.write_str(what),
            Self::TokenExpired => f.write_str("the token has expired; wait for the next wake"),
            Self::NotFound => f.write_str("there is no such subscription; create it with PUT"),
            Self::NoRoute => f.write_str(
                "nothing is here; below __ds are subscriptions, streams, jwks.json, keys/rotate and \
                 directory/rebuild",
            ),
            Self::Method { allow } => write!(f, "this route takes {allow}"),
            Self::Exists => f.write_str(
                "a subscription of this id has another configuration; delete it, or take another id",
            ),
            Self::Fenced => f.write_str(
                "the wake is over: its wake_id or generation is not the current one",
            ),
            Self::AlreadyClaimed { holder, .. } => write!(f, "{holder:?} holds the lease"),
            Self::NoPendingWork => f.write_str("nothing is pending"),
            Self::InvalidOffset(why) => f.write_str(why),
            Self::DirectoryOff => f.write_str(
                "there is no directory of streams: set the variable DIRECTORY to \"on\", and add the \
                 Durable Object bindings DIRECTORIES (class DirectoryDO) and SUBSCRIPTIONS (class \
                 SubscriptionDO) with a migration for both",
            ),
            Self::NoAnswer => f.write_str(
                "the server did not answer in time, and may have done what was asked; repeat the \
                 request",
            ),
            Self::TargetNotFound { target } => {
                write!(f, "there is no stream {target:?} to copy into; create it first")
            }
            Self::TargetClosed { target } => {
                write!(f, "nothing can be copied into {target:?}: the stream is closed")
            }
            Self::TargetIsSource { target } => write!(
                f,
                "nothing can be copied into {target:?}: another subscription names the stream to copy \
                 it, and what was copied is not copied again"
            ),
            Self::SourceIsTarget { source } => write!(
                f,
                "streams must not hold {source:?}: it is the target of copies itself, and what was \
                 copied is not copied again"
            ),
            Self::Unchecked { target } => write!(
                f,
                "copying takes leave to read the streams and to write {target:?}"
            ),
        }
    }
}
