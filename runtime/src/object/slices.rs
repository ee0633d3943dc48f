//! What a slice is made of: the recent end, and what is read from the bucket. A slice is made once for
//! all subscriptions that are as far, and kept while some are being told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::Object;
use super::ports::{Bucket, Ports};
use crate::patience;
use crate::protocol::ask;
use crate::protocol::error::Error;
use crate::stream::slice::Extract;

/// About how long a slice is at most, in bytes, unless it is one message.
pub const MOST_TEXT: usize = 256 << 10;

/// The longest slice that is sent to a subscription of which nobody knows how far it is, in bytes.
const MOST_GUESSED: usize = 64 << 10;

/// How many slices are kept, and how many bytes if these are several.
const MOST_KEPT: usize = 4;
const MOST_BYTES_KEPT: usize = 4 << 20;

/// How much of slices is on its way at once, in bytes, for all subscriptions together: each of them
/// is sent a copy.
const MOST_SENT: usize = 16 << 20;

/// Where a slice starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Up to there, the subscription has copied.
    Known(u64),
    /// Up to there, it has perhaps.
    Guessed(u64),
}

/// A slice and its text.
#[derive(Debug)]
pub struct Sliced {
    pub slice: ask::Slice,
    pub text: String,
    incarnation: String,
    /// Whether it went up to the tail.
    is_all: bool,
}

/// The slices that were made last.
#[derive(Debug, Default)]
pub struct Slices {
    kept: RefCell<VecDeque<Rc<Sliced>>>,
    /// How much is on its way, in bytes.
    sent: Cell<usize>,
    /// Whether somebody waits until less is.
    is_awaited: Cell<bool>,
}

impl Slices {
    /// Whether one more may be sent. Otherwise [`arrived`](Self::arrived) says when it may.
    pub fn have_room(&self) -> bool {
        let has_room = self.sent.get() < MOST_SENT;
        if !has_room {
            self.is_awaited.set(true);
        }
        has_room
    }

    /// A slice of so many bytes is on its way.
    pub fn leaves(&self, bytes: usize) {
        self.sent.set(self.sent.get().saturating_add(bytes));
    }

    /// It is not any more. Says whether somebody has waited for that.
    pub fn arrived(&self, bytes: usize) -> bool {
        self.sent.set(self.sent.get().saturating_sub(bytes));
        bytes > 0 && self.is_awaited.take()
    }

    /// Forgets them all.
    pub fn forget(&self) {
        self.kept.borrow_mut().clear();
    }

    fn keep(&self, sliced: &Rc<Sliced>) {
        let mut kept = self.kept.borrow_mut();
        kept.push_back(Rc::clone(sliced));
        let bytes = |kept: &VecDeque<Rc<Sliced>>| -> usize {
            kept.iter().map(|sliced| sliced.text.len()).sum()
        };
        while kept.len() > 1 && (kept.len() > MOST_KEPT || bytes(&kept) > MOST_BYTES_KEPT) {
            kept.pop_front();
        }
    }
}

impl<P: Ports> Object<P> {
    /// The slice for a subscription that is so far; nothing if there is none for it. What is not in
    /// the bucket is read in this turn.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Unavailable`] without the bucket.
    pub(super) async fn slice(&self, behind: Behind) -> Result<Option<Rc<Sliced>>, Error> {
        let (position, most, is_certain) = match behind {
            Behind::Known(position) => (position, MOST_TEXT, true),
            Behind::Guessed(position) => (position, MOST_GUESSED, false),
        };
        let fits = |length| is_certain || length <= most;
        if let Some(sliced) = self.kept_slice(position) {
            return Ok(Some(sliced).filter(|sliced| fits(sliced.text.len())));
        }
        let extract = |object: &Self| object.stream.borrow_mut().extract(position, most);
        let Some(extract) = self.counted(extract).0? else {
            return Ok(None);
        };
        let is_cheap = extract.parts.is_empty() && extract.is_all && fits(extract.length());
        if !is_certain && !is_cheap {
            return Ok(None);
        }
        let cold = self.read_cold(&extract).await?;
        let sliced = Rc::new(Sliced {
            slice: extract.slice(),
            text: extract.text(&cold)?,
            is_all: extract.is_all,
            incarnation: extract.incarnation,
        });
        self.tell.slices.keep(&sliced);
        Ok(Some(sliced))
    }

    /// One that was made before and would be made again.
    fn kept_slice(&self, behind: u64) -> Option<Rc<Sliced>> {
        let stream = self.stream.borrow();
        let (life, tail) = stream.end_of()?;
        let from = stream.slice_start(behind)?;
        let kept = self.tell.slices.kept.borrow();
        let mut kept = kept.iter();
        let is_same = |sliced: &&Rc<Sliced>| {
            let ask::Slice { to, .. } = sliced.slice;
            sliced.incarnation == life.incarnation
                && (sliced.slice.behind, sliced.slice.from) == (behind, from)
                && (to == tail || !sliced.is_all)
        };
        kept.find(is_same).cloned()
    }

    async fn read_cold(&self, extract: &Extract) -> Result<Vec<Vec<u8>>, Error> {
        let mut cold = Vec::with_capacity(extract.parts.len());
        for part in &extract.parts {
            let Some(bucket) = self.ports.bucket() else {
                return Err(Error::Unavailable("there is no bucket".to_owned()));
            };
            let read = self.in_time(patience::BUCKET, bucket.read(part)).await;
            cold.push(read.map_err(Error::Unavailable)?);
        }
        Ok(cold)
    }
}
