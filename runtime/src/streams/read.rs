//! Reading what is there (section 5.6).

use serde::de::DeserializeOwned;

use super::call::{self, Call};
use super::{Error, Stream};
use crate::auth::project::Registry;
use crate::edge::cold;
use crate::edge::ports::{Outgoing, Ports};
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::request::ReadFrom;

/// A page of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The stream's media type.
    pub content_type: String,
    /// The data: of a JSON stream an array of messages.
    pub bytes: Vec<u8>,
    /// Where the next read goes on.
    pub next: Offset,
    /// Whether that was the tail.
    pub up_to_date: bool,
    /// Whether the stream is closed, and this is its end.
    pub closed: bool,
}

impl Page {
    /// The messages of a JSON stream.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] for a message that is something else.
    pub fn messages<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        match self.bytes.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(serde_json::from_slice(&self.bytes)?),
        }
    }

    /// The data as text. A character may be cut in two at the end of a page.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    pub(super) async fn read<P: Ports>(ports: &P, response: &P::Response) -> Result<Self, Error> {
        let content_type = response.header(header::CONTENT_TYPE);
        Ok(Self {
            content_type: content_type.unwrap_or_default(),
            bytes: cold::bytes(ports, response).await?,
            next: call::offset(response, header::STREAM_NEXT_OFFSET)?,
            up_to_date: response.header(header::STREAM_UP_TO_DATE).is_some(),
            closed: call::is_closed(response),
        })
    }
}

/// Where a read starts, in a query.
pub(super) fn query(from: ReadFrom) -> String {
    match from {
        ReadFrom::Start => "offset=-1".to_owned(),
        ReadFrom::Now => "offset=now".to_owned(),
        ReadFrom::At(offset) => format!("offset={offset}"),
    }
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// Reads a page: about a megabyte at most, and nothing at the tail.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Truncated`], [`Error::Unavailable`].
    pub async fn read(&self, from: impl Into<ReadFrom>) -> Result<Page, Error> {
        let mut call = Call::new("GET");
        call.query = query(from.into());
        let response = self.call(&call).await?;
        Page::read(&self.streams.ports, &response).await
    }
}
