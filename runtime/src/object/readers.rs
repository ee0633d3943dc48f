//! The live readers of an object: sockets from the edge that let the object leave memory while
//! they wait. All that has to be known of a reader is in its tags, and in the cursor that is
//! remembered with it.
//!
//! A tag holds the incarnation of the reader's stream: what a later stream at the same path has to
//! say can never reach it.

use std::cell::Cell;

use super::Object;
use super::ports::{Close, Ports};
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::frame;
use crate::protocol::offset::Offset;
use crate::protocol::reply::{Appended, Page, Reply};
use crate::protocol::request::Live;
use crate::protocol::sse::{self, Control, Encoding, MOST_HELD};

/// The tag of a reader that gets one reply.
const POLL: &str = "poll";
/// The tag of a reader of events.
const EVENTS: &str = "sse";
/// The tag of a reader of events whose cursor is ahead of the time.
const AHEAD: &str = "sse-ahead";
/// The tag of a reader of events who is not where the others are: within a character, or not known
/// to be at its end. News let it go, and it asks for them.
const APART: &str = "sse-apart";

/// About how many bytes go into one frame.
#[cfg(not(test))]
const FRAME_BYTES: usize = 1 << 20;
/// So few that the small appends of tests take several.
#[cfg(test)]
const FRAME_BYTES: usize = 120;

/// An event of more bytes of data is large: sent to many, it is in memory as many times.
#[cfg(not(test))]
const LARGE: usize = 64 << 10;
#[cfg(test)]
const LARGE: usize = 60;

/// How many bytes of large events are sent at once, to all readers together. They ask for what is
/// more, each as soon as there is room for it.
#[cfg(not(test))]
const SENT_AT_ONCE: usize = 8 << 20;
#[cfg(test)]
const SENT_AT_ONCE: usize = 300;

/// What is known of the readers while the object is in memory.
#[derive(Debug)]
pub(super) struct Readers {
    /// Whether there may be any.
    any: Cell<bool>,
    /// How many there were when they were last counted, and have come since.
    most: Cell<u32>,
    /// Where what they have not been sent yet starts.
    unsent: Cell<Option<Offset>>,
    /// How many bytes before that readers of events have not been given either, as they mean
    /// nothing yet ([`Encoding::held_back`]); nothing if it is not known.
    held: Cell<Option<usize>>,
}

impl Default for Readers {
    /// Some may have been there before the object was in memory.
    fn default() -> Self {
        Self {
            any: Cell::new(true),
            most: Cell::new(u32::MAX),
            unsent: Cell::new(None),
            held: Cell::new(None),
        }
    }
}

impl<P: Ports> Object<P> {
    /// Takes in a reader who has everything but what it holds back, with the cursor it was given if
    /// that is ahead of the time. Gives the edge's end of the socket.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyReaders`], [`Error::Misconfigured`], [`Error::Unavailable`].
    pub(super) fn accept(&self, live: Live, cursor: u64, held: usize) -> Result<P::Socket, Error> {
        self.make_room()?;
        // What the others wait for is no news to this one.
        self.deliver();
        let is_ahead = cursor > cursor::current(self.ports.now());
        let kind = match live {
            Live::LongPoll => POLL,
            Live::Sse if self.held()? != Some(held) => APART,
            Live::Sse if is_ahead => AHEAD,
            Live::Sse => EVENTS,
        };
        let stream = self.stream.borrow();
        let incarnation = stream.incarnation().ok_or(Error::NotFound)?;
        self.readers.any.set(true);
        let remembered = (kind == AHEAD).then_some(cursor);
        self.ports
            .accept(&[kind, &tag(kind, incarnation)], remembered)
    }

    /// Counts the readers, unless there cannot be too many of them; that takes time with each.
    fn make_room(&self) -> Result<(), Error> {
        let max = self.settings.max_live_readers.clone()?;
        let most = &self.readers.most;
        if most.get() >= max {
            most.set(self.ports.readers());
        }
        if most.get() >= max {
            return Err(Error::TooManyReaders { limit: max });
        }
        most.set(most.get().saturating_add(1));
        Ok(())
    }

    /// Notes an append or a close, of which readers are told when it has been answered.
    pub(super) fn note(&self, appended: &Appended) {
        let readers = &self.readers;
        let is_news = appended.count > 0 || appended.closed;
        if !is_news || !readers.any.get() || readers.unsent.get().is_some() {
            return;
        }
        let before = appended.tail.back(appended.count);
        readers.unsent.set(Some(before));
        self.ports.deliver_later();
    }

    /// Sends readers what has been noted.
    pub fn deliver(&self) {
        let held = self.readers.held.take();
        let Some(unsent) = self.readers.unsent.take() else {
            return self.readers.held.set(held);
        };
        if self.ports.readers() == 0 {
            self.readers.any.set(false);
            return;
        }
        if let Err(error) = self.deliver_from(unsent, held) {
            self.let_go(&error);
        }
    }

    fn deliver_from(&self, unsent: Offset, held: Option<usize>) -> Result<(), Error> {
        let (incarnation, encoding) = {
            let mut stream = self.stream.borrow_mut();
            let outline = stream.outline(self.ports.now())?;
            let encoding = Encoding::of(outline.content_type);
            (outline.incarnation.to_owned(), encoding)
        };
        if encoding == Encoding::Text {
            self.ports
                .close(&tag(APART, &incarnation), Close::ComeAgain);
        }
        let Some(held) = self.held_before(unsent, encoding, held)? else {
            // They come back, and are given it as everybody who catches up.
            self.close_all(Close::ComeAgain);
            return Ok(());
        };
        let mut since = unsent.back(held);
        let mut lag = held;
        let mut sent = 0_usize;
        loop {
            let mut page = self.news(since)?;
            if !page.cold.is_empty() {
                self.close_all(Close::ComeAgain);
                return Ok(());
            }
            let over = page.up_to_date || page.closed || page.next <= since;
            let held = match page.closed {
                true => 0,
                false => encoding.held_back(&page.body),
            };
            since = page.next.back(held);
            if page.body.len() > LARGE {
                let readers = usize::try_from(self.ports.readers()).unwrap_or(usize::MAX);
                sent = sent.saturating_add(page.body.len().saturating_mul(readers));
            }
            let is_too_much = sent > SENT_AT_ONCE;
            if !is_too_much {
                self.send_events(&page, held, encoding, &incarnation);
            }
            if lag > 0 {
                // A long-poll has had what others hold back.
                page = self.news(unsent)?;
                lag = 0;
            }
            self.send_polls(page, &incarnation);
            if is_too_much {
                self.close_all(Close::ComeAgain);
                return Ok(());
            }
            if over {
                self.readers.held.set(Some(held));
                return Ok(());
            }
        }
    }

    fn news(&self, since: Offset) -> Result<Page, Error> {
        let mut stream = self.stream.borrow_mut();
        stream.news(since, FRAME_BYTES, self.ports.now())
    }

    /// How many bytes readers of events hold back who have everything; nothing if it takes a look
    /// into the bucket to say so.
    fn held(&self) -> Result<Option<usize>, Error> {
        let known = self.readers.held.get();
        if known.is_some() {
            return Ok(known);
        }
        let (encoding, tail) = {
            let mut stream = self.stream.borrow_mut();
            let outline = stream.outline(self.ports.now())?;
            (Encoding::of(outline.content_type), outline.tail)
        };
        let held = self.held_before(tail, encoding, None)?;
        self.readers.held.set(held);
        Ok(held)
    }

    /// How many bytes before an offset were held back when that was the tail.
    fn held_before(
        &self,
        offset: Offset,
        encoding: Encoding,
        known: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        if known.is_some() || encoding != Encoding::Text || offset == Offset::START {
            return Ok(Some(known.unwrap_or(0)));
        }
        let start = offset.back(MOST_HELD);
        let page = self.news(start)?;
        if !page.cold.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(offset.since(start)).unwrap_or(0);
        let end = page.body.get(..length).unwrap_or(&page.body);
        Ok(Some(encoding.held_back(end)))
    }

    fn send_polls(&self, page: Page, incarnation: &str) {
        let poll = tag(POLL, incarnation);
        self.ports.send(&poll, || {
            frame::encode(match page.count {
                0 => Reply::no_news(&page.next.to_string(), page.closed, 0),
                _ => Reply::page(page),
            })
        });
        self.ports.close(&poll, Close::Over);
    }

    /// Sends readers of events a page but for its last bytes, which they are not given yet.
    fn send_events(&self, page: &Page, held: usize, encoding: Encoding, incarnation: &str) {
        let end = page.body.len().saturating_sub(held);
        let data: &[u8] = match page.count {
            0 => b"",
            _ => page.body.get(..end).unwrap_or_default(),
        };
        if data.is_empty() && held > 0 {
            return;
        }
        let current = cursor::current(self.ports.now());
        let event = |cursor: u64| {
            let control = Control {
                next: page.next.back(held),
                cursor: cursor.max(current),
                up_to_date: page.up_to_date,
                closed: page.closed,
            };
            sse::event(data, encoding, &control)
        };
        let (events, ahead) = (tag(EVENTS, incarnation), tag(AHEAD, incarnation));
        self.ports.send(&events, || Some(event(current)));
        self.ports.send_each(&ahead, event);
        if page.closed {
            self.ports.close(&events, Close::Over);
            self.ports.close(&ahead, Close::Over);
        }
    }

    /// Ends all readers, whatever stream they are of: it is gone. Those who wait for a reply get
    /// the reason; for the others, the end of their response is one, and they are told the reason
    /// when they come back.
    pub(super) fn let_go(&self, why: &Error) {
        self.readers.unsent.set(None);
        self.readers.held.set(None);
        if !self.readers.any.get() {
            return;
        }
        self.ports.send(POLL, || frame::encode(Reply::refused(why)));
        self.close_all(Close::Over);
        self.readers.any.set(false);
    }

    fn close_all(&self, why: Close) {
        for kind in [POLL, EVENTS, AHEAD, APART] {
            self.ports.close(kind, why);
        }
    }
}

fn tag(kind: &str, incarnation: &str) -> String {
    format!("{kind}:{incarnation}")
}
