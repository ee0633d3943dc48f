//! A subscription's machine, which may fail wherever it waits, and what is around it: streams, a
//! directory, a receiver, one clock that jumps.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use serde_json::{Value, json};

use super::copying::{Source, Target};
use crate::directory::shard_of;
use crate::machine::{DataPoint, KeyPair, Machine, Peer, Posts, Signs};
use crate::protocol::ask::{
    self, Call, Entry, Event, Kept, Life, Link, List, Listed, OfSubscription, SigningKey, Tail,
    Told, Watch,
};
use crate::protocol::error::Error;
use crate::protocol::glob::Glob;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;
use crate::stream::tests::sqlite::{Database, Sqlite};
use crate::subscription::{Settings, Subscription};

pub const START: u64 = 1_700_000_000_000;
pub const SHARDS: u32 = 2;
pub const BASE: &str = "https://streams.example/v1/stream/p";
pub const HOOK: &str = "https://worker.example/hook";

type Work = Pin<Box<dyn Future<Output = ()>>>;
type Answer = Result<(u16, String), String>;
type Receiver = Rc<dyn Fn(&World, &Value) -> Answer>;

/// See the module's text.
#[derive(Clone)]
pub struct World(Rc<Inner>);

pub struct Inner {
    pub now: Cell<u64>,
    pub database: Rc<Sqlite>,
    pub alarm: Cell<Option<u64>>,
    pub alarms: Cell<u64>,
    tasks: RefCell<Vec<Work>>,
    woken: Arc<Woken>,
    timers: RefCell<BTreeSet<u64>>,
    is_moving: Cell<bool>,
    /// Which machine is alive; what one that has failed waits for never comes.
    machine: Cell<u64>,
    object: RefCell<Option<Rc<Subscription<Ports>>>>,
    /// How often the machine has waited for anything, and at which of those times it fails.
    pub waits: Cell<u64>,
    pub fails_at: Cell<Option<u64>>,
    pub has_failed: Cell<bool>,
    /// Questions whose answers have to wait, and those that fail.
    pub held: RefCell<BTreeSet<&'static str>>,
    pub failing: RefCell<BTreeSet<&'static str>>,
    /// Those that are heard, and whose answers are lost.
    pub losing: RefCell<BTreeSet<&'static str>>,
    pub questions: RefCell<Vec<String>>,
    pub streams: RefCell<BTreeMap<String, Stream>>,
    pub watches: RefCell<BTreeMap<u32, Watch>>,
    untold: RefCell<BTreeSet<String>>,
    pub receiver: RefCell<Receiver>,
    pub posts: RefCell<Vec<Post>>,
    pub log: RefCell<Vec<String>>,
    pub points: RefCell<Vec<DataPoint>>,
    pub is_dev: Cell<bool>,
    pub shards: Cell<Option<u32>>,
    /// What the present key is called.
    pub kid: Cell<&'static str>,
    secrets: Cell<u128>,
}

#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub life: Option<Life>,
    pub tail: u64,
    /// Since when which subscription is told.
    pub links: BTreeMap<String, u64>,
    pub events: Vec<Value>,
    pub source: Source,
    pub target: Target,
}

#[derive(Clone, Debug)]
pub struct Post {
    pub at: u64,
    pub signature: String,
    pub body: Value,
}

/// What comes of a question some time.
#[derive(Clone, Default)]
pub struct Slot(Rc<RefCell<Option<Reply>>>);

impl Slot {
    pub fn get(&self) -> Option<Reply> {
        self.0.borrow().clone()
    }
}

impl std::ops::Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl World {
    pub fn new() -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(START),
            database: Rc::new(Sqlite::new()),
            alarm: Cell::new(None),
            alarms: Cell::new(0),
            tasks: RefCell::default(),
            woken: Arc::default(),
            timers: RefCell::default(),
            is_moving: Cell::new(false),
            machine: Cell::new(0),
            object: RefCell::new(None),
            waits: Cell::new(0),
            fails_at: Cell::new(None),
            has_failed: Cell::new(false),
            held: RefCell::default(),
            failing: RefCell::default(),
            losing: RefCell::default(),
            questions: RefCell::default(),
            streams: RefCell::default(),
            watches: RefCell::default(),
            untold: RefCell::default(),
            receiver: RefCell::new(Rc::new(|_, _| Ok((200, "{\"done\":true}".into())))),
            posts: RefCell::default(),
            log: RefCell::default(),
            points: RefCell::default(),
            is_dev: Cell::new(false),
            shards: Cell::new(Some(SHARDS)),
            kid: Cell::new("ds_1"),
            secrets: Cell::new(1),
        }))
    }

    fn object(&self) -> Rc<Subscription<Ports>> {
        let mut object = self.object.borrow_mut();
        let settings = Settings {
            shards: Ok(self.shards.get()),
            is_dev: self.is_dev.get(),
            park_after: Ok(3 * 86_400_000),
        };
        let ports = Ports {
            world: self.clone(),
            machine: self.machine.get(),
        };
        let storage = Database::new(Rc::clone(&self.database));
        let object = object.get_or_insert_with(|| Subscription::new(ports, settings, storage));
        Rc::clone(object)
    }

    /// The machine fails: what is not stored is lost.
    pub fn crash(&self) {
        self.machine.set(self.machine.get() + 1);
        self.tasks.borrow_mut().clear();
        self.object.borrow_mut().take();
        self.has_failed.set(false);
        self.fails_at.set(None);
    }

    /// Asks the subscription something, and does not wait for the answer.
    pub fn begin(&self, question: &str, body: String) -> Slot {
        let slot = Slot::default();
        let (object, question, answer) = (self.object(), question.to_owned(), slot.clone());
        self.spawn(async move {
            let reply = object.answer(&question, body.as_bytes()).await;
            *answer.0.borrow_mut() = Some(reply);
        });
        slot
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let mut work: Work = Box::pin(work);
        self.is_moving.set(true);
        if !self.poll(&mut work) {
            self.tasks.borrow_mut().push(work);
        }
    }

    fn poll(&self, work: &mut Work) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut context = Context::from_waker(&waker);
        work.as_mut().poll(&mut context).is_ready()
    }

    /// Lets everybody go on who can at this time.
    pub fn settle(&self) {
        loop {
            self.is_moving.set(false);
            let tasks = self.tasks.take();
            for mut task in tasks {
                let machine = self.machine.get();
                let is_over = self.poll(&mut task);
                if self.has_failed.get() {
                    self.crash();
                    return;
                }
                if is_over {
                    self.is_moving.set(true);
                } else if machine == self.machine.get() {
                    self.tasks.borrow_mut().push(task);
                }
            }
            let is_woken = self.woken.0.swap(false, Ordering::Relaxed);
            if !self.is_moving.get() && !is_woken {
                return;
            }
        }
    }

    /// Lets time pass until something is so, for so many milliseconds at most.
    pub fn run_until(&self, millis: u64, is_so: impl Fn(&Self) -> bool) -> bool {
        let until = self.now.get() + millis;
        loop {
            self.settle();
            if is_so(self) {
                return true;
            }
            let timer = self.timers.borrow().first().copied();
            let next = timer.into_iter().chain(self.alarm.get()).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                self.now.set(until);
                self.settle();
                return is_so(self);
            };
            self.now.set(next.max(self.now.get()));
            let now = self.now.get();
            self.timers.borrow_mut().retain(|at| *at > now);
            if self.alarm.get().is_some_and(|at| at <= now) {
                self.alarm.set(None);
                let (object, world) = (self.object(), self.clone());
                self.spawn(async move {
                    if object.wake().await.is_err() {
                        world.alarm.set(Some(world.now.get() + 2_000));
                    }
                });
            }
        }
    }

    pub fn run(&self, millis: u64) {
        self.run_until(millis, |_| false);
    }

    /// Asks the subscription something. Nothing comes of it when the machine fails.
    pub fn ask(&self, question: &str, body: String) -> Option<Reply> {
        let machine = self.machine.get();
        let slot = self.begin(question, body);
        self.run_until(120_000, |world| {
            slot.get().is_some() || world.machine.get() != machine
        });
        slot.get()
    }

    pub fn call(&self, question: &str, body: &Value) -> (u16, Value) {
        self.call_with(question, body, None, "")
    }

    pub fn call_with(
        &self,
        question: &str,
        body: &Value,
        token: Option<&str>,
        rest: &str,
    ) -> (u16, Value) {
        let reply = self.ask(question, call(body, token, rest)).unwrap();
        seen(&reply)
    }

    pub fn get(&self) -> Value {
        let (status, shown) = self.call_with("get", &Value::Null, None, "");
        assert_eq!(status, 200, "{shown}");
        shown
    }

    /// The cursor of a stream: its type and offset.
    pub fn cursor(&self, path: &str) -> Option<(String, u64)> {
        let shown = self.get();
        let streams = shown["streams"].as_array().unwrap();
        let link = streams.iter().find(|link| link["path"] == path)?;
        let kind = link["link_type"].as_str().unwrap().to_owned();
        let acked: Offset = link["acked_offset"].as_str().unwrap().parse().unwrap();
        Some((kind, acked.position()))
    }

    /// Creates a stream that is empty.
    pub fn create(&self, path: &str) {
        self.append(path, 0);
    }

    /// Appends to a stream, creating it if need be, and has it tell of that later.
    pub fn append(&self, path: &str, count: u64) {
        let name = format!("p/{path}");
        let now = self.now.get();
        {
            let mut streams = self.streams.borrow_mut();
            let stream = streams.entry(name.clone()).or_default();
            if stream.life.is_none() {
                stream.life = Some(Life {
                    born: now,
                    incarnation: format!("{now}-{path}"),
                });
                stream.tail = 0;
                stream.source.born();
                let watches = self.watches.borrow();
                let watch = watches.get(&shard_of(&name, SHARDS));
                let pattern = watch.and_then(|watch| watch.pattern.as_deref());
                let matches = pattern.is_some_and(|p| Glob::parse(p).unwrap().matches(path));
                if let Some(watch) = watch.filter(|_| matches) {
                    stream.links.entry(watch.subscription.clone()).or_insert(0);
                }
                for since in stream.links.values_mut() {
                    *since = 0;
                }
            }
            stream.tail += count;
        }
        if count > 0 {
            self.untold.borrow_mut().insert(name);
        }
    }

    /// Tells the subscription what it was not told of yet.
    pub fn tell(&self) {
        let untold = self.untold.borrow().clone();
        for name in untold {
            if self.tell_all(name.strip_prefix("p/").unwrap()) {
                self.untold.borrow_mut().remove(&name);
            }
        }
    }

    /// Tells it something of a stream. Says whether it has heard.
    pub fn told(&self, name: &str, life: Life, since: u64, tail: u64, ended: bool) -> bool {
        let told = Told {
            name: name.to_owned(),
            life,
            since,
            start: None,
            tail,
            ended,
            source: None,
        };
        let Some(reply) = self.ask(ask::TOLD, ask::say(&told)) else {
            return false;
        };
        let Ok(kept) = ask::answered::<Kept>(&(reply.status, reply.body)) else {
            return false;
        };
        let mut streams = self.streams.borrow_mut();
        if let Some(stream) = streams.get_mut(name) {
            match kept.keep {
                true => stream.source.interest = kept.interest.or(stream.source.interest),
                false => {
                    stream.links.clear();
                    stream.source.interest = None;
                }
            }
        }
        true
    }

    /// Appends, and tells.
    pub fn push(&self, path: &str, count: u64) {
        self.append(path, count);
        self.tell();
    }

    /// Ends a stream, and tells.
    pub fn end(&self, path: &str) {
        let name = format!("p/{path}");
        let (life, tail) = {
            let mut streams = self.streams.borrow_mut();
            let stream = streams.get_mut(&name).unwrap();
            stream.target = Target::default();
            (stream.life.take().unwrap(), stream.tail)
        };
        assert!(self.told(&name, life, 0, tail, true));
    }

    pub fn answers(&self, receiver: impl Fn(&World, &Value) -> Answer + 'static) {
        *self.receiver.borrow_mut() = Rc::new(receiver);
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.borrow().clone()
    }

    /// Creates the subscription.
    pub fn put(&self, body: &Value) -> Value {
        let (status, shown) = self.call("create", body);
        assert_eq!(status, 201, "{shown}");
        shown
    }

    fn heard(&self, peer: Peer<'_>, question: &str, body: &str) -> (u16, String) {
        let body = body.as_bytes();
        let answer = match (peer, question) {
            (Peer::Shard(shard), ask::WATCH) => {
                let watch: Watch = ask::hear(body).unwrap();
                self.watches.borrow_mut().insert(shard, watch);
                json!({}).to_string()
            }
            (Peer::Shard(shard), ask::UNWATCH) => {
                let unwatch: OfSubscription = ask::hear(body).unwrap();
                let mut watches = self.watches.borrow_mut();
                watches.retain(|n, watch| *n != shard || watch.life != unwatch.life);
                json!({}).to_string()
            }
            (Peer::Shard(shard), ask::LIST) => {
                ask::say(&self.list(shard, &ask::hear(body).unwrap()))
            }
            (Peer::Shard(_), ask::SIGNING_KEY) => ask::say(&SigningKey {
                kid: self.kid.get().into(),
                private: "secret".into(),
                good_for: 60_000,
            }),
            (Peer::Stream(name), ask::FEED) => ask::say(&self.is_fed(name, body)),
            (Peer::Stream(name), ask::UNFEED) => {
                self.is_unfed(name, body);
                json!({}).to_string()
            }
            (Peer::Stream(name), ask::COPY) => ask::say(&self.copies(name, body)),
            (Peer::Stream(name), ask::LINK) => {
                let link: Link = ask::hear(body).unwrap();
                let mut streams = self.streams.borrow_mut();
                let stream = streams.entry(name.to_owned()).or_default();
                let tail = stream.tail;
                stream.note(link.interest);
                let since = *stream.links.entry(link.subscription).or_insert(tail);
                ask::say(&Tail {
                    life: stream.life.clone(),
                    since,
                    tail,
                    start: stream.life.as_ref().map(|_| stream.source.start),
                    source: stream.said(None),
                })
            }
            (Peer::Stream(name), ask::EVENT) => {
                let event: Event = ask::hear(body).unwrap();
                let mut streams = self.streams.borrow_mut();
                match streams.get_mut(name).filter(|stream| stream.life.is_some()) {
                    Some(stream) => stream.events.push(event.message),
                    None => {
                        let refused = json!({ "error": { "message": "there is no such stream" } });
                        return (404, refused.to_string());
                    }
                }
                json!({}).to_string()
            }
            _ => panic!("{peer} is asked to {question}"),
        };
        (200, answer)
    }

    fn list(&self, shard: u32, list: &List) -> Listed {
        let streams = self.streams.borrow();
        let there = streams
            .iter()
            .filter(|(name, _)| shard_of(name, SHARDS) == shard);
        let there = there.filter_map(|(name, stream)| {
            let path = list.root.path_of(name)?;
            let life = stream.life.clone()?;
            let after = list.after.as_deref().unwrap_or_default();
            (path.starts_with(&list.prefix) && path > after).then(|| Entry {
                path: path.to_owned(),
                life,
                content_type: stream.source.content_type.to_owned(),
            })
        });
        Listed {
            streams: there.take(list.limit).collect(),
        }
    }
}

/// A question of a client.
pub fn call(body: &Value, token: Option<&str>, rest: &str) -> String {
    ask::say(&Call {
        root: Root::of_project("p"),
        id: "s".into(),
        base: BASE.into(),
        token: token.map(str::to_owned),
        rest: rest.into(),
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        may_copy: true,
        into: None,
    })
}

/// The status and document of an answer.
pub fn seen(reply: &Reply) -> (u16, Value) {
    let body = serde_json::from_slice(&reply.body).unwrap_or_default();
    (reply.status, body)
}

pub fn code(answer: &(u16, Value)) -> (u16, &str) {
    let code = answer.1["error"]["code"].as_str();
    (answer.0, code.unwrap_or_default())
}

pub fn offset(position: u64) -> String {
    Offset::new(position).unwrap().to_string()
}

/// Whether anybody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the object has of the world.
pub struct Ports {
    world: World,
    machine: u64,
}

impl Ports {
    /// Everybody waits for a turn at least; at one of those times, the machine may fail.
    async fn cross(&self, what: &str) {
        let world = self.world.clone();
        world.waits.set(world.waits.get() + 1);
        if world.fails_at.get() == Some(world.waits.get()) {
            world.has_failed.set(true);
            pending::<()>().await;
        }
        let mut has_waited = false;
        poll_fn(move |_| {
            if !has_waited {
                has_waited = true;
                world.is_moving.set(true);
                return Poll::Pending;
            }
            match world.held.borrow().contains(what) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }
}

impl Machine for Ports {
    type Storage = Database;

    fn now(&self) -> u64 {
        self.world.now.get()
    }

    fn tick(&self) -> f64 {
        0.0
    }

    fn random(&self) -> u64 {
        0x8000_0000
    }

    fn secret(&self) -> Result<u128, String> {
        let secret = self.world.secrets.get() + 1;
        self.world.secrets.set(secret);
        Ok(secret)
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let world = self.world.clone();
        let at = world.now.get() + millis;
        poll_fn(move |_| {
            if world.now.get() >= at {
                return Poll::Ready(());
            }
            world.timers.borrow_mut().insert(at);
            Poll::Pending
        })
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.world.spawn(work);
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static {
        let world = &self.world;
        let fails = world.failing.borrow().contains("alarm");
        if !fails && self.machine == world.machine.get() {
            world.alarm.set(at);
            world.alarms.set(world.alarms.get() + 1);
        }
        let ports = Self {
            world: world.clone(),
            machine: self.machine,
        };
        async move {
            ports.cross("alarm").await;
            match fails {
                true => Err("no alarm today".into()),
                false => Ok(()),
            }
        }
    }

    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static {
        self.world.database.clear();
        async { Ok(()) }
    }

    async fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        // On its way there, and on its way back.
        self.cross(question).await;
        self.world
            .questions
            .borrow_mut()
            .push(format!("{question} {peer}"));
        if self.world.failing.borrow().contains(question) {
            return Err(Error::Unavailable("injected".into()));
        }
        let (status, answer) = self.world.heard(peer, question, &body);
        self.cross("").await;
        if self.world.losing.borrow().contains(question) {
            return Err(Error::Unavailable("lost".into()));
        }
        Ok((status, answer.into_bytes()))
    }

    fn measure(&self, point: impl FnOnce() -> DataPoint) {
        self.world.points.borrow_mut().push(point());
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        self.world.log.borrow_mut().push(text.to_string());
    }
}

impl Signs for Ports {
    async fn new_key(&self) -> Result<KeyPair, String> {
        Err("the directory makes keys".into())
    }

    async fn sign(&self, private: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.cross("sign").await;
        Ok([private.as_bytes(), b":", bytes].concat())
    }
}

impl Posts for Ports {
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        assert_eq!(url, HOOK);
        let post = Post {
            at: self.world.now.get(),
            signature: headers[1].1.clone(),
            body: serde_json::from_slice(&body).unwrap(),
        };
        self.world.posts.borrow_mut().push(post.clone());
        self.cross("post").await;
        let receiver = Rc::clone(&self.world.receiver.borrow());
        let answer = receiver(&self.world, &post.body);
        self.cross("").await;
        answer.map(|(status, body)| (status, body.into_bytes()))
    }
}
