//! What a stream's object needs of the world. The platform stands behind it in a worker, and a
//! simulation in tests. Whatever is asked for may fail with its effect or without, come late, or never
//! be answered.

use std::future::Future;

use crate::machine::Machine;
use crate::protocol::error::Error;
use crate::protocol::part::{Part, Plan};

/// All that a stream's object needs besides its [`Machine`].
pub trait Ports: Machine {
    /// The bucket of cold segments.
    type Bucket: Bucket;
    /// The edge's end of a reader's socket.
    type Socket;

    /// The bucket, if there is one.
    fn bucket(&self) -> Option<&Self::Bucket>;

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

/// The bucket of cold segments, as those use it who keep it.
pub trait Bucket {
    /// Reads a range of an object, once it is certain that it is the object that was stored.
    fn read(&self, part: &Part) -> impl Future<Output = Result<Vec<u8>, String>>;

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
