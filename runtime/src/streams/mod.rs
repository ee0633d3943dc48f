//! Streams for the worker's own code: routes, queue and scheduled handlers. What is asked for goes
//! from here to the stream's object at once, by the same rules and at the same cost as a request
//! from outside, with no token and no way through the edge.
//!
//! | file | what it knows |
//! |---|---|
//! | [`create`], [`append`], [`producer`], [`read`], [`follow`], [`manage`] | what a stream can be asked, and what it says |
//! | [`pipe`], [`mod@pieces`], [`will`] | what comes piece by piece from elsewhere, and what is said when it does no more |
//! | [`list`] | which streams there are |
//! | [`subscriptions`], [`subscribe`], [`wake`] | cursors over streams, and being woken by them |
//! | [`receive`] | webhooks that come to the worker itself |
//! | [`token`] | tokens for those who have none |
//! | `call` | the way to its object and back |
//! | [`error`] | what it refuses |
//!
//! ```no_run
//! use durable_streams_cloudflare::Streams;
//! use durable_streams_cloudflare::streams::{Append, Create, Error};
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     id: u64,
//! }
//!
//! async fn orders(env: &worker::Env) -> Result<Vec<Order>, Error> {
//!     let orders = Streams::new(env).stream("shop/orders")?;
//!     let day = Duration::from_secs(86_400);
//!     let made = orders.create(Create::new().ttl(day)).await?;
//!     orders.append(&Order { id: 1 }).await?;
//!     // Together, or not at all.
//!     let appended = orders.append_all(&[Order { id: 2 }, Order { id: 3 }]).await?;
//!     // Only if nobody was faster.
//!     let last = Append::message(&Order { id: 4 })?.if_match(appended.tail).close();
//!     orders.send(last).await?;
//!     let mut all = Vec::new();
//!     let mut follow = orders.follow(made.tail);
//!     while let Some(page) = follow.next().await? {
//!         all.extend(page.messages::<Order>()?);
//!     }
//!     Ok(all)
//! }
//! ```
//!
//! All of it is over the edge's [ports](crate::edge::ports), so that it runs in tests as it does in
//! a worker; there, the crate's `Streams` are these over the platform.

pub mod append;
mod call;
pub mod create;
pub mod error;
pub mod follow;
pub mod list;
pub mod manage;
pub mod pieces;
pub mod pipe;
pub mod producer;
pub mod read;
pub mod receive;
pub mod subscribe;
pub mod subscriptions;
pub mod token;
pub mod wake;
pub mod will;

#[cfg(test)]
mod tests;

pub use append::{Append, Appended};
pub use create::{Create, Created};
pub use error::Error;
pub use follow::Follow;
pub use list::{List, Listed};
pub use manage::{Fork, Metadata};
pub use pieces::{BrokenOff, Event, Events};
pub use pipe::{End, Pipe, Piped};
pub use producer::Producer;
pub use read::Page;
pub use receive::Notice;
pub use subscribe::Subscribe;
pub use subscriptions::{Subscribed, Subscription, Subscriptions};
pub use wake::Wake;
pub use will::Will;

pub use crate::auth::mint::Scope;

pub use crate::protocol::offset::Offset;
pub use crate::protocol::producer::Claim;
pub use crate::protocol::request::ReadFrom;
pub use crate::protocol::retention::Retention;

use std::time::Duration;

/// What sources of a [pipe](Stream::pipe) are changed with, `map` for one.
pub use futures_util::StreamExt;

pub use crate::cloudflare::{Body, events, pieces};
use crate::edge::ports::Ports;
use crate::patience::millis;
use crate::protocol::path::StreamPath;

/// The type of a stream of which nothing else is said.
const JSON: &str = "application/json";

/// All streams of the worker.
#[derive(Clone, Debug)]
pub struct Streams<P> {
    ports: P,
    has_projects: bool,
    /// In milliseconds.
    limit: Option<u64>,
}

impl<P: Ports> Streams<P> {
    /// The streams behind these ports; `has_projects` where what is registered of a project decides
    /// where its streams are.
    pub fn over(ports: P, has_projects: bool) -> Self {
        Self {
            ports,
            has_projects,
            limit: None,
        }
    }

    /// The same streams, of which none belongs to a project that is registered: nothing is looked up
    /// in `REGISTRY`, and no stream is published there.
    #[must_use]
    pub fn without_projects(self) -> Self {
        Self {
            has_projects: false,
            ..self
        }
    }

    /// The same streams, which are not waited for longer than this: a call that takes longer comes to
    /// [`Error::Unavailable`], and what was asked for may be done all the same. Otherwise the platform
    /// alone decides. [`Follow`] waits for as long as there is nothing.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self {
            limit: Some(millis(limit)),
            ..self
        }
    }

    /// A stream, whether there is one or not; `path` is what stands behind `/v1/stream/` in its URL,
    /// not percent-encoded, with the project at its start where there are projects. It is taken for a
    /// stream of JSON messages unless [`Stream::of`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for what is no path of a stream (section 2).
    pub fn stream(&self, path: &str) -> Result<Stream<P>, Error> {
        let path = StreamPath::of_decoded(path).map_err(crate::protocol::error::Error::from)?;
        Ok(Stream {
            streams: self.clone(),
            path,
            content_type: JSON.to_owned(),
        })
    }
}

/// One stream.
#[derive(Clone, Debug)]
pub struct Stream<P> {
    streams: Streams<P>,
    path: StreamPath,
    content_type: String,
}

impl<P> Stream<P> {
    /// The same stream as one of another media type than JSON: it is created so, and what is appended
    /// is said to be so.
    #[must_use]
    pub fn of(self, content_type: &str) -> Self {
        Self {
            content_type: content_type.to_owned(),
            ..self
        }
    }

    /// What stands behind `/v1/stream/` in its URL, not percent-encoded.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }
}
