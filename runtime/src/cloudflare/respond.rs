//! Replies as platform responses.

use worker::js_sys::{self, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::web_sys::{ReadableStream, Response, WebSocket};

use crate::edge::refusal;
use crate::protocol::error::Error;
use crate::protocol::frame::Head;
use crate::protocol::reply::Reply;

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = makeResponse, catch)]
    fn make_response(
        status: u16,
        headers: &str,
        body: &JsValue,
        socket: Option<WebSocket>,
    ) -> Result<Response, JsValue>;
}

/// Builds the response.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn respond(reply: Reply) -> Result<Response, JsValue> {
    respond_with(reply, None)
}

/// Builds the response that refuses a request. What happened inside the server is logged.
///
/// # Errors
///
/// None that depend on the request.
pub fn refuse(error: &Error) -> Result<Response, JsValue> {
    respond(refusal(error, |text| worker::console_error!("{text}")))
}

/// Builds the response that hands a socket over, if there is one.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn respond_with(reply: Reply, socket: Option<WebSocket>) -> Result<Response, JsValue> {
    let body = match reply.status {
        // Statuses that must not have a body, not even an empty one.
        101 | 204 | 304 => JsValue::NULL,
        _ => Uint8Array::from(&reply.body[..]).into(),
    };
    make_response(reply.status, &lines(named(&reply))?, &body, socket)
}

/// Builds the response with a body that comes bit by bit.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn respond_in_parts(reply: Reply, body: &ReadableStream) -> Result<Response, JsValue> {
    make_response(reply.status, &lines(named(&reply))?, body, None)
}

/// Builds the response from its head and the bytes of its body, which stay where they are.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn respond_apart(head: &Head, body: &JsValue) -> Result<Response, JsValue> {
    let headers = head.headers.iter();
    let lines = lines(headers.map(|(name, value)| (name.as_str(), value.as_str())))?;
    make_response(head.status, &lines, body, None)
}

fn named(reply: &Reply) -> impl Iterator<Item = (&str, &str)> {
    let headers = reply.headers.iter();
    headers.map(|(name, value)| (*name, value.as_str()))
}

/// Names and values of headers, each in a line.
fn lines<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Result<String, JsValue> {
    let mut lines = String::with_capacity(512);
    for (name, value) in headers {
        if value.contains('\n') {
            let message = format!("the value of {name} has more than one line");
            return Err(js_sys::Error::new(&message).into());
        }
        for line in [name, value] {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}
