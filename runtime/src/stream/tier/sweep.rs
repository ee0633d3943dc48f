//! Sweeping: objects that the index does not know any more are deleted when nobody can still be
//! reading them: neither a reader who was told of them, nor a fork whose index has them.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::segment;
use super::upkeep::{GRACE, Intent};
use crate::protocol::error::Error;
use crate::protocol::version::{self, STORED};
use crate::stream::family::book::Book;
use crate::stream::family::claims::RECHECK;
use crate::stream::family::needs::Retired as Needed;
use crate::stream::state;
use crate::stream::storage::{Param, Statement, Storage, StorageError};
use crate::stream::{Cache, Present, Stream};

/// The row of the first note of objects that are out of use; the others follow.
const FIRST_ROW_ID: i64 = -(1 << 51);

const SELECT_NEXT: &str = "SELECT id, body FROM stream \
    WHERE id BETWEEN ?1 AND -2111062325329921 ORDER BY id LIMIT 1";
const SELECT_LAST: &str = "SELECT id FROM stream \
    WHERE id BETWEEN -2251799813685248 AND -2111062325329921 ORDER BY id DESC LIMIT 1";
const DELETE: &str = "DELETE FROM stream WHERE id = ?1";

/// So many notes are looked at in one turn. Where there are more of which forks need all objects,
/// the next turn goes on.
const AT_ONCE: usize = 256;

/// The generation with which objects leave that never were in the index.
pub(super) const NEVER: u64 = 0;

/// Objects to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Their keys.
    pub keys: Vec<String>,
    row: i64,
}

/// An object that goes out of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Retiring {
    /// Its key.
    pub key: String,
    /// The generation with which it came into the index; 0 when it was sealed, or nobody knows.
    pub born: u64,
}

/// A note of objects that are out of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Retired {
    row: i64,
    note: Vec<u8>,
}

/// How a note is written. Releases that know only `due` and `keys` sweep everything in it as soon
/// as there is no fork, and nothing before, which is right as well; so no version is stated.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    /// When they may be deleted, in milliseconds since the Unix epoch.
    due: u64,
    keys: Vec<String>,
    /// The generation of the index that they are not in any more; `None` when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// For each of the keys, [`Retiring::born`]; what is left out is 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    born: Vec<u64>,
}

impl Retired {
    /// A note for objects that go out of use now, with this generation of the index.
    pub fn new(
        storage: &impl Storage,
        objects: Vec<Retiring>,
        generation: u64,
        now: u64,
    ) -> Result<Self, StorageError> {
        let mut row = FIRST_ROW_ID;
        storage.query(SELECT_LAST, &[], &mut |last| {
            row = last.integer(0).saturating_add(1);
            ControlFlow::Break(())
        })?;
        let note = Note::of(objects, Some(generation), now.saturating_add(GRACE));
        let note = note.encode();
        Ok(Self { row, note })
    }

    /// The statement that notes it.
    pub fn statement(&self) -> Statement<'_> {
        state::put(self.row, &self.note)
    }
}

/// How what was on its way to the bucket is given up, when a stream is deleted that is kept for
/// its forks: it will never be in the index.
#[derive(Debug)]
pub(in crate::stream) struct Abandoned(Option<Retired>);

impl Abandoned {
    /// Gives up what is on its way now.
    pub fn new(storage: &impl Storage, present: &Present, now: u64) -> Result<Self, StorageError> {
        let prefix = present.birth.name.prefix();
        let mut objects = Vec::new();
        for row in [Intent::SEAL, Intent::MERGE] {
            if let Some(intent) = Intent::load(storage, row)? {
                let (start, end) = intent.range()?;
                let key = segment::key(&prefix, start, end.position());
                objects.push(Retiring { key, born: 0 });
            }
        }
        if objects.is_empty() {
            return Ok(Self(None));
        }
        // By then, what was put late has arrived.
        Retired::new(storage, objects, NEVER, now).map(|note| Self(Some(note)))
    }

    /// The statements that do it.
    pub fn statements(&self) -> Vec<Statement<'_>> {
        let note = self.0.iter().flat_map(|note| {
            let forget = [Intent::SEAL, Intent::MERGE].map(Intent::forget);
            forget.into_iter().chain([note.statement()])
        });
        note.collect()
    }
}

impl Note {
    fn of(objects: Vec<Retiring>, generation: Option<u64>, due: u64) -> Self {
        let (keys, born): (_, Vec<u64>) = objects
            .into_iter()
            .map(|object| (object.key, object.born))
            .unzip();
        let born = if born.iter().all(|born| *born == 0) {
            Vec::new()
        } else {
            born
        };
        Self {
            due,
            keys,
            generation,
            born,
        }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    /// The objects.
    fn objects(&self) -> impl Iterator<Item = Retiring> {
        let born = self.born.iter().copied().chain(std::iter::repeat(0));
        let objects = self.keys.iter().cloned().zip(born);
        objects.map(|(key, born)| Retiring { key, born })
    }

    /// The objects that no fork needs, and those that one does.
    fn part(&self, book: &Book) -> (Vec<Retiring>, Vec<Retiring>) {
        self.objects().partition(|object| {
            !book.needs(Needed {
                start: segment::start_of(&object.key).unwrap_or(0),
                born: object.born,
                left: self.generation,
            })
        })
    }
}

/// The first note from a row on.
fn next(storage: &impl Storage, from: i64) -> Result<Option<(i64, Note)>, StorageError> {
    let mut found = None;
    storage.query(SELECT_NEXT, &[Param::Integer(from)], &mut |row| {
        let note = version::read("a note of objects out of use", row.blob(1), STORED);
        found = Some(note.map(|note| (row.integer(0), note)));
        ControlFlow::Break(())
    })?;
    Ok(found.transpose()?)
}

/// Whether there are objects that are out of use.
pub(in crate::stream) fn any(storage: &impl Storage) -> Result<bool, StorageError> {
    Ok(next(storage, FIRST_ROW_ID)?.is_some())
}

/// Where there is something to sweep next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// Nowhere, unless a claim goes.
    Nothing,
    /// These objects, then.
    At(u64, Sweep),
    /// Behind those notes that were looked at.
    Further,
}

/// Finds the first note with an object that no fork needs. What is passed over on the way is not
/// looked at again until a claim goes: only then may it be needed no more.
fn find(storage: &impl Storage, present: &mut Present) -> Result<Next, StorageError> {
    for _ in 0..AT_ONCE {
        let from = present
            .forks
            .passed
            .map_or(FIRST_ROW_ID, |row| row.saturating_add(1));
        let Some((row, note)) = next(storage, from)? else {
            return Ok(Next::Nothing);
        };
        let (free, _) = note.part(present.forks.book(storage)?);
        if !free.is_empty() {
            let keys = free.into_iter().map(|object| object.key).collect();
            return Ok(Next::At(note.due, Sweep { keys, row }));
        }
        present.forks.passed = Some(row);
    }
    Ok(Next::Further)
}

/// When the next objects may be deleted; `None` also while forks may read all there are.
pub(in crate::stream) fn due(
    storage: &impl Storage,
    present: &mut Present,
    now: u64,
) -> Result<Option<u64>, StorageError> {
    Ok(match find(storage, present)? {
        Next::Nothing => None,
        Next::At(due, _) => Some(due),
        Next::Further => Some(now),
    })
}

impl<S: Storage> Stream<S> {
    /// Plans to delete objects that are out of use for long enough.
    pub(in crate::stream) fn sweep(&mut self, now: u64) -> Result<Option<Sweep>, Error> {
        let Some((storage, present)) = self.sweepable(now)? else {
            return Ok(None);
        };
        let next = find(storage, present)?;
        let is_held = next == Next::Nothing && present.forks.passed.is_some();
        if is_held && present.forks.due(storage)?.is_none() {
            // Whatever keeps it may be a fork that is gone, and was not heard of.
            present
                .forks
                .ask_all(storage, now.saturating_add(RECHECK))?;
        }
        Ok(match next {
            Next::At(due, sweep) if due <= now => Some(sweep),
            _ => None,
        })
    }

    /// The objects are gone: forgets them.
    pub(in crate::stream) fn swept(&mut self, sweep: &Sweep, now: u64) -> Result<bool, Error> {
        let Some((storage, _)) = self.sweepable(now)? else {
            return Ok(true);
        };
        let Some((row, mut note)) = next(storage, sweep.row)?.filter(|found| found.0 == sweep.row)
        else {
            return Ok(true);
        };
        // Another stream may be here by now, with notes of its own.
        let is_this = sweep.keys.iter().all(|key| note.keys.contains(key));
        if !is_this {
            return Ok(true);
        }
        let left = note
            .objects()
            .filter(|object| !sweep.keys.contains(&object.key));
        let left: Vec<_> = left.collect();
        if left.is_empty() {
            storage.write(&[Statement {
                sql: DELETE,
                params: vec![Param::Integer(row)],
            }])?;
        } else {
            note = Note::of(left, note.generation, note.due);
            storage.write(&[state::put(row, &note.encode())])?;
        }
        Ok(true)
    }

    /// The stream if objects of it may be swept. One that is kept for its forks is swept like any
    /// other.
    pub(in crate::stream) fn sweepable(
        &mut self,
        now: u64,
    ) -> Result<Option<(&S, &mut Present)>, Error> {
        self.load()?;
        Ok(match &mut self.cache {
            Cache::Present(present) if present.state.deleted || !present.lifetime.is_over(now) => {
                Some((&self.storage, &mut **present))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Note, StorageError> {
        Ok(version::read("a note", text.as_bytes(), STORED)?)
    }

    #[test]
    fn notes_of_other_releases() {
        // As version 1 wrote it.
        let note = read(r#"{"due":7,"keys":["streams/a/1/0-3","streams/a/1/3-6"]}"#).unwrap();
        let born: Vec<_> = note.objects().map(|object| object.born).collect();
        assert_eq!((note.due, note.generation, born), (7, None, vec![0, 0]));

        let newer = read(r#"{"v":99,"objects":[]}"#);
        assert!(matches!(newer, Err(StorageError::Newer(_))));
    }

    #[test]
    fn notes_round_trip() {
        for born in [[0, 0], [0, 3]] {
            let objects = ["a", "b"].into_iter().zip(born);
            let objects = objects.map(|(key, born)| Retiring {
                key: key.into(),
                born,
            });
            let objects: Vec<_> = objects.collect();
            let note = Note::of(objects.clone(), Some(4), 7);
            let read = read(&String::from_utf8(note.encode()).unwrap()).unwrap();
            assert_eq!(read.objects().collect::<Vec<_>>(), objects);
            assert_eq!((read.due, read.generation), (7, Some(4)));
        }
    }
}
