//! Names of the headers the protocol defines or uses.

#![allow(missing_docs, reason = "each name is its own documentation")]

pub const ACCEPT_ENCODING: &str = "Accept-Encoding";
pub const ACCESS_CONTROL_REQUEST_HEADERS: &str = "Access-Control-Request-Headers";
pub const CACHE_CONTROL: &str = "Cache-Control";
pub const CONTENT_ENCODING: &str = "Content-Encoding";
pub const CONTENT_LENGTH: &str = "Content-Length";
pub const CONTENT_SECURITY_POLICY: &str = "Content-Security-Policy";
pub const CONTENT_TYPE: &str = "Content-Type";
pub const DS_COLD: &str = "Ds-Cold";
pub const DS_INCARNATION: &str = "Ds-Incarnation";
pub const DS_LENGTH: &str = "Ds-Length";
pub const DS_UNROTATED: &str = "Ds-Unrotated";
pub const DS_VERSION: &str = "Ds-Version";
pub const ETAG: &str = "ETag";
pub const IF_MATCH: &str = "If-Match";
pub const IF_NONE_MATCH: &str = "If-None-Match";
pub const LAST_EVENT_ID: &str = "Last-Event-ID";
pub const LOCATION: &str = "Location";
pub const ORIGIN: &str = "Origin";
pub const PRODUCER_EPOCH: &str = "Producer-Epoch";
pub const PRODUCER_EXPECTED_SEQ: &str = "Producer-Expected-Seq";
pub const PRODUCER_ID: &str = "Producer-Id";
pub const PRODUCER_RECEIVED_SEQ: &str = "Producer-Received-Seq";
pub const PRODUCER_SEQ: &str = "Producer-Seq";
pub const RETRY_AFTER: &str = "Retry-After";
pub const SERVER_TIMING: &str = "Server-Timing";
pub const STREAM_CLOSED: &str = "Stream-Closed";
pub const STREAM_CURSOR: &str = "Stream-Cursor";
pub const STREAM_EARLIEST_OFFSET: &str = "Stream-Earliest-Offset";
pub const STREAM_EXPIRES_AT: &str = "Stream-Expires-At";
pub const STREAM_FORKED_FROM: &str = "Stream-Forked-From";
pub const STREAM_FORK_OFFSET: &str = "Stream-Fork-Offset";
pub const STREAM_FORK_SUB_OFFSET: &str = "Stream-Fork-Sub-Offset";
pub const STREAM_IF_PUBLIC: &str = "Stream-If-Public";
pub const STREAM_NEXT_OFFSET: &str = "Stream-Next-Offset";
pub const STREAM_RETENTION: &str = "Stream-Retention";
pub const STREAM_SEQ: &str = "Stream-Seq";
pub const STREAM_SSE_DATA_ENCODING: &str = "Stream-SSE-Data-Encoding";
pub const STREAM_TRUNCATE_BEFORE: &str = "Stream-Truncate-Before";
pub const STREAM_TTL: &str = "Stream-TTL";
pub const STREAM_UP_TO_DATE: &str = "Stream-Up-To-Date";
pub const STREAM_WILL: &str = "Stream-Will";
pub const STREAM_WILL_AFTER: &str = "Stream-Will-After";
pub const X_FORWARDED_HOST: &str = "X-Forwarded-Host";
pub const X_FORWARDED_PROTO: &str = "X-Forwarded-Proto";

/// What a browser may send across origins, where its preflight does not say what it wants to.
/// `*` would not do: it never stands for `Authorization`.
pub const ALLOWED_REQUEST_HEADERS: &str = "Authorization, Content-Encoding, Content-Type, If-Match, \
    If-None-Match, Last-Event-ID, Producer-Epoch, Producer-Id, Producer-Seq, Stream-Closed, \
    Stream-Expires-At, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Stream-Forked-From, \
    Stream-Retention, Stream-Seq, Stream-TTL, Stream-Truncate-Before, \
    Stream-Will, Stream-Will-After";
