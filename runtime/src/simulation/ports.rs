//! An object's ports: the ends of its sockets, its alarm, and whom it asks.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use futures_util::FutureExt;

use super::executor::Group;
use super::keys;
use super::node::{Database, Kind, Node};
use super::store::Store;
use super::world::World;
use crate::machine::{DataPoint, KeyPair, Machine, Peer, Posts, Signs};
use crate::object::Object;
use crate::object::ports::{Close, Ports};
use crate::object::wake::FLOOR;
use crate::protocol::error::Error;

/// The two ends of a reader's socket. Frames arrive in order, after a while.
pub struct Socket {
    pub tags: Vec<String>,
    pub cursor: Option<u64>,
    inner: RefCell<Line>,
}

#[derive(Default)]
struct Line {
    frames: VecDeque<Vec<u8>>,
    closed: Option<Option<Close>>,
    waker: Option<Waker>,
}

/// What comes over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Frame(Vec<u8>),
    Closed(Close),
    /// The machine at the other end has failed.
    Broken,
}

impl Socket {
    fn new(tags: &[&str], cursor: Option<u64>) -> Rc<Self> {
        Rc::new(Self {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            cursor,
            inner: RefCell::default(),
        })
    }

    pub fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    pub fn is_open(&self) -> bool {
        self.inner.borrow().closed.is_none()
    }

    fn change(&self, change: impl FnOnce(&mut Line)) {
        let waker = {
            let mut line = self.inner.borrow_mut();
            if line.closed.is_some() {
                return;
            }
            change(&mut line);
            line.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn send(&self, frame: Vec<u8>) {
        self.change(|line| line.frames.push_back(frame));
    }

    /// Ends it on either side, with a reason or broken.
    pub fn close(&self, why: Option<Close>) {
        self.change(|line| line.closed = Some(why));
    }

    /// The next thing that comes.
    pub async fn hear(&self) -> Heard {
        std::future::poll_fn(|context| {
            let mut line = self.inner.borrow_mut();
            if let Some(frame) = line.frames.pop_front() {
                return Poll::Ready(Heard::Frame(frame));
            }
            if let Some(why) = line.closed {
                return Poll::Ready(why.map_or(Heard::Broken, Heard::Closed));
            }
            line.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// What an object in memory has to do with the world.
pub struct NodePorts {
    pub world: World,
    pub node: Rc<Node>,
    pub group: Group,
    pub store: Option<Store>,
    pub object: OnceCell<Weak<Object<NodePorts>>>,
}

impl Machine for NodePorts {
    type Storage = Database;

    fn now(&self) -> u64 {
        self.world.executor().now()
    }

    fn tick(&self) -> f64 {
        0.0
    }

    fn random(&self) -> u64 {
        self.world.executor().below(1 << 32)
    }

    fn secret(&self) -> Result<u128, String> {
        Ok(u128::from(self.world.executor().below(u64::MAX)))
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        self.world.executor().sleep(millis)
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.world.executor().spawn_now(self.group, work);
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static {
        let (world, node) = (self.world.clone(), Rc::clone(&self.node));
        let now = world.executor().now();
        let floor = match node.kind {
            Kind::Stream => FLOOR,
            _ => 0,
        };
        if let Some(at) = at
            && at < now + floor
        {
            world.fail(format!("{}: an alarm at {at}, and it is {now}", node.path));
        }
        let trouble = world.trouble();
        let fails = world.executor().chance(trouble);
        let works = !fails || world.executor().chance(500);
        world.note(|| {
            let set = at.map(|at| at.saturating_sub(now));
            let how = if works { "" } else { ", in vain" };
            format!("{} sets its alarm in {set:?} ms{how}", node.path)
        });
        if works {
            node.alarm.set(at);
            node.is_doubtful.set(false);
            node.has_lost_alarm.set(false);
            world.count(if at.is_some() {
                "alarm set"
            } else {
                "alarm removed"
            });
            world.watch(&node);
        } else {
            node.is_doubtful.set(true);
            node.has_lost_alarm.set(true);
        }
        async move {
            world.executor().pause(20).await;
            if fails {
                return Err("injected".to_owned());
            }
            Ok(())
        }
    }

    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static {
        self.node.database.clear();
        if self.node.kind == Kind::Subscription {
            self.world.committed(&self.node);
        }
        self.world.count("storage freed");
        self.world.executor().pause(20).map(Ok)
    }

    async fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        self.world.ask(Some(&self.node), peer, question, body).await
    }

    fn measure(&self, point: impl FnOnce() -> DataPoint) {
        self.world.measured(&point());
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        self.world
            .note(|| format!("{} says: {text}", self.node.path));
    }
}

impl Signs for NodePorts {
    async fn new_key(&self) -> Result<KeyPair, String> {
        let number = self.world.executor().below(u64::MAX);
        self.world.executor().pause(5).await;
        match self.world.executor().chance(self.world.trouble() / 4) {
            true => Err("injected".to_owned()),
            false => Ok(keys::pair(number)),
        }
    }

    async fn sign(&self, private: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let signature = keys::sign(private, bytes);
        self.world.executor().pause(5).await;
        match self.world.executor().chance(self.world.trouble() / 8) {
            true => Err("injected".to_owned()),
            false => Ok(signature),
        }
    }
}

impl Posts for NodePorts {
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let answer = self.world.deliver(&self.node, url, headers, body).await;
        self.world.disturb(&self.node);
        answer
    }
}

impl Ports for NodePorts {
    type Bucket = Store;
    type Socket = Rc<Socket>;

    fn bucket(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    fn accept(&self, tags: &[&str], cursor: Option<u64>) -> Result<Rc<Socket>, Error> {
        let socket = Socket::new(tags, cursor);
        self.node.sockets.borrow_mut().push(Rc::clone(&socket));
        Ok(socket)
    }

    fn readers(&self) -> u32 {
        let mut sockets = self.node.sockets.borrow_mut();
        sockets.retain(|socket| socket.is_open());
        sockets.len() as u32
    }

    fn send(&self, tag: &str, frame: impl FnOnce() -> Option<Vec<u8>>) {
        let sockets = self.tagged(tag);
        if sockets.is_empty() {
            return;
        }
        if let Some(frame) = frame() {
            for socket in sockets {
                socket.send(frame.clone());
            }
        }
    }

    fn send_each(&self, tag: &str, frame: impl Fn(u64) -> Vec<u8>) {
        for socket in self.tagged(tag) {
            socket.send(frame(socket.cursor.unwrap_or(0)));
        }
    }

    fn close(&self, tag: &str, why: Close) {
        for socket in self.tagged(tag) {
            socket.close(Some(why));
        }
    }

    fn deliver_later(&self) {
        let (object, executor) = (self.object.get().cloned(), self.world.executor().clone());
        let clock = executor.clone();
        executor.spawn(self.group, async move {
            clock.pause(3).await;
            if let Some(object) = object.and_then(|object| object.upgrade()) {
                object.deliver();
            }
        });
    }
}

impl NodePorts {
    fn tagged(&self, tag: &str) -> Vec<Rc<Socket>> {
        let sockets = self.node.sockets.borrow();
        let with = sockets
            .iter()
            .filter(|socket| socket.is_open() && socket.has(tag));
        with.cloned().collect()
    }
}
