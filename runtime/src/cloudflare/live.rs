//! The live readers of an object: WebSockets from the edge, accepted through the hibernation API,
//! so that the object may leave memory while they wait. All that has to be known of a reader is in
//! its tag and attachment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::WebSocket;
use worker::worker_sys::ext::WebSocketExt;
use worker::{State, WebSocketPair, js_sys};

use super::number::{integer, number};
use super::sql::Sql;
use super::timing::now;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::frame;
use crate::protocol::offset::Offset;
use crate::protocol::reply::{Appended, Page, Reply};
use crate::protocol::request::Live;
use crate::protocol::sse::{self, Control, Encoding};
use crate::stream::Stream;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// `DurableObjectState`, for lists of sockets that stay lists of JavaScript.
    #[derive(Clone)]
    type Sockets;

    #[wasm_bindgen(method, js_name = getWebSockets)]
    fn all(this: &Sockets) -> js_sys::Array;

    #[wasm_bindgen(method, js_name = getWebSockets)]
    fn tagged(this: &Sockets, tag: &str) -> js_sys::Array;
}

#[wasm_bindgen(
    module = "/src/cloudflare/live.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = sendToAll)]
    fn send_to_all(sockets: &js_sys::Array, frame: &js_sys::Uint8Array);

    #[wasm_bindgen(js_name = inNextTurn)]
    fn in_next_turn(go_on: &Closure<dyn Fn()>);
}

/// The tag of a reader that gets one reply.
const POLL: &str = "poll";
/// The tag of a reader of events.
const EVENTS: &str = "sse";
/// The tag of a reader of events whose cursor is ahead of the time; it is in the attachment.
const AHEAD: &str = "sse-ahead";

/// About how many bytes go into one frame: what one reader can be behind by.
const FRAME_BYTES: usize = 1 << 20;

/// See the module's text.
#[derive(Clone)]
pub struct Readers {
    sockets: Sockets,
    stream: Rc<RefCell<Stream<Sql>>>,
    /// Whether there may be any.
    any: Rc<Cell<bool>>,
    /// How many there were when they were last counted, and have come since.
    most: Rc<Cell<u32>>,
    /// Where what they have not been sent yet starts.
    unsent: Rc<Cell<Option<Offset>>>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers")
            .field("unsent", &self.unsent)
            .finish_non_exhaustive()
    }
}

impl Readers {
    /// The readers of an object, who may have been there before it was in memory.
    pub fn new(state: &State, stream: Rc<RefCell<Stream<Sql>>>) -> Self {
        let raw: &JsValue = state.as_raw().as_ref();
        Self {
            sockets: raw.clone().unchecked_into(),
            stream,
            any: Rc::new(Cell::new(true)),
            most: Rc::new(Cell::new(u32::MAX)),
            unsent: Rc::default(),
        }
    }

    /// Takes in a reader who has everything, with the cursor it was given if that is ahead of the
    /// time. Gives the edge's end of the socket.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyReaders`] beyond `max`; [`Error::Unavailable`].
    pub fn accept(&self, live: Live, cursor: u64, max: u32) -> Result<WebSocket, Error> {
        let unavailable = |error: worker::Error| Error::Unavailable(error.to_string());
        self.make_room(max)?;
        // What the others wait for is no news to this one.
        self.send_unsent();
        let pair = WebSocketPair::new().map_err(unavailable)?;
        let server: &WebSocket = pair.server.as_ref();
        let is_ahead = cursor > cursor::current(now());
        let tag = match live {
            Live::LongPoll => POLL,
            Live::Sse if is_ahead => AHEAD,
            Live::Sse => EVENTS,
        };
        if tag == AHEAD {
            let attachment = JsValue::from_f64(number(cursor));
            server
                .serialize_attachment(attachment)
                .map_err(|error| Error::Unavailable(format!("{error:?}")))?;
        }
        self.any.set(true);
        let state: &worker::worker_sys::DurableObjectState = self.sockets.unchecked_ref();
        state
            .accept_websocket_with_tags(server, vec![JsValue::from_str(tag)])
            .map_err(|error| Error::Unavailable(format!("{error:?}")))?;
        Ok(pair.client.as_ref().clone())
    }

    /// Counts the readers, unless there cannot be too many of them; that takes time with each.
    fn make_room(&self, max: u32) -> Result<(), Error> {
        if self.most.get() >= max {
            self.most.set(self.sockets.all().length());
        }
        if self.most.get() >= max {
            return Err(Error::TooManyReaders { limit: max });
        }
        self.most.set(self.most.get().saturating_add(1));
        Ok(())
    }

    /// Notes an append or a close. Says whether [`Sender::send_later`] has to be called.
    pub fn note(&self, appended: &Appended) -> bool {
        let is_news = appended.count > 0 || appended.closed;
        if !is_news || !self.any.get() || self.unsent.get().is_some() {
            return false;
        }
        let before = appended.tail.position().saturating_sub(appended.count);
        self.unsent.set(Offset::new(before));
        true
    }

    /// Sends what has been noted.
    pub fn send_unsent(&self) {
        let Some(mut since) = self.unsent.take() else {
            return;
        };
        if self.sockets.all().length() == 0 {
            self.any.set(false);
            return;
        }
        loop {
            let news = self.stream.borrow_mut().news(since, FRAME_BYTES, now());
            let page = match news {
                Ok(page) => page,
                Err(error) => return self.let_go(&error),
            };
            if !page.cold.is_empty() {
                // They come back, and are given it as everybody who catches up.
                return self.send_away();
            }
            let over = page.up_to_date || page.closed || page.next <= since;
            since = page.next;
            self.send(page);
            if over {
                return;
            }
        }
    }

    fn send(&self, page: Page) {
        let closed = page.closed;
        self.send_events(&page);
        let reply = match page.count {
            0 => Reply::no_news(&page.next.to_string(), closed, 0),
            _ => Reply::page(page),
        };
        self.end_polls(reply);
        if closed {
            self.close(EVENTS);
            self.close(AHEAD);
        }
    }

    fn send_events(&self, page: &Page) {
        let data: &[u8] = if page.count == 0 { b"" } else { &page.body };
        let encoding = Encoding::of(&page.content_type);
        let event = |cursor| {
            let control = Control {
                next: page.next,
                cursor,
                up_to_date: page.up_to_date,
                closed: page.closed,
            };
            let event = sse::event(data, encoding, &control);
            js_sys::Uint8Array::from(&event[..])
        };
        let current = cursor::current(now());
        let sockets = self.sockets.tagged(EVENTS);
        if sockets.length() > 0 {
            send_to_all(&sockets, &event(current));
        }
        for socket in self.sockets.tagged(AHEAD) {
            let socket: WebSocket = socket.unchecked_into();
            let cursor = attached_cursor(&socket).max(current);
            send_to_all(&js_sys::Array::of1(&socket), &event(cursor));
        }
    }

    /// Answers everyone who waits for one reply.
    fn end_polls(&self, reply: Reply) {
        let sockets = self.sockets.tagged(POLL);
        if sockets.length() == 0 {
            return;
        }
        if let Some(frame) = frame::encode(reply) {
            send_to_all(&sockets, &js_sys::Uint8Array::from(&frame[..]));
        }
        self.close(POLL);
    }

    /// Ends all readers, for a stream that is gone.
    pub fn let_go(&self, why: &Error) {
        if !self.any.get() {
            return;
        }
        self.unsent.set(None);
        self.end_polls(Reply::refused(why));
        self.close(EVENTS);
        self.close(AHEAD);
    }

    /// Closes all sockets; to the readers that is as if their time was over.
    fn send_away(&self) {
        for tag in [POLL, EVENTS, AHEAD] {
            self.close(tag);
        }
    }

    fn close(&self, tag: &str) {
        for socket in self.sockets.tagged(tag) {
            let _ = socket.unchecked_into::<WebSocket>().close_with_code(1000);
        }
    }
}

/// Sends to readers what waits to be sent. There is one for each object.
#[derive(Debug)]
pub struct Sender(Closure<dyn Fn()>);

impl Sender {
    /// Sends to these readers.
    pub fn new(readers: Readers) -> Self {
        Self(Closure::new(move || readers.send_unsent()))
    }

    /// Sends what has been noted when the current turn's responses are on their way. Appends
    /// that come until then go along.
    pub fn send_later(&self) {
        in_next_turn(&self.0);
    }
}

fn attached_cursor(socket: &WebSocket) -> u64 {
    let attached = socket.deserialize_attachment().ok();
    integer(attached.and_then(|value| value.as_f64()).unwrap_or(0.0))
}

/// Any number.
pub fn random() -> u64 {
    integer(js_sys::Math::random() * f64::from(u32::MAX))
}
