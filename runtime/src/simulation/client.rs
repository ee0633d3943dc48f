//! Clients: they ask, wait, come again, and look closely at what they get.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use chrono::DateTime;
use futures_util::future::join;

use serde_json::json;

use super::desk::{Response, Taken};
use super::model::items_of;
use super::subscriber::{below, document, encoded};
use super::workload::{Expires, Op, PATHS, STREAMS};
use super::world::{Request, World};
use crate::auth::token::tests::{SECRET, sign};
use crate::edge::events::MAX_BACKLOG;
use crate::edge::ports::Outgoing;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::sse::Encoding;
use crate::protocol::sse_reader;
use crate::protocol::will;

/// A reader of events, as those see it who look at the end of a run.
pub struct Reader {
    pub name: usize,
    pub path: &'static str,
    /// What it reads; known from its first answer.
    pub incarnation: RefCell<Option<String>>,
    pub at: Cell<u64>,
    /// Whether it takes so long for what it gets that it may never have everything.
    pub is_slow: bool,
    pub is_over: Cell<bool>,
}

impl Reader {
    pub fn new(name: usize, path: &'static str, pace: u64) -> Rc<Self> {
        Rc::new(Self {
            name,
            path,
            incarnation: RefCell::default(),
            at: Cell::new(0),
            is_slow: pace > 10_000,
            is_over: Cell::new(false),
        })
    }
}

/// What one frame of events can have: a message and what is around it.
const LARGEST: u64 = 8_000;

fn next_of(response: &Response) -> u64 {
    let next = response.header(header::STREAM_NEXT_OFFSET);
    let next: Option<Offset> = next.and_then(|next| next.parse().ok());
    next.map_or(0, Offset::position)
}

fn url(path: &str, query: &str) -> String {
    format!("http://server/v1/stream/{path}{query}")
}

/// A message that no other is like.
pub fn message(n: usize, k: usize, length: usize, is_json: bool) -> Vec<u8> {
    let name = format!("<{n}.{k}>");
    let length = length.min(4000);
    if is_json {
        let text = &"abcdefghij".repeat(length / 10 + 1)[..length];
        return format!("\"{name}{text}\"").into_bytes();
    }
    // It starts and ends anywhere in a character or a line end, and the next one may go on there.
    let text = "\u{1f600}\r\n\u{4f60}".bytes().cycle();
    let text: Vec<u8> = text.skip(n % 9).take(length + k % 3).collect();
    let (start, end) = text.split_at(length / 2);
    [start, name.as_bytes(), end].concat()
}

pub fn body(n: usize, lengths: &[usize], is_json: bool) -> Vec<u8> {
    let messages = lengths.iter().enumerate();
    let messages: Vec<Vec<u8>> = messages.map(|(k, l)| message(n, k, *l, is_json)).collect();
    match is_json {
        true => [&b"["[..], &messages.join(&b","[..]), b"]"].concat(),
        false => messages.concat(),
    }
}

pub fn type_of(is_json: bool) -> String {
    if is_json {
        "application/json"
    } else {
        "text/plain"
    }
    .to_owned()
}

/// What a stream is to say last, if it has a will, and if it is to say anything.
fn last_words(n: usize, will: Option<(u64, usize)>, is_json: bool) -> Vec<(&'static str, String)> {
    let Some((after, length)) = will else {
        return Vec::new();
    };
    let mut headers = vec![(header::STREAM_WILL_AFTER, after.to_string())];
    if length > 0 {
        let content = message(n, 99, length, is_json);
        headers.push((header::STREAM_WILL, will::encode(&content)));
    }
    headers
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
        let op = self.aim(n, op);
        if Self::is_own(n, &op) {
            return self.do_own(n, op, &readers).await;
        }
        match op {
            Op::Create {
                path,
                is_json,
                expires,
                public,
                keeps,
                will,
                lengths,
            } => {
                let mut headers = expiry(expires, self.executor().now());
                headers.push((header::CONTENT_TYPE, type_of(is_json)));
                if let Some(keeps) = keeps {
                    let unit = if is_json { "messages" } else { "bytes" };
                    headers.push((header::STREAM_RETENTION, format!("{unit}={keeps}")));
                }
                headers.extend(last_words(n, will, is_json));
                let query = if public { "?public=true" } else { "" };
                let body = body(n, &lengths, is_json);
                self.ask_for("PUT", PATHS[path], query, headers, body).await;
            }
            Op::Fork {
                source,
                target,
                cut,
                expires,
                will,
                lengths,
            } => {
                let as_asked = (expires, will);
                self.fork(n, source, target, cut, as_asked, &lengths).await;
            }
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
            Op::Truncate { path, part } => {
                let length = self.model(|m| m.alive(PATHS[path]).map_or(0, |l| l.items.len()));
                let before = Offset::new(length as u64 * u64::from(part) / 255).unwrap();
                let headers = vec![(header::STREAM_TRUNCATE_BEFORE, before.to_string())];
                self.ask_for("POST", PATHS[path], "", headers, Vec::new())
                    .await;
            }
            Op::Race { path, rounds } => {
                let writer = |name| self.race(n, name, PATHS[path], rounds);
                join(writer(0), writer(1)).await;
            }
            // That is code of the worker's own.
            Op::Pipe { .. } => {}
            Op::Produce { path, id, count } => self.produce(n, PATHS[path], id, count).await,
            Op::Read {
                path,
                from,
                anonymous,
            } => {
                let length = self.model(|m| m.alive(PATHS[path]).map_or(0, |l| l.items.len()));
                let from = length as u64 * u64::from(from) / 255;
                self.read(PATHS[path], Some(from), anonymous).await;
            }
            Op::ReadAll { path } => {
                self.read_all(PATHS[path]).await;
            }
            Op::Head { path } => {
                self.ask_for("HEAD", PATHS[path], "", Vec::new(), Vec::new())
                    .await;
            }
            Op::Inspect { path } => self.inspect(PATHS[path]).await,
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
                let reader = Reader::new(n, PATHS[path], pace);
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
            Op::Deed(deed) => self.act(n, deed).await,
        }
    }

    /// Most of what is asked is asked of streams that are there, and most forks are made of the
    /// latest fork and where nothing is.
    fn aim(&self, n: usize, mut op: Op) -> Op {
        if n.is_multiple_of(4) {
            return op;
        }
        let (mut there, absent) = self.model(|model| {
            let depth = |path: &usize| model.alive(PATHS[*path]).map(|life| life.depth);
            let all = 0..STREAMS;
            let (there, absent): (Vec<_>, Vec<_>) = all.partition(|path| depth(path).is_some());
            let mut there: Vec<_> = there.into_iter().map(|path| (depth(&path), path)).collect();
            there.sort();
            (there, absent)
        });
        let deepest = there.pop().map(|(_, path)| path);
        match &mut op {
            Op::Fork { source, target, .. } => {
                *source = deepest.unwrap_or(*source);
                *target = *absent.get(*target % absent.len().max(1)).unwrap_or(target);
            }
            Op::Append { path, .. }
            | Op::Race { path, .. }
            | Op::Truncate { path, .. }
            | Op::Produce { path, .. }
            | Op::Follow { path, .. }
            | Op::Poll { path, .. }
                if absent.contains(path) =>
            {
                *path = deepest.unwrap_or(*path);
            }
            _ => {}
        }
        op
    }

    /// Looks at a stream. What its object has said was held against what is known of it.
    async fn inspect(&self, path: &str) {
        let route = format!("streams/{}", encoded(below(path)));
        let Some(response) = self.control("GET", &route, None, None).await else {
            return;
        };
        let is_it = match response.status {
            200 => document(&response)["path"] == below(path),
            status => matches!(status, 404 | 503),
        };
        self.expect(is_it, || {
            format!("{path} is shown with {}", response.status)
        });
    }

    pub fn is_json(&self, path: &str) -> bool {
        self.model(|model| model.alive(path).is_none_or(|life| life.is_json))
    }

    pub async fn ask_for(
        &self,
        method: &'static str,
        path: &str,
        query: &str,
        mut headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Option<Response> {
        headers.push(("Authorization", token(self.executor().now(), "write")));
        let url = url(path, query);
        let request = Request {
            method,
            url,
            headers,
            body,
        };
        Some(self.request(request, 0).await?.response)
    }

    async fn fork(
        &self,
        n: usize,
        source: usize,
        target: usize,
        cut: Option<u8>,
        (expires, will): (Expires, Option<(u64, usize)>),
        lengths: &[usize],
    ) {
        let (is_json, length) = self.model(|model| {
            let life = model.alive(PATHS[source]);
            life.map_or((true, 0), |life| (life.is_json, life.items.len() as u64))
        });
        let mut headers = expiry(expires, self.executor().now());
        headers.extend(last_words(n, will, is_json));
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

    /// A writer that appends only where it believes the tail to be, and looks again where it is
    /// when somebody was faster. Whoever is not told what came of it stops.
    async fn race(&self, n: usize, name: usize, path: &str, rounds: usize) {
        let head = self.ask_for("HEAD", path, "", Vec::new(), Vec::new());
        let Some(head) = head.await.filter(|head| head.status() == 200) else {
            return;
        };
        let is_json = self.is_json(path);
        let mut tail = next_of(&head);
        for round in 0..rounds {
            for _ in 0..4 {
                let tag = format!("\"{}\"", Offset::new(tail).unwrap());
                let headers = vec![
                    (header::CONTENT_TYPE, type_of(is_json)),
                    (header::IF_MATCH, tag),
                ];
                let body = message(n, 2 * round + name, 5, is_json);
                let reply = self.ask_for("POST", path, "", headers, body).await;
                let Some(reply) = reply.filter(|reply| matches!(reply.status(), 204 | 412)) else {
                    return;
                };
                let next = next_of(&reply);
                self.expect(next != tail, || format!("{path}: nobody was faster"));
                tail = next;
                if reply.status() == 204 {
                    break;
                }
            }
        }
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
                let body = text.clone();
                let reply = self.ask_for("POST", path, "", headers, body).await;
                match reply.map(|reply| reply.status()) {
                    Some(200 | 204) => break,
                    Some(500 | 503) | None => {}
                    _ => return,
                }
            }
            let is_there = self.model(|model| {
                let life = &model.lives[&life];
                let all = life.items.concat();
                let found = all.windows(text.len()).filter(|w| *w == text);
                found.count()
            });
            self.expect(is_there <= 1, || {
                format!("{text:?} is there {is_there} times")
            });
        }
    }

    fn reading(&self, path: &str, query: String, anonymous: bool) -> Request {
        let token = ("Authorization", token(self.executor().now(), "read"));
        Request {
            method: "GET",
            url: url(path, &query),
            headers: (!anonymous).then_some(token).into_iter().collect(),
            body: Vec::new(),
        }
    }

    /// Reads a page, from an offset or from wherever the stream starts. Gives the offset to go on
    /// from, and whether that is the end.
    async fn read(&self, path: &str, from: Option<u64>, anonymous: bool) -> Option<(u64, bool)> {
        let offset = from.map(|from| Offset::new(from).unwrap().to_string());
        let offset = offset.unwrap_or_else(|| "-1".to_owned());
        let request = self.reading(path, format!("?offset={offset}"), anonymous);
        let response = self.request(request, 0).await?.response;
        if response.status() != 200 {
            return None;
        }
        // The entity tag starts with the incarnation.
        let tag = response.header(header::ETAG)?;
        let incarnation = tag.trim_matches('"').split(':').next()?;
        let next = next_of(&response);
        let from = from.unwrap_or_else(|| {
            let earliest = response.header(header::STREAM_EARLIEST_OFFSET);
            let earliest = earliest.and_then(|earliest| earliest.parse().ok());
            earliest.map_or(0, Offset::position)
        });
        self.compare(incarnation, from, next, &response.body, anonymous);
        let is_end = response.header(header::STREAM_UP_TO_DATE).is_some();
        Some((next, is_end))
    }

    /// Reads everything. Says whether it came to the end.
    pub async fn read_all(&self, path: &str) -> bool {
        let mut at = None;
        for _ in 0..2000 {
            match self.read(path, at, false).await {
                Some((_, true)) => return true,
                Some((next, false)) if at.is_none_or(|at| next > at) => at = Some(next),
                _ => return false,
            }
        }
        self.fail(format!("there is no end of {path}"));
        false
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
        let request = self.reading(path, query, anonymous);
        let Some(served) = self.request(request, 0).await else {
            return;
        };
        let incarnation = served.incarnation.borrow().clone();
        let Some(incarnation) = incarnation.filter(|_| served.response.status() == 200) else {
            return;
        };
        self.count("poll with news");
        let body = &served.response.body;
        let is_json = self.model(|model| model.lives[&incarnation].is_json);
        let count = items_of(body, is_json).map_or(0, |items| items.len() as u64);
        let next = next_of(&served.response);
        self.compare(
            &incarnation,
            next.saturating_sub(count),
            next,
            body,
            anonymous,
        );
    }

    /// Where the first event of a reader starts, who has read from the start of a stream that may
    /// have no beginning any more.
    fn start_of(&self, incarnation: &str, next: u64, data: &str, encoding: Encoding) -> u64 {
        if self.model(|model| model.lives[incarnation].earliest()) == 0 {
            return 0;
        }
        if data.is_empty() {
            return next;
        }
        if encoding == Encoding::Json {
            let items = items_of(data.as_bytes(), true);
            let count = items.map_or(0, |items| items.len() as u64);
            return next.saturating_sub(count);
        }
        self.model(|model| {
            let life = &model.lives[incarnation];
            let tail = life.items.len().min(next as usize);
            let is_it =
                |start: &usize| sse_reader::normalised(&life.items[*start..tail].concat()) == data;
            let start = (0..tail).find(is_it);
            start.unwrap_or(0) as u64
        })
    }

    /// The bytes from an offset on, if text is that of a part of a stream.
    fn bytes_of(
        &self,
        incarnation: &str,
        (start, next): (u64, u64),
        text: &str,
        from: u64,
    ) -> Result<Vec<u8>, String> {
        let bytes = self.model(|model| {
            let items = model.lives[incarnation]
                .items
                .get(start as usize..next as usize);
            items.map(<[Vec<u8>]>::concat)
        });
        let bytes = bytes.ok_or("events beyond the tail")?;
        match sse_reader::normalised(&bytes) == text {
            true => Ok(bytes[(from - start) as usize..].to_vec()),
            false => Err(format!(
                "from {start} to {next} it is {text:?}, not {bytes:?}"
            )),
        }
    }

    /// Reads events, and comes back when a response ends, until `window` is over or there is
    /// nothing more to come.
    async fn follow(
        &self,
        reader: &Reader,
        from_now: bool,
        anonymous: bool,
        pace: u64,
        window: u64,
    ) {
        let clock = self.executor().clone();
        let offset = if from_now { "now" } else { "-1" };
        let query = format!("?offset={offset}&live=sse");
        let request = self.reading(reader.path, query, anonymous);
        let Some(served) = self.request(request, window * 1000).await else {
            return;
        };
        let Some(pipe) = served.events else {
            return;
        };
        let incarnation = served.incarnation.borrow().clone();
        let Some(incarnation) = incarnation else {
            return self.fail("a reader does not know what it reads".into());
        };
        *reader.incarnation.borrow_mut() = Some(incarnation.clone());
        let encoding = match self.model(|model| model.lives[&incarnation].is_json) {
            true => Encoding::Json,
            false => Encoding::Text,
        };
        let mut events = sse_reader::Reader::of(encoding);
        let mut at = None;
        let (mut start, mut text) = (0, String::new());
        let hangs_up = clock.chance(100);
        let stands_still = pace > 10_000 && clock.chance(300);
        loop {
            match pipe.take().await {
                Taken::Bytes(bytes) => {
                    if stands_still {
                        clock.sleep(400_000).await;
                    }
                    clock.pause(pace).await;
                    self.expect(pipe.most.get() < MAX_BACKLOG + LARGEST, || {
                        format!("{} bytes wait for a reader", pipe.most.get())
                    });
                    if hangs_up && clock.chance(200) {
                        self.count("reader hung up");
                        return pipe.hang_up();
                    }
                    pipe.has_taken(bytes.len());
                    let taken = match events.take(&bytes) {
                        Ok(taken) => taken,
                        Err(what) => return self.fail(format!("{}: {what}", reader.path)),
                    };
                    for piece in taken {
                        let next = piece.next.position();
                        let from = at.replace(next);
                        if from.is_none() {
                            self.expect(!from_now || piece.data.is_empty(), || {
                                "data before `now`".into()
                            });
                            start = match from_now {
                                true => next,
                                false => self.start_of(&incarnation, next, &piece.data, encoding),
                            };
                        }
                        let from = from.unwrap_or(start);
                        if piece.data.is_empty() {
                            self.expect(from == next, || "an empty event moves".into());
                        } else {
                            text += &piece.data;
                            let data = match encoding {
                                Encoding::Json => Ok(piece.data.into_bytes()),
                                _ => self.bytes_of(&incarnation, (start, next), &text, from),
                            };
                            match data {
                                Ok(data) => {
                                    self.compare(&incarnation, from, next, &data, anonymous);
                                }
                                Err(what) => self.fail(what),
                            }
                        }
                    }
                    reader.at.set(at.unwrap_or(0));
                }
                Taken::End => {
                    self.count("events ended");
                    let is_whole = events.is_between();
                    return self.expect(is_whole, || {
                        format!("reader {} was cut within an event", reader.name)
                    });
                }
                Taken::Broken => return self.count("events broken off"),
            }
        }
    }
}

pub fn token(now: u64, scope: &str) -> String {
    let claims = json!({ "sub": "p", "scope": scope, "exp": now / 1000 + 1_000_000 });
    format!("Bearer {}", sign(&claims, SECRET))
}
