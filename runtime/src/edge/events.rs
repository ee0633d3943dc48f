//! Readers of events. Each is given whole events: whatever ends its response ends it between two.
//! The one exception is a reader that takes nothing any more, and whose response is broken off.
//!
//! What waits for a reader to take it is bounded. One that lags behind the live tail is not sent
//! more, but asks for it again, page by page, each as soon as it has taken the one before. What
//! waits for all of them together is bounded, too: a page needs [`room`](super::room).

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use super::again::Again;
use super::cold;
use super::live::{Place, Said};
use super::ports::{Bounds, Copied, Outgoing, Ports};
use super::room::{Room, TURN, Ticket};
use crate::patience::within;
use crate::protocol::content_type::ContentType;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path;
use crate::protocol::reply::Reply;
use crate::protocol::request::{Read, ReadFrom};
use crate::protocol::sse::{self, Control, Encoding};

/// A reader for which so many bytes wait has to catch up before it is sent more.
#[cfg(not(test))]
pub const MAX_BACKLOG: u64 = 4 << 20;
/// So few that the small appends of tests let readers lag.
#[cfg(test)]
pub const MAX_BACKLOG: u64 = 300;

/// How many bytes may wait for all who follow together.
#[cfg(not(test))]
pub const FOLLOWERS: u64 = 8 << 20;
/// So few that the readers of tests need each other's room.
#[cfg(test)]
pub const FOLLOWERS: u64 = 400;

/// How long after the end of its time a reader may take the event that was begun before, in
/// milliseconds: one of a megabyte gets through a slow line in that time. Whoever takes longer is
/// cut within it, as nothing else frees what is held for a reader that stands still. While others
/// wait for room, nobody may take longer at any time.
pub const GRACE: u64 = 15_000;

/// Answers a reader of events, and goes on behind the answer until `ends_at`, in milliseconds since
/// the Unix epoch.
///
/// # Errors
///
/// [`Error::Unavailable`], [`Error::Newer`]; all else is an answer.
pub(super) async fn serve<P: Ports>(
    mut place: Place<P>,
    request: &P::Request,
    read: &Read,
    ends_at: u64,
    beat: u64,
    again: Again<P>,
) -> Result<P::Response, Error> {
    let seat = Seat::of(&place.ports);
    let first = seat.ask(&place, read, 0, ends_at).await?;
    let first = first.ok_or_else(|| {
        let what = "there was no room for a page while the reader had time";
        Error::Unavailable(what.to_owned())
    })?;
    if first.socket.is_none() && first.response.status() != 200 {
        return Ok(first.response);
    }
    let content_type = first.response.header(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| ContentType::parse(&value));
    let encoding = Encoding::of(&content_type.unwrap_or_else(ContentType::default_type));
    place.incarnation = first.response.header(header::DS_INCARNATION);
    let (response, sink) = place.ports.events(request, Reply::events(encoding), beat)?;
    let ports = place.ports.clone();
    let reader = Reader {
        place,
        sink: Rc::new(sink),
        encoding,
        read: read.clone(),
        held: Vec::new(),
        is_greeted: false,
        ends_at: Rc::new(Cell::new(ends_at)),
        seat,
    };
    ports.spawn(reader.run(first, again));
    Ok(response)
}

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Regularly: the reader comes back with its offset if there is more.
    Whole,
    /// The reader is gone or stands still.
    Broken,
}

/// A reader of events.
struct Reader<P: Ports> {
    place: Place<P>,
    sink: Rc<P::Sink>,
    encoding: Encoding,
    /// What it asks for next.
    read: Read,
    /// What lies before that and it has not been given, as it means nothing yet
    /// ([`Encoding::held_back`]).
    held: Vec<u8>,
    /// Whether it was told anything yet.
    is_greeted: bool,
    ends_at: Rc<Cell<u64>>,
    seat: Seat<P>,
}

/// Where a reader takes its shares of the room, one at a time.
struct Seat<P: Ports> {
    ports: P,
    room: Rc<Room>,
    ticket: Ticket,
    /// How large the share is that it has or had.
    share: Cell<Option<u64>>,
}

impl<P: Ports> Seat<P> {
    fn of(ports: &P) -> Self {
        let room = ports.room();
        Self {
            ports: ports.clone(),
            ticket: room.ticket(),
            share: Cell::new(None),
            room,
        }
    }

    /// Takes a share, see [`Room::take`], as soon as there is one. Gives its size; nothing when the
    /// reader's time is over before.
    async fn take(&self, needed: Option<u64>, ends_at: u64) -> Option<u64> {
        self.leave();
        loop {
            let now = self.ports.now();
            let share = self.room.take(self.ticket, needed, now);
            if share.is_some() || now >= ends_at {
                self.share.set(share);
                return share;
            }
            self.ports.sleep(TURN).await;
        }
    }

    /// Asks for a page as soon as there is room for it; see [`Place::ask`]. Nothing when the
    /// reader's time is over before.
    async fn ask(
        &self,
        place: &Place<P>,
        read: &Read,
        held: usize,
        ends_at: u64,
    ) -> Result<Option<Said<P>>, Error> {
        let mut needed = None;
        loop {
            let Some(share) = self.take(needed, ends_at).await else {
                return Ok(None);
            };
            // What is larger than all room may come when nothing else is there.
            let most = needed.map_or(share, |needed| needed.max(share));
            let said = place.ask(read, held, Some(most)).await?;
            match said.length {
                Some(length) if said.response.status() == path::NEEDS_ROOM => needed = Some(length),
                _ => return Ok(Some(said)),
            }
        }
    }

    fn has_lost(&self) -> bool {
        self.share.get().is_some() && self.room.has_lost(self.ticket)
    }

    fn leave(&self) {
        self.share.set(None);
        self.room.leave(self.ticket);
    }
}

impl<P: Ports> Drop for Seat<P> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<P: Ports> Reader<P> {
    /// Writes events until the stream, the reader, the time or the reader's right to them ends.
    async fn run(mut self, first: Said<P>, again: Again<P>) {
        let ports = self.place.ports.clone();
        let (sink, ends_at) = (Rc::clone(&self.sink), Rc::clone(&self.ends_at));
        let until_let_go = async {
            again.ended().await;
            ends_at.set(ports.now());
            ports.stop(&sink);
            ports.sleep(GRACE).await;
        };
        let written = within(until_let_go, self.write_all(first)).await;
        let end = written.unwrap_or(End::Broken);
        if end == End::Whole {
            let closed = within(ports.sleep(self.until_stuck()), ports.close(&self.sink));
            if closed.await.is_some() {
                return;
            }
        }
        ports.abort(&self.sink);
    }

    async fn write_all(&mut self, first: Said<P>) -> End {
        let mut said = first;
        loop {
            let next = match said.socket.take() {
                Some(socket) => {
                    self.seat.leave();
                    self.follow(socket, &said).await
                }
                None => self.write_page(&said).await,
            };
            match next {
                Ok(next) => self.read.from = ReadFrom::At(next),
                Err(end) => return end,
            }
            if self.left() == 0 {
                return End::Whole;
            }
            let time = self.place.ports.sleep(self.left());
            let held = self.held.len();
            let ends_at = self.ends_at.get();
            let asked = self.seat.ask(&self.place, &self.read, held, ends_at);
            said = match within(time, asked).await {
                Some(Err(error)) => return self.give_up(&error),
                Some(Ok(Some(said))) if self.left() > 0 => said,
                _ => return End::Whole,
            };
        }
    }

    /// Writes what comes over a socket. Gives the offset to go on from when that is not all.
    async fn follow(&mut self, socket: P::Socket, said: &Said<P>) -> Result<Offset, End> {
        let tail = said.next().map_err(|error| self.give_up(&error))?;
        if !said.knows_held && !self.held.is_empty() {
            // What comes over the socket starts at the tail.
            let held = std::mem::take(&mut self.held);
            self.write_event(&held, tail, true, false).await?;
        }
        if !self.is_greeted {
            // Who has everything is told so.
            self.write_event(b"", tail.back(self.held.len()), true, false)
                .await?;
        }
        let bounds = Bounds {
            backlog: MAX_BACKLOG,
            millis: self.left(),
            grace: GRACE,
            room: FOLLOWERS,
        };
        let ports = &self.place.ports;
        match ports.copy(socket, &self.sink, bounds).await {
            Copied::Over => Err(End::Whole),
            Copied::Stuck => Err(End::Broken),
            Copied::Behind(None) => Ok(tail),
            Copied::Behind(Some(last)) => {
                // The first of them has started with what was held back.
                self.held.clear();
                sse::next_after(&last).ok_or_else(|| {
                    let what = "the object's last message does not say where to go on";
                    self.give_up(&Error::Unavailable(what.to_owned()))
                })
            }
        }
    }

    /// Writes a page as an event, but for what is held back at its end. Gives the offset to go on
    /// from.
    async fn write_page(&mut self, page: &Said<P>) -> Result<Offset, End> {
        let response = &page.response;
        if response.status() != 200 {
            // The reader learns why when it comes back.
            return Err(End::Whole);
        }
        let next = page.next().map_err(|error| self.give_up(&error))?;
        let ports = &self.place.ports;
        let data = within(
            ports.sleep(self.until_stuck()),
            cold::bytes(ports, response),
        );
        let mut data = data
            .await
            .ok_or(End::Broken)?
            .map_err(|error| self.give_up(&error))?;
        let is = |name| response.header(name).is_some();
        let is_closed = is(header::STREAM_CLOSED);
        if !self.held.is_empty() {
            data.splice(0..0, self.held.drain(..));
        }
        if page.knows_held && !is_closed {
            let end = data.len().saturating_sub(self.encoding.held_back(&data));
            self.held = data.split_off(end);
        }
        if !data.is_empty() || is_closed {
            let up_to_date = is(header::STREAM_UP_TO_DATE);
            let next = next.back(self.held.len());
            self.write_event(&data, next, up_to_date, is_closed).await?;
        }
        if is_closed { Err(End::Whole) } else { Ok(next) }
    }

    async fn write_event(
        &mut self,
        data: &[u8],
        next: Offset,
        up_to_date: bool,
        closed: bool,
    ) -> Result<(), End> {
        let control = self.control(next, up_to_date, closed);
        self.is_greeted = true;
        self.write(sse::event(data, self.encoding, &control)).await
    }

    fn control(&self, next: Offset, up_to_date: bool, closed: bool) -> Control {
        let ports = &self.place.ports;
        Control {
            next,
            cursor: cursor::next(ports.now(), self.read.cursor, ports.random()),
            up_to_date,
            closed,
        }
    }

    async fn write(&self, bytes: Vec<u8>) -> Result<(), End> {
        let ports = &self.place.ports;
        let mut written = pin!(ports.write(&self.sink, bytes));
        let until = ports.now().saturating_add(self.until_stuck());
        loop {
            let left = until.saturating_sub(ports.now());
            let patience = ports.sleep(GRACE.min(left));
            match within(patience, written.as_mut()).await {
                Some(Ok(())) => break,
                Some(Err(_)) => return Err(End::Broken),
                None if ports.now() >= until || self.seat.has_lost() => {
                    return Err(End::Broken);
                }
                None => {}
            }
        }
        self.seat.leave();
        Ok(())
    }

    /// Ends a response when something does not work: the reader comes back, and is told.
    fn give_up(&self, error: &Error) -> End {
        if let Some(detail) = error.detail() {
            let code = error.code();
            self.place.ports.log(format_args!("{code}: {detail}"));
        }
        End::Whole
    }

    /// How many milliseconds the reader has left.
    fn left(&self) -> u64 {
        self.ends_at.get().saturating_sub(self.place.ports.now())
    }

    /// For how many milliseconds the reader may take nothing.
    fn until_stuck(&self) -> u64 {
        self.left().saturating_add(GRACE)
    }
}
