//! Live reads. Both modes ask the stream's object the same question: give me what comes after this
//! offset, or a socket on which it will come. A long-poll asks once. A reader of events is given
//! page after page, each as an event, until there is a socket, and then all that comes over it. So
//! catching up joins the live tail with no gap, and nobody waits in the object.

use super::again::Again;
use super::ports::{Incoming, Outgoing, Ports};
use super::serve::if_public;
use super::{Answer, AnswerOf, cold, events};
use crate::auth::{Grant, Refusal};
use crate::patience::{self, within};
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::frame::Head;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::request::{Live, Read, ReadFrom};
use crate::protocol::version::{self, SPOKEN};

/// Whether a request is a live read.
pub fn is_live(method: &str, query: &str) -> bool {
    method == "GET" && (query.starts_with("live=") || query.contains("&live="))
}

/// Serves a live read for as long as it is granted.
///
/// # Errors
///
/// What is wrong with the request, [`Error::Unavailable`] and [`Error::Newer`], and the refusal of
/// a long-poll that is not granted any more; all else is an answer.
pub(crate) async fn serve<P: Ports>(
    ports: &P,
    request: &P::Request,
    url: &str,
    path: &StreamPath,
    grant: Grant,
    again: Again<P>,
) -> Result<AnswerOf<P>, Refusal> {
    let settings = ports.settings();
    let (raw_path, query) = path::split_url(url);
    let read = Read::parse(query, &|name| match name {
        header::LAST_EVENT_ID => request.header(name),
        _ => None,
    })?;
    let place = Place {
        ports: ports.clone(),
        object: ports.object(&path.name(grant.era))?,
        base: match grant.era {
            Some(era) => format!("http://live{}{}{raw_path}", path::LIVE, era.prefix()),
            None => format!("http://live{}{raw_path}", path::LIVE),
        },
        mark: if_public(grant.audience),
        incarnation: None,
    };
    let now = ports.now();
    let left = grant
        .expires_at
        .map_or(u64::MAX, |end| end.saturating_mul(1000).saturating_sub(now));
    match read.live {
        Some(Live::Sse) => {
            let ends_at = now.saturating_add(settings.sse_timeout_ms?.min(left));
            let beat = settings.sse_heartbeat_ms?;
            let response = events::serve(place, request, &read, ends_at, beat, again);
            Ok(Answer::Now(response.await?))
        }
        _ => {
            let millis = settings.long_poll_timeout_ms?.min(left);
            let answer = long_poll(&place, request, &read, millis).await?;
            if !again.is_asked() {
                return Ok(answer);
            }
            let response = answer.response().await?;
            again.check().await?;
            Ok(Answer::Now(response))
        }
    }
}

/// A stream's object, and where in it live reads are.
pub(super) struct Place<P: Ports> {
    pub(super) ports: P,
    object: P::Object,
    base: String,
    mark: Option<&'static str>,
    /// The incarnation of the stream the reader has started in: it does not go on in another.
    pub(super) incarnation: Option<String>,
}

/// What the object says to a live read.
pub(super) struct Said<P: Ports> {
    /// What was asked for, why not, or, with a socket, what the edge has to know.
    pub(super) response: P::Response,
    /// Where it will come.
    pub(super) socket: Option<P::Socket>,
    /// About how many bytes of data there are, if the object says so.
    pub(super) length: Option<u64>,
    /// Whether the object knows of bytes that are held back; older releases do not.
    pub(super) knows_held: bool,
}

/// The version of messages since which objects know of bytes that are held back.
const HELD_SINCE: u32 = 3;

impl<P: Ports> Said<P> {
    /// Where the reader goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not say so.
    pub(super) fn next(&self) -> Result<Offset, Error> {
        let next = self.response.header(header::STREAM_NEXT_OFFSET);
        let next = next.and_then(|offset| offset.parse().ok());
        next.ok_or_else(|| Error::Unavailable("the object's answer has no offset".to_owned()))
    }
}

impl<P: Ports> Place<P> {
    /// Asks the object, for a reader that has not been given so many bytes before its offset, and
    /// about how many bytes its answer may have at most.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Newer`].
    pub(super) async fn ask(
        &self,
        read: &Read,
        held: usize,
        most: Option<u64>,
    ) -> Result<Said<P>, Error> {
        let url = self.url(read, held, most);
        let asked = self.ports.ask(&self.object, &url, self.mark);
        let answer = within(self.ports.sleep(patience::OBJECT), asked).await;
        let (response, socket) = answer.unwrap_or_else(|| {
            let what = format!("no answer from the object within {} ms", patience::OBJECT);
            Err(Error::Unavailable(what))
        })?;
        let stated = response.header(header::DS_VERSION);
        let stated = version::stated(stated.as_deref());
        version::check("the object's answer to a live read", stated, SPOKEN)?;
        let length = response.header(header::DS_LENGTH);
        Ok(Said {
            length: length.and_then(|length| length.parse().ok()),
            response,
            socket,
            knows_held: stated.is_some_and(|version| version >= HELD_SINCE),
        })
    }

    fn url(&self, read: &Read, held: usize, most: Option<u64>) -> String {
        let mut url = format!("{}?offset=", self.base);
        match read.from {
            ReadFrom::Start => url.push_str("-1"),
            ReadFrom::Now => url.push_str("now"),
            ReadFrom::At(offset) => url.push_str(&offset.to_string()),
        }
        url.push_str(match read.live {
            Some(Live::Sse) => "&live=sse",
            _ => "&live=long-poll",
        });
        if let Some(cursor) = read.cursor {
            url.push_str(&format!("&cursor={cursor}"));
        }
        if let Some(incarnation) = &self.incarnation {
            url.push_str(&format!("&{}={incarnation}", path::INCARNATION));
        }
        if held > 0 {
            url.push_str(&format!("&{}={held}", path::HELD));
        }
        if let Some(most) = most {
            url.push_str(&format!("&{}={most}", path::MOST));
        }
        url
    }
}

async fn long_poll<P: Ports>(
    place: &Place<P>,
    request: &P::Request,
    read: &Read,
    millis: u64,
) -> Result<AnswerOf<P>, Error> {
    let mut said = place.ask(read, 0, None).await?;
    let ports = &place.ports;
    let Some(socket) = said.socket.take() else {
        return Ok(Answer::Now(cold::complete(ports, said.response).await?));
    };
    let poll = Poll {
        tail: said.next()?,
        cursor: read.cursor,
        from_now: read.from == ReadFrom::Now,
    };
    Ok(Answer::Later(
        ports.await_frame(request, socket, millis, poll),
    ))
}

/// A long-poll that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The tail of the stream when it came.
    pub tail: Offset,
    /// The cursor that it came with.
    pub cursor: Option<u64>,
    /// Whether it asked for what comes from now on.
    pub from_now: bool,
}

impl Poll {
    /// What it is answered at a time (milliseconds since the Unix epoch): the head of the message
    /// that came, given as text, with what is this reader's own, or that there are no news. The
    /// message's body goes with it, but not with a 204 or 304.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] for a malformed head, [`Error::Newer`].
    pub fn answer(&self, head: Option<&[u8]>, now: u64, random: u64) -> Result<Head, Error> {
        let cursor = cursor::next(now, self.cursor, random);
        let Some(head) = head else {
            let Reply {
                status, headers, ..
            } = Reply::no_news(&self.tail.to_string(), false, cursor);
            return Ok(Head::of(status, headers));
        };
        let head = serde_json::from_slice::<Head>(head);
        let mut head = head.map_err(|error| {
            Error::Unavailable(format!("the object's message is none: {error}"))
        })?;
        version::check("the object's message to a reader", head.v, SPOKEN)?;
        let headers = &mut head.headers;
        if head.status < 300 && !headers.contains_key(header::STREAM_CLOSED) {
            headers.insert(header::STREAM_CURSOR.to_owned(), cursor.to_string());
        }
        if self.from_now {
            // The same URL means something else a moment later.
            headers.insert(header::CACHE_CONTROL.to_owned(), "no-store".to_owned());
            headers.remove(header::ETAG);
        }
        Ok(head)
    }
}
