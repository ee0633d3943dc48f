//! A world of one request: a clock, one object that answers as it is told, and nothing else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll as Step, Waker};

use futures_util::future::select;
use serde_json::Value;

use crate::auth::{AuthorizeMutation, AuthorizeRead, NoAuth};
use crate::edge::live::Poll;
use crate::edge::ports::{Body, Bounds, Copied, Gone, HeaderChange, Incoming, Outgoing, Ports};
use crate::edge::room::Room;
use crate::edge::settings::Settings;
use crate::edge::{Answer, Server};
use crate::machine::Peer;
use crate::object::ports::Listed;
use crate::patience;
use crate::protocol::error::Error;
use crate::protocol::part::Part;
use crate::protocol::reply::Reply;

pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What the object does when it is asked the next time.
pub enum Does {
    /// Answers.
    Says(Response),
    /// Answers with a socket, over which copying ends like this.
    Follows(Response, Copied),
    /// Answers with a socket, over which nothing comes.
    Waits(Response),
    /// Nothing.
    Nothing,
}

/// An object that is too much for a list of what it does.
pub type Behind = Box<dyn Fn(&Request) -> Option<Does>>;

/// What somebody answers, if ever: a status and a body.
pub type Said = Option<(u16, String)>;

#[derive(Default)]
pub struct State {
    pub now: Cell<u64>,
    alarms: RefCell<Vec<u64>>,
    tasks: RefCell<Vec<Task>>,
    pub does: RefCell<VecDeque<Does>>,
    /// The object that is asked instead, if there is one, which may have no answer.
    pub behind: RefCell<Option<Behind>>,
    /// The URLs that the object was asked for.
    pub asked: RefCell<Vec<String>>,
    /// The names of the objects that there was a way to.
    pub objects: RefCell<Vec<String>>,
    pub written: RefCell<Vec<u8>>,
    /// Whether the reader takes what is written.
    pub takes: Cell<bool>,
    pub end: Cell<Option<&'static str>>,
    pub room: Rc<Room>,
    is_stopped: Cell<bool>,
    /// Somebody has something to do before time goes on.
    is_woken: Cell<bool>,
    pub bucket_answers: Cell<bool>,
    pub log: RefCell<Vec<String>>,
    /// How often a body was thrown away.
    pub drained: Cell<u32>,
    pub shards: Cell<Option<u32>>,
    pub public_url: RefCell<Option<String>>,
    /// What others were asked: the question and who, and what it says.
    pub questions: RefCell<Vec<(String, Value)>>,
    /// What they answer; nobody who is not here does, and without an answer it never comes.
    pub answers: RefCell<Vec<(String, Said)>>,
    /// The keys in the bucket, in order.
    pub keys: RefCell<Vec<String>>,
}

#[derive(Clone, Default)]
pub struct World(pub Rc<State>);

#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Incoming for Request {
    fn method(&self) -> String {
        self.method.to_owned()
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then(|| value.clone()))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: body.to_vec(),
        }
    }
}

impl Outgoing for Response {
    fn status(&self) -> u16 {
        self.status
    }

    fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }
}

/// How copying from it ends; it goes on for as long as it may if that is nothing.
pub struct Socket(Option<Copied>);

pub struct Later(Pin<Box<dyn Future<Output = Result<Response, Error>>>>);

impl IntoFuture for Later {
    type Output = Result<Response, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0
    }
}

impl World {
    /// Serves a GET of the stream `s`.
    pub fn get(&self, query: &str) -> Result<Response, Error> {
        self.get_with(query, Vec::new())
    }

    /// The same with headers.
    pub fn get_with(
        &self,
        query: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Response, Error> {
        self.serve(
            &NoAuth,
            &Request {
                method: "GET",
                url: format!("http://a/v1/stream/s?{query}"),
                headers,
                body: Vec::new(),
            },
        )
    }

    /// Serves a request as `auth` allows.
    pub fn serve(
        &self,
        auth: &(impl AuthorizeMutation<()> + AuthorizeRead<()>),
        request: &Request,
    ) -> Result<Response, Error> {
        let server = Server {
            ports: self,
            mutations: auth,
            reads: auth,
        };
        self.run(async {
            match server.serve(request).await? {
                Answer::Now(response) => Ok(response),
                Answer::Later(later) => later.await,
            }
        })
    }

    /// Goes on until `main` is done and so is all that was spawned.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let mut result = None;
        let mut tasks: Vec<Task> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if result.is_none()
                && let Step::Ready(value) = main.as_mut().poll(&mut context)
            {
                result = Some(value);
            }
            tasks.append(&mut self.0.tasks.borrow_mut());
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            if tasks.is_empty()
                && self.0.tasks.borrow().is_empty()
                && let Some(value) = result.take()
            {
                return value;
            }
            if self.0.is_woken.take() {
                continue;
            }
            let mut alarms = self.0.alarms.borrow_mut();
            alarms.retain(|at| *at > self.0.now.get());
            if let Some(next) = alarms.iter().min() {
                self.0.now.set(*next);
            }
        }
        panic!("nothing goes on");
    }
}

impl Ports for World {
    type Env = ();
    type Request = Request;
    type Response = Response;
    type Later = Later;
    type Object = ();
    type Socket = Socket;
    type Sink = ();
    type Piece = Vec<u8>;

    fn env(&self) -> &() {
        &()
    }

    fn settings(&self) -> Settings {
        Settings {
            long_poll_timeout_ms: Ok(25_000),
            sse_timeout_ms: Ok(60_000),
            sse_heartbeat_ms: Ok(15_000),
            shards: Ok(self.0.shards.get()),
            public_url: Ok(self.0.public_url.borrow().clone()),
        }
    }

    fn now(&self) -> u64 {
        self.0.now.get()
    }

    fn tick(&self) -> Option<f64> {
        None
    }

    fn random(&self) -> u64 {
        0
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let state = Rc::clone(&self.0);
        // As on the platform.
        let millis = if millis > patience::LONGEST {
            0
        } else {
            millis
        };
        let until = state.now.get().saturating_add(millis);
        state.alarms.borrow_mut().push(until);
        poll_fn(move |_| match state.now.get() >= until {
            true => Step::Ready(()),
            false => Step::Pending,
        })
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(work));
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        self.0.log.borrow_mut().push(text.to_string());
    }

    async fn drain(&self, _request: &Request) {
        self.0.drained.set(self.0.drained.get() + 1);
    }

    async fn question(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        let asked = format!("{question} {peer}");
        let body = serde_json::from_str(&body).unwrap();
        self.0.questions.borrow_mut().push((asked.clone(), body));
        let mut answers = self.0.answers.borrow().clone().into_iter();
        match answers.find(|(known, _)| *known == asked) {
            Some((_, Some((status, body)))) => Ok((status, body.into_bytes())),
            Some((_, None)) => pending().await,
            None => Err(Error::Unavailable("nobody answers".to_owned())),
        }
    }

    async fn read_body(&self, request: &Request, limit: usize) -> Result<Vec<u8>, Error> {
        match request.body.len() > limit {
            true => Err(Error::TooLarge {
                limit: limit as u64,
            }),
            false => Ok(request.body.clone()),
        }
    }

    fn request(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
    ) -> Result<Request, Error> {
        Ok(Request {
            method,
            url: url.to_owned(),
            headers: headers.to_vec(),
            body: body.to_vec(),
        })
    }

    fn changed(
        &self,
        request: &Request,
        url: Option<&str>,
        _mark: Option<&'static str>,
    ) -> Result<Request, Error> {
        Ok(Request {
            url: url.map_or_else(|| request.url.clone(), str::to_owned),
            ..request.clone()
        })
    }

    fn respond(&self, reply: Reply) -> Result<Response, Error> {
        let headers = reply.headers.into_iter();
        Ok(Response {
            status: reply.status,
            headers: headers.map(|(n, v)| (n.to_owned(), v)).collect(),
            body: reply.body,
        })
    }

    fn with_headers(
        &self,
        mut response: Response,
        changes: &[HeaderChange],
    ) -> Result<Response, Error> {
        for (name, value) in changes {
            response.headers.retain(|(known, _)| known != name);
            let set = value.clone().map(|value| ((*name).to_owned(), value));
            response.headers.extend(set);
        }
        Ok(response)
    }

    fn object(&self, path: &str) -> Result<(), Error> {
        self.0.objects.borrow_mut().push(path.to_owned());
        Ok(())
    }

    fn pass_on(&self, (): &(), request: &Request) -> Result<Later, Error> {
        self.0.asked.borrow_mut().push(request.url.clone());
        Ok(Later(Box::pin(pending())))
    }

    async fn forward(&self, object: &(), request: &Request) -> Result<Response, Error> {
        if let Some(behind) = &*self.0.behind.borrow() {
            let does = behind(request);
            self.0.does.borrow_mut().extend(does);
        }
        Ok(self.ask(object, &request.url, None).await?.0)
    }

    async fn ask(
        &self,
        (): &(),
        url: &str,
        _mark: Option<&'static str>,
    ) -> Result<(Response, Option<Socket>), Error> {
        self.0.asked.borrow_mut().push(url.to_owned());
        let does = self.0.does.borrow_mut().pop_front();
        match does {
            Some(Does::Says(response)) => Ok((response, None)),
            Some(Does::Follows(response, copied)) => Ok((response, Some(Socket(Some(copied))))),
            Some(Does::Waits(response)) => Ok((response, Some(Socket(None)))),
            Some(Does::Nothing) => pending().await,
            None => Err(Error::Unavailable("it has nothing to say".to_owned())),
        }
    }

    async fn body(&self, response: &Response, start: usize) -> Result<Body<Vec<u8>>, Error> {
        let (start, rest) = response.body.split_at(start.min(response.body.len()));
        Ok(Body {
            start: start.to_vec(),
            rest: rest.to_vec(),
            rest_length: rest.len() as u64,
        })
    }

    fn piece(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    async fn open(&self, part: &Part) -> Result<Vec<u8>, Error> {
        match self.0.bucket_answers.get() {
            true => Ok(vec![b'1'; usize::try_from(part.length).unwrap()]),
            false => pending().await,
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Listed, Error> {
        let keys = self.0.keys.borrow();
        let behind = keys.iter().filter(|key| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        let mut keys: Vec<String> = behind.cloned().collect();
        let has_more = keys.len() > limit as usize;
        keys.truncate(limit as usize);
        Ok(Listed {
            cursor: keys.last().filter(|_| has_more).cloned(),
            keys,
        })
    }

    async fn read(&self, piece: &Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(piece.clone())
    }

    fn assemble(
        &self,
        response: &Response,
        changes: &[HeaderChange],
        pieces: Vec<Vec<u8>>,
        length: u64,
    ) -> Result<Response, Error> {
        let mut response = self.with_headers(response.clone(), changes)?;
        response.body = pieces.concat();
        assert_eq!(response.body.len() as u64, length);
        Ok(response)
    }

    fn await_frame(&self, _request: &Request, _socket: Socket, millis: u64, poll: Poll) -> Later {
        let ports = self.clone();
        Later(Box::pin(async move {
            ports.sleep(millis).await;
            let head = poll.answer(None, ports.now(), ports.random())?;
            Ok(Response {
                status: head.status,
                headers: head.headers.into_iter().collect(),
                body: Vec::new(),
            })
        }))
    }

    fn room(&self) -> Rc<Room> {
        Rc::clone(&self.0.room)
    }

    fn events(
        &self,
        _request: &Request,
        reply: Reply,
        _beat: u64,
    ) -> Result<(Response, ()), Error> {
        Ok((self.respond(reply)?, ()))
    }

    async fn write(&self, (): &(), bytes: Vec<u8>) -> Result<(), Gone> {
        if !self.0.takes.get() {
            pending::<()>().await;
        }
        self.0.written.borrow_mut().extend(bytes);
        Ok(())
    }

    async fn close(&self, (): &()) {
        if !self.0.takes.get() {
            pending::<()>().await;
        }
        self.0.end.set(Some("closed"));
    }

    fn abort(&self, (): &()) {
        self.0.end.set(Some("aborted"));
    }

    async fn copy(&self, socket: Socket, (): &(), bounds: Bounds) -> Copied {
        let Some(copied) = socket.0 else {
            let time = self.sleep(bounds.millis);
            let stopped = poll_fn(|_| match self.0.is_stopped.get() {
                true => Step::Ready(()),
                false => Step::Pending,
            });
            select(pin!(time), pin!(stopped)).await;
            return Copied::Over;
        };
        copied
    }

    fn stop(&self, (): &()) {
        self.0.is_stopped.set(true);
        self.0.is_woken.set(true);
    }
}
