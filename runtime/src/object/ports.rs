//! What an object needs of the world, apart from its database, whose port is
//! [`Storage`]. The platform stands behind them in a worker, and a simulation in tests. Whatever is
//! asked for may fail with its effect or without, come late, or never be answered.

use std::fmt;
use std::future::Future;

use super::measure::{DataPoint, Usage};
use crate::protocol::error::Error;
use crate::protocol::part::Plan;
use crate::stream::storage::Storage;

/// A database that counts what it is asked to do.
pub trait Metered: Storage {
    /// What was used since the last call.
    fn take_usage(&self) -> Usage;

    /// Adds what was used to what is told at the next call of [`Metered::take_usage`].
    fn give_back(&self, used: Usage);
}

/// All that an object needs. One for each object.
pub trait Ports: 'static {
    /// The object's database.
    type Storage: Metered;
    /// The bucket of cold segments.
    type Bucket: Bucket;
    /// The edge's end of a reader's socket.
    type Socket;

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Milliseconds since some instant, for `Server-Timing`; stands still unless somebody wants to
    /// know.
    fn tick(&self) -> f64;

    /// Any number below 2^32.
    fn random(&self) -> u64;

    /// A number that nobody can guess.
    ///
    /// # Errors
    ///
    /// When there is none; the text is for the log.
    fn secret(&self) -> Result<u128, String>;

    /// Is done after so many milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static;

    /// Goes on with something while requests are answered. It starts in this turn.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);

    /// Sets the object's only alarm to a time in milliseconds since the Unix epoch, or removes it.
    /// It is asked for when this is called, together with what the turn writes; the future says
    /// whether it worked.
    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static;

    /// Gives back the space of a database in which nothing is left. It takes effect when this is
    /// called. An alarm that is set stays.
    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static;

    /// The bucket, if there is one.
    fn bucket(&self) -> Option<&Self::Bucket>;

    /// Asks the object of the stream at a path. Gives the status and the body of its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it does not answer: then nobody knows whether it has heard.
    fn ask(
        &self,
        path: &str,
        question: &str,
        body: String,
    ) -> impl Future<Output = Result<(u16, Vec<u8>), Error>>;

    /// Takes in a reader under these tags, and remembers a cursor with it. Gives the edge's end.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    fn accept(&self, tags: &[&str], cursor: Option<u64>) -> Result<Self::Socket, Error>;

    /// How many readers there are.
    fn readers(&self) -> u32;

    /// Sends a frame to each reader with a tag. It is made only if there is one.
    fn send(&self, tag: &str, frame: impl FnOnce() -> Option<Vec<u8>>);

    /// Sends each reader with a tag the frame for the cursor that was remembered with it.
    fn send_each(&self, tag: &str, frame: impl Fn(u64) -> Vec<u8>);

    /// Closes the socket of each reader with a tag.
    fn close(&self, tag: &str, why: Close);

    /// Has [`Object::deliver`](super::Object::deliver) called in a turn of its own, when the
    /// responses of this one are on their way.
    fn deliver_later(&self);

    /// Takes down a data point, if anybody wants them.
    fn measure(&self, point: impl FnOnce() -> DataPoint);

    /// Tells those who run the server what went wrong.
    fn log(&self, text: fmt::Arguments<'_>);
}

/// Why an object closes a reader's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// There is nothing more to come: the stream is closed or gone.
    Over,
    /// There is more, which the reader has to ask for.
    ComeAgain,
}

impl Close {
    /// What the socket is closed with.
    pub fn code(self) -> u16 {
        match self {
            Self::Over => 1000,
            Self::ComeAgain => 4000,
        }
    }
}

/// The length and the entity tag of an object that was put.
pub type Stored = (u64, String);

/// Keys, and where to go on with the next ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The keys, in order.
    pub keys: Vec<String>,
    /// `None` when these were the last ones.
    pub cursor: Option<String>,
}

/// The bucket of cold segments, as those write to it who keep it.
pub trait Bucket {
    /// Puts an object.
    fn put(
        &self,
        key: &str,
        body: &[u8],
        content_type: &str,
    ) -> impl Future<Output = Result<Stored, String>>;

    /// Puts an object of `size` bytes together from others.
    fn join(
        &self,
        key: &str,
        plan: &Plan,
        size: u64,
        content_type: &str,
    ) -> impl Future<Output = Result<Stored, String>>;

    /// Deletes objects, a thousand at most. Those that are not there are no error.
    fn delete(&self, keys: Vec<String>) -> impl Future<Output = Result<(), String>>;

    /// Lists a thousand keys at most that start with `prefix` and have no slash behind it.
    fn list(
        &self,
        prefix: &str,
        cursor: Option<String>,
    ) -> impl Future<Output = Result<Listed, String>>;
}
