//! What is known of a stream, its end, and forks (sections 4.2, 5.4 and 5.5).

use super::call::{self, Call, url_path};
use super::create::{Create, Created};
use super::{Error, Stream};
use crate::auth::project::Registry;
use crate::edge::ports::{Outgoing, Ports};
use crate::protocol::header;
use crate::protocol::offset::Offset;

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its media type.
    pub content_type: String,
    /// Its tail.
    pub tail: Offset,
    /// The first position that is there.
    pub earliest: Offset,
    /// Whether it is closed.
    pub closed: bool,
}

/// Where a fork parts from its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// What lies before it is shared; the source's tail without one.
    pub at: Option<Offset>,
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// What is known of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn head(&self) -> Result<Metadata, Error> {
        let response = self.call(&Call::new("HEAD")).await?;
        let earliest = call::offset(&response, header::STREAM_EARLIEST_OFFSET);
        Ok(Metadata {
            content_type: response.header(header::CONTENT_TYPE).unwrap_or_default(),
            tail: call::offset(&response, header::STREAM_NEXT_OFFSET)?,
            // It is said of streams that do not start at their start.
            earliest: earliest.unwrap_or(Offset::START),
            closed: call::is_closed(&response),
        })
    }

    /// Deletes the stream. Its forks go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn delete(&self) -> Result<(), Error> {
        self.change(&Call::new("DELETE")).await.map(drop)
    }

    /// Drops what lies before an offset.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Refused`], [`Error::Unavailable`].
    pub async fn truncate(&self, before: Offset) -> Result<(), Error> {
        let call = Call::new("POST").with(header::STREAM_TRUNCATE_BEFORE, before.to_string());
        self.call(&call).await.map(drop)
    }

    /// Makes this stream as a fork of another one, of whose type it is.
    ///
    /// # Errors
    ///
    /// As [`Stream::create`].
    pub async fn fork(&self, source: &Self, fork: Fork, create: Create) -> Result<Created, Error> {
        let call = create
            .call()
            .with(header::STREAM_FORKED_FROM, url_path(&source.path))
            .with_some(header::STREAM_FORK_OFFSET, fork.at.map(|at| at.to_string()));
        Created::read(&self.change(&call).await?)
    }
}
