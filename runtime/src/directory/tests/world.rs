//! The world of a shard: its ports, over a database that stays when the object is lost.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::Shard;
use crate::machine::{DataPoint, KeyPair, Machine, Peer, Signs};
use crate::protocol::ask::{EVENT, Event, answered, hear, say};
use crate::protocol::error::Error;
use crate::protocol::reply::Reply;
use crate::stream::tests::sqlite::{Database, Sqlite};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// See the module's text.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    database: Rc<Sqlite>,
    now: Cell<u64>,
    alarm: Cell<Option<u64>>,
    alarms_set: Cell<u32>,
    /// So many of the next alarms are not set.
    alarms_fail: Cell<u32>,
    /// How long it takes to make a key, in milliseconds.
    key_takes: Cell<u64>,
    keys_fail: Cell<bool>,
    keys: Cell<u64>,
    work: RefCell<Vec<Work>>,
    said: RefCell<Vec<String>>,
    /// Streams that events are appended to.
    streams: RefCell<BTreeMap<String, Vec<Value>>>,
    /// What becomes of the next questions: whether each is carried out, and whether that is heard of.
    fates: RefCell<VecDeque<(bool, bool)>>,
    asked: Cell<u32>,
}

impl World {
    pub fn new(now: u64) -> Self {
        Self(Rc::new(Inner {
            database: Rc::new(Sqlite::new()),
            now: Cell::new(now),
            alarm: Cell::new(None),
            alarms_set: Cell::new(0),
            alarms_fail: Cell::new(0),
            key_takes: Cell::new(0),
            keys_fail: Cell::new(false),
            keys: Cell::new(0),
            work: RefCell::default(),
            said: RefCell::default(),
            streams: RefCell::default(),
            fates: RefCell::default(),
            asked: Cell::new(0),
        }))
    }

    /// The object comes into memory. What one before it was about to do is lost.
    pub fn load(&self) -> Rc<Shard<Self>> {
        self.0.work.borrow_mut().clear();
        Shard::new(self.clone(), Database::new(Rc::clone(&self.0.database)))
    }

    /// The same where there are registry streams.
    pub fn load_with_registry(&self) -> Rc<Shard<Self>> {
        self.0.work.borrow_mut().clear();
        Shard::with_registry(self.clone(), Database::new(Rc::clone(&self.0.database)))
    }

    /// Makes a stream to which events can be appended.
    pub fn make(&self, name: &str) {
        let mut streams = self.0.streams.borrow_mut();
        streams.insert(name.to_owned(), Vec::new());
    }

    /// What was appended to it.
    pub fn stream(&self, name: &str) -> Vec<Value> {
        self.0
            .streams
            .borrow()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    pub fn let_answers_be(&self, fates: impl IntoIterator<Item = (bool, bool)>) {
        self.0.fates.borrow_mut().extend(fates);
    }

    pub fn asked(&self) -> u32 {
        self.0.asked.get()
    }

    pub fn database(&self) -> &Sqlite {
        &self.0.database
    }

    pub fn time(&self) -> u64 {
        self.0.now.get()
    }

    pub fn alarm(&self) -> Option<u64> {
        self.0.alarm.get()
    }

    pub fn alarms_set(&self) -> u32 {
        self.0.alarms_set.get()
    }

    pub fn let_alarms_fail(&self, count: u32) {
        self.0.alarms_fail.set(count);
    }

    pub fn let_keys_take(&self, millis: u64) {
        self.0.key_takes.set(millis);
    }

    pub fn let_keys_fail(&self, fail: bool) {
        self.0.keys_fail.set(fail);
    }

    pub fn said(&self) -> String {
        self.0.said.borrow().join("\n")
    }

    /// Lets time pass, and what is under way go on.
    pub fn pass(&self, millis: u64) {
        self.0.now.set(self.time() + millis);
        self.go_on();
    }

    fn go_on(&self) {
        let mut work = self.0.work.take();
        let mut context = Context::from_waker(Waker::noop());
        work.retain_mut(|work| work.as_mut().poll(&mut context).is_pending());
        self.0.work.borrow_mut().extend(work);
    }

    /// Waits for something, for as long as it takes.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                return done;
            }
            self.pass(1);
        }
        panic!("it takes too long");
    }

    /// Calls the object if its alarm is due.
    pub fn ring(&self, shard: &Rc<Shard<Self>>) -> bool {
        let is_due = self.alarm().is_some_and(|at| at <= self.time());
        if is_due {
            self.0.alarm.set(None);
            self.wait(shard.wake()).unwrap();
        }
        is_due
    }

    /// Asks and gives the answer as it comes.
    pub fn ask(&self, shard: &Rc<Shard<Self>>, question: &str, message: &impl Serialize) -> Reply {
        self.wait(shard.answer(question, say(message).as_bytes()))
    }

    /// Asks what has to be answered.
    pub fn hear<T: DeserializeOwned>(
        &self,
        shard: &Rc<Shard<Self>>,
        question: &str,
        message: &impl Serialize,
    ) -> T {
        let reply = self.ask(shard, question, message);
        answered(&(reply.status, reply.body)).unwrap()
    }
}

impl Machine for World {
    type Storage = Database;

    fn now(&self) -> u64 {
        self.time()
    }

    fn tick(&self) -> f64 {
        0.0
    }

    fn random(&self) -> u64 {
        0
    }

    fn secret(&self) -> Result<u128, String> {
        Ok(0)
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let (world, until) = (self.clone(), self.time() + millis);
        poll_fn(move |_| match world.time() >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let mut work: Work = Box::pin(work);
        let mut context = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut context).is_pending() {
            self.0.work.borrow_mut().push(work);
        }
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static {
        let left = self.0.alarms_fail.get();
        if left > 0 {
            self.0.alarms_fail.set(left - 1);
            return ready(Err("injected".to_owned()));
        }
        assert!(at.is_none_or(|at| at > self.time()), "{at:?}");
        self.0.alarm.set(at);
        self.0.alarms_set.set(self.alarms_set() + 1);
        ready(Ok(()))
    }

    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static {
        ready(Err("nobody wants that".to_owned()))
    }

    async fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        let Peer::Stream(name) = peer else {
            panic!("{peer} is asked");
        };
        assert_eq!(question, EVENT);
        self.0.asked.set(self.asked() + 1);
        self.sleep(1).await;
        let fate = self.0.fates.borrow_mut().pop_front();
        let (works, is_heard) = fate.unwrap_or((true, true));
        let mut status = 404;
        if works && let Some(stream) = self.0.streams.borrow_mut().get_mut(name) {
            let event: Event = hear(body.as_bytes()).unwrap();
            stream.push(event.message);
            status = 200;
        }
        match works && is_heard {
            true => Ok((status, Vec::new())),
            false => Err(Error::Unavailable("injected".to_owned())),
        }
    }

    fn measure(&self, _: impl FnOnce() -> DataPoint) {}

    fn log(&self, text: fmt::Arguments<'_>) {
        self.0.said.borrow_mut().push(text.to_string());
    }
}

impl Signs for World {
    async fn new_key(&self) -> Result<KeyPair, String> {
        let number = self.0.keys.get() + 1;
        self.0.keys.set(number);
        self.sleep(self.0.key_takes.get()).await;
        if self.0.keys_fail.get() {
            return Err("injected".to_owned());
        }
        Ok(KeyPair {
            private: format!("private-{number}"),
            public: format!("public-{number}"),
        })
    }

    async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("a shard signs nothing".to_owned())
    }
}
