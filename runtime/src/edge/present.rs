//! Answers as their clients may have them.

use worker::Result;
use worker::wasm_bindgen::JsCast;
use worker::web_sys::{Response, ResponseInit};

use crate::auth::cors::header_changes;
use crate::auth::{Audience, Cors, Request};
use crate::object::measure::{SERVER_TIMING, join};
use crate::protocol::header;

/// Whether such answers go out as they come.
pub fn leaves_alone(cors: Cors, audience: Audience) -> bool {
    cors == Cors::Any && audience != Audience::Holder
}

/// The response with the headers that its readers call for; see also [`leaves_alone`].
///
/// # Errors
///
/// None that depend on the request.
pub fn present(
    response: Response,
    cors: Cors,
    asked: &Request<'_>,
    audience: Audience,
) -> Result<Response> {
    let origin = asked.header("Origin");
    let caching = response.headers().get(header::CACHE_CONTROL)?;
    let changes = header_changes(cors, origin.as_deref(), audience, caching.as_deref());
    if changes.is_empty() {
        return Ok(response);
    }
    let response = changeable(&response)?;
    let headers = response.headers();
    for (name, value) in changes {
        match value {
            Some(value) => headers.set(name, &value)?,
            None => headers.delete(name)?,
        }
    }
    Ok(response)
}

/// The response with the edge's time in it.
///
/// # Errors
///
/// None that depend on the request.
pub fn with_timing(response: &Response, millis: f64) -> Result<Response> {
    let response = changeable(response)?;
    let headers = response.headers();
    let of_object = headers.get(SERVER_TIMING)?;
    headers.set(SERVER_TIMING, &join(millis, of_object))?;
    Ok(response)
}

/// The same response with headers that can be changed. Those of a response that came from
/// elsewhere cannot.
fn changeable(response: &Response) -> Result<Response> {
    let init: &ResponseInit = response.unchecked_ref();
    let body = response.body();
    Ok(Response::new_with_opt_readable_stream_and_init(
        body.as_ref(),
        init,
    )?)
}
