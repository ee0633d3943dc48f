//! Subscriptions (sections 6 and 7): durable cursors that wake workers when streams have something for
//! them.
//!
//! | file | what it knows |
//! |---|---|
//! | [`config`], [`copy`] | what clients ask for when they create one |
//! | [`record`], [`links`] | what is stored |
//! | [`core`] | verbs over the database: each a transaction |
//! | [`manage`] | creation, deletion, streams that are named |
//! | [`news`] | what streams say of themselves |
//! | [`wake`] | when somebody is woken, and whose the wake is |
//! | [`telling`] | what is sent, and what comes of it |
//! | [`acks`], [`token`] | what workers and receivers say, and how they prove that they may |
//! | [`sources`], [`envelope`] | what is copied, and in which form |
//! | [`pump`], [`waiting`] | how it gets from its sources to their target |
//! | [`positions`] | how far it is |
//! | [`backfill`] | how streams are found that are there already |
//! | [`describe`] | a subscription as clients see it |
//! | [`answer`] | its object: questions and answers |
//! | [`deliver`] | whom it tells of a wake |
//! | [`work`] | what it asks the directory and streams |
//! | [`alarm`] | when it wakes next |
//!
//! Whatever is awaited lets questions and alarms in, so nothing that was looked up before holds after
//! it. A stream that is not wanted any more is told so when it tells of itself the next time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::machine::{DataPoint, Metered, Posts, Signs};
use crate::protocol::ask::{Life, SigningKey};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;

pub mod acks;
pub mod alarm;
pub mod answer;
pub mod backfill;
pub mod config;
pub mod copy;
pub mod core;
pub mod deliver;
pub mod describe;
pub mod envelope;
pub mod links;
pub mod manage;
pub mod news;
pub mod positions;
pub mod pump;
pub mod record;
pub mod sources;
pub mod telling;
pub mod token;
pub mod waiting;
pub mod wake;
pub mod work;

#[cfg(test)]
mod tests;

use self::core::Core;
use self::pump::Pump;

/// What the worker's variables mean for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many shards the directory has, if there is one.
    pub shards: Result<Option<u32>, Error>,
    /// Whether this is a server for development, on the machine of its user.
    pub is_dev: bool,
    /// How long a receiver may fail before nothing is sent to it any more, in milliseconds.
    pub park_after: Result<u64, Error>,
}

/// The object of a subscription, for as long as it is in memory.
pub struct Subscription<P: Signs + Posts> {
    ports: P,
    settings: Settings,
    core: RefCell<Core<P::Storage>>,
    /// The key that webhooks are signed with, and until when.
    key: RefCell<Option<(SigningKey, u64)>>,
    /// When the alarm is, if it is known.
    alarm: Cell<Option<u64>>,
    /// What is done about streams that are there already.
    filling: Work,
    /// What is done about subscriptions that were deleted.
    leaving: Work,
    /// The path behind which streams are asked for their tails the next time.
    asked: RefCell<String>,
    /// What is on its way from sources to their target.
    pump: Pump,
    /// How many requests wait for a subscription that copies to be complete.
    creating: Cell<u32>,
    /// Which subscription could not be what they want, and why.
    refusal: RefCell<Option<(Life, SubscriptionError)>>,
}

/// Something that is done once at a time.
#[derive(Debug, Default)]
struct Work {
    is_on: Cell<bool>,
    /// When it may go on.
    at: Cell<u64>,
    /// How often it has failed in a row.
    failures: Cell<u32>,
}

impl<P: Signs + Posts> std::fmt::Debug for Subscription<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("settings", &self.settings)
            .field("alarm", &self.alarm)
            .finish_non_exhaustive()
    }
}

impl<P: Signs + Posts> Subscription<P> {
    /// The subscription in a database. Nothing is read before the first question.
    pub fn new(ports: P, settings: Settings, storage: P::Storage) -> Rc<Self> {
        Rc::new(Self {
            ports,
            settings,
            core: RefCell::new(Core::new(storage)),
            key: RefCell::default(),
            alarm: Cell::new(None),
            filling: Work::default(),
            leaving: Work::default(),
            asked: RefCell::default(),
            pump: Pump::default(),
            creating: Cell::new(0),
            refusal: RefCell::default(),
        })
    }

    /// How many shards the directory has.
    fn shards(&self) -> Result<u32, Error> {
        let shards = self.settings.shards.clone()?;
        Ok(shards.ok_or(SubscriptionError::DirectoryOff)?)
    }

    /// Takes down what something came to.
    fn measure(&self, operation: &'static str, outcome: &'static str, count: u64, bytes: usize) {
        self.ports.measure(|| {
            let mut core = self.core.borrow_mut();
            let rows = core.storage().take_usage().rows_written;
            let (stream, project) = core.names();
            DataPoint {
                stream,
                project,
                operation,
                outcome,
                count,
                bytes,
                rows,
            }
        });
    }

    /// Tells those who run the server what went wrong.
    fn complain(&self, error: &Error) {
        let detail = error
            .detail()
            .map_or_else(|| error.to_string(), str::to_owned);
        self.ports
            .log(format_args!("a subscription: {}: {detail}", error.code()));
    }
}
