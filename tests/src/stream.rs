//! A stream as its clients see it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::http::Method;

use crate::http::{Call, Client, Response};

/// The offset of the first message or byte.
pub const START: &str = "0000000000000000_0000000000000000_0000";

/// A stream that was created.
#[derive(Clone, Debug)]
pub struct Stream {
    client: Client,
    path: String,
    content_type: &'static str,
}

/// A stream read from its start to its tail.
#[derive(Debug)]
pub struct Whole {
    /// The bodies of the answers, in order.
    pub pages: Vec<Vec<u8>>,
    /// The offset of the tail.
    pub tail: String,
}

impl Whole {
    /// The messages of a JSON stream.
    pub fn messages(&self) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        for page in &self.pages {
            let page: Vec<Value> = serde_json::from_slice(page).context("parsing a page")?;
            messages.extend(page);
        }
        Ok(messages)
    }
}

impl Stream {
    /// The stream of this name, whether it exists or not.
    pub fn named(client: &Client, name: &str, content_type: &'static str) -> Self {
        Self {
            client: client.clone(),
            path: format!("/v1/stream/{name}"),
            content_type,
        }
    }

    /// A new stream.
    pub fn create(client: &Client, name: &str, content_type: &'static str) -> Result<Self> {
        let stream = Self::named(client, name, content_type);
        stream.put().send()?.expect(201)?;
        Ok(stream)
    }

    /// The same stream on another server.
    pub fn on(&self, client: &Client) -> Self {
        Self {
            client: client.clone(),
            ..self.clone()
        }
    }

    /// The path of its URL.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A request to it with its content type, as for a creation.
    pub fn put(&self) -> Call {
        self.call(Method::PUT)
            .header("content-type", self.content_type)
    }

    /// An append, which still needs its body.
    pub fn post(&self) -> Call {
        self.call(Method::POST)
            .header("content-type", self.content_type)
    }

    /// An append by an idempotent producer, which still needs its body.
    pub fn post_as(&self, producer: &str, epoch: u64, seq: u64) -> Call {
        self.post()
            .header("producer-id", producer)
            .header("producer-epoch", epoch.to_string())
            .header("producer-seq", seq.to_string())
    }

    /// A request with no headers of its own.
    pub fn call(&self, method: Method) -> Call {
        self.client.call(method, &self.path)
    }

    /// A read from `offset`.
    pub fn get(&self, offset: &str) -> Call {
        let target = format!("{}?offset={offset}", self.path);
        self.client.call(Method::GET, &target)
    }

    /// Its metadata.
    pub fn head(&self) -> Result<Response> {
        self.call(Method::HEAD).send()
    }

    /// Appends, which must succeed.
    pub fn append(&self, body: impl AsRef<[u8]>) -> Result<Response> {
        self.post().send_bytes(body.as_ref())?.expect(204)
    }

    /// Appends `1` with this `Stream-Seq`.
    pub fn append_in_order(&self, seq: &str) -> Result<Response> {
        self.post().header("stream-seq", seq).send_bytes(b"1")
    }

    /// Reads it from its start to its tail.
    pub fn read(&self) -> Result<Whole> {
        let mut offset = START.to_owned();
        let mut pages = Vec::new();
        loop {
            let page = self.get(&offset).send()?.expect(200)?;
            let next = page.header("stream-next-offset").context("no offset")?;
            let is_last = page.header("stream-up-to-date") == Some("true");
            ensure!(is_last || *next > *offset, "no progress at {offset}");
            offset = next.to_owned();
            pages.push(page.body);
            if is_last {
                break;
            }
        }
        Ok(Whole {
            pages,
            tail: offset,
        })
    }
}
