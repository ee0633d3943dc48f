//! Live reads at the edge: sockets of stream's objects, and responses that go on. What is done for
//! each reader and frame is JavaScript's, in `live.js`.

use worker::js_sys::{ArrayBuffer, Promise, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{ReadableStream, Request, Response, WebSocket, WritableStreamDefaultWriter};

use super::respond::{refuse, respond_apart, respond_in_parts};
use super::timing::now;
use super::world::random;
use crate::edge::live::Poll;
use crate::edge::ports::{Bounds, Copied, Gone};
use crate::protocol::error::Error;
use crate::protocol::number::{integer, number};
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;
use crate::protocol::sse::{END_BYTES, HEARTBEAT};

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
        request: &Request,
        socket: &WebSocket,
        millis: f64,
        tail: f64,
        cursor: Option<f64>,
        from_now: bool,
        then: &Awake,
    ) -> Promise;

    /// Where events are written to.
    #[derive(Clone, Debug)]
    pub type Events;

    #[wasm_bindgen(constructor)]
    fn new(
        writer: &WritableStreamDefaultWriter,
        request: &Request,
        beat: f64,
        heartbeat: &Uint8Array,
    ) -> Events;

    #[wasm_bindgen(method, js_name = write)]
    fn write_js(this: &Events, bytes: &Uint8Array) -> Promise;

    #[wasm_bindgen(method, js_name = close)]
    fn close_js(this: &Events) -> Promise;

    #[wasm_bindgen(method, js_name = abort)]
    fn abort_js(this: &Events, reason: &str);

    #[wasm_bindgen(method, js_name = copy)]
    fn copy_js(
        this: &Events,
        socket: &WebSocket,
        backlog: f64,
        room: f64,
        millis: f64,
        grace: f64,
        size: u32,
    ) -> Promise;

    #[wasm_bindgen(method, js_name = stop)]
    fn stop_js(this: &Events);
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
pub fn await_frame(request: &Request, socket: &WebSocket, millis: u64, poll: Poll) -> Promise {
    let tail = number(poll.tail.position());
    let cursor = poll.cursor.map(number);
    AWAKE.with(|awake| {
        await_frame_js(
            request,
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

/// A response of events to a request, and where they are written to.
///
/// # Errors
///
/// When a header's value is none that HTTP can carry.
pub fn events(request: &Request, reply: Reply, beat: u64) -> Result<(Response, Events), JsValue> {
    let stream = IdentityTransformStream::new();
    let response = respond_in_parts(reply, &stream.readable())?;
    let writer = stream.writable().get_writer()?;
    let heartbeat = Uint8Array::from(HEARTBEAT);
    let events = Events::new(&writer, request, as_number(beat), &heartbeat);
    Ok((response, events))
}

impl Events {
    /// Writes bytes, and waits until they were taken.
    ///
    /// # Errors
    ///
    /// [`Gone`].
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        let chunk = Uint8Array::from(&bytes[..]);
        // It may take long until they were taken, and once is enough to hold them.
        drop(bytes);
        let written = JsFuture::from(self.write_js(&chunk)).await;
        written.map(drop).map_err(|_| Gone)
    }

    /// Ends the response.
    pub async fn close(&self) {
        // Who is gone needs no end.
        let _ = JsFuture::from(self.close_js()).await;
    }

    /// Breaks the response off.
    pub fn abort(&self) {
        self.abort_js("the reader takes nothing any more");
    }

    /// Lets [`copy`](Self::copy) go on as if its time were over now.
    pub fn stop(&self) {
        self.stop_js();
    }

    /// Writes what comes over a socket.
    pub async fn copy(&self, socket: &WebSocket, bounds: Bounds) -> Copied {
        let (millis, grace) = (as_number(bounds.millis), as_number(bounds.grace));
        let (backlog, room) = (number(bounds.backlog), number(bounds.room));
        let size = u32::try_from(END_BYTES).unwrap_or(u32::MAX);
        let ended = self.copy_js(socket, backlog, room, millis, grace, size);
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
