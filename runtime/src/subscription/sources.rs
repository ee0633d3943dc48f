//! What a subscription that copies makes of what its sources and its target say of themselves. That
//! everything is copied once is decided in the target: here is only who is copied, and since when. The
//! row of a source is written once in its life.

use super::core::{Core, Turn};
use super::links::{self, Link, Refusal};
use super::news::News;
use super::record::{Failing, Record, Target};
use super::wake::{MAX_ERROR, cut};
use crate::protocol::ask::{CopyPart, Fed, Interest, Kept, Life, OfSubscription, Source};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// Why nothing is copied into a target that takes no appends any more.
pub(super) const CLOSED: &str = "the target stream is closed";

/// What becomes of what a stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That is all.
    Kept(Kept),
    /// It is copied.
    Source {
        /// By which subscription.
        life: Life,
        /// The stream's path.
        path: String,
        /// The position at which the subscription's interest starts.
        since: u64,
        /// What the subscription wants to hear of it.
        interest: Interest,
    },
    /// This subscription is over: its target is gone.
    Over(Life),
}

/// Where the copies of a subscription go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The subscription's name.
    pub subscription: String,
    /// Which of that name.
    pub life: Life,
    /// The target's name.
    pub target: String,
    /// Which of that name.
    pub target_life: Life,
}

impl Link {
    /// What a subscription that copies wants to hear of the stream.
    pub fn interest(&self) -> Interest {
        match (&self.refused, self.explicit) {
            (Some(_), _) => Interest::Ends,
            (None, true) => Interest::NamedCopies,
            (None, false) => Interest::Copies,
        }
    }
}

/// Why a stream that is linked is not copied, as an error of whoever has named it.
pub(super) fn refused(record: &Record, path: &str, link: &Link) -> Option<SubscriptionError> {
    match link.refused.as_ref()? {
        Refusal::IsTarget => Some(SubscriptionError::SourceIsTarget {
            source: path.to_owned(),
        }),
        refusal => Some(SubscriptionError::invalid(
            "streams",
            format!(
                "must not hold {path:?}: {}; any type can be copied into a JSON stream with envelope",
                why(record, refusal)
            ),
        )),
    }
}

/// The same as a text.
pub(super) fn why(record: &Record, refusal: &Refusal) -> String {
    match refusal {
        Refusal::IsTarget => "it is the target of copies itself".to_owned(),
        Refusal::IsOfType(kind) => {
            let target = record.target.as_ref().map(|target| &target.content_type);
            let target = target.map_or("another one", |kind| kind);
            format!("its type is {kind}, the target's {target}")
        }
    }
}

fn is_same_type(one: &str, other: &str) -> bool {
    let parsed = |kind: &str| ContentType::parse(kind);
    match (parsed(one), parsed(other)) {
        (Some(one), Some(other)) => one.matches(&other),
        _ => one == other,
    }
}

impl Record {
    /// Whom to ask to be the target, and how.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`] where nothing is copied; [`Error::Invalid`].
    pub fn feeding(&self) -> Result<(String, OfSubscription), Error> {
        let copying = self.config.delivery.copying();
        let copying = copying.ok_or(SubscriptionError::NotFound)?;
        let feed = OfSubscription {
            subscription: self.name(),
            life: self.life.clone(),
        };
        Ok((self.root.stream(&copying.target)?, feed))
    }

    /// Takes note of the target, unless it cannot be one.
    ///
    /// # Errors
    ///
    /// Those of a request to create the subscription.
    pub fn take_target(&mut self, fed: &Fed) -> Result<(), SubscriptionError> {
        let copying = self.config.delivery.copying();
        let copying = copying.ok_or(SubscriptionError::NotFound)?;
        let target = copying.target.clone();
        let (life, content_type) = match fed {
            Fed::Yes { life, content_type } => (life.clone(), content_type.clone()),
            Fed::Absent => return Err(SubscriptionError::TargetNotFound { target }),
            Fed::Closed => return Err(SubscriptionError::TargetClosed { target }),
            Fed::IsSource => return Err(SubscriptionError::TargetIsSource { target }),
        };
        let is_json = ContentType::parse(&content_type).is_some_and(|kind| kind.is_json());
        if copying.envelope && !is_json {
            return Err(SubscriptionError::invalid(
                "envelope",
                format!(
                    "takes a target of type application/json, and {target:?} is of type {content_type}"
                ),
            ));
        }
        self.target = Some(Target { life, content_type });
        Ok(())
    }
}

impl<S: Storage> Turn<'_, S> {
    /// Why a source cannot be copied; nothing if it can, or nothing is copied at all.
    pub fn refusal(&self, source: &Source) -> Option<Refusal> {
        let copying = self.record.config.delivery.copying()?;
        if source.is_target {
            return Some(Refusal::IsTarget);
        }
        let target = self.record.target.as_ref()?;
        let fits = copying.envelope || is_same_type(&source.content_type, &target.content_type);
        (!fits).then(|| Refusal::IsOfType(source.content_type.clone()))
    }

    /// See [`Core::told`].
    pub fn hear_source(&mut self, path: &str, news: &News<'_>) -> Result<Heard, Error> {
        if self.record.config.is_own(path) {
            return self.hear_target(news);
        }
        let is_over = self.record.parked.is_some() && !news.ended;
        if is_over {
            return Ok(Heard::Kept(Kept::is(false)));
        }
        let is_early = !news.ended && (self.record.target.is_none() || news.source.is_none());
        if is_early && self.is_about(path)? {
            // It is told again when the target has answered, or by a newer release.
            let what = "a stream tells what cannot be copied yet";
            return Err(Error::Unavailable(what.to_owned()));
        }
        let Some(link) = self.hear(path, news)? else {
            return Ok(Heard::Kept(Kept::is(false)));
        };
        let interest = link.interest();
        if !news.ended && link.is_to(news.life) && link.refused.is_none() {
            return Ok(Heard::Source {
                life: self.record.life.clone(),
                path: path.to_owned(),
                since: link.acked,
                interest,
            });
        }
        Ok(Heard::Kept(Kept {
            keep: true,
            interest: Some(interest),
            copying: None,
        }))
    }

    fn is_about(&self, path: &str) -> Result<bool, Error> {
        let link = self.link(path)?;
        Ok(self.matches(path) || link.is_some_and(|link| !link.is_gone()))
    }

    /// The target tells of itself. What it is to the subscription, it was told: it has to say that it is
    /// gone, or is seen to be another one.
    fn hear_target(&self, news: &News<'_>) -> Result<Heard, Error> {
        // Whether it is the target, its answer may still be on its way to say.
        if news.ended && self.record.target.is_none() && self.record.parked.is_none() {
            let what = "a stream has ended that may have become the target";
            return Err(Error::Unavailable(what.to_owned()));
        }
        let known = self.record.target.as_ref().map(|target| &target.life);
        let is_it = known.is_some_and(|life| life.incarnation == news.life.incarnation);
        let is_other = known.is_some_and(|life| news.life.is_after(life));
        if is_other || is_it && news.ended {
            return Ok(Heard::Over(self.record.life.clone()));
        }
        Ok(Heard::Kept(Kept {
            // Of an older one it may hear before it hears of its own.
            keep: !news.ended || known.is_some(),
            // Another subscription of the name may have copied it.
            interest: Some(match is_it {
                true => Interest::Target,
                false => Interest::Ends,
            }),
            copying: None,
        }))
    }
}

impl<S: Storage> Core<S> {
    /// Where copies go; nothing while that is not known, or when nothing is copied any more.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Invalid`], [`Error::Storage`], [`Error::Newer`].
    pub fn destination(&mut self) -> Result<Option<Destination>, Error> {
        let (_, present) = self.present()?;
        let record = &present.record;
        let target = record.target.as_ref().filter(|_| record.parked.is_none());
        let Some(known) = target else {
            return Ok(None);
        };
        let (target, feed) = record.feeding()?;
        Ok(Some(Destination {
            subscription: feed.subscription,
            life: feed.life,
            target,
            target_life: known.life.clone(),
        }))
    }

    /// The position at which the interest of the subscription `of` in a source starts; nothing when it
    /// is not copied any more.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is another subscription of the name, or another stream, by
    /// now: the stream has to tell again; [`Error::Storage`], [`Error::Newer`].
    pub fn since(&mut self, of: &Life, path: &str, life: &Life) -> Result<Option<u64>, Error> {
        let (storage, known) = self.known()?;
        let Some(present) = &known.present else {
            return Ok(None);
        };
        let is_it = present.record.life == *of;
        let link = links::get(storage, path)?.filter(|link| !link.is_gone());
        if is_it && (link.is_none() || present.record.parked.is_some()) {
            return Ok(None);
        }
        let link = link.filter(|link| is_it && link.is_to(life) && link.refused.is_none());
        let link = link.ok_or_else(|| {
            Error::Unavailable("a subscription or its source was made anew".to_owned())
        })?;
        Ok(Some(link.acked))
    }

    /// What the streams have to be told of which interest it is in them.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn interests(&mut self, paths: &[String]) -> Result<Vec<Interest>, Error> {
        let (storage, present) = self.present()?;
        let copies = present.record.config.delivery.copying().is_some();
        let interest = |path: &String| match copies {
            false => Ok(Interest::Wakes),
            true => {
                let explicit = links::get(storage, path)?.is_some_and(|link| link.explicit);
                Ok(match explicit {
                    true => Interest::NamedCopies,
                    false => Interest::Copies,
                })
            }
        };
        paths.iter().map(interest).collect()
    }

    /// Which of the streams that somebody names now cannot be copied: the first of them, and why.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn refused(&mut self, paths: &[String]) -> Result<Option<SubscriptionError>, Error> {
        let (storage, present) = self.present()?;
        for path in paths {
            let link = links::get(storage, path)?;
            let error = link.and_then(|link| refused(&present.record, path, &link));
            if error.is_some() {
                return Ok(error);
            }
        }
        Ok(None)
    }

    /// Questions about how far copies of some streams are: parts that go nowhere.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn questions(&mut self, paths: &[String]) -> Result<Vec<CopyPart>, Error> {
        let (storage, _) = self.present()?;
        let mut parts = Vec::new();
        for path in paths {
            let Some(link) = links::get(storage, path)?.filter(|link| link.refused.is_none())
            else {
                continue;
            };
            if let (Some(incarnation), Some(born)) = (link.incarnation, link.born) {
                parts.push(CopyPart {
                    path: path.clone(),
                    life: Life { born, incarnation },
                    since: link.acked,
                    behind: link.acked,
                    to: link.acked,
                    length: 0,
                    base64: false,
                });
            }
        }
        Ok(parts)
    }

    /// Takes note that copying fails, and why. That is written when it begins.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn copying_fails(&mut self, life: &Life, error: &str, now: u64) -> Result<(), Error> {
        self.of(life, now, |turn| {
            turn.record.failing.get_or_insert_with(|| Failing {
                since: now,
                attempts: 1,
                error: cut(error, MAX_ERROR).to_owned(),
            });
            Ok(())
        })
    }

    /// Takes note that it does not any more.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn copying_works(&mut self, life: &Life, now: u64) -> Result<(), Error> {
        let (_, known) = self.known()?;
        let present = known.present.as_ref();
        if present.is_none_or(|present| present.record.failing.is_none()) {
            return Ok(());
        }
        self.of(life, now, |turn| {
            turn.record.failing = None;
            Ok(())
        })
    }

    /// Has a subscription copy nothing any more, and says why.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn park(&mut self, life: &Life, why: &str, now: u64) -> Result<(), Error> {
        self.of(life, now, |turn| {
            turn.record.failing = None;
            turn.record.parked = Some(cut(why, MAX_ERROR).to_owned());
            Ok(())
        })
    }

    /// Deletes a subscription that is over, if it is still there.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn end(
        &mut self,
        life: &Life,
        own_shard: impl FnOnce(&str, u32) -> u32,
    ) -> Result<(), Error> {
        let (_, known) = self.known()?;
        match &known.present {
            Some(present) if present.record.life == *life => self.delete(own_shard),
            _ => Ok(()),
        }
    }
}
