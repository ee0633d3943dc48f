//! Request bodies, read to the end before anything is decided.

use std::fmt::Debug;

use futures_util::StreamExt;
use worker::js_sys::Promise;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::web_sys::Request;

use crate::protocol::error::Error;
use crate::protocol::header;

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = withBody, catch)]
    fn with_body(request: &Request, started: f64, then: &Then) -> Result<Promise, JsValue>;
}

/// What becomes of a request, the time when it came, and its body or what it broke off with.
pub type Then =
    Closure<dyn Fn(Request, f64, Option<Vec<u8>>, Option<String>) -> Result<JsValue, JsValue>>;

/// How a body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// There is none.
    Nothing,
    /// In the length that was announced, which is within the limit.
    Whole,
    /// Bit by bit, until it ends.
    Chunks,
}

/// Looks how a body comes.
///
/// # Errors
///
/// [`Error::TooLarge`] when more than `limit` bytes are announced.
pub fn coming(request: &Request, limit: usize) -> Result<Coming, Error> {
    match announced_length(request) {
        Some(0) => Ok(Coming::Nothing),
        Some(length) if length > widen(limit) => Err(too_large(limit)),
        Some(_) => Ok(Coming::Whole),
        None if request.body().is_none() => Ok(Coming::Nothing),
        None => Ok(Coming::Chunks),
    }
}

/// Lets `then` go on when the body is here, and gives the promise of its answer. It does without
/// a future, which takes longer than the append that it would wait for.
///
/// # Errors
///
/// When somebody has read the body before.
pub fn await_whole(request: &Request, started: f64, then: &Then) -> Result<Promise, JsValue> {
    with_body(request, started, then)
}

/// Reads a body of at most `limit` bytes that comes bit by bit.
///
/// # Errors
///
/// [`Error::TooLarge`], as soon as it is known; [`Error::Invalid`] for a body that breaks off.
pub async fn chunks(request: &Request, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let copy = Request::new_with_request(request).map_err(broken_off)?;
    let mut request = worker::Request::from(copy);
    let cut = |error: worker::Error| broken_off(error.to_string());
    let mut chunks = request.stream().map_err(cut)?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(cut)?;
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn announced_length(request: &Request) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH).ok().flatten();
    length?.parse().ok()
}

fn too_large(limit: usize) -> Error {
    Error::TooLarge {
        limit: widen(limit),
    }
}

fn widen(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

/// The refusal of a body that did not come to its end.
pub fn broken_off(error: impl Debug) -> Error {
    Error::invalid(
        "the body",
        format!("could not be read to its end: {error:?}"),
    )
}
