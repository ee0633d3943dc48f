//! What is there of a stream (sections 5.5 and 5.6).

use reqwest::{Method, header::CONTENT_TYPE};

use super::{Answer, Client, Error, Kind, Offset, header};
use crate::http::escape;

/// What is known of a stream without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What it holds.
    pub content_type: String,
    /// Its tail.
    pub next: Offset,
    /// Nothing comes after that.
    pub closed: bool,
    /// Where it begins, unless that is where it always has.
    pub earliest: Option<Offset>,
    /// After how many seconds without a reader or writer it ends.
    pub ttl: Option<u64>,
    /// When it ends, in the format of RFC 3339.
    pub expires_at: Option<String>,
    /// How much of its end is kept.
    pub retention: Option<String>,
}

impl State {
    /// How to handle what it holds.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.content_type)
    }
}

/// What was there behind an offset, or the first part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The bytes; of JSON, an array of messages.
    pub body: Vec<u8>,
    /// What it is.
    pub content_type: String,
    /// Where the next page begins.
    pub next: Offset,
    /// There was no more.
    pub up_to_date: bool,
    /// And there will be no more.
    pub closed: bool,
}

impl Client {
    /// What is known of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Gone`].
    pub async fn head(&self, stream: &str) -> Result<State, Error> {
        let ask = self.ask(Method::HEAD, stream, "")?;
        let response = self.send(&ask).await?;
        let headers = response.headers();
        Ok(State {
            content_type: header::text(headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
            next: header::offset(headers, header::NEXT).ok_or_else(|| strange(stream))?,
            closed: header::is_true(headers, header::CLOSED),
            earliest: header::offset(headers, header::EARLIEST),
            ttl: header::number(headers, header::TTL),
            expires_at: header::text(headers, header::EXPIRES_AT),
            retention: header::text(headers, header::RETENTION),
        })
    }

    /// Reads what is there from an offset on, as much as the server gives at once.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Gone`], [`Error::Truncated`].
    pub async fn page(&self, stream: &str, from: &Offset) -> Result<Page, Error> {
        let query = format!("?offset={}", escape(from.as_str()));
        let ask = self.ask(Method::GET, stream, &query)?;
        let Answer { headers, body, .. } = self.fetch(&ask).await?;
        let closed = header::is_true(&headers, header::CLOSED);
        Ok(Page {
            body,
            content_type: header::text(&headers, CONTENT_TYPE.as_str()).unwrap_or_default(),
            next: header::offset(&headers, header::NEXT).ok_or_else(|| strange(stream))?,
            up_to_date: closed || header::is_true(&headers, header::UP_TO_DATE),
            closed,
        })
    }
}

fn strange(stream: &str) -> Error {
    Error::Strange(stream.to_owned())
}
