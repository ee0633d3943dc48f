//! Streams over a world of one request.

mod calls;
mod webhooks;
