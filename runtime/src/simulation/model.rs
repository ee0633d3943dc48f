//! What streams are, as their clients may believe: too simple to be wrong. It sees each request as
//! its object answers it, in the same turn, so it is never in doubt about the order.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::Value;
use serde_json::value::RawValue;

use super::node::Node;
use super::world::Request;
use crate::object::request::{ASK, Incoming};
use crate::protocol::ask::EVENT;
use crate::protocol::expiry::Expiry;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path;
use crate::protocol::reply::Reply;
use crate::protocol::will::Will;
use crate::stream::birth::Name;
use crate::stream::family::lend::{Claim, Loan};

/// A stream, from its creation to its end.
#[derive(Clone, Debug)]
pub struct Life {
    pub name: Name,
    pub is_json: bool,
    pub public: bool,
    /// JSON messages, or single bytes, with those that were dropped.
    pub items: Vec<Vec<u8>>,
    /// Where its own content starts, behind what it has inherited as a fork.
    pub start: u64,
    /// Nothing before this is to be read, by truncations.
    pub truncated: u64,
    /// How much is kept, by the stream's retention.
    keeps: Option<u64>,
    /// The objects it was given, if it is a fork.
    pub given: Vec<String>,
    pub closed: bool,
    pub expiry: Option<Expiry>,
    /// Between these times the stream may have ended or not: after a restart it is given up to a
    /// tenth of its TTL more.
    pub deadline: (u64, u64),
    /// The incarnation it is a fork of.
    pub origin: Option<String>,
    pub depth: u32,
    pub is_alive: bool,
    pub producers: BTreeMap<String, (u64, u64)>,
    /// What it says last, and how long it waits for that, in milliseconds.
    will: Option<(u64, Vec<Vec<u8>>)>,
    /// When it was last appended to.
    heard_at: u64,
    /// When its will was carried out.
    pub left_at: Option<u64>,
}

/// See the module's text.
#[derive(Default)]
pub struct Model {
    pub lives: BTreeMap<String, Life>,
    /// The life at a path, which may be over and kept.
    pub current: BTreeMap<String, String>,
    /// What was lent to forks that were about to be made: from whom, and what.
    loans: BTreeMap<String, Lent>,
    /// Ends by how they came about.
    pub ends: BTreeMap<&'static str, u64>,
}

/// What was lent to a fork.
#[derive(Clone)]
struct Lent {
    source: String,
    items: Vec<Vec<u8>>,
    earliest: u64,
    keeps: Option<u64>,
    given: Vec<String>,
}

type Outcome = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

/// The items in some content.
pub fn items_of(content: &[u8], is_json: bool) -> Result<Vec<Vec<u8>>, String> {
    if !is_json {
        return Ok(content.iter().map(|byte| vec![*byte]).collect());
    }
    if content.first() != Some(&b'[') {
        return Ok(vec![content.to_vec()]);
    }
    let items: Vec<&RawValue> = serde_json::from_slice(content)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(content)))?;
    Ok(items
        .iter()
        .map(|item| item.get().as_bytes().to_vec())
        .collect())
}

/// A header of a reply.
pub fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut headers = reply.headers.iter();
    headers.find_map(|(known, value)| (*known == name).then_some(value.as_str()))
}

fn tail(reply: &Reply) -> Result<u64, String> {
    let tail = header(reply, header::STREAM_NEXT_OFFSET).and_then(|tail| tail.parse().ok());
    tail.map(Offset::position)
        .ok_or_else(|| "there is no next offset".to_owned())
}

/// Where `If-Match` wants the tail to be.
fn wanted(request: &Request) -> Option<u64> {
    let tag = request.header(header::IF_MATCH)?;
    let offset: Offset = tag.trim_matches('"').parse().ok()?;
    Some(offset.position())
}

impl Model {
    /// The life at a path, unless it is over.
    pub fn alive(&self, path: &str) -> Option<&Life> {
        let life = self.lives.get(self.current.get(path)?)?;
        life.is_alive.then_some(life)
    }

    /// Whether what is at a path is kept for its forks alone.
    pub fn is_kept(&self, path: &str) -> bool {
        self.current
            .get(path)
            .is_some_and(|incarnation| !self.lives[incarnation].is_alive)
    }

    /// Whether a life is needed by a living one below it, or by itself.
    pub fn is_needed(&self, incarnation: &str) -> bool {
        self.lives.values().any(|life| {
            let mut at = Some(life);
            while let Some(life_above) = at {
                if life_above.name.incarnation == incarnation {
                    return life.is_alive;
                }
                let above = life_above.origin.as_ref();
                at = above.and_then(|origin| self.lives.get(origin));
            }
            false
        })
    }

    /// Looks at what has become of a node without a request.
    pub fn look(&mut self, node: &Node, now: u64) {
        let there = node.birth().map(|birth| birth.name.incarnation);
        let Some(current) = self.current.get(&node.path).cloned() else {
            return;
        };
        if there.as_ref() != Some(&current) {
            self.end(&current, "by an alarm", now);
            self.current.remove(&node.path);
        } else if node.number(DELETED) > 0 {
            self.end(&current, "kept by an alarm", now);
        }
    }

    fn end(&mut self, incarnation: &str, how: &'static str, _now: u64) {
        if let Some(life) = self.lives.get_mut(incarnation)
            && life.is_alive
        {
            life.is_alive = false;
            *self.ends.entry(how).or_default() += 1;
        }
    }

    /// Takes in what a request was answered.
    pub fn observe(
        &mut self,
        node: &Node,
        request: &Request,
        body: &[u8],
        reply: &Reply,
        now: u64,
    ) -> Outcome {
        if request.method == ASK {
            self.observe_question(node, request, body, reply, now)?;
            return self.observe_end(node, reply, "by a question", now);
        }
        if (request.method, reply.status) == ("DELETE", 204) {
            let life = self.current_life(&node.path)?;
            ensure(life.is_alive && now < life.deadline.1, || {
                "it was over".into()
            })?;
            let incarnation = life.name.incarnation.clone();
            self.end(&incarnation, "by a DELETE", now);
            self.forget(node);
            return Ok(());
        }
        if let Ok(life) = self.current_life(&node.path)
            && matches!(request.method, "GET" | "POST")
        {
            // Also by what is refused.
            life.may_be_accessed(now);
        }
        self.observe_end(node, reply, "found by a request", now)?;
        match (request.method, reply.status) {
            // Whatever went wrong, nothing has changed.
            (_, 400 | 401 | 429 | 500 | 503) => Ok(()),
            ("PUT", 201) => self.created(node, request, body, now),
            (method, 200 | 204 | 304) => {
                let life = self.current_life(&node.path)?;
                ensure(life.is_alive, || "it is over".into())?;
                ensure(now < life.deadline.1, || {
                    format!("its time was over at {:?}", life.deadline)
                })?;
                match method {
                    "PUT" => Ok(()),
                    "POST" if request.header(header::STREAM_TRUNCATE_BEFORE).is_some() => {
                        life.was_truncated(request, reply, now)
                    }
                    "POST" => life.appended(request, body, reply, now),
                    "GET" => life.read(request, reply, now),
                    _ => ensure(
                        life.is_earliest(reply) && tail(reply)? == life.items.len() as u64,
                        || "the tail is another".into(),
                    ),
                }
            }
            ("GET", path::NEEDS_ROOM) => {
                let life = self.current_life(&node.path)?;
                life.accessed(now);
                let is_of_edge = path::parameter(&request.url, path::MOST).is_some();
                ensure(is_of_edge, || "a client hears of room".into())
            }
            ("GET", 101) => {
                let life = self.current_life(&node.path)?;
                ensure(life.is_alive, || "it is over".into())?;
                life.accessed(now);
                ensure(tail(reply)? == life.items.len() as u64, || {
                    "it has to wait, and is not at the tail".into()
                })
            }
            (_, 404) if request.header(header::STREAM_FORKED_FROM).is_some() => Ok(()),
            (_, 404) if path::parameter(&request.url, path::INCARNATION).is_some() => Ok(()),
            (_, 404) => ensure(self.alive(&node.path).is_none(), || "it lives".into()),
            ("GET", 410) if header(reply, header::STREAM_EARLIEST_OFFSET).is_some() => {
                let life = self.current_life(&node.path)?;
                ensure(life.is_alive, || "it is over".into())?;
                life.refused(request, reply)
            }
            (_, 410) => ensure(self.alive(&node.path).is_none(), || "it lives".into()),
            ("POST", 412) => {
                let life = self.current_life(&node.path)?;
                ensure(life.is_alive, || "it is over".into())?;
                let end = life.items.len() as u64;
                ensure(tail(reply)? == end, || "the tail is another".into())?;
                ensure(wanted(request) != Some(end), || "nobody was faster".into())
            }
            ("PUT" | "POST", 409 | 403) => Ok(()),
            (_, status) => Err(format!("nobody expects {status}")),
        }
    }

    /// Takes in what was copied into a stream. That is no access.
    pub fn copied(&mut self, path: &str, items: Vec<Vec<u8>>, now: u64) {
        if let Ok(life) = self.current_life(path)
            && !items.is_empty()
        {
            life.heard_at = now;
            life.items.extend(items);
        }
    }

    /// Takes in that an object has committed something when its stream's will was due: what that has
    /// appended, from where to where.
    pub fn left(&mut self, node: &Node, now: u64) -> Option<(u64, u64)> {
        self.due(&node.path).filter(|due| *due <= now)?;
        let is_closed = self.is_it(node) && node.number(CLOSED) > 0;
        let life = self.current_life(&node.path).ok()?;
        let (_, words) = life.will.clone().filter(|_| is_closed)?;
        let before = life.items.len() as u64;
        life.items.extend(words);
        life.closed = true;
        life.left_at = Some(now);
        let after = life.items.len() as u64;
        *self.ends.entry("by its will").or_default() += 1;
        Some((before, after))
    }

    /// A will is carried out at its time: not before, and before the stream is looked at. `closes` is
    /// whether it was asked to be closed.
    pub fn check_will(&self, node: &Node, now: u64, has_looked: bool, closes: bool) -> Outcome {
        let Some(due) = self.will_due(node).filter(|_| has_looked) else {
            return Ok(());
        };
        let is_closed = node.number(CLOSED) > 0;
        ensure(now < due, || format!("its will was due at {due}"))?;
        ensure(!is_closed || closes, || {
            format!("its will was carried out before {due}")
        })
    }

    /// Whether what is stored is the life that is at its path, and not kept for its forks alone.
    fn is_it(&self, node: &Node) -> bool {
        let there = node.birth().map(|birth| birth.name.incarnation);
        there.as_ref() == self.current.get(&node.path) && node.number(DELETED) == 0
    }

    /// When the will of the open stream on a machine is due, if it has one.
    pub fn will_due(&self, node: &Node) -> Option<u64> {
        self.due(&node.path).filter(|_| self.is_it(node))
    }

    fn due(&self, path: &str) -> Option<u64> {
        let life = self.alive(path).filter(|life| !life.closed)?;
        let (after, _) = life.will.as_ref()?;
        Some(life.heard_at + after)
    }

    fn current_life(&mut self, path: &str) -> Result<&mut Life, String> {
        let incarnation = self.current.get(path).ok_or("there is none")?;
        self.lives
            .get_mut(incarnation)
            .ok_or_else(|| "there is none".to_owned())
    }

    /// A request may find that a stream's time is over; it may not end it for any other reason.
    fn observe_end(&mut self, node: &Node, _reply: &Reply, how: &'static str, now: u64) -> Outcome {
        let Some(current) = self.current.get(&node.path).cloned() else {
            return Ok(());
        };
        let there = node.birth().map(|birth| birth.name.incarnation);
        let is_deleted = node.number(DELETED) > 0;
        let life = &self.lives[&current];
        if there.as_ref() == Some(&current) && (!is_deleted || !life.is_alive) {
            return Ok(());
        }
        let is_over = now >= life.deadline.0;
        let is_asked = how == "by a question" || !life.is_alive || is_over;
        // A DELETE is looked at where it succeeds.
        if life.is_alive && !is_over && how != "by a question" {
            return Ok(());
        }
        ensure(is_asked, || "it has ended before its time".into())?;
        ensure(
            there.as_ref() == Some(&current) || !self.is_needed_below(&current, now),
            || "it is gone, and a fork of it lives".into(),
        )?;
        self.end(&current, how, now);
        if there.as_ref() != Some(&current) {
            self.current.remove(&node.path);
        }
        Ok(())
    }

    /// Whether a fork below it certainly lives.
    fn is_needed_below(&self, incarnation: &str, now: u64) -> bool {
        self.lives.values().any(|life| {
            let lives = life.is_alive && now < life.deadline.0;
            life.name.incarnation != incarnation && lives && {
                let mut origin = life.origin.as_deref();
                let mut found = false;
                while let Some(above) = origin {
                    found |= above == incarnation;
                    origin = self.lives.get(above).and_then(|l| l.origin.as_deref());
                }
                found
            }
        })
    }

    /// What was deleted is gone, or kept.
    fn forget(&mut self, node: &Node) {
        let current = self.current.get(&node.path);
        let there = node.birth().map(|birth| birth.name.incarnation);
        if there.as_ref() != current {
            self.current.remove(&node.path);
        }
    }

    fn created(&mut self, node: &Node, request: &Request, body: &[u8], now: u64) -> Outcome {
        let Some(birth) = node.birth() else {
            // Its time, or the one it has inherited as a fork, may have been over when it came.
            let at = request.header(header::STREAM_EXPIRES_AT);
            let at = at.and_then(|at| DateTime::parse_from_rfc3339(&at).ok());
            let is_over = at.is_some_and(|at| at.timestamp_millis() <= now as i64);
            self.current.remove(&node.path);
            let is_fork = request.header(header::STREAM_FORKED_FROM).is_some();
            return ensure(is_over || is_fork, || "nothing was created".into());
        };
        if let Some(before) = self.current.get(&node.path).cloned() {
            let life = &self.lives[&before];
            ensure(!life.is_alive || now >= life.deadline.0, || {
                format!("{before} was there and alive")
            })?;
            ensure(!self.is_needed_below(&before, now), || {
                format!("{before} is kept for its forks")
            })?;
            self.end(&before, "by a creation", now);
        }
        let is_json = birth.content_type.is_json();
        let lent = match &birth.origin {
            None => None,
            Some(_) => {
                let lent = self.loans.get(&birth.name.incarnation);
                Some(lent.ok_or("nobody has lent anything")?.clone())
            }
        };
        let origin = lent.as_ref().map(|lent| lent.source.clone());
        let mut items = lent
            .as_ref()
            .map_or_else(Vec::new, |lent| lent.items.clone());
        let start = items.len() as u64;
        let keeps = request.header(header::STREAM_RETENTION).and_then(|value| {
            let (_, count) = value.split_once('=')?;
            count.parse().ok()
        });
        let depth = origin
            .as_ref()
            .map_or(0, |origin| self.lives[origin].depth + 1);
        if !body.is_empty() {
            items.extend(items_of(body, is_json)?);
        }
        let mut life = Life {
            is_json,
            public: birth.public,
            items,
            start,
            truncated: lent.as_ref().map_or(0, |lent| lent.earliest),
            keeps: keeps.or(lent.as_ref().and_then(|lent| lent.keeps)),
            given: lent.map_or_else(Vec::new, |lent| lent.given),
            closed: birth.closed,
            deadline: (u64::MAX, u64::MAX),
            expiry: birth.expiry.clone(),
            origin,
            depth,
            is_alive: true,
            producers: BTreeMap::new(),
            will: match Will::parse(&|name| request.header(name)).unwrap_or(None) {
                Some(will) if will.content.is_empty() => Some((will.millis(), Vec::new())),
                Some(will) => Some((will.millis(), items_of(&will.content, is_json)?)),
                None => None,
            },
            heard_at: now,
            left_at: None,
            name: birth.name.clone(),
        };
        life.accessed(now);
        if let Some(Expiry::At { .. }) = &life.expiry {
            let at = life.expiry.as_ref().map_or(0, |expiry| expiry.deadline(0));
            life.deadline = (at, at);
        }
        let incarnation = birth.name.incarnation.clone();
        self.current.insert(node.path.clone(), incarnation.clone());
        self.lives.insert(incarnation, life);
        Ok(())
    }

    fn observe_question(
        &mut self,
        node: &Node,
        request: &Request,
        body: &[u8],
        reply: &Reply,
        now: u64,
    ) -> Outcome {
        if request.question() == EVENT && matches!(reply.status, 200..300) {
            let event: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let life = self.current_life(&node.path)?;
            ensure(life.is_alive && !life.closed, || "it is over".into())?;
            life.heard_at = now;
            life.items.push(event["message"].to_string().into_bytes());
        }
        if request.question() == "claim" && reply.status == 200 {
            let claim = Claim::decode(body).map_err(|e| e.to_string())?;
            let loan = Loan::decode(&reply.body).map_err(|e| e.to_string())?;
            let life = self.current_life(&node.path)?;
            ensure(life.is_alive, || "it lends, and is over".into())?;
            let end = loan.end.position() as usize;
            let items = life.items.get(..end).ok_or("it lends what it has not")?;
            ensure(loan.offset.position() >= life.earliest(), || {
                "it lends what was dropped".into()
            })?;
            let given = loan.segments.iter().map(|segment| segment.key("its own/"));
            let lent = Lent {
                source: life.name.incarnation.clone(),
                items: items.to_vec(),
                earliest: life.earliest(),
                keeps: life.keeps,
                given: given.collect(),
            };
            self.loans.insert(claim.fork.incarnation, lent);
        }
        Ok(())
    }
}

/// Whether the state record says that the stream is closed.
const CLOSED: &str =
    "SELECT count(*) FROM stream WHERE id = -1 AND CAST(body AS TEXT) LIKE '%\"closed\":true%'";

/// Whether the state record says that the stream was deleted.
const DELETED: &str =
    "SELECT count(*) FROM stream WHERE id = -1 AND CAST(body AS TEXT) LIKE '%\"deleted\":true%'";

/// Where a reader wants to start, if it says so.
fn asked(request: &Request) -> Option<u64> {
    let offset: Offset = path::parameter(request.place().1, "offset")?.parse().ok()?;
    Some(offset.position())
}

impl Life {
    /// Nothing before this is to be read.
    pub fn earliest(&self) -> u64 {
        let length = self.items.len() as u64;
        let kept = self.keeps.map_or(length, |keeps| keeps.min(length));
        self.truncated.max(length - kept)
    }

    /// Whether it has lost its beginning.
    pub fn is_truncated(&self) -> bool {
        self.earliest() > 0
    }

    fn is_earliest(&self, reply: &Reply) -> bool {
        let said = header(reply, header::STREAM_EARLIEST_OFFSET).and_then(|at| at.parse().ok());
        said.map_or(0, Offset::position) == self.earliest()
    }

    fn was_truncated(&mut self, request: &Request, reply: &Reply, now: u64) -> Outcome {
        self.accessed(now);
        let before = request.header(header::STREAM_TRUNCATE_BEFORE);
        let before: Option<Offset> = before.and_then(|before| before.parse().ok());
        self.truncated = self.truncated.max(before.map_or(0, Offset::position));
        ensure(self.is_earliest(reply), || "it starts elsewhere".into())?;
        let end = self.items.len() as u64;
        ensure(tail(reply)? == end && self.truncated <= end, || {
            "the tail is another".into()
        })
    }

    fn refused(&self, request: &Request, reply: &Reply) -> Outcome {
        ensure(self.is_earliest(reply), || "it starts elsewhere".into())?;
        ensure(
            asked(request).is_some_and(|at| at < self.earliest()),
            || "it was asked for what is there".into(),
        )
    }

    fn accessed(&mut self, now: u64) {
        if let Some(Expiry::Ttl(seconds)) = self.expiry {
            let ttl = seconds * 1000;
            self.deadline = (now + ttl, now + ttl + ttl / 10 + 1);
        }
    }

    fn may_be_accessed(&mut self, now: u64) {
        let (min, max) = self.deadline;
        if now < max {
            self.accessed(now);
            self.deadline = (min, self.deadline.1.max(max));
        }
    }

    fn appended(&mut self, request: &Request, body: &[u8], reply: &Reply, now: u64) -> Outcome {
        self.accessed(now);
        let before = self.items.len() as u64;
        let claim = request.header(header::PRODUCER_ID).map(|id| {
            let number = |name| {
                request
                    .header(name)
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0)
            };
            let (epoch, seq): (u64, u64) =
                (number(header::PRODUCER_EPOCH), number(header::PRODUCER_SEQ));
            (id, epoch, seq)
        });
        let closes = request.header(header::STREAM_CLOSED).is_some();
        let is_new = match &claim {
            None => !self.closed,
            Some((id, epoch, seq)) => {
                let known = self.producers.get(id);
                let is_new = known.is_none_or(|known| *known < (*epoch, *seq));
                is_new && !self.closed
            }
        };
        let wanted = wanted(request);
        ensure(!is_new || wanted.is_none_or(|at| at == before), || {
            format!("somebody was faster than whoever has seen {wanted:?}")
        })?;
        if is_new {
            self.heard_at = now;
        }
        if is_new && !body.is_empty() {
            self.items.extend(items_of(body, self.is_json)?);
        }
        if is_new && let Some((id, epoch, seq)) = claim {
            self.producers.insert(id, (epoch, seq));
        }
        self.closed |= closes;
        ensure(tail(reply)? == self.items.len() as u64, || {
            format!(
                "the tail is {:?}, and was {before} before {} more",
                tail(reply),
                self.items.len() as u64 - before
            )
        })
    }

    fn read(&mut self, request: &Request, reply: &Reply, now: u64) -> Outcome {
        self.accessed(now);
        if let Some(marked) = request.header(header::STREAM_IF_PUBLIC) {
            ensure(self.public, || format!("{marked}: it is private"))?;
        }
        let next = tail(reply)?;
        let is_there = asked(request).is_none_or(|at| at >= self.earliest());
        ensure(is_there && next >= self.earliest(), || {
            format!("it gives what lies before {}", self.earliest())
        })?;
        // That there is no news says no more than that.
        ensure(reply.status == 204 || self.is_earliest(reply), || {
            "it starts elsewhere".into()
        })?;
        ensure(next <= self.items.len() as u64, || "beyond the end".into())?;
        let is_up_to_date = header(reply, header::STREAM_UP_TO_DATE).is_some();
        ensure(
            reply.status == 304 || is_up_to_date == (next == self.items.len() as u64),
            || "it is wrong about being up to date".into(),
        )?;
        let is_closed = header(reply, header::STREAM_CLOSED).is_some();
        ensure(is_closed == (self.closed && is_up_to_date), || {
            "it is wrong about being closed".into()
        })
    }

    /// Whether some content is what lies between two positions.
    pub fn is_content(&self, from: u64, next: u64, content: &[u8]) -> Outcome {
        let items = items_of(content, self.is_json)?;
        let expected = self.items.get(from as usize..next as usize);
        ensure(expected == Some(&items[..]), || {
            let text = |items: &[Vec<u8>]| String::from_utf8_lossy(&items.concat()).into_owned();
            format!(
                "from {from} to {next} of {} it is {}, not {}",
                self.name.path,
                text(&items),
                expected.map(text).unwrap_or_default()
            )
        })
    }
}
