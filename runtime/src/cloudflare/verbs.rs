//! What an object does with a request whose body is here: it runs one verb of the sequencer in one
//! synchronous turn, and answers.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::future_to_promise;
use worker::web_sys::{Response, WebSocket};
use worker::{Env, State};

use super::asked::Asked;
use super::config::Config;
use super::fork::{Family, Refusal};
use super::forward;
use super::live::{Readers, Sender, random};
use super::maintain::Maintenance;
use super::metrics::{DataPoint, Metrics};
use super::respond::{refusal, respond_with};
use super::sql::{Sql, Usage};
use super::timing::{self, Clock, now};
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::{Created, Page, Reply};
use crate::protocol::request::{Append, Create, Live, Read};
use crate::stream::Stream;
use crate::stream::birth::Name;

/// About how many bytes of the past one event holds.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What the class keeps, and shares with what goes on by itself.
pub struct Object {
    state: Rc<State>,
    config: Result<Config, Error>,
    clock: Clock,
    metrics: Metrics,
    /// What the stream is called in metrics.
    path: OnceCell<StreamPath>,
    stream: Rc<RefCell<Stream<Sql>>>,
    readers: Readers,
    sender: Sender,
    maintenance: Rc<Maintenance>,
    family: Rc<Family>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
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

impl Object {
    /// The object with this storage and these bindings.
    pub fn new(state: State, env: Env) -> Self {
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
            sender: Sender::new(readers.clone()),
            readers,
            maintenance,
            family,
        }
    }

    /// The time by the object's clock, which may stand still.
    pub fn now(&self) -> f64 {
        self.clock.now()
    }

    /// The longest body that is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`].
    pub fn max_append_bytes(&self) -> Result<usize, Error> {
        let config = self.config.as_ref().map_err(Clone::clone)?;
        Ok(config.max_append_bytes)
    }

    /// Does what has to be done at this time: ends the stream, asks forks, moves data.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn wake(&self) -> Result<(), Error> {
        let end = self.stream.borrow_mut().expire(now())?;
        if let Some(end) = end {
            self.family.ended(end);
        }
        self.family.ask_forks().await;
        self.maintenance.run().await;
        Ok(())
    }

    /// A response, or a promise of one.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub fn answer(
        self: &Rc<Self>,
        asked: Asked,
        body: Result<Vec<u8>, Error>,
    ) -> Result<JsValue, JsValue> {
        if asked.takes_time() {
            let this = Rc::clone(self);
            let answer = async move {
                let outcome = match body {
                    Ok(body) => this.carry_out_in_time(&asked, &body).await,
                    Err(error) => Err(error),
                };
                this.respond(&asked, outcome).map(JsValue::from)
            };
            return Ok(future_to_promise(answer).into());
        }
        let outcome = body.and_then(|body| self.carry_out(&asked, &body));
        self.respond(&asked, outcome).map(JsValue::from)
    }

    fn respond(&self, asked: &Asked, outcome: Result<Done, Error>) -> Result<Response, JsValue> {
        let usage = self.stream.borrow().storage().take_usage();
        self.measure(asked, &outcome, usage);
        let (mut reply, socket) = match outcome {
            Ok(done) => (done.reply, done.socket),
            Err(error) => (refusal(&error), None),
        };
        if self.config.as_ref().is_ok_and(|config| config.debug_timing) {
            let maintenance = self.maintenance.rows_written();
            let timing = timing::of_object(self.clock.now() - asked.started, usage, maintenance);
            let unrotated = self.stream.borrow().unsealed_bytes();
            reply = reply.with(timing::SERVER_TIMING, timing).with_some(
                header::DS_UNROTATED,
                unrotated.map(|bytes| bytes.to_string()),
            );
        }
        respond_with(reply, socket)
    }

    /// Carries out what is done in one turn.
    fn carry_out(&self, asked: &Asked, body: &[u8]) -> Result<Done, Error> {
        let config = self.config.as_ref().map_err(Clone::clone)?;
        match &*asked.method {
            "POST" => self.post(asked, body),
            "GET" => self.get(asked, config),
            "PUT" => self.put(asked, body),
            "HEAD" => {
                self.check_audience(asked)?;
                let metadata = self.stream.borrow_mut().head(now())?;
                Ok(Done::new(Reply::metadata(&metadata), 0, 0))
            }
            "DELETE" => self.delete(),
            _ => Err(Error::MethodNotAllowed),
        }
    }

    /// Carries out what [`Asked::takes_time`].
    async fn carry_out_in_time(&self, asked: &Asked, body: &[u8]) -> Result<Done, Error> {
        self.config.as_ref().map_err(Clone::clone)?;
        if asked.method == forward::ASK {
            let question = asked.place().0.strip_prefix(path::FORK);
            let question = question.ok_or(Error::UnknownRoute)?;
            let reply = self.family.answer(question, &asked.request).await?;
            return Ok(Done::new(reply, 0, 0));
        }
        let (create, name) = creation(asked)?;
        let created = match &create.fork {
            None => self.create(&create, name, body)?,
            Some(fork) => match self.family.create(&create, fork, body, name).await {
                Ok(created) => created,
                Err(Refusal::Here(error)) => return Err(error),
                Err(Refusal::There(reply)) => return Ok(Done::new(reply, 0, 0)),
            },
        };
        let done = self.created(asked, &created, body);
        let ends = self.stream.borrow().deadline().is_some();
        if created.is_new && ends {
            self.maintenance.schedule(false).await;
        }
        Ok(done)
    }

    /// The edge lets readers without credentials through to streams that may be public.
    fn check_audience(&self, asked: &Asked) -> Result<(), Error> {
        if asked.header(header::STREAM_IF_PUBLIC).is_some() {
            self.stream.borrow_mut().require_public(now())?;
        }
        Ok(())
    }

    fn put(&self, asked: &Asked, body: &[u8]) -> Result<Done, Error> {
        let (create, name) = creation(asked)?;
        let created = self.create(&create, name, body)?;
        Ok(self.created(asked, &created, body))
    }

    /// Makes a stream that is no fork, or finds it.
    fn create(&self, create: &Create, name: Name, body: &[u8]) -> Result<Created, Error> {
        let mut stream = self.stream.borrow_mut();
        stream.create(create, None, body, name, now())
    }

    fn created(&self, asked: &Asked, created: &Created, body: &[u8]) -> Done {
        if created.is_new {
            self.maintenance.after_append(&self.state);
        }
        let location = asked.url().split('?').next().unwrap_or_default();
        let reply = Reply::created(created, location);
        Done::new(reply, created.count, body.len())
    }

    fn post(&self, asked: &Asked, body: &[u8]) -> Result<Done, Error> {
        let append = Append::parse(&|name| asked.header(name), body.is_empty())?;
        let appended = self.stream.borrow_mut().append(&append, body, now())?;
        if self.readers.note(&appended) {
            self.sender.send_later();
        }
        self.maintenance.after_append(&self.state);
        let reply = Reply::appended(&appended);
        Ok(Done::new(reply, appended.count, body.len()))
    }

    fn get(&self, asked: &Asked, config: &Config) -> Result<Done, Error> {
        self.check_audience(asked)?;
        let (path, query) = asked.place();
        let read = Read::parse(query, &|name| asked.header(name))?;
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

fn creation(asked: &Asked) -> Result<(Create, Name), Error> {
    let (raw_path, query) = asked.place();
    let create = Create::parse(query, &|name| asked.header(name))?;
    let name = Name {
        path: StreamPath::parse(raw_path)?.as_str().to_owned(),
        incarnation: incarnation(now()),
    };
    Ok((create, name))
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

/// Tells a stream from others that had or will have its path: the time of its creation, and
/// something random in case the clock went back.
fn incarnation(now: u64) -> String {
    format!("{now:x}-{:08x}", random())
}
