//! What the worker's variables mean for the edge. Each may be malformed by itself: then only what
//! needs it is refused.

use crate::protocol::error::Error;

/// What the variables say of live reads, or what is wrong with them ([`Error::Misconfigured`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a long-poll waits, in milliseconds.
    pub long_poll_timeout_ms: Result<u64, Error>,
    /// How long a response of events goes on, in milliseconds.
    pub sse_timeout_ms: Result<u64, Error>,
    /// After how long without an event its reader is sent a comment, in milliseconds.
    pub sse_heartbeat_ms: Result<u64, Error>,
    /// How many shards the directory has, if there is one.
    pub shards: Result<Option<u32>, Error>,
    /// Where clients reach the server, if that is not wherever their requests say.
    pub public_url: Result<Option<String>, Error>,
}
