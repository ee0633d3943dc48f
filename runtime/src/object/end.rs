//! The one way in which a stream ends, whatever ends it: its time, which any request, question or
//! alarm may find to be over; a DELETE; the last fork that has kept it. And how its will is carried
//! out, which closes it.
//!
//! Whoever is in the object may only look at the stream after `settle`: so nobody meets
//! a stream whose time is over, and what takes its place starts with nothing of it left.

use std::rc::Rc;

use super::Object;
use super::ports::Ports;
use crate::protocol::error::Error;
use crate::protocol::reply::Appended;
use crate::stream::verbs::delete::End;

impl<P: Ports> Object<P> {
    /// Ends the stream if its time is over, and carries out its will if that is due. Gives the time,
    /// which is that of everything in the same turn.
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
        let was_due = self.stream.borrow().will_due();
        let last_words = self.stream.borrow_mut().carry_out_will(now)?;
        if let Some(last_words) = last_words {
            self.has_left(&last_words);
        } else if was_due.is_none() && self.stream.borrow().will_due().is_some() {
            // Whoever did not know of the will may have taken its alarm away.
            let this = Rc::clone(self);
            self.ports
                .spawn(async move { this.schedule_surely().await });
        }
        Ok(now)
    }

    /// Does what has to be done when the stream's will was carried out: what it says is told like any
    /// append.
    fn has_left(self: &Rc<Self>, last_words: &Appended) {
        self.note(last_words);
        if last_words.is_new_data {
            self.tell_news(last_words);
        }
        self.after_append();
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
