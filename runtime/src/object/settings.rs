//! What the worker's variables mean for an object. Each may be malformed by itself: then only what
//! needs it is refused.

use crate::protocol::error::Error;
use crate::stream::tier::upkeep::Limits;

/// What the variables say, or what is wrong with them ([`Error::Misconfigured`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether responses say what they cost.
    pub debug_timing: bool,
    /// The largest body of a PUT or POST, in bytes.
    pub max_append_bytes: Result<usize, Error>,
    /// About how many bytes a read answers.
    pub read_max_bytes: Result<usize, Error>,
    /// How many live readers a stream has at most.
    pub max_live_readers: Result<u32, Error>,
    /// When data moves to the bucket, and in objects of which size.
    pub segments: Result<Limits, Error>,
    /// How many shards the directory has, if there is one.
    pub shards: Result<Option<u32>, Error>,
}
