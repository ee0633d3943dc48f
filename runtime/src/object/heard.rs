//! What subscriptions answer that were told of the stream, and what becomes of their links by it.

use super::Object;
use super::ports::Ports;
use super::telling::Telling;
use crate::backoff::BackOff;
use crate::protocol::ask::{self, Interest, Kept, Life, Told};
use crate::protocol::error::Error;

impl<P: Ports> Object<P> {
    /// Takes what a subscription has answered. Says whether it is to be told more at once.
    pub(super) fn has_heard(
        &self,
        subscription: &str,
        told: &Told,
        answer: Result<(u16, Vec<u8>), Error>,
    ) -> bool {
        let kept = match answer {
            Ok((404, _)) => Ok(Kept::is(false)),
            Ok(answer) => ask::answered(&answer),
            Err(error) => Err(error),
        };
        let noted = match kept {
            Ok(kept) if kept.keep => self.is_kept(subscription, told, &kept),
            Ok(_) => self.is_not_kept(subscription, told),
            Err(error) => Err(error),
        };
        noted.unwrap_or_else(|error| {
            let mut links = self.tell.links.borrow_mut();
            if let Some(telling) = links.get_mut(subscription) {
                if telling.backoff.is_fresh() {
                    let text = format_args!("{subscription} was not told yet: {error:?}");
                    self.ports.log(text);
                }
                telling.failed(self.ports.now());
            }
            false
        })
    }

    fn is_kept(&self, subscription: &str, told: &Told, kept: &Kept) -> Result<bool, Error> {
        self.take_interest(subscription, kept.interest)?;
        let end = self.stream.borrow().end_of();
        let mut links = self.tell.links.borrow_mut();
        let Some(telling) = links.get_mut(subscription) else {
            return Ok(false);
        };
        if told.ended {
            let stream = self.stream.borrow();
            let is_left = |life: &Life| stream.farewells().iter().any(|left| left.life == *life);
            telling.heard.retain(is_left);
            telling.heard.push(told.life.clone());
        } else if end.is_some_and(|(life, _)| life == told.life) {
            return Ok(telling.has_heard(told, kept.copying, self.ports.now()));
        }
        telling.backoff = BackOff::default();
        Ok(false)
    }

    /// A subscription has said what it wants to hear.
    fn take_interest(&self, subscription: &str, wanted: Option<Interest>) -> Result<(), Error> {
        let is_news = |telling: &Telling, wanted: &Interest| {
            // It may have said so of the link before.
            !telling.is_renewed && telling.link.interest != *wanted
        };
        let wanted = {
            let links = self.tell.links.borrow();
            let telling = links.get(subscription);
            wanted.filter(|wanted| telling.is_some_and(|telling| is_news(telling, wanted)))
        };
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let change = |object: &Self| {
            let mut stream = object.stream.borrow_mut();
            stream.change_interest(subscription, wanted)
        };
        let interest = self.counted(change).0?;
        if let Some(telling) = self.tell.links.borrow_mut().get_mut(subscription) {
            telling.link.interest = interest;
        }
        Ok(())
    }

    fn is_not_kept(&self, subscription: &str, told: &Told) -> Result<bool, Error> {
        let is_renewed = {
            let links = self.tell.links.borrow();
            links.get(subscription).is_some_and(|it| it.is_renewed)
        };
        let unlink = |object: &Self| {
            let mut stream = object.stream.borrow_mut();
            stream.unlink(subscription, Some(&told.life))
        };
        if !is_renewed && self.counted(unlink).0? {
            self.tell.unlinked(subscription);
            return Ok(false);
        }
        self.is_kept(subscription, told, &Kept::is(true))
    }
}
