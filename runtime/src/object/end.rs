//! The one way in which a stream ends, whatever ends it: its time, which any request, question or
//! alarm may find to be over; a DELETE; the last fork that has kept it.
//!
//! Whoever is in the object may only look at the stream after `settle`: so nobody meets
//! a stream whose time is over, and what takes its place starts with nothing of it left.

use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use crate::protocol::error::Error;
use crate::stream::verbs::delete::End;

impl<P: Ports> Object<P> {
    /// Ends the stream if its time is over. Gives the time, which is that of everything in the
    /// same turn.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`]; then nothing has changed.
    pub(super) fn settle(self: &Rc<Self>) -> Result<u64, Error> {
        let now = self.ports.now();
        let end = self.stream.borrow_mut().expire(now)?;
        if let Some(end) = end {
            self.ended(end);
        }
        Ok(now)
    }

    /// Does what has to be done when the stream has ended: lets its readers go, and arranges that
    /// the directory, subscriptions and its family hear of it and its objects are deleted.
    pub(super) fn ended(self: &Rc<Self>, end: End) {
        self.has_parted();
        self.tell_end();
        self.part_behind();
        match end {
            End::Kept => {
                self.let_go(&Error::Gone);
                let this = Rc::clone(self);
                self.ports.spawn(async move {
                    this.ask_forks().await;
                    this.work().await;
                });
            }
            End::Gone(ended) => {
                self.let_go(&Error::NotFound);
                if let Some(ended) = ended {
                    self.tell_source(ended.origin.path, ended.name);
                }
                self.work_behind();
            }
        }
    }
}
