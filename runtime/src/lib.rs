//! Durable Streams on Cloudflare Workers.

pub mod protocol;
pub mod stream;
