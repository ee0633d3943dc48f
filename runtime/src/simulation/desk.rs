//! An edge, serving one request on a machine that may fail: its ports.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll as Turn, Waker};

use futures_util::future::{Either, select};

use super::executor::Group;
use super::ports::{Heard, Socket};
use super::world::{Request, World};
use crate::auth::project::{Project, Registry};
use crate::auth::token::tests::SECRET;
use crate::edge::live::Poll;
use crate::edge::ports::{Body, Bounds, Copied, Gone, HeaderChange, Incoming, Outgoing, Ports};
use crate::edge::refusal;
use crate::edge::room::Room;
use crate::edge::settings::Settings;
use crate::machine::Peer;
use crate::object::ports::{Close, Listed};
use crate::protocol::error::Error;
use crate::protocol::frame;
use crate::protocol::header;
use crate::protocol::part::Part;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::sse::{END_BYTES, HEARTBEAT};

/// Projects and public streams. What is read may be old by up to half a minute.
#[derive(Clone)]
pub struct Kv(Rc<Records>);

struct Records {
    project: Rc<Project>,
    public: RefCell<BTreeSet<String>>,
    /// What is still told some time after it has changed, and until when.
    old: RefCell<Vec<(String, bool, u64)>>,
}

impl Kv {
    /// One project in four has taken the name of a deleted one.
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(Records {
            project: Rc::new(Project {
                signing_secrets: vec![SECRET.to_owned()],
                cors_origins: Vec::new(),
                is_public: false,
                era: seed.is_multiple_of(4).then(|| Era::new(seed)),
            }),
            public: RefCell::default(),
            old: RefCell::default(),
        }))
    }

    fn change(&self, stream: &StreamPath, public: bool, until: u64) {
        let key = stream.as_str().to_owned();
        let mut now = self.0.public.borrow_mut();
        let before = if public {
            !now.insert(key.clone())
        } else {
            now.remove(&key)
        };
        self.0.old.borrow_mut().push((key, before, until));
    }
}

/// See the module's text.
#[derive(Clone)]
pub struct Desk {
    pub world: World,
    pub group: Group,
    pub kv: Kv,
    /// How long a reader of events is served, in milliseconds.
    pub window: u64,
    /// The incarnation of the stream that a live reader reads.
    pub incarnation: Rc<RefCell<Option<String>>>,
    pub events: Rc<RefCell<Option<Rc<Pipe>>>>,
    pub isolate: Isolate,
}

/// What all that is served on a machine shares.
#[derive(Clone, Default)]
pub struct Isolate {
    room: Rc<Room>,
    followers: Rc<RefCell<Vec<Rc<Pipe>>>>,
}

impl Isolate {
    /// How many bytes wait for those who follow.
    fn waiting(&self) -> u64 {
        let followers = self.followers.borrow();
        followers.iter().map(|pipe| pipe.backlog.get()).sum()
    }

    fn leave(&self, pipe: &Rc<Pipe>) {
        let mut followers = self.followers.borrow_mut();
        followers.retain(|other| !Rc::ptr_eq(other, pipe));
    }
}

impl Registry for Desk {
    async fn project(&self, name: &str) -> Result<Option<Rc<Project>>, Error> {
        self.look(())?;
        Ok((name == "p").then(|| Rc::clone(&self.kv.0.project)))
    }

    async fn is_public(&self, stream: &StreamPath, era: Option<Era>) -> Result<bool, Error> {
        self.look(())?;
        let now = self.world.executor().now();
        self.kv
            .0
            .old
            .borrow_mut()
            .retain(|(.., until)| *until > now);
        assert_eq!(era, self.kv.0.project.era);
        let old = self.kv.0.old.borrow();
        let old = old.iter().find(|(key, ..)| key == stream.as_str());
        match old {
            Some((_, was, _)) if self.world.executor().chance(500) => Ok(*was),
            _ => Ok(self.kv.0.public.borrow().contains(stream.as_str())),
        }
    }

    async fn publish(&self, stream: &StreamPath, _era: Option<Era>) -> Result<(), Error> {
        self.set(stream, true).await
    }

    async fn unpublish(&self, stream: &StreamPath, _era: Option<Era>) -> Result<(), Error> {
        self.set(stream, false).await
    }
}

impl Desk {
    fn look<T>(&self, found: T) -> Result<T, Error> {
        match self.world.executor().chance(self.world.trouble() / 8) {
            true => Err(Error::RegistryUnavailable("injected".to_owned())),
            false => Ok(found),
        }
    }

    async fn set(&self, stream: &StreamPath, public: bool) -> Result<(), Error> {
        let clock = self.world.executor();
        clock.pause(30).await;
        let outcome = self.look(());
        if outcome.is_ok() || clock.chance(500) {
            self.kv.change(stream, public, clock.now() + 30_000);
        }
        outcome
    }

    fn hear_of(&self, incarnation: Option<String>) {
        let Some(incarnation) = incarnation else {
            return;
        };
        let before = self.incarnation.replace(Some(incarnation.clone()));
        self.world
            .expect(before.is_none_or(|before| before == incarnation), || {
                format!("a reader was handed over to {incarnation}")
            });
    }
}

/// The body of a response of events, on its way to a reader.
#[derive(Default)]
pub struct Pipe {
    waiting: RefCell<VecDeque<Vec<u8>>>,
    /// Bytes written and not taken.
    pub backlog: Cell<u64>,
    pub most: Cell<u64>,
    end: Cell<Option<bool>>,
    is_gone: Cell<bool>,
    /// Nothing more is copied to it.
    is_stopped: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

/// What a reader takes from a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    Bytes(Vec<u8>),
    /// It has ended regularly.
    End,
    /// It was broken off.
    Broken,
}

impl Pipe {
    fn wake(&self) {
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// What comes next. The bytes count as taken when the next are asked for.
    pub async fn take(&self) -> Taken {
        std::future::poll_fn(|context| {
            if let Some(bytes) = self.waiting.borrow_mut().pop_front() {
                return Turn::Ready(Taken::Bytes(bytes));
            }
            match self.end.get() {
                Some(true) => return Turn::Ready(Taken::End),
                Some(false) => return Turn::Ready(Taken::Broken),
                None => {}
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            Turn::Pending
        })
        .await
    }

    pub fn has_taken(&self, bytes: usize) {
        let backlog = self.backlog.get();
        self.backlog.set(backlog.saturating_sub(bytes as u64));
        self.wake();
    }

    /// The reader hangs up.
    pub fn hang_up(&self) {
        self.is_gone.set(true);
        self.wake();
    }

    fn push(&self, bytes: &[u8]) {
        if self.end.get().is_some() {
            return;
        }
        self.waiting.borrow_mut().push_back(bytes.to_vec());
        let backlog = self.backlog.get() + bytes.len() as u64;
        self.backlog.set(backlog);
        self.most.set(self.most.get().max(backlog));
        self.wake();
    }

    fn end(&self, regularly: bool) {
        if self.end.get().is_none() {
            self.end.set(Some(regularly));
        }
        self.wake();
    }

    async fn drained(&self) -> Result<(), Gone> {
        std::future::poll_fn(|context| {
            if self.is_gone.get() || self.end.get() == Some(false) {
                return Turn::Ready(Err(Gone));
            }
            if self.backlog.get() == 0 {
                return Turn::Ready(Ok(()));
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            Turn::Pending
        })
        .await
    }

    /// Is done when nothing more is to be copied; says whether the reader is gone.
    async fn over(&self) -> bool {
        std::future::poll_fn(|context| {
            if self.is_gone.get() || self.is_stopped.get() {
                return Turn::Ready(self.is_gone.get());
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            Turn::Pending
        })
        .await
    }
}

/// The edge's end of a response: when its machine fails, the response is broken off.
pub struct Sink(Rc<Pipe>);

impl Drop for Sink {
    fn drop(&mut self) {
        // What waited for its machine does not any longer.
        self.0.backlog.set(0);
        self.0.end(false);
    }
}

/// The edge's end of a socket: when its machine fails, it is closed.
pub struct Plug(Rc<Socket>);

impl Drop for Plug {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    fn of(reply: Reply) -> Self {
        let headers = reply.headers.into_iter();
        Self {
            status: reply.status,
            headers: headers.map(|(n, v)| (n.to_owned(), v)).collect(),
            body: reply.body,
        }
    }

    fn change(&mut self, changes: &[HeaderChange]) {
        for (name, value) in changes {
            self.headers.retain(|(known, _)| known != name);
            if let Some(value) = value {
                self.headers.push(((*name).to_owned(), value.clone()));
            }
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

impl Incoming for Request {
    fn method(&self) -> String {
        self.method.to_owned()
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        crate::object::request::Incoming::header(self, name)
    }
}

type Later = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

impl Ports for Desk {
    type Env = Self;
    type Request = Request;
    type Response = Response;
    type Later = Later;
    type Object = String;
    type Socket = Plug;
    type Sink = Sink;
    type Piece = Vec<u8>;

    fn env(&self) -> &Self {
        self
    }

    fn settings(&self) -> Settings {
        Settings {
            long_poll_timeout_ms: Ok(25_000),
            sse_timeout_ms: Ok(self.window),
            // Few of them, as each takes its turn.
            sse_heartbeat_ms: Ok(15_000.max(self.window / 20)),
            shards: Ok(self.world.shards()),
            public_url: Ok(None),
        }
    }

    fn now(&self) -> u64 {
        self.world.executor().now()
    }

    fn tick(&self) -> Option<f64> {
        None
    }

    fn random(&self) -> u64 {
        self.world.executor().below(1 << 32)
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        self.world.executor().sleep(millis)
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.world.executor().spawn(self.group, work);
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        self.world.note(|| format!("an edge says: {text}"));
    }

    async fn drain(&self, _request: &Request) {}

    async fn question(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        self.world.ask(None, peer, question, body).await
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
        mark: Option<&'static str>,
    ) -> Result<Request, Error> {
        let mut request = request.clone();
        if let Some(url) = url {
            url.clone_into(&mut request.url);
        }
        if let Some(mark) = mark {
            request.headers.push((mark, "true".to_owned()));
        }
        Ok(request)
    }

    fn respond(&self, reply: Reply) -> Result<Response, Error> {
        Ok(Response::of(reply))
    }

    fn with_headers(
        &self,
        mut response: Response,
        changes: &[HeaderChange],
    ) -> Result<Response, Error> {
        response.change(changes);
        Ok(response)
    }

    fn object(&self, path: &str) -> Result<String, Error> {
        Ok(path.to_owned())
    }

    fn pass_on(&self, object: &String, request: &Request) -> Result<Later, Error> {
        let (desk, object, request) = (self.clone(), object.clone(), request.clone());
        Ok(Box::pin(async move {
            let response = desk.forward(&object, &request).await;
            Ok(response.unwrap_or_else(|error| Response::of(refusal(&error, |_| {}))))
        }))
    }

    async fn forward(&self, object: &String, request: &Request) -> Result<Response, Error> {
        let answer = self.world.send(object, request.clone()).await;
        let (reply, _) = answer.ok_or_else(|| Error::Unavailable("lost".into()))?;
        Ok(Response::of(reply))
    }

    async fn ask(
        &self,
        object: &String,
        url: &str,
        mark: Option<&'static str>,
    ) -> Result<(Response, Option<Plug>), Error> {
        let request = Request {
            method: "GET",
            url: url.to_owned(),
            headers: mark
                .map(|mark| (mark, "true".to_owned()))
                .into_iter()
                .collect(),
            body: Vec::new(),
        };
        let answer = self.world.send(object, request).await;
        let (reply, socket) = answer.ok_or_else(|| Error::Unavailable("lost".into()))?;
        let response = Response::of(reply);
        self.hear_of(response.header(header::DS_INCARNATION));
        if let Some(socket) = &socket {
            let tag = socket.tags.iter().find_map(|tag| tag.split_once(':'));
            self.hear_of(tag.map(|(_, incarnation)| incarnation.to_owned()));
        }
        Ok((response, socket.map(Plug)))
    }

    async fn body(&self, response: &Response, start: usize) -> Result<Body<Vec<u8>>, Error> {
        let at = start.min(response.body.len());
        let (start, rest) = response.body.split_at(at);
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
        self.world.store().open(part).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Listed, Error> {
        let listed = self.world.store().list_behind(prefix, after, limit).await;
        listed.map_err(Error::Unavailable)
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
        let mut response = response.clone();
        response.change(changes);
        response.body = pieces.concat();
        self.world.expect(response.body.len() as u64 == length, || {
            "a body is short".into()
        });
        Ok(response)
    }

    fn await_frame(&self, _request: &Request, socket: Plug, millis: u64, poll: Poll) -> Later {
        let desk = self.clone();
        Box::pin(async move {
            let heard = select(Box::pin(socket.0.hear()), Box::pin(desk.sleep(millis)));
            let message = match heard.await {
                Either::Left((Heard::Frame(message), _)) => Some(message),
                _ => None,
            };
            let (head, body) = match &message {
                Some(message) => {
                    let length = u32::from_be_bytes(message[..4].try_into().unwrap()) as usize;
                    let (head, body) = message[4..].split_at(length);
                    (Some(head), body.to_vec())
                }
                None => (None, Vec::new()),
            };
            let answer = poll.answer(head, desk.now(), desk.random());
            Ok(match answer {
                Ok(frame::Head {
                    status, headers, ..
                }) => Response {
                    status,
                    headers: headers.into_iter().collect(),
                    body,
                },
                Err(error) => Response::of(refusal(&error, |_| {})),
            })
        })
    }

    fn room(&self) -> Rc<Room> {
        Rc::clone(&self.isolate.room)
    }

    fn events(
        &self,
        _request: &Request,
        reply: Reply,
        beat: u64,
    ) -> Result<(Response, Sink), Error> {
        let pipe = Rc::new(Pipe::default());
        *self.events.borrow_mut() = Some(Rc::clone(&pipe));
        let (desk, beats) = (self.clone(), Rc::clone(&pipe));
        self.world.executor().spawn(self.group, async move {
            while beats.end.get().is_none() && !beats.is_gone.get() {
                desk.sleep(beat).await;
                if beats.backlog.get() == 0 && beats.end.get().is_none() {
                    desk.world.count("heartbeat");
                    beats.push(HEARTBEAT);
                }
            }
        });
        Ok((Response::of(reply), Sink(pipe)))
    }

    async fn write(&self, sink: &Sink, bytes: Vec<u8>) -> Result<(), Gone> {
        sink.0.push(&bytes);
        sink.0.drained().await
    }

    async fn close(&self, sink: &Sink) {
        sink.0.end(true);
        let _ = sink.0.drained().await;
    }

    fn abort(&self, sink: &Sink) {
        sink.0.end(false);
    }

    async fn copy(&self, socket: Plug, sink: &Sink, bounds: Bounds) -> Copied {
        let until = self.now() + bounds.millis;
        let mut last: Option<Vec<u8>> = None;
        let isolate = &self.isolate;
        isolate.followers.borrow_mut().push(Rc::clone(&sink.0));
        let has_room = |frame: &[u8]| {
            let waiting = isolate.waiting();
            let fits = waiting + frame.len() as u64 <= bounds.room;
            self.world
                .count(if fits { "frame" } else { "no room for a frame" });
            fits && sink.0.backlog.get() <= bounds.backlog
        };
        let is_behind = loop {
            let left = until.saturating_sub(self.now());
            let heard = select(
                Box::pin(socket.0.hear()),
                Box::pin(select(Box::pin(self.sleep(left)), Box::pin(sink.0.over()))),
            );
            match heard.await {
                Either::Left((Heard::Frame(frame), _)) if !has_room(&frame) => {
                    self.world.count("reader lags");
                    break true;
                }
                Either::Left((Heard::Frame(frame), _)) => {
                    sink.0.push(&frame);
                    last = Some(frame);
                }
                Either::Left((Heard::Closed(Close::ComeAgain), _)) => break true,
                Either::Left(_) => break false,
                Either::Right((Either::Left(_) | Either::Right((false, _)), _)) => break false,
                Either::Right((Either::Right((true, _)), _)) => {
                    isolate.leave(&sink.0);
                    return Copied::Stuck;
                }
            }
        };
        isolate.leave(&sink.0);
        drop(socket);
        let left = until.saturating_sub(self.now()) + bounds.grace;
        let drained = select(Box::pin(sink.0.drained()), Box::pin(self.sleep(left)));
        match drained.await {
            Either::Left((Ok(()), _)) if is_behind => Copied::Behind(last.map(|last| {
                let start = last.len().saturating_sub(END_BYTES);
                last[start..].to_vec()
            })),
            Either::Left((Ok(()), _)) => Copied::Over,
            _ => Copied::Stuck,
        }
    }

    fn stop(&self, sink: &Sink) {
        self.world.count("reader is let go");
        sink.0.is_stopped.set(true);
        sink.0.wake();
    }
}
