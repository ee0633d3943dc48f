//! Machines, and what is between them: messages that are late, lost on the way there or back, and
//! machines that fail in the middle of anything.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub use super::desk::Response;
use super::desk::{Desk, Isolate, Kv, Pipe};
use super::executor::{Executor, Group, once};
use super::model::Model;
use super::node::{Database, Instance, Node, NodePorts, Socket};
use super::store::Store;
use crate::auth::ProjectJwt;
use crate::edge::Server;
use crate::machine::{DataPoint, Peer};
use crate::object::request::{ASK, Incoming};
use crate::object::settings::Settings;
use crate::object::{Answer, Object};
use crate::protocol::error::Error;
use crate::protocol::path;
use crate::protocol::reply::Reply;
use crate::stream::Stream;
use crate::stream::log::chunk::RowLimits;
use crate::stream::tier::upkeep::Limits;

/// So small that chunks, rows, segments and pages end all the time.
const ROWS: RowLimits = RowLimits { chunk: 24, row: 60 };
pub const LIMITS: Limits = Limits {
    max_messages: 4,
    max_bytes: 90,
    merge_bytes: 900,
};

/// The clients' machines.
pub const CLIENTS: Group = 1;
/// What calls objects because of their alarms.
const PLATFORM: Group = 2;

/// The world of one run.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    executor: Executor,
    nodes: RefCell<BTreeMap<String, Rc<Node>>>,
    store: Store,
    kv: Kv,
    model: RefCell<Model>,
    isolate: Isolate,
    /// Whether what happens is held against the model.
    is_observed: Cell<bool>,
    /// How many of a thousand messages, calls and turns go wrong.
    trouble: Cell<u64>,
    latency: Cell<u64>,
    history: RefCell<Option<Vec<String>>>,
    failure: RefCell<Option<String>>,
    counts: RefCell<BTreeMap<String, u64>>,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Incoming for Request {
    fn method(&self) -> &str {
        self.method
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then(|| value.clone()))
    }

    fn started(&self) -> f64 {
        0.0
    }
}

/// What a client was answered.
pub struct Served {
    pub response: Response,
    /// The incarnation of the stream that a live reader reads.
    pub incarnation: Rc<RefCell<Option<String>>>,
    /// The body of a response of events.
    pub events: Option<Rc<Pipe>>,
}

/// What the variables may say: as they should, or one of them malformed, or without a bucket.
pub fn settings(which: usize) -> (Settings, bool) {
    let malformed = |name: &str| Error::Misconfigured(format!("{name} is malformed"));
    let good = Settings {
        debug_timing: false,
        max_append_bytes: Ok(1 << 20),
        read_max_bytes: Ok(200),
        max_live_readers: Ok(50),
        segments: Ok(LIMITS),
        shards: Ok(None),
    };
    match which {
        1 => {
            let segments = Err(malformed("SEGMENT_MAX_BYTES"));
            (Settings { segments, ..good }, true)
        }
        2 => (good, false),
        3 => {
            let max_live_readers = Err(malformed("MAX_LIVE_READERS"));
            let settings = Settings {
                max_live_readers,
                ..good
            };
            (settings, true)
        }
        _ => (good, true),
    }
}

/// Counts the segments that were truncated and are still in the index.
const TO_DROP: &str = "SELECT count(*) FROM stream \
    WHERE id BETWEEN -4503599627370496 AND -4362862139015169 \
    AND id + 4503599627370496 + count <= (SELECT json_extract(CAST(body AS TEXT), '$.earliest') \
    FROM stream WHERE id = -1)";

impl World {
    pub fn new(seed: u64, is_told: bool) -> Self {
        let executor = Executor::new(seed, 1_000_000_000_000);
        Self(Rc::new(Inner {
            nodes: RefCell::default(),
            store: Store::new(executor.clone()),
            kv: Kv::new(seed),
            executor,
            model: RefCell::default(),
            isolate: Isolate::default(),
            is_observed: Cell::new(true),
            trouble: Cell::new(0),
            latency: Cell::new(15),
            history: RefCell::new(is_told.then(Vec::new)),
            failure: RefCell::default(),
            counts: RefCell::default(),
        }))
    }

    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn model<T>(&self, look: impl FnOnce(&mut Model) -> T) -> T {
        look(&mut self.0.model.borrow_mut())
    }

    /// A world in which nothing goes wrong, for requests that the model knows nothing of.
    pub fn unobserved(seed: u64) -> Self {
        let world = Self::new(seed, false);
        world.0.is_observed.set(false);
        world
    }

    pub fn trouble(&self) -> u64 {
        self.0.trouble.get()
    }

    pub fn set_latency(&self, millis: u64) {
        self.0.latency.set(millis);
    }

    pub fn set_trouble(&self, per_mille: u64) {
        self.0.trouble.set(per_mille);
        self.0.store.set_trouble(per_mille);
    }

    /// Lets go of everything that holds on to the world.
    pub fn end(&self) {
        self.executor().clear();
        for (_, node) in self.0.nodes.take() {
            node.instance.take();
            node.sockets.take();
        }
    }

    /// Writes down what happens, if anybody will read it.
    pub fn note(&self, what: impl FnOnce() -> String) {
        if let Some(history) = &mut *self.0.history.borrow_mut() {
            let at = self.executor().now() - 1_000_000_000_000;
            history.push(format!("{:>10}.{:03} {}", at / 1000, at % 1000, what()));
        }
    }

    pub fn history(&self) -> Vec<String> {
        self.0.history.borrow().clone().unwrap_or_default()
    }

    /// The run has shown a fault.
    pub fn fail(&self, what: String) {
        self.note(|| format!("FAULT {what}"));
        self.0.failure.borrow_mut().get_or_insert(what);
    }

    pub fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what());
        }
    }

    pub fn failure(&self) -> Option<String> {
        self.0.failure.borrow().clone()
    }

    pub fn count(&self, what: &str) {
        let mut counts = self.0.counts.borrow_mut();
        match counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(counts.insert(what.to_owned(), 1)),
        }
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.counts.borrow().clone()
    }

    pub fn measured(&self, point: &DataPoint) {
        self.count(&format!("{} {}", point.operation, point.outcome));
    }

    pub fn nodes(&self) -> Vec<Rc<Node>> {
        self.0.nodes.borrow().values().cloned().collect()
    }

    /// The machine of a stream's object; all projects have the same names and one era at most.
    pub fn node(&self, name: &str) -> Rc<Node> {
        let path = name.find("p/").map_or(name, |at| &name[at..]);
        let mut nodes = self.0.nodes.borrow_mut();
        let node = nodes.entry(path.to_owned());
        Rc::clone(node.or_insert_with(|| Node::new(path)))
    }

    /// The object in memory.
    fn load(&self, node: &Rc<Node>) -> Instance {
        if let Some(instance) = &*node.instance.borrow() {
            return instance.clone();
        }
        let (settings, has_bucket) = settings(node.settings.get());
        let ports = NodePorts {
            world: self.clone(),
            node: Rc::clone(node),
            group: self.executor().group(),
            store: has_bucket.then(|| self.store().clone()),
            object: OnceCell::new(),
        };
        let group = ports.group;
        let database = Database::new(Rc::clone(&node.database));
        let object = Object::new(ports, settings, Stream::with_limits(database, ROWS));
        let _ = object.ports().object.set(Rc::downgrade(&object));
        let instance = Instance { object, group };
        *node.instance.borrow_mut() = Some(instance.clone());
        self.note(|| format!("{} is loaded", node.path));
        instance
    }

    /// The machine fails, and everything in memory is gone.
    pub fn crash(&self, node: &Rc<Node>) {
        let Some(instance) = node.instance.take() else {
            return;
        };
        self.note(|| format!("{} crashes", node.path));
        self.count("crash");
        self.executor().kill(instance.group);
        node.database.heal();
        for socket in node.sockets.take() {
            socket.close(None);
        }
        self.check_alarm(node);
    }

    /// Lets the machine fail within so many milliseconds, now and then.
    fn may_crash(&self, node: &Rc<Node>, within: u64) {
        if !self.executor().chance(self.trouble() / 8) {
            return;
        }
        let (world, node) = (self.clone(), Rc::clone(node));
        self.executor().spawn(PLATFORM, async move {
            world.executor().pause(within).await;
            if world.trouble() > 0 {
                world.crash(&node);
            }
        });
    }

    /// The object leaves memory if it has nothing to do. Its readers stay.
    pub fn evict(&self, node: &Rc<Node>) {
        let instance = node.instance.borrow().clone();
        let Some(instance) = instance.filter(|it| self.executor().is_idle(it.group)) else {
            return;
        };
        self.note(|| format!("{} is evicted", node.path));
        self.count("eviction");
        node.instance.take();
        self.executor().kill(instance.group);
        self.check_alarm(node);
    }

    /// Somebody has something to do, so there is an alarm.
    pub fn check_alarm(&self, node: &Node) {
        let is_sure = !node.is_doubtful.get() && !node.is_firing.get();
        if node.alarm.get().is_some() || !is_sure {
            return;
        }
        let is_kept = self.model(|model| model.is_kept(&node.path));
        let expires = node.birth().is_some_and(|birth| birth.expiry.is_some());
        let reasons = [
            ("a time to end at", expires && !is_kept),
            ("a purge", node.number("SELECT count(*) FROM purge") > 0),
            ("something to drop", !is_kept && node.number(TO_DROP) > 0),
            (
                "a claim to look after",
                node.number("SELECT count(*) FROM claim WHERE due IS NOT NULL") > 0,
            ),
        ];
        for (what, holds) in reasons {
            self.expect(!holds, || format!("{} has {what} and no alarm", node.path));
        }
    }

    /// Calls the object when its alarm says so: late, sometimes twice, and again when it failed.
    pub fn watch(&self, node: &Rc<Node>) {
        let Some(at) = node.alarm.get() else {
            return;
        };
        let (world, node) = (self.clone(), Rc::clone(node));
        self.executor().spawn(PLATFORM, async move {
            let clock = world.executor().clone();
            let late = if clock.chance(100) { 60_000 } else { 400 };
            clock.sleep(at.saturating_sub(clock.now())).await;
            clock.pause(late).await;
            // It may have been set to another time, or be called already.
            if node.alarm.get() != Some(at) || node.is_firing.get() {
                return;
            }
            node.alarm.set(None);
            world.fire(&node).await;
        });
    }

    async fn fire(&self, node: &Rc<Node>) {
        let clock = self.executor();
        node.is_firing.set(true);
        node.fired.set(node.fired.get() + 1);
        let mut wait = 2_000;
        loop {
            let Instance { object, group } = self.load(node);
            self.note(|| format!("{} wakes", node.path));
            let (sender, receiver) = once();
            let started = Rc::new(Cell::new(false));
            let has_started = Rc::clone(&started);
            let world = self.clone();
            let observed = Rc::clone(node);
            clock.spawn(group, async move {
                has_started.set(true);
                let outcome = object.wake().await;
                if world.0.is_observed.get() {
                    world.model(|model| model.look(&observed, world.executor().now()));
                }
                sender.send(outcome);
            });
            self.may_crash(node, 3_000);
            // While it is called, other alarms may be set, which are called afterwards.
            let outcome = receiver.await;
            match outcome {
                Some(Ok(())) if clock.chance(30) => self.count("alarm doubled"),
                Some(Ok(())) => break,
                // A crash in the middle may make the platform forget.
                None if started.get() && clock.chance(200) => {
                    self.count("alarm forgotten");
                    break;
                }
                _ => {
                    self.count("alarm repeated");
                    clock.sleep(wait).await;
                    wait = (wait * 2).min(60_000);
                }
            }
            if node.alarm.get().is_some() {
                // What is set anew takes its place.
                break;
            }
        }
        node.is_firing.set(false);
        if node.instance.borrow().is_none() {
            self.check_alarm(node);
        }
        self.watch(node);
    }

    /// Sends a request to an edge and waits for the answer, which may never come. A reader of
    /// events is served for `window` milliseconds.
    pub async fn request(&self, request: Request, window: u64) -> Option<Served> {
        let clock = self.executor();
        clock.pause(20).await;
        let desk = Desk {
            world: self.clone(),
            group: clock.group(),
            kv: self.0.kv.clone(),
            window,
            incarnation: Rc::default(),
            events: Rc::default(),
            isolate: self.0.isolate.clone(),
        };
        let (sender, receiver) = once();
        let serving = desk.clone();
        clock.spawn(desk.group, async move {
            let server = Server {
                ports: &serving,
                mutations: &ProjectJwt,
                reads: &ProjectJwt,
            };
            let response = match server.serve(&request).await {
                Ok(answer) => answer.response().await,
                Err(error) => Err(error),
            };
            sender.send(response);
        });
        if clock.chance(self.trouble() / 12) {
            // The edge fails in the middle of it, or of what it does behind the answer.
            let (world, group) = (self.clone(), desk.group);
            clock.spawn(CLIENTS, async move {
                world.executor().pause(4_000).await;
                world.count("edge crash");
                world.executor().kill(group);
            });
        }
        match receiver.await? {
            Ok(response) => Some(Served {
                response,
                incarnation: desk.incarnation,
                events: desk.events.take(),
            }),
            Err(error) => {
                self.fail(format!("an edge has no answer: {error:?}"));
                None
            }
        }
    }

    /// Sends a request to an object and waits for the answer, which may never come.
    pub async fn send(&self, path: &str, request: Request) -> Option<(Reply, Option<Rc<Socket>>)> {
        let clock = self.executor();
        let usual = self.0.latency.get();
        clock
            .pause(if clock.chance(20) { 5_000 } else { usual })
            .await;
        if clock.chance(self.trouble() / 4) {
            self.count("request lost");
            clock.pause(40_000).await;
            return None;
        }
        let node = self.node(path);
        let target = Rc::clone(&node);
        let Instance { object, group } = self.load(&node);
        let (sender, receiver) = once();
        let world = self.clone();
        clock.spawn(group, async move {
            let answer = world.carry_out(&object, &node, &request).await;
            sender.send(answer);
        });
        self.may_crash(&target, 40);
        let answer = receiver.await;
        clock.pause(usual).await;
        let lost = answer.is_none() || clock.chance(self.trouble() / 4);
        let Answer { reply, socket } = answer?;
        if lost {
            if let Some(socket) = socket {
                socket.close(None);
            }
            self.count("answer lost");
            clock.pause(40_000).await;
            return None;
        }
        Some((reply, socket))
    }

    /// Has a request carried out by its object, and holds what comes of it against the model, in
    /// the same turn.
    async fn carry_out(
        &self,
        object: &Rc<Object<NodePorts>>,
        node: &Rc<Node>,
        request: &Request,
    ) -> Answer<Rc<Socket>> {
        let body = &request.body;
        let clock = self.executor();
        let answer = if request.takes_time() {
            object.answer_in_time(request, Ok(body.clone())).await
        } else {
            let breaks = clock.chance(self.trouble() / 4);
            if breaks {
                node.database.fail_after(clock.below(6) as u32);
            }
            let answer = object.answer(request, Ok(body.clone()));
            if node.database.heal() {
                self.count("database failed");
            }
            answer
        };
        self.note(|| {
            let status = answer.reply.status;
            format!("{} {} -> {status}", request.method, request.url)
        });
        self.count(&format!("{} {}", request.method, answer.reply.status));
        if !self.0.is_observed.get() {
            return answer;
        }
        let now = clock.now();
        let outcome = self.model(|model| model.observe(node, request, body, &answer.reply, now));
        if let Err(what) = outcome {
            self.fail(format!(
                "{} {} -> {}: {what}",
                request.method, request.url, answer.reply.status
            ));
        }
        answer
    }

    /// What an object asks another.
    pub async fn ask(
        &self,
        from: &str,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        let Peer::Stream(path) = peer else {
            return Err(Error::Misconfigured("there are streams alone".into()));
        };
        self.note(|| format!("{from} asks {path} to {question}: {body}"));
        let request = Request {
            method: ASK,
            url: format!("http://fork{}{question}", path::ASKED),
            headers: Vec::new(),
            body: body.into_bytes(),
        };
        let answer = self.send(path, request).await;
        let node = self.node(from);
        self.disturb(&node);
        match answer {
            Some((reply, _)) => Ok((reply.status, reply.body)),
            None => Err(Error::Unavailable("lost".into())),
        }
    }

    /// Lets the database of an object fail in its next turn, now and then.
    fn disturb(&self, node: &Rc<Node>) {
        let clock = self.executor().clone();
        if !clock.chance(self.trouble() / 6) {
            return;
        }
        node.database.fail_after(clock.below(8) as u32);
        let node = Rc::clone(node);
        self.executor().spawn(PLATFORM, async move {
            clock.sleep(1).await;
            node.database.heal();
        });
    }
}
