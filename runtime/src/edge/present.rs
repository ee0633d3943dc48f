//! Answers as their clients may have them.

use super::ports::{Outgoing, Ports};
use crate::auth::cors::header_changes;
use crate::auth::{Audience, Cors, Request};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::number::thousandths;

/// Whether such answers go out as they come.
pub fn leaves_alone(cors: Cors, audience: Audience) -> bool {
    cors == Cors::Any && audience != Audience::Holder
}

/// The response with the headers that its readers call for; see also [`leaves_alone`].
///
/// # Errors
///
/// None that depend on the request.
pub fn present<P: Ports>(
    ports: &P,
    response: P::Response,
    cors: Cors,
    asked: &Request<'_>,
    audience: Audience,
) -> Result<P::Response, Error> {
    let origin = asked.header(header::ORIGIN);
    let caching = response.header(header::CACHE_CONTROL);
    let changes = header_changes(cors, origin.as_deref(), audience, caching.as_deref());
    if changes.is_empty() {
        return Ok(response);
    }
    ports.with_headers(response, &changes)
}

/// The response with the edge's time in it, in milliseconds.
///
/// # Errors
///
/// None that depend on the request.
pub fn with_timing<P: Ports>(
    ports: &P,
    response: P::Response,
    millis: f64,
) -> Result<P::Response, Error> {
    let timing = timing(millis, response.header(header::SERVER_TIMING));
    ports.with_headers(response, &[(header::SERVER_TIMING, Some(timing))])
}

/// The whole of `Server-Timing`: the edge's part, and the object's if it was asked.
fn timing(edge_millis: f64, of_object: Option<String>) -> String {
    let of_edge = format!("edge;dur={}", thousandths(edge_millis));
    of_object
        .into_iter()
        .fold(of_edge, |edge, object| edge + ", " + &object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_the_time_are_told() {
        let of_object = Some("object;dur=1".to_owned());
        assert_eq!(timing(2.0, of_object), "edge;dur=2.000, object;dur=1");
        assert_eq!(timing(2.0, None), "edge;dur=2.000");
    }
}
