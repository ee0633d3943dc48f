//! Whose turn it is to be asked whether it lives. One round goes through all claims in the order
//! of their keys, a page after the other, so that it reads each of them once; an index by time
//! would cost a row for each claim.

use super::claims::{self, FIRST_CHECK};
use crate::stream::birth::Name;
use crate::stream::storage::{Storage, StorageError};

/// What is known of when to ask.
#[derive(Debug, Default)]
pub(in crate::stream) struct Asking {
    /// No claim is due before this; `None` when none ever is.
    earliest: Option<u64>,
    round: Option<Round>,
    /// Who was to be asked, and when, and has not been heard of.
    asked: (u64, Vec<Name>),
}

/// A round that is not at its end.
#[derive(Debug, Default)]
struct Round {
    began: u64,
    /// The last claim that was looked at.
    after: Option<Name>,
    /// When the first of those is due that have been looked at.
    earliest: Option<u64>,
}

impl Round {
    fn expect(&mut self, at: u64) {
        self.earliest = self.earliest.into_iter().chain([at]).min();
    }
}

impl From<Option<u64>> for Asking {
    /// No claim is due before `earliest`.
    fn from(earliest: Option<u64>) -> Self {
        Self {
            earliest,
            ..Self::default()
        }
    }
}

impl Asking {
    /// When to ask; `None` for never.
    pub fn due(&self) -> Option<u64> {
        match &self.round {
            Some(round) => Some(round.began),
            None => self.earliest.into_iter().chain(self.unheard()).min(),
        }
    }

    /// A claim is due at this time.
    pub fn expect(&mut self, at: u64) {
        match &mut self.round {
            Some(round) => round.expect(at),
            None => self.earliest = self.earliest.into_iter().chain([at]).min(),
        }
    }

    /// A fork has answered, or is gone.
    pub fn heard_of(&mut self, fork: &Name) {
        self.asked.1.retain(|asked| asked != fork);
    }

    /// The next ones to ask; none when all were.
    pub fn next(&mut self, storage: &impl Storage, now: u64) -> Result<Vec<Name>, StorageError> {
        if let Some(at) = self.unheard() {
            self.expect(at);
        }
        self.asked = (now, Vec::new());
        let is_early = self.earliest.is_none_or(|earliest| earliest > now);
        let mut round = match self.round.take() {
            Some(round) => round,
            None if is_early => return Ok(Vec::new()),
            None => Round {
                began: now,
                ..Round::default()
            },
        };
        loop {
            let page = claims::page(storage, round.after.as_ref())?;
            let is_last = page.len() < claims::PAGE;
            let mut forks = Vec::new();
            for (fork, due) in page {
                match due {
                    Some(due) if due <= now => forks.push(fork.clone()),
                    Some(due) => round.expect(due),
                    None => {}
                }
                round.after = Some(fork);
            }
            if is_last {
                self.earliest = round.earliest;
            } else if forks.is_empty() {
                continue;
            } else {
                self.round = Some(round);
            }
            self.asked = (now, forks.clone());
            return Ok(forks);
        }
    }

    /// When to ask those again that were not heard of.
    fn unheard(&self) -> Option<u64> {
        let (at, forks) = &self.asked;
        (!forks.is_empty()).then(|| at.saturating_add(FIRST_CHECK))
    }
}
