//! A thin HTTP client that keeps status, headers and bytes exactly as they came.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Request, request};
use ureq::{Agent, SendBody};

/// Longer than any answer takes, so that a hung server fails the test and not the run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Speaks to one server; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// A client for the server at `base`, such as `http://127.0.0.1:4437`.
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_idle_connections_per_host(16)
            .timeout_global(Some(TIMEOUT))
            .build();
        Self {
            agent: config.new_agent(),
            base: base.trim_end_matches('/').to_owned(),
            headers: Vec::new(),
        }
    }

    /// The same client with a header in each of its requests.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The server's address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The headers in each of its requests.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// A request for `path`, sent by [`Call::send`] or one of its siblings.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let call = Call {
            agent: self.agent.clone(),
            name: format!("{method} {path}"),
            request: Request::builder()
                .method(method)
                .uri(format!("{}{path}", self.base)),
        };
        self.headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    }

    /// Sends `request_line` (method and target) byte for byte, which no HTTP library does
    /// for a target that is not a valid URL.
    pub fn raw(&self, request_line: &str) -> Result<Response> {
        self.raw_with(request_line, b"")
    }

    /// The same with `headers`, each with its line end, which need not be text either.
    pub fn raw_with(&self, request_line: &str, headers: &[u8]) -> Result<Response> {
        self.raw_bytes(request_line.as_bytes(), headers, b"")
    }

    /// The same with a request line that need not be text, and a body, whose length is sent if it has
    /// any.
    pub fn raw_bytes(&self, request_line: &[u8], headers: &[u8], body: &[u8]) -> Result<Response> {
        let host = self.base.trim_start_matches("http://");
        let mut socket = TcpStream::connect(host).context("connecting")?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let mut request = request_line.to_vec();
        write!(
            request,
            " HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        )?;
        if !body.is_empty() {
            write!(request, "Content-Length: {}\r\n", body.len())?;
        }
        request.extend_from_slice(headers);
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        socket.write_all(&request)?;
        // Otherwise the server waits for a next request, whatever `Connection` says.
        socket.shutdown(Shutdown::Write)?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes)?;
        let line = || String::from_utf8_lossy(request_line).into_owned();
        parse(&bytes).with_context(|| format!("parsing the answer to {}", line()))
    }
}

/// One request that is being put together.
#[derive(Debug)]
#[must_use]
pub struct Call {
    agent: Agent,
    name: String,
    request: request::Builder,
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    /// Sends it without a body.
    pub fn send(self) -> Result<Response> {
        let may_have_body = [Method::POST, Method::PUT, Method::PATCH];
        if self
            .request
            .method_ref()
            .is_some_and(|method| may_have_body.contains(method))
        {
            // As browsers and curl say it; the library would send an empty chunked body.
            return self.send_bytes(b"");
        }
        self.send_with(SendBody::none())
    }

    /// Sends it with `body` and its length.
    pub fn send_bytes(self, body: &[u8]) -> Result<Response> {
        let length = body.len().to_string();
        self.header("content-length", length)
            .send_with(SendBody::from_reader(&mut &body[..]))
    }

    /// Sends it with a chunked body, whose length the server learns at its end.
    pub fn send_chunked(self, mut body: impl Read) -> Result<Response> {
        self.send_with(SendBody::from_reader(&mut body))
    }

    fn send_with(self, body: SendBody<'_>) -> Result<Response> {
        let Self {
            agent,
            name,
            request,
        } = self;
        let answer = agent
            .run(request.body(body)?)
            .with_context(|| format!("sending {name}"))?;
        let (head, mut body) = answer.into_parts();
        let body = body
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .with_context(|| format!("reading the answer to {name}"))?;
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

/// Why a request was refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers; lookups ignore case.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value, or nothing when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The code and the message of a refusal.
    pub fn refusal(&self) -> Result<Refusal> {
        #[derive(Deserialize)]
        struct Document {
            error: Refusal,
        }
        let document: Document = serde_json::from_slice(&self.body)
            .with_context(|| format!("no refusal: {}", self.text()))?;
        Ok(document.error)
    }

    /// A count from `Server-Timing`, such as `rows_written;desc="2"`.
    pub fn count(&self, metric: &str) -> Result<u64> {
        Ok(self.timing(metric, "desc=")?.trim_matches('"').parse()?)
    }

    /// Milliseconds from `Server-Timing`, such as `object;dur=0.250`.
    pub fn duration(&self, metric: &str) -> Result<f64> {
        Ok(self.timing(metric, "dur=")?.parse()?)
    }

    fn timing(&self, metric: &str, field: &str) -> Result<&str> {
        let timing = self.header("server-timing").context("no Server-Timing")?;
        let mut metrics = timing.split(',').map(|entry| entry.trim().split(';'));
        let mut found = metrics.find(|entry| entry.clone().next() == Some(metric));
        found
            .as_mut()
            .and_then(|parts| parts.find_map(|part| part.trim().strip_prefix(field)))
            .with_context(|| format!("no {metric} in {timing}"))
    }

    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Passes the answer on when it has this status, and says what came when not.
    pub fn expect(self, status: u16) -> Result<Self> {
        let (got, head) = (self.status, &self.headers);
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        ensure!(
            got == status,
            "status {got}, not {status}: {text}\n{head:#?}"
        );
        Ok(self)
    }
}

/// Parses an answer whose end is the connection's end.
fn parse(bytes: &[u8]) -> Result<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.context("no end of the headers")?);
    let mut lines = std::str::from_utf8(head)?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        headers.append(
            ureq::http::HeaderName::from_bytes(name.as_bytes())?,
            value.trim().parse()?,
        );
    }
    Ok(Response {
        status: status.context("no status")?.parse()?,
        headers,
        body: body[4..].to_vec(),
    })
}
