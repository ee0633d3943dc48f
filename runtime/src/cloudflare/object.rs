//! The Durable Object of one stream: reads a request to its end, runs one verb of the sequencer
//! in one synchronous turn, and answers.

#![allow(
    missing_docs,
    reason = "the durable_object attribute makes public functions"
)]

use std::cell::RefCell;
use std::rc::Rc;

use worker::{
    Date, DurableObject, Env, Method, Request, Response, Result, Socket, State, WebSocket,
    WebSocketIncomingMessage, durable_object, wasm_bindgen, web_sys,
};

use super::body;
use super::config::Config;
use super::fork::{Family, Refusal};
use super::live::{Readers, random};
use super::maintain::Maintenance;
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
use crate::stream::birth::Name;

/// About how many bytes of the past one event holds.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// The Durable Object class that a worker has to export: one object per stream.
#[durable_object]
pub struct StreamDO {
    state: Rc<State>,
    config: std::result::Result<Config, Error>,
    clock: Clock,
    metrics: Metrics,
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

impl DurableObject for StreamDO {
    fn new(state: State, env: Env) -> Self {
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
            stream,
            readers,
            maintenance,
            family,
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
            let maintenance = self.maintenance.rows_written();
            let timing = timing::of_object(self.clock.now() - started, usage, maintenance);
            let unrotated = self.stream.borrow().unsealed_bytes();
            reply = reply.with(timing::SERVER_TIMING, timing).with_some(
                header::DS_UNROTATED,
                unrotated.map(|bytes| bytes.to_string()),
            );
        }
        let response = respond(reply)?;
        Ok(response.with_websocket(socket.map(WebSocket::from)))
    }

    /// Cleans up after a stream that has ended, and does what else there is to do.
    async fn alarm(&self) -> Result<Response> {
        let end = self.stream.borrow_mut().expire(now());
        // An alarm that fails is called again.
        if let Some(end) = end.map_err(|error| format!("{error:?}"))? {
            self.family.ended(end);
        }
        self.family.ask_forks().await;
        self.maintenance.run().await;
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
        if request.method() == Method::Post {
            let url = request.inner().url();
            if let Some(question) = path::split_url(&url).0.strip_prefix(path::FORK) {
                let reply = self.family.answer(question, request).await?;
                return Ok(Done::new(reply, 0, 0));
            }
        }
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
        let (raw_path, query) = path::split_url(&url);
        let create = Create::parse(query, &header_of(request))?;
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
        self.maintenance.after_append(&self.state);
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
        let end = self.stream.borrow_mut().delete(now())?;
        self.family.ended(end);
        Ok(Done::new(Reply::deleted(), 0, 0))
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
    let bytes = page.length();
    Done::new(Reply::page(page), count, bytes)
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
