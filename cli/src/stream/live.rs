//! What comes: a stream is read on and on, over as many connections as it takes (sections 5.7 and 5.8).

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response, StatusCode, header::CONTENT_TYPE};

use super::{
    Answer, Ask, Batch, Client, Error, Kind, Offset, State, assembly::Assembly, header, sse::Reader,
};
use crate::http::escape;

/// Servers end a response of events, or answer a long-poll, within a minute. One that is silent for
/// longer than this is not there any more.
const SILENCE: Duration = Duration::from_secs(100);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How what comes is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// By server-sent events.
    Events,
    /// By requests that are answered when there is something.
    LongPoll,
}

/// What happens to who reads a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Something has come, or one knows to have all there is.
    Batch(Batch),
    /// The connection is lost for this reason; it is tried again after a while.
    Lost(Error),
    /// It is there again.
    Found,
}

/// A reader of a stream. What it gives it gives once, whatever becomes of connections and servers.
#[derive(Debug)]
pub struct Live<'a> {
    client: &'a Client,
    stream: String,
    position: Offset,
    cursor: Option<String>,
    transport: Transport,
    /// Nobody has asked for this transport in particular.
    may_change: bool,
    connection: Option<Connection>,
    ready: VecDeque<Batch>,
    /// How often in a row it has failed.
    failures: u32,
    is_over: bool,
}

/// A response of events.
#[derive(Debug)]
struct Connection {
    response: Response,
    reader: Reader,
    assembly: Assembly,
    has_brought: bool,
}

impl<'a> Live<'a> {
    /// Begins to read a stream that is in this state. Unless somebody wants otherwise, text comes by
    /// long-poll, because events do not keep the ends of lines as they are, and all else by events.
    pub fn new(
        client: &'a Client,
        stream: &str,
        state: &State,
        from: &Offset,
        transport: Option<Transport>,
    ) -> Self {
        let usual = match state.kind() {
            Kind::Text => Transport::LongPoll,
            Kind::Json | Kind::Bytes => Transport::Events,
        };
        // `now` is another place at each request.
        let position = match from.is_now() {
            true => state.next.clone(),
            false => from.clone(),
        };
        Self {
            client,
            stream: stream.to_owned(),
            position,
            cursor: None,
            transport: transport.unwrap_or(usual),
            may_change: transport.is_none(),
            connection: None,
            ready: VecDeque::new(),
            failures: 0,
            is_over: false,
        }
    }

    /// Where what has not been given yet begins.
    pub fn position(&self) -> &Offset {
        &self.position
    }

    /// Waits for what happens next; nothing when the stream is closed and all of it was given.
    ///
    /// # Errors
    ///
    /// All that does not pass by itself: [`Error::NotFound`], [`Error::Truncated`], …
    pub async fn next(&mut self) -> Result<Option<Happening>, Error> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.position = batch.next.clone();
                self.is_over = batch.closed;
                return Ok(Some(Happening::Batch(batch)));
            }
            if self.is_over {
                return Ok(None);
            }
            if self.failures > 0 {
                let doubled = FIRST_WAIT * 2_u32.saturating_pow(self.failures.min(6) - 1);
                tokio::time::sleep(doubled.min(LONGEST_WAIT)).await;
            }
            let outcome = match self.transport {
                Transport::Events => self.events().await,
                Transport::LongPoll => self.poll().await,
            };
            match outcome {
                Ok(()) if self.failures > 0 => {
                    self.failures = 0;
                    return Ok(Some(Happening::Found));
                }
                Ok(()) => {}
                Err(error) if error.is_passing() => {
                    self.connection = None;
                    self.failures = self.failures.saturating_add(1);
                    if self.failures == 1 {
                        return Ok(Some(Happening::Lost(error)));
                    }
                }
                Err(error) if self.may_change && is_about_transport(&error) => {
                    self.may_change = false;
                    self.transport = Transport::LongPoll;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a part of what a connection brings.
    async fn events(&mut self) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let part = self.client.part(&mut connection.response, SILENCE).await?;
        let Some(part) = part else {
            // Servers end connections now and then. One that has brought nothing is no use.
            return match connection.has_brought {
                true => Ok(()),
                false => Err(Error::Unreachable {
                    url: self.client.root().as_str().to_owned(),
                    why: "the connection ended before anything came".to_owned(),
                    unsent: false,
                }),
            };
        };
        for event in connection.reader.read(&part) {
            if let Some((batch, cursor)) = connection.assembly.take(&event)? {
                connection.has_brought = true;
                self.cursor = cursor.or(self.cursor.take());
                self.ready.push_back(batch);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let response = self.client.send_once(&self.ask("sse")?).await?;
        let kind = header::text(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("text/event-stream") {
            return Err(Error::Strange("a response of events".to_owned()));
        }
        let encoding = header::text(response.headers(), header::SSE_ENCODING);
        Ok(Connection {
            response,
            reader: Reader::default(),
            assembly: Assembly::new(encoding.as_deref() == Some("base64")),
            has_brought: false,
        })
    }

    /// Asks once, and waits for the answer.
    async fn poll(&mut self) -> Result<(), Error> {
        let Answer {
            status,
            headers,
            body,
        } = self.client.fetch_once(&self.ask("long-poll")?).await?;
        self.cursor = header::text(&headers, header::CURSOR).or(self.cursor.take());
        let next = header::offset(&headers, header::NEXT);
        let closed = header::is_true(&headers, header::CLOSED);
        self.ready.push_back(Batch {
            parts: match status == StatusCode::NO_CONTENT || body.is_empty() {
                true => Vec::new(),
                false => vec![body],
            },
            next: next.ok_or_else(|| Error::Strange(self.stream.clone()))?,
            up_to_date: closed || header::is_true(&headers, header::UP_TO_DATE),
            closed,
        });
        Ok(())
    }

    /// The parameters are in the order of their names, for the sake of caches (section 10.1).
    fn ask(&self, live: &str) -> Result<Ask<'_>, Error> {
        let cursor = self.cursor.as_deref().map(escape);
        let cursor = cursor.map_or(String::new(), |cursor| format!("cursor={cursor}&"));
        let offset = escape(self.position.as_str());
        let query = format!("?{cursor}live={live}&offset={offset}");
        self.client.ask(Method::GET, &self.stream, &query)
    }
}

/// Whether events may be what a server does not know.
fn is_about_transport(error: &Error) -> bool {
    match error {
        Error::Refused { status, .. } => !matches!(status, 401 | 403 | 429),
        Error::Strange(_) => true,
        _ => false,
    }
}
