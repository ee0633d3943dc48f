//! Reading on as it comes (section 5.7).

use futures_util::stream::try_unfold;

use super::call::Call;
use super::read::query;
use super::{Error, Page, Stream};
use crate::auth::Grant;
use crate::auth::project::Registry;
use crate::edge::again::Again;
use crate::edge::live;
use crate::edge::ports::{Outgoing, Ports};
use crate::protocol::cursor;
use crate::protocol::header;
use crate::protocol::request::ReadFrom;

/// A reader that is given what is there, and then what comes.
#[derive(Debug)]
pub struct Follow<P> {
    stream: Stream<P>,
    from: ReadFrom,
    cursor: Option<u64>,
    is_over: bool,
}

impl<P: Clone> Stream<P> {
    /// Follows the stream from somewhere on. While it waits, its stream's object may hibernate; each
    /// page, and each 25 s without one, costs a request to it.
    pub fn follow(&self, from: impl Into<ReadFrom>) -> Follow<P> {
        Follow {
            stream: self.clone(),
            from: from.into(),
            cursor: None,
            is_over: false,
        }
    }
}

impl<P: Ports<Env: Registry>> Follow<P> {
    /// The next page that is not empty, as soon as there is one; nothing when the stream is closed and
    /// all of it was given. After an error, the next call asks for the same page.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`].
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        while !self.is_over {
            let page = self.poll().await?;
            self.from = ReadFrom::At(page.next);
            self.is_over = page.closed;
            if !page.bytes.is_empty() {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The pages as a stream of the `futures` crates, which ends after an error.
    pub fn pages(self) -> impl futures_util::Stream<Item = Result<Page, Error>> {
        try_unfold(self, async |mut follow| {
            let page = follow.next().await?;
            Ok(page.map(|page| (page, follow)))
        })
    }

    /// Asks once, and waits for an answer as long as a long-poll may take.
    async fn poll(&mut self) -> Result<Page, Error> {
        let (stream, ports) = (&self.stream, &self.stream.streams.ports);
        let mut query = format!("live=long-poll&{}", query(self.from));
        if let Some(cursor) = self.cursor {
            query = format!("{query}&cursor={cursor}");
        }
        let era = stream.era().await?;
        // The era is put before it by whoever asks the object.
        let url = stream.url(None, &query);
        let call = Call::new("GET");
        let request = ports.request(call.method, &url, &[], &[])?;
        let grant = Grant {
            era,
            ..Grant::HOLDER
        };
        let again = Again::new(ports.clone(), grant, None);
        let answer = live::serve(ports, &request, &url, &stream.path, grant, again).await;
        let response = answer.map_err(Error::from)?.response().await?;
        let response = stream.accepted(response).await?;
        let next = response.header(header::STREAM_CURSOR);
        self.cursor = next.and_then(|value| cursor::parse(&value));
        Page::read(ports, &response).await
    }
}
