//! The sockets of an object's live readers, accepted through the hibernation API.

use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::WebSocket;
use worker::worker_sys::ext::WebSocketExt;
use worker::{State, WebSocketPair, js_sys};

use crate::object::ports::Close;
use crate::protocol::error::Error;
use crate::protocol::number::{integer, number};

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// `DurableObjectState`, for lists of sockets that stay lists of JavaScript.
    type Raw;

    #[wasm_bindgen(method, js_name = getWebSockets)]
    fn all(this: &Raw) -> js_sys::Array;

    #[wasm_bindgen(method, js_name = getWebSockets)]
    fn tagged(this: &Raw, tag: &str) -> js_sys::Array;
}

#[wasm_bindgen(
    module = "/src/cloudflare/live.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = sendToAll)]
    fn send_to_all(sockets: &js_sys::Array, frame: &js_sys::Uint8Array);

    /// Calls a function when what waits to be sent is on its way.
    #[wasm_bindgen(js_name = inNextTurn)]
    pub fn in_next_turn(go_on: &Closure<dyn Fn()>);
}

/// See the module's text.
pub struct Sockets(Raw);

impl Sockets {
    /// The sockets of an object; some may have been there before it was in memory.
    pub fn new(state: &State) -> Self {
        let raw: &JsValue = state.as_raw().as_ref();
        Self(raw.clone().unchecked_into())
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.all().length()
    }

    /// Accepts one under these tags, with a number that stays with it. Gives the other end.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub fn accept(&self, tags: &[&str], attached: Option<u64>) -> Result<WebSocket, Error> {
        let unavailable = |error: JsValue| Error::Unavailable(format!("{error:?}"));
        let pair = WebSocketPair::new().map_err(|error| Error::Unavailable(error.to_string()))?;
        let server: &WebSocket = pair.server.as_ref();
        if let Some(attached) = attached {
            let attachment = JsValue::from_f64(number(attached));
            server
                .serialize_attachment(attachment)
                .map_err(unavailable)?;
        }
        let state: &worker::worker_sys::DurableObjectState = self.0.unchecked_ref();
        let tags = tags.iter().map(|tag| JsValue::from_str(tag)).collect();
        state
            .accept_websocket_with_tags(server, tags)
            .map_err(unavailable)?;
        Ok(pair.client.as_ref().clone())
    }

    /// Sends a frame to each with a tag.
    pub fn send(&self, tag: &str, frame: impl FnOnce() -> Option<Vec<u8>>) {
        let sockets = self.0.tagged(tag);
        if sockets.length() == 0 {
            return;
        }
        if let Some(frame) = frame() {
            send_to_all(&sockets, &js_sys::Uint8Array::from(&frame[..]));
        }
    }

    /// Sends each with a tag the frame for the number that stays with it.
    pub fn send_each(&self, tag: &str, frame: impl Fn(u64) -> Vec<u8>) {
        for socket in self.0.tagged(tag) {
            let socket: WebSocket = socket.unchecked_into();
            let frame = frame(attached(&socket));
            let frame = js_sys::Uint8Array::from(&frame[..]);
            send_to_all(&js_sys::Array::of1(&socket), &frame);
        }
    }

    /// Closes each with a tag.
    pub fn close(&self, tag: &str, why: Close) {
        for socket in self.0.tagged(tag) {
            let _ = socket
                .unchecked_into::<WebSocket>()
                .close_with_code(why.code());
        }
    }
}

fn attached(socket: &WebSocket) -> u64 {
    let attached = socket.deserialize_attachment().ok();
    integer(attached.and_then(|value| value.as_f64()).unwrap_or(0.0))
}
