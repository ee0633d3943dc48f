//! Appending (sections 5.2 and 5.3).

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::call::{self, Call};
use super::{Error, Stream};
use crate::auth::project::Registry;
use crate::edge::ports::{Outgoing, Ports};
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::producer::Claim;

/// What is to be appended, and on which conditions.
#[derive(Clone, Debug, Default)]
pub struct Append {
    body: Vec<u8>,
    close: bool,
    producer: Option<Claim>,
    seq: Option<String>,
    if_match: Option<Offset>,
}

impl Append {
    /// Bytes of the stream's type; of JSON streams a message, or an array of messages.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            body: bytes.into(),
            ..Self::default()
        }
    }

    /// One message, also if it is an array.
    ///
    /// # Errors
    ///
    /// [`Error::Json`].
    pub fn message(message: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        Ok(Self::bytes(serde_json::to_vec(&[message])?))
    }

    /// Messages, which come into the stream together or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Json`].
    pub fn messages(messages: &[impl Serialize]) -> Result<Self, Error> {
        Ok(Self::bytes(serde_json::to_vec(messages)?))
    }

    /// Nothing, for [`Append::close`].
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Closes the stream behind it.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Appends once, however often the same claim comes (section 5.2.1). [`Stream::producer`] counts
    /// by itself.
    #[must_use]
    pub fn claim(mut self, claim: Claim) -> Self {
        self.producer = Some(claim);
        self
    }

    /// Appends only if this sorts behind the last such text of the stream.
    #[must_use]
    pub fn seq(mut self, seq: impl Into<String>) -> Self {
        self.seq = Some(seq.into());
        self
    }

    /// Appends only while the tail is there.
    #[must_use]
    pub fn if_match(mut self, tail: Offset) -> Self {
        self.if_match = Some(tail);
        self
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn closes(&self) -> bool {
        self.close
    }

    /// Tells it from what else might be sent in its place.
    pub(super) fn sum(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.body, self.close).hash(&mut hasher);
        hasher.finish()
    }

    fn call(self, content_type: &str) -> Call {
        let has_type = (!self.body.is_empty()).then_some(content_type);
        let mut call = Call::new("POST")
            .with_some(header::CONTENT_TYPE, has_type)
            .with_some(header::STREAM_CLOSED, self.close.then_some("true"))
            .with_some(header::STREAM_SEQ, self.seq)
            .with_some(
                header::IF_MATCH,
                self.if_match.map(|tail| format!("\"{tail}\"")),
            );
        if let Some(Claim { id, epoch, seq }) = self.producer {
            call = call
                .with(header::PRODUCER_ID, id)
                .with(header::PRODUCER_EPOCH, epoch.to_string())
                .with(header::PRODUCER_SEQ, seq.to_string());
        }
        call.body = self.body;
        call
    }
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The tail behind it.
    pub tail: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Whether it had been appended before, and nothing was done now. Of a close without data nobody
    /// knows, and it is false.
    pub was_there: bool,
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// Appends one message to a JSON stream. It is durable when this is done.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Closed`], [`Error::Refused`], [`Error::Unavailable`],
    /// [`Error::Json`].
    pub async fn append(&self, message: &(impl Serialize + ?Sized)) -> Result<Appended, Error> {
        self.send(Append::message(message)?).await
    }

    /// Appends messages to a JSON stream, all or none of them.
    ///
    /// # Errors
    ///
    /// As [`Stream::append`].
    pub async fn append_all(&self, messages: &[impl Serialize]) -> Result<Appended, Error> {
        self.send(Append::messages(messages)?).await
    }

    /// Appends bytes of the stream's [type](Stream::of).
    ///
    /// # Errors
    ///
    /// As [`Stream::append`].
    pub async fn append_bytes(&self, bytes: impl Into<Vec<u8>>) -> Result<Appended, Error> {
        self.send(Append::bytes(bytes)).await
    }

    /// Appends with conditions.
    ///
    /// # Errors
    ///
    /// As [`Stream::append`]; [`Error::Overtaken`], [`Error::StaleEpoch`], [`Error::SequenceGap`].
    pub async fn send(&self, append: Append) -> Result<Appended, Error> {
        // An append of a producer is answered with 200 (section 5.2.1), but for one without data.
        let is_told = append.producer.is_some() && !append.body.is_empty();
        let response = self.call(&append.call(&self.content_type)).await?;
        Ok(Appended {
            tail: call::offset(&response, header::STREAM_NEXT_OFFSET)?,
            closed: call::is_closed(&response),
            was_there: is_told && response.status() == 204,
        })
    }

    /// Closes the stream: nothing comes behind its tail.
    ///
    /// # Errors
    ///
    /// As [`Stream::append`].
    pub async fn close(&self) -> Result<Appended, Error> {
        self.send(Append::nothing().close()).await
    }
}
