//! Forgetting what is gone, when nobody can speak of it any more.

use super::lives::GONE_FOR;
use super::records::{Records, text, time, whole};
use super::span::Span;
use crate::protocol::error::Error;
use crate::stream::storage::{Param, Statement, Storage};

/// So many rows are looked at in one turn.
const ROWS: usize = 1_000;

/// What comes of looking through some of what is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Behind which name to go on; nothing when that was all.
    pub next: Option<String>,
    /// Whether something is to be forgotten at a later time.
    pub is_more: bool,
}

impl<S: Storage> Records<S> {
    /// Looks through what is gone, from behind a name on, and forgets what has been gone for long:
    /// that it was there, and a retired key with all that it is.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn sweep(&mut self, after: Option<String>, now: u64) -> Result<Swept, Error> {
        let start = after.unwrap_or_default();
        let span = Span::of("").after(start.clone());
        let found = self.within("gone", "name, at", &span, ROWS, |row| {
            (text(row, 0), whole(row, 1))
        })?;
        let last = found.last().map(|(name, _)| name.clone());
        let is_full = found.len() >= ROWS;
        let next = last.clone().filter(|_| is_full);
        let is_due = |at: u64| at.saturating_add(GONE_FOR) <= now;
        let due = found.iter().filter(|(_, at)| is_due(*at)).count();
        // Not all lives that had the last name may be among them.
        let is_more = is_full || due < found.len();
        if let Some(last) = last
            && due > 0
        {
            let params = vec![
                Param::Text(&start),
                Param::Text(&last),
                time(now.saturating_sub(GONE_FOR)),
            ];
            let batch = SWEEP.map(|sql| Statement {
                sql,
                params: params.clone(),
            });
            self.storage()?.write(&batch)?;
        }
        Ok(Swept { next, is_more })
    }
}

const SWEEP: [&str; 2] = [
    "DELETE FROM key WHERE name IN \
     (SELECT name FROM gone WHERE name > ?1 AND name <= ?2 AND at <= ?3)",
    "DELETE FROM gone WHERE name > ?1 AND name <= ?2 AND at <= ?3",
];
