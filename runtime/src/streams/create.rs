//! Making a stream (section 5.1).

use std::time::Duration;

use serde::Serialize;

use super::call::{self, Call};
use super::{Error, Stream, Will};
use crate::auth::project::Registry;
use crate::edge::ports::{Outgoing, Ports};
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::retention::Retention;

/// What a stream is to be.
#[derive(Clone, Debug, Default)]
pub struct Create {
    expiry: Option<(&'static str, String)>,
    closed: bool,
    retention: Option<Retention>,
    pub(super) will: Option<Will>,
    public: bool,
    body: Vec<u8>,
}

impl Create {
    /// A stream that is empty, open, and there until it is deleted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The stream ends when nobody has read or written it for so long, in whole seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.expiry = Some((header::STREAM_TTL, ttl.as_secs().to_string()));
        self
    }

    /// The stream ends at an instant, as RFC 3339 writes it.
    #[must_use]
    pub fn expires_at(mut self, at: &str) -> Self {
        self.expiry = Some((header::STREAM_EXPIRES_AT, at.to_owned()));
        self
    }

    /// How much of the stream is kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Everyone may read the stream, without a token, where tokens decide
    /// ([`ProjectJwt`](crate::ProjectJwt)).
    #[must_use]
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// The stream is closed at once behind what it starts with.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// The stream starts with these bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// The stream starts with these messages.
    ///
    /// # Errors
    ///
    /// [`Error::Json`].
    pub fn messages(self, messages: &[impl Serialize]) -> Result<Self, Error> {
        Ok(self.bytes(serde_json::to_vec(messages)?))
    }
}

/// What came of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Whether it made the stream; otherwise one that is the same was there.
    pub is_new: bool,
    /// The stream's tail.
    pub tail: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
}

impl Created {
    pub(super) fn read(response: &impl Outgoing) -> Result<Self, Error> {
        Ok(Self {
            is_new: response.status() == 201,
            tail: call::offset(response, header::STREAM_NEXT_OFFSET)?,
            closed: call::is_closed(response),
        })
    }
}

impl Create {
    pub(super) fn call(self) -> Call {
        let closed = self.closed.then_some("true");
        let retention = self.retention.map(|retention| retention.to_string());
        let mut call = Call::new("PUT")
            .with_some(header::STREAM_CLOSED, closed)
            .with_some(header::STREAM_RETENTION, retention);
        if self.public {
            call::PUBLIC.clone_into(&mut call.query);
        }
        call.headers.extend(self.expiry);
        if let Some(will) = self.will {
            call = will.ask(call);
        }
        call.body = self.body;
        call
    }
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// Makes the stream, or finds that there is one that is the same.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Refused`], [`Error::Unavailable`].
    pub async fn create(&self, create: Create) -> Result<Created, Error> {
        let call = create.call();
        let call = call.with(header::CONTENT_TYPE, &self.content_type);
        Created::read(&self.change(&call).await?)
    }
}
