//! The Durable Object of one stream: reads a request to its end, runs one verb of the sequencer
//! in one synchronous turn, and answers.

#![allow(
    missing_docs,
    reason = "the durable_object attribute makes public functions"
)]

use std::cell::RefCell;
use std::rc::Rc;

use worker::{
    Date, DurableObject, Env, Method, Request, Response, Result, ScheduledTime, Socket, State,
    WebSocket, WebSocketIncomingMessage, durable_object, js_sys, wasm_bindgen, web_sys,
};

use super::body;
use super::config::Config;
use super::live::{Readers, random};
use super::metrics::{DataPoint, Metrics};
use super::respond::respond;
use super::sql::{Sql, Usage};
use super::timing::{self, Clock};
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::{Page, Reply};
use crate::protocol::request::{Append, Create, Live, Read};
use crate::stream::Stream;

/// The latest time a JavaScript date can hold, in milliseconds since the Unix epoch.
const MAX_DATE: u64 = 8_640_000_000_000_000;

/// About how many bytes of the past one event holds.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// The Durable Object class that a worker has to export: one object per stream.
#[durable_object]
pub struct StreamDO {
    state: State,
    config: std::result::Result<Config, Error>,
    clock: Clock,
    metrics: Metrics,
    stream: Rc<RefCell<Stream<Sql>>>,
    readers: Readers,
}

impl std::fmt::Debug for StreamDO {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDO")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl DurableObject for StreamDO {
    fn new(state: State, env: Env) -> Self {
        let config = Config::from_env(&env);
        let clock = Clock::new(config.as_ref().is_ok_and(|config| config.debug_timing));
        let stream = Stream::new(Sql::new(&state.storage(), clock));
        let stream = Rc::new(RefCell::new(stream));
        let metrics = Metrics::from_env(&env);
        let readers = Readers::new(&state, Rc::clone(&stream));
        Self {
            state,
            config,
            clock,
            metrics,
            stream,
            readers,
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let started = self.clock.now();
        let outcome = self.handle(&mut request).await;
        let usage = self.stream.borrow().storage().take_usage();
        self.measure(&request, &outcome, usage);
        let (mut reply, socket) = match outcome {
            Ok(done) => (done.reply, done.socket),
            Err(error) => (refuse(&error), None),
        };
        if self.config.as_ref().is_ok_and(|config| config.debug_timing) {
            let timing = timing::of_object(self.clock.now() - started, usage);
            reply = reply.with(timing::SERVER_TIMING, timing);
        }
        let response = respond(reply)?;
        Ok(response.with_websocket(socket.map(WebSocket::from)))
    }

    /// Cleans up after a stream that has ended, and looks again later at one that has not.
    async fn alarm(&self) -> Result<Response> {
        let gone = self.stream.borrow_mut().expire(now());
        match gone {
            Ok(true) => {
                self.readers.let_go(&Error::NotFound);
                self.free_storage().await;
            }
            Ok(false) => self.schedule_end().await,
            // An alarm that fails is called again.
            Err(error) => return Err(format!("{error:?}").into()),
        }
        Response::empty()
    }

    /// The default of this panics.
    async fn connect(&self, _: Socket) -> Result<()> {
        Err("streams are read over HTTP".into())
    }

    /// The edge has nothing to say but goodbye.
    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        // It may be closed on this side, too.
        let _ = socket.close(Some(1000), Some(""));
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> Result<()> {
        Ok(())
    }
}

/// What came of a request that was carried out.
struct Done {
    reply: Reply,
    /// Messages or bytes appended or read.
    count: u64,
    /// Length of the body that came or went.
    bytes: usize,
    /// For a live read that has to wait, the edge's end of the socket.
    socket: Option<web_sys::WebSocket>,
}

impl Done {
    fn new(reply: Reply, count: u64, bytes: usize) -> Self {
        Self {
            reply,
            count,
            bytes,
            socket: None,
        }
    }
}

impl StreamDO {
    async fn handle(&self, request: &mut Request) -> std::result::Result<Done, Error> {
        let config = self.config.as_ref().map_err(Clone::clone)?;
        self.check_audience(request)?;
        match request.method() {
            Method::Put => self.put(request, config).await,
            Method::Post => self.post(request, config).await,
            Method::Get => self.get(request, config),
            Method::Head => {
                let metadata = self.stream.borrow_mut().head(now())?;
                Ok(Done::new(Reply::metadata(&metadata), 0, 0))
            }
            Method::Delete => self.delete().await,
            _ => Err(Error::MethodNotAllowed),
        }
    }

    /// The edge lets readers without credentials through to streams that may be public.
    fn check_audience(&self, request: &Request) -> std::result::Result<(), Error> {
        let is_read = matches!(request.method(), Method::Get | Method::Head);
        if is_read && header_of(request)(header::STREAM_IF_PUBLIC).is_some() {
            self.stream.borrow_mut().require_public(now())?;
        }
        Ok(())
    }

    async fn put(
        &self,
        request: &mut Request,
        config: &Config,
    ) -> std::result::Result<Done, Error> {
        let body = body::read(request, config.max_append_bytes).await?;
        let url = request.inner().url();
        let (_, query) = path::split_url(&url);
        let create = Create::parse(query, &header_of(request))?;
        let now = now();
        let created = self
            .stream
            .borrow_mut()
            .create(&create, &body, incarnation(now), now)?;
        if created.is_new {
            self.schedule_end().await;
        }
        let location = url.split('?').next().unwrap_or_default();
        let reply = Reply::created(&created, location);
        Ok(Done::new(reply, created.count, body.len()))
    }

    async fn post(
        &self,
        request: &mut Request,
        config: &Config,
    ) -> std::result::Result<Done, Error> {
        let body = body::read(request, config.max_append_bytes).await?;
        let append = Append::parse(&header_of(request), body.is_empty())?;
        let appended = self.stream.borrow_mut().append(&append, &body, now())?;
        if self.readers.note(&appended) {
            self.readers.send_later(&self.state);
        }
        let reply = Reply::appended(&appended);
        Ok(Done::new(reply, appended.count, body.len()))
    }

    fn get(&self, request: &Request, config: &Config) -> std::result::Result<Done, Error> {
        let url = request.inner().url();
        let (path, query) = path::split_url(&url);
        let read = Read::parse(query, &header_of(request))?;
        match read.live {
            Some(live) if path.starts_with(path::LIVE) => self.live(&read, live, config),
            _ => {
                let page = self.page(&read, config.read_max_bytes)?;
                Ok(of_page(page))
            }
        }
    }

    fn page(&self, read: &Read, max_bytes: usize) -> std::result::Result<Page, Error> {
        self.stream.borrow_mut().read(read, max_bytes, now())
    }

    /// What a live reader has not read yet, or a socket on which it will come.
    fn live(&self, read: &Read, live: Live, config: &Config) -> std::result::Result<Done, Error> {
        let max_bytes = match live {
            Live::LongPoll => config.read_max_bytes,
            Live::Sse => config.read_max_bytes.min(MAX_EVENT_BYTES),
        };
        let mut page = self.page(read, max_bytes)?;
        let cursor = cursor::next(now(), read.cursor, random());
        if page.count > 0 {
            page.cursor = Some(cursor);
            return Ok(of_page(page));
        }
        if !page.closed {
            let socket = self.readers.accept(live, cursor, config.max_live_readers)?;
            let reply = Reply::waiting(&page.content_type, page.next);
            return Ok(Done {
                socket: Some(socket),
                ..Done::new(reply, 0, 0)
            });
        }
        match live {
            Live::LongPoll => {
                let reply = Reply::no_news(&page.next.to_string(), true, cursor);
                Ok(Done::new(reply, 0, 0))
            }
            Live::Sse => {
                // No messages are no event, not an empty array.
                page.body.clear();
                Ok(of_page(page))
            }
        }
    }

    async fn delete(&self) -> std::result::Result<Done, Error> {
        self.stream.borrow_mut().delete(now())?;
        self.readers.let_go(&Error::NotFound);
        self.free_storage().await;
        Ok(Done::new(Reply::deleted(), 0, 0))
    }

    /// Gives back the space that is left when a stream is gone. The stream may be created anew
    /// while this is awaited, but the call itself has had its effect before.
    async fn free_storage(&self) {
        if let Err(error) = self.state.storage().delete_all().await {
            worker::console_error!("the storage of a deleted stream was not freed: {error}");
        }
    }

    /// Sets the alarm to when the stream ends, if it does.
    async fn schedule_end(&self) {
        let deadline = self.stream.borrow().deadline();
        let Some(deadline) = deadline.filter(|deadline| *deadline <= MAX_DATE) else {
            return;
        };
        #[allow(clippy::cast_precision_loss, reason = "dates are JavaScript numbers")]
        let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(deadline as f64));
        if let Err(error) = self
            .state
            .storage()
            .set_alarm(ScheduledTime::new(date))
            .await
        {
            // The stream ends all the same; only its space is not given back by itself.
            worker::console_error!("the alarm of an expiring stream was not set: {error}");
        }
    }

    fn measure(&self, request: &Request, outcome: &std::result::Result<Done, Error>, usage: Usage) {
        self.metrics.write(&self.state, || {
            let url = request.inner().url();
            let path = StreamPath::parse(path::split_url(&url).0).ok();
            let project = path
                .as_ref()
                .and_then(StreamPath::project)
                .unwrap_or_default();
            let (outcome, count, bytes) = match outcome {
                Ok(done) => ("ok", done.count, done.bytes),
                Err(error) => (error.code(), 0, 0),
            };
            DataPoint {
                stream: path
                    .as_ref()
                    .map(|path| path.as_str().to_owned())
                    .unwrap_or_default(),
                project: project.to_owned(),
                operation: operation(&request.method()),
                outcome,
                count,
                bytes,
                rows: usage.rows_written,
            }
        });
    }
}

fn of_page(page: Page) -> Done {
    let count = page.count;
    let reply = Reply::page(page);
    let bytes = reply.body.len();
    Done::new(reply, count, bytes)
}

fn operation(method: &Method) -> &'static str {
    match method {
        Method::Put => "create",
        Method::Post => "append",
        Method::Get => "read",
        Method::Head => "head",
        Method::Delete => "delete",
        _ => "other",
    }
}

fn refuse(error: &Error) -> Reply {
    if let Error::Storage(detail) | Error::Misconfigured(detail) = error {
        worker::console_error!("{}: {detail}", error.code());
    }
    Reply::refused(error)
}

fn header_of(request: &Request) -> impl Fn(&str) -> Option<String> {
    |name| request.headers().get(name).ok().flatten()
}

fn now() -> u64 {
    Date::now().as_millis()
}

/// Tells a stream from others that had or will have its path: the time of its creation, and
/// something random in case the clock went back.
fn incarnation(now: u64) -> String {
    format!("{now:x}-{:08x}", random())
}
