//! Copies of other streams, of which this one is the target: what subscriptions ask about them. What is
//! appended so goes to live readers and to linked subscriptions as what clients append.

use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use super::question::said;
use crate::protocol::ask::{self, Copied, Copy, Fed, OfSubscription};
use crate::protocol::error::Error;
use crate::protocol::reply::Reply;
use crate::stream::verbs::copy::Outcome;

/// After so long without a reader, nobody reads the stream, in milliseconds.
const UNREAD: u64 = 60_000;

/// So long before an object comes into memory, its stream is taken to have been read, in milliseconds:
/// nobody knows, and whoever reads it then says so in a moment.
pub(super) const READ_BEFORE: u64 = 50_000;

/// How long nothing is to be copied again into a stream that nobody reads, in milliseconds: shorter than
/// an object stays in memory of which nobody asks anything, which is some ten seconds.
const PAUSE: u64 = 8_000;

impl<P: Ports> Object<P> {
    /// A subscription wants to copy into the stream.
    pub(super) fn fed(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let asked: OfSubscription = ask::hear(body)?;
        self.before_link();
        let fed = self.stream.borrow_mut().feed(&asked, now);
        // Nobody may copy the stream any more though that has failed.
        let fed = fed.inspect_err(|_| self.tell.forget())?;
        match fed {
            Fed::Yes { .. } => self.links_changed(),
            // Some of those who copied it may be gone, which is found out by asking them.
            Fed::IsSource => self.ask_copying(),
            Fed::Absent | Fed::Closed => {}
        }
        Ok(said(&fed))
    }

    /// A subscription does not any more.
    pub(super) fn unfed(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let asked: OfSubscription = ask::hear(body)?;
        let is_unlinked = self.stream.borrow_mut().unfeed(&asked, now)?;
        if is_unlinked {
            self.tell.unlinked(&asked.subscription);
        }
        // It may have been all that was here.
        self.work_behind();
        Ok(Reply::new(204))
    }

    /// A subscription copies something into the stream.
    pub(super) fn copied(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let (document, content) = ask::apart(body);
        let asked: Copy = ask::hear(document)?;
        let Outcome { answer, appended } = self.stream.borrow_mut().copy(&asked, content, now)?;
        if let Some(appended) = appended {
            self.note(&appended);
            self.tell_news(&appended);
            self.after_append();
            self.used(appended.count);
        }
        Ok(said(&match answer {
            Copied::Yes { at, .. } => Copied::Yes {
                at,
                pause: self.pause(now),
            },
            refusal => refusal,
        }))
    }

    /// How long nothing is to be copied again: what nobody waits for may come later and together.
    fn pause(&self, now: u64) -> u64 {
        let is_read = now < self.read_at.get().saturating_add(UNREAD);
        match is_read || self.ports.readers() > 0 {
            true => 0,
            false => PAUSE,
        }
    }
}
