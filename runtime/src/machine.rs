//! The machine that an object is on: what every object needs of the world, whatever it is the object
//! of. Its database has a port of its own, [`Storage`]. Whatever is asked for may fail with its effect
//! or without, come late, or never be answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::patience::{self, within};
use crate::protocol::error::Error;
use crate::stream::storage::Storage;

/// What a database was asked to do since the last time somebody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Rows read, as Cloudflare counts them.
    pub rows_read: f64,
    /// Rows written, as Cloudflare counts them: what costs.
    pub rows_written: f64,
    /// Milliseconds spent, if a clock runs.
    pub millis: f64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rows_read: self.rows_read + other.rows_read,
            rows_written: self.rows_written + other.rows_written,
            millis: self.millis + other.millis,
        }
    }
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPoint {
    /// The stream's path: the index, cut to 96 bytes.
    pub stream: String,
    /// The first segment of a path of several; blob 3.
    pub project: String,
    /// `create`, `append`, `read`, `head` or `delete`; for maintenance `drop`, `seal`, `merge`,
    /// `sweep` or `purge`; blob 1.
    pub operation: &'static str,
    /// `ok` or the error's code; blob 2.
    pub outcome: &'static str,
    /// Messages or bytes appended, read or moved; double 1.
    pub count: u64,
    /// Length of the body that came or went; double 2.
    pub bytes: usize,
    /// Rows written; double 3.
    pub rows: f64,
}

/// A database that counts what it is asked to do.
pub trait Metered: Storage {
    /// What was used since the last call.
    fn take_usage(&self) -> Usage;

    /// Adds what was used to what is told at the next call of [`Metered::take_usage`].
    fn give_back(&self, used: Usage);
}

/// Whom an object can ask, and the edge, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer<'a> {
    /// The object of the stream of this name.
    Stream(&'a str),
    /// The shard of the directory that has this number.
    Shard(u32),
    /// The object of the subscription of this name.
    Subscription(&'a str),
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(name) | Self::Subscription(name) => f.write_str(name),
            Self::Shard(number) => write!(f, "shard {number} of the directory"),
        }
    }
}

/// An answer that comes later. In a box, which makes it one thing wherever it is waited for: written
/// out at each place, it would take a worker tens of thousands of bytes.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<(u16, Vec<u8>), Error>> + 'a>>;

/// One for each object.
pub trait Machine: 'static {
    /// The object's database.
    type Storage: Metered;

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

    /// Asks another object. Gives the status and the body of its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it does not answer: then nobody knows whether it has heard;
    /// [`Error::Misconfigured`] where there are no such objects.
    fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> impl Future<Output = Result<(u16, Vec<u8>), Error>>;

    /// The same, for so many milliseconds at the most.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    fn ask_within<'a>(
        &'a self,
        millis: u64,
        peer: Peer<'a>,
        question: &'a str,
        body: String,
    ) -> Asking<'a> {
        Box::pin(async move {
            let asked = self.ask(peer, question, body);
            let answer = within(self.sleep(millis), asked).await;
            answer.unwrap_or_else(|| Err(Error::Unavailable(format!("{peer} does not answer"))))
        })
    }

    /// The same, for as long as an object may take to answer.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    fn ask_in_time<'a>(&'a self, peer: Peer<'a>, question: &'a str, body: String) -> Asking<'a> {
        self.ask_within(patience::OBJECT, peer, question, body)
    }

    /// Takes down a data point, if anybody wants them.
    fn measure(&self, point: impl FnOnce() -> DataPoint);

    /// Tells those who run the server what went wrong.
    fn log(&self, text: fmt::Arguments<'_>);
}

/// Makes keys and signs with them: Ed25519 (RFC 8032).
pub trait Signs: Machine {
    /// A key that nobody has.
    ///
    /// # Errors
    ///
    /// When there is none; the text is for the log.
    fn new_key(&self) -> impl Future<Output = Result<KeyPair, String>>;

    /// The signature of some bytes, 64 bytes long, by a private key.
    ///
    /// # Errors
    ///
    /// When the key is none that [`new_key`](Self::new_key) made; the text is for the log.
    fn sign(&self, private: &str, bytes: &[u8]) -> impl Future<Output = Result<Vec<u8>, String>>;
}

/// Tells what [`Signs`] has signed.
pub trait Verifies {
    /// Whether it is the signature of some bytes by the private half of a public key, which is as in
    /// [`KeyPair::public`]. What is no key and no signature is not.
    fn verify(&self, public: &str, signature: &[u8], bytes: &[u8]) -> impl Future<Output = bool>;
}

/// See [`Signs::new_key`].
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The private key, in whatever form it can be signed with again. It is never shown to anybody.
    pub private: String,
    /// The public key: unpadded base64url of its 32 bytes, `x` of a JSON Web Key.
    pub public: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Asks receivers of webhooks.
pub trait Posts: Machine {
    /// Sends a POST and gives the status of the answer and its body, or as much of it as anybody
    /// needs. It is not sent on to wherever the answer says.
    ///
    /// # Errors
    ///
    /// When there is no answer; the text is for whoever owns the receiver.
    fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> impl Future<Output = Result<(u16, Vec<u8>), String>>;
}

/// How long nobody tries again to set an alarm that could not be set, in milliseconds, the first
/// time. Each failure doubles it.
const FIRST_WAIT: u64 = 500;
/// So often is it tried before whoever makes it necessary next has to.
const TRIES: u32 = 8;

/// Sees to it that an alarm is set, by an attempt that may fail. The first one is part of this turn.
/// Says whether it worked at last.
pub async fn insist<E: fmt::Debug>(
    machine: &impl Machine,
    mut attempt: impl AsyncFnMut() -> Result<(), E>,
) -> bool {
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES {
        let Err(error) = attempt().await else {
            return true;
        };
        machine.log(format_args!("an alarm was not set: {error:?}"));
        machine.sleep(wait).await;
        wait = wait.saturating_mul(2);
    }
    false
}
