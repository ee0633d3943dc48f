//! Machines that fail in the middle of anything, their alarms, and what is known of it all.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::audit;
use super::copies::Copies;
pub use super::desk::Response;
use super::desk::{Isolate, Kv};
use super::executor::{Executor, Group, once};
use super::ledger::Ledger;
pub use super::messages::{Request, Served};
use super::model::Model;
use super::node::{Database, Instance, Kind, Node, Thing};
use super::ports::NodePorts;
use super::receiver::Receivers;
use super::store::Store;
use crate::directory::Shard;
use crate::machine::{DataPoint, Peer};
use crate::object::Object;
use crate::object::settings::Settings;
use crate::protocol::error::Error;
use crate::stream::Stream;
use crate::stream::log::chunk::RowLimits;
use crate::stream::tier::upkeep::Limits;
use crate::subscription::{self, Subscription};

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
pub const PLATFORM: Group = 2;

/// How many shards the directory has, if it is there.
pub const SHARDS: u32 = 2;
/// The settings that switch the directory off.
pub const NO_DIRECTORY: usize = 4;

/// The world of one run.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    executor: Executor,
    nodes: RefCell<BTreeMap<String, Rc<Node>>>,
    store: Store,
    kv: Kv,
    model: RefCell<Model>,
    ledger: RefCell<Ledger>,
    copies: RefCell<Copies>,
    receivers: Receivers,
    isolate: Isolate,
    /// Whether what happens is held against the model.
    is_observed: Cell<bool>,
    /// How many shards the directory has, if there is one.
    shards: Cell<Option<u32>>,
    /// How long a receiver of webhooks may fail, in milliseconds.
    park_after: Cell<u64>,
    /// How many of a thousand objects fail behind what they have stored, before they do anything
    /// else.
    crashes_behind: Cell<u64>,
    /// How many of a thousand messages, calls and turns go wrong.
    trouble: Cell<u64>,
    latency: Cell<u64>,
    history: RefCell<Option<Vec<String>>>,
    failure: RefCell<Option<String>>,
    counts: RefCell<BTreeMap<String, u64>>,
}

/// What the variables may say: as they should, or one of them malformed, or without a bucket.
pub fn settings(which: usize, shards: Option<u32>) -> (Settings, bool) {
    let malformed = |name: &str| Error::Misconfigured(format!("{name} is malformed"));
    let good = Settings {
        debug_timing: false,
        max_append_bytes: Ok(1 << 20),
        read_max_bytes: Ok(200),
        max_live_readers: Ok(50),
        segments: Ok(LIMITS),
        shards: Ok(shards.filter(|_| which != NO_DIRECTORY)),
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
            ledger: RefCell::default(),
            copies: RefCell::default(),
            receivers: Receivers::default(),
            isolate: Isolate::default(),
            is_observed: Cell::new(true),
            shards: Cell::new(None),
            park_after: Cell::new(3 * 86_400_000),
            crashes_behind: Cell::new(0),
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

    pub fn kv(&self) -> &Kv {
        &self.0.kv
    }

    pub fn isolate(&self) -> &Isolate {
        &self.0.isolate
    }

    pub fn receivers(&self) -> &Receivers {
        &self.0.receivers
    }

    pub fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.0.ledger.borrow_mut())
    }

    pub fn copies<T>(&self, look: impl FnOnce(&mut Copies) -> T) -> T {
        look(&mut self.0.copies.borrow_mut())
    }

    pub fn is_observed(&self) -> bool {
        self.0.is_observed.get()
    }

    pub fn shards(&self) -> Option<u32> {
        self.0.shards.get()
    }

    pub fn set_shards(&self, shards: Option<u32>) {
        self.0.shards.set(shards);
    }

    pub fn set_park_after(&self, millis: u64) {
        self.0.park_after.set(millis);
    }

    pub fn crashes_behind(&self) -> u64 {
        self.0.crashes_behind.get()
    }

    pub fn set_crashes_behind(&self, per_mille: u64) {
        self.0.crashes_behind.set(per_mille);
    }

    pub fn latency(&self) -> u64 {
        self.0.latency.get()
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

    /// The machines of objects of a kind.
    pub fn nodes_of(&self, kind: Kind) -> Vec<Rc<Node>> {
        let nodes = self.0.nodes.borrow();
        let of_kind = nodes.values().filter(|node| node.kind == kind);
        of_kind.cloned().collect()
    }

    /// The machine of a stream's object.
    pub fn node(&self, name: &str) -> Rc<Node> {
        self.node_of(Peer::Stream(name))
    }

    /// The machine of an object.
    pub fn node_of(&self, peer: Peer<'_>) -> Rc<Node> {
        let (kind, name) = Kind::of(peer);
        let mut nodes = self.0.nodes.borrow_mut();
        let node = nodes.entry(name.clone());
        Rc::clone(node.or_insert_with(|| Node::new(kind, &name)))
    }

    /// The object in memory.
    pub fn load(&self, node: &Rc<Node>) -> Instance {
        if let Some(instance) = &*node.instance.borrow() {
            return instance.clone();
        }
        let (settings, has_bucket) = settings(node.settings.get(), self.shards());
        let ports = NodePorts {
            world: self.clone(),
            node: Rc::clone(node),
            group: self.executor().group(),
            store: has_bucket.then(|| self.store().clone()),
            object: OnceCell::new(),
        };
        let group = ports.group;
        let object = match node.kind {
            Kind::Stream => {
                let database = Database::observed(self, node);
                let object = Object::new(ports, settings, Stream::with_limits(database, ROWS));
                let _ = object.ports().object.set(Rc::downgrade(&object));
                Thing::Stream(object)
            }
            Kind::Shard => {
                let database = Database::new(Rc::clone(&node.database));
                Thing::Shard(Shard::new(ports, database))
            }
            Kind::Subscription => {
                let settings = subscription::Settings {
                    shards: settings.shards,
                    is_dev: false,
                    park_after: Ok(self.0.park_after.get()),
                };
                let database = Database::observed(self, node);
                Thing::Subscription(Subscription::new(ports, settings, database))
            }
        };
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
    pub fn may_crash(&self, node: &Rc<Node>, within: u64) {
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
        if node.kind != Kind::Stream {
            return audit::check_alarm(self, node);
        }
        let is_kept = self.model(|model| model.is_kept(&node.path));
        let expires = node.birth().is_some_and(|birth| birth.expiry.is_some());
        let reasons = [
            ("a time to end at", expires && !is_kept),
            ("a will", self.model(|model| model.will_due(node).is_some())),
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
                if world.is_observed() && observed.kind == Kind::Stream {
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
                    node.has_lost_alarm.set(true);
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
}
