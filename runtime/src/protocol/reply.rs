//! From typed results to status and headers.

use serde_json::Map;

use super::content_type::ContentType;
use super::error::Error;
use super::expiry::Expiry;
use super::header;
use super::offset::Offset;
use super::part::{Part, Plan};
use super::producer::Accepted;
use super::retention::Retention;
use super::sse::Encoding;

/// A response, ready for whatever sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers in order; no name comes twice.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// What a PUT came to (section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Whether this request made the stream, or found one that matches.
    pub is_new: bool,
    /// The stream's type.
    pub content_type: ContentType,
    /// The tail after any first content.
    pub tail: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// After how many seconds without an append its will is carried out, if it has one.
    pub will_after: Option<u64>,
    /// How many messages or bytes the request appended.
    pub count: u64,
}

/// What a POST came to (sections 5.2 and 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The tail after the append.
    pub tail: Offset,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// For a request with producer headers, what is remembered of the producer.
    pub producer: Option<Accepted>,
    /// Whether the request brought data that was not there before.
    pub is_new_data: bool,
    /// How many messages or bytes the request appended.
    pub count: u64,
}

/// What a HEAD came to (section 5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The stream's type.
    pub content_type: ContentType,
    /// The stream's tail.
    pub tail: Offset,
    /// The stream's lifetime.
    pub expiry: Option<Expiry>,
    /// Whether the stream is closed.
    pub closed: bool,
    /// The first position that is there.
    pub earliest: Offset,
    /// How much of the stream is kept, if not everything.
    pub retention: Option<Retention>,
    /// After how many seconds without an append its will is carried out, if it has one.
    pub will_after: Option<u64>,
}

/// What a truncation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The first position that is there.
    pub earliest: Offset,
    /// The stream's tail.
    pub tail: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Whether anything was dropped that had been there before.
    pub is_new: bool,
}

/// How long caches outside may keep a read (section 10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Not at all.
    NoStore,
    /// Kept, but asked for again each time.
    Revalidate,
    /// For so many seconds; `stale` more while it is fetched anew.
    MaxAge {
        /// Seconds the answer is fresh.
        fresh: u64,
        /// Seconds it may be served after that.
        stale: u64,
    },
}

/// What a GET came to (section 5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The stream's type.
    pub content_type: ContentType,
    /// The start of the data, where it lies elsewhere.
    pub cold: Vec<Part>,
    /// The data, as it goes out; with anything before it that lies elsewhere, JSON messages come
    /// without what encloses them.
    pub body: Vec<u8>,
    /// How many messages or bytes are in it.
    pub count: u64,
    /// Where the next read starts.
    pub next: Offset,
    /// Whether `next` was the tail.
    pub up_to_date: bool,
    /// Whether the stream is closed and `next` its final offset.
    pub closed: bool,
    /// The cursor; only for live reads.
    pub cursor: Option<u64>,
    /// The entity tag; `None` for reads from `now`.
    pub etag: Option<String>,
    /// Whether the client has this already.
    pub not_modified: bool,
    /// What caches may do.
    pub caching: Caching,
    /// The first position that is there.
    pub earliest: Offset,
}

impl Page {
    /// The length of the data in bytes; about, where some of it lies elsewhere.
    pub fn length(&self) -> usize {
        let cold = self.cold.iter().map(|part| part.length);
        let cold = cold.fold(0, u64::saturating_add);
        self.body
            .len()
            .saturating_add(usize::try_from(cold).unwrap_or(usize::MAX))
    }
}

/// Whoever may write a stream decides what is in it, a page with scripts perhaps. Opened in a
/// browser, it must not act in the name of the server's origin, where others keep what is theirs.
/// All but JSON is shut in, so that no list of what browsers run has to be right; JSON, which
/// `nosniff` keeps from being taken for anything else, saves the header.
fn sandbox(content_type: &ContentType) -> Option<&'static str> {
    (!content_type.is_json()).then_some("sandbox")
}

impl Reply {
    /// A reply with the headers every response carries.
    pub fn new(status: u16) -> Self {
        let mut reply = Self::bare(status);
        reply.headers.extend([
            ("Access-Control-Allow-Origin", "*".to_owned()),
            ("Access-Control-Expose-Headers", "*".to_owned()),
        ]);
        reply
    }

    /// A reply that pages of other origins cannot read.
    pub fn bare(status: u16) -> Self {
        let headers = vec![
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Cross-Origin-Resource-Policy", "cross-origin".to_owned()),
        ];
        Self {
            status,
            headers,
            body: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header if there is a value.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn with_flag(self, name: &'static str, set: bool) -> Self {
        self.with_some(name, set.then_some("true"))
    }

    fn with_seconds(self, name: &'static str, seconds: Option<u64>) -> Self {
        self.with_some(name, seconds.map(|seconds| seconds.to_string()))
    }

    /// The answer to a PUT of the stream at `url`.
    pub fn created(created: &Created, url: &str) -> Self {
        Self::new(if created.is_new { 201 } else { 200 })
            .with_some(header::LOCATION, created.is_new.then_some(url))
            .with(header::CONTENT_TYPE, created.content_type.as_str())
            .with(header::STREAM_NEXT_OFFSET, created.tail.to_string())
            .with_flag(header::STREAM_CLOSED, created.closed)
            .with_seconds(header::STREAM_WILL_AFTER, created.will_after)
    }

    /// The answer to a POST. Only new data from a producer is 200 (section 5.2.1).
    pub fn appended(appended: &Appended) -> Self {
        let status = if appended.producer.is_some() && appended.is_new_data {
            200
        } else {
            204
        };
        Self::new(status)
            .with(header::STREAM_NEXT_OFFSET, appended.tail.to_string())
            .with_flag(header::STREAM_CLOSED, appended.closed)
            .with_some(
                header::PRODUCER_EPOCH,
                appended.producer.map(|p| p.epoch.to_string()),
            )
            .with_some(
                header::PRODUCER_SEQ,
                appended.producer.map(|p| p.seq.to_string()),
            )
    }

    /// The answer to a HEAD.
    pub fn metadata(metadata: &Metadata) -> Self {
        let (ttl, expires_at) = match &metadata.expiry {
            Some(Expiry::Ttl(seconds)) => (Some(seconds.to_string()), None),
            Some(Expiry::At { text, .. }) => (None, Some(text.as_str())),
            None => (None, None),
        };
        Self::new(200)
            .with(header::CONTENT_TYPE, metadata.content_type.as_str())
            .with(header::STREAM_NEXT_OFFSET, metadata.tail.to_string())
            .with_some(header::STREAM_TTL, ttl)
            .with_some(header::STREAM_EXPIRES_AT, expires_at)
            .with_some(
                header::STREAM_RETENTION,
                metadata.retention.map(|retention| retention.to_string()),
            )
            .with_seconds(header::STREAM_WILL_AFTER, metadata.will_after)
            .with_earliest(metadata.earliest)
            .with_flag(header::STREAM_CLOSED, metadata.closed)
            .with(header::CACHE_CONTROL, "no-store")
    }

    /// Says where the stream starts, if not at its first position.
    fn with_earliest(self, earliest: Offset) -> Self {
        let earliest = (earliest > Offset::START).then(|| earliest.to_string());
        self.with_some(header::STREAM_EARLIEST_OFFSET, earliest)
    }

    /// The answer to a POST that truncates.
    pub fn truncated(truncated: &Truncated) -> Self {
        Self::new(204)
            .with(header::STREAM_NEXT_OFFSET, truncated.tail.to_string())
            .with(
                header::STREAM_EARLIEST_OFFSET,
                truncated.earliest.to_string(),
            )
            .with_flag(header::STREAM_CLOSED, truncated.closed)
    }

    /// The answer to a GET. When part of the data lies elsewhere, the body starts with the plan by
    /// which the answer is put together, and [`header::DS_COLD`] is the plan's length.
    pub fn page(page: Page) -> Self {
        let caching = match page.caching {
            Caching::NoStore => "no-store".to_owned(),
            Caching::Revalidate => "no-cache".to_owned(),
            Caching::MaxAge { fresh, stale: 0 } => format!("public, max-age={fresh}"),
            Caching::MaxAge { fresh, stale } => {
                format!("public, max-age={fresh}, stale-while-revalidate={stale}")
            }
        };
        let mut reply = Self::new(if page.not_modified { 304 } else { 200 })
            .with(header::CONTENT_TYPE, page.content_type.as_str())
            .with(header::STREAM_NEXT_OFFSET, page.next.to_string())
            .with_earliest(page.earliest)
            .with_flag(header::STREAM_UP_TO_DATE, page.up_to_date)
            .with_flag(header::STREAM_CLOSED, page.closed)
            .with_some(header::STREAM_CURSOR, page.cursor.map(|c| c.to_string()))
            .with(header::CACHE_CONTROL, caching)
            .with_some(header::ETAG, page.etag)
            .with_some(header::CONTENT_SECURITY_POLICY, sandbox(&page.content_type));
        if page.not_modified {
            return reply;
        }
        reply.body = page.body;
        if !page.cold.is_empty() {
            let plan = Plan {
                is_json: page.content_type.is_json(),
                parts: page.cold,
            };
            let plan = plan.encode();
            reply = reply.with(header::DS_COLD, plan.len().to_string());
            reply.body = [plan, reply.body].concat();
        }
        reply
    }

    /// The answer to a long-poll that has nothing to tell but where the tail is, and whether the
    /// stream is closed (section 5.7). A closed stream has no cursor: nobody is to come back.
    pub fn no_news(tail: &str, closed: bool, cursor: u64) -> Self {
        Self::new(204)
            .with(header::STREAM_NEXT_OFFSET, tail)
            .with(header::STREAM_UP_TO_DATE, "true")
            .with_flag(header::STREAM_CLOSED, closed)
            .with_some(header::STREAM_CURSOR, (!closed).then(|| cursor.to_string()))
            .with(header::CACHE_CONTROL, "no-store")
    }

    /// The head of an answer in events to a reader of a stream of this type (section 5.8).
    pub fn events(encoding: Encoding) -> Self {
        Self::new(200)
            .with(header::CONTENT_TYPE, "text/event-stream")
            // Nobody on the way is to keep events, to compress them, or to wait for more of them.
            .with(header::CACHE_CONTROL, "no-cache, no-transform")
            .with("X-Accel-Buffering", "no")
            .with_some(header::STREAM_SSE_DATA_ENCODING, encoding.header_value())
    }

    /// What the edge has to know of a stream that has nothing for a live reader yet. It comes
    /// with the socket on which news will.
    pub fn waiting(content_type: &ContentType, tail: Offset) -> Self {
        Self {
            status: 101,
            headers: vec![
                (header::CONTENT_TYPE, content_type.as_str().to_owned()),
                (header::STREAM_NEXT_OFFSET, tail.to_string()),
            ],
            body: Vec::new(),
        }
    }

    /// The answer to a DELETE.
    pub fn deleted() -> Self {
        Self::new(204)
    }

    /// The answer to a request that is refused: a JSON document with a code for programs and a
    /// message for people.
    pub fn refused(error: &Error) -> Self {
        let more = match error {
            Error::Subscription(error) => error.more(),
            _ => Map::new(),
        };
        let mut reply = Self::refusing(error.status(), error.code(), &error.to_string(), more);
        reply.headers.extend(error.headers());
        reply
    }

    /// A refusal in so many words: the status, the stable name, the message, and what else the document
    /// says.
    pub(crate) fn refusing(
        status: u16,
        code: &str,
        message: &str,
        more: Map<String, serde_json::Value>,
    ) -> Self {
        let mut reply = Self::new(status)
            .with(header::CONTENT_TYPE, "application/json")
            .with(header::CACHE_CONTROL, "no-store");
        let mut about = more;
        about.insert("code".to_owned(), code.into());
        about.insert("message".to_owned(), message.into());
        let document = serde_json::json!({ "error": about });
        reply.body = format!("{document}\n").into_bytes();
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        reply
            .headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    #[test]
    fn only_new_data_of_a_producer_is_200() {
        let producer = Some(Accepted { epoch: 1, seq: 2 });
        let status = |producer, is_new_data| {
            let tail = Offset::START;
            Reply::appended(&Appended {
                tail,
                closed: false,
                producer,
                is_new_data,
                count: 0,
            })
            .status
        };
        assert_eq!(status(producer, true), 200);
        assert_eq!(status(producer, false), 204);
        assert_eq!(status(None, true), 204);
    }

    #[test]
    fn refusals_carry_their_headers_and_a_document() {
        let tail = Offset::new(4).unwrap();
        let reply = Reply::refused(&Error::Closed { tail });
        assert_eq!(reply.status, 409);
        assert_eq!(value(&reply, "Stream-Closed"), Some("true"));
        assert_eq!(
            value(&reply, "Stream-Next-Offset"),
            Some(tail.to_string().as_str())
        );
        assert_eq!(value(&reply, "X-Content-Type-Options"), Some("nosniff"));
        let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(document["error"]["code"], "stream_closed");
    }

    #[test]
    fn what_happened_inside_stays_inside() {
        let detail = || "SETTING_X is secret".to_owned();
        for error in [
            Error::Storage(detail()),
            Error::Unavailable(detail()),
            Error::Newer(detail()),
            Error::RegistryUnavailable(detail()),
            Error::Misconfigured(detail()),
        ] {
            let reply = Reply::refused(&error);
            assert!(reply.status >= 500, "{error:?}");
            assert!(
                !format!("{:?}", reply.headers).contains("secret"),
                "{error:?}"
            );
            let body = String::from_utf8(reply.body).unwrap();
            assert!(
                !body.contains("secret") && !body.contains("SETTING_X"),
                "{body}"
            );
            assert_eq!(error.detail(), Some(&*detail()), "for the log");
        }
    }

    #[test]
    fn what_a_browser_might_run_is_shut_in() {
        let policy = |content_type: &str| {
            let reply = Reply::page(Page {
                earliest: Offset::START,
                content_type: ContentType::parse(content_type).unwrap(),
                cold: Vec::new(),
                body: Vec::new(),
                count: 0,
                next: Offset::START,
                up_to_date: true,
                closed: false,
                cursor: None,
                etag: None,
                not_modified: false,
                caching: Caching::NoStore,
            });
            value(&reply, "Content-Security-Policy").map(str::to_owned)
        };
        for scriptable in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/xml",
            "text/xml",
            "multipart/x-mixed-replace",
            "text/plain",
            "application/octet-stream",
        ] {
            assert_eq!(
                policy(scriptable).as_deref(),
                Some("sandbox"),
                "{scriptable}"
            );
        }
        assert_eq!(policy("application/json"), None);
    }

    #[test]
    fn no_news_has_a_cursor_unless_nobody_is_to_come_back() {
        let reply = Reply::no_news("5", false, 7);
        assert_eq!(reply.status, 204);
        assert_eq!(value(&reply, "Stream-Cursor"), Some("7"));
        assert_eq!(value(&reply, "Stream-Up-To-Date"), Some("true"));
        assert_eq!(value(&reply, "Stream-Closed"), None);
        assert_eq!(value(&reply, "Cache-Control"), Some("no-store"));
        let reply = Reply::no_news("5", true, 7);
        assert_eq!(value(&reply, "Stream-Cursor"), None);
        assert_eq!(value(&reply, "Stream-Closed"), Some("true"));
    }

    #[test]
    fn not_modified_has_no_body_but_its_headers() {
        let page = Page {
            content_type: ContentType::default_type(),
            cold: Vec::new(),
            body: b"data".to_vec(),
            count: 4,
            next: Offset::new(4).unwrap(),
            up_to_date: true,
            closed: true,
            cursor: None,
            etag: Some("\"a\"".into()),
            not_modified: true,
            caching: Caching::MaxAge {
                fresh: 60,
                stale: 300,
            },
            earliest: Offset::START,
        };
        let reply = Reply::page(page);
        assert_eq!((reply.status, reply.body.len()), (304, 0));
        assert_eq!(value(&reply, "ETag"), Some("\"a\""));
        assert_eq!(
            value(&reply, "Cache-Control"),
            Some("public, max-age=60, stale-while-revalidate=300")
        );
    }
}
