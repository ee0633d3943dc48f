//! Tokens for those who have none, such as the worker's own pages.

use std::time::Duration;

use super::{Error, Stream};
use crate::auth::mint::{Scope, mint};
use crate::auth::project::Registry;
use crate::edge::ports::Ports;

impl<P: Ports<Env: Registry>> Stream<P> {
    /// A token of the stream's project for this stream alone, which ends after so long, in whole
    /// seconds. [`ProjectJwt`](crate::ProjectJwt) takes it, from anybody who has it: give it to who
    /// may have it, and let it live no longer than it takes to come back for another. The stream need
    /// not be there.
    ///
    /// One that reads may be in a URL, too, as the parameter `token` of a GET with `live=sse`, if it
    /// ends within 300 seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where the project is not registered; [`Error::Unavailable`] where the
    /// registry is.
    pub async fn token(&self, scope: Scope, lasts: Duration) -> Result<String, Error> {
        let ports = &self.streams.ports;
        let now = ports.now().saturating_div(1000);
        let end = now.saturating_add(lasts.as_secs());
        Ok(mint(&self.path, scope, end, ports.env()).await?)
    }
}
