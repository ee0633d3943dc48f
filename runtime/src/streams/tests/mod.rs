//! Streams over a world of one request.

mod calls;
mod pipes;
mod webhooks;
