//! Readers of events. Each is given whole events: whatever ends its response ends it between two.
//! The one exception is a reader that takes nothing any more, and whose response is broken off.
//!
//! What waits for a reader to take it is bounded. One that lags behind the live tail is not sent
//! more, but asks for it again, page by page, each as soon as it has taken the one before.

use std::cell::Cell;
use std::rc::Rc;

use super::again::Again;
use super::cold;
use super::live::{Place, Said};
use super::ports::{Bounds, Copied, Outgoing, Ports};
use crate::patience::within;
use crate::protocol::content_type::ContentType;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;
use crate::protocol::request::{Read, ReadFrom};
use crate::protocol::sse::{self, Control, Encoding};

/// A reader for which so many bytes wait has to catch up before it is sent more.
#[cfg(not(test))]
pub const MAX_BACKLOG: u64 = 4 << 20;
/// So few that the small appends of tests let readers lag.
#[cfg(test)]
pub const MAX_BACKLOG: u64 = 300;

/// How long after the end of its time a reader may take the event that was begun before, in
/// milliseconds: one of a megabyte gets through a slow line in that time. Whoever takes longer is
/// cut within it, as nothing else frees what is held for a reader that stands still.
pub const GRACE: u64 = 15_000;

/// Answers a reader of events, and goes on behind the answer until `ends_at`, in milliseconds since
/// the Unix epoch.
///
/// # Errors
///
/// [`Error::Unavailable`], [`Error::Newer`]; all else is an answer.
pub(super) async fn serve<P: Ports>(
    mut place: Place<P>,
    read: &Read,
    ends_at: u64,
    again: Again<P>,
) -> Result<P::Response, Error> {
    let first = place.ask(read).await?;
    if first.socket.is_none() && first.response.status() != 200 {
        return Ok(first.response);
    }
    let content_type = first.response.header(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| ContentType::parse(&value));
    let encoding = Encoding::of(&content_type.unwrap_or_else(ContentType::default_type));
    place.incarnation = first.response.header(header::DS_INCARNATION);
    let (response, sink) = place.ports.events(Reply::events(encoding))?;
    let ports = place.ports.clone();
    let reader = Reader {
        place,
        sink: Rc::new(sink),
        encoding,
        read: read.clone(),
        ends_at: Rc::new(Cell::new(ends_at)),
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
    ends_at: Rc<Cell<u64>>,
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
        let mut greeted = false;
        loop {
            let next = match said.socket.take() {
                Some(socket) => self.follow(socket, &said, greeted).await,
                None => self.write_page(&said).await,
            };
            match next {
                Ok(next) => self.read.from = ReadFrom::At(next),
                Err(end) => return end,
            }
            greeted = true;
            if self.left() == 0 {
                return End::Whole;
            }
            let time = self.place.ports.sleep(self.left());
            let asked = within(time, self.place.ask(&self.read)).await;
            said = match asked {
                Some(Err(error)) => return self.give_up(&error),
                Some(Ok(said)) if self.left() > 0 => said,
                _ => return End::Whole,
            };
        }
    }

    /// Writes what comes over a socket. Gives the offset to go on from when that is not all.
    async fn follow(
        &self,
        socket: P::Socket,
        said: &Said<P>,
        greeted: bool,
    ) -> Result<Offset, End> {
        let tail = said.next().map_err(|error| self.give_up(&error))?;
        if !greeted {
            // Who has everything is told so.
            let control = self.control(tail, true, false);
            self.write(&sse::event(b"", self.encoding, &control))
                .await?;
        }
        let bounds = Bounds {
            backlog: MAX_BACKLOG,
            millis: self.left(),
            grace: GRACE,
        };
        let ports = &self.place.ports;
        match ports.copy(socket, &self.sink, bounds).await {
            Copied::Over => Err(End::Whole),
            Copied::Stuck => Err(End::Broken),
            Copied::Behind(None) => Ok(tail),
            Copied::Behind(Some(last)) => sse::next_after(&last).ok_or_else(|| {
                let what = "the object's last message does not say where to go on";
                self.give_up(&Error::Unavailable(what.to_owned()))
            }),
        }
    }

    /// Writes a page as an event. Gives the offset to go on from.
    async fn write_page(&self, page: &Said<P>) -> Result<Offset, End> {
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
        )
        .await;
        let data = data
            .ok_or(End::Whole)?
            .map_err(|error| self.give_up(&error))?;
        let is = |name| response.header(name).is_some();
        let is_closed = is(header::STREAM_CLOSED);
        let control = self.control(next, is(header::STREAM_UP_TO_DATE), is_closed);
        self.write(&sse::event(&data, self.encoding, &control))
            .await?;
        if is_closed { Err(End::Whole) } else { Ok(next) }
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

    async fn write(&self, bytes: &[u8]) -> Result<(), End> {
        let ports = &self.place.ports;
        let written = within(
            ports.sleep(self.until_stuck()),
            ports.write(&self.sink, bytes),
        );
        match written.await {
            Some(Ok(())) => Ok(()),
            _ => Err(End::Broken),
        }
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
