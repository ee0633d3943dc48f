//! Replies as platform responses.

use worker::{Headers, Response, ResponseBuilder, Result};

use crate::protocol::reply::Reply;

/// Builds the response.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn respond(reply: Reply) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in &reply.headers {
        headers.set(name, value)?;
    }
    let builder = ResponseBuilder::new()
        .with_status(reply.status)
        .with_headers(headers);
    Ok(match reply.status {
        // Statuses that must not have a body, not even an empty one.
        101 | 204 | 304 => builder.empty(),
        _ => builder.fixed(reply.body),
    })
}
