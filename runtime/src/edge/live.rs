//! Live reads at the edge. Both modes ask the stream's object the same question: give me what
//! comes after this offset, or a socket on which it will come. A long-poll asks once. A reader of
//! events is given page after page, each as an event, until there is a socket, and then all that
//! comes over it. So catching up joins the live tail with no gap, and nobody waits in the object.

use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{ReadableStream, Request, Response, WebSocket, WritableStreamDefaultWriter};
use worker::{Env, js_sys};

use super::cold;
use crate::auth::{Audience, Grant};
use crate::cloudflare::answer::Answer;
use crate::cloudflare::config::LiveConfig;
use crate::cloudflare::forward::{self, Stub};
use crate::cloudflare::number::{integer, number};
use crate::cloudflare::respond::{refuse, respond_in_parts, respond_with};
use crate::cloudflare::timing::now;
use crate::cloudflare::world::random;
use crate::protocol::content_type::ContentType;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Live, Read, ReadFrom};
use crate::protocol::sse::{self, Control, Encoding};

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
}

#[wasm_bindgen(
    module = "/src/cloudflare/live.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = awaitFrame)]
    fn await_frame(
        socket: &WebSocket,
        millis: f64,
        tail: f64,
        cursor: Option<f64>,
        from_now: bool,
        then: &Awake,
    ) -> js_sys::Promise;

    #[wasm_bindgen(js_name = responseOf, catch)]
    fn response_of(
        frame: &js_sys::Uint8Array,
        cursor: &str,
        from_now: bool,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = copyFrames)]
    fn copy_frames(
        socket: &WebSocket,
        writer: &WritableStreamDefaultWriter,
        limit: f64,
        millis: f64,
    ) -> js_sys::Promise;
}

/// [`awake`], as JavaScript calls it.
type Awake = Closure<
    dyn Fn(
        WebSocket,
        Option<js_sys::Uint8Array>,
        f64,
        Option<f64>,
        bool,
    ) -> Result<Response, JsValue>,
>;

thread_local! {
    /// One for all long-polls, so that none of them needs a future of its own to wait in.
    static AWAKE: Awake = Closure::new(awake);
}

/// A reader that is this far behind, in bytes, is let go: it can resume by its offset.
const MAX_BACKLOG: f64 = 4_194_304.0;

/// Whether a request is a live read.
pub fn is_live(method: &str, query: &str) -> bool {
    method == "GET" && (query.starts_with("live=") || query.contains("&live="))
}

/// Serves a live read for as long as it is granted.
///
/// # Errors
///
/// What is wrong with the request, and [`Error::Unavailable`]; all else is an answer.
pub async fn serve(
    request: &Request,
    env: &Env,
    path: &StreamPath,
    grant: Grant,
) -> Result<Answer, Error> {
    let config = LiveConfig::from_env(env)?;
    let url = request.url();
    let (raw_path, query) = path::split_url(&url);
    let read = Read::parse(query, &|_| None)?;
    let place = Place {
        env: env.clone(),
        stub: forward::stub(env, path.as_str())?,
        base: format!("http://live{}{raw_path}", path::LIVE),
        audience: grant.audience,
    };
    let now = now();
    let left = grant
        .expires_at
        .map_or(u64::MAX, |end| end.saturating_mul(1000).saturating_sub(now));
    match read.live {
        Some(Live::Sse) => {
            let ends_at = now.saturating_add(config.sse_timeout_ms.min(left));
            Ok(events(place, &read, ends_at).await?.into())
        }
        _ => long_poll(&place, &read, config.long_poll_timeout_ms.min(left)).await,
    }
}

/// A stream's object, and where in it live reads are.
struct Place {
    env: Env,
    stub: Stub,
    base: String,
    audience: Audience,
}

/// What the object says to a live read.
enum Said {
    /// Here is what you asked for, or why not.
    Now(Response),
    /// It will come over this socket.
    Later(WebSocket, Waiting),
}

/// What the object says of a stream that has nothing for a reader yet.
struct Waiting {
    content_type: Option<ContentType>,
    tail: Offset,
}

impl Place {
    async fn ask(&self, mode: &str, from: ReadFrom, cursor: Option<u64>) -> Result<Said, Error> {
        let offset = match from {
            ReadFrom::Start => "-1".to_owned(),
            ReadFrom::Now => "now".to_owned(),
            ReadFrom::At(offset) => offset.to_string(),
        };
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let url = format!("{}?offset={offset}&live={mode}{cursor}", self.base);
        let response = self.stub.upgrade(&url, self.audience).await?;
        let socket = response.unchecked_ref::<SocketResponse>().web_socket();
        let Some(socket) = socket else {
            return Ok(Said::Now(response));
        };
        let waiting = Waiting::of(&response)
            .ok_or_else(|| Error::Unavailable("the object's answer has no offset".to_owned()))?;
        Ok(Said::Later(socket, waiting))
    }
}

impl Waiting {
    fn of(response: &Response) -> Option<Self> {
        let header = header_of(response);
        Some(Self {
            content_type: ContentType::parse(&header(header::CONTENT_TYPE)?),
            tail: header(header::STREAM_NEXT_OFFSET)?.parse().ok()?,
        })
    }
}

async fn long_poll(place: &Place, read: &Read, millis: u64) -> Result<Answer, Error> {
    let (socket, waiting) = match place.ask("long-poll", read.from, read.cursor).await? {
        Said::Now(response) => return Ok(cold::complete(&place.env, response).await?.into()),
        Said::Later(socket, waiting) => (socket, waiting),
    };
    let tail = number(waiting.tail.position());
    let cursor = read.cursor.map(number);
    let from_now = read.from == ReadFrom::Now;
    let promise = AWAKE.with(|awake| {
        let millis = as_number(millis);
        await_frame(&socket, millis, tail, cursor, from_now, awake)
    });
    Ok(Answer::coming(promise))
}

/// Answers a long-poll with the frame that came, or, if none did, with no news since `tail`.
fn awake(
    socket: WebSocket,
    frame: Option<js_sys::Uint8Array>,
    tail: f64,
    cursor: Option<f64>,
    from_now: bool,
) -> Result<Response, JsValue> {
    let cursor = cursor::next(now(), cursor.map(integer), random());
    let response = match frame {
        Some(frame) => response_of(&frame, &cursor.to_string(), from_now),
        None => {
            let _ = socket.close();
            let tail = Offset::new(integer(tail)).unwrap_or(Offset::START);
            respond_with(Reply::no_news(&tail.to_string(), false, cursor), None)
        }
    };
    response.or_else(|error| Ok(refuse(&Error::Unavailable(format!("{error:?}")))?))
}

async fn events(place: Place, read: &Read, ends_at: u64) -> Result<Response, Error> {
    let first = match place.ask("sse", read.from, read.cursor).await? {
        Said::Now(refusal) if refusal.status() != 200 => return Ok(refusal),
        answer => answer,
    };
    let content_type = match &first {
        Said::Now(response) => header_of(response)(header::CONTENT_TYPE)
            .as_deref()
            .and_then(ContentType::parse),
        Said::Later(_, waiting) => waiting.content_type.clone(),
    };
    let encoding = Encoding::of(&content_type.unwrap_or_else(ContentType::default_type));
    let stream = IdentityTransformStream::new();
    let response = respond_in_parts(Reply::events(encoding), &stream.readable())
        .map_err(|error| Error::Unavailable(format!("{error:?}")))?;
    let writer = stream
        .writable()
        .get_writer()
        .map_err(|error| Error::Unavailable(format!("{error:?}")))?;
    let events = Events {
        place,
        writer,
        encoding,
        cursor: read.cursor,
        ends_at,
    };
    spawn_local(events.run(first));
    Ok(response)
}

/// A reader of events.
struct Events {
    place: Place,
    writer: WritableStreamDefaultWriter,
    encoding: Encoding,
    cursor: Option<u64>,
    ends_at: u64,
}

impl Events {
    /// Writes events until the stream, the reader or the time ends. What fails on the way ends
    /// the response, and the reader comes back with its offset.
    async fn run(self, first: Said) {
        let kept = self.write_all(first).await.unwrap_or(false);
        let end = if kept {
            self.writer.close()
        } else {
            self.writer.abort()
        };
        let _ = JsFuture::from(end).await;
    }

    /// Says whether the reader is to see a regular end.
    async fn write_all(&self, first: Said) -> Result<bool, JsValue> {
        let mut answer = first;
        let mut greeted = false;
        loop {
            let next = match answer {
                Said::Later(socket, waiting) => {
                    if !greeted {
                        self.greet(waiting.tail).await?;
                    }
                    return self.copy(&socket).await;
                }
                Said::Now(page) if page.status() != 200 => return Ok(true),
                Said::Now(page) => match self.write_page(&page).await? {
                    Some(next) => next,
                    None => return Ok(true),
                },
            };
            greeted = true;
            if now() >= self.ends_at {
                return Ok(true);
            }
            let asked = self.place.ask("sse", ReadFrom::At(next), self.cursor).await;
            answer = asked.map_err(|error| JsValue::from_str(&error.to_string()))?;
        }
    }

    /// Tells a reader who has everything so.
    async fn greet(&self, tail: Offset) -> Result<(), JsValue> {
        let control = Control {
            next: tail,
            cursor: cursor::next(now(), self.cursor, random()),
            up_to_date: true,
            closed: false,
        };
        self.write(&sse::event(b"", self.encoding, &control)).await
    }

    /// Writes a page as an event. Gives the offset to go on from, or nothing at the final one.
    async fn write_page(&self, page: &Response) -> Result<Option<Offset>, JsValue> {
        let header = header_of(page);
        let next = header(header::STREAM_NEXT_OFFSET).and_then(|offset| offset.parse().ok());
        let next = next.ok_or_else(|| JsValue::from_str("the object's page has no offset"))?;
        let data = cold::bytes(&self.place.env, page).await;
        let data = data.map_err(|error| JsValue::from_str(&error.to_string()))?;
        let control = Control {
            next,
            cursor: cursor::next(now(), self.cursor, random()),
            up_to_date: header(header::STREAM_UP_TO_DATE).is_some(),
            closed: header(header::STREAM_CLOSED).is_some(),
        };
        self.write(&sse::event(&data, self.encoding, &control))
            .await?;
        Ok((!control.closed).then_some(next))
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), JsValue> {
        let chunk = js_sys::Uint8Array::from(bytes);
        JsFuture::from(self.writer.write_with_chunk(&chunk)).await?;
        Ok(())
    }

    async fn copy(&self, socket: &WebSocket) -> Result<bool, JsValue> {
        let left = as_number(self.ends_at.saturating_sub(now()));
        let copied = JsFuture::from(copy_frames(socket, &self.writer, MAX_BACKLOG, left)).await;
        let _ = socket.close();
        Ok(copied?.as_bool().unwrap_or(false))
    }
}

fn header_of(response: &Response) -> impl Fn(&str) -> Option<String> {
    let headers = response.headers();
    move |name| headers.get(name).ok().flatten()
}

/// Milliseconds for a timer, which takes at most 31 bits.
fn as_number(millis: u64) -> f64 {
    i32::try_from(millis).map_or(f64::from(i32::MAX), f64::from)
}
