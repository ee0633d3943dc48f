//! Wakes that the worker takes itself (sections 7.2 and 7.3).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::subscriptions::{Asked, read};
use super::{Error, Subscriptions};
use crate::auth::project::Registry;
use crate::edge::ports::Ports;
use crate::protocol::offset::Offset;

/// A wake that this worker has, for as long as its lease lasts.
#[derive(Debug)]
pub struct Wake<P> {
    subscriptions: Subscriptions<P>,
    id: String,
    claimed: Claimed,
}

/// What whoever takes a wake is told.
#[derive(Deserialize)]
struct Claimed {
    wake_id: String,
    generation: u64,
    token: String,
    streams: Vec<Pending>,
    #[serde(default)]
    streams_truncated: bool,
    lease_ttl_ms: u64,
}

impl std::fmt::Debug for Claimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        f.debug_struct("Claimed")
            .field("wake_id", &self.wake_id)
            .finish_non_exhaustive()
    }
}

/// A stream that a wake is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pending {
    /// Its path below the root; [`Subscriptions::stream`] takes it.
    pub path: String,
    /// Where to read on.
    #[serde(
        rename = "acked_offset",
        deserialize_with = "super::subscriptions::offset"
    )]
    pub acked: Offset,
    /// Its tail, as far as is known.
    #[serde(
        rename = "tail_offset",
        deserialize_with = "super::subscriptions::offset"
    )]
    pub tail: Offset,
    /// Whether there is something between the two.
    pub has_pending: bool,
}

/// What is said of a wake.
#[derive(Serialize)]
struct Said<'a> {
    wake_id: &'a str,
    generation: u64,
    done: bool,
    acks: Vec<Ack<'a>>,
}

#[derive(Serialize)]
struct Ack<'a> {
    stream: &'a str,
    offset: String,
}

#[derive(Deserialize)]
struct Answered {
    next_wake: bool,
}

impl<P: Ports<Env: Registry>> Subscriptions<P> {
    /// Takes the wake of a subscription of type pull-wake in the name of a worker, if there is
    /// something to do. Nobody else has it until it is [done](Wake::done) or released, or its lease
    /// is over.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]: `ALREADY_CLAIMED` where another one has it, `SUBSCRIPTION_NOT_FOUND`;
    /// [`Error::Unavailable`].
    pub async fn claim(&self, id: &str, worker: &str) -> Result<Option<Wake<P>>, Error> {
        let body = serde_json::json!({ "worker": worker }).to_string();
        let answer = self.ask(id, "claim", Asked::of_body(body)).await;
        let (_, body) = match answer {
            Err(Error::Refused { code, .. }) if code == "NO_PENDING_WORK" => return Ok(None),
            answer => answer?,
        };
        Ok(Some(Wake {
            subscriptions: self.clone(),
            id: id.to_owned(),
            claimed: read(&body)?,
        }))
    }
}

impl<P: Ports<Env: Registry>> Wake<P> {
    /// The streams that it is about: 1000 at most, those with something to do first.
    pub fn streams(&self) -> &[Pending] {
        &self.claimed.streams
    }

    /// Whether there are more streams than it tells of. They are told of next.
    pub fn is_truncated(&self) -> bool {
        self.claimed.streams_truncated
    }

    /// What it is called; the same as in the stream of wakes.
    pub fn id(&self) -> &str {
        &self.claimed.wake_id
    }

    /// How long the lease lasts from the claim, and from each ack.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.claimed.lease_ttl_ms)
    }

    /// Says up to where streams are worked off, all or none of them, and begins the lease anew; also
    /// with nothing to say.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`]: `FENCED` where the lease was over and somebody else has the wake,
    /// `INVALID_OFFSET`; [`Error::Unavailable`], after which it may be said again.
    pub async fn ack(&self, acks: &[(&str, Offset)]) -> Result<(), Error> {
        self.say("ack", acks, false).await.map(drop)
    }

    /// Says the same, and that this was all. Gives whether there is more to do already, which is
    /// another wake.
    ///
    /// # Errors
    ///
    /// As [`Wake::ack`].
    pub async fn done(&self, acks: &[(&str, Offset)]) -> Result<bool, Error> {
        let body = self.say("ack", acks, true).await?;
        Ok(read::<Answered>(&body)?.next_wake)
    }

    /// Leaves the rest to whoever takes it next.
    ///
    /// # Errors
    ///
    /// As [`Wake::ack`].
    pub async fn release(&self) -> Result<(), Error> {
        self.say("release", &[], false).await.map(drop)
    }

    async fn say(
        &self,
        question: &'static str,
        acks: &[(&str, Offset)],
        done: bool,
    ) -> Result<Vec<u8>, Error> {
        let acks = acks.iter().map(|(stream, offset)| Ack {
            stream,
            offset: offset.to_string(),
        });
        let said = Said {
            wake_id: &self.claimed.wake_id,
            generation: self.claimed.generation,
            done,
            acks: acks.collect(),
        };
        let asked = Asked {
            token: Some(self.claimed.token.clone()),
            ..Asked::of_body(serde_json::to_string(&said)?)
        };
        let (_, body) = self.subscriptions.ask(&self.id, question, asked).await?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_told() {
        let claimed: Claimed = serde_json::from_str(
            r#"{"wake_id":"w","generation":1,"token":"secret","streams":[],"lease_ttl_ms":1}"#,
        )
        .unwrap();
        assert!(!format!("{claimed:?}").contains("secret"));
    }
}
