//! The Durable Object of one stream: reads a request to its end, runs one verb of the sequencer
//! in one synchronous turn, and answers.

#![allow(
    missing_docs,
    reason = "the durable_object attribute makes public functions"
)]

use std::cell::RefCell;
use std::rc::Rc;

use worker::{
    Date, DurableObject, Env, Method, Request, Response, Result, State, durable_object, js_sys,
    wasm_bindgen,
};

use super::body;
use super::config::Config;
use super::maintain::Maintenance;
use super::metrics::{DataPoint, Metrics};
use super::respond::respond;
use super::sql::{Sql, Usage};
use super::timing::{self, Clock};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Append, Create, Read};
use crate::stream::Stream;
use crate::stream::birth::Name;

/// The Durable Object class that a worker has to export: one object per stream.
#[durable_object(alarm)]
pub struct StreamDO {
    state: State,
    config: std::result::Result<Config, Error>,
    clock: Clock,
    metrics: Metrics,
    stream: Rc<RefCell<Stream<Sql>>>,
    maintenance: Rc<Maintenance>,
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
        let limits = config.as_ref().ok().map(|config| config.segments);
        let maintenance = Maintenance::new(&state, &env, Rc::clone(&stream), limits);
        Self {
            state,
            config,
            clock,
            metrics,
            stream,
            maintenance,
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let started = self.clock.now();
        let outcome = self.handle(&mut request).await;
        let usage = self.stream.borrow().storage().take_usage();
        self.measure(&request, &outcome, usage);
        let mut reply = match outcome {
            Ok(done) => done.reply,
            Err(error) => refuse(&error),
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
        respond(reply)
    }

    /// Cleans up after a stream that has ended, and does what else there is to do.
    async fn alarm(&self) -> Result<Response> {
        let gone = self.stream.borrow_mut().expire(now());
        // An alarm that fails is called again.
        gone.map_err(|error| format!("{error:?}"))?;
        self.maintenance.run().await;
        Response::empty()
    }
}

/// What came of a request that was carried out.
struct Done {
    reply: Reply,
    /// Messages or bytes appended or read.
    count: u64,
    /// Length of the body that came or went.
    bytes: usize,
}

impl StreamDO {
    async fn handle(&self, request: &mut Request) -> std::result::Result<Done, Error> {
        let config = self.config.as_ref().map_err(Clone::clone)?;
        match request.method() {
            Method::Put => self.put(request, config).await,
            Method::Post => self.post(request, config).await,
            Method::Get => self.get(request, config),
            Method::Head => {
                let metadata = self.stream.borrow_mut().head(now())?;
                Ok(Done {
                    reply: Reply::metadata(&metadata),
                    count: 0,
                    bytes: 0,
                })
            }
            Method::Delete => self.delete().await,
            _ => Err(Error::MethodNotAllowed),
        }
    }

    async fn put(
        &self,
        request: &mut Request,
        config: &Config,
    ) -> std::result::Result<Done, Error> {
        let body = body::read(request, config.max_append_bytes).await?;
        let create = Create::parse(&header_of(request))?;
        let url = request.inner().url();
        let now = now();
        let name = Name {
            path: StreamPath::parse(path::split_url(&url).0)?
                .as_str()
                .to_owned(),
            incarnation: incarnation(now),
        };
        let created = self.stream.borrow_mut().create(&create, &body, name, now)?;
        if created.is_new {
            self.maintenance.after_append(&self.state);
            if create.expiry.is_some() {
                self.maintenance.schedule(false).await;
            }
        }
        let location = url.split('?').next().unwrap_or_default();
        let reply = Reply::created(&created, location);
        Ok(Done {
            reply,
            count: created.count,
            bytes: body.len(),
        })
    }

    async fn post(
        &self,
        request: &mut Request,
        config: &Config,
    ) -> std::result::Result<Done, Error> {
        let body = body::read(request, config.max_append_bytes).await?;
        let append = Append::parse(&header_of(request), body.is_empty())?;
        let appended = self.stream.borrow_mut().append(&append, &body, now())?;
        self.maintenance.after_append(&self.state);
        let reply = Reply::appended(&appended);
        Ok(Done {
            reply,
            count: appended.count,
            bytes: body.len(),
        })
    }

    fn get(&self, request: &Request, config: &Config) -> std::result::Result<Done, Error> {
        let url = request.inner().url();
        let read = Read::parse(path::split_url(&url).1, &header_of(request))?;
        let page = self
            .stream
            .borrow_mut()
            .read(&read, config.read_max_bytes, now())?;
        let count = page.count;
        let bytes = page.length();
        let reply = Reply::page(page);
        Ok(Done {
            reply,
            count,
            bytes,
        })
    }

    async fn delete(&self) -> std::result::Result<Done, Error> {
        self.stream.borrow_mut().delete(now())?;
        self.maintenance.run_behind(&self.state);
        Ok(Done {
            reply: Reply::deleted(),
            count: 0,
            bytes: 0,
        })
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
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "meant to be cut"
    )]
    let random = (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
    format!("{now:x}-{random:08x}")
}
