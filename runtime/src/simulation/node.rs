//! An object on a machine that may fail: its database and its alarm stay, its memory does not.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use super::executor::Group;
use super::ports::{NodePorts, Socket};
use super::world::World;
use crate::directory::Shard;
use crate::machine::{Metered, Peer, Usage};
use crate::object::Object;
use crate::protocol::error::Error;
use crate::stream::birth::{self, Birth};
use crate::stream::storage::{Param, Row, Statement, Storage, StorageError};
use crate::stream::tests::sqlite::Sqlite;
use crate::subscription::Subscription;

/// What an object is the object of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stream,
    Shard,
    Subscription,
}

/// What stays of an object, whatever happens.
pub struct Node {
    pub kind: Kind,
    /// The path of a stream; what others are called.
    pub path: String,
    pub database: Rc<Sqlite>,
    pub alarm: Cell<Option<u64>>,
    /// Whether the platform is about to call, or calls, because of an alarm.
    pub is_firing: Cell<bool>,
    /// Whether an alarm could not be set and nobody has set one since.
    pub is_doubtful: Cell<bool>,
    /// Whether the platform has forgotten one, or none could be set, since one was set.
    pub has_lost_alarm: Cell<bool>,
    pub fired: Cell<u64>,
    pub sockets: RefCell<Vec<Rc<Socket>>>,
    pub instance: RefCell<Option<Instance>>,
    /// Which settings it runs with.
    pub settings: Cell<usize>,
}

/// An object in memory.
#[derive(Clone)]
pub struct Instance {
    pub object: Thing,
    pub group: Group,
}

/// See [`Kind`].
#[derive(Clone)]
pub enum Thing {
    Stream(Rc<Object<NodePorts>>),
    Shard(Rc<Shard<NodePorts>>),
    Subscription(Rc<Subscription<NodePorts>>),
}

impl Thing {
    /// Does what has to be done at this time.
    pub async fn wake(&self) -> Result<(), Error> {
        match self {
            Self::Stream(object) => object.wake().await,
            Self::Shard(shard) => shard.wake().await,
            Self::Subscription(subscription) => subscription.wake().await,
        }
    }
}

impl Kind {
    /// What a peer is, and what its node is called: all projects have the same names and one era
    /// at most.
    pub fn of(peer: Peer<'_>) -> (Self, String) {
        let short = |name: &str| name.find("p/").map_or(name, |at| &name[at..]).to_owned();
        match peer {
            Peer::Stream(name) => (Self::Stream, short(name)),
            Peer::Shard(_) => (Self::Shard, peer.to_string()),
            Peer::Subscription(name) => (Self::Subscription, short(name)),
        }
    }
}

impl Node {
    pub fn new(kind: Kind, path: &str) -> Rc<Self> {
        Rc::new(Self {
            kind,
            path: path.to_owned(),
            database: Rc::new(Sqlite::new()),
            alarm: Cell::new(None),
            is_firing: Cell::new(false),
            is_doubtful: Cell::new(false),
            has_lost_alarm: Cell::new(false),
            fired: Cell::new(0),
            sockets: RefCell::default(),
            instance: RefCell::default(),
            settings: Cell::new(0),
        })
    }

    /// What is stored of the stream's birth, if there is a stream.
    pub fn birth(&self) -> Option<Birth> {
        let mut sql = None;
        let found = self.database.observe(|database| {
            database.query(birth::SELECT, &[], &mut |row| {
                sql = row.text(0).map(str::to_owned);
                ControlFlow::Break(())
            })
        });
        found.unwrap();
        sql.map(|sql| Birth::from_table(&sql).unwrap())
    }

    /// The number in the first column of the first row; 0 if there is none, or no such table.
    pub fn number(&self, sql: &str) -> i64 {
        let mut number = 0;
        let _ = self.database.observe(|database| {
            database.query(sql, &[], &mut |row| {
                number = row.integer(0);
                ControlFlow::Break(())
            })
        });
        number
    }
}

/// A database that belongs to no turn: it is there as long as anybody is.
#[derive(Clone)]
pub struct Database {
    pub sqlite: Rc<Sqlite>,
    seen: Cell<u64>,
    /// Whoever looks at each commit.
    observer: Option<(World, Rc<Node>)>,
}

impl Database {
    pub fn new(sqlite: Rc<Sqlite>) -> Self {
        let seen = Cell::new(sqlite.written.get());
        Self {
            sqlite,
            seen,
            observer: None,
        }
    }

    /// The database of a node, of which the world sees each commit.
    pub fn observed(world: &World, node: &Rc<Node>) -> Self {
        Self {
            observer: Some((world.clone(), Rc::clone(node))),
            ..Self::new(Rc::clone(&node.database))
        }
    }
}

impl Storage for Database {
    fn query(
        &self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        (&*self.sqlite).query(sql, params, each)
    }

    fn write(&self, batch: &[Statement]) -> Result<(), StorageError> {
        (&*self.sqlite).write(batch)?;
        if let Some((world, node)) = &self.observer {
            world.committed(node);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        (&*self.sqlite).size()
    }
}

impl Metered for Database {
    fn take_usage(&self) -> Usage {
        let written = self.sqlite.written.get();
        let before = self.seen.replace(written);
        Usage {
            rows_written: written.saturating_sub(before) as f64,
            ..Usage::default()
        }
    }

    fn give_back(&self, used: Usage) {
        let seen = self.seen.get();
        self.seen.set(seen - used.rows_written as u64);
    }
}
