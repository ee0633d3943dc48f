//! The protocol as pure values and rules: no I/O, no JS types, no clock.
//!
//! | file | what it knows |
//! |---|---|
//! | [`path`] | which URL paths name a stream |
//! | [`offset`] | offset tokens and positions |
//! | [`content_type`] | media types and what they mean for a stream |
//! | [`encoding`] | in which encodings bodies may come |
//! | [`json`] | JSON mode: validation, flattening, one message a line |
//! | [`expiry`] | `Stream-TTL` and `Stream-Expires-At` |
//! | [`producer`] | the idempotent producer state machine |
//! | [`condition`] | `If-Match` of writers |
//! | [`retention`] | `Stream-Retention` |
//! | [`will`] | `Stream-Will-After` and `Stream-Will` |
//! | [`cursor`] | cursors of live reads |
//! | [`sse`] | the text of Server-Sent Events |
//! | [`etag`] | entity tags and `If-None-Match` |
//! | [`checksum`] | whether an object holds what was stored |
//! | [`part`] | answers whose data lies elsewhere |
//! | [`header`] | the names of headers |
//! | [`request`] | headers and query to typed requests |
//! | [`truncate`] | requests that drop the beginning of a stream |
//! | [`reply`] | typed results to status and headers |
//! | [`frame`] | a head and a body in one piece, for objects and the edges of waiting readers |
//! | [`glob`] | patterns over paths of streams |
//! | [`webhook_url`] | where webhooks may go |
//! | [`root`] | roots: projects, or the place of all streams |
//! | [`route`] | what is asked of a root, by its URL |
//! | [`ask`] | what objects ask each other about streams of a root and subscriptions |
//! | [`version`] | versions of records and messages |
//! | [`time`] | times as clients read them |
//! | [`number`] | integers as JavaScript's numbers, and numbers as text |
//! | [`error`] | every refusal, with its status and headers |
//! | [`subscription_error`] | those of requests about subscriptions |

pub mod ask;
pub mod checksum;
pub mod condition;
pub mod content_type;
pub mod cursor;
pub mod encoding;
pub mod error;
pub mod etag;
pub mod expiry;
pub mod frame;
pub mod glob;
pub mod header;
pub mod json;
pub mod number;
pub mod offset;
pub mod part;
pub mod path;
pub mod producer;
pub mod reply;
pub mod request;
pub mod retention;
pub mod root;
pub mod route;
pub mod sse;
#[cfg(test)]
pub mod sse_reader;
pub mod subscription_error;
pub mod time;
pub mod truncate;
pub mod version;
pub mod webhook_url;
pub mod will;
