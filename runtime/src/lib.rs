//! Durable Streams on Cloudflare Workers.
