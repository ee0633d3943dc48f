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
use crate::protocol::sse::{self, Control, Encoding};

/// The tag of a reader that gets one reply.
const POLL: &str = "poll";
/// The tag of a reader of events.
const EVENTS: &str = "sse";
/// The tag of a reader of events whose cursor is ahead of the time.
const AHEAD: &str = "sse-ahead";

/// About how many bytes go into one frame.
#[cfg(not(test))]
const FRAME_BYTES: usize = 1 << 20;
/// So few that the small appends of tests take several.
#[cfg(test)]
const FRAME_BYTES: usize = 120;

/// What is known of the readers while the object is in memory.
#[derive(Debug)]
pub(super) struct Readers {
    /// Whether there may be any.
    any: Cell<bool>,
    /// How many there were when they were last counted, and have come since.
    most: Cell<u32>,
    /// Where what they have not been sent yet starts.
    unsent: Cell<Option<Offset>>,
}

impl Default for Readers {
    /// Some may have been there before the object was in memory.
    fn default() -> Self {
        Self {
            any: Cell::new(true),
            most: Cell::new(u32::MAX),
            unsent: Cell::new(None),
        }
    }
}

impl<P: Ports> Object<P> {
    /// Takes in a reader who has everything, with the cursor it was given if that is ahead of the
    /// time. Gives the edge's end of the socket.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyReaders`], [`Error::Misconfigured`], [`Error::Unavailable`].
    pub(super) fn accept(&self, live: Live, cursor: u64) -> Result<P::Socket, Error> {
        self.make_room()?;
        // What the others wait for is no news to this one.
        self.deliver();
        let is_ahead = cursor > cursor::current(self.ports.now());
        let kind = match live {
            Live::LongPoll => POLL,
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
        let before = appended.tail.position().saturating_sub(appended.count);
        readers.unsent.set(Offset::new(before));
        self.ports.deliver_later();
    }

    /// Sends readers what has been noted.
    pub fn deliver(&self) {
        let Some(mut since) = self.readers.unsent.take() else {
            return;
        };
        if self.ports.readers() == 0 {
            self.readers.any.set(false);
            return;
        }
        loop {
            let news = {
                let mut stream = self.stream.borrow_mut();
                let page = stream.news(since, FRAME_BYTES, self.ports.now());
                page.map(|page| (page, stream.incarnation().unwrap_or_default().to_owned()))
            };
            let (page, incarnation) = match news {
                Ok(news) => news,
                Err(error) => return self.let_go(&error),
            };
            if !page.cold.is_empty() {
                // They come back, and are given it as everybody who catches up.
                return self.close_all(Close::ComeAgain);
            }
            let over = page.up_to_date || page.closed || page.next <= since;
            since = page.next;
            self.send(page, &incarnation);
            if over {
                return;
            }
        }
    }

    fn send(&self, page: Page, incarnation: &str) {
        let closed = page.closed;
        self.send_events(&page, incarnation);
        let poll = tag(POLL, incarnation);
        self.ports.send(&poll, || {
            frame::encode(match page.count {
                0 => Reply::no_news(&page.next.to_string(), closed, 0),
                _ => Reply::page(page),
            })
        });
        self.ports.close(&poll, Close::Over);
        if closed {
            self.ports.close(&tag(EVENTS, incarnation), Close::Over);
            self.ports.close(&tag(AHEAD, incarnation), Close::Over);
        }
    }

    fn send_events(&self, page: &Page, incarnation: &str) {
        let data: &[u8] = if page.count == 0 { b"" } else { &page.body };
        let encoding = Encoding::of(&page.content_type);
        let current = cursor::current(self.ports.now());
        let event = |cursor: u64| {
            let control = Control {
                next: page.next,
                cursor: cursor.max(current),
                up_to_date: page.up_to_date,
                closed: page.closed,
            };
            sse::event(data, encoding, &control)
        };
        self.ports
            .send(&tag(EVENTS, incarnation), || Some(event(current)));
        self.ports.send_each(&tag(AHEAD, incarnation), event);
    }

    /// Ends all readers, whatever stream they are of: it is gone. Those who wait for a reply get
    /// the reason; for the others, the end of their response is one, and they are told the reason
    /// when they come back.
    pub(super) fn let_go(&self, why: &Error) {
        self.readers.unsent.set(None);
        if !self.readers.any.get() {
            return;
        }
        self.ports.send(POLL, || frame::encode(Reply::refused(why)));
        self.close_all(Close::Over);
        self.readers.any.set(false);
    }

    fn close_all(&self, why: Close) {
        for kind in [POLL, EVENTS, AHEAD] {
            self.ports.close(kind, why);
        }
    }
}

fn tag(kind: &str, incarnation: &str) -> String {
    format!("{kind}:{incarnation}")
}
