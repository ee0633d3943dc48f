//! The way to a stream's object, and back.

use super::{Error, Stream, Streams};
use crate::auth::project::{Registry, Settling};
use crate::edge::cold;
use crate::edge::ports::{Outgoing, Ports};
use crate::patience::within;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path::{self, Era, StreamPath, in_era};

/// The query of a PUT that makes a public stream.
pub(super) const PUBLIC: &str = "public=true";

/// What a stream is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) method: &'static str,
    /// Without `?`.
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn new(method: &'static str) -> Self {
        Self {
            method,
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl<P: Ports<Env: Registry>> Stream<P> {
    /// Asks the stream's object.
    ///
    /// # Errors
    ///
    /// What it refuses; [`Error::Unavailable`].
    pub(super) async fn call(&self, call: &Call) -> Result<P::Response, Error> {
        self.call_in(self.era().await?, call).await
    }

    /// The same of a stream of this era.
    async fn call_in(&self, era: Option<Era>, call: &Call) -> Result<P::Response, Error> {
        let ports = &self.streams.ports;
        let url = self.url(era, &call.query);
        let request = ports.request(call.method, &url, &call.headers, &call.body)?;
        let object = ports.object(&self.path.name(era))?;
        let asked = ports.forward(&object, &request);
        let response = match self.streams.limit {
            None => asked.await?,
            Some(limit) => match within(ports.sleep(limit), asked).await {
                Some(response) => response?,
                None => return Err(Error::late(limit)),
            },
        };
        self.accepted(response).await
    }

    /// The response, unless it refuses.
    pub(super) async fn accepted(&self, response: P::Response) -> Result<P::Response, Error> {
        match response.status() {
            200..300 | 304 => Ok(response),
            _ => {
                let body = cold::bytes(&self.streams.ports, &response).await?;
                Err(Error::read(&response, &body))
            }
        }
    }

    /// The same, and registers what follows from it, as [`ProjectJwt`](crate::ProjectJwt) does.
    pub(super) async fn change(&self, call: &Call) -> Result<P::Response, Error> {
        let era = self.era().await?;
        let outcome = self.call_in(era, call).await;
        let status = match &outcome {
            Ok(response) => response.status(),
            Err(error) => error.status(),
        };
        let is_public = call.query == PUBLIC;
        let settling = Settling::after(call.method, status, is_public);
        let has_project = self.streams.has_projects && self.path.project().is_some();
        if let Some(settling) = settling.filter(|_| has_project) {
            let registry = self.streams.ports.env();
            settling.settle(registry, &self.path, era).await?;
        }
        outcome
    }

    /// Which of the projects of its name the stream belongs to.
    pub(super) async fn era(&self) -> Result<Option<Era>, Error> {
        match self.path.project() {
            Some(project) => self.streams.era_of(project).await,
            None => Ok(None),
        }
    }

    pub(super) fn url(&self, era: Option<Era>, query: &str) -> String {
        let mut url = format!("http://streams{}", url_path(&self.path));
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        match era {
            Some(era) => in_era(&url, era),
            None => url,
        }
    }
}

impl<P: Ports<Env: Registry>> Streams<P> {
    /// Which of the projects of a name it is.
    pub(super) async fn era_of(&self, project: &str) -> Result<Option<Era>, Error> {
        if !self.has_projects {
            return Ok(None);
        }
        let project = self.ports.env().project(project).await?;
        Ok(project.and_then(|project| project.era))
    }
}

/// The path of a stream's URL.
pub(super) fn url_path(path: &StreamPath) -> String {
    let segments = path.as_str().split('/').map(path::encoded);
    let segments: Vec<_> = segments.map(|segment| segment.to_string()).collect();
    format!("{}{}", path::PREFIX, segments.join("/"))
}

/// An offset that a response states.
pub(super) fn offset(response: &impl Outgoing, name: &'static str) -> Result<Offset, Error> {
    let offset = response.header(name).and_then(|value| value.parse().ok());
    offset.ok_or_else(|| Error::lacking(name))
}

/// Whether a response says that the stream is closed.
pub(super) fn is_closed(response: &impl Outgoing) -> bool {
    response.header(header::STREAM_CLOSED).is_some()
}
