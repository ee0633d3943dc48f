//! From a question to a verb of the subscription, and back to an answer.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::json;

use super::acks::{Said, Saying};
use super::config::{Config, Delivery, Wanted, added};
use super::copy::Copying;
use super::describe::Page;
use super::manage::Birth;
use super::record::Key;
use super::{Core, Subscription};
use crate::directory::shard_of;
use crate::machine::{Posts, Signs};
use crate::patience::within;
use crate::protocol::ask::{self, Call, TOLD, Tail, Told};
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
    /// `delete`, `add`, `remove`, `callback`, `claim`, `ack`, `release` and `retry`, each a [`Call`]; the
    /// edge asks `target` for itself, into which stream it copies.
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
            let (message, content) = ask::apart(body);
            let told: Told = ask::hear(message)?;
            let kept = self.hear(&told, content).await?;
            return Ok(document(200, ask::say(&kept)));
        }
        let call: Call = ask::hear(body)?;
        if let Some(target) = &call.into {
            let copying = self.core.borrow_mut().copying()?;
            let copying = copying.filter(|copying| copying.target == *target);
            copying.ok_or(SubscriptionError::NotFound)?;
        }
        match question {
            "create" => self.create(&call).await,
            "get" => self.get(&call).await,
            "target" => self.target(),
            "delete" => self.delete(),
            "add" => self.add(&call).await,
            "remove" => {
                let path = call.rest.trim_matches('/');
                self.core.borrow_mut().remove(path, self.ports.now())?;
                self.pump.positions.borrow_mut().forget(path);
                self.filling.hurry();
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
        check_leave(wanted.config.delivery.copying(), call)?;
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
            Delivery::PullWake(_) | Delivery::Copy(_) => Ok(()),
        };
        let now = self.ports.now();
        let is_new = self
            .core
            .borrow_mut()
            .create(call, wanted, birth, check, now)?;
        if is_new {
            // Nothing that was left of another one keeps this one waiting.
            self.filling.hurry();
        }
        self.complete().await?;
        let status = if is_new { 201 } else { 200 };
        self.describe(status, call, &Page::default()).await
    }

    /// Waits until all streams that were there are linked, or it is found out that a subscription that
    /// copies cannot do what it was created for.
    async fn complete(self: &Rc<Self>) -> Result<(), Error> {
        let life = self.core.borrow_mut().life()?;
        let _creating = Creating::begin(&self.creating);
        self.follow_up().await?;
        self.wait(|core| Ok(!core.has_steps()?)).await?;
        let refusal = self.refusal.borrow();
        match refusal.as_ref().filter(|(of, _)| *of == life) {
            Some((_, error)) => Err(error.clone().into()),
            None => Ok(()),
        }
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

    async fn get(&self, call: &Call) -> Result<Reply, Error> {
        let page = Page::parse(&call.rest)?;
        let is_copy = self.core.borrow_mut().copying()?.is_some();
        if is_copy {
            let paths = self.core.borrow_mut().paths(&page)?;
            self.ask_positions(&paths).await?;
        }
        self.describe(200, call, &page).await
    }

    fn target(&self) -> Result<Reply, Error> {
        let copying = self.core.borrow_mut().copying()?;
        let copying = copying.ok_or(SubscriptionError::NotFound)?;
        let target = json!({ "target_stream": copying.target });
        Ok(document(200, ask::say(&target)))
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
        let positions = self.pump.positions.borrow();
        let shown = core.describe(&call.base, kid, page, &positions, self.pump.failures())?;
        Ok(document(status, shown.to_string()))
    }

    fn delete(&self) -> Result<Reply, Error> {
        self.core.borrow_mut().delete(shard_of)?;
        self.leaving.hurry();
        Ok(Reply::new(204))
    }

    async fn add(self: &Rc<Self>, call: &Call) -> Result<Reply, Error> {
        let copying = self.core.borrow_mut().copying()?;
        check_leave(copying.as_ref(), call)?;
        let paths = added(&call.body, &call.root)?;
        let now = self.ports.now();
        let new = self.core.borrow_mut().add(&paths, now)?;
        self.filling.hurry();
        self.follow_up().await?;
        if !self.wait(|core| Ok(!core.has_unplaced()?)).await? {
            return Err(SubscriptionError::NoAnswer.into());
        }
        let refused = self.core.borrow_mut().refused(&paths)?;
        let Some(error) = refused else {
            return Ok(Reply::new(204));
        };
        // Of the streams of a request all are linked or none.
        for path in &new {
            let now = self.ports.now();
            self.core.borrow_mut().remove(path, now)?;
        }
        Err(error.into())
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

/// Who asks for copies has to be known to be allowed to read what is copied, and to write where it goes.
fn check_leave(copying: Option<&Copying>, call: &Call) -> Result<(), SubscriptionError> {
    match copying.filter(|_| !call.may_copy) {
        Some(copying) => Err(SubscriptionError::Unchecked {
            target: copying.target.clone(),
        }),
        None => Ok(()),
    }
}

/// A request that waits for a subscription to be complete, for as long as this is there.
struct Creating<'a>(&'a Cell<u32>);

impl<'a> Creating<'a> {
    fn begin(count: &'a Cell<u32>) -> Self {
        count.set(count.get().saturating_add(1));
        Self(count)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
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
