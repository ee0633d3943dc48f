//! Whether a live read may go on: what it was granted may have been taken back since.
//!
//! Whoever authorizes reads says whether that is to be found out ([`AuthorizeRead::again`]), and is
//! then asked the same question again. A reader of events is asked about every so often, and let go
//! between two events; a long-poll is asked about before what it has waited for is given to it.
//!
//! [`AuthorizeRead::again`]: crate::auth::AuthorizeRead::again

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;

use super::ports::Ports;
use super::refusal;
use crate::auth::{Grant, Refusal};
use crate::protocol::error::Error;

/// How long a live read goes on until somebody asks whether it may, in milliseconds. With what the
/// registry may be behind by, 45 seconds, that is less than a minute.
pub const EVERY: u64 = 12_000;

/// Asks whoever has granted a read what they say now.
pub(crate) type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Grant, Refusal>>>>>;

/// See the module's text.
pub(crate) struct Again<P> {
    ports: P,
    grant: Grant,
    granted_at: u64,
    ask: Option<Ask>,
}

impl<P> fmt::Debug for Again<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl<P: Ports> Again<P> {
    /// What was granted just now, and how to ask again.
    pub(crate) fn new(ports: P, grant: Grant, ask: Option<Ask>) -> Self {
        Self {
            granted_at: ports.now(),
            ports,
            grant,
            ask,
        }
    }

    /// Whether anybody may take the grant back.
    pub(super) fn is_asked(&self) -> bool {
        self.ask.is_some()
    }

    /// Is done when the grant does not hold any more, or nobody can say whether it does.
    pub(super) async fn ended(&self) {
        let Some(ask) = &self.ask else {
            return pending().await;
        };
        loop {
            self.ports.sleep(EVERY).await;
            if let Err(refused) = self.compare(ask().await) {
                if let Refusal::Error(error) = refused {
                    refusal(&error, |text| self.ports.log(text));
                }
                return;
            }
        }
    }

    /// Refuses what has waited for some time if the grant does not hold any more.
    ///
    /// # Errors
    ///
    /// What whoever grants reads says now.
    pub(super) async fn check(&self) -> Result<(), Refusal> {
        let waited = self.ports.now().saturating_sub(self.granted_at);
        match &self.ask {
            Some(ask) if waited >= EVERY => self.compare(ask().await),
            _ => Ok(()),
        }
    }

    /// What was granted for other reasons may have another end, and other rules: the reader has to
    /// come back for it.
    fn compare(&self, now: Result<Grant, Refusal>) -> Result<(), Refusal> {
        let now = now?;
        if now.audience == self.grant.audience && now.era == self.grant.era {
            return Ok(());
        }
        Err(Error::Unauthorized("what has allowed this read has changed; read again").into())
    }
}
