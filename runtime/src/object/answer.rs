//! From a request whose body is here to a verb of the stream, and back to an answer. What needs
//! nobody else is done in one synchronous turn.

use std::rc::Rc;

use super::Object;
use super::family::Refusal;
use super::ports::Ports;
use super::request::{ASK, Incoming};
use crate::machine::Metered;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::json;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::{Created, Page, Reply};
use crate::protocol::request::{Append, Create, Live, Read};
use crate::protocol::truncate::{self, Truncate};
use crate::protocol::version::SPOKEN;
use crate::stream::birth::{Key, Name};

/// About how many bytes of the past one event holds.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What an object answers.
#[derive(Debug)]
pub struct Answer<S> {
    /// Status, headers and body.
    pub reply: Reply,
    /// For a live read that has to wait, the edge's end of the socket.
    pub socket: Option<S>,
}

/// What came of a request that was carried out.
#[derive(Debug)]
pub struct Done<S> {
    pub(super) reply: Reply,
    /// Messages or bytes appended or read.
    pub(super) count: u64,
    /// Length of the body that came or went.
    pub(super) bytes: usize,
    pub(super) socket: Option<S>,
}

impl<S> Done<S> {
    fn new(reply: Reply, count: u64, bytes: usize) -> Self {
        Self {
            reply,
            count,
            bytes,
            socket: None,
        }
    }

    fn page(page: Page) -> Self {
        let count = page.count;
        let bytes = page.length();
        Self::new(Reply::page(page), count, bytes)
    }
}

impl<P: Ports> Object<P> {
    /// Answers a request that does not [take time](Incoming::takes_time), with its body or what it
    /// broke off with.
    pub fn answer(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: Result<Vec<u8>, Error>,
    ) -> Answer<P::Socket> {
        let outcome = body.and_then(|body| self.carry_out(asked, &body));
        self.respond(asked, outcome)
    }

    /// Answers a request that does.
    pub async fn answer_in_time(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: Result<Vec<u8>, Error>,
    ) -> Answer<P::Socket> {
        let outcome = match body {
            Ok(body) if asked.method() == ASK => self.question(asked, &body).await,
            Ok(body) => self.put_fork(asked, &body).await,
            Err(error) => Err(error),
        };
        self.respond(asked, outcome)
    }

    fn respond(
        &self,
        asked: &impl Incoming,
        outcome: Result<Done<P::Socket>, Error>,
    ) -> Answer<P::Socket> {
        let usage = self.stream.borrow().storage().take_usage();
        self.measure(asked, &outcome, usage);
        let (mut reply, socket) = match outcome {
            Ok(done) => (done.reply, done.socket),
            Err(error) => {
                if let Some(detail) = error.detail() {
                    self.ports.log(format_args!("{}: {detail}", error.code()));
                }
                (Reply::refused(&error), None)
            }
        };
        if self.settings.debug_timing {
            let timing = self.timing(asked.started(), usage);
            let unrotated = self.stream.borrow().unsealed_bytes();
            reply = reply.with(header::SERVER_TIMING, timing).with_some(
                header::DS_UNROTATED,
                unrotated.map(|bytes| bytes.to_string()),
            );
        }
        Answer { reply, socket }
    }

    fn carry_out(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: &[u8],
    ) -> Result<Done<P::Socket>, Error> {
        let now = self.settle()?;
        match asked.method() {
            "POST" => self.post(asked, body, now),
            "GET" => self.get(asked, now),
            "PUT" => self.put(asked, body, now),
            "HEAD" => {
                self.check_audience(asked, now)?;
                let metadata = self.stream.borrow_mut().head(now)?;
                Ok(Done::new(Reply::metadata(&metadata), 0, 0))
            }
            "DELETE" => {
                truncate::check_deletion(asked.place().1)?;
                self.delete(now)
            }
            _ => Err(Error::MethodNotAllowed),
        }
    }

    async fn question(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: &[u8],
    ) -> Result<Done<P::Socket>, Error> {
        let question = asked.place().0.strip_prefix(path::ASKED);
        let reply = self.answer_question(question.ok_or(Error::UnknownRoute)?, body);
        Ok(Done::new(reply.await?, 0, 0))
    }

    /// The edge lets readers without credentials through to streams that may be public.
    fn check_audience(&self, asked: &impl Incoming, now: u64) -> Result<(), Error> {
        if asked.header(header::STREAM_IF_PUBLIC).is_some() {
            self.stream.borrow_mut().require_public(now)?;
        }
        Ok(())
    }

    fn put(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: &[u8],
        now: u64,
    ) -> Result<Done<P::Socket>, Error> {
        let (create, name) = self.creation(asked)?;
        let key = self.key()?;
        let created = self
            .stream
            .borrow_mut()
            .create(&create, None, body, name, key, now)?;
        Ok(self.created(asked, &created, body))
    }

    async fn put_fork(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: &[u8],
    ) -> Result<Done<P::Socket>, Error> {
        let (create, name) = self.creation(asked)?;
        let Some(fork) = &create.fork else {
            return self.carry_out(asked, body);
        };
        match self.fork(&create, fork, body, name).await {
            Ok(created) => Ok(self.created(asked, &created, body)),
            Err(Refusal::Here(error)) => Err(error),
            Err(Refusal::There(reply)) => Ok(Done::new(reply, 0, 0)),
        }
    }

    /// The key of a stream that is about to be made.
    pub(super) fn key(&self) -> Result<Key, Error> {
        self.ports
            .secret()
            .map(Key::new)
            .map_err(Error::Unavailable)
    }

    fn creation(&self, asked: &impl Incoming) -> Result<(Create, Name), Error> {
        let (raw_path, query) = asked.place();
        let (era, raw_path) = path::split_era(raw_path);
        let mut create = Create::parse(query, &|name| asked.header(name))?;
        if let Some(fork) = &mut create.fork {
            // No fork leads from one era into another.
            fork.source = fork.source.clone().named(era);
        }
        // The time, and something random in case the clock went back.
        let (now, random) = (self.ports.now(), self.ports.random());
        let name = Name {
            path: StreamPath::parse(raw_path)?.name(era).into_owned(),
            incarnation: format!("{now:x}-{random:08x}"),
        };
        Ok((create, name))
    }

    fn created(
        self: &Rc<Self>,
        asked: &impl Incoming,
        created: &Created,
        body: &[u8],
    ) -> Done<P::Socket> {
        if created.is_new {
            let ends = {
                let stream = self.stream.borrow();
                stream.deadline().is_some() || stream.will_due().is_some()
            };
            let is_listed = self.born();
            let is_awaited = self.tell_birth();
            if is_listed || is_awaited {
                self.register_behind();
                self.part_behind();
            }
            if ends || is_listed || is_awaited {
                // In the turn that has made it.
                let this = Rc::clone(self);
                self.ports
                    .spawn(async move { this.schedule_surely().await });
            }
            self.after_append();
        }
        let reply = Reply::created(created, &asked.public_url());
        Done::new(reply, created.count, body.len())
    }

    fn post(
        self: &Rc<Self>,
        asked: &impl Incoming,
        body: &[u8],
        now: u64,
    ) -> Result<Done<P::Socket>, Error> {
        if let Some(truncate) = Truncate::parse(&|name| asked.header(name), body.is_empty())? {
            return self.truncate(&truncate, now);
        }
        let append = Append::parse(&|name| asked.header(name), body.is_empty())?;
        let appended = self.stream.borrow_mut().append(&append, body, now)?;
        self.note(&appended);
        if appended.is_new_data {
            // Before anything else can fail, and with it what is known of the stream.
            self.tell_news(&appended);
        }
        self.after_append();
        self.used(appended.count);
        let reply = Reply::appended(&appended);
        Ok(Done::new(reply, appended.count, body.len()))
    }

    fn truncate(self: &Rc<Self>, truncate: &Truncate, now: u64) -> Result<Done<P::Socket>, Error> {
        // Whoever is at the tail gets what was appended, whatever becomes of it now.
        self.deliver();
        let truncated = self.stream.borrow_mut().truncate(truncate, now)?;
        // Also where the retention was further: what it has let go may still be in storage.
        self.work_behind();
        Ok(Done::new(Reply::truncated(&truncated), 0, 0))
    }

    fn get(self: &Rc<Self>, asked: &impl Incoming, now: u64) -> Result<Done<P::Socket>, Error> {
        self.check_audience(asked, now)?;
        self.read_at.set(now);
        let (path, query) = asked.place();
        let read = Read::parse(query, &|name| asked.header(name))?;
        let done = match read.live {
            Some(live) if path.starts_with(path::LIVE) => {
                self.check_incarnation(query)?;
                self.live(&read, live, query, now)?
            }
            _ => {
                let max_bytes = self.settings.read_max_bytes.clone()?;
                Done::page(self.page(&read, max_bytes, now)?)
            }
        };
        self.used(0);
        Ok(done)
    }

    /// A reader of events goes on in the stream it started in, not in one that came after it.
    fn check_incarnation(&self, query: &str) -> Result<(), Error> {
        let wanted = path::parameter(query, path::INCARNATION);
        let stream = self.stream.borrow();
        match wanted {
            Some(wanted) if stream.incarnation().is_some_and(|is| is != wanted) => {
                Err(Error::NotFound)
            }
            _ => Ok(()),
        }
    }

    fn page(&self, read: &Read, max_bytes: usize, now: u64) -> Result<Page, Error> {
        self.stream.borrow_mut().read(read, max_bytes, now)
    }

    /// What a live reader has not read yet, or a socket on which it will come.
    fn live(
        &self,
        read: &Read,
        live: Live,
        query: &str,
        now: u64,
    ) -> Result<Done<P::Socket>, Error> {
        let mut max_bytes = self.settings.read_max_bytes.clone()?;
        let most = path::parameter(query, path::MOST).and_then(|most| most.parse().ok());
        let most: usize = most.unwrap_or(usize::MAX);
        if live == Live::Sse {
            max_bytes = max_bytes.min(most).min(MAX_EVENT_BYTES);
        }
        let mut page = self.page(read, max_bytes, now)?;
        if live == Live::Sse && page.length() > most.saturating_add(json::BRACKETS) {
            // One message may be larger than all that there is room for at the edge. It is sent
            // when there is.
            let length = page.length().to_string();
            let reply = Reply::new(path::NEEDS_ROOM).with(header::DS_LENGTH, length);
            return Ok(Done::new(reply, 0, 0));
        }
        let cursor = cursor::next(now, read.cursor, self.ports.random());
        let mut done = if page.count > 0 {
            page.cursor = Some(cursor);
            Done::page(page)
        } else if !page.closed {
            let held = path::parameter(query, path::HELD);
            let held = held.and_then(|held| held.parse().ok()).unwrap_or(0);
            let socket = self.accept(live, cursor, held)?;
            let reply = Reply::waiting(&page.content_type, page.next);
            Done {
                socket: Some(socket),
                ..Done::new(reply, 0, 0)
            }
        } else if live == Live::LongPoll {
            let reply = Reply::no_news(&page.next.to_string(), true, cursor);
            Done::new(reply, 0, 0)
        } else {
            // No messages are no event, not an empty array.
            page.body.clear();
            Done::page(page)
        };
        // What goes on to a client as it is says nothing that is meant for the edge.
        if live == Live::Sse || done.socket.is_some() {
            let length = done.socket.is_none().then(|| done.bytes.to_string());
            let stream = self.stream.borrow();
            done.reply = done
                .reply
                .with(header::DS_VERSION, SPOKEN.to_string())
                .with_some(header::DS_LENGTH, length)
                .with_some(header::DS_INCARNATION, stream.incarnation());
        }
        Ok(done)
    }

    fn delete(self: &Rc<Self>, now: u64) -> Result<Done<P::Socket>, Error> {
        let end = self.stream.borrow_mut().delete(now)?;
        self.ended(end);
        Ok(Done::new(Reply::deleted(), 0, 0))
    }
}
