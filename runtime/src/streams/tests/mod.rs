//! Streams over a world of one request.

mod asks;
mod calls;
mod pipes;
mod webhooks;
