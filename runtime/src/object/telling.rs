//! What is known of one subscription that is told of the stream, as long as the object is in memory:
//! what it has heard, and when it is to be told next.

use crate::backoff::BackOff;
use crate::protocol::ask::{Copying, Life, Told};
use crate::stream::farewell::Farewell;
use crate::stream::links::Link;

/// How long nobody is told again who was told, in milliseconds.
pub const PAUSE: u64 = 100;

/// The longest wait before a subscription is told again that did not hear, in milliseconds.
const LONGEST_WAIT: u64 = 60_000;

/// See the module's text.
#[derive(Debug)]
pub struct Telling {
    pub link: Link,
    /// The tail that it knows of. Of a subscription that copies, the position up to which it has
    /// copied. Nothing if that is not known.
    pub told: Option<u64>,
    /// Which of the streams that have ended it has been told of.
    pub heard: Vec<Life>,
    /// Whether it is being told, or was a moment ago.
    pub is_busy: bool,
    /// Whether it was linked anew meanwhile.
    pub is_renewed: bool,
    /// Whether it is to be told whatever is known of the others: it is to say how far it is, or has
    /// said that it is not as far as the tail was.
    must_hear: bool,
    /// When it is to be told again that did not hear.
    pub backoff: BackOff,
    /// Until when it wants to be left alone, in milliseconds since the Unix epoch.
    rests_until: u64,
}

impl Telling {
    pub fn new(link: Link, told: Option<u64>) -> Self {
        Self {
            link,
            told,
            heard: Vec::new(),
            is_busy: false,
            is_renewed: false,
            must_hear: false,
            backoff: BackOff::default(),
            rests_until: 0,
        }
    }

    /// Nothing is known any more of what it was told of the stream that there was.
    pub fn start_anew(&mut self, told: Option<u64>) {
        self.told = told;
        self.must_hear = false;
        self.rests_until = 0;
    }

    /// It is to be asked how far it is: nobody but itself knows where its copies start.
    pub fn ask(&mut self) {
        self.start_anew(None);
        self.must_hear = true;
    }

    /// Whether there is something behind what it was told of, where everybody is to know of `level`.
    pub fn is_behind(&self, level: Option<u64>) -> bool {
        let is_behind = |level| self.told.is_none_or(|told| told < level);
        self.link.interest.is_in_appends() && (self.must_hear || level.is_some_and(is_behind))
    }

    /// The first stream that has ended of which it has not heard.
    pub fn unheard<'a>(&self, farewells: &'a [Farewell]) -> Option<&'a Farewell> {
        let mut farewells = farewells.iter();
        farewells.find(|farewell| !self.heard.contains(&farewell.life))
    }

    /// When it is to be told something, in milliseconds since the Unix epoch; nothing if there is
    /// nothing that it has not heard.
    pub fn due(&self, level: Option<u64>, farewells: &[Farewell]) -> Option<u64> {
        let not_before = self.backoff.not_before();
        match self.unheard(farewells) {
            Some(_) => Some(not_before),
            None => self
                .is_behind(level)
                .then_some(not_before.max(self.rests_until)),
        }
    }

    /// It did not hear.
    pub fn failed(&mut self, now: u64) {
        self.backoff.failed(now, LONGEST_WAIT);
    }

    /// It was told of the stream, and is to be told of what comes. Says whether it is to be told more
    /// at once.
    pub fn has_heard(&mut self, told: &Told, copying: Option<Copying>, now: u64) -> bool {
        if self.is_renewed && self.link.interest.is_in_content() {
            // It may have said so of the link before.
            self.backoff = BackOff::default();
            self.ask();
            return false;
        }
        let Some(Copying { at, pause }) = copying else {
            self.backoff = BackOff::default();
            self.start_anew(Some(told.tail));
            return false;
        };
        let before = self.told;
        self.start_anew(Some(at));
        self.must_hear = at < told.tail;
        if at < told.tail && before == Some(at) {
            // It has taken nothing of what it was given.
            self.failed(now);
            return false;
        }
        self.backoff = BackOff::default();
        if at < told.tail {
            return before.is_none_or(|before| before < at);
        }
        if pause > PAUSE {
            self.rests_until = now.saturating_add(pause);
        }
        false
    }
}
