//! How subscriptions that are linked to the stream are told where its tail is, and that it has ended
//! (section 6). They are told after the response, one at a time each, and not of every append but of
//! what there is by then. What nobody has heard is said again: at once after a while, by the alarm
//! after a crash. So one stands from the turn of an append on; it is left where it is, and the next
//! appends find it there.
//!
//! Those that copy the stream are given [slices](super::slices) of it. How far they are is what they
//! answer, and nobody else knows: nothing of it is stored here.
//!
//! An object that comes into memory does not know who was told of what. When an alarm has led to it,
//! nobody was; otherwise that alarm is still to come.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};

use super::Object;
use super::ports::Ports;
use super::slices::{Behind, Slices};
use super::telling::{PAUSE, Telling};
use super::wake::SAFETY;
use crate::backoff::BackOff;
use crate::machine::Peer;
use crate::protocol::ask::{self, Interest, Life, TOLD, Told};
use crate::protocol::error::Error;
use crate::protocol::reply::Appended;
use crate::stream::links::Link;

/// How many are told at once.
const AT_ONCE: usize = 50;

/// Who takes longer to answer makes way for others, in milliseconds.
const SLOW: u64 = 250;

/// So many at the most have made way and not answered yet.
const MOST_SLOW: usize = 1_000;

/// What is known of who was told, as long as the object is in memory.
#[derive(Debug, Default)]
pub(super) struct Tell {
    /// Whether the links were read.
    is_known: Cell<bool>,
    /// Behind which tail a subscription is to be told; nothing when nobody knows what they were told.
    level: Cell<Option<u64>>,
    /// Where the tail was when the first append came of which somebody was told, if nobody knew by
    /// then what they were told before: most have copied up to there.
    guess: Cell<Option<u64>>,
    pub links: RefCell<BTreeMap<String, Telling>>,
    /// Who is to be looked at.
    round: RefCell<VecDeque<String>>,
    /// Whether all are to be looked at once more.
    again: Cell<bool>,
    /// Whether that begins in a turn to come.
    is_coming: Cell<bool>,
    /// How many are being told, but for the slow ones.
    under_way: Cell<usize>,
    /// How many are slow to answer.
    slow: Cell<usize>,
    /// How many are being told, or were a moment ago.
    busy: Cell<usize>,
    /// Whether the alarm is to be set anew when all were told.
    is_to_schedule: Cell<bool>,
    /// What is given to those that copy.
    pub slices: Slices,
}

/// What a subscription is told, and where the slice starts that comes with it.
type Message = (Told, Option<Behind>);

impl Tell {
    /// A subscription has asked for a link, which is a new one perhaps, and knows the tail.
    pub fn linked(&self, subscription: &str, interest: Interest, link: Option<Link>, tail: u64) {
        let mut links = self.links.borrow_mut();
        if let Some(telling) = links.get_mut(subscription) {
            telling.is_renewed = true;
            telling.link.interest = interest;
        }
        if let Some(link) = link
            && self.is_known.get()
            && !links.contains_key(subscription)
        {
            links.insert(subscription.to_owned(), Telling::new(link, Some(tail)));
        }
    }

    /// A subscription has asked not to be linked any more.
    pub fn unlinked(&self, subscription: &str) {
        self.links.borrow_mut().remove(subscription);
    }

    /// Has the links read anew.
    pub fn forget(&self) {
        self.is_known.set(false);
    }

    /// Whether all have heard that a stream has ended.
    pub fn have_all_heard(&self, life: &Life) -> bool {
        let links = self.links.borrow();
        self.is_known.get() && links.values().all(|telling| telling.heard.contains(life))
    }

    fn is_at_work(&self) -> bool {
        self.is_coming.get()
            || self.again.get()
            || !self.round.borrow().is_empty()
            || self.busy.get() > 0
    }

    /// Whether one more may be told.
    fn has_place(&self) -> bool {
        self.under_way.get() < AT_ONCE
    }

    /// One is told from now on.
    fn begin(&self) {
        for count in [&self.under_way, &self.busy] {
            count.set(count.get().saturating_add(1));
        }
    }

    /// One that is slow makes way for others, unless too many have. Says whether it does.
    fn make_way(&self) -> bool {
        if self.slow.get() >= MOST_SLOW {
            return false;
        }
        self.slow.set(self.slow.get().saturating_add(1));
        is_done(&self.under_way);
        true
    }

    /// Who is to be looked at next.
    fn next(&self) -> Option<String> {
        let mut round = self.round.borrow_mut();
        if round.is_empty() && self.again.take() {
            round.extend(self.links.borrow().keys().cloned());
        }
        round.pop_front()
    }
}

fn is_done(count: &Cell<usize>) {
    count.set(count.get().saturating_sub(1));
}

impl<P: Ports> Object<P> {
    /// There will be a link: where there is none, everybody was told.
    pub(super) fn before_link(&self) {
        let stream = self.stream.borrow();
        if !stream.has_links() {
            self.tell.links.borrow_mut().clear();
            self.tell.is_known.set(true);
            self.tell.level.set(stream.end_of().map(|(_, tail)| tail));
        }
    }

    /// What subscriptions want to hear has changed, or one is there that knows all there is.
    pub(super) fn links_changed(&self) {
        if !self.tell.is_known.get() {
            return;
        }
        let links = match self.stream.borrow_mut().links() {
            Ok(links) => links,
            Err(error) => {
                self.tell.forget();
                return self.ports.log(format_args!("{error:?}"));
            }
        };
        let level = self.tell.level.get();
        let mut known = self.tell.links.borrow_mut();
        for link in links {
            let name = link.subscription.clone();
            let telling = known
                .entry(name)
                .or_insert(Telling::new(link.clone(), level));
            telling.link = link;
        }
    }

    /// Something was appended, in the turn that has done it: linked subscriptions are told, and an alarm
    /// stands.
    pub(super) fn tell_news(self: &Rc<Self>, appended: &Appended) {
        if !self.stream.borrow().is_followed() {
            return;
        }
        let tail = appended.tail.position();
        if self.tell.level.replace(Some(tail)).is_none() {
            let before = appended.tail.back(appended.count);
            self.tell.guess.set(Some(before.position()));
        }
        self.tell_behind();
        if !self.has_alarm_soon() {
            // All of them may rest.
            self.arm_for(self.next_due());
        }
    }

    /// The stream was created, in the turn that has done it. Says whether somebody waits for it.
    pub(super) fn tell_birth(self: &Rc<Self>) -> bool {
        let (start, end) = {
            let stream = self.stream.borrow();
            if !stream.has_links() {
                return false;
            }
            (stream.start().unwrap_or(0), stream.end_of())
        };
        let tail = end.map_or(start, |(_, tail)| tail);
        self.know_links();
        for telling in self.tell.links.borrow_mut().values_mut() {
            telling.start_anew(Some(start));
        }
        self.tell.level.set(Some(tail));
        self.tell.is_to_schedule.set(true);
        self.tell_behind();
        true
    }

    /// The stream has ended, in the turn that has done it.
    pub(super) fn tell_end(self: &Rc<Self>) {
        self.tell.level.set(None);
        self.tell.guess.set(None);
        self.tell.slices.forget();
        for telling in self.tell.links.borrow_mut().values_mut() {
            telling.start_anew(None);
        }
        if !self.stream.borrow().farewells().is_empty() && self.stream.borrow().has_links() {
            self.tell.is_to_schedule.set(true);
            self.tell_behind();
        }
    }

    /// A subscription that copies has asked for a link: it is asked how far it is. An alarm stands for
    /// that if it copies what was there before, or where that costs nothing: if nobody knows what the
    /// others were told, all of them are told when it comes.
    pub(super) fn tell_copying(self: &Rc<Self>, subscription: &str, history: bool) {
        self.know_links();
        match self.tell.links.borrow_mut().get_mut(subscription) {
            Some(telling) if telling.link.interest.is_in_content() => telling.ask(),
            _ => return,
        }
        self.tell_behind();
        if (history || self.tell.level.get().is_some()) && !self.has_alarm_soon() {
            self.tell.is_to_schedule.set(true);
            self.arm();
        }
    }

    /// Who copies the stream since it was named is asked whether it still does.
    pub(super) fn ask_copying(self: &Rc<Self>) {
        self.know_links();
        let mut links = self.tell.links.borrow_mut();
        let named = links.values_mut();
        for telling in named.filter(|it| it.link.interest == Interest::NamedCopies) {
            telling.ask();
        }
        drop(links);
        self.tell_behind();
    }

    /// These links are new; of what lies behind them, their subscriptions have not heard.
    pub(super) fn tell_new(self: &Rc<Self>, new: Vec<Link>) {
        let mut is_news = false;
        let end = self.stream.borrow().end_of();
        for link in new {
            let Some(told) = self.stream.borrow().telling(&link) else {
                return;
            };
            is_news |= told.tail > told.since;
            let telling = Telling::new(link, Some(told.since));
            let mut links = self.tell.links.borrow_mut();
            match links.get_mut(&telling.link.subscription) {
                Some(known) => {
                    known.is_renewed = true;
                    known.link = telling.link;
                }
                None if self.tell.is_known.get() => {
                    links.insert(telling.link.subscription.clone(), telling);
                }
                None => {}
            }
        }
        if is_news {
            self.tell.level.set(end.map(|(_, tail)| tail));
            self.tell.is_to_schedule.set(true);
            self.tell_behind();
        }
    }

    /// Nobody knows who was told: nobody was.
    pub(super) fn doubt_telling(self: &Rc<Self>) {
        if !self.may_have_news() {
            return;
        }
        let is_known = self.tell.is_known.get();
        self.know_links();
        if !is_known {
            for telling in self.tell.links.borrow_mut().values_mut() {
                telling.backoff = BackOff::of_doubtful();
            }
        }
        let end = self.stream.borrow().end_of();
        if let (None, Some((_, tail))) = (self.tell.level.get(), end) {
            self.tell.level.set(Some(tail));
        }
        let now = self.ports.now();
        if self.next_telling(now).is_some_and(|at| at <= now) {
            self.tell.is_to_schedule.set(true);
            self.tell_behind();
        }
    }

    /// Looks at all links in a turn to come, whatever the responses of this one are.
    fn tell_behind(self: &Rc<Self>) {
        self.tell.again.set(true);
        if self.tell.is_coming.replace(true) {
            return;
        }
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            this.ports.sleep(0).await;
            this.tell.is_coming.set(false);
            this.tell_some().await;
        });
    }

    /// Tells as many as may be told at once. When all were, the rest is left to the alarm.
    async fn tell_some(self: &Rc<Self>) {
        self.know_links();
        while self.tell.has_place() {
            let Some(subscription) = self.tell.next() else {
                break;
            };
            if let Some(message) = self.begin_telling(&subscription) {
                let this = Rc::clone(self);
                self.ports
                    .spawn(async move { this.tell_one(subscription, message).await });
            }
        }
        if self.tell.is_at_work() {
            return;
        }
        self.tell.slices.forget();
        self.forget_farewells();
        let now = self.ports.now();
        let next = match self.tell.is_known.get() {
            true => self.next_due(),
            false => self.next_telling(now),
        };
        let is_late = next.is_some_and(|at| !self.has_alarm_by(at));
        if self.tell.is_to_schedule.take() || is_late {
            self.work().await;
        }
    }

    /// What a subscription is to be told now.
    fn begin_telling(&self, subscription: &str) -> Option<Message> {
        let stream = self.stream.borrow();
        let mut links = self.tell.links.borrow_mut();
        let telling = links.get_mut(subscription)?;
        let (level, farewells) = (self.tell.level.get(), stream.farewells());
        let due = telling.due(level, farewells)?;
        if telling.is_busy || due > self.ports.now() {
            return None;
        }
        let message = match telling.unheard(farewells) {
            Some(farewell) => (farewell.told(), None),
            None => {
                let behind = self.behind(telling);
                if behind.is_some() && !self.tell.slices.have_room() {
                    return None;
                }
                (stream.telling(&telling.link)?, behind)
            }
        };
        telling.is_busy = true;
        telling.is_renewed = false;
        self.tell.begin();
        Some(message)
    }

    /// Where the slice starts that a subscription is given, if it is given one. What is copied into
    /// the stream is not copied again.
    fn behind(&self, telling: &Telling) -> Option<Behind> {
        if !telling.link.interest.is_in_content() || self.stream.borrow().is_target() {
            return None;
        }
        let known = telling.told.map(Behind::Known);
        known.or_else(|| self.tell.guess.get().map(Behind::Guessed))
    }

    async fn tell_one(self: &Rc<Self>, subscription: String, (mut told, behind): Message) {
        let answer = self.tell_and_hear(&subscription, &mut told, behind).await;
        let is_at_once = self.has_heard(&subscription, &told, answer);
        self.tell_more().await;
        if !is_at_once {
            self.ports.sleep(PAUSE).await;
        }
        is_done(&self.tell.busy);
        if let Some(telling) = self.tell.links.borrow_mut().get_mut(&subscription) {
            telling.is_busy = false;
        }
        self.tell.round.borrow_mut().push_back(subscription);
        self.tell_some().await;
    }

    /// Tells one and waits for its answer; others need not when it takes long.
    async fn tell_and_hear(
        self: &Rc<Self>,
        subscription: &str,
        told: &mut Told,
        behind: Option<Behind>,
    ) -> Result<(u16, Vec<u8>), Error> {
        let work = self.tell_with_slice(subscription, told, behind);
        let mut work = pin!(work);
        let slow = pin!(self.ports.sleep(SLOW));
        let (answer, place) = match select(work.as_mut(), slow).await {
            Either::Left((answer, _)) => (answer, &self.tell.under_way),
            Either::Right(_) => match self.tell.make_way() {
                true => {
                    self.tell_more().await;
                    (work.await, &self.tell.slow)
                }
                false => (work.await, &self.tell.under_way),
            },
        };
        is_done(place);
        answer
    }

    async fn tell_with_slice(
        &self,
        subscription: &str,
        told: &mut Told,
        behind: Option<Behind>,
    ) -> Result<(u16, Vec<u8>), Error> {
        let sliced = match behind {
            Some(behind) => self.slice(behind).await?,
            None => None,
        };
        let (body, bytes) = match (&sliced, &mut told.source) {
            (Some(sliced), Some(source)) => {
                told.tail = told.tail.max(sliced.slice.to);
                source.slice = Some(sliced.slice);
                (ask::with(told, &sliced.text), sliced.text.len())
            }
            _ => (ask::say(told), 0),
        };
        drop(sliced);
        let peer = Peer::Subscription(subscription);
        self.tell.slices.leaves(bytes);
        let answer = self.ports.ask_in_time(peer, TOLD, body).await;
        if self.tell.slices.arrived(bytes) {
            self.tell.again.set(true);
        }
        answer
    }

    /// Another one's turn has come, unless all were told.
    async fn tell_more(self: &Rc<Self>) {
        if !self.tell.round.borrow().is_empty() || self.tell.again.get() {
            self.tell_some().await;
        }
    }

    /// Reads the links, unless that was done.
    fn know_links(&self) {
        if self.tell.is_known.get() {
            return;
        }
        match self.stream.borrow_mut().links() {
            Ok(links) => {
                let mut known = self.tell.links.borrow_mut();
                for link in links {
                    let telling = known.entry(link.subscription.clone());
                    telling
                        .and_modify(|telling| telling.link = link.clone())
                        .or_insert_with(|| Telling::new(link, None));
                }
                self.tell.is_known.set(true);
            }
            Err(error) => self.ports.log(format_args!("{error:?}")),
        }
    }

    /// Whether there may be something that somebody is to be told.
    fn may_have_news(&self) -> bool {
        let stream = self.stream.borrow();
        let is_there = stream.end_of().is_some();
        stream.has_links() && !stream.farewells().is_empty() || stream.is_followed() && is_there
    }

    /// When subscriptions are to be told of something next; `None` for never.
    pub(super) fn next_telling(&self, now: u64) -> Option<u64> {
        if !self.may_have_news() {
            return None;
        }
        let is_unsure = {
            let stream = self.stream.borrow();
            let is_there = stream.is_followed() && stream.end_of().is_some();
            !self.tell.is_known.get() || is_there && self.tell.level.get().is_none()
        };
        let in_doubt = is_unsure.then(|| self.alarm.in_doubt(now));
        let next = match self.tell.is_at_work() {
            true => Some(now.saturating_add(SAFETY)),
            false => self.next_due(),
        };
        in_doubt.into_iter().chain(next).min()
    }

    /// When the next of those who are known is to be told something; `None` if all were told.
    fn next_due(&self) -> Option<u64> {
        let stream = self.stream.borrow();
        let is_there = stream.end_of().is_some();
        let level = self.tell.level.get().filter(|_| is_there);
        let links = self.tell.links.borrow();
        let due = |telling: &Telling| telling.due(level, stream.farewells());
        links.values().filter_map(due).min()
    }
}
