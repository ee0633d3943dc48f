//! How subscriptions that are linked to the stream are told where its tail is, and that it has ended
//! (section 6). They are told after the response, one at a time each, and not of every append but of
//! what there is by then. What nobody has heard is said again: at once after a while, by the alarm
//! after a crash. So one stands from the turn of an append on; it is left where it is, and the next
//! appends find it there.
//!
//! An object that comes into memory does not know who was told of what. When an alarm has led to it,
//! nobody was; otherwise that alarm is still to come.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use super::wake::SAFETY;
use crate::backoff::BackOff;
use crate::machine::Peer;
use crate::protocol::ask::{self, Kept, Life, TOLD, Told};
use crate::protocol::error::Error;
use crate::stream::links::Link;

/// How many are told at once.
const AT_ONCE: usize = 50;

/// How long nobody is told again who was told, in milliseconds.
const PAUSE: u64 = 100;

/// The longest wait before a subscription is told again that did not hear, in milliseconds.
const LONGEST_WAIT: u64 = 60_000;

/// What is known of who was told, as long as the object is in memory.
#[derive(Debug, Default)]
pub(super) struct Tell {
    /// Whether the links were read.
    is_known: Cell<bool>,
    /// Behind which tail a subscription is to be told; nothing when nobody knows what they were told.
    level: Cell<Option<u64>>,
    links: RefCell<BTreeMap<String, Telling>>,
    /// Who is to be looked at.
    round: RefCell<VecDeque<String>>,
    /// Whether all are to be looked at once more.
    again: Cell<bool>,
    /// Whether that begins in a turn to come.
    is_coming: Cell<bool>,
    /// How many are being told.
    under_way: Cell<usize>,
    /// How many are, or were a moment ago.
    busy: Cell<usize>,
    /// Whether the alarm is to be set anew when all were told.
    is_to_schedule: Cell<bool>,
}

/// What is known of one.
#[derive(Debug)]
struct Telling {
    link: Link,
    /// The tail that it knows of; nothing if that is not known.
    told: Option<u64>,
    /// Which of the streams that have ended it has been told of.
    heard: Vec<Life>,
    /// Whether it is being told, or was a moment ago.
    is_busy: bool,
    /// Whether it was linked anew meanwhile.
    is_renewed: bool,
    backoff: BackOff,
}

impl Telling {
    fn new(link: Link, told: Option<u64>) -> Self {
        Self {
            link,
            told,
            heard: Vec::new(),
            is_busy: false,
            is_renewed: false,
            backoff: BackOff::default(),
        }
    }

    fn is_behind(&self, level: Option<u64>) -> bool {
        self.link.interest.is_in_appends()
            && level.is_some_and(|level| self.told.is_none_or(|told| told < level))
    }
}

impl Tell {
    /// A subscription has asked for a link, which is a new one perhaps, and knows the tail.
    pub fn linked(&self, subscription: &str, link: Option<Link>, tail: u64) {
        let mut links = self.links.borrow_mut();
        if let Some(telling) = links.get_mut(subscription) {
            telling.is_renewed = true;
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

    /// Who is to be looked at next.
    fn next(&self) -> Option<String> {
        let mut round = self.round.borrow_mut();
        if round.is_empty() && self.again.take() {
            round.extend(self.links.borrow().keys().cloned());
        }
        round.pop_front()
    }
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
    pub(super) fn tell_news(self: &Rc<Self>) {
        if !self.stream.borrow().is_followed() {
            return;
        }
        let Some((_, tail)) = self.stream.borrow().end_of() else {
            return;
        };
        self.tell.level.set(Some(tail));
        self.tell_behind();
        if !self.has_alarm_soon() {
            self.arm();
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
            telling.told = Some(start);
        }
        self.tell.level.set(Some(tail));
        self.tell.is_to_schedule.set(true);
        self.tell_behind();
        true
    }

    /// The stream has ended, in the turn that has done it.
    pub(super) fn tell_end(self: &Rc<Self>) {
        self.tell.level.set(None);
        for telling in self.tell.links.borrow_mut().values_mut() {
            telling.told = None;
        }
        if !self.stream.borrow().farewells().is_empty() && self.stream.borrow().has_links() {
            self.tell.is_to_schedule.set(true);
            self.tell_behind();
        }
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
        if !self.stream.borrow().has_links() {
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
        while self.tell.under_way.get() < AT_ONCE {
            let Some(subscription) = self.tell.next() else {
                break;
            };
            if let Some(told) = self.begin_telling(&subscription) {
                let this = Rc::clone(self);
                self.ports
                    .spawn(async move { this.tell_one(subscription, told).await });
            }
        }
        if self.tell.is_at_work() {
            return;
        }
        self.forget_farewells();
        let now = self.ports.now();
        let has_failed = self.next_telling(now).is_some();
        if self.tell.is_to_schedule.take() || has_failed {
            self.work().await;
        }
    }

    /// What a subscription is to be told now.
    fn begin_telling(&self, subscription: &str) -> Option<Told> {
        let stream = self.stream.borrow();
        let mut links = self.tell.links.borrow_mut();
        let telling = links.get_mut(subscription)?;
        if telling.is_busy || telling.backoff.not_before() > self.ports.now() {
            return None;
        }
        let mut farewells = stream.farewells().iter();
        let unheard = farewells.find(|farewell| !telling.heard.contains(&farewell.life));
        let told = match unheard {
            Some(farewell) => Some(farewell.told()),
            None if telling.is_behind(self.tell.level.get()) => stream.telling(&telling.link),
            None => None,
        }?;
        telling.is_busy = true;
        telling.is_renewed = false;
        for count in [&self.tell.under_way, &self.tell.busy] {
            count.set(count.get().saturating_add(1));
        }
        Some(told)
    }

    async fn tell_one(self: &Rc<Self>, subscription: String, told: Told) {
        let peer = Peer::Subscription(&subscription);
        let answer = self.ports.ask_in_time(peer, TOLD, ask::say(&told)).await;
        let is_done = |count: &Cell<usize>| count.set(count.get().saturating_sub(1));
        is_done(&self.tell.under_way);
        self.has_heard(&subscription, &told, answer);
        self.tell_more().await;
        self.ports.sleep(PAUSE).await;
        is_done(&self.tell.busy);
        if let Some(telling) = self.tell.links.borrow_mut().get_mut(&subscription) {
            telling.is_busy = false;
        }
        self.tell.round.borrow_mut().push_back(subscription);
        self.tell_some().await;
    }

    /// Another one's turn has come, unless all were told.
    async fn tell_more(self: &Rc<Self>) {
        if !self.tell.round.borrow().is_empty() || self.tell.again.get() {
            self.tell_some().await;
        }
    }

    /// Takes what a subscription has answered.
    fn has_heard(&self, subscription: &str, told: &Told, answer: Result<(u16, Vec<u8>), Error>) {
        let kept = match answer {
            Ok((404, _)) => Ok(Kept::is(false)),
            Ok(answer) => ask::answered(&answer),
            Err(error) => Err(error),
        };
        match kept {
            Ok(Kept { keep: true, .. }) => self.is_kept(subscription, told),
            Ok(Kept { keep: false, .. }) => self.is_not_kept(subscription, told),
            Err(error) => {
                let now = self.ports.now();
                let mut links = self.tell.links.borrow_mut();
                let Some(telling) = links.get_mut(subscription) else {
                    return;
                };
                if telling.backoff.is_fresh() {
                    let text = format_args!("{subscription} was not told yet: {error:?}");
                    self.ports.log(text);
                }
                telling.backoff.failed(now, LONGEST_WAIT);
            }
        }
    }

    fn is_kept(&self, subscription: &str, told: &Told) {
        let end = self.stream.borrow().end_of();
        let mut links = self.tell.links.borrow_mut();
        let Some(telling) = links.get_mut(subscription) else {
            return;
        };
        telling.backoff = BackOff::default();
        if told.ended {
            let stream = self.stream.borrow();
            let is_left = |life: &Life| stream.farewells().iter().any(|left| left.life == *life);
            telling.heard.retain(is_left);
            telling.heard.push(told.life.clone());
        } else if end.is_some_and(|(life, _)| life == told.life) {
            telling.told = Some(told.tail);
        }
    }

    fn is_not_kept(&self, subscription: &str, told: &Told) {
        let is_renewed = {
            let links = self.tell.links.borrow();
            links.get(subscription).is_some_and(|it| it.is_renewed)
        };
        let unlinked = match is_renewed {
            true => Ok(false),
            false => {
                let unlink = |object: &Self| {
                    let mut stream = object.stream.borrow_mut();
                    stream.unlink(subscription, Some(&told.life))
                };
                self.counted(unlink).0
            }
        };
        match unlinked {
            Ok(true) => self.tell.unlinked(subscription),
            Ok(false) => self.is_kept(subscription, told),
            Err(error) => {
                self.ports.log(format_args!("{error:?}"));
                let mut links = self.tell.links.borrow_mut();
                if let Some(telling) = links.get_mut(subscription) {
                    telling.backoff.failed(self.ports.now(), LONGEST_WAIT);
                }
            }
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
                    let name = link.subscription.clone();
                    known.entry(name).or_insert(Telling::new(link, None));
                }
                self.tell.is_known.set(true);
            }
            Err(error) => self.ports.log(format_args!("{error:?}")),
        }
    }

    /// When subscriptions are to be told of something next; `None` for never.
    pub(super) fn next_telling(&self, now: u64) -> Option<u64> {
        let stream = self.stream.borrow();
        if !stream.is_followed() && (!stream.has_links() || stream.farewells().is_empty()) {
            return None;
        }
        let level = self.tell.level.get();
        let is_unsure = !self.tell.is_known.get() || level.is_none() && stream.end_of().is_some();
        if is_unsure || self.tell.is_at_work() {
            let is_news = !stream.farewells().is_empty() || stream.end_of().is_some();
            return is_news.then(|| match is_unsure {
                true => self.alarm.in_doubt(now),
                false => now.saturating_add(SAFETY),
            });
        }
        let links = self.tell.links.borrow();
        let waiting = links.values().filter(|telling| {
            let mut farewells = stream.farewells().iter();
            farewells.any(|farewell| !telling.heard.contains(&farewell.life))
                || stream.end_of().is_some() && telling.is_behind(level)
        });
        waiting.map(|telling| telling.backoff.not_before()).min()
    }
}
