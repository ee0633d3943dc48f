//! What becomes of a stream whose writer falls silent: its will, which its object carries out.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::call::Call;
use super::{Create, Error};
use crate::protocol::header;

/// What a stream says last when nobody has appended to it for a while: its object appends that, if it
/// is anything, and closes the stream. It is kept with the stream, so that it holds whatever becomes of
/// the worker that writes, or of the machine.
///
/// ```no_run
/// # use durable_streams_cloudflare::streams::{Create, Error, Will};
/// # use std::time::Duration;
/// # fn create() -> Result<Create, Error> {
/// let will = Will::after(Duration::from_secs(90)).message(&"the answer was cut off")?;
/// Ok(Create::new().will(will))
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    pub(super) after: Duration,
    pub(super) content: Vec<u8>,
}

impl Will {
    /// The stream is closed when nothing was appended to it for so long, in whole seconds from 1 on;
    /// less counts as more.
    #[must_use]
    pub fn after(silence: Duration) -> Self {
        Self {
            after: silence,
            content: Vec::new(),
        }
    }

    /// The last message of a JSON stream.
    ///
    /// # Errors
    ///
    /// [`Error::Json`].
    pub fn message(self, message: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        Ok(self.bytes(serde_json::to_vec(&[message])?))
    }

    /// The last bytes: of a JSON stream a message, or an array of messages.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.content = bytes.into();
        self
    }

    /// Part of a second is as good as the whole one.
    fn seconds(&self) -> u64 {
        let part = u64::from(self.after.subsec_nanos() > 0);
        self.after.as_secs().saturating_add(part)
    }

    pub(super) fn ask(&self, call: Call) -> Call {
        let content = (!self.content.is_empty()).then(|| STANDARD.encode(&self.content));
        call.with(header::STREAM_WILL_AFTER, self.seconds().to_string())
            .with_some(
                header::STREAM_WILL,
                content.map(|content| format!(":{content}:")),
            )
    }
}

impl Create {
    /// The stream has a will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }
}
