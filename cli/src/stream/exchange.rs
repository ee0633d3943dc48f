//! Requests and their answers, with as many tries as do no harm.

use std::{
    fmt,
    time::{Duration, Instant},
};

use reqwest::{Method, Response, header::AUTHORIZATION};

use super::{Error, Root};
use crate::http::{self, TRIES, reason};

/// How long a server may take until it begins to answer, and then between two parts of its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It changes something.
    Write,
}

/// What credentials are needed for.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// What is done.
    pub access: Access,
    /// The only stream that it is done with, by its path below the root.
    pub stream: Option<&'a str>,
}

/// Says who asks.
pub trait Authorize {
    /// The value of `Authorization` for a request; none where it needs none. It is asked for each request,
    /// so that what it gives need not last.
    ///
    /// # Errors
    ///
    /// A text that says why there is none.
    fn authorization(&self, need: Need<'_>) -> Result<Option<String>, String>;
}

/// Is told of each request: its method, its URL, the status of the answer if there is one, and how long
/// it took.
pub type Observer = Box<dyn Fn(&Method, &str, Option<u16>, Duration)>;

/// A client of the streams below a root.
pub struct Client {
    http: reqwest::Client,
    root: Root,
    authorize: Box<dyn Authorize>,
    observer: Option<Observer>,
    tries: u32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// A request to a URL.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: String,
    pub need: Need<'a>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Vec<u8>>,
    /// It does no harm to send it again when nobody knows what became of it.
    pub is_repeatable: bool,
}

impl<'a> Ask<'a> {
    /// A request that needs no more than this.
    pub fn new(method: Method, url: String, need: Need<'a>) -> Self {
        Self {
            method,
            url,
            need,
            headers: Vec::new(),
            body: None,
            is_repeatable: true,
        }
    }

    /// The same with a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a header, if there is a value.
    pub fn maybe(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }
}

impl Client {
    /// A client of the streams below a root.
    pub fn new(http: reqwest::Client, root: Root, authorize: Box<dyn Authorize>) -> Self {
        Self {
            http,
            root,
            authorize,
            observer: None,
            tries: TRIES,
        }
    }

    /// The same, which tells of each request.
    pub fn observed(self, observer: Observer) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The same, which tries as often as this when a request fails by chance.
    pub fn with_tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Where its streams are.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// A request about one stream.
    pub(super) fn ask<'a>(
        &self,
        method: Method,
        stream: &'a str,
        query: &str,
    ) -> Result<Ask<'a>, Error> {
        let access = match method {
            Method::GET | Method::HEAD => Access::Read,
            _ => Access::Write,
        };
        let url = format!("{}{query}", self.root.stream(stream)?);
        let stream = Some(stream);
        Ok(Ask::new(method, url, Need { access, stream }))
    }

    /// Sends a request until it is answered with success, or it would be of no use or do harm to send it
    /// again.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response, Error> {
        let again = |outcome: &Result<Response, Error>| {
            let error = outcome.as_ref().err()?;
            let may_repeat = error.is_passing() && (ask.is_repeatable || error.is_untaken());
            may_repeat.then(|| error.pause())
        };
        http::repeat(self.tries, async || self.send_once(ask).await, again).await
    }

    /// Sends a request, and gives the answer as soon as its headers are there.
    pub(super) async fn send_once(&self, ask: &Ask<'_>) -> Result<Response, Error> {
        let started = Instant::now();
        let outcome = self.exchange(ask).await;
        if let Some(observer) = &self.observer {
            let status = outcome
                .as_ref()
                .ok()
                .map(|response| response.status().as_u16());
            observer(&ask.method, &ask.url, status, started.elapsed());
        }
        let response = outcome?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        // What it says of a refusal is worth reading, but the refusal counts without it, too.
        let body = self.body(response).await.unwrap_or_default();
        Err(Error::refused(status, &headers, &body))
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<Response, Error> {
        let mut builder = self.http.request(ask.method.clone(), &ask.url);
        let who = self.authorize.authorization(ask.need);
        if let Some(who) = who.map_err(Error::Credentials)? {
            builder = builder.header(AUTHORIZATION, who);
        }
        for (name, value) in &ask.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &ask.body {
            builder = builder.body(body.clone());
        }
        let sent = tokio::time::timeout(PATIENCE, builder.send()).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_builder() => Err(Error::Invalid(reason(&error))),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// The whole body of an answer.
    pub(super) async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(part) = self.part(&mut response, PATIENCE).await? {
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    /// The next part of a body, unless none comes for so long.
    pub(super) async fn part(
        &self,
        response: &mut Response,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, Error> {
        match tokio::time::timeout(patience, response.chunk()).await {
            Ok(Ok(part)) => Ok(part.map(|part| part.to_vec())),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable {
            url: self.root.as_str().to_owned(),
            why: reason(error),
            unsent: error.is_connect(),
        }
    }

    fn silent(&self) -> Error {
        Error::Unreachable {
            url: self.root.as_str().to_owned(),
            why: "it took too long".to_owned(),
            unsent: false,
        }
    }
}
