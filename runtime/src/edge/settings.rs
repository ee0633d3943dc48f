//! What the worker's variables mean for the edge.

/// What the variables say of live reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a long-poll waits, in milliseconds.
    pub long_poll_timeout_ms: u64,
    /// How long a response of events goes on, in milliseconds.
    pub sse_timeout_ms: u64,
}
