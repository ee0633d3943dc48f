//! Bodies of responses, piece by piece as they come.

use futures_util::future::ready;
use futures_util::{FutureExt, Stream, TryStreamExt, stream};
use worker::js_sys::{self, Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{ReadableStream, ReadableStreamDefaultReader, Response};

use crate::streams::{BrokenOff, Events};

/// Where pieces come from: a response, or a stream of bytes of JavaScript.
#[derive(Debug)]
pub struct Body(Result<Option<ReadableStream>, BrokenOff>);

impl From<ReadableStream> for Body {
    fn from(stream: ReadableStream) -> Self {
        Self(Ok(Some(stream)))
    }
}

impl From<Response> for Body {
    /// A response that is no success has no pieces: it has broken off before the first one.
    fn from(response: Response) -> Self {
        let status = response.status();
        Self(match response.ok() {
            true => Ok(response.body()),
            false => Err(BrokenOff(format!("the answer has status {status}"))),
        })
    }
}

impl From<worker::Response> for Body {
    fn from(response: worker::Response) -> Self {
        Response::from(response).into()
    }
}

impl<B: Into<Self>> From<worker::Result<B>> for Body {
    /// A request that has failed has no pieces either.
    fn from(outcome: worker::Result<B>) -> Self {
        match outcome {
            Ok(body) => body.into(),
            Err(error) => Self(Err(BrokenOff(error.to_string()))),
        }
    }
}

/// The bytes of a body, as they come. Whoever sends them is told when nobody wants more.
pub fn pieces(body: impl Into<Body>) -> impl Stream<Item = Result<Vec<u8>, BrokenOff>> + 'static {
    let stream = body.into().0;
    let reader = stream.and_then(|stream| stream.as_ref().map(Reader::of).transpose());
    stream::once(ready(reader))
        .map_ok(|reader| {
            stream::try_unfold(reader, async |reader| {
                let Some(reader) = reader else {
                    return Ok(None);
                };
                let piece = reader.read().await?;
                Ok(piece.map(|piece| (piece, Some(reader))))
            })
        })
        .try_flatten()
}

/// The server-sent events in a body, as they come.
pub fn events(body: impl Into<Body>) -> Events<BrokenOff> {
    Events::of(pieces(body))
}

/// Reads a stream, and lets it go when it is dropped.
struct Reader(ReadableStreamDefaultReader);

impl Reader {
    fn of(stream: &ReadableStream) -> Result<Self, BrokenOff> {
        let reader = ReadableStreamDefaultReader::new(stream).map_err(broken_off)?;
        Ok(Self(reader))
    }

    async fn read(&self) -> Result<Option<Vec<u8>>, BrokenOff> {
        let read = JsFuture::from(self.0.read()).await.map_err(broken_off)?;
        let is_done = Reflect::get(&read, &"done".into()).map_err(broken_off)?;
        if is_done.is_truthy() {
            return Ok(None);
        }
        let value = Reflect::get(&read, &"value".into()).map_err(broken_off)?;
        let bytes: Uint8Array = value.dyn_into().map_err(broken_off)?;
        Ok(Some(bytes.to_vec()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Of a stream that is over, this says how it has ended, which is known.
        spawn_local(JsFuture::from(self.0.cancel()).map(drop));
    }
}

fn broken_off(error: JsValue) -> BrokenOff {
    let message = error.dyn_ref::<js_sys::Error>().map(js_sys::Error::message);
    BrokenOff(message.map_or_else(|| format!("{error:?}"), String::from))
}
