//! The world around one object: its database and alarm, which stay when the machine fails, one shard of
//! a directory, and subscriptions.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use super::copier::Copier;
use crate::machine::{DataPoint, Machine, Peer};
use crate::object::Object;
use crate::object::ports::{Close, Ports};
use crate::object::request::{ASK, Incoming};
use crate::object::settings::Settings;
use crate::object::wake::FLOOR;
use crate::protocol::ask::{
    self, Interest, Kept, Life, Register, Registered, Tail, Told, Unregister,
};
use crate::protocol::error::Error;
use crate::protocol::path::ASKED;
use crate::protocol::reply::Reply;
use crate::simulation::executor::{Executor, Group};
use crate::simulation::store::Store;
use crate::stream::Stream;
use crate::stream::tests::sqlite::{Database, Sqlite};
use crate::stream::tier::upkeep::Limits;

pub const START: u64 = 1_000_000_000_000;

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// It has its effect, but nobody hears of it.
    Unheard,
    /// It has none.
    Lost,
    /// Whoever is asked is of another release.
    Refused,
}

/// A subscription.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// Whether it wants to be told of streams that it was told of.
    pub keeps: bool,
    /// Whether it goes on when the stream has ended.
    pub is_explicit: bool,
    /// The stream that it knows, from where on, and up to where.
    pub knows: Option<(Life, u64, u64)>,
    pub heard: Vec<Told>,
    /// What it has copied, if it copies.
    pub copier: Option<Copier>,
}

/// See the module's text.
pub struct Lab {
    pub executor: Executor,
    pub disk: Rc<Sqlite>,
    pub alarm: Cell<Option<u64>>,
    /// How often it was set, and how often removed.
    pub alarms: Cell<(u64, u64)>,
    /// How often it cannot be set from now on.
    pub alarm_fails: Cell<u32>,
    /// Whether it could not be set, and was not since.
    pub is_doubtful: Cell<bool>,
    pub shards: RefCell<Result<Option<u32>, Error>>,
    pub fate: Cell<Fate>,
    /// What the directory knows, and of whom it has heard that they have ended.
    pub known: RefCell<BTreeMap<String, Life>>,
    pub gone: RefCell<BTreeSet<String>>,
    /// Which subscriptions want to be told of every stream.
    pub matching: RefCell<Vec<String>>,
    pub subscriptions: RefCell<BTreeMap<String, Subscription>>,
    /// When what was asked.
    pub asked: RefCell<Vec<(u64, String)>>,
    pub most_at_once: Cell<usize>,
    at_once: Cell<usize>,
    pub said: RefCell<Vec<String>>,
    /// How many live readers there are, and how often they were to be sent something.
    pub readers: Cell<u32>,
    pub deliveries: Cell<u32>,
    /// The bucket, from the next time on that the object is loaded, and how soon data moves there.
    pub store: RefCell<Option<Store>>,
    pub limits: Cell<Limits>,
    /// How long questions take to which there is a subscription of such a name, in milliseconds.
    pub delays: RefCell<Vec<(&'static str, u64)>>,
    loaded: RefCell<Option<(Rc<Object<Outside>>, Group)>>,
}

pub struct Outside {
    lab: Rc<Lab>,
    group: Group,
    store: Option<Store>,
}

pub struct Asked<'a> {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, &'a str)>,
}

impl Incoming for Asked<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
    }

    fn started(&self) -> f64 {
        0.0
    }
}

impl Lab {
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            executor: Executor::new(seed, START),
            disk: Rc::new(Sqlite::new()),
            alarm: Cell::default(),
            alarms: Cell::default(),
            alarm_fails: Cell::default(),
            is_doubtful: Cell::default(),
            shards: RefCell::new(Ok(Some(16))),
            fate: Cell::new(Fate::Answered),
            known: RefCell::default(),
            gone: RefCell::default(),
            matching: RefCell::default(),
            subscriptions: RefCell::default(),
            asked: RefCell::default(),
            most_at_once: Cell::default(),
            at_once: Cell::default(),
            said: RefCell::default(),
            readers: Cell::default(),
            deliveries: Cell::default(),
            store: RefCell::default(),
            limits: Cell::new(Limits {
                max_messages: 1 << 20,
                max_bytes: 1 << 20,
                merge_bytes: 1,
            }),
            delays: RefCell::default(),
            loaded: RefCell::default(),
        })
    }

    /// The object, loaded if need be.
    pub fn object(self: &Rc<Self>) -> (Rc<Object<Outside>>, Group) {
        if let Some(loaded) = &*self.loaded.borrow() {
            return loaded.clone();
        }
        let settings = Settings {
            debug_timing: false,
            max_append_bytes: Ok(1 << 20),
            read_max_bytes: Ok(1 << 20),
            max_live_readers: Ok(5),
            segments: Ok(self.limits.get()),
            shards: self.shards.borrow().clone(),
        };
        let group = self.executor.group();
        let ports = Outside {
            lab: Rc::clone(self),
            group,
            store: self.store.borrow().clone(),
        };
        let stream = Stream::new(Database::new(Rc::clone(&self.disk)));
        let loaded = (Object::new(ports, settings, stream), group);
        self.loaded.borrow_mut().insert(loaded).clone()
    }

    /// The machine fails.
    pub fn crash(&self) {
        if let Some((_, group)) = self.loaded.take() {
            self.executor.kill(group);
            self.at_once.set(0);
            self.disk.heal();
        }
    }

    /// Lets so many milliseconds pass. Alarms come when they are due.
    pub fn pass(self: &Rc<Self>, millis: u64) {
        let end = self.executor.now() + millis;
        loop {
            let alarm = self.alarm.get().filter(|at| *at <= end);
            while self.executor.step(alarm.unwrap_or(end)) {
                if self.alarm.get().filter(|at| *at <= end) != alarm {
                    break;
                }
            }
            match self.alarm.get() {
                Some(at) if at <= self.executor.now() => self.wake(),
                Some(at) if at <= end => {}
                _ if self.executor.now() < end => {}
                _ => return,
            }
        }
    }

    /// The platform calls because of the alarm.
    pub fn wake(self: &Rc<Self>) {
        self.alarm.set(None);
        let (object, group) = self.object();
        let this = Rc::clone(self);
        self.executor.spawn_now(group, async move {
            if object.wake().await.is_err() {
                // The platform calls again.
                this.alarm.set(Some(this.executor.now() + 2_000));
            }
        });
    }

    /// What the object answers in one turn.
    pub fn ask(self: &Rc<Self>, asked: &Asked<'_>, body: &[u8]) -> Reply {
        self.object().0.answer(asked, Ok(body.to_vec())).reply
    }

    fn request(&self, method: &'static str, headers: &[(&'static str, &'static str)]) -> Asked<'_> {
        Asked {
            method,
            url: "http://h/v1/stream/p/x".to_owned(),
            headers: headers.to_vec(),
        }
    }

    pub fn put(self: &Rc<Self>, body: &[u8]) -> u16 {
        self.put_with(body, &[])
    }

    pub fn put_with(self: &Rc<Self>, body: &[u8], more: &[(&'static str, &'static str)]) -> u16 {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(more);
        self.ask(&self.request("PUT", &headers), body).status
    }

    pub fn put_as(self: &Rc<Self>, content_type: &'static str, body: &[u8]) -> u16 {
        let headers = [("Content-Type", content_type)];
        self.ask(&self.request("PUT", &headers), body).status
    }

    pub fn append(self: &Rc<Self>) -> u16 {
        self.post(b"[7]")
    }

    pub fn post(self: &Rc<Self>, body: &[u8]) -> u16 {
        self.post_as("application/json", body)
    }

    pub fn post_as(self: &Rc<Self>, content_type: &'static str, body: &[u8]) -> u16 {
        let headers = [("Content-Type", content_type)];
        self.ask(&self.request("POST", &headers), body).status
    }

    /// Drops what lies before an offset.
    pub fn truncate(self: &Rc<Self>, before: &'static str) -> u16 {
        let headers = [("Stream-Truncate-Before", before)];
        self.ask(&self.request("POST", &headers), b"").status
    }

    pub fn get(self: &Rc<Self>) -> u16 {
        self.ask(&self.request("GET", &[]), b"").status
    }

    /// The messages that there are.
    pub fn content(self: &Rc<Self>) -> Vec<u64> {
        let reply = self.ask(&self.request("GET", &[]), b"");
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    pub fn delete(self: &Rc<Self>) -> u16 {
        self.ask(&self.request("DELETE", &[]), b"").status
    }

    /// What the object answers to a question of another one, at once or within a second.
    pub fn question(self: &Rc<Self>, question: &str, body: String) -> Reply {
        let (object, group) = self.object();
        let asked = Asked {
            method: ASK,
            url: format!("http://h{ASKED}{question}"),
            headers: Vec::new(),
        };
        let answer = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&answer);
        self.executor.spawn_now(group, async move {
            let answer = object.answer_in_time(&asked, Ok(body.into_bytes())).await;
            *slot.borrow_mut() = Some(answer.reply);
        });
        if answer.borrow().is_none() {
            self.pass(1_000);
        }
        answer.take().expect("an answer")
    }

    pub fn link(self: &Rc<Self>, subscription: &str) -> Tail {
        self.link_for(subscription, Interest::Wakes)
    }

    pub fn link_for(self: &Rc<Self>, subscription: &str, interest: Interest) -> Tail {
        let reply = self.try_link_for(subscription, interest);
        ask::answered(&(reply.status, reply.body)).unwrap()
    }

    pub fn try_link(self: &Rc<Self>, subscription: &str) -> Reply {
        self.try_link_for(subscription, Interest::Wakes)
    }

    pub fn try_link_for(self: &Rc<Self>, subscription: &str, interest: Interest) -> Reply {
        let link = ask::Link {
            subscription: subscription.to_owned(),
            interest,
            history: {
                let all = self.subscriptions.borrow();
                let copier = all.get(subscription).and_then(|it| it.copier.as_ref());
                copier.is_some_and(|copier| copier.is_from_start)
            },
        };
        self.question(ask::LINK, ask::say(&link))
    }

    pub fn unlink(self: &Rc<Self>, subscription: &str) -> u16 {
        let link = ask::Link {
            subscription: subscription.to_owned(),
            interest: Interest::Wakes,
            history: false,
        };
        self.question(ask::UNLINK, ask::say(&link)).status
    }

    /// Whether there is a directory, from the next time on that the object is loaded.
    pub fn set_shards(&self, shards: Result<Option<u32>, Error>) {
        *self.shards.borrow_mut() = shards;
    }

    /// A subscription that is told of every stream.
    pub fn subscribe(&self, name: &str) {
        self.matching.borrow_mut().push(name.to_owned());
        self.meet(name, false);
    }

    /// A subscription that is there.
    pub fn meet(&self, name: &str, is_explicit: bool) {
        let subscription = Subscription {
            keeps: true,
            is_explicit,
            ..Subscription::default()
        };
        let mut subscriptions = self.subscriptions.borrow_mut();
        subscriptions.insert(name.to_owned(), subscription);
    }

    /// A subscription that copies, by its pattern or because somebody has named the stream.
    pub fn copy(&self, name: &str, copier: Copier) {
        match copier.interest {
            Interest::NamedCopies => self.meet(name, true),
            _ => self.subscribe(name),
        }
        let mut subscriptions = self.subscriptions.borrow_mut();
        subscriptions.get_mut(name).unwrap().copier = Some(copier);
    }

    /// Looks at what a subscription has copied, or changes it.
    pub fn copier<T>(&self, name: &str, look: impl FnOnce(&mut Copier) -> T) -> T {
        let mut subscriptions = self.subscriptions.borrow_mut();
        look(
            subscriptions
                .get_mut(name)
                .unwrap()
                .copier
                .as_mut()
                .unwrap(),
        )
    }

    /// What a subscription was told: since, tail and whether the stream had ended.
    pub fn told(&self, name: &str) -> Vec<(u64, u64, bool)> {
        let subscriptions = self.subscriptions.borrow();
        let heard = subscriptions[name].heard.iter();
        heard
            .map(|told| (told.since, told.tail, told.ended))
            .collect()
    }

    /// How often this was asked.
    pub fn times(&self, question: &str) -> usize {
        let asked = self.asked.borrow();
        asked.iter().filter(|(_, other)| other == question).count()
    }

    /// Rows written, alarms set and removed, and questions asked meanwhile.
    pub fn counted(self: &Rc<Self>, work: impl FnOnce()) -> (u64, (u64, u64), usize) {
        let rows = self.disk.written.get();
        let (set, removed) = self.alarms.get();
        let asked = self.asked.borrow().len();
        work();
        let (now_set, now_removed) = self.alarms.get();
        (
            self.disk.written.get() - rows,
            (now_set - set, now_removed - removed),
            self.asked.borrow().len() - asked,
        )
    }

    /// The tables there are.
    pub fn tables(&self) -> Vec<String> {
        let rows = self
            .disk
            .texts("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
        rows.into_iter().flatten().collect()
    }

    /// Who is linked.
    pub fn links(&self) -> Vec<String> {
        if !self.tables().contains(&"link".to_owned()) {
            return Vec::new();
        }
        let rows = self.disk.texts("SELECT subscription FROM link ORDER BY 1");
        rows.into_iter().flatten().collect()
    }

    fn answer(&self, peer: Peer<'_>, question: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match (peer, question) {
            (Peer::Shard(_), ask::REGISTER) => {
                let register: Register = ask::hear(body).unwrap();
                if !self.gone.borrow().contains(&register.life.incarnation) {
                    let mut known = self.known.borrow_mut();
                    let is_older = known
                        .get(&register.name)
                        .is_some_and(|known| known.born > register.life.born);
                    if !is_older {
                        known.insert(register.name, register.life);
                    }
                }
                let subscriptions = self.matching.borrow().clone();
                (200, ask::say(&Registered { subscriptions }).into_bytes())
            }
            (Peer::Shard(_), ask::UNREGISTER) => {
                let unregister: Unregister = ask::hear(body).unwrap();
                let mut known = self.known.borrow_mut();
                if known.get(&unregister.name) == Some(&unregister.life) {
                    known.remove(&unregister.name);
                }
                let mut gone = self.gone.borrow_mut();
                gone.insert(unregister.life.incarnation);
                (204, Vec::new())
            }
            (Peer::Subscription(name), ask::TOLD) => {
                let (message, content) = ask::apart(body);
                let told: Told = ask::hear(message).unwrap();
                let is_matching = self.matching.borrow().iter().any(|other| other == name);
                let mut subscriptions = self.subscriptions.borrow_mut();
                match subscriptions.get_mut(name) {
                    Some(subscription) => {
                        let keep = subscription.hear(told.clone(), is_matching);
                        let copier = subscription.copier.as_mut();
                        let kept = match copier.filter(|_| keep) {
                            Some(copier) => copier.hear(&told, content),
                            None => Kept::is(keep),
                        };
                        (200, ask::say(&kept).into_bytes())
                    }
                    None => (404, Vec::new()),
                }
            }
            (Peer::Stream(_), _) => (503, Vec::new()),
            _ => panic!("{peer} is asked to {question}"),
        }
    }
}

impl Subscription {
    /// As the real ones do, as far as the stream can tell.
    fn hear(&mut self, told: Told, is_matching: bool) -> bool {
        self.heard.push(told.clone());
        if !self.keeps {
            return false;
        }
        let (known, since, tail) = match &self.knows {
            Some((life, ..)) if life.is_after(&told.life) => return true,
            Some((life, since, tail)) if *life == told.life => (true, *since, *tail),
            _ => (false, told.since, told.since),
        };
        if told.ended {
            if known || self.knows.is_some() {
                self.knows = None;
            }
            return self.is_explicit;
        }
        if !known && !is_matching && !self.is_explicit {
            return false;
        }
        self.knows = Some((told.life, since, tail.max(told.tail)));
        true
    }
}

impl Machine for Outside {
    type Storage = Database;

    fn now(&self) -> u64 {
        self.lab.executor.now()
    }

    fn tick(&self) -> f64 {
        0.0
    }

    fn random(&self) -> u64 {
        self.lab.executor.below(1 << 32)
    }

    fn secret(&self) -> Result<u128, String> {
        Ok(7)
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        // Not in the same turn, as on the platform.
        self.lab.executor.sleep(millis.max(1))
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.lab.executor.spawn_now(self.group, work);
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static {
        let lab = &self.lab;
        assert!(at.is_none_or(|at| at >= self.now() + FLOOR), "{at:?}");
        let fails = lab.alarm_fails.get();
        lab.alarm_fails.set(fails.saturating_sub(1));
        lab.is_doubtful.set(fails > 0);
        if fails == 0 {
            lab.alarm.set(at);
            let (set, removed) = lab.alarms.get();
            lab.alarms.set(match at {
                Some(_) => (set + 1, removed),
                None => (set, removed + 1),
            });
        }
        let pause = lab.executor.sleep(2);
        async move {
            pause.await;
            if fails > 0 {
                return Err("injected".to_owned());
            }
            Ok(())
        }
    }

    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static {
        self.lab.disk.clear();
        self.lab.executor.sleep(2).map(Ok)
    }

    async fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        let lab = &self.lab;
        let at = lab.executor.now();
        lab.asked.borrow_mut().push((at, question.to_owned()));
        lab.at_once.set(lab.at_once.get() + 1);
        lab.most_at_once
            .set(lab.most_at_once.get().max(lab.at_once.get()));
        lab.executor.sleep(1 + lab.executor.below(10)).await;
        let delay = {
            let delays = lab.delays.borrow();
            let mut delays = delays.iter();
            let delay = delays
                .find(|(name, _)| matches!(peer, Peer::Subscription(is) if is.starts_with(name)));
            delay.map_or(0, |(_, millis)| *millis)
        };
        if delay > 0 {
            lab.executor.sleep(delay).await;
        }
        let fate = lab.fate.get();
        let answer = match fate {
            Fate::Answered | Fate::Unheard => lab.answer(peer, question, body.as_bytes()),
            Fate::Lost => (0, Vec::new()),
            Fate::Refused => (503, Vec::new()),
        };
        lab.executor.sleep(1 + lab.executor.below(10)).await;
        lab.at_once.set(lab.at_once.get() - 1);
        match fate {
            Fate::Answered | Fate::Refused => Ok(answer),
            Fate::Unheard | Fate::Lost => Err(Error::Unavailable("lost".to_owned())),
        }
    }

    fn measure(&self, _point: impl FnOnce() -> DataPoint) {}

    fn log(&self, text: fmt::Arguments<'_>) {
        self.lab.said.borrow_mut().push(text.to_string());
    }
}

use futures_util::FutureExt;

impl Ports for Outside {
    type Bucket = Store;
    type Socket = ();

    fn bucket(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    fn accept(&self, _tags: &[&str], _cursor: Option<u64>) -> Result<(), Error> {
        Ok(())
    }

    fn readers(&self) -> u32 {
        self.lab.readers.get()
    }

    fn send(&self, _tag: &str, _frame: impl FnOnce() -> Option<Vec<u8>>) {}

    fn send_each(&self, _tag: &str, _frame: impl Fn(u64) -> Vec<u8>) {}

    fn close(&self, _tag: &str, _why: Close) {}

    fn deliver_later(&self) {
        self.lab.deliveries.set(self.lab.deliveries.get() + 1);
    }
}
