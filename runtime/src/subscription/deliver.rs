//! Telling receivers and workers of a wake (sections 7.1 and 7.2). Requests go out while questions are
//! answered; what comes back counts only if the wake is still the same.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Subscription;
use super::config::Delivery;
use super::telling::{Job, Outcome};
use crate::directory::key_shard;
use crate::machine::{Peer, Posts, Signs};
use crate::patience::{self, within};
use crate::protocol::ask::{self, Event, OfRoot, SigningKey};
use crate::protocol::error::Error;
use crate::protocol::header;

/// How long a receiver may take to answer, in milliseconds, if leases are not shorter.
const MOST: u64 = 30_000;

/// How long a receiver may fail before nothing is sent to it any more, if what is set is malformed.
const PARK_AFTER: u64 = 3 * 86_400_000;

/// What came of an attempt, how many streams it told of, and how long the request was.
type Attempt = (Outcome, u64, usize);

impl<P: Signs + Posts> Subscription<P> {
    /// Tells somebody, if there is anybody to tell. It begins in this turn.
    pub(super) fn tell(self: &Rc<Self>) {
        let now = self.ports.now();
        let begun = self.core.borrow_mut().begin(now);
        match begun {
            Ok(Some(job)) => {
                let this = Rc::clone(self);
                self.ports.spawn(async move { this.deliver(job).await });
            }
            Ok(None) => {}
            Err(error) => self.complain(&error),
        }
    }

    async fn deliver(self: Rc<Self>, job: Job) {
        if job.is_first {
            self.measure("wake", "ok", job.lag, 0);
        }
        let attempt = match &job.delivery {
            Delivery::Webhook(url) => self.post(&job, url).await,
            Delivery::PullWake(path) => self.announce(&job, path).await,
            Delivery::Copy(_) => Err(Error::UnknownRoute),
        };
        let (outcome, count, bytes) = attempt.unwrap_or_else(|error| {
            let what = error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned);
            (Outcome::Failed(what), 0, 0)
        });
        if let Outcome::Failed(_) = outcome {
            // Receivers may know by now that the key is used no more.
            self.key.take();
        }
        let operation = if job.failures > 0 { "retry" } else { "deliver" };
        let name = outcome.name();
        let (now, random) = (self.ports.now(), self.ports.random());
        let park_after = self.settings.park_after.clone().unwrap_or(PARK_AFTER);
        let said = self.settings.is_dev.then(|| job.said(&outcome));
        let finished = self
            .core
            .borrow_mut()
            .finish(&job, outcome, park_after, random, now);
        if let Some(said) = said {
            let next = self.core.borrow_mut().next_attempt(&job);
            let next = next.map(|at| format!("; again in {} ms", at.saturating_sub(now)));
            let next = next.unwrap_or_default();
            self.ports.log(format_args!("{said}{next}"));
        }
        self.measure(operation, name, count, bytes);
        match finished {
            Ok(()) => self.follow(),
            // It is tried again when the alarm comes.
            Err(error) => self.complain(&error),
        }
        self.arm_surely().await;
    }

    /// Asks a receiver.
    async fn post(&self, job: &Job, url: &str) -> Result<Attempt, Error> {
        let key = self.signing_key().await?;
        let now = self.ports.now();
        let parcel = self.core.borrow_mut().parcel(job, now)?;
        let Some(parcel) = parcel else {
            return Ok((Outcome::Failed("the wake is over".to_owned()), 0, 0));
        };
        let seconds = now.checked_div(1000).unwrap_or(0);
        let signed = format!("{seconds}.{}", parcel.body);
        let signature = self.ports.sign(&key.private, signed.as_bytes());
        let signature = within(self.ports.sleep(patience::OBJECT), signature).await;
        let signature = signature.unwrap_or_else(|| Err("nothing is signed".to_owned()));
        let signature = URL_SAFE_NO_PAD.encode(signature.map_err(Error::Unavailable)?);
        let headers = [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (
                "Webhook-Signature",
                format!("t={seconds},kid={},ed25519={signature}", key.kid),
            ),
        ];
        let count = u64::try_from(parcel.sent.len()).unwrap_or(u64::MAX);
        let (since, length) = (self.ports.now(), parcel.body.len());
        let limit = job.lease_ttl.min(MOST);
        let answer = self.ports.post(url, &headers, parcel.body.into_bytes());
        let answer = within(self.ports.sleep(limit), answer).await;
        let outcome = match answer {
            None => Outcome::Failed(format!("the receiver did not answer within {limit} ms")),
            Some(Err(error)) => Outcome::Failed(error),
            Some(Ok((200..=299, body))) if is_done(&body) => Outcome::Done(parcel.sent),
            Some(Ok((200..=299, _))) => Outcome::Accepted { since },
            Some(Ok((status, _))) => Outcome::Failed(format!("the receiver answered {status}")),
        };
        Ok((outcome, count, length))
    }

    /// Appends an event for workers.
    async fn announce(&self, job: &Job, path: &str) -> Result<Attempt, Error> {
        let root = self.core.borrow_mut().root()?;
        let now = self.ports.now();
        let message = self.core.borrow_mut().event(job, now);
        let Some(message) = message else {
            return Ok((Outcome::Failed("the wake is over".to_owned()), 0, 0));
        };
        let name = root.stream(path)?;
        let said = ask::say(&Event { message });
        let length = said.len();
        let answer = self
            .ports
            .ask_in_time(Peer::Stream(&name), ask::EVENT, said)
            .await?;
        let outcome = match answer {
            (200..=299, _) => Outcome::Announced,
            (status, body) => Outcome::Failed(format!(
                "the wake stream {path:?} takes no event: {}",
                reason(status, &body)
            )),
        };
        Ok((outcome, 1, length))
    }

    /// The key to sign with.
    async fn signing_key(&self) -> Result<SigningKey, Error> {
        let now = self.ports.now();
        let cached = self.key.borrow().clone();
        match cached.filter(|(_, until)| now < *until) {
            Some((key, _)) => Ok(key),
            None => self.present_key().await,
        }
    }

    /// The same, as the directory knows it now.
    pub(super) async fn present_key(&self) -> Result<SigningKey, Error> {
        let now = self.ports.now();
        let root = self.core.borrow_mut().root()?;
        let shard = key_shard(&root, self.shards()?);
        let question = ask::say(&OfRoot { root });
        let answer = self
            .ports
            .ask_in_time(Peer::Shard(shard), ask::SIGNING_KEY, question)
            .await?;
        let key: SigningKey = ask::answered(&answer)?;
        let until = now.saturating_add(key.good_for);
        *self.key.borrow_mut() = Some((key.clone(), until));
        Ok(key)
    }
}

/// Whether a receiver says that it has done all.
fn is_done(body: &[u8]) -> bool {
    let said = serde_json::from_slice::<Value>(body);
    said.is_ok_and(|said| said.get("done") == Some(&Value::Bool(true)))
}

/// Why an object refuses something.
fn reason(status: u16, body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    match said.pointer("/error/message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => format!("its object answers {status}"),
    }
}

impl Job {
    /// A line about an attempt.
    fn said(&self, outcome: &Outcome) -> String {
        let place = match &self.delivery {
            Delivery::Webhook(url) => format!("POST {url}"),
            Delivery::PullWake(path) => format!("event to {path}"),
            Delivery::Copy(copying) => format!("copies to {}", copying.target),
        };
        let what = match outcome {
            Outcome::Failed(error) => error.trim_end_matches('.'),
            other => other.name(),
        };
        format!(
            "{}, generation {}: {place}: {what}",
            self.id, self.generation
        )
    }
}

impl Outcome {
    /// What it is called in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Accepted { .. } => "accepted",
            Self::Announced => "ok",
            Self::Failed(_) => "failed",
        }
    }
}
