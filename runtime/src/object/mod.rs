//! A stream's object between and around requests: what a request, an alarm, another object's
//! question or the end of the stream leads to, who is told of it, and when the object wakes next.
//! It decides over [`ports`]; the platform behind them is `cloudflare`'s.
//!
//! | file | what it knows |
//! |---|---|
//! | [`ports`] | what an object needs of the world |
//! | [`settings`] | what the worker's variables mean for an object |
//! | [`request`] | a request as its object looks at it |
//! | [`answer`] | from a request to a verb of the stream, and back |
//! | [`readers`] | live readers: how they are taken in, sent news, and let go |
//! | [`end`] | the one way in which a stream ends |
//! | `copies` | what subscriptions that copy into the stream ask |
//! | [`question`] | what objects ask each other, and the way to them |
//! | [`family`] | what the objects of a fork and its source say to each other |
//! | `enroll` | what the directory is told of the stream |
//! | `tell` | what subscriptions are told of it |
//! | `heard` | what they answer |
//! | `telling` | what one of them has heard, and when it is told next |
//! | `slices` | what those are given that copy it |
//! | [`chores`] | jobs: what is done besides requests |
//! | [`wake`] | the alarm: when the object wakes next, and what it does then |
//! | [`measure`] | what an operation cost |
//!
//! Several verbs of the stream may run in one turn, and each is a transaction. Whatever is awaited
//! lets requests, alarms and questions in, so nothing that was looked up before holds after it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use crate::protocol::path::StreamPath;
use crate::stream::Stream;
use crate::stream::birth::Name;

pub mod answer;
pub mod chores;
mod copies;
pub mod end;
mod enroll;
pub mod family;
mod heard;
pub mod measure;
pub mod ports;
pub mod question;
pub mod readers;
pub mod request;
pub mod settings;
mod slices;
mod tell;
mod telling;
pub mod wake;

#[cfg(test)]
pub(crate) mod tests;

pub use answer::{Answer, Done};

use enroll::Enrollment;
use ports::Ports;
use readers::Readers;
use settings::Settings;
use tell::Tell;
use wake::Alarm;

/// The object of one stream, for as long as it is in memory.
pub struct Object<P: Ports> {
    ports: P,
    settings: Settings,
    stream: RefCell<Stream<P::Storage>>,
    /// What the stream is called in metrics.
    path: OnceCell<StreamPath>,
    readers: Readers,
    /// When the stream was last read, or was taken to be when the object came into memory, in
    /// milliseconds since the Unix epoch.
    read_at: Cell<u64>,
    /// The forks that are being made here: their sources were asked, and may ask back.
    pending: RefCell<Vec<Name>>,
    alarm: Alarm,
    enrollment: Enrollment,
    tell: Tell,
    /// Whether somebody was told why nothing moves to the bucket.
    complained: Cell<bool>,
    /// Rows written for maintenance since the object was loaded, as Cloudflare counts them.
    upkeep_rows: Cell<f64>,
}

impl<P: Ports> std::fmt::Debug for Object<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("settings", &self.settings)
            .field("readers", &self.readers)
            .field("alarm", &self.alarm)
            .finish_non_exhaustive()
    }
}

impl<P: Ports> Object<P> {
    /// The object of the stream in `stream`. Nothing is read before the first request.
    pub fn new(ports: P, settings: Settings, stream: Stream<P::Storage>) -> Rc<Self> {
        let stream = match settings.shards {
            Ok(Some(_)) => stream.listing(),
            _ => stream,
        };
        Rc::new(Self {
            read_at: Cell::new(ports.now().saturating_sub(copies::READ_BEFORE)),
            ports,
            settings,
            stream: RefCell::new(stream),
            path: OnceCell::new(),
            readers: Readers::default(),
            pending: RefCell::default(),
            alarm: Alarm::default(),
            enrollment: Enrollment::default(),
            tell: Tell::default(),
            complained: Cell::new(false),
            upkeep_rows: Cell::new(0.0),
        })
    }

    /// What the object needs of the world.
    pub fn ports(&self) -> &P {
        &self.ports
    }

    /// What the worker's variables say.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
