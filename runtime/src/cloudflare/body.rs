//! Request bodies, read to the end before anything is decided.

use futures_util::StreamExt;
use worker::Request;

use crate::protocol::error::Error;
use crate::protocol::header;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
///
/// [`Error::TooLarge`], as soon as it is known; [`Error::Invalid`] for a body that breaks off.
pub async fn read(request: &mut Request, limit: usize) -> Result<Vec<u8>, Error> {
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    match announced_length(request) {
        Some(length) if length > widen(limit) => Err(Error::TooLarge {
            limit: widen(limit),
        }),
        Some(_) => request.bytes().await.map_err(broken_off),
        None => read_chunks(request, limit).await,
    }
}

async fn read_chunks(request: &mut Request, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut chunks = request.stream().map_err(broken_off)?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(broken_off)?;
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
    request
        .headers()
        .get(header::CONTENT_LENGTH)
        .ok()
        .flatten()?
        .parse()
        .ok()
}

fn widen(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

fn broken_off(error: worker::Error) -> Error {
    Error::invalid("the body", format!("could not be read to its end: {error}"))
}
