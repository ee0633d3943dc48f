//! Clients: they ask, wait, come again, and look closely at what they get.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use chrono::DateTime;

use super::executor::Executor;
use super::node::{Heard, Socket};
use super::workload::{Expires, Op, PATHS};
use super::world::{Request, World};
use crate::protocol::frame::{self, Head};
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::part::{Piece, Plan};
use crate::protocol::path;
use crate::protocol::reply::Reply;

/// A reader of events, as those see it who look at the end of a run.
pub struct Reader {
    pub name: usize,
    pub path: &'static str,
    /// What it reads; known from its first answer.
    pub incarnation: RefCell<Option<String>>,
    pub at: Cell<u64>,
    pub is_over: Cell<bool>,
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut headers = reply.headers.iter();
    headers.find_map(|(known, value)| (*known == name).then_some(value.as_str()))
}

fn next_of(reply: &Reply) -> u64 {
    let next = header(reply, header::STREAM_NEXT_OFFSET).and_then(|next| next.parse().ok());
    next.map_or(0, Offset::position)
}

fn url(path: &str, query: &str) -> String {
    format!("http://server/v1/stream/{path}{query}")
}

/// A message that no other is like.
fn message(n: usize, k: usize, length: usize, is_json: bool) -> String {
    let text = format!("{n}.{k}.");
    let text = text.clone() + &"abcdefghij".repeat(length / 10 + 1)[..length.min(4000)];
    if is_json { format!("\"{text}\"") } else { text }
}

fn body(n: usize, lengths: &[usize], is_json: bool) -> Vec<u8> {
    let messages = lengths.iter().enumerate();
    let messages: Vec<String> = messages.map(|(k, l)| message(n, k, *l, is_json)).collect();
    if is_json {
        format!("[{}]", messages.join(",")).into_bytes()
    } else {
        messages.concat().into_bytes()
    }
}

fn type_of(is_json: bool) -> String {
    if is_json {
        "application/json"
    } else {
        "text/plain"
    }
    .to_owned()
}

fn expiry(expires: Expires, now: u64) -> Vec<(&'static str, String)> {
    match expires {
        Expires::Never => Vec::new(),
        Expires::Ttl(seconds) => vec![(header::STREAM_TTL, seconds.to_string())],
        Expires::At(seconds) => {
            let at = DateTime::from_timestamp_millis((now + seconds * 1000) as i64).unwrap();
            vec![(header::STREAM_EXPIRES_AT, at.to_rfc3339())]
        }
    }
}

impl World {
    /// Lets something happen; `n` is its number.
    pub async fn happen(self, n: usize, op: Op, readers: Rc<RefCell<Vec<Rc<Reader>>>>) {
        self.note(|| format!("[{n}] {op:?}"));
        match op {
            Op::Create {
                path,
                is_json,
                expires,
                public,
                lengths,
            } => {
                let mut headers = expiry(expires, self.executor().now());
                headers.push((header::CONTENT_TYPE, type_of(is_json)));
                let query = if public { "?public=true" } else { "" };
                let body = body(n, &lengths, is_json);
                self.ask_for("PUT", PATHS[path], query, headers, body).await;
            }
            Op::Fork {
                source,
                target,
                cut,
                expires,
                lengths,
            } => self.fork(n, source, target, cut, expires, &lengths).await,
            Op::Append {
                path,
                lengths,
                closes,
            } => {
                let is_json = self.is_json(PATHS[path]);
                let mut headers = vec![(header::CONTENT_TYPE, type_of(is_json))];
                if closes {
                    headers.push((header::STREAM_CLOSED, "true".into()));
                }
                let body = body(n, &lengths, is_json);
                self.ask_for("POST", PATHS[path], "", headers, body).await;
            }
            Op::Produce { path, id, count } => self.produce(n, PATHS[path], id, count).await,
            Op::Read {
                path,
                from,
                anonymous,
            } => {
                let length = self.model(|m| m.alive(PATHS[path]).map_or(0, |l| l.items.len()));
                let from = length as u64 * u64::from(from) / 255;
                self.read(PATHS[path], from, anonymous).await;
            }
            Op::ReadAll { path } => {
                self.read_all(PATHS[path]).await;
            }
            Op::Head { path } => {
                self.ask_for("HEAD", PATHS[path], "", Vec::new(), Vec::new())
                    .await;
            }
            Op::Delete { path } => {
                self.ask_for("DELETE", PATHS[path], "", Vec::new(), Vec::new())
                    .await;
            }
            Op::Follow {
                path,
                from_now,
                anonymous,
                pace,
                window,
            } => {
                let reader = Rc::new(Reader {
                    name: n,
                    path: PATHS[path],
                    incarnation: RefCell::default(),
                    at: Cell::new(0),
                    is_over: Cell::new(false),
                });
                readers.borrow_mut().push(Rc::clone(&reader));
                self.follow(&reader, from_now, anonymous, pace, window)
                    .await;
                reader.is_over.set(true);
            }
            Op::Poll { path, anonymous } => self.poll(PATHS[path], anonymous).await,
            Op::Crash { path } => self.crash(&self.node(PATHS[path])),
            Op::Evict { path } => self.evict(&self.node(PATHS[path])),
            Op::Restart { path, settings } => {
                let node = self.node(PATHS[path]);
                node.settings.set(settings);
                self.crash(&node);
            }
            Op::CopyBucket => self.store().copy(),
        }
    }

    fn is_json(&self, path: &str) -> bool {
        self.model(|model| model.alive(path).is_none_or(|life| life.is_json))
    }

    async fn ask_for(
        &self,
        method: &'static str,
        path: &str,
        query: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Option<Reply> {
        let url = url(path, query);
        let request = Request {
            method,
            url,
            headers,
        };
        Some(self.send(path, request, body).await?.0)
    }

    async fn fork(
        &self,
        n: usize,
        source: usize,
        target: usize,
        cut: Option<u8>,
        expires: Expires,
        lengths: &[usize],
    ) {
        let (is_json, length) = self.model(|model| {
            let life = model.alive(PATHS[source]);
            life.map_or((true, 0), |life| (life.is_json, life.items.len() as u64))
        });
        let mut headers = expiry(expires, self.executor().now());
        let from = format!("/v1/stream/{}", PATHS[source]);
        headers.push((header::STREAM_FORKED_FROM, from));
        if let Some(cut) = cut {
            let end = length * u64::from(cut) / 255;
            // The sub-offset is added, wherever the cut is.
            let offset = Offset::new(end - end / 3).unwrap();
            headers.push((header::STREAM_FORK_OFFSET, offset.to_string()));
            headers.push((header::STREAM_FORK_SUB_OFFSET, (end / 3).to_string()));
        }
        let body = body(n, lengths, is_json);
        self.ask_for("PUT", PATHS[target], "", headers, body).await;
    }

    /// What is acknowledged to a producer is there once, however often it was sent.
    async fn produce(&self, n: usize, path: &str, id: u8, count: usize) {
        let Some(life) = self.model(|m| m.alive(path).map(|l| l.name.incarnation.clone())) else {
            return;
        };
        let is_json = self.is_json(path);
        for seq in 0..count {
            let text = message(n, seq, 5, is_json);
            for _ in 0..6 {
                let headers = vec![
                    (header::CONTENT_TYPE, type_of(is_json)),
                    (header::PRODUCER_ID, format!("p{id}")),
                    (header::PRODUCER_EPOCH, n.to_string()),
                    (header::PRODUCER_SEQ, seq.to_string()),
                ];
                let body = text.clone().into_bytes();
                let reply = self.ask_for("POST", path, "", headers, body).await;
                match reply.map(|reply| reply.status) {
                    Some(200 | 204) => break,
                    Some(500 | 503) | None => {}
                    _ => return,
                }
            }
            let is_there = self.model(|model| {
                let life = &model.lives[&life];
                let all = life.items.concat();
                let found = all.windows(text.len()).filter(|w| *w == text.as_bytes());
                found.count()
            });
            self.expect(is_there <= 1, || {
                format!("{text} is there {is_there} times")
            });
        }
    }

    fn reading(path: &str, query: String, anonymous: bool) -> Request {
        let mark = (header::STREAM_IF_PUBLIC, "true".to_owned());
        Request {
            method: "GET",
            url: url(path, &query),
            headers: anonymous.then_some(mark).into_iter().collect(),
        }
    }

    /// Reads a page. Gives the offset to go on from, and whether that is the end.
    async fn read(&self, path: &str, from: u64, anonymous: bool) -> Option<(u64, bool)> {
        let offset = Offset::new(from)?;
        let request = Self::reading(path, format!("?offset={offset}"), anonymous);
        let (reply, _) = self.send(path, request, Vec::new()).await?;
        if reply.status != 200 {
            return None;
        }
        // The entity tag starts with the incarnation.
        let tag = header(&reply, header::ETAG)?.trim_matches('"').to_owned();
        let incarnation = tag.split(':').next()?.to_owned();
        let content = self.content(path, &incarnation, &reply).await?;
        self.compare(&incarnation, from, next_of(&reply), &content, anonymous);
        let is_end = header(&reply, header::STREAM_UP_TO_DATE).is_some();
        Some((next_of(&reply), is_end))
    }

    /// Reads everything. Says whether it came to the end.
    pub async fn read_all(&self, path: &str) -> bool {
        let mut at = 0;
        for _ in 0..2000 {
            match self.read(path, at, false).await {
                Some((_, true)) => return true,
                Some((next, false)) if next > at => at = next,
                _ => return false,
            }
        }
        self.fail(format!("there is no end of {path}"));
        false
    }

    /// What an answer comes to, some of which may lie in the bucket.
    async fn content(&self, path: &str, incarnation: &str, reply: &Reply) -> Option<Vec<u8>> {
        let Some(length) = header(reply, header::DS_COLD) else {
            return Some(reply.body.clone());
        };
        let (plan, rest) = reply.body.split_at(length.parse().ok()?);
        let plan = Plan::decode(plan)?;
        let mut content = Vec::new();
        for piece in plan.pieces(!rest.is_empty()) {
            match piece {
                Piece::Text(text) => content.extend_from_slice(text),
                Piece::Rest => content.extend_from_slice(rest),
                Piece::Part(part) => {
                    self.executor().pause(3_000).await;
                    let Some(range) = self.store().range(part) else {
                        let lives = self.model(|model| {
                            model.lives.get(incarnation).is_some_and(|l| l.is_alive)
                        });
                        self.expect(!lives, || {
                            format!("{} is missing, of {path} that lives", part.key)
                        });
                        return None;
                    };
                    match part.lines {
                        None => content.extend_from_slice(&range),
                        Some(lines) => content.extend_from_slice(lines.cut(&range)?),
                    }
                }
            }
        }
        Some(content)
    }

    fn compare(&self, incarnation: &str, from: u64, next: u64, content: &[u8], anonymous: bool) {
        let outcome = self.model(|model| {
            let life = model.lives.get(incarnation).ok_or("nobody knows it")?;
            if anonymous && !life.public {
                return Err(format!("{} is private", life.name.path));
            }
            life.is_content(from, next, content)
        });
        if let Err(what) = outcome {
            self.fail(format!("a reader got something else: {what}"));
        }
    }

    async fn poll(&self, path: &'static str, anonymous: bool) {
        let query = "?offset=now&live=long-poll".to_owned();
        let mut request = Self::reading(path, query, anonymous);
        request.url = request.url.replace("/v1/", &format!("{}/v1/", path::LIVE));
        let node = self.node(path);
        let Some((reply, socket)) = self.send(path, request, Vec::new()).await else {
            return;
        };
        let Some(socket) = socket else {
            return;
        };
        let incarnation = self.incarnation_of(&socket);
        let from = next_of(&reply);
        let clock = self.executor().clone();
        let heard = either(&clock, 25_000, socket.hear()).await;
        socket.close(None);
        if let Some(Heard::Frame(frame)) = heard {
            let Some((head, body)) = frame::split::<Head>(&frame) else {
                return self.fail(format!("{}: a frame that is none", node.path));
            };
            if head.status == 200 {
                let next = head.headers.get(header::STREAM_NEXT_OFFSET);
                let next: Option<Offset> = next.and_then(|next| next.parse().ok());
                let next = next.map_or(0, Offset::position);
                self.compare(&incarnation, from, next, body, anonymous);
            }
        }
    }

    fn incarnation_of(&self, socket: &Socket) -> String {
        let tag = socket.tags.iter().find_map(|tag| tag.split_once(':'));
        tag.map_or_else(String::new, |(_, incarnation)| incarnation.to_owned())
    }

    /// Reads page after page and then what comes over a socket, as an edge does.
    async fn follow(
        &self,
        reader: &Reader,
        from_now: bool,
        anonymous: bool,
        pace: u64,
        window: u64,
    ) {
        let path = reader.path;
        let clock = self.executor().clone();
        let ends_at = clock.now() + window * 1000;
        let mut offset = if from_now {
            "now".to_owned()
        } else {
            "-1".to_owned()
        };
        loop {
            let started = reader.incarnation.borrow().clone();
            let started = started.map(|i| format!("&{}={i}", path::INCARNATION));
            let query = format!("?offset={offset}&live=sse{}", started.unwrap_or_default());
            let mut request = Self::reading(path, query, anonymous);
            request.url = request.url.replace("/v1/", &format!("{}/v1/", path::LIVE));
            let Some((reply, socket)) = self.send(path, request, Vec::new()).await else {
                return;
            };
            if !matches!(reply.status, 101 | 200) {
                return;
            }
            let Some(incarnation) = header(&reply, header::DS_INCARNATION).map(str::to_owned)
            else {
                return self.fail("an answer to a reader has no incarnation".into());
            };
            let before = reader.incarnation.replace(Some(incarnation.clone()));
            self.expect(before.is_none_or(|before| before == incarnation), || {
                format!("a reader of {path} was handed to another stream")
            });
            let next = next_of(&reply);
            if offset == "now" {
                reader.at.set(next);
            }
            if let Some(socket) = socket {
                match self.listen(reader, &socket, anonymous, pace, ends_at).await {
                    true if clock.now() < ends_at => {}
                    _ => return,
                }
            } else {
                let Some(content) = self.content(path, &incarnation, &reply).await else {
                    return;
                };
                if !content.is_empty() {
                    self.compare(&incarnation, reader.at.get(), next, &content, anonymous);
                }
                reader.at.set(next);
                clock.pause(pace).await;
                if header(&reply, header::STREAM_CLOSED).is_some() || clock.now() >= ends_at {
                    return;
                }
            }
            offset = Offset::new(reader.at.get()).unwrap().to_string();
        }
    }

    /// Takes what comes over a socket. Says whether there is more to be asked for.
    async fn listen(
        &self,
        reader: &Reader,
        socket: &Socket,
        anonymous: bool,
        pace: u64,
        ends_at: u64,
    ) -> bool {
        let clock = self.executor().clone();
        let incarnation = reader.incarnation.borrow().clone().unwrap_or_default();
        loop {
            let left = ends_at.saturating_sub(clock.now());
            match either(&clock, left, socket.hear()).await {
                Some(Heard::Frame(frame)) => {
                    clock.pause(pace).await;
                    let is_json =
                        self.model(|m| m.lives.get(&incarnation).is_some_and(|l| l.is_json));
                    let Some((data, next)) = event_of(&frame) else {
                        self.fail(format!("{}: an event that is none", reader.path));
                        return false;
                    };
                    if data.is_empty() {
                        self.expect(next == reader.at.get(), || "an empty event moves".into());
                    } else if is_json || !data.is_empty() {
                        self.compare(&incarnation, reader.at.get(), next, &data, anonymous);
                    }
                    reader.at.set(next);
                }
                Some(Heard::Closed(crate::object::ports::Close::ComeAgain)) => return true,
                Some(Heard::Closed(_) | Heard::Broken) => return false,
                None => {
                    socket.close(None);
                    return false;
                }
            }
        }
    }
}

/// The data and the next offset of a frame of events.
fn event_of(frame: &[u8]) -> Option<(Vec<u8>, u64)> {
    let text = std::str::from_utf8(frame).ok()?;
    let mut data = Vec::new();
    let mut next = None;
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        let mut lines = event.lines();
        let kind = lines.next()?.strip_prefix("event: ")?;
        let lines: Vec<&str> = lines
            .map(|line| {
                line.strip_prefix("data:")
                    .map(|l| l.strip_prefix(' ').unwrap_or(l))
            })
            .collect::<Option<_>>()?;
        let payload = lines.join("\n");
        match kind {
            "data" => data.extend(payload.into_bytes()),
            "control" => {
                let control: serde_json::Value = serde_json::from_str(&payload).ok()?;
                next = control["streamNextOffset"].as_str()?.parse::<Offset>().ok();
            }
            _ => return None,
        }
    }
    Some((data, next?.position()))
}

/// What comes of something, unless the time is over before.
async fn either<T>(clock: &Executor, millis: u64, work: impl Future<Output = T>) -> Option<T> {
    use futures_util::future::{Either, select};
    match select(std::pin::pin!(work), std::pin::pin!(clock.sleep(millis))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
