//! The Durable Object of one stream: reads a request to its end, runs one verb of the sequencer
//! in one synchronous turn, and answers.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::web_sys::{Request, Response, WebSocket};
use worker::worker_sys::DurableObjectState;
use worker::{Env, State};

use super::body;
use super::config::Config;
use super::fork::{Family, Refusal};
use super::forward;
use super::live::{Readers, random};
use super::maintain::Maintenance;
use super::metrics::{DataPoint, Metrics};
use super::respond::respond_with;
use super::sql::{Sql, Usage};
use super::timing::{self, Clock, now};
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::{Page, Reply};
use crate::protocol::request::{Append, Create, Live, Read};
use crate::stream::Stream;
use crate::stream::birth::Name;

/// About how many bytes of the past one event holds.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// The Durable Object class that a worker has to export: one object per stream.
///
/// The class is bound by hand: what the `worker` crate wraps around requests and responses would
/// cost each append more than the append itself.
#[wasm_bindgen]
pub struct StreamDO {
    state: Rc<State>,
    config: Result<Config, Error>,
    clock: Clock,
    metrics: Metrics,
    /// What the stream is called in metrics.
    path: OnceCell<StreamPath>,
    stream: Rc<RefCell<Stream<Sql>>>,
    readers: Readers,
    maintenance: Rc<Maintenance>,
    family: Rc<Family>,
}

impl std::fmt::Debug for StreamDO {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDO")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

#[wasm_bindgen(
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
impl StreamDO {
    /// Called by the runtime when the object comes into memory.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let state = State::from(state);
        let state = Rc::new(state);
        let config = Config::from_env(&env);
        let clock = Clock::new(config.as_ref().is_ok_and(|config| config.debug_timing));
        let stream = Stream::new(Sql::new(&state.storage(), clock));
        let stream = Rc::new(RefCell::new(stream));
        let metrics = Metrics::from_env(&env);
        let readers = Readers::new(&state, Rc::clone(&stream));
        let limits = config.as_ref().ok().map(|config| config.segments);
        let maintenance =
            Maintenance::new(&state, &env, Rc::clone(&stream), readers.clone(), limits);
        let family = Family::new(
            Rc::clone(&state),
            env,
            Rc::clone(&stream),
            readers.clone(),
            Rc::clone(&maintenance),
        );
        Self {
            state,
            config,
            clock,
            metrics,
            path: OnceCell::new(),
            stream,
            readers,
            maintenance,
            family,
        }
    }

    /// Called by the runtime for each request.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub async fn fetch(&self, request: Request) -> Result<Response, JsValue> {
        let started = self.clock.now();
        let asked = Asked {
            method: request.method(),
            url: OnceCell::new(),
            request,
        };
        let outcome = self.handle(&asked).await;
        let usage = self.stream.borrow().storage().take_usage();
        self.measure(&asked, &outcome, usage);
        let (mut reply, socket) = match outcome {
            Ok(done) => (done.reply, done.socket),
            Err(error) => (refuse(&error), None),
        };
        if self.config.as_ref().is_ok_and(|config| config.debug_timing) {
            let maintenance = self.maintenance.rows_written();
            let timing = timing::of_object(self.clock.now() - started, usage, maintenance);
            let unrotated = self.stream.borrow().unsealed_bytes();
            reply = reply.with(timing::SERVER_TIMING, timing).with_some(
                header::DS_UNROTATED,
                unrotated.map(|bytes| bytes.to_string()),
            );
        }
        respond_with(reply, socket)
    }

    /// Called by the runtime at the time that was set: cleans up after a stream that has ended,
    /// and does what else there is to do.
    ///
    /// # Errors
    ///
    /// When storage fails; the runtime calls again then.
    pub async fn alarm(&self) -> Result<(), JsValue> {
        let end = self.stream.borrow_mut().expire(now());
        let end = end.map_err(|error| JsValue::from_str(&format!("{error:?}")))?;
        if let Some(end) = end {
            self.family.ended(end);
        }
        self.family.ask_forks().await;
        self.maintenance.run().await;
        Ok(())
    }

    /// Called by the runtime for what the edge says over a reader's socket: nothing but goodbye.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn websocket_message(&self) {}

    /// Called by the runtime when the edge has closed a reader's socket.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn websocket_close(&self, socket: &WebSocket) {
        // It may be closed on this side, too.
        let _ = socket.close_with_code(1000);
    }

    /// Called by the runtime when a reader's socket has broken.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn websocket_error(&self) {}
}

/// A request, with what is asked of it more than once.
struct Asked {
    request: Request,
    method: String,
    url: OnceCell<String>,
}

impl Asked {
    fn url(&self) -> &str {
        self.url.get_or_init(|| self.request.url())
    }

    /// The path and the query of its URL.
    fn place(&self) -> (&str, &str) {
        path::split_url(self.url())
    }

    /// The path without what the edge may have put before it.
    fn public_path(&self) -> &str {
        let path = self.place().0;
        path.strip_prefix(path::LIVE).unwrap_or(path)
    }

    /// Looks up its headers.
    fn header(&self) -> impl Fn(&str) -> Option<String> {
        let headers = self.request.headers();
        move |name| headers.get(name).ok().flatten()
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
    socket: Option<WebSocket>,
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
    async fn handle(&self, asked: &Asked) -> Result<Done, Error> {
        let config = self.config.as_ref().map_err(Clone::clone)?;
        match asked.method.as_str() {
            "POST" => self.post(asked, config).await,
            "GET" => self.get(asked, config),
            "PUT" => self.put(asked, config).await,
            "HEAD" => {
                self.check_audience(asked)?;
                let metadata = self.stream.borrow_mut().head(now())?;
                Ok(Done::new(Reply::metadata(&metadata), 0, 0))
            }
            "DELETE" => self.delete(),
            forward::ASK => {
                let question = asked.place().0.strip_prefix(path::FORK);
                let question = question.ok_or(Error::UnknownRoute)?;
                let reply = self.family.answer(question, &asked.request).await?;
                Ok(Done::new(reply, 0, 0))
            }
            _ => Err(Error::MethodNotAllowed),
        }
    }

    /// The edge lets readers without credentials through to streams that may be public.
    fn check_audience(&self, asked: &Asked) -> Result<(), Error> {
        if asked.header()(header::STREAM_IF_PUBLIC).is_some() {
            self.stream.borrow_mut().require_public(now())?;
        }
        Ok(())
    }

    async fn put(&self, asked: &Asked, config: &Config) -> Result<Done, Error> {
        let body = body::read(&asked.request, config.max_append_bytes).await?;
        let (raw_path, query) = asked.place();
        let create = Create::parse(query, &asked.header())?;
        let now = now();
        let name = Name {
            path: StreamPath::parse(raw_path)?.as_str().to_owned(),
            incarnation: incarnation(now),
        };
        let created = match &create.fork {
            None => self
                .stream
                .borrow_mut()
                .create(&create, None, &body, name, now)?,
            Some(fork) => match self.family.create(&create, fork, &body, name).await {
                Ok(created) => created,
                Err(Refusal::Here(error)) => return Err(error),
                Err(Refusal::There(reply)) => return Ok(Done::new(reply, 0, 0)),
            },
        };
        if created.is_new {
            self.maintenance.after_append(&self.state);
            let ends = self.stream.borrow().deadline().is_some();
            if ends {
                self.maintenance.schedule(false).await;
            }
        }
        let location = asked.url().split('?').next().unwrap_or_default();
        let reply = Reply::created(&created, location);
        Ok(Done::new(reply, created.count, body.len()))
    }

    async fn post(&self, asked: &Asked, config: &Config) -> Result<Done, Error> {
        let body = body::read(&asked.request, config.max_append_bytes).await?;
        let append = Append::parse(&asked.header(), body.is_empty())?;
        let appended = self.stream.borrow_mut().append(&append, &body, now())?;
        if self.readers.note(&appended) {
            self.readers.send_later(&self.state);
        }
        self.maintenance.after_append(&self.state);
        let reply = Reply::appended(&appended);
        Ok(Done::new(reply, appended.count, body.len()))
    }

    fn get(&self, asked: &Asked, config: &Config) -> Result<Done, Error> {
        self.check_audience(asked)?;
        let (path, query) = asked.place();
        let read = Read::parse(query, &asked.header())?;
        match read.live {
            Some(live) if path.starts_with(path::LIVE) => self.live(&read, live, config),
            _ => {
                let page = self.page(&read, config.read_max_bytes)?;
                Ok(of_page(page))
            }
        }
    }

    fn page(&self, read: &Read, max_bytes: usize) -> Result<Page, Error> {
        self.stream.borrow_mut().read(read, max_bytes, now())
    }

    /// What a live reader has not read yet, or a socket on which it will come.
    fn live(&self, read: &Read, live: Live, config: &Config) -> Result<Done, Error> {
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

    fn delete(&self) -> Result<Done, Error> {
        let end = self.stream.borrow_mut().delete(now())?;
        self.family.ended(end);
        Ok(Done::new(Reply::deleted(), 0, 0))
    }

    fn measure(&self, asked: &Asked, outcome: &Result<Done, Error>, usage: Usage) {
        self.metrics.write(|| {
            if let (None, Ok(path)) = (self.path.get(), StreamPath::parse(asked.public_path())) {
                let _ = self.path.set(path);
            }
            let path = self.path.get();
            let stream = path.map(StreamPath::as_str).unwrap_or_default();
            let project = path.and_then(StreamPath::project);
            let (outcome, count, bytes) = match outcome {
                Ok(done) => ("ok", done.count, done.bytes),
                Err(error) => (error.code(), 0, 0),
            };
            DataPoint {
                stream: stream.to_owned(),
                project: project.unwrap_or_default().to_owned(),
                operation: operation(&asked.method),
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
    let bytes = page.length();
    Done::new(Reply::page(page), count, bytes)
}

fn operation(method: &str) -> &'static str {
    match method {
        "PUT" => "create",
        "POST" => "append",
        "GET" => "read",
        "HEAD" => "head",
        "DELETE" => "delete",
        _ => "other",
    }
}

fn refuse(error: &Error) -> Reply {
    if let Error::Storage(detail) | Error::Misconfigured(detail) = error {
        worker::console_error!("{}: {detail}", error.code());
    }
    Reply::refused(error)
}

/// Tells a stream from others that had or will have its path: the time of its creation, and
/// something random in case the clock went back.
fn incarnation(now: u64) -> String {
    format!("{now:x}-{:08x}", random())
}
