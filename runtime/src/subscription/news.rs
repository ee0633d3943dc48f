//! What a subscription makes of what streams say of themselves. Messages may be doubled, late, and
//! out of order: within a stream's life its tail never goes back, and who hears of an older life
//! pays no attention.

use super::copy::From;
use super::core::{Core, Turn};
use super::links::Link;
use super::record::Backfill;
use super::sources::Heard;
use crate::protocol::ask::{Interest, Kept, Life, Source, Tail, Told};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// What a stream says.
#[derive(Clone, Copy, Debug)]
pub(super) struct News<'a> {
    /// Which stream of its name.
    pub life: &'a Life,
    /// Where the subscription's interest starts, as the stream sees it.
    pub since: u64,
    /// The position of its tail.
    pub tail: u64,
    /// Whether it is gone.
    pub ended: bool,
    /// What a subscription that copies has to know of it.
    pub source: Option<&'a Source>,
}

impl<S: Storage> Core<S> {
    /// Takes note of what a stream tells. Says what becomes of it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the stream has to tell it once more; [`Error::Storage`],
    /// [`Error::Newer`].
    pub fn told(&mut self, told: &Told, now: u64) -> Result<Heard, Error> {
        let outcome = self.turn(now, |turn| {
            let root = turn.record.root.clone();
            let Some(path) = root.path_of(&told.name) else {
                return Ok(Heard::Kept(Kept::is(false)));
            };
            let since = turn.since(path, &told.life, told.since, told.start);
            let news = News {
                life: &told.life,
                since,
                tail: told.tail,
                ended: told.ended,
                source: told.source.as_ref(),
            };
            match turn.record.config.delivery.copying() {
                Some(_) => turn.hear_source(path, &news),
                None => Ok(Heard::Kept(Kept {
                    keep: turn.hear(path, &news)?.is_some(),
                    // It may have given its content to another subscription of the name.
                    interest: told.source.is_some().then_some(Interest::Wakes),
                    copying: None,
                })),
            }
        });
        match outcome {
            Err(Error::Subscription(SubscriptionError::NotFound)) => {
                Ok(Heard::Kept(Kept::is(false)))
            }
            outcome => outcome,
        }
    }

    /// Takes note of what streams answer that were asked for their tails.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn hear_tails(&mut self, tails: &[(String, Tail)], now: u64) -> Result<(), Error> {
        self.turn(now, |turn| {
            tails
                .iter()
                .try_for_each(|(path, tail)| turn.hear_tail(path, tail))
        })
    }
}

impl<S: Storage> Turn<'_, S> {
    /// See [`Core::told`]. Gives the link that there is then, if the subscription is about the stream.
    pub fn hear(&mut self, path: &str, news: &News) -> Result<Option<Link>, Error> {
        if self.record.config.is_own(path) {
            return Ok(None);
        }
        let before = self.link(path)?;
        let is_linked = before.as_ref().is_some_and(|link| !link.is_gone());
        let matches = self.matches(path);
        if !is_linked && !matches {
            return Ok(None);
        }
        let Some(after) = self.heard(before.as_ref(), news, matches) else {
            return Ok(before.filter(|_| is_linked));
        };
        self.set(path, before.as_ref(), Some(after.clone()));
        Ok(Some(after).filter(|after| !after.is_gone()))
    }

    /// The same for the answer of a stream that was asked.
    pub fn hear_tail(&mut self, path: &str, tail: &Tail) -> Result<(), Error> {
        if let Some(life) = &tail.life {
            let copies = self.record.config.delivery.copying().is_some();
            if copies && tail.source.is_none() {
                // It is of an older release, and is asked again.
                return Ok(());
            }
            let news = News {
                life,
                since: self.since(path, life, tail.since, tail.start),
                tail: tail.tail,
                ended: false,
                source: tail.source.as_ref(),
            };
            return self.hear(path, &news).map(drop);
        }
        // There is none yet: whatever will come is wanted.
        let link = self.link(path)?;
        if let Some(before) = link.filter(|link| link.tail.is_none()) {
            let after = Link {
                tail: Some(0),
                ..before.clone()
            };
            self.set(path, Some(&before), Some(after));
        }
        Ok(())
    }

    /// Where the interest in a stream starts that says so itself, and where its own content does. What
    /// came after the subscription and is one of its own is wanted from its start, also where the
    /// stream has heard of it later; and all is that is copied from there.
    fn since(&self, path: &str, life: &Life, since: u64, start: Option<u64>) -> u64 {
        let is_ours = life.born > self.record.life.born && self.matches(path);
        let copying = self.record.config.delivery.copying();
        let is_whole = copying.is_some_and(|copying| copying.from == From::Start);
        let start = start.filter(|_| is_ours || is_whole);
        start.unwrap_or(since).min(since)
    }

    /// What becomes of a link by it; nothing if it stays as it is.
    fn heard(&self, link: Option<&Link>, news: &News, matches: bool) -> Option<Link> {
        let link = link.cloned().unwrap_or_default();
        let is_same = link.is_to(news.life);
        let is_younger = !is_same && link.born.is_none_or(|born| news.life.born > born);
        if !is_same && !is_younger {
            return None;
        }
        let born = news.life.born;
        if news.ended {
            return Some(match link.explicit {
                true => Link {
                    tail: Some(0),
                    born: Some(born),
                    ..Link::named()
                },
                false => Link::gone(born, self.now),
            });
        }
        let copying = self.record.config.delivery.copying();
        let refused = news.source.and_then(|source| self.refusal(source));
        if is_same && copying.is_some() {
            // How far it is copied is for the target to say. The row is as it was when it was written.
            let tail = link.tail.or(Some(link.acked));
            let after = Link {
                tail,
                refused,
                ..link.clone()
            };
            return (after != link).then_some(after);
        }
        if is_same {
            let is_news = link.tail.is_none_or(|tail| news.tail > tail);
            let tail = Some(news.tail);
            return is_news.then_some(Link { tail, ..link });
        }
        let is_first = link.tail.is_none();
        // What was there before a subscription that copies is no news to it, whichever stream of the
        // name it has heard of.
        let was_before = copying.is_some() && self.was_before(news.life);
        let is_history = is_first && self.is_history(news.life, matches) || was_before;
        let was_there = is_first && link.explicit || born <= self.record.life.born;
        let acked = match copying.map(|copying| copying.from) {
            Some(From::Start) if was_there => 0,
            _ if is_history => news.tail,
            _ => news.since.min(news.tail),
        };
        Some(Link {
            explicit: link.explicit,
            acked,
            tail: Some(copying.map_or(news.tail, |_| acked)),
            incarnation: Some(news.life.incarnation.clone()),
            born: Some(born),
            refused,
        })
    }

    /// Whether what is in a stream that is met for the first time was there before anybody was
    /// interested in it.
    fn is_history(&self, life: &Life, matches: bool) -> bool {
        !matches || self.was_before(life)
    }

    fn was_before(&self, life: &Life) -> bool {
        let is_complete = self.record.backfill == Backfill::Complete;
        !is_complete && life.born < self.record.life.born
    }
}
