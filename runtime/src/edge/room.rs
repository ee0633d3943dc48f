//! Room for what waits to be taken by readers of events: an isolate has 128 MB, and serves as many
//! of them as come, whether they read or not. Whoever is about to be given a page takes a share
//! first, and gives it back when its reader has the page. The less room there is, the smaller the
//! shares, and when there is none, readers wait for their turn.
//!
//! A share that was kept for [`GRACE`] goes to whoever waits for one: its reader stands still, or the
//! platform has dropped its request, of which nobody is told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::events::GRACE;

/// All there is, in bytes of data.
#[cfg(not(test))]
pub const ALL: u64 = 16 << 20;
/// The smallest share: what is gained by less is lost in requests to objects.
#[cfg(not(test))]
pub const LEAST: u64 = 64 << 10;
/// The largest share that nobody needs.
#[cfg(not(test))]
pub const MOST: u64 = 1 << 20;
/// So little that the few readers of tests have to wait.
#[cfg(test)]
pub const ALL: u64 = 1000;
/// The smallest share.
#[cfg(test)]
pub const LEAST: u64 = 100;
/// The largest share that nobody needs.
#[cfg(test)]
pub const MOST: u64 = 400;

/// How often whoever waits has to ask again, in milliseconds.
pub const TURN: u64 = 100;

/// Who has not asked for so many milliseconds does not wait any longer.
const LOST: u64 = 5_000;

/// A share for a page is this part of what is free.
const PART: u64 = 16;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Room {
    next: Cell<u64>,
    /// Those who have a share, the oldest first.
    shares: RefCell<Vec<Share>>,
    /// Those who wait, and when they have asked the last time.
    waiting: RefCell<VecDeque<(Ticket, u64)>>,
}

/// Somebody who takes shares, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Share {
    ticket: Ticket,
    bytes: u64,
    since: u64,
}

impl Room {
    /// For somebody who comes.
    pub fn ticket(&self) -> Ticket {
        let ticket = self.next.get();
        self.next.set(ticket.wrapping_add(1));
        Ticket(ticket)
    }

    /// Takes a share for `needed` bytes, or for as many as there are to be had, at a time in
    /// milliseconds. Gives its size; nothing when it is not yet this one's turn. It has to be asked
    /// for every [`TURN`] then.
    pub fn take(&self, ticket: Ticket, needed: Option<u64>, now: u64) -> Option<u64> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|(_, asked)| now.saturating_sub(*asked) < LOST);
        match waiting.iter_mut().find(|(other, _)| *other == ticket) {
            Some((_, asked)) => *asked = now,
            None => waiting.push_back((ticket, now)),
        }
        if waiting.front().is_some_and(|(first, _)| *first != ticket) {
            return None;
        }
        let needed = needed.map(|needed| needed.min(ALL));
        let free = self.free(needed.unwrap_or(LEAST), now)?;
        waiting.pop_front();
        let part = free.checked_div(PART).unwrap_or(0).clamp(LEAST, MOST);
        let bytes = needed.unwrap_or(part);
        self.shares.borrow_mut().push(Share {
            ticket,
            bytes,
            since: now,
        });
        Some(bytes)
    }

    /// What is free, if that is enough when those have lost their share who kept it for too long.
    fn free(&self, needed: u64, now: u64) -> Option<u64> {
        let mut shares = self.shares.borrow_mut();
        let mut free = ALL;
        for share in shares.iter() {
            free = free.saturating_sub(share.bytes);
        }
        while free < needed {
            let oldest = shares.first()?;
            if now.saturating_sub(oldest.since) < GRACE {
                return None;
            }
            free = free.saturating_add(shares.remove(0).bytes);
        }
        Some(free)
    }

    /// Whether somebody has lost its share to others.
    pub fn has_lost(&self, ticket: Ticket) -> bool {
        let shares = self.shares.borrow();
        !shares.iter().any(|share| share.ticket == ticket)
    }

    /// Gives back what somebody has, or waits for.
    pub fn leave(&self, ticket: Ticket) {
        let mut shares = self.shares.borrow_mut();
        shares.retain(|share| share.ticket != ticket);
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|(other, _)| *other != ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_shrink_and_then_there_are_none() {
        let room = Room::default();
        let mut last = MOST;
        let mut sum = 0;
        while let Some(bytes) = room.take(room.ticket(), None, 0) {
            assert!((LEAST..=last).contains(&bytes));
            (last, sum) = (bytes, sum + bytes);
        }
        assert!((ALL - LEAST..=ALL).contains(&sum), "{sum}");
    }

    #[test]
    fn who_waits_gets_its_turn_in_order() {
        let room = Room::default();
        let [a, b, c, d] = [(); 4].map(|()| room.ticket());
        assert_eq!(room.take(a, Some(ALL), 0), Some(ALL));
        assert_eq!(room.take(b, Some(ALL), 0), None);
        assert_eq!(room.take(c, None, 0), None);
        room.leave(a);
        assert_eq!(room.take(c, None, 100), None, "b was first");
        assert_eq!(room.take(b, Some(2 * ALL), 100), Some(ALL));
        assert_eq!(room.take(c, None, 200), None);
        // Nobody knows that c has gone.
        assert_eq!(room.take(d, None, 300), None);
        room.leave(b);
        assert_eq!(room.take(d, None, 200 + LOST), Some(LEAST));
    }

    #[test]
    fn who_stands_still_loses_its_share_to_those_who_wait() {
        let room = Room::default();
        let [a, b, c] = [(); 3].map(|()| room.ticket());
        room.take(a, Some(ALL), 0).unwrap();
        // Nobody needs it.
        assert!(!room.has_lost(a));
        assert_eq!(room.take(b, None, GRACE - 1), None);
        assert_eq!(room.take(b, None, GRACE), Some(LEAST));
        assert!(room.has_lost(a));
        // What it gives back is not there twice.
        room.leave(a);
        assert_eq!(room.take(c, Some(ALL), GRACE), None);
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_all(steps in prop::collection::vec((0_usize..9, prop::option::of(0..2 * ALL), any::<bool>(), 0..GRACE), 1..99)) {
            let room = Room::default();
            let tickets = [(); 9].map(|()| room.ticket());
            let mut now = 0;
            for (who, needed, takes, later) in steps {
                now += later / 3;
                room.leave(tickets[who]);
                if takes {
                    room.take(tickets[who], needed, now);
                }
                let sum: u64 = room.shares.borrow().iter().map(|share| share.bytes).sum();
                prop_assert!(sum <= ALL);
            }
        }
    }
}
