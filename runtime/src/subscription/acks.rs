//! What workers and receivers say: that they take a wake, what of it is done, that they let go of it
//! (sections 7.1 to 7.3). A cursor never goes back, nor beyond the tail; of the acks of a request all
//! count or none.

use serde_json::{Value, json};

use super::config::Fields;
use super::core::{Core, Turn};
use super::links::{self, Link};
use super::record::Stage;
use super::telling::{entries, shown};
use super::token;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// So many streams are asked for their tails before somebody is told that there is nothing.
const MOST_ASKED: usize = 64;

/// The longest name of a worker, in bytes.
const MAX_WORKER: usize = 256;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// By a receiver of webhooks: what is done.
    Callback,
    /// By a worker: what is done.
    Ack,
    /// By a worker: that it lets go.
    Release,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It is so; with what is answered, if anything is.
    Yes(Option<Value>),
    /// These streams have to be asked for their tails first.
    Ask(Vec<String>),
}

impl<S: Storage> Core<S> {
    /// Gives the wake to a worker, if there is one or has to be. Where nothing is pending, streams
    /// behind the path `after` have to be asked, unless that `was_asked`.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`SubscriptionError::Invalid`],
    /// [`SubscriptionError::AlreadyClaimed`], [`SubscriptionError::NoPendingWork`],
    /// [`Error::TooLarge`], [`Error::Storage`], [`Error::Newer`].
    pub fn claim(
        &mut self,
        body: &str,
        was_asked: bool,
        after: &str,
        now: u64,
    ) -> Result<Said, Error> {
        let said = self.turn(now, |turn| {
            turn.requires_workers()?;
            let worker = worker(body)?;
            if let Some(Stage::Held { holder, .. }) = turn.record.wake.as_ref().map(|w| &w.stage) {
                return Err(SubscriptionError::AlreadyClaimed {
                    holder: holder.clone().unwrap_or_default(),
                    generation: turn.record.generation,
                }
                .into());
            }
            if turn.book.pending == 0 {
                let asked = match was_asked {
                    true => Vec::new(),
                    false => turn.askable(after)?,
                };
                return match asked.is_empty() {
                    true => Err(SubscriptionError::NoPendingWork.into()),
                    false => Ok(Said::Ask(asked)),
                };
            }
            turn.record.hold(Some(worker), now);
            Ok(Said::Yes(None))
        })?;
        if let Said::Ask(_) = said {
            return Ok(said);
        }
        let (storage, present) = self.present()?;
        let (entries, is_all) = entries(storage, present)?;
        let record = &present.record;
        let mut answer = json!({
            "wake_id": record.wake_id(),
            "generation": record.generation,
            "token": token::make(&record.key, &record.name(), record.generation, now),
            "streams": shown(&entries),
            "lease_ttl_ms": record.config.lease_ttl_ms,
        });
        if let (false, Some(answer)) = (is_all, answer.as_object_mut()) {
            answer.insert("streams_truncated".to_owned(), true.into());
        }
        Ok(Said::Yes(Some(answer)))
    }

    /// Takes note of what the holder of a token says. Where that goes beyond a tail, the stream has
    /// to be asked for it, unless that `was_asked`.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`SubscriptionError::Token`],
    /// [`SubscriptionError::TokenExpired`], [`SubscriptionError::Invalid`],
    /// [`SubscriptionError::Fenced`], [`SubscriptionError::InvalidOffset`], [`Error::TooLarge`],
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn say(
        &mut self,
        saying: Saying,
        token: Option<&str>,
        body: &str,
        was_asked: bool,
        now: u64,
    ) -> Result<Said, Error> {
        self.turn(now, |turn| {
            turn.record.config.requires_wakes()?;
            let generation = token::check(&turn.record.key, &turn.record.name(), token, now)?;
            match saying {
                Saying::Callback => turn.requires_webhook()?,
                Saying::Ack | Saying::Release => turn.requires_workers()?,
            }
            let said = Heard::parse(body)?;
            let is_current = generation == turn.record.generation
                && said.generation == generation
                && turn.record.wake_id().as_ref() == Some(&said.wake_id);
            if !is_current {
                return Err(SubscriptionError::Fenced.into());
            }
            if saying == Saying::Release {
                turn.record.rest();
                return Ok(Said::Yes(None));
            }
            let cursors = match turn.check(&said.acks)? {
                Checked::Good(cursors) => cursors,
                Checked::Beyond(paths, _) if !was_asked => return Ok(Said::Ask(paths)),
                Checked::Beyond(_, why) => {
                    return Err(SubscriptionError::InvalidOffset(why).into());
                }
            };
            for (path, before, acked) in cursors {
                let after = Link {
                    acked,
                    ..before.clone()
                };
                if after != before {
                    turn.set(&path, Some(&before), Some(after));
                }
            }
            if !said.done {
                turn.record.extend(now);
                return Ok(Said::Yes(Some(json!({ "ok": true, "next_wake": false }))));
            }
            turn.record.rest();
            turn.settle()?;
            let next_wake = turn.record.wake.is_some();
            Ok(Said::Yes(Some(
                json!({ "ok": true, "next_wake": next_wake }),
            )))
        })
    }
}

/// What is wanted of cursors: each with its path, and the link as it is.
enum Checked {
    Good(Vec<(String, Link, u64)>),
    Beyond(Vec<String>, String),
}

impl<S: Storage> Turn<'_, S> {
    fn requires_workers(&self) -> Result<(), SubscriptionError> {
        self.record.config.requires_wakes()?;
        match self.record.is_webhook() {
            true => Err(SubscriptionError::invalid(
                "the subscription",
                "is of type webhook: its receiver says what is done through callback",
            )),
            false => Ok(()),
        }
    }

    fn requires_webhook(&self) -> Result<(), SubscriptionError> {
        match self.record.is_webhook() {
            true => Ok(()),
            false => Err(SubscriptionError::invalid(
                "the subscription",
                "is of type pull-wake: its workers use claim, ack and release",
            )),
        }
    }

    /// Some of the streams that could have something pending nobody has told of yet.
    fn askable(&self, after: &str) -> Result<Vec<String>, Error> {
        let mut found = links::page(self.storage, after, MOST_ASKED)?;
        if found.len() < MOST_ASKED {
            let more = MOST_ASKED.saturating_sub(found.len());
            let start = links::page(self.storage, "", more)?;
            found.extend(start.into_iter().filter(|(path, _)| path.as_str() <= after));
        }
        let there = found.into_iter().filter(|(_, link)| !link.is_gone());
        Ok(there.map(|(path, _)| path).collect())
    }

    fn check(&self, acks: &[(String, Offset)]) -> Result<Checked, Error> {
        let mut good: Vec<(String, Link, u64)> = Vec::new();
        let (mut beyond, mut why) = (Vec::new(), String::new());
        let refused = |why: String| Err(SubscriptionError::InvalidOffset(why).into());
        for (path, offset) in acks {
            let link = self.link(path)?.filter(|link| !link.is_gone());
            let Some(link) = link else {
                return refused(format!("the stream {path:?} is none of this subscription"));
            };
            let position = offset.position();
            if position < link.acked {
                return refused(format!(
                    "{offset} is before the cursor of {path:?}, which does not go back"
                ));
            }
            if position > link.tail.unwrap_or(0) {
                why = format!("{offset} is behind the tail of {path:?}");
                beyond.push(path.clone());
            }
            match good.iter_mut().find(|(other, ..)| other == path) {
                Some((_, _, acked)) => *acked = position.max(*acked),
                None => good.push((path.clone(), link, position)),
            }
        }
        Ok(match beyond.is_empty() {
            true => Checked::Good(good),
            false => Checked::Beyond(beyond, why),
        })
    }
}

/// The body of a callback, an ack or a release. Fields that are not known are passed over: they are
/// written by programs of which there are many.
struct Heard {
    wake_id: String,
    generation: u64,
    acks: Vec<(String, Offset)>,
    done: bool,
}

impl Heard {
    fn parse(body: &str) -> Result<Self, Error> {
        let mut fields = Fields::parse(body)?;
        let wake_id = fields.text("wake_id", usize::MAX)?;
        let wake_id =
            wake_id.ok_or_else(|| SubscriptionError::invalid("wake_id", "must be there"))?;
        let generation = fields.take("generation");
        let generation = generation
            .and_then(|value| value.as_u64())
            .ok_or_else(|| SubscriptionError::invalid("generation", "must be an integer"))?;
        let done = fields.flag("done")?;
        let acks = match fields.take("acks") {
            None => Vec::new(),
            Some(Value::Array(acks)) => acks
                .iter()
                .enumerate()
                .map(|(n, ack)| parse_ack(n, ack))
                .collect::<Result<_, _>>()?,
            Some(_) => {
                let rule = "must be an array of {\"stream\", \"offset\"}";
                return Err(SubscriptionError::invalid("acks", rule).into());
            }
        };
        Ok(Self {
            wake_id,
            generation,
            acks,
            done,
        })
    }
}

fn parse_ack(n: usize, ack: &Value) -> Result<(String, Offset), SubscriptionError> {
    let text = |name: &str| ack.get(name).and_then(Value::as_str);
    let missing = |name: &str| {
        SubscriptionError::invalid(format!("acks[{n}].{name}"), "must be there, and be a text")
    };
    let path = text("stream").or_else(|| text("path"));
    let path = path.ok_or_else(|| missing("stream"))?;
    let token = text("offset").ok_or_else(|| missing("offset"))?;
    let offset = token.parse::<Offset>().map_err(|_| {
        SubscriptionError::InvalidOffset(format!(
            "acks[{n}].offset is no offset of the stream {path:?}: take one that came with what was read"
        ))
    })?;
    Ok((path.trim_matches('/').to_owned(), offset))
}

fn worker(body: &str) -> Result<String, Error> {
    let mut fields = Fields::parse(body)?;
    let worker = fields.text("worker", MAX_WORKER)?;
    let worker = worker.filter(|worker| !worker.is_empty());
    let rule = "must be there: the name of the worker";
    Ok(worker.ok_or_else(|| SubscriptionError::invalid("worker", rule))?)
}
