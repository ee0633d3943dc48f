//! What is between machines: messages that are late, lost on the way there or back, or come twice
//! and long after nobody waits for them any more.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::desk::{Desk, Pipe, Response};
use super::executor::{Group, once};
use super::inspect;
use super::ledger::Arrival;
use super::model::Model;
use super::node::{Instance, Kind, Node, Thing};
use super::ports::{NodePorts, Socket};
use super::world::{CLIENTS, PLATFORM, World};
use crate::auth::ProjectJwt;
use crate::edge::Server;
use crate::machine::Peer;
use crate::object::request::{ASK, Incoming};
use crate::object::{Answer, Object};
use crate::protocol::ask::{COPY, ENROLL, EVENT, FEED, INSPECT, LINK, UNFEED, UNLINK};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path;
use crate::protocol::reply::Reply;

/// How late a question between objects may come, in milliseconds: nobody waits for it for so long,
/// and it still counts.
const LATEST: u64 = 540_000;

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// What one object asks another.
    pub fn question(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
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

/// Whether nobody minds a message that comes minutes after it was sent. What forks and their
/// sources say to each other is not of that kind.
fn may_be_late(node: &Node, request: &Request) -> bool {
    // A stream that becomes the target of a subscription that is gone stays one.
    let is_of_gone = request.question() == FEED;
    let is_late = node.kind != Kind::Stream || is_of_subscription(request) && !is_of_gone;
    request.method == ASK && is_late
}

/// Whether it is what subscriptions, or the directory, ask streams.
fn is_of_subscription(request: &Request) -> bool {
    [LINK, UNLINK, EVENT, ENROLL, FEED, UNFEED, COPY].contains(&request.question())
}

impl World {
    /// An edge, on a machine of its own.
    pub fn desk(&self, window: u64) -> Desk {
        Desk {
            world: self.clone(),
            group: self.executor().group(),
            kv: self.kv().clone(),
            window,
            incarnation: Rc::default(),
            events: Rc::default(),
            isolate: self.isolate().clone(),
        }
    }

    /// The edge may fail in the middle of something, or of what it does behind the answer.
    pub fn may_fail(&self, group: Group) {
        let clock = self.executor();
        if !clock.chance(self.trouble() / 12) {
            return;
        }
        let world = self.clone();
        clock.spawn(CLIENTS, async move {
            world.executor().pause(4_000).await;
            world.count("edge crash");
            world.executor().kill(group);
        });
    }

    /// Sends a request to an edge and waits for the answer, which may never come. A reader of
    /// events is served for `window` milliseconds.
    pub async fn request(&self, request: Request, window: u64) -> Option<Served> {
        let clock = self.executor();
        clock.pause(20).await;
        let desk = self.desk(window);
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
        self.may_fail(desk.group);
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

    /// Sends a request to a stream's object and waits for the answer, which may never come.
    pub async fn send(&self, path: &str, request: Request) -> Option<(Reply, Option<Rc<Socket>>)> {
        self.exchange(&self.node(path), request).await
    }

    /// The same for any object.
    async fn exchange(
        &self,
        node: &Rc<Node>,
        request: Request,
    ) -> Option<(Reply, Option<Rc<Socket>>)> {
        let clock = self.executor();
        let usual = self.latency();
        clock
            .pause(if clock.chance(20) { 5_000 } else { usual })
            .await;
        if clock.chance(self.trouble() / 4) {
            self.count("request lost");
            if may_be_late(node, &request) && clock.chance(500) {
                self.arrive_later(node, request);
            }
            clock.pause(40_000).await;
            return None;
        }
        if may_be_late(node, &request) && clock.chance(self.trouble() / 4) {
            self.arrive_later(node, request.clone());
        }
        let answer = self.hand_over(node, request).await;
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

    /// A message that comes when nobody expects it any more.
    fn arrive_later(&self, node: &Rc<Node>, request: Request) {
        let (world, node) = (self.clone(), Rc::clone(node));
        self.executor().spawn(CLIENTS, async move {
            let clock = world.executor();
            let late = if clock.chance(500) { 3_000 } else { LATEST };
            clock.pause(late).await;
            world.count("question came late");
            world.hand_over(&node, request).await;
        });
    }

    /// Lets an object answer, unless its machine fails.
    async fn hand_over(&self, node: &Rc<Node>, request: Request) -> Option<Answer<Rc<Socket>>> {
        let Instance { object, group } = self.load(node);
        let (sender, receiver) = once();
        let (world, target) = (self.clone(), Rc::clone(node));
        self.executor().spawn(group, async move {
            let answer = world.carry_out(&object, &target, &request).await;
            sender.send(answer);
        });
        self.may_crash(node, 40);
        receiver.await
    }

    /// Has a request carried out by its object, and holds what comes of it against the model, in
    /// the same turn.
    async fn carry_out(
        &self,
        object: &Thing,
        node: &Rc<Node>,
        request: &Request,
    ) -> Answer<Rc<Socket>> {
        let body = request.body.clone();
        let question = request.question();
        let began = self.executor().now();
        let arrival = match node.kind {
            Kind::Subscription => {
                self.ledger(|ledger| ledger.expect_call(node, question, &body, began))
            }
            _ => Arrival::default(),
        };
        let written = node.database.written.get();
        let answer = match object {
            Thing::Stream(object) => self.answer(object, node, request).await,
            Thing::Shard(shard) => {
                self.disturb(node);
                Answer {
                    reply: shard.answer(question, &body).await,
                    socket: None,
                }
            }
            Thing::Subscription(subscription) => {
                self.disturb(node);
                Answer {
                    reply: subscription.answer(question, &body).await,
                    socket: None,
                }
            }
        };
        let status = answer.reply.status;
        self.note(|| match node.kind {
            Kind::Stream => format!("{} {} -> {status}", request.method, request.url),
            _ => format!(
                "{} answers {question}: {status} {}",
                node.path,
                String::from_utf8_lossy(&answer.reply.body)
            ),
        });
        self.count(&match node.kind {
            Kind::Stream => format!("{} {status}", request.method),
            _ => format!("{question} {status}"),
        });
        if !self.is_observed() {
            return answer;
        }
        let rows = node.database.written.get().saturating_sub(written);
        if let Err(what) = self.observe(node, request, &answer.reply, &arrival, rows) {
            self.fail(format!(
                "{} {} of {} -> {status}: {what}",
                request.method, request.url, node.path
            ));
        }
        answer
    }

    /// Holds an answer against what is known.
    fn observe(
        &self,
        node: &Rc<Node>,
        request: &Request,
        reply: &Reply,
        arrival: &Arrival,
        rows: u64,
    ) -> Result<(), String> {
        let (now, body) = (self.executor().now(), &request.body);
        match node.kind {
            Kind::Stream => {
                let length = |model: &mut Model| {
                    let life = model.alive(&node.path);
                    life.map_or(0, |life| life.items.len() as u64)
                };
                let closes = request.header(header::STREAM_CLOSED).is_some();
                // Whoever asks for a fork may be refused by its source, while the time passes here.
                let is_of_source =
                    request.header(header::STREAM_FORKED_FROM).is_some() && reply.status >= 400;
                let has_looked = request.method != ASK && reply.status < 500 && !is_of_source;
                self.model(|model| model.check_will(node, now, has_looked, closes))?;
                let before = self.model(length);
                self.model(|model| model.observe(node, request, body, reply, now))?;
                let after = self.model(length);
                match (request.method, reply.status) {
                    ("POST", 200 | 204) => self.appended(node, before, after),
                    ("PUT", 201) => {
                        let life = self.model(|m| m.alive(&node.path).map(|life| life.start));
                        self.appended(node, life.unwrap_or(after), after);
                    }
                    (ASK, 200..300) if request.question() == EVENT => self.event(body),
                    (ASK, 200) if request.question() == INSPECT => {
                        self.model(|model| inspect::check(node, model, &reply.body, rows, now))?;
                    }
                    (ASK, _) => self.observe_target(node, request, reply, rows)?,
                    _ => {}
                }
                Ok(())
            }
            Kind::Shard => Ok(()),
            Kind::Subscription => {
                let answer = serde_json::from_slice(&reply.body).unwrap_or_default();
                let (question, status) = (request.question(), reply.status);
                self.ledger(|l| l.called(node, question, body, arrival, status, &answer))
            }
        }
    }

    /// An event of a wake was appended.
    fn event(&self, body: &[u8]) {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let id = &event["message"]["subscription_id"];
        if let Some(id) = id.as_str() {
            self.count("event");
            self.woken(id);
        }
    }

    /// Has a stream's object answer.
    async fn answer(
        &self,
        object: &Rc<Object<NodePorts>>,
        node: &Rc<Node>,
        request: &Request,
    ) -> Answer<Rc<Socket>> {
        let body = request.body.clone();
        let clock = self.executor();
        if request.takes_time() {
            if request.method == ASK && is_of_subscription(request) {
                self.disturb(node);
            }
            return object.answer_in_time(request, Ok(body)).await;
        }
        if clock.chance(self.trouble() / 4) {
            node.database.fail_after(clock.below(6) as u32);
        }
        let answer = object.answer(request, Ok(body));
        if node.database.heal() {
            self.count("database failed");
        }
        answer
    }

    /// What an object, or an edge, asks another object.
    pub async fn ask(
        &self,
        from: Option<&Rc<Node>>,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        let node = self.node_of(peer);
        self.note(|| {
            let from = from.map_or("an edge", |from| &from.path);
            format!("{from} asks {} to {question}: {body}", node.path)
        });
        let request = Request {
            method: ASK,
            url: format!("http://fork{}{question}", path::ASKED),
            headers: Vec::new(),
            body: body.into_bytes(),
        };
        let answer = self.exchange(&node, request).await;
        if let Some(from) = from {
            self.disturb(from);
        }
        match answer {
            Some((reply, _)) => Ok((reply.status, reply.body)),
            None => Err(Error::Unavailable("lost".into())),
        }
    }

    /// Lets the database of an object fail in its next turn, now and then.
    pub fn disturb(&self, node: &Rc<Node>) {
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
