//! Webhooks that come to the worker itself (section 6.5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::wake::Pending;
use super::{Error, Subscriptions};
use crate::auth::project::Registry;
use crate::directory::key_shard;
use crate::edge::control;
use crate::edge::ports::Ports;
use crate::machine::{Peer, Verifies};
use crate::protocol::ask::{self, OfRoot};
use crate::protocol::error::Error as Refusal;

/// How far the time of a signature may be from now, in seconds.
const MOST_OFF: u64 = 300;

/// What a receiver of webhooks is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Notice {
    subscription_id: String,
    /// What the wake is called.
    pub wake_id: String,
    /// How many wakes there were before; the same wherever this one comes again. It is the epoch for a
    /// [producer](super::Stream::producer) of what is done about it: one that is too late is refused.
    pub generation: u64,
    /// The streams that it is about: 1000 at most, those with something to do first.
    pub streams: Vec<Pending>,
    /// Whether there are more. They are told of next.
    #[serde(default)]
    pub streams_truncated: bool,
}

/// The published keys.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: String,
    x: String,
}

/// The parts of the header `Webhook-Signature`, as they came.
struct Signature<'a> {
    at: &'a str,
    kid: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Signature<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let part = |name: &str| {
            let mut parts = header.split(',').filter_map(|part| part.split_once('='));
            parts.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
        };
        Some(Self {
            at: part("t")?,
            kid: part("kid")?,
            bytes: URL_SAFE_NO_PAD.decode(part("ed25519")?).ok()?,
        })
    }

    fn is_fresh(&self, now: u64) -> bool {
        let at = self.at.parse::<u64>();
        at.is_ok_and(|at| at.abs_diff(now) <= MOST_OFF)
    }
}

impl<P: Ports<Env: Registry> + Verifies> Subscriptions<P> {
    /// Reads a webhook of one of these subscriptions that has come to the worker, if this server has
    /// signed it within five minutes: `signature` is its header `Webhook-Signature`, and `body` is its
    /// body as it came. It may come again, also when it was answered. Once all of it is done, the
    /// answer is `{"done": true}`; else it is told again.
    ///
    /// On Cloudflare, a worker reaches itself with the compatibility flag `global_fetch_strictly_public`
    /// alone.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the status 401 for what this server has not signed, or not so of late,
    /// and 403 for what is for another receiver; [`Error::Unavailable`].
    pub async fn received(&self, id: &str, signature: &str, body: &[u8]) -> Result<Notice, Error> {
        const UNSIGNED: Refusal = Refusal::Unauthorized("the webhook is not signed by this server");
        let signature = Signature::parse(signature).ok_or(UNSIGNED)?;
        let ports = &self.streams.ports;
        if !signature.is_fresh(ports.now().saturating_div(1000)) {
            return Err(Refusal::Unauthorized("the webhook was not signed of late").into());
        }
        let keys = self.keys().await?.keys;
        let key = keys.iter().find(|key| key.kid == signature.kid);
        let key = key.ok_or(UNSIGNED)?;
        let signed = [signature.at.as_bytes(), b".", body].concat();
        if !ports.verify(&key.x, &signature.bytes, &signed).await {
            return Err(UNSIGNED.into());
        }
        let notice: Notice = serde_json::from_slice(body)?;
        match notice.subscription_id == id {
            true => Ok(notice),
            false => Err(Refusal::Forbidden("the webhook is of another subscription").into()),
        }
    }

    async fn keys(&self) -> Result<Keys, Error> {
        let streams = &self.streams;
        let root = streams.root(&self.project, "the project").await?;
        let peer = Peer::Shard(key_shard(&root, streams.shards()?));
        let message = ask::say(&OfRoot { root });
        let asked = control::ask(&streams.ports, peer, ask::JWKS, message);
        match asked.await? {
            (200, body) => super::subscriptions::read(&body),
            (status, body) => Err(Error::said(status, &body)),
        }
    }
}
