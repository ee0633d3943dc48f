//! Whose message counts. Messages are doubled, late and out of order: the younger of two lives wins,
//! and one that is over does not come back. Which are over is known for [`GONE_FOR`].

use std::ops::ControlFlow;

use super::records::{Records, time, whole};
use crate::protocol::ask::Life;
use crate::protocol::error::Error;
use crate::stream::storage::{Param, Statement, Storage};

/// How long it is known of a life that it is over, in milliseconds. No message is on its way for as
/// long.
pub const GONE_FOR: u64 = 15 * 60_000;

/// What lives, and the statements about it.
#[derive(Debug)]
pub struct Kind {
    /// Finds who has a name, and whether a certain life is over.
    pub select: &'static str,
    /// Puts down who has a name.
    pub put: &'static str,
    /// Takes down that somebody has it.
    pub delete: &'static str,
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Who has it, with what else is known of them.
    pub here: Option<(Life, Option<String>)>,
    /// Whether the life that was asked about is over.
    pub is_over: bool,
}

/// What to make of the message that a life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// That life is over, or a younger one has its name.
    Late,
    /// All of it is known.
    Known,
    /// There is something to put down.
    News,
}

impl Known {
    /// What to make of the message that `life` goes on, with what else it says.
    pub fn judge(&self, life: &Life, more: Option<&str>) -> Verdict {
        match &self.here {
            _ if self.is_over => Verdict::Late,
            Some((here, _)) if here.is_after(life) => Verdict::Late,
            Some((here, known)) if here == life && known.as_deref() == more => Verdict::Known,
            _ => Verdict::News,
        }
    }
}

impl<S: Storage> Records<S> {
    /// Hears that a life goes on, and what else is known of it.
    pub(super) fn goes_on(
        &mut self,
        kind: &Kind,
        name: &str,
        life: &Life,
        more: Option<&str>,
    ) -> Result<Verdict, Error> {
        let storage = self.storage()?;
        let who = [Param::Text(name), Param::Text(&life.incarnation)];
        let mut known = Known::default();
        storage.query(kind.select, &who, &mut |row| {
            match row.text(0) {
                Some(incarnation) => {
                    let life = Life {
                        born: whole(row, 1),
                        incarnation: incarnation.to_owned(),
                    };
                    known.here = Some((life, row.text(2).map(str::to_owned)));
                }
                None => known.is_over = true,
            }
            ControlFlow::Continue(())
        })?;
        let verdict = known.judge(life, more);
        if verdict == Verdict::News {
            let [name, incarnation] = who;
            let more = more.map_or(Param::Null, Param::Text);
            storage.write(&[Statement {
                sql: kind.put,
                params: vec![name, incarnation, time(life.born), more],
            }])?;
        }
        Ok(verdict)
    }

    /// Hears that a life is over.
    pub(super) fn is_over(
        &mut self,
        kind: &Kind,
        name: &str,
        life: &Life,
        now: u64,
    ) -> Result<(), Error> {
        let who = [Param::Text(name), Param::Text(&life.incarnation)];
        let [name, incarnation] = who;
        let batch = [
            Statement {
                sql: kind.delete,
                params: who.to_vec(),
            },
            Statement {
                sql: GONE,
                params: vec![name, incarnation, time(now)],
            },
        ];
        Ok(self.storage()?.write(&batch)?)
    }
}

/// Notes that something is over from some time on.
pub(super) const GONE: &str = "INSERT OR IGNORE INTO gone VALUES (?1, ?2, ?3)";
