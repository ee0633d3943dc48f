//! Requests and answers: the envelope, time-outs, and the repetition of what failed by chance.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    multipart::{Form, Part},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    credentials::Credentials,
    error::{Endpoint, Error, Refusal, Result},
};
use crate::{
    error::problem,
    http::{self, TRIES, is_success, is_worth_another_try, reason, retry_after},
};

/// Where the API is, unless `CLOUDFLARE_API_BASE_URL` says otherwise.
const BASE: &str = "https://api.cloudflare.com/client/v4";
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// A worker of 10 MB needs this on a slow line.
const UPLOAD_LIMIT: Duration = Duration::from_secs(300);
/// The longest line that is shown of an answer that is no document.
const LONGEST_LINE: usize = 300;
/// The header that says within which borders a thing is.
const JURISDICTION: &str = "cf-r2-jurisdiction";

/// Speaks to the API.
pub struct Client {
    http: reqwest::Client,
    runtime: Runtime,
    base: String,
    credentials: Credentials,
    verbose: bool,
    /// Something was refused that other credentials, or a person in the dashboard, could change.
    denied: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// A module of an upload.
#[derive(Debug, Clone)]
pub struct Module {
    /// The name it is imported by.
    pub name: String,
    /// What it is, as in `application/wasm`.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A worker to be uploaded.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Bindings and settings.
    pub metadata: Value,
    /// Its modules.
    pub modules: Vec<Module>,
}

/// What is sent along with a request.
#[derive(Debug)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// A document.
    Json(Value),
    /// Bytes as they are.
    Raw(&'a [u8]),
    /// A worker.
    Upload(&'a Upload),
}

/// A request, which can be sent more than once.
#[derive(Debug)]
pub struct Request<'a> {
    /// What it is about.
    pub endpoint: Endpoint,
    /// What it does, for a person, as in `creating the bucket x`.
    pub what: String,
    /// Its method.
    pub method: Method,
    /// Its path and query, below the base.
    pub path: String,
    /// What is sent along.
    pub body: Body<'a>,
    /// Within which borders the thing is that it is about.
    pub jurisdiction: Option<HeaderValue>,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn new(
        endpoint: Endpoint,
        what: impl Into<String>,
        method: Method,
        path: impl Into<String>,
    ) -> Self {
        Self {
            endpoint,
            what: what.into(),
            method,
            path: path.into(),
            body: Body::None,
            jurisdiction: None,
        }
    }

    /// The same, about a thing in a jurisdiction. It can be found there only.
    pub fn within(self, jurisdiction: Option<&str>) -> Self {
        // A word that is no header's value is none that the API knows.
        let jurisdiction = jurisdiction.and_then(|word| HeaderValue::from_str(word).ok());
        Self {
            jurisdiction,
            ..self
        }
    }

    /// The same with a body.
    pub fn with(self, body: Body<'a>) -> Self {
        Self { body, ..self }
    }
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Option<Vec<EnvelopeError>>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    result_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
struct EnvelopeError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error_chain: Vec<EnvelopeError>,
}

impl EnvelopeError {
    /// It, and what it comes from.
    fn with_causes(self) -> Vec<Refusal> {
        let causes = self.error_chain.into_iter().flat_map(Self::with_causes);
        let itself = Refusal {
            code: self.code,
            message: self.message,
        };
        [itself].into_iter().chain(causes).collect()
    }
}

/// Where a page is among its siblings.
#[derive(Debug, Default, Deserialize)]
pub struct PageInfo {
    /// What the next page is asked for with; empty on the last one.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many pages there are.
    #[serde(default)]
    pub total_pages: Option<u64>,
}

/// A result, and where its page is among its siblings.
#[derive(Debug)]
pub struct Page<T> {
    /// The result.
    pub result: T,
    /// Its place.
    pub info: PageInfo,
}

impl Client {
    /// A client that uses these credentials.
    pub fn new(credentials: Credentials, verbose: bool) -> anyhow::Result<Self> {
        let base = base()?;
        Ok(Self {
            http: http::client(&base)?,
            runtime: http::runtime()?,
            base,
            credentials,
            verbose,
            denied: AtomicBool::new(false),
        })
    }

    /// What the credentials are, for a person.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The runtime requests are driven by.
    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The HTTP client, for what is no call of the API.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request and gives its result.
    pub fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        Ok(self.page(request)?.result)
    }

    /// Sends a request whose result is of no interest.
    pub fn tell(&self, request: &Request) -> Result<()> {
        self.call::<Value>(request).map(drop)
    }

    /// Sends a request and gives its result, and where it is among its pages.
    pub fn page<T: DeserializeOwned>(&self, request: &Request) -> Result<Page<T>> {
        let answer = self.send(request)?;
        let malformed = |why: String| Error::Malformed {
            what: request.what.clone(),
            why,
        };
        let envelope: Envelope = match serde_json::from_slice(&answer.body) {
            Ok(envelope) => envelope,
            Err(_) if !is_success(answer.status) => return Err(self.refused(request, &answer)),
            // The body is not shown: nobody knows what it is.
            Err(error) => {
                return Err(malformed(format!(
                    "{} bytes that are no document of the API: {error}",
                    answer.body.len()
                )));
            }
        };
        if !envelope.success || !is_success(answer.status) {
            return Err(self.refused(request, &answer));
        }
        let result = serde_json::from_value(envelope.result)
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Page {
            result,
            info: envelope.result_info.unwrap_or_default(),
        })
    }

    /// Sends a request whose answer is bytes without an envelope; nothing when there is no such
    /// thing.
    pub fn bytes(&self, request: &Request) -> Result<Option<Vec<u8>>> {
        let answer = self.send(request)?;
        match answer.status {
            200..300 => Ok(Some(answer.body)),
            404 => Ok(None),
            _ => Err(self.refused(request, &answer)),
        }
    }

    /// Sends a request whose answer is a document without an envelope.
    pub fn document<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        let answer = self.send(request)?;
        if !is_success(answer.status) {
            return Err(self.refused(request, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| Error::Malformed {
            what: request.what.clone(),
            why: error.to_string(),
        })
    }

    /// Whether something was refused that other credentials, or a person in the dashboard, could
    /// change.
    pub fn was_denied(&self) -> bool {
        self.denied.load(Ordering::Relaxed)
    }

    /// Sends a request until there is an answer that is worth reading: what failed on the way, and
    /// what Cloudflare could not do just then, is sent again after a while.
    fn send(&self, request: &Request) -> Result<Answer> {
        let attempt = async || {
            let started = Instant::now();
            let outcome = self.attempt(request).await;
            self.trace(request, &outcome, started.elapsed());
            outcome
        };
        let again = |outcome: &Result<Answer>| match outcome {
            Ok(answer) if is_worth_another_try(answer.status) => Some(answer.retry_after),
            Err(Error::Unreachable { .. }) => Some(None),
            _ => None,
        };
        self.run(http::repeat(TRIES, attempt, again))?
    }

    /// Sends a request once, also when we were asked to end: to leave in good order.
    pub(super) fn last_words(&self, request: &Request) -> Result<()> {
        let builder = self.build(request).map_err(|error| Error::Malformed {
            what: request.what.clone(),
            why: reason(&error),
        })?;
        let limit = Duration::from_secs(3);
        let exchange = async { builder.timeout(limit).send().await };
        let sent = self.runtime.block_on(exchange);
        if self.verbose {
            let status = sent.map(|response| response.status().as_u16());
            eprintln!("{} {} … {:?}", request.method, request.path, status.ok());
        }
        Ok(())
    }

    async fn attempt(&self, request: &Request<'_>) -> Result<Answer> {
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            what: request.what.clone(),
            host: host(&self.base).to_owned(),
            why: reason(&error),
            untrusted: http::is_untrusted(&error),
        };
        let exchange = async {
            let response = self.build(request)?.send().await?;
            let status = response.status().as_u16();
            let retry_after = retry_after(response.headers());
            let body = response.bytes().await?.into();
            Ok(Answer {
                status,
                retry_after,
                body,
            })
        };
        exchange.await.map_err(unreachable)
    }

    fn build(&self, request: &Request) -> reqwest::Result<reqwest::RequestBuilder> {
        let url = format!("{}{}", self.base, request.path);
        let builder = self
            .http
            .request(request.method.clone(), url)
            .header(ACCEPT, "application/json")
            .timeout(REQUEST_LIMIT);
        let builder = self.credentials.sign(builder);
        let builder = match &request.jurisdiction {
            Some(jurisdiction) => builder.header(JURISDICTION, jurisdiction.clone()),
            None => builder,
        };
        Ok(match &request.body {
            Body::None => builder,
            Body::Json(document) => builder
                .header(CONTENT_TYPE, "application/json")
                .body(document.to_string()),
            Body::Raw(bytes) => builder
                .header(CONTENT_TYPE, "text/plain;charset=UTF-8")
                .body(bytes.to_vec()),
            Body::Upload(upload) => builder.timeout(UPLOAD_LIMIT).multipart(form(upload)?),
        })
    }

    /// Drives something to its end, or until we are asked to end.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        http::run(&self.runtime, work).map_err(|_| Error::Interrupted)
    }

    /// Says what was sent and what came, if somebody wants to know.
    fn trace(&self, request: &Request, outcome: &Result<Answer>, took: Duration) {
        let status = outcome.as_ref().ok().map(|answer| answer.status);
        if self.verbose {
            http::trace(&request.method, &request.path, status, took);
        }
    }

    /// What an answer that is no success says. Whatever it repeats of the credentials is struck out.
    fn refused(&self, request: &Request, answer: &Answer) -> Error {
        let envelope: Option<Envelope> = serde_json::from_slice(&answer.body).ok();
        let refusals: Vec<Refusal> = match envelope {
            Some(envelope) => envelope
                .errors
                .into_iter()
                .flatten()
                .flat_map(EnvelopeError::with_causes)
                .collect(),
            None => plain_words(&answer.body).into_iter().collect(),
        };
        let refusals = refusals.into_iter().map(|refusal| Refusal {
            message: self.credentials.strike_out(&refusal.message),
            ..refusal
        });
        let account = request.path.strip_prefix("/accounts/").unwrap_or_default();
        let account = account.split(['/', '?']).next().unwrap_or_default();
        let account = match account {
            "" => "?to=/:account",
            id => id,
        };
        let error = Error::Refused {
            endpoint: request.endpoint,
            what: request.what.clone(),
            status: answer.status,
            refusals: refusals.collect(),
            retry_after: answer.retry_after,
            dashboard: format!("https://dash.cloudflare.com/{account}"),
        };
        if error.is_denied() || error.is_closed() {
            self.denied.store(true, Ordering::Relaxed);
        }
        error
    }
}

/// What an answer says that is no document, when it is one line of text.
fn plain_words(body: &[u8]) -> Option<Refusal> {
    let text = str::from_utf8(body).ok()?.trim();
    let is_line =
        !text.is_empty() && text.len() <= LONGEST_LINE && !text.contains(['<', '\n', '{']);
    is_line.then(|| Refusal {
        code: 0,
        message: text.to_owned(),
    })
}

fn form(upload: &Upload) -> reqwest::Result<Form> {
    let mut form = Form::new().text("metadata", upload.metadata.to_string());
    for module in &upload.modules {
        let part = Part::bytes(module.bytes.clone())
            .file_name(module.name.clone())
            .mime_str(module.content_type)?;
        form = form.part(module.name.clone(), part);
    }
    Ok(form)
}

/// The base of all URLs, without a slash at its end.
fn base() -> anyhow::Result<String> {
    match std::env::var("CLOUDFLARE_API_BASE_URL") {
        Ok(base) if !base.trim().is_empty() => checked_base(&base),
        _ => Ok(BASE.to_owned()),
    }
}

fn checked_base(text: &str) -> anyhow::Result<String> {
    let base = text.trim().trim_end_matches('/');
    if http::is_safe(base) {
        return Ok(base.to_owned());
    }
    Err(problem(
        format!("CLOUDFLARE_API_BASE_URL is `{base}`, which is no https URL"),
        "the credentials would be sent there in the clear; unset it to use Cloudflare itself",
    ))
}

fn host(base: &str) -> &str {
    let (_, rest) = base.split_once("://").unwrap_or(("", base));
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sent_over_tls_or_to_this_machine() {
        assert_eq!(
            checked_base("https://x.example/v4/").unwrap(),
            "https://x.example/v4"
        );
        checked_base("http://127.0.0.1:80/client/v4").unwrap();
        checked_base("http://[::1]:80").unwrap();
        for bad in [
            "http://api.cloudflare.com",
            "http://localhost.evil.example",
            "x",
            "ftp://x",
        ] {
            checked_base(bad).unwrap_err();
        }
    }
}
