//! The sequencer: one stream over a database, apart from all I/O. A verb reads what it needs,
//! decides, and commits in one batch of statements: a refused request leaves nothing behind, and
//! a crash finds a request whole or not at all. The clock is passed in.
//!
//! | room | what it knows |
//! |---|---|
//! | [`storage`] | the port to the database |
//! | [`birth`] | what is fixed at creation |
//! | [`state`] | what changes later: closure, last access |
//! | [`lifetime`] | access, expiry |
//! | [`verbs`] | what clients ask: create, append, truncate, read, head, delete |
//! | [`log`] | the recent end, in rows |
//! | [`tier`] | what is old, in objects outside, and the jobs about it |
//! | [`family`] | the source's side of a fork |
//! | [`listing`] | whether the directory knows the stream |
//! | `copied` | how far the sources are whose copies it is the target of |
//! | [`describe`] | all that is known of the stream, for whoever looks at it |
//! | [`links`] | subscriptions that are told of what is appended |
//! | [`mod@slice`] | what those get of it that copy the stream |
//! | [`will`] | what becomes of it when nobody appends any more |
//! | [`farewell`] | what is left to say of a stream that has ended |

use std::ops::ControlFlow;

pub mod birth;
mod copied;
pub mod describe;
pub mod family;
pub mod farewell;
pub mod lifetime;
pub mod links;
pub mod listing;
pub mod log;
pub mod slice;
pub mod state;
pub mod storage;
pub mod tier;
pub mod verbs;
pub mod will;

#[cfg(test)]
pub(crate) mod tests;

use birth::Birth;
use copied::Feeders;
use family::book::Forks;
use farewell::Farewell;
use lifetime::Lifetime;
use links::Linked;
use log::chunk::{self, RowLimits, Tail};
use log::latest::Latest;
use state::State;
use storage::{Storage, StorageError};
use tier::hot::Hot;
use tier::seal;
use tier::upkeep::Upkeep;
use will::Silence;

use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;

/// A stream, which may not exist (yet). All times are in milliseconds since the Unix epoch.
#[derive(Debug)]
pub struct Stream<S> {
    storage: S,
    limits: RowLimits,
    cache: Cache,
    beside: Beside,
    upkeep: Upkeep,
    /// Whether the directory is told of a stream that is created.
    lists: bool,
}

/// What is known of the database's content that is there with a stream and without. It is read
/// together with the stream.
#[derive(Debug, Default)]
struct Beside {
    /// What is known of the links, if there is a table of them.
    links: Option<Linked>,
    farewells: Vec<Farewell>,
}

/// What is known of the database's content.
#[derive(Debug)]
enum Cache {
    Unknown,
    Absent,
    Present(Box<Present>),
}

/// See [`Stream::outline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// What tells the stream from others that had or will have its path.
    pub incarnation: &'a str,
    /// Its type.
    pub content_type: &'a ContentType,
    /// Its tail.
    pub tail: Offset,
}

/// A stream that exists.
#[derive(Debug)]
struct Present {
    birth: Birth,
    state: State,
    tail: Tail,
    latest: Latest,
    /// Everything before this lies in segments.
    sealed: Offset,
    /// How much lies in rows; `None` when nobody has counted it.
    hot: Option<Hot>,
    lifetime: Lifetime,
    /// What the will waits for, if there is one and the stream was open when it was loaded.
    silence: Option<Silence>,
    forks: Forks,
    /// Who copies into the stream; nothing when that was not read.
    feeders: Option<Box<Feeders>>,
    /// Where the earliest position was when it was last looked for something to drop.
    looked_for_old: Option<Offset>,
}

impl Present {
    /// The first position that is there: what lies before is not read any more, whatever storage
    /// still holds.
    fn earliest(&self) -> Offset {
        let truncated = self.state.earliest();
        match self.birth.retention {
            Some(retention) => truncated.max(retention.earliest(self.tail.offset)),
            None => truncated,
        }
    }
}

impl<S: Storage> Stream<S> {
    /// The stream in `storage`. Nothing is read before the first verb.
    pub fn new(storage: S) -> Self {
        Self::with_limits(storage, RowLimits::default())
    }

    /// The same with other sizes of rows.
    pub fn with_limits(storage: S, limits: RowLimits) -> Self {
        Self {
            storage,
            limits,
            cache: Cache::Unknown,
            beside: Beside::default(),
            upkeep: Upkeep::default(),
            lists: false,
        }
    }

    /// Refuses readers without credentials, unless the stream was created for them. Whether
    /// another stream exists is not told to them.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`], [`Error::Storage`].
    pub fn require_public(&mut self, now: u64) -> Result<(), Error> {
        self.turn(|stream| match stream.present(now) {
            Ok((_, _, present)) if present.birth.public => Ok(()),
            Ok(_) | Err(Error::NotFound) => Err(Error::Unauthorized("the stream is not public")),
            Err(error) => Err(error),
        })
    }

    /// What tells the stream from others that had or will have its path; `None` when it does not
    /// exist or is not loaded.
    pub fn incarnation(&self) -> Option<&str> {
        match &self.cache {
            Cache::Present(present) => Some(&present.birth.name.incarnation),
            _ => None,
        }
    }

    /// What readers have to know of the stream before they are given anything.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Gone`], [`Error::Storage`].
    pub fn outline(&mut self, now: u64) -> Result<Outline<'_>, Error> {
        self.turn(|stream| stream.present(now).map(drop))?;
        match &self.cache {
            Cache::Present(present) => Ok(Outline {
                incarnation: &present.birth.name.incarnation,
                content_type: &present.birth.content_type,
                tail: present.tail.offset,
            }),
            _ => Err(Error::NotFound),
        }
    }

    /// Where the stream lies.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Runs a verb. When storage fails in it, what is known is forgotten, and the next verb reads
    /// it anew.
    fn turn<T>(&mut self, verb: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let outcome = verb(self);
        if matches!(outcome, Err(Error::Storage(_) | Error::Newer(_))) {
            self.cache = Cache::Unknown;
        }
        outcome
    }

    /// The stream if it exists, was not deleted and has not expired at `now`.
    fn present(&mut self, now: u64) -> Result<(&S, RowLimits, &mut Present), Error> {
        self.load()?;
        match &mut self.cache {
            Cache::Present(present) if present.state.deleted => Err(Error::Gone),
            Cache::Present(present) if !present.lifetime.is_over(now) => {
                Ok((&self.storage, self.limits, present))
            }
            _ => Err(Error::NotFound),
        }
    }

    /// The same, for work that has nothing to do for a stream that is not there.
    fn if_present(&mut self, now: u64) -> Result<Option<(&S, RowLimits, &mut Present)>, Error> {
        match self.present(now) {
            Ok(present) => Ok(Some(present)),
            Err(Error::NotFound | Error::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads what storage knows, unless that is known already.
    fn load(&mut self) -> Result<(), StorageError> {
        if matches!(self.cache, Cache::Unknown) {
            (self.cache, self.beside) = load(&self.storage)?;
        }
        Ok(())
    }
}

fn load(storage: &impl Storage) -> Result<(Cache, Beside), StorageError> {
    let mut table = None;
    let mut farewells = Ok(Vec::new());
    let mut links = None;
    storage.query(birth::SELECT, &[], &mut |row| {
        table = row.text(0).map(str::to_owned);
        links = row.text(1).map(str::to_owned);
        farewells = row.text(2).map_or(Ok(Vec::new()), farewell::from_table);
        ControlFlow::Break(())
    })?;
    let farewells = farewells?;
    let cache = match table {
        Some(table) => load_stream(storage, &table)?,
        None => Cache::Absent,
    };
    let present = match &cache {
        Cache::Present(present) => Some(&**present),
        _ => None,
    };
    let links = links.map(|sql| Linked::load(storage, &sql, present));
    let links = links.transpose()?;
    Ok((cache, Beside { links, farewells }))
}

fn load_stream(storage: &impl Storage, table: &str) -> Result<Cache, StorageError> {
    let birth = Birth::from_table(table)?;
    let mut record = None;
    storage.query(state::SELECT, &[], &mut |row| {
        record = Some(row.blob(0).to_vec());
        ControlFlow::Break(())
    })?;
    let state = match record {
        Some(record) => State::decode(&record)?,
        None => State::of(&birth),
    };
    let malformed = || StorageError::Failed("the last chunk is malformed".into());
    let mut last_chunk = Ok(None);
    storage.query(chunk::SELECT_LAST, &[], &mut |row| {
        last_chunk = Tail::from_row(row).ok_or_else(malformed).map(Some);
        ControlFlow::Break(())
    })?;
    let (mut tail, sealed) = seal::tail(storage, last_chunk?)?;
    if tail.offset < state.earliest() {
        // It was truncated to its tail, and nothing is left of it.
        tail = Tail::bare(state.earliest(), state.seq.clone());
    }
    let lifetime = Lifetime::reloaded(&birth, &state);
    let silence = Silence::load(storage, &birth, &state, tail.offset)?;
    Ok(Cache::Present(Box::new(Present {
        birth,
        state,
        latest: Latest::none(tail.offset),
        tail,
        sealed,
        hot: None,
        lifetime,
        silence,
        forks: Forks::default(),
        feeders: None,
        looked_for_old: None,
    })))
}
