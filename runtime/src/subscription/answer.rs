//! From a question to a verb of the subscription, and back to an answer.

use std::rc::Rc;

use super::acks::{Said, Saying};
use super::config::{Config, Delivery, Wanted, added};
use super::describe::Page;
use super::manage::Birth;
use super::record::Key;
use super::{Core, Subscription};
use crate::directory::shard_of;
use crate::machine::{Posts, Signs};
use crate::patience::within;
use crate::protocol::ask::{self, Call, Kept, TOLD, Tail, Told};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::reply::Reply;
use crate::protocol::subscription_error::SubscriptionError;
use crate::protocol::webhook_url;

/// How long a request waits until all streams are linked, in milliseconds.
const PATIENCE: u64 = 10_000;
/// How often it looks.
const PERIOD: u64 = 20;

/// How long streams may take to say where their tails are while a worker waits for that.
const TAILS: u64 = 5_000;

impl<P: Signs + Posts> Subscription<P> {
    /// Answers a question; see [`crate::protocol::ask`]. Those that clients ask are `create`, `get`,
    /// `delete`, `add`, `remove`, `callback`, `claim`, `ack`, `release` and `retry`, each a [`Call`].
    pub async fn answer(self: &Rc<Self>, question: &str, body: &[u8]) -> Reply {
        let outcome = self.carry_out(question, body).await;
        let outcome = match self.follow_up().await {
            Ok(()) => outcome,
            Err(error) => outcome.and(Err(error)),
        };
        outcome.unwrap_or_else(|error| {
            if error.detail().is_some() {
                self.complain(&error);
            }
            Reply::refused(&error)
        })
    }

    /// Begins what has to be done now, and sets the alarm for what has to be later.
    async fn follow_up(self: &Rc<Self>) -> Result<(), Error> {
        self.follow();
        self.arm().await
    }

    async fn carry_out(self: &Rc<Self>, question: &str, body: &[u8]) -> Result<Reply, Error> {
        if question == TOLD {
            let told: Told = ask::hear(body)?;
            let now = self.ports.now();
            let keep = self.core.borrow_mut().told(&told, now)?;
            return Ok(document(200, ask::say(&Kept::is(keep))));
        }
        let call: Call = ask::hear(body)?;
        match question {
            "create" => self.create(&call).await,
            "get" => self.describe(200, &call, &Page::parse(&call.rest)?).await,
            "delete" => self.delete(),
            "add" => self.add(&call).await,
            "remove" => {
                let path = call.rest.trim_matches('/');
                self.core.borrow_mut().remove(path, self.ports.now())?;
                Ok(Reply::new(204))
            }
            "retry" => {
                self.core.borrow_mut().retry(self.ports.now())?;
                Ok(Reply::new(204))
            }
            "claim" => self.claim(&call).await,
            "callback" => self.say(Saying::Callback, &call).await,
            "ack" => self.say(Saying::Ack, &call).await,
            "release" => self.say(Saying::Release, &call).await,
            _ => Err(Error::UnknownRoute),
        }
    }

    async fn create(self: &Rc<Self>, call: &Call) -> Result<Reply, Error> {
        let wanted = Wanted::parse(&call.body, &call.root)?;
        let shards = self.shards()?;
        let birth = || {
            let secret = || self.ports.secret().map_err(Error::Unavailable);
            Ok(Birth {
                random: self.ports.random(),
                key: Key::new(secret()?, secret()?),
                shards,
            })
        };
        let check = |config: &Config| match &config.delivery {
            Delivery::Webhook(url) => {
                webhook_url::check(url, self.settings.is_dev)?;
                self.settings.park_after.clone().map(drop)
            }
            Delivery::PullWake(_) => Ok(()),
        };
        let now = self.ports.now();
        let is_new = self
            .core
            .borrow_mut()
            .create(call, wanted, birth, check, now)?;
        if is_new {
            // Nothing that was left of another one keeps this one waiting.
            self.filling.at.set(0);
        }
        self.follow_up().await?;
        self.wait(|core| Ok(!core.has_steps()?)).await?;
        let status = if is_new { 201 } else { 200 };
        self.describe(status, call, &Page::default()).await
    }

    /// Waits until something is so, or nobody would wait any longer. Says whether it is.
    async fn wait(
        &self,
        is_so: impl Fn(&mut Core<P::Storage>) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let until = self.ports.now().saturating_add(PATIENCE);
        loop {
            if is_so(&mut self.core.borrow_mut())? {
                return Ok(true);
            }
            if self.ports.now() >= until {
                return Ok(false);
            }
            self.ports.sleep(PERIOD).await;
        }
    }

    async fn describe(&self, status: u16, call: &Call, page: &Page) -> Result<Reply, Error> {
        let is_webhook = self.core.borrow_mut().is_webhook()?;
        let key = match is_webhook {
            true => self.present_key().await.map(Some),
            false => Ok(None),
        };
        let key = key.unwrap_or_else(|error| {
            self.complain(&error);
            None
        });
        let kid = key.as_ref().map(|key| key.kid.as_str());
        let mut core = self.core.borrow_mut();
        let shown = core.describe(&call.base, kid, page)?;
        Ok(document(status, shown.to_string()))
    }

    fn delete(&self) -> Result<Reply, Error> {
        self.core.borrow_mut().delete(shard_of)?;
        self.leaving.at.set(0);
        Ok(Reply::new(204))
    }

    async fn add(self: &Rc<Self>, call: &Call) -> Result<Reply, Error> {
        self.core.borrow_mut().present()?;
        let paths = added(&call.body, &call.root)?;
        let now = self.ports.now();
        self.core.borrow_mut().add(&paths, now)?;
        self.filling.at.set(0);
        self.follow_up().await?;
        match self.wait(|core| Ok(!core.has_unplaced()?)).await? {
            true => Ok(Reply::new(204)),
            false => Err(SubscriptionError::NoAnswer.into()),
        }
    }

    async fn claim(&self, call: &Call) -> Result<Reply, Error> {
        let mut was_asked = false;
        let claimed = loop {
            let now = self.ports.now();
            let after = self.asked.borrow().clone();
            let said = self
                .core
                .borrow_mut()
                .claim(&call.body, was_asked, &after, now);
            match said {
                Ok(Said::Ask(paths)) => {
                    if let Some(last) = paths.last() {
                        self.asked.borrow_mut().clone_from(last);
                    }
                    self.hear_tails(&paths).await?;
                    was_asked = true;
                }
                said => break said,
            }
        };
        let outcome = claimed.as_ref().map_or_else(Error::code, |_| "ok");
        self.measure("claim", outcome, 1, call.body.len());
        said(claimed?)
    }

    async fn say(&self, saying: Saying, call: &Call) -> Result<Reply, Error> {
        let mut was_asked = false;
        let heard = loop {
            let now = self.ports.now();
            let token = call.token.as_deref();
            let said = self
                .core
                .borrow_mut()
                .say(saying, token, &call.body, was_asked, now);
            match said {
                Ok(Said::Ask(paths)) => {
                    self.hear_tails(&paths).await?;
                    was_asked = true;
                }
                said => break said,
            }
        };
        let outcome = heard.as_ref().map_or_else(Error::code, |_| "ok");
        self.measure("ack", outcome, 1, call.body.len());
        said(heard?)
    }

    /// Asks streams for their tails, and takes note of those that come in time.
    async fn hear_tails(&self, paths: &[String]) -> Result<(), Error> {
        let tails = within(self.ports.sleep(TAILS), self.tails(paths)).await;
        let tails: Vec<(String, Tail)> = tails.unwrap_or_else(|| Ok(Vec::new()))?;
        let now = self.ports.now();
        self.core.borrow_mut().hear_tails(&tails, now)
    }
}

fn said(said: Said) -> Result<Reply, Error> {
    match said {
        Said::Yes(Some(answer)) => Ok(document(200, answer.to_string())),
        _ => Ok(Reply::new(204)),
    }
}

/// A JSON document that nobody keeps.
fn document(status: u16, text: String) -> Reply {
    let mut reply = Reply::new(status)
        .with(header::CONTENT_TYPE, "application/json")
        .with(header::CACHE_CONTROL, "no-store");
    reply.body = text.into_bytes();
    reply
}
