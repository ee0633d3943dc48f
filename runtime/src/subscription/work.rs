//! What a subscription asks the directory and streams, besides answering questions.

use std::rc::Rc;

use super::backfill::Step;
use super::copy::From;
use super::wake::back_off;
use super::{Subscription, Work};
use crate::directory::shard_of;
use crate::machine::{Peer, Posts, Signs};
use crate::object::wake::FLOOR;
use crate::patience::together;
use crate::protocol::ask::{self, Fed, Life, Link, Listed, OfSubscription, Tail};
use crate::protocol::error::Error;

/// A stream that is copied itself is asked again after so many milliseconds, and once more: it has
/// asked meanwhile whether those who copied it still do.
const RECONSIDER: [u64; 2] = [100, 1_000];

/// So many objects are asked at once.
const AT_ONCE: usize = 50;

/// After so many questions the rest waits for the alarm: the platform counts them.
const MOST_QUESTIONS: usize = 600;

impl<P: Signs + Posts> Subscription<P> {
    /// Looks for streams that are there already, if that is not done. It begins in this turn.
    pub(super) fn fill(self: &Rc<Self>) {
        let has_steps = self.core.borrow_mut().has_steps();
        if has_steps != Ok(true) || !self.filling.begin(self.ports.now()) {
            return;
        }
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let outcome = this.fill_on().await;
            this.finished(&this.filling, outcome);
            this.follow();
            this.arm_surely().await;
        });
    }

    async fn fill_on(&self) -> Result<(), Error> {
        let mut questions = 0usize;
        loop {
            let next = self.core.borrow_mut().next_step(shard_of)?;
            let Some((life, step)) = next else {
                return Ok(());
            };
            let asked = self.do_step(&life, step).await?;
            questions = questions.saturating_add(asked);
            if questions >= MOST_QUESTIONS {
                return Ok(());
            }
        }
    }

    /// Does a step. Says how many objects were asked.
    async fn do_step(&self, life: &Life, step: Step) -> Result<usize, Error> {
        match step {
            Step::Feed(target, feed) => {
                let question = ask::say(&feed);
                let mut fed = self.feed(&target, question.clone()).await?;
                for wait in RECONSIDER {
                    if fed == Fed::IsSource {
                        self.ports.sleep(wait).await;
                        fed = self.feed(&target, question.clone()).await?;
                    }
                }
                let refusal = self.core.borrow_mut().fed(life, &fed, self.ports.now())?;
                if let Some(error) = refusal {
                    self.refuse(life, error)?;
                }
                Ok(1)
            }
            Step::Watch(shards, watch) => {
                let question = ask::say(&watch);
                let heard = self.tell_shards(&shards, ask::WATCH, &question).await;
                if heard.len() < shards.len() {
                    return Err(Error::Unavailable("the directory does not answer".into()));
                }
                self.core.borrow_mut().watched(life, self.ports.now())?;
                Ok(shards.len())
            }
            Step::Place(paths) => {
                let tails = self.tails(&paths).await?;
                let now = self.ports.now();
                let refusal = self.core.borrow_mut().placed(life, &tails, now)?;
                if let Some(error) = refusal {
                    self.refuse(life, error)?;
                    return Ok(paths.len());
                }
                self.measure("link", "ok", count(tails.len()), 0);
                match tails.len() < paths.len() {
                    true => Err(Error::Unavailable("some streams do not answer".into())),
                    false => Ok(paths.len()),
                }
            }
            Step::List(shard, list) => {
                let answer = self
                    .ports
                    .ask_in_time(Peer::Shard(shard), ask::LIST, ask::say(&list))
                    .await?;
                let listed: Listed = ask::answered(&answer)?;
                let wanted = self.core.borrow_mut().wanted(&listed.streams)?;
                let tails = self.tails(&wanted).await?;
                if tails.len() < wanted.len() {
                    return Err(Error::Unavailable("some streams do not answer".into()));
                }
                let now = self.ports.now();
                let step = (shard, &list);
                self.core
                    .borrow_mut()
                    .listed(life, step, &listed, &tails, now)?;
                if !tails.is_empty() {
                    self.measure("link", "ok", count(tails.len()), 0);
                }
                Ok(wanted.len().saturating_add(1))
            }
        }
    }

    /// The tails of those of the streams that answer. From now on they tell of themselves.
    pub(super) async fn tails(&self, paths: &[String]) -> Result<Vec<(String, Tail)>, Error> {
        let (root, name, copying, interests) = {
            let mut core = self.core.borrow_mut();
            let copying = core.copying()?;
            (
                core.root()?,
                core.names().0,
                copying,
                core.interests(paths)?,
            )
        };
        let copies = copying.is_some();
        let history = copying.is_some_and(|copying| copying.from == From::Start);
        let mut tails = Vec::with_capacity(paths.len());
        let links: Vec<_> = paths.iter().zip(interests).collect();
        for some in links.chunks(AT_ONCE) {
            let asked = some.iter().map(|(path, interest)| async {
                let stream = root.stream(path)?;
                let peer = Peer::Stream(&stream);
                let question = ask::say(&Link {
                    subscription: name.clone(),
                    interest: *interest,
                    history,
                });
                let answer = self.ports.ask_in_time(peer, ask::LINK, question).await?;
                let tail = ask::answered::<Tail>(&answer)?;
                match copies && tail.life.is_some() && tail.source.is_none() {
                    true => Err(Error::Unavailable(format!("{peer} cannot be copied yet"))),
                    false => Ok(tail),
                }
            });
            for ((path, _), tail) in some.iter().zip(together(asked).await) {
                match tail {
                    Ok(tail) => tails.push(((*path).clone(), tail)),
                    Err(error) => self.complain(&error),
                }
            }
        }
        Ok(tails)
    }

    /// Has shards of the directory forget subscriptions of the name that were deleted, and frees the
    /// storage when nothing is left. It begins in this turn.
    pub(super) fn leave(self: &Rc<Self>) {
        let farewell = self.core.borrow_mut().farewell();
        if !matches!(farewell, Ok(Some(_))) || !self.leaving.begin(self.ports.now()) {
            return;
        }
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let outcome = this.leave_all().await;
            this.finished(&this.leaving, outcome);
            this.follow();
            this.arm_surely().await;
        });
    }

    async fn leave_all(&self) -> Result<(), Error> {
        loop {
            let next = self.core.borrow_mut().farewell()?;
            let Some((row, farewell)) = next else {
                return self.free().await;
            };
            let question = ask::say(&OfSubscription {
                subscription: farewell.name.clone(),
                life: farewell.life.clone(),
            });
            // Also where the directory is switched off: it may be switched on again.
            let shards = &farewell.shards;
            let heard = self.tell_shards(shards, ask::UNWATCH, &question).await;
            let unfed = self.unfeed(farewell.target.as_deref(), question).await;
            self.core
                .borrow_mut()
                .forgotten(row, &farewell.life, &heard, unfed.is_ok())?;
            if heard.len() < farewell.shards.len() {
                return Err(Error::Unavailable("the directory does not answer".into()));
            }
            unfed?;
        }
    }

    /// Has the target of copies forget the subscription.
    async fn unfeed(&self, target: Option<&str>, question: String) -> Result<(), Error> {
        let Some(target) = target else {
            return Ok(());
        };
        if self.pump.feeding.get() > 0 {
            // Or what is asked of the target now would be the last that it hears.
            return Err(Error::Unavailable("the target is being asked".into()));
        }
        let peer = Peer::Stream(target);
        match self.ports.ask_in_time(peer, ask::UNFEED, question).await? {
            (200..=299 | 404, _) => Ok(()),
            (status, _) => Err(Error::Unavailable(format!("{peer} answers {status}"))),
        }
    }

    /// Gives back the space when nothing is left. The subscription may be created anew while this is
    /// awaited, but the call itself has had its effect before.
    async fn free(&self) -> Result<(), Error> {
        if !self.core.borrow_mut().leaves_nothing()? {
            return Ok(());
        }
        let freed = self.ports.free_storage();
        self.core.borrow_mut().freed();
        freed.await.map_err(Error::Unavailable)
    }

    /// Tells shards something. Gives those that have heard it.
    async fn tell_shards(&self, shards: &[u32], question: &str, body: &str) -> Vec<u32> {
        let asked = shards.iter().map(|&shard| async move {
            let answer = self
                .ports
                .ask_in_time(Peer::Shard(shard), question, body.to_owned())
                .await;
            match answer {
                Ok((200..=299, _)) => return Some(shard),
                // There is no directory that could tell anybody of it.
                Err(Error::Misconfigured(_)) if question == ask::UNWATCH => return Some(shard),
                Ok((status, _)) => self.complain(&Error::Unavailable(format!(
                    "shard {shard} of the directory answers {status}"
                ))),
                Err(error) => self.complain(&error),
            }
            None
        });
        together(asked).await.into_iter().flatten().collect()
    }

    fn finished(&self, work: &Work, outcome: Result<(), Error>) {
        let now = self.ports.now();
        work.is_on.set(false);
        match outcome {
            Ok(()) => {
                work.failures.set(0);
                work.at.set(now.saturating_add(FLOOR));
            }
            Err(error) => {
                self.complain(&error);
                let failures = work.failures.get().saturating_add(1);
                work.failures.set(failures);
                let wait = back_off(failures, self.ports.random());
                work.at.set(now.saturating_add(wait));
            }
        }
    }
}

impl Work {
    /// Has it go on at once, whatever has failed before.
    pub(super) fn hurry(&self) {
        self.at.set(0);
    }

    /// Begins it, unless it is under way, or has to wait.
    fn begin(&self, now: u64) -> bool {
        now >= self.at.get() && !self.is_on.replace(true)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
