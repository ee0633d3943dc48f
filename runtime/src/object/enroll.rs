//! What the directory is told: that the stream is there, and that it has ended. Nobody waits for
//! either. An alarm is set in the turn that makes it necessary, and whatever fails is tried again.
//!
//! An object that comes into memory does not know whether its stream was registered. When an alarm has
//! led to it, it takes it that it was not; otherwise that alarm is still to come.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use super::wake::SAFETY;
use crate::backoff::BackOff;
use crate::directory::shard_of;
use crate::machine::Peer;
use crate::protocol::ask::{self, Life, REGISTER, Registered, UNREGISTER};
use crate::protocol::error::Error;
use crate::stream::farewell::Farewell;
use crate::stream::listing::Listing;

/// The longest wait before a shard is asked again that did not answer as it should, in milliseconds.
const LONGEST_WAIT: u64 = 900_000;

/// When to look again whether there is a directory, in milliseconds: once a day.
const LOOK_AGAIN: u64 = 86_400_000;

/// What is known, as long as the object is in memory.
#[derive(Debug, Default)]
pub(super) struct Enrollment {
    /// Whether the stream is known to be listed, or need not be.
    is_settled: Cell<bool>,
    /// Whether the directory is to be told of the stream now.
    is_wanted: Cell<bool>,
    /// Whether that is so because nobody knows whether it was.
    is_doubtful: Cell<bool>,
    /// Whether it is being told.
    is_busy: Cell<bool>,
    backoff: Cell<BackOff>,
    /// Whether it is being told of one that has ended.
    is_parting: Cell<bool>,
    parting: Cell<BackOff>,
    /// Which of those that have ended it has forgotten.
    forgotten: RefCell<Vec<Life>>,
    /// Whether somebody was told that nobody knows whether there is a directory.
    has_complained: Cell<bool>,
}

impl<P: Ports> Object<P> {
    /// Takes note that the stream was created, in the turn that has done it. Says whether the
    /// directory is to be told.
    pub(super) fn born(&self) -> bool {
        let enrollment = &self.enrollment;
        let is_listed = self.stream.borrow().listed() == Listing::Unsure;
        enrollment.is_wanted.set(is_listed);
        enrollment.is_settled.set(is_listed);
        enrollment.is_doubtful.set(false);
        enrollment.backoff.set(BackOff::default());
        self.complain_of_directory();
        is_listed
    }

    /// Takes note that the stream has ended.
    pub(super) fn has_parted(&self) {
        self.enrollment.is_wanted.set(false);
        self.enrollment.is_settled.set(false);
    }

    /// The stream was used, and so many positions were appended by that. One that was made when there
    /// was no directory is registered; subscriptions are told of what was appended.
    pub(super) fn used(self: &Rc<Self>, appended: u64) {
        if !self.enrollment.is_settled.get() {
            self.enlist(appended);
        }
    }

    fn enlist(self: &Rc<Self>, appended: u64) {
        match &self.settings.shards {
            Ok(Some(_)) => {}
            Ok(None) => return self.enrollment.is_settled.set(true),
            Err(_) => return self.complain_of_directory(),
        }
        if self.stream.borrow().listed() == Listing::Unlisted {
            let now = self.ports.now();
            let noted = self.counted(|object| object.stream.borrow_mut().enlist(appended, now));
            if let Err(error) = noted.0 {
                // Whoever uses it next tries again.
                return self.ports.log(format_args!("{error:?}"));
            }
            self.enrollment.is_wanted.set(true);
            self.arm();
            self.register_behind();
        }
        self.enrollment.is_settled.set(true);
    }

    /// What nobody knows to be done was not.
    pub(super) fn doubt_registration(&self) {
        let enrollment = &self.enrollment;
        if enrollment.is_wanted.get() || self.stream.borrow().listed() != Listing::Unsure {
            return;
        }
        match &self.settings.shards {
            Ok(Some(_)) => {
                enrollment.is_wanted.set(true);
                enrollment.is_doubtful.set(true);
                enrollment.backoff.set(BackOff::of_doubtful());
            }
            Ok(None) => {
                // Whoever uses the stream when there is one again sees to it.
                let now = self.ports.now();
                let noted = self.counted(|object| object.stream.borrow_mut().postpone(now));
                if let Err(error) = noted.0 {
                    self.ports.log(format_args!("{error:?}"));
                }
            }
            Err(_) => self.complain_of_directory(),
        }
    }

    /// Tells the directory of the stream if it is to be told now, and sets the alarm when that is
    /// done, or when to try again is known.
    pub(super) fn register_behind(self: &Rc<Self>) {
        let enrollment = &self.enrollment;
        let is_due = enrollment.backoff.get().not_before() <= self.ports.now();
        if !enrollment.is_wanted.get() || enrollment.is_busy.get() || !is_due {
            return;
        }
        enrollment.is_busy.set(true);
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let outcome = this.register().await;
            this.enrollment.is_busy.set(false);
            if let Err(error) = outcome {
                let mut backoff = this.enrollment.backoff.get();
                if backoff.is_fresh() {
                    this.ports
                        .log(format_args!("a stream is not registered yet: {error:?}"));
                }
                backoff.failed(this.ports.now(), LONGEST_WAIT);
                this.enrollment.backoff.set(backoff);
            }
            // One may have been made meanwhile.
            this.register_behind();
            this.schedule_surely().await;
        });
    }

    /// The same for somebody who waits for it, whatever the directory knows.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] without a stream; what else keeps the directory from it, and then it is
    /// tried again.
    pub(super) async fn register_again(self: &Rc<Self>) -> Result<(), Error> {
        let now = self.ports.now();
        let is_new = self.stream.borrow().listed() == Listing::Unlisted;
        if !self.stream.borrow_mut().enlist(0, now)? {
            return Err(Error::NotFound);
        }
        self.enrollment.is_wanted.set(true);
        if is_new {
            self.arm();
        }
        let outcome = self.register().await;
        if is_new || outcome.is_err() {
            self.schedule_surely().await;
        }
        outcome
    }

    /// Tells the directory of the stream, and takes note of the subscriptions that want to be told of
    /// it.
    ///
    /// # Errors
    ///
    /// Whatever has kept the directory from it; [`Error::Storage`].
    async fn register(self: &Rc<Self>) -> Result<(), Error> {
        let Some(shards) = self.settings.shards.clone()? else {
            return Ok(());
        };
        let now = self.settle()?;
        let Some(register) = self.stream.borrow_mut().registration(now)? else {
            return Ok(());
        };
        let shard = Peer::Shard(shard_of(&register.name, shards));
        let answer = self
            .ports
            .ask_in_time(shard, REGISTER, ask::say(&register))
            .await?;
        let answer: Registered = ask::answered(&answer)?;
        let now = self.settle()?;
        self.before_link();
        let is_worth = self.enrollment.is_doubtful.get();
        let noted = self.counted(|object| {
            let mut stream = object.stream.borrow_mut();
            stream.registered(&register.life, &answer.subscriptions, is_worth, now)
        });
        let links = noted.0.inspect_err(|_| {
            // Some may be in storage that nobody was told of.
            self.tell.forget();
        })?;
        if self.is_alive(&register.life) {
            self.enrollment.is_wanted.set(false);
            self.enrollment.is_doubtful.set(false);
            self.enrollment.backoff.set(BackOff::default());
        }
        self.tell_new(links);
        Ok(())
    }

    fn is_alive(&self, life: &Life) -> bool {
        let stream = self.stream.borrow();
        stream.end_of().is_some_and(|(alive, _)| alive == *life)
    }

    /// Says what is left to say of streams that have ended, and forgets of whom everybody has heard.
    pub(super) fn part_behind(self: &Rc<Self>) {
        self.forget_farewells();
        let enrollment = &self.enrollment;
        let is_due = enrollment.parting.get().not_before() <= self.ports.now();
        let Some(farewell) = self.unheard() else {
            return;
        };
        let Ok(Some(shards)) = self.settings.shards else {
            return self.complain_of_directory();
        };
        if enrollment.is_parting.get() || !is_due {
            return;
        }
        enrollment.is_parting.set(true);
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let outcome = this.unregister(&farewell, shards).await;
            this.enrollment.is_parting.set(false);
            let mut backoff = this.enrollment.parting.get();
            match outcome {
                Ok(()) => {
                    backoff = BackOff::default();
                    this.enrollment.forgotten.borrow_mut().push(farewell.life);
                }
                Err(error) => {
                    if backoff.is_fresh() {
                        let name = &farewell.name;
                        this.ports
                            .log(format_args!("{name} is not unregistered yet: {error:?}"));
                    }
                    backoff.failed(this.ports.now(), LONGEST_WAIT);
                }
            }
            this.enrollment.parting.set(backoff);
            this.part_behind();
            this.work().await;
        });
    }

    async fn unregister(&self, farewell: &Farewell, shards: u32) -> Result<(), Error> {
        let shard = Peer::Shard(shard_of(&farewell.name, shards));
        let question = ask::say(&farewell.unregister());
        match self.ports.ask_in_time(shard, UNREGISTER, question).await? {
            (200 | 204, _) => Ok(()),
            (status, _) => Err(Error::Unavailable(format!("a shard answers {status}"))),
        }
    }

    /// The first of those that have ended of which the directory has not heard.
    fn unheard(&self) -> Option<Farewell> {
        let stream = self.stream.borrow();
        let forgotten = self.enrollment.forgotten.borrow();
        let mut farewells = stream.farewells().iter();
        farewells
            .find(|farewell| farewell.listed && !forgotten.contains(&farewell.life))
            .cloned()
    }

    /// Forgets farewells of which the directory and all links have heard.
    pub(super) fn forget_farewells(&self) {
        for life in self.heard_farewells() {
            let forget = self.counted(|object| object.stream.borrow_mut().said(&life));
            match forget.0 {
                Ok(()) => {
                    let mut forgotten = self.enrollment.forgotten.borrow_mut();
                    forgotten.retain(|forgotten| *forgotten != life);
                }
                Err(error) => self.ports.log(format_args!("{error:?}")),
            }
        }
    }

    fn heard_farewells(&self) -> Vec<Life> {
        let stream = self.stream.borrow();
        let forgotten = self.enrollment.forgotten.borrow();
        let farewells = stream.farewells().iter();
        let heard = farewells.filter(|Farewell { life, listed, .. }| {
            let by_links = !stream.has_links() || self.tell.have_all_heard(life);
            (!listed || forgotten.contains(life)) && by_links
        });
        heard.map(|farewell| farewell.life.clone()).collect()
    }

    /// When the directory is to be told of something next; `None` for never.
    pub(super) fn next_enrollment(&self, now: u64) -> Option<u64> {
        let enrollment = &self.enrollment;
        let is_unsure = self.stream.borrow().listed() == Listing::Unsure;
        let under_way = now.saturating_add(SAFETY);
        let is_possible = match &self.settings.shards {
            Ok(shards) => shards.is_some(),
            Err(_) => false,
        };
        let register = match () {
            () if enrollment.is_busy.get() => Some(under_way),
            () if enrollment.is_wanted.get() => Some(enrollment.backoff.get().not_before()),
            () if is_unsure && self.settings.shards.is_ok() => Some(self.alarm.in_doubt(now)),
            () => is_unsure.then(|| now.saturating_add(LOOK_AGAIN)),
        };
        let part = match self.unheard() {
            None => None,
            Some(_) if enrollment.is_parting.get() => Some(under_way),
            Some(_) if is_possible => Some(enrollment.parting.get().not_before()),
            Some(_) => Some(now.saturating_add(LOOK_AGAIN)),
        };
        // One that could not be forgotten is still there.
        let forget = (!self.heard_farewells().is_empty()).then_some(now);
        [register, part, forget].into_iter().flatten().min()
    }

    /// Says once what is wrong with the variable, if anything is.
    fn complain_of_directory(&self) {
        if let Err(error) = &self.settings.shards
            && !self.enrollment.has_complained.replace(true)
        {
            self.ports
                .log(format_args!("streams are not listed: {error:?}"));
        }
    }
}
