//! Live reads at the edge: sockets of stream's objects, and responses that go on. What is done for
//! each reader and frame is JavaScript's, in `live.js`.

use worker::js_sys::{self, ArrayBuffer, Promise, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{ReadableStream, Response, WebSocket, WritableStreamDefaultWriter};

use super::respond::{refuse, respond_apart, respond_in_parts};
use super::timing::now;
use super::world::random;
use crate::edge::live::Poll;
use crate::edge::ports::{Bounds, Copied, Gone};
use crate::protocol::error::Error;
use crate::protocol::number::{integer, number};
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;
use crate::protocol::sse::END_BYTES;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// The runtime's own transform for bytes: what is written comes out as it is, and a write is
    /// done when its bytes were taken.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> worker::web_sys::WritableStream;

    /// A response, for what only this runtime's have.
    type SocketResponse;

    #[wasm_bindgen(method, getter, js_name = webSocket)]
    fn web_socket(this: &SocketResponse) -> Option<WebSocket>;

    /// How copying has ended.
    type Ended;

    #[wasm_bindgen(method, getter)]
    fn how(this: &Ended) -> String;

    #[wasm_bindgen(method, getter)]
    fn last(this: &Ended) -> Option<ArrayBuffer>;
}

#[wasm_bindgen(
    module = "/src/cloudflare/live.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = awaitFrame)]
    fn await_frame_js(
        socket: &WebSocket,
        millis: f64,
        tail: f64,
        cursor: Option<f64>,
        from_now: bool,
        then: &Awake,
    ) -> Promise;

    #[wasm_bindgen(js_name = copyFrames)]
    fn copy_frames(
        socket: &WebSocket,
        writer: &WritableStreamDefaultWriter,
        backlog: f64,
        millis: f64,
        grace: f64,
        size: u32,
    ) -> Promise;

    #[wasm_bindgen(js_name = stopCopying)]
    fn stop_copying(writer: &WritableStreamDefaultWriter);
}

/// [`awake`], as JavaScript calls it.
type Awake = Closure<
    dyn Fn(WebSocket, Option<Uint8Array>, f64, Option<f64>, bool) -> Result<Response, JsValue>,
>;

thread_local! {
    /// One for all long-polls, so that none of them needs a future of its own to wait in.
    static AWAKE: Awake = Closure::new(awake);
}

/// The socket that came with a response.
pub fn socket_of(response: &Response) -> Option<WebSocket> {
    response.unchecked_ref::<SocketResponse>().web_socket()
}

/// The answer to a long-poll that waits at a socket.
pub fn await_frame(socket: &WebSocket, millis: u64, poll: Poll) -> Promise {
    let tail = number(poll.tail.position());
    let cursor = poll.cursor.map(number);
    AWAKE.with(|awake| {
        await_frame_js(
            socket,
            as_number(millis),
            tail,
            cursor,
            poll.from_now,
            awake,
        )
    })
}

/// Answers a long-poll to which this frame came, if any did.
fn awake(
    socket: WebSocket,
    frame: Option<Uint8Array>,
    tail: f64,
    cursor: Option<f64>,
    from_now: bool,
) -> Result<Response, JsValue> {
    let poll = Poll {
        tail: Offset::new(integer(tail)).unwrap_or(Offset::START),
        cursor: cursor.map(integer),
        from_now,
    };
    let response = match frame {
        Some(frame) => response_of(&frame, &poll),
        None => {
            let _ = socket.close();
            respond_to(&poll, None, &JsValue::NULL)
        }
    };
    response.or_else(|error| refuse(&error))
}

/// The response in a frame, whose body stays where it is.
fn response_of(frame: &Uint8Array, poll: &Poll) -> Result<Response, Error> {
    let prefix = <[u8; 4]>::try_from(frame.subarray(0, 4).to_vec());
    let length = prefix.map_or(u32::MAX, u32::from_be_bytes);
    let start = length.saturating_add(4).min(frame.length());
    let head = frame.subarray(4, start).to_vec();
    respond_to(poll, Some(&head), &frame.subarray(start, frame.length()))
}

fn respond_to(poll: &Poll, head: Option<&[u8]>, body: &JsValue) -> Result<Response, Error> {
    let head = poll.answer(head, now(), random())?;
    let body = match head.status {
        204 | 304 => &JsValue::NULL,
        _ => body,
    };
    respond_apart(&head, body).map_err(|error| Error::Unavailable(format!("{error:?}")))
}

/// A response of events, and where they are written to.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn events(reply: Reply) -> Result<(Response, Sink), JsValue> {
    let stream = IdentityTransformStream::new();
    let response = respond_in_parts(reply, &stream.readable())?;
    let writer = stream.writable().get_writer()?;
    Ok((response, Sink(writer)))
}

/// Where events are written to.
#[derive(Clone, Debug)]
pub struct Sink(WritableStreamDefaultWriter);

impl Sink {
    /// Writes bytes, and waits until they were taken.
    ///
    /// # Errors
    ///
    /// [`Gone`].
    pub async fn write(&self, bytes: &[u8]) -> Result<(), Gone> {
        let chunk = Uint8Array::from(bytes);
        let written = JsFuture::from(self.0.write_with_chunk(&chunk)).await;
        written.map(drop).map_err(|_| Gone)
    }

    /// Ends the response.
    pub async fn close(&self) {
        // Who is gone needs no end.
        let _ = JsFuture::from(self.0.close()).await;
    }

    /// Breaks the response off.
    pub fn abort(&self) {
        let reason = js_sys::Error::new("the reader takes nothing any more");
        let aborted = JsFuture::from(self.0.abort_with_reason(&reason));
        spawn_local(async move {
            let _ = aborted.await;
        });
    }

    /// Lets [`copy`](Self::copy) go on as if its time were over now.
    pub fn stop(&self) {
        stop_copying(&self.0);
    }

    /// Writes what comes over a socket.
    pub async fn copy(&self, socket: &WebSocket, bounds: Bounds) -> Copied {
        let (millis, grace) = (as_number(bounds.millis), as_number(bounds.grace));
        let size = u32::try_from(END_BYTES).unwrap_or(u32::MAX);
        let backlog = number(bounds.backlog);
        let ended = copy_frames(socket, &self.0, backlog, millis, grace, size);
        let Ok(ended) = JsFuture::from(ended).await else {
            return Copied::Stuck;
        };
        let ended: Ended = ended.unchecked_into();
        match ended.how().as_str() {
            "over" => Copied::Over,
            "behind" => {
                let last = ended.last();
                Copied::Behind(last.map(|last| Uint8Array::new(&last).to_vec()))
            }
            _ => Copied::Stuck,
        }
    }
}

/// Milliseconds for a timer, which takes at most 31 bits.
fn as_number(millis: u64) -> f64 {
    i32::try_from(millis).map_or(f64::from(i32::MAX), f64::from)
}
