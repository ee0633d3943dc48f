//! Streams are made, from nothing or as forks, and deleted (sections 5.1, 4.2 and 5.4).

use reqwest::{Method, StatusCode, header::CONTENT_TYPE};

use super::{Ask, Client, Error, Offset, header};

/// How a stream comes to its end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// So many seconds after it was last read or written.
    Idle(u64),
    /// At a time, in the format of RFC 3339.
    At(String),
}

/// A stream to be made.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// What it holds; the server decides if nobody says it.
    pub content_type: Option<String>,
    /// When it ends by itself.
    pub expiry: Option<Expiry>,
    /// How much of its end is kept, as in `messages=1000`: not all servers know that.
    pub retention: Option<String>,
    /// Nothing can be appended.
    pub closed: bool,
    /// What it holds from the start.
    pub body: Option<Vec<u8>>,
}

/// A fork to be made.
#[derive(Debug, Clone, Default)]
pub struct Fork {
    /// The stream it begins with, by its path below the root.
    pub source: String,
    /// Up to where; the tail if nobody says it.
    pub at: Option<Offset>,
    /// How many messages of JSON, or bytes, it has beyond that.
    pub beyond: Option<u64>,
}

/// What has become of a stream that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// It was not there before.
    pub is_new: bool,
    /// What it holds.
    pub content_type: String,
    /// Its tail.
    pub next: Offset,
}

impl Client {
    /// Makes a stream. Where there is just the same one already, it stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with status 409 where there is another one.
    pub async fn create(&self, stream: &str, new: &New) -> Result<Created, Error> {
        let ask = self.ask(Method::PUT, stream, "")?;
        self.put(with(ask, new)).await
    }

    /// Makes a stream that begins as another one.
    ///
    /// # Errors
    ///
    /// As for [`Client::create`]; [`Error::NotFound`] where there is no source.
    pub async fn fork(&self, stream: &str, fork: &Fork, new: &New) -> Result<Created, Error> {
        let mut ask = self
            .ask(Method::PUT, stream, "")?
            .header(header::FORKED_FROM, self.root().path_of(&fork.source)?)
            .maybe(header::FORK_OFFSET, fork.at.as_ref().map(Offset::as_str))
            .maybe(header::FORK_SUB_OFFSET, fork.beyond.map(|n| n.to_string()));
        // It is about the source, too.
        ask.need.stream = None;
        self.put(with(ask, new)).await
    }

    async fn put(&self, ask: Ask<'_>) -> Result<Created, Error> {
        let response = self.send(&ask).await?;
        let headers = response.headers();
        Ok(Created {
            is_new: response.status() == StatusCode::CREATED,
            content_type: header::text(headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
            next: header::offset(headers, header::NEXT)
                .ok_or_else(|| Error::Strange("a stream that was made".to_owned()))?,
        })
    }

    /// Deletes a stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none.
    pub async fn delete(&self, stream: &str) -> Result<(), Error> {
        let ask = self.ask(Method::DELETE, stream, "")?;
        self.send(&ask).await.map(drop)
    }
}

fn with<'a>(ask: Ask<'a>, new: &New) -> Ask<'a> {
    let (ttl, at) = match &new.expiry {
        Some(Expiry::Idle(seconds)) => (Some(seconds.to_string()), None),
        Some(Expiry::At(time)) => (None, Some(time.clone())),
        None => (None, None),
    };
    let mut ask = ask
        .maybe("content-type", new.content_type.clone())
        .maybe(header::TTL, ttl)
        .maybe(header::EXPIRES_AT, at)
        .maybe(header::RETENTION, new.retention.clone())
        .maybe(header::CLOSED, new.closed.then_some("true"));
    ask.body = new.body.clone();
    ask
}
