//! What comes piece by piece from elsewhere, appended as it comes.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream as Source;
use serde_json::value::RawValue;

use super::{Append, Appended, Create, Error, Stream, Will};
use crate::auth::project::Registry;
use crate::edge::ports::Ports;
use crate::patience::{self, millis, within};
use crate::protocol::content_type::ContentType;
use crate::protocol::json;
use crate::protocol::offset::Offset;
use crate::protocol::request::ReadFrom;

/// The will of a stream that is made for a pipe waits so much longer than the pipe.
const GRACE: Duration = Duration::from_secs(15);

/// While an append is on its way, no more than so many flushes are gathered behind it.
const AHEAD: usize = 16;

/// How long it is waited before an append that was not answered is tried again, in milliseconds.
const WAITS: [u64; 6] = [250, 500, 1_000, 2_000, 4_000, 8_000];

/// How a stream is written to piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    flush_after: Duration,
    flush_at: usize,
    patience: Duration,
    keeps_open: bool,
    will: Option<Will>,
    behind: Option<Offset>,
}

impl Default for Pipe {
    fn default() -> Self {
        Self {
            flush_after: Duration::from_millis(100),
            flush_at: 16 << 10,
            patience: Duration::from_secs(60),
            keeps_open: false,
            will: None,
            behind: None,
        }
    }
}

impl Pipe {
    /// What has come is appended every 100 ms, or when it is 16 KiB; a source that is silent for a
    /// minute is given up; and the stream is closed at the end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long what has come waits for what comes next, before it is appended. Each append costs a
    /// row, and what is shorter than an append takes makes none more frequent.
    #[must_use]
    pub fn flush_after(mut self, time: Duration) -> Self {
        self.flush_after = time;
        self
    }

    /// What has come is appended at once when it is so many bytes.
    #[must_use]
    pub fn flush_at(mut self, bytes: usize) -> Self {
        self.flush_at = bytes;
        self
    }

    /// How long the source may be silent before it is given up.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// The stream stays open when the source has come to its end. If it does not, the stream is closed
    /// all the same.
    #[must_use]
    pub fn keep_open(mut self) -> Self {
        self.keeps_open = true;
        self
    }

    /// What the stream says last when the source breaks off, or is silent for too long. A stream that is
    /// [made for the pipe](Pipe::create) has this will, too.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// Where the stream's tail is, as who has made it or appended to it knows, and behind which nobody
    /// else appends. Without it, the stream is asked first.
    #[must_use]
    pub fn behind(mut self, tail: Offset) -> Self {
        self.behind = Some(tail);
        self
    }

    /// The stream that goes with it: one with its [will](Pipe::will); without one, a stream that is
    /// to be closed has a will that says nothing and waits 15 s longer than the pipe.
    pub fn create(&self) -> Create {
        let silent = || Will::after(self.patience.saturating_add(GRACE));
        let will = self.will.clone();
        match will.or_else(|| (!self.keeps_open).then(silent)) {
            Some(will) => Create::new().will(will),
            None => Create::new(),
        }
    }
}

/// What came of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piped {
    /// The stream's tail.
    pub tail: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// How many pieces have come.
    pub pieces: u64,
    /// How many appends that took, each of them a row unless it is longer than one.
    pub appends: u64,
    /// How it came to its end.
    pub end: End,
}

/// How a pipe came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The source had no more.
    Done,
    /// The source has failed, as the text says. The will was carried out.
    BrokeOff(String),
    /// Nothing has come from the source for too long. The will was carried out.
    Silent,
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// Appends what comes from a source, piece by piece, and closes the stream behind it. Of a JSON
    /// stream, each piece is the text of one message. A stream that is not there is [made](Pipe::create).
    ///
    /// What has come is appended when [`Pipe::flush_after`] has passed since the first piece of it, when
    /// it is [`Pipe::flush_at`] bytes, and at the end. There is one append at a time, so that the order
    /// holds, and while it is on its way, what follows is gathered. So each piece is there for readers
    /// shortly after it has come, and costs a part of a row.
    ///
    /// A pipe is the stream's only writer: it appends where it knows the tail to be. An append that was
    /// not answered is tried again, and found to have been done if it was.
    ///
    /// # Errors
    ///
    /// [`Error::Overtaken`] if somebody else has appended, [`Error::Closed`] if somebody else, or the
    /// stream's will, has closed it; [`Error::Unavailable`] if it does not answer for long;
    /// [`Error::NotFound`] if it was deleted, [`Error::Refused`]. The rest of the source is not read then.
    pub async fn pipe<E: Display>(
        &self,
        pieces: impl Source<Item = Result<Vec<u8>, E>>,
        pipe: Pipe,
    ) -> Result<Piped, Error> {
        let is_json = is_json(&self.content_type);
        let last_words = match &pipe.will {
            Some(will) if is_json && !will.content.is_empty() => json::parse(&will.content)?.text,
            Some(will) => will.content.clone(),
            None => Vec::new(),
        };
        let tail = match pipe.behind {
            Some(tail) => tail,
            None => self.tail_or_new(&pipe).await?,
        };
        let pump = Pump {
            stream: self,
            gathered: Gathered::new(is_json),
            last_words,
            tail,
            count: 0,
            appends: 0,
            pipe,
        };
        pump.run(pieces).await
    }

    async fn tail_or_new(&self, pipe: &Pipe) -> Result<Offset, Error> {
        match self.head().await {
            Ok(metadata) if metadata.closed => Err(Error::Closed {
                tail: metadata.tail,
            }),
            Ok(metadata) => Ok(metadata.tail),
            Err(Error::NotFound) => Ok(self.create(pipe.create()).await?.tail),
            Err(error) => Err(error),
        }
    }

    /// Appends behind a tail that nobody else moves, and tries again what was not answered.
    async fn append_behind(&self, tail: Offset, append: Append) -> Result<Appended, Error> {
        let ports = &self.streams.ports;
        let append = append.if_match(tail);
        let mut waits = WAITS.into_iter();
        loop {
            let time = ports.sleep(patience::OBJECT);
            let appended = within(time, self.send(append.clone())).await;
            let is_doubtful = waits.len() < WAITS.len();
            let late = || Error::Unavailable("the stream's object does not answer".into());
            match appended.unwrap_or_else(|| Err(late())) {
                Err(Error::Unavailable(what)) => match waits.next() {
                    Some(wait) => ports.sleep(wait).await,
                    None => return Err(Error::Unavailable(what)),
                },
                Err(Error::Overtaken { tail: end, .. } | Error::Closed { tail: end })
                    if is_doubtful && self.is_there(tail, end, append.body()).await? =>
                {
                    let closed = append.closes();
                    return Ok(Appended {
                        tail: end,
                        closed,
                        was_there: true,
                    });
                }
                // So is a close refused that comes behind somebody else's last words.
                Err(Error::Overtaken { tail, closed: true }) => return Err(Error::Closed { tail }),
                outcome => return outcome,
            }
        }
    }

    /// Whether what lies between two offsets is what this body brings.
    async fn is_there(&self, start: Offset, end: Offset, body: &[u8]) -> Result<bool, Error> {
        let mut found = Vec::new();
        let mut from = start;
        while from < end {
            let page = self.read(ReadFrom::At(from)).await?;
            if page.next <= from {
                return Ok(false);
            }
            from = page.next;
            found.push(page);
        }
        if !is_json(&self.content_type) {
            return Ok(found
                .into_iter()
                .flat_map(|page| page.bytes)
                .eq(body.iter().copied()));
        }
        let mut texts = Vec::new();
        for page in found {
            texts.push(json::parse(&page.bytes)?.text);
        }
        let text = match body {
            // A close alone.
            [] => Vec::new(),
            body => json::parse(body)?.text,
        };
        Ok(texts.join(json::SEPARATOR) == text)
    }
}

/// What has come and is not on its way yet.
#[derive(Debug)]
struct Gathered {
    is_json: bool,
    body: Vec<u8>,
    /// Whether it has waited for long enough.
    is_due: bool,
}

impl Gathered {
    fn new(is_json: bool) -> Self {
        Self {
            is_json,
            body: Vec::new(),
            is_due: false,
        }
    }

    fn add(&mut self, piece: &[u8]) {
        if self.is_json {
            let before = if self.body.is_empty() { b'[' } else { b',' };
            self.body.push(before);
        }
        self.body.extend_from_slice(piece);
    }

    /// All of it, as the body of an append.
    fn take(&mut self) -> Vec<u8> {
        self.is_due = false;
        if self.is_json && !self.body.is_empty() {
            self.body.push(b']');
        }
        std::mem::take(&mut self.body)
    }
}

type Timer<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Appended, Error>> + 'a>>;

/// What happens next.
enum Happens<E> {
    Came(Result<Vec<u8>, E>),
    Ended,
    Due,
    Silent,
    Sent(Result<Appended, Error>),
}

struct Pump<'a, P> {
    stream: &'a Stream<P>,
    pipe: Pipe,
    gathered: Gathered,
    /// What the will says.
    last_words: Vec<u8>,
    tail: Offset,
    /// How many pieces have come.
    count: u64,
    appends: u64,
}

impl<'a, P: Ports<Env: Registry>> Pump<'a, P> {
    async fn run<E: Display>(
        mut self,
        pieces: impl Source<Item = Result<Vec<u8>, E>>,
    ) -> Result<Piped, Error> {
        let end = {
            let mut sending = None;
            let end = self.gather(pin!(pieces), &mut sending).await?;
            // The source is let go before the last appends.
            if let Some(sending) = sending {
                self.tail = sending.await?.tail;
            }
            end
        };
        self.finish(end).await
    }

    /// Takes pieces, and sends what has been gathered of them, until there are no more.
    async fn gather<E: Display>(
        &mut self,
        mut source: Pin<&mut (dyn Source<Item = Result<Vec<u8>, E>> + '_)>,
        sending: &mut Option<Sending<'a>>,
    ) -> Result<End, Error> {
        let ports = &self.stream.streams.ports;
        let patience = millis(self.pipe.patience);
        let most = self.pipe.flush_at.max(1).saturating_mul(AHEAD);
        let mut heard_at = ports.now();
        let mut silence: Timer<'a> = Box::pin(ports.sleep(patience));
        let mut due: Option<Timer<'a>> = None;
        loop {
            if sending.is_none() && self.is_ripe() {
                due = None;
                let append = Append::bytes(self.gathered.take());
                *sending = Some(self.send(append));
            }
            let is_full = self.gathered.body.len() >= most;
            let happens = poll_fn(|context| {
                if let Some(outcome) = poll(sending, context) {
                    return Poll::Ready(Happens::Sent(outcome));
                }
                if poll(&mut due, context).is_some() {
                    return Poll::Ready(Happens::Due);
                }
                if is_full {
                    return Poll::Pending;
                }
                if let Poll::Ready(piece) = source.as_mut().poll_next(context) {
                    return Poll::Ready(piece.map_or(Happens::Ended, Happens::Came));
                }
                silence.as_mut().poll(context).map(|()| Happens::Silent)
            });
            match happens.await {
                Happens::Came(Ok(piece)) => {
                    heard_at = ports.now();
                    if let Err(what) = self.take(&piece) {
                        return Ok(End::BrokeOff(what));
                    }
                    if due.is_none() && !self.gathered.is_due && !self.gathered.body.is_empty() {
                        due = Some(Box::pin(ports.sleep(millis(self.pipe.flush_after))));
                    }
                }
                Happens::Came(Err(error)) => return Ok(End::BrokeOff(error.to_string())),
                Happens::Ended => return Ok(End::Done),
                Happens::Due => self.gathered.is_due = true,
                Happens::Silent => {
                    let silent_for = ports.now().saturating_sub(heard_at);
                    match patience.checked_sub(silent_for) {
                        None | Some(0) => return Ok(End::Silent),
                        Some(rest) => silence = Box::pin(ports.sleep(rest)),
                    }
                }
                Happens::Sent(outcome) => {
                    self.tail = outcome?.tail;
                    if is_full {
                        // Until now, nobody has listened.
                        heard_at = ports.now();
                    }
                }
            }
        }
    }

    /// Takes a piece.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.count = self.count.saturating_add(1);
        if self.gathered.is_json {
            let checked: Result<&RawValue, _> = serde_json::from_slice(piece);
            checked.map_err(|error| format!("piece {} is no JSON message: {error}", self.count))?;
        }
        self.gathered.add(piece);
        Ok(())
    }

    fn is_ripe(&self) -> bool {
        let length = self.gathered.body.len();
        length > 0 && (self.gathered.is_due || length >= self.pipe.flush_at)
    }

    fn send(&mut self, append: Append) -> Sending<'a> {
        self.appends = self.appends.saturating_add(1);
        Box::pin(self.stream.append_behind(self.tail, append))
    }

    /// Appends what is left, and how it ends.
    async fn finish(mut self, end: End) -> Result<Piped, Error> {
        let is_done = end == End::Done;
        let closes = !(is_done && self.pipe.keeps_open);
        let mut piped = Piped {
            tail: self.tail,
            closed: false,
            pieces: self.count,
            appends: self.appends,
            end,
        };
        if !is_done && !self.last_words.is_empty() {
            self.gathered.add(&self.last_words);
        }
        let body = self.gathered.take();
        if body.is_empty() && !closes {
            return Ok(piped);
        }
        let append = Append::bytes(body);
        let append = if closes { append.close() } else { append };
        let appended = self.send(append).await?;
        piped.tail = appended.tail;
        piped.closed = appended.closed;
        piped.appends = self.appends;
        Ok(piped)
    }
}

/// What comes of a future, which there is none of any more then.
fn poll<T>(
    future: &mut Option<Pin<Box<dyn Future<Output = T> + '_>>>,
    context: &mut Context<'_>,
) -> Option<T> {
    match future.as_mut()?.as_mut().poll(context) {
        Poll::Ready(value) => {
            *future = None;
            Some(value)
        }
        Poll::Pending => None,
    }
}

fn is_json(content_type: &str) -> bool {
    ContentType::parse(content_type).is_some_and(|content_type| content_type.is_json())
}
