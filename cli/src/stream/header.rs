//! Names of the headers of the protocol, and how they are read.

use reqwest::header::HeaderMap;

use super::Offset;

pub const CLOSED: &str = "stream-closed";
pub const CURSOR: &str = "stream-cursor";
pub const EARLIEST: &str = "stream-earliest-offset";
pub const EPOCH: &str = "producer-epoch";
pub const EXPECTED_SEQ: &str = "producer-expected-seq";
pub const EXPIRES_AT: &str = "stream-expires-at";
pub const FORKED_FROM: &str = "stream-forked-from";
pub const FORK_OFFSET: &str = "stream-fork-offset";
pub const FORK_SUB_OFFSET: &str = "stream-fork-sub-offset";
pub const NEXT: &str = "stream-next-offset";
pub const PRODUCER: &str = "producer-id";
pub const RETENTION: &str = "stream-retention";
pub const SEQ: &str = "producer-seq";
pub const SSE_ENCODING: &str = "stream-sse-data-encoding";
pub const TRUNCATE_BEFORE: &str = "stream-truncate-before";
pub const TTL: &str = "stream-ttl";
pub const UP_TO_DATE: &str = "stream-up-to-date";

/// The text of a header.
pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The number of a header.
pub fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Whether a header says `true`; all other values count as none.
pub fn is_true(headers: &HeaderMap, name: &str) -> bool {
    text(headers, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The offset of a header.
pub fn offset(headers: &HeaderMap, name: &str) -> Option<Offset> {
    Offset::parse(&text(headers, name)?).ok()
}
