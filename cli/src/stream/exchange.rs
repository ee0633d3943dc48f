//! Requests and their answers, with as many tries as do no harm.

use std::{
    fmt,
    time::{Duration, Instant},
};

use reqwest::{
    Method, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, Root, content::JSON};
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

impl Access {
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            _ => Self::Write,
        }
    }
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
pub struct Ask<'a> {
    method: Method,
    /// Where it goes.
    pub url: String,
    pub(super) need: Need<'a>,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// It does no harm to send it again when nobody knows what became of it.
    pub(super) is_repeatable: bool,
}

/// An answer of success, with all of it.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl<'a> Ask<'a> {
    /// A request that needs no more than this.
    fn new(method: Method, url: String, stream: Option<&'a str>) -> Self {
        let access = Access::of(&method);
        Self {
            method,
            url,
            need: Need { access, stream },
            headers: Vec::new(),
            body: None,
            is_repeatable: true,
        }
    }

    /// The same with a document.
    pub fn with(self, document: &Value) -> Self {
        let ask = self.header("content-type", JSON);
        Self {
            body: Some(document.to_string().into_bytes()),
            ..ask
        }
    }

    /// The same, which is not sent again when nobody knows what became of it: that would do it twice.
    pub fn once(self) -> Self {
        Self {
            is_repeatable: false,
            ..self
        }
    }

    /// The same with a header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a header, if there is a value.
    pub(super) fn maybe(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
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
        let url = format!("{}{query}", self.root.stream(stream)?);
        Ok(Ask::new(method, url, Some(stream)))
    }

    /// A request below the root that is about no stream in particular, such as `__ds/streams?limit=10`.
    pub fn ask_below(&self, method: Method, path: &str) -> Ask<'static> {
        let url = format!("{}/{path}", self.root.as_str());
        Ask::new(method, url, None)
    }

    /// Sends a request until it is answered with success. Gives the answer as soon as its headers are
    /// there.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response, Error> {
        self.repeat(ask, async || self.send_once(ask).await).await
    }

    /// Sends a request until all of an answer of success is there.
    ///
    /// # Errors
    ///
    /// All that does not pass by itself, or has not in as many tries as this client makes.
    pub async fn fetch(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        self.repeat(ask, async || self.fetch_once(ask).await).await
    }

    /// The document that a request is answered with.
    ///
    /// # Errors
    ///
    /// As for [`Client::fetch`]; [`Error::Strange`], with the path, if it is another one.
    pub async fn document<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Error> {
        let answer = self.fetch(ask).await?;
        serde_json::from_slice(&answer.body).map_err(|_| {
            let path = self.root.strip(&ask.url);
            Error::Strange(path.split('?').next().unwrap_or(path).to_owned())
        })
    }

    /// Tries until it succeeds, or it would be of no use or do harm to send the request again.
    async fn repeat<T>(
        &self,
        ask: &Ask<'_>,
        attempt: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let again = |outcome: &Result<T, Error>| {
            let error = outcome.as_ref().err()?;
            let may_repeat = error.is_passing() && (ask.is_repeatable || error.is_untaken());
            may_repeat.then(|| error.pause())
        };
        http::repeat(self.tries, attempt, again).await
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

    /// Sends a request, and gives all of the answer.
    pub(super) async fn fetch_once(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let response = self.send_once(ask).await?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: self.body(response).await?,
        })
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
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
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
