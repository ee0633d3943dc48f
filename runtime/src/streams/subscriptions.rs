//! Subscriptions (sections 6 and 7), asked without a token.
//!
//! ```no_run
//! use durable_streams_cloudflare::Streams;
//! use durable_streams_cloudflare::streams::{Error, Subscribe};
//! use serde_json::Value;
//!
//! /// Works off what has come to the streams of the project `shop` since.
//! async fn work(env: &worker::Env) -> Result<(), Error> {
//!     let subscriptions = Streams::new(env).subscriptions("shop");
//!     // The stream of wakes has to be there.
//!     let wanted = Subscribe::pull_wake("wakes").pattern("orders/*");
//!     subscriptions.create("packer", &wanted).await?;
//!     let Some(wake) = subscriptions.claim("packer", "worker 1").await? else {
//!         return Ok(());
//!     };
//!     for pending in wake.streams().iter().filter(|stream| stream.has_pending) {
//!         let stream = subscriptions.stream(&pending.path)?;
//!         let page = stream.read(pending.acked).await?;
//!         for order in page.messages::<Value>()? {
//!             // Pack it.
//! #           drop(order);
//!         }
//!         wake.ack(&[(&pending.path, page.next)]).await?;
//!     }
//!     wake.done(&[]).await.map(drop)
//! }
//! ```

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::subscribe::Subscribe;
use super::{Error, Stream, Streams};
use crate::auth::project::Registry;
use crate::edge::ports::Ports;
use crate::edge::{control, listing};
use crate::machine::Peer;
use crate::protocol::ask::{Call, say};
use crate::protocol::error::Error as Refusal;
use crate::protocol::offset::Offset;
use crate::protocol::route::check_id;

/// The subscriptions of a root. What they are told and say of streams are paths below it.
#[derive(Clone, Debug)]
pub struct Subscriptions<P> {
    pub(super) streams: Streams<P>,
    pub(super) project: String,
    origin: Option<String>,
}

impl<P: Clone> Streams<P> {
    /// The subscriptions of a project, which is the first segment of its streams' paths; those of the
    /// root of all streams, if `project` is empty.
    pub fn subscriptions(&self, project: &str) -> Subscriptions<P> {
        Subscriptions {
            streams: self.clone(),
            project: project.to_owned(),
            origin: None,
        }
    }
}

/// What came of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// Whether it made the subscription; otherwise one that is the same was there.
    pub is_new: bool,
    /// The subscription.
    pub subscription: Subscription,
}

/// What is known of a subscription. Times are as RFC 3339 writes them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    /// What it is called below its root.
    pub id: String,
    /// `webhook`, `pull-wake` or `copy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What paths of streams have to match.
    pub pattern: Option<String>,
    /// Its streams: 1000 at most, in the order of their paths.
    pub streams: Vec<Link>,
    /// How many there are.
    pub streams_total: u64,
    /// In which stream workers read of wakes.
    pub wake_stream: Option<String>,
    /// Into which stream it copies.
    #[serde(default)]
    pub target_stream: Option<String>,
    /// Some words for people.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: String,
    /// `active`, or `failed` while nobody can be woken, or nothing be copied.
    pub status: String,
    /// `idle`, `waking`, or `held` by somebody who has the wake.
    pub phase: String,
    /// Who has it.
    pub holder: Option<String>,
    /// How many streams have something behind their cursors.
    pub pending: u64,
    /// How much that is, in positions.
    pub lag: u64,
    /// How often it failed in a row.
    pub attempts: u64,
    /// Why.
    pub last_error: Option<String>,
    /// Whether it was given up: see [`Subscriptions::retry`].
    pub parked: bool,
}

/// A stream of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// Its path below the root.
    pub path: String,
    /// `explicit` if somebody has named it, and `glob` if only the pattern is about it.
    pub link_type: String,
    /// Up to where it is worked off, or copied.
    #[serde(rename = "acked_offset", deserialize_with = "offset")]
    pub acked: Offset,
    /// Why it is not copied.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A page of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The ids, in the order of their bytes.
    pub ids: Vec<String>,
    /// Behind what to go on, if there are more.
    pub next: Option<String>,
}

/// What a subscription is asked, besides who and what for.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) token: Option<String>,
    pub(super) rest: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn of_body(body: String) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

impl<P: Ports<Env: Registry>> Subscriptions<P> {
    /// Where receivers of webhooks reach the server, as in `https://streams.example`, unless the
    /// variable `PUBLIC_URL` says so.
    #[must_use]
    pub fn at(mut self, origin: &str) -> Self {
        self.origin = Some(origin.trim_end_matches('/').to_owned());
        self
    }

    /// A stream by its path below the root.
    ///
    /// # Errors
    ///
    /// As [`Streams::stream`].
    pub fn stream(&self, path: &str) -> Result<Stream<P>, Error> {
        match &*self.project {
            "" => self.streams.stream(path),
            project => self.streams.stream(&format!("{project}/{path}")),
        }
    }

    /// Makes a subscription, or finds that there is one that is the same.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]: `SUBSCRIPTION_ALREADY_EXISTS` where another one has the id,
    /// `INVALID_REQUEST` with what is wrong, and others of the protocol; [`Error::Unavailable`].
    pub async fn create(&self, id: &str, wanted: &Subscribe) -> Result<Subscribed, Error> {
        if wanted.is_webhook() && self.origin()?.is_none() {
            return Err(Error::refused(
                "PUBLIC_URL",
                "must be set, or Subscriptions::at say where receivers of webhooks call back",
            ));
        }
        let asked = Asked::of_body(serde_json::to_string(wanted)?);
        let (status, body) = self.ask(id, "create", asked).await?;
        Ok(Subscribed {
            is_new: status == 201,
            subscription: read(&body)?,
        })
    }

    /// What is known of a subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the code `SUBSCRIPTION_NOT_FOUND`; [`Error::Unavailable`].
    pub async fn get(&self, id: &str) -> Result<Subscription, Error> {
        self.get_after(id, "").await
    }

    /// The same with those of its streams that are behind a path.
    ///
    /// # Errors
    ///
    /// As [`Subscriptions::get`].
    pub async fn get_after(&self, id: &str, path: &str) -> Result<Subscription, Error> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let asked = Asked {
            rest: query.append_pair("after", path).finish(),
            ..Asked::default()
        };
        let (_, body) = self.ask(id, "get", asked).await?;
        read(&body)
    }

    /// Names streams to it, all or none of them.
    ///
    /// # Errors
    ///
    /// As [`Subscriptions::create`].
    pub async fn add(&self, id: &str, paths: &[&str]) -> Result<(), Error> {
        let body = json!({ "streams": paths }).to_string();
        self.ask(id, "add", Asked::of_body(body)).await.map(drop)
    }

    /// Takes it back that a stream was named to it.
    ///
    /// # Errors
    ///
    /// As [`Subscriptions::get`].
    pub async fn remove(&self, id: &str, path: &str) -> Result<(), Error> {
        let asked = Asked {
            rest: path.to_owned(),
            ..Asked::default()
        };
        self.ask(id, "remove", asked).await.map(drop)
    }

    /// Deletes it; whoever has its wake is fenced.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.ask(id, "delete", Asked::default()).await.map(drop)
    }

    /// Tries a receiver again that was given up.
    ///
    /// # Errors
    ///
    /// As [`Subscriptions::get`].
    pub async fn retry(&self, id: &str) -> Result<(), Error> {
        self.ask(id, "retry", Asked::default()).await.map(drop)
    }

    /// The ids of the subscriptions that there are, behind one of them if it is given: 100 at most.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where there is no directory; [`Error::Unavailable`].
    pub async fn ids(&self, after: Option<&str>) -> Result<Ids, Error> {
        let root = self.streams.root(&self.project, "the project").await?;
        let wanted = listing::Wanted::new("", after, None).map_err(Refusal::from)?;
        let (ports, shards) = (&self.streams.ports, self.streams.shards()?);
        let (ids, next) = listing::ids(ports, shards, root, wanted).await?;
        Ok(Ids { ids, next })
    }

    /// Asks a subscription, and gives the status and the body of an answer that does not refuse.
    pub(super) async fn ask(
        &self,
        id: &str,
        question: &'static str,
        asked: Asked,
    ) -> Result<(u16, Vec<u8>), Error> {
        self.streams.shards()?;
        check_id(id).map_err(Refusal::from)?;
        let root = self.streams.root(&self.project, "the project").await?;
        let name = root.subscription(id);
        let Asked { token, rest, body } = asked;
        let call = Call {
            base: root.url(&self.origin()?.unwrap_or_default()),
            id: id.to_owned(),
            // What the worker itself asks for, it may have.
            may_copy: true,
            into: None,
            root,
            token,
            rest,
            body,
        };
        let ports = &self.streams.ports;
        let answer = control::ask(ports, Peer::Subscription(&name), question, say(&call));
        match answer.await? {
            (status @ 200..300, body) => Ok((status, body)),
            (status, body) => Err(Error::said(status, &body)),
        }
    }

    fn origin(&self) -> Result<Option<String>, Error> {
        let public_url = self.streams.ports.settings().public_url?;
        Ok(public_url.or_else(|| self.origin.clone()))
    }
}

/// Reads the answer of a subscription.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Unavailable(format!("a subscription's answer: {error}")))
}

/// Reads an offset.
pub(super) fn offset<'de, D: Deserializer<'de>>(from: D) -> Result<Offset, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| D::Error::custom("no offset"))
}
