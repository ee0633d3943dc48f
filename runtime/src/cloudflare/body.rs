//! Request bodies, read to the end before anything is decided.

use futures_util::StreamExt;
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Request;

use crate::protocol::error::Error;
use crate::protocol::header;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
///
/// [`Error::TooLarge`], as soon as it is known; [`Error::Invalid`] for a body that breaks off.
pub async fn read(request: &Request, limit: usize) -> Result<Vec<u8>, Error> {
    match announced_length(request) {
        Some(0) => Ok(Vec::new()),
        Some(length) if length > widen(limit) => Err(Error::TooLarge {
            limit: widen(limit),
        }),
        Some(_) => {
            let body = request.array_buffer().map_err(broken_off)?;
            let body = JsFuture::from(body).await.map_err(broken_off)?;
            Ok(Uint8Array::new(&body).to_vec())
        }
        None => read_chunks(request, limit).await,
    }
}

async fn read_chunks(request: &Request, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    if request.body().is_none() {
        return Ok(body);
    }
    let copy = Request::new_with_request(request).map_err(broken_off)?;
    let mut request = worker::Request::from(copy);
    let cut = |error: worker::Error| broken_off(error.to_string().into());
    let mut chunks = request.stream().map_err(cut)?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(cut)?;
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(Error::TooLarge {
                limit: widen(limit),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn announced_length(request: &Request) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH).ok().flatten();
    length?.parse().ok()
}

fn widen(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

fn broken_off(error: JsValue) -> Error {
    Error::invalid(
        "the body",
        format!("could not be read to its end: {error:?}"),
    )
}
