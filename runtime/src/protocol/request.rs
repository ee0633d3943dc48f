//! From headers and query to typed requests.

use super::condition::Condition;
use super::content_type::{self, ContentType};
use super::cursor;
use super::error::Error;
use super::expiry::{self, Expiry};
use super::header;
use super::offset::Offset;
use super::path::{PathError, StreamPath};
use super::producer::Claim;
use super::retention::Retention;
use super::will::Will;

/// The longest `Producer-Id` and `Stream-Seq` taken, in bytes. They are of visible ASCII and spaces:
/// the platform gives other bytes of a header in a form that several of them share.
pub const MAX_NAME_BYTES: usize = 256;

/// Looks up a request header by name.
pub type HeaderLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A PUT (section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The type asked for. Without one, a fork has its source's, and any other stream the default.
    pub content_type: Option<ContentType>,
    /// The lifetime asked for.
    pub expiry: Option<Expiry>,
    /// Whether the stream is to be closed from the start.
    pub closed: bool,
    /// Whether the stream is to be read without credentials where others need some.
    pub public: bool,
    /// Which stream this one is to be a fork of.
    pub fork: Option<Fork>,
    /// How much of the stream is to be kept. Without it, a fork keeps what its source does, and
    /// any other stream everything.
    pub retention: Option<Retention>,
    /// What becomes of the stream when nobody appends to it any more.
    pub will: Option<Will>,
}

/// What a fork starts with (section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// `Stream-Forked-From`: the source.
    pub source: StreamPath,
    /// `Stream-Fork-Offset`: up to where; without one, up to the source's tail.
    pub offset: Option<Offset>,
    /// `Stream-Fork-Sub-Offset`: how many messages or bytes further. Offsets are positions here,
    /// so this may go on beyond the append that starts at `offset`, up to the source's tail.
    pub sub_offset: u64,
}

impl Create {
    /// The headers that are read, also by who answers.
    pub const HEADERS: &[&str] = &[
        header::CONTENT_TYPE,
        header::STREAM_TTL,
        header::STREAM_EXPIRES_AT,
        header::STREAM_CLOSED,
        header::STREAM_FORKED_FROM,
        header::STREAM_FORK_OFFSET,
        header::STREAM_FORK_SUB_OFFSET,
        header::STREAM_RETENTION,
        header::STREAM_WILL_AFTER,
        header::STREAM_WILL,
        header::X_FORWARDED_PROTO,
        header::X_FORWARDED_HOST,
    ];

    /// Reads the query (without `?`) and headers of a PUT.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a header or parameter that breaks a rule.
    pub fn parse(query: &str, header: HeaderLookup) -> Result<Self, Error> {
        let create = Self {
            content_type: content_type(header)?,
            expiry: lifetime(header)?,
            closed: closes(header),
            public: is_public(query)?,
            fork: fork(header)?,
            retention: retention(header)?,
            will: Will::parse(header)?,
        };
        create.check_retention()?;
        Ok(create)
    }

    /// The unit is that of the type, which is not known of a fork that asks for none.
    fn check_retention(&self) -> Result<(), Error> {
        match (self.retention, &self.content_type, &self.fork) {
            (Some(retention), Some(content_type), _) => retention.check(content_type),
            (Some(retention), None, None) => retention.check(&ContentType::default_type()),
            _ => Ok(()),
        }
    }
}

/// Whether the query of a PUT asks for a public stream.
///
/// # Errors
///
/// [`Error::Invalid`] for another value than `true` or `false`, or several.
pub fn is_public(query: &str) -> Result<bool, Error> {
    let mut public = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "public" {
            public = match (public, &*value) {
                (None, "true") => Some(true),
                (None, "false") => Some(false),
                _ => return Err(Error::invalid("public", "must be true or false, once")),
            };
        }
    }
    Ok(public.unwrap_or(false))
}

/// A POST (sections 5.2 and 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The body's type; `None` for a close without a body, which has none.
    pub content_type: Option<ContentType>,
    /// Whether the stream is to be closed after the append.
    pub close: bool,
    /// The idempotent producer behind the request.
    pub producer: Option<Claim>,
    /// `Stream-Seq`; its scope is the stream.
    pub seq: Option<String>,
    /// `If-Match`: where the tail has to be.
    pub if_match: Option<Condition>,
}

impl Append {
    /// The headers that are read of a POST, also by [`Truncate::parse`](super::truncate::Truncate::parse).
    pub const HEADERS: &[&str] = &[
        header::CONTENT_TYPE,
        header::STREAM_CLOSED,
        header::STREAM_SEQ,
        header::PRODUCER_ID,
        header::PRODUCER_EPOCH,
        header::PRODUCER_SEQ,
        header::IF_MATCH,
        header::STREAM_TRUNCATE_BEFORE,
    ];

    /// Reads the headers of a POST.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a header that breaks a rule or is missing.
    pub fn parse(header: HeaderLookup, body_is_empty: bool) -> Result<Self, Error> {
        let close = closes(header);
        let content_type = match (body_is_empty, close) {
            (true, true) => None,
            (true, false) => {
                return Err(Error::invalid(
                    "the body",
                    "must not be empty without Stream-Closed: true",
                ));
            }
            (false, _) => Some(content_type(header)?.ok_or_else(|| {
                Error::invalid(
                    header::CONTENT_TYPE,
                    "is missing: a body needs the stream's content type",
                )
            })?),
        };
        let seq = header(header::STREAM_SEQ)
            .map(|value| bounded_name(header::STREAM_SEQ, value))
            .transpose()?;
        Ok(Self {
            content_type,
            close,
            producer: producer(header)?,
            seq,
            if_match: if_match(header)?,
        })
    }
}

/// Where a read starts (sections 5.6 and 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// No offset, or `-1`.
    Start,
    /// `now`: the tail, without any data.
    Now,
    /// An offset this server minted.
    At(Offset),
}

impl From<Offset> for ReadFrom {
    fn from(offset: Offset) -> Self {
        Self::At(offset)
    }
}

/// How a live read hears of new data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// `long-poll`: one response, as soon as there is data (section 5.7).
    LongPoll,
    /// `sse`: a response that goes on and on (section 5.8).
    Sse,
}

/// A GET (sections 5.6 to 5.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Where to start.
    pub from: ReadFrom,
    /// Whether to wait at the tail, and how.
    pub live: Option<Live>,
    /// The cursor of the client's last live read.
    pub cursor: Option<u64>,
    /// The value of `If-None-Match`.
    pub if_none_match: Option<String>,
}

impl Read {
    /// Reads the query (without `?`) and headers of a GET.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a parameter that breaks a rule.
    pub fn parse(query: &str, header: HeaderLookup) -> Result<Self, Error> {
        let mut offset = None;
        let mut live = None;
        let mut cursor = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "offset" if offset.is_some() => {
                    return Err(Error::invalid("offset", "must be given once"));
                }
                "offset" => offset = Some(read_from(&value)?),
                "live" => live = Some(live_mode(&value)?),
                "cursor" => cursor = cursor::parse(&value),
                _ => {}
            }
        }
        if live.is_some() && offset.is_none() {
            return Err(Error::invalid("offset", "is missing: live reads need one"));
        }
        // A browser comes back to the URL it started with; what it has seen since says this.
        if live == Some(Live::Sse)
            && let Some(last) = header(header::LAST_EVENT_ID).filter(|last| !last.is_empty())
        {
            offset = Some(last_event(&last)?);
        }
        Ok(Self {
            from: offset.unwrap_or(ReadFrom::Start),
            live,
            cursor,
            if_none_match: header(header::IF_NONE_MATCH),
        })
    }
}

fn read_from(value: &str) -> Result<ReadFrom, Error> {
    match value {
        "-1" => Ok(ReadFrom::Start),
        "now" => Ok(ReadFrom::Now),
        token => token.parse().map(ReadFrom::At).map_err(|_| {
            Error::invalid(
                "offset",
                "must be -1, now, or an offset this server returned",
            )
        }),
    }
}

fn last_event(value: &str) -> Result<ReadFrom, Error> {
    value.parse().map(ReadFrom::At).map_err(|_| {
        Error::invalid(
            header::LAST_EVENT_ID,
            format!(
                "is {value:?}, not the id of an event, which is an offset this server returned"
            ),
        )
    })
}

fn live_mode(value: &str) -> Result<Live, Error> {
    match value {
        "long-poll" => Ok(Live::LongPoll),
        "sse" => Ok(Live::Sse),
        _ => Err(Error::invalid("live", "must be long-poll or sse")),
    }
}

/// The stream that a `Stream-Forked-From` header names.
///
/// # Errors
///
/// [`Error::Invalid`] when it names none.
pub fn fork_source(value: &str) -> Result<StreamPath, Error> {
    if !value.is_ascii() {
        let rule = "must be percent-encoded as in the stream's URL: ASCII characters only";
        return Err(Error::invalid(header::STREAM_FORKED_FROM, rule));
    }
    StreamPath::parse(value).map_err(|error| {
        let rule = match error {
            PathError::Invalid(rule) => rule,
            _ => "must be the path of a stream's URL, /v1/stream/<path>",
        };
        Error::invalid(header::STREAM_FORKED_FROM, rule)
    })
}

fn fork(header: HeaderLookup) -> Result<Option<Fork>, Error> {
    let offset = header(header::STREAM_FORK_OFFSET);
    let sub_offset = header(header::STREAM_FORK_SUB_OFFSET);
    let Some(source) = header(header::STREAM_FORKED_FROM) else {
        let needless = [
            (header::STREAM_FORK_OFFSET, offset.is_some()),
            (header::STREAM_FORK_SUB_OFFSET, sub_offset.is_some()),
        ];
        return match needless.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(Error::invalid(name, "needs Stream-Forked-From")),
            None => Ok(None),
        };
    };
    let source = fork_source(&source)?;
    let sub_offset = match sub_offset {
        Some(value) => integer(header::STREAM_FORK_SUB_OFFSET, &value)?,
        None => 0,
    };
    if sub_offset > 0 && offset.is_none() {
        return Err(Error::invalid(
            header::STREAM_FORK_SUB_OFFSET,
            "needs Stream-Fork-Offset",
        ));
    }
    let offset = offset.map(|token| {
        token.parse().map_err(|_| {
            let rule = "must be an offset this server returned";
            Error::invalid(header::STREAM_FORK_OFFSET, rule)
        })
    });
    Ok(Some(Fork {
        source,
        offset: offset.transpose()?,
        sub_offset,
    }))
}

fn content_type(header: HeaderLookup) -> Result<Option<ContentType>, Error> {
    let Some(value) = header(header::CONTENT_TYPE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let parsed = ContentType::parse(&value).ok_or_else(|| {
        let most = content_type::MAX_BYTES;
        Error::invalid(
            header::CONTENT_TYPE,
            format!("must be type/subtype in at most {most} characters"),
        )
    })?;
    Ok(Some(parsed))
}

fn lifetime(header: HeaderLookup) -> Result<Option<Expiry>, Error> {
    match (
        header(header::STREAM_TTL),
        header(header::STREAM_EXPIRES_AT),
    ) {
        (Some(_), Some(_)) => Err(Error::invalid(
            header::STREAM_TTL,
            "and Stream-Expires-At exclude each other",
        )),
        (Some(ttl), None) => Expiry::parse_ttl(&ttl).map(Some).ok_or_else(|| {
            Error::invalid(
                header::STREAM_TTL,
                "must be whole seconds, in digits without a leading zero",
            )
        }),
        (None, Some(at)) => Expiry::parse_at(&at).map(Some).ok_or_else(|| {
            Error::invalid(
                header::STREAM_EXPIRES_AT,
                "must be an RFC 3339 time, as 2030-01-01T00:00:00Z",
            )
        }),
        (None, None) => Ok(None),
    }
}

/// Any value but `true` counts as absent (section 4.1).
fn closes(header: HeaderLookup) -> bool {
    header(header::STREAM_CLOSED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn retention(header: HeaderLookup) -> Result<Option<Retention>, Error> {
    let value = header(header::STREAM_RETENTION);
    value.map(|value| Retention::parse(&value)).transpose()
}

pub(super) fn if_match(header: HeaderLookup) -> Result<Option<Condition>, Error> {
    let value = header(header::IF_MATCH);
    value.map(|value| Condition::parse(&value)).transpose()
}

fn producer(header: HeaderLookup) -> Result<Option<Claim>, Error> {
    let id = header(header::PRODUCER_ID);
    let epoch = header(header::PRODUCER_EPOCH);
    let seq = header(header::PRODUCER_SEQ);
    let (id, epoch, seq) = match (id, epoch, seq) {
        (None, None, None) => return Ok(None),
        (Some(id), Some(epoch), Some(seq)) => (id, epoch, seq),
        _ => {
            return Err(Error::invalid(
                header::PRODUCER_ID,
                "Producer-Epoch and Producer-Seq must come together or not at all",
            ));
        }
    };
    Ok(Some(Claim {
        id: bounded_name(header::PRODUCER_ID, id)?,
        epoch: integer(header::PRODUCER_EPOCH, &epoch)?,
        seq: integer(header::PRODUCER_SEQ, &seq)?,
    }))
}

fn bounded_name(field: &'static str, value: String) -> Result<String, Error> {
    let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if value.is_empty() || value.len() > MAX_NAME_BYTES || !is_plain {
        return Err(Error::invalid(
            field,
            format!(
                "must be 1 to {MAX_NAME_BYTES} visible ASCII characters or spaces; \
                percent-encode others"
            ),
        ));
    }
    Ok(value)
}

fn integer(field: &'static str, value: &str) -> Result<u64, Error> {
    expiry::parse_integer(value)
        .ok_or_else(|| Error::invalid(field, "must be an integer from 0 to 9007199254740991"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(headers: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect();
        move |name| {
            headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        }
    }

    fn field_of<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
        match result {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn the_headers_that_are_read_are_listed() {
        let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let note = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            None
        };
        let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Create::parse("", &note).unwrap();
        // What the answer's `Location` is made of.
        note(header::X_FORWARDED_PROTO);
        note(header::X_FORWARDED_HOST);
        assert_eq!(read.take(), listed(Create::HEADERS));
        let typed = |name: &str| {
            note(name);
            (name == header::CONTENT_TYPE).then(|| "text/plain".to_owned())
        };
        use crate::protocol::truncate::Truncate;
        assert_eq!(Truncate::parse(&typed, false), Ok(None));
        Append::parse(&typed, false).unwrap();
        assert_eq!(read.take(), listed(Append::HEADERS));
    }

    /// What the platform gives of the bytes of a header.
    fn as_given(raw: &[u8]) -> String {
        String::from_utf8_lossy(raw).into_owned()
    }

    proptest::proptest! {
        #[test]
        fn no_two_spellings_of_a_header_are_one_producer(
            a in proptest::collection::vec(0x20u8.., 1..6),
            b in proptest::collection::vec(0x20u8.., 1..6),
        ) {
            let taken = |raw: &[u8]| bounded_name(header::PRODUCER_ID, as_given(raw)).ok();
            if let (Some(first), Some(second)) = (taken(&a), taken(&b)) {
                proptest::prop_assert_eq!(first == second, a == b);
            }
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for raw in [
            &b"caf\xe9"[..],
            b"caf\xe8",
            "café".as_bytes(),
            b"a\tb",
            b"\x7f",
        ] {
            let name = as_given(raw);
            let claim = [
                ("Producer-Id", name.as_str()),
                ("Producer-Epoch", "0"),
                ("Producer-Seq", "0"),
                ("Stream-Closed", "true"),
            ];
            let seq = [("Stream-Seq", name.as_str()), ("Stream-Closed", "true")];
            assert_eq!(
                field_of(Append::parse(&lookup(&claim), true)),
                "Producer-Id"
            );
            assert_eq!(field_of(Append::parse(&lookup(&seq), true)), "Stream-Seq");
        }
        let source = [("Stream-Forked-From", "/v1/stream/café")];
        assert_eq!(
            field_of(Create::parse("", &lookup(&source))),
            "Stream-Forked-From"
        );
        assert!(bounded_name("Producer-Id", "a worker, 7%20~".to_owned()).is_ok());
    }

    #[test]
    fn create_has_defaults() {
        let create = Create::parse("", &lookup(&[])).unwrap();
        assert_eq!(create.content_type, None);
        assert_eq!(create.expiry, None);
        assert!(!create.closed);
        assert_eq!(create.fork, None);
    }

    #[test]
    fn stream_closed_counts_only_when_true() {
        for (value, expected) in [
            ("true", true),
            ("TRUE", true),
            ("false", false),
            ("1", false),
            ("", false),
        ] {
            let create = Create::parse("", &lookup(&[("Stream-Closed", value)])).unwrap();
            assert_eq!(create.closed, expected, "{value}");
        }
    }

    #[test]
    fn create_names_the_field_at_fault() {
        let both = [
            ("Stream-TTL", "1"),
            ("Stream-Expires-At", "2030-01-01T00:00:00Z"),
        ];
        assert_eq!(field_of(Create::parse("", &lookup(&both))), "Stream-TTL");
        assert_eq!(
            field_of(Create::parse("", &lookup(&[("Stream-TTL", "01")]))),
            "Stream-TTL"
        );
        assert_eq!(
            field_of(Create::parse("", &lookup(&[("Stream-Expires-At", "x")]))),
            "Stream-Expires-At"
        );
        assert_eq!(
            field_of(Create::parse("", &lookup(&[("Content-Type", "json")]))),
            "Content-Type"
        );
    }

    #[test]
    fn forks_name_their_source() {
        let zero = Offset::START.to_string();
        let from = ("Stream-Forked-From", "/v1/stream/a/b%20c");
        let offset = ("Stream-Fork-Offset", zero.as_str());
        let sub_offset = ("Stream-Fork-Sub-Offset", "2");
        let parse = |headers: &[(&str, &str)]| Create::parse("", &lookup(headers));
        let fork = parse(&[from, offset, sub_offset]).unwrap().fork.unwrap();
        assert_eq!(fork.source.as_str(), "a/b c");
        assert_eq!((fork.offset, fork.sub_offset), (Some(Offset::START), 2));
        let fork = parse(&[from]).unwrap().fork.unwrap();
        assert_eq!((fork.offset, fork.sub_offset), (None, 0));
        for (headers, field) in [
            (vec![offset], "Stream-Fork-Offset"),
            (
                vec![("Stream-Fork-Sub-Offset", "0")],
                "Stream-Fork-Sub-Offset",
            ),
            (vec![from, sub_offset], "Stream-Fork-Sub-Offset"),
            (
                vec![from, offset, ("Stream-Fork-Sub-Offset", "05")],
                "Stream-Fork-Sub-Offset",
            ),
            (
                vec![from, ("Stream-Fork-Offset", "-1")],
                "Stream-Fork-Offset",
            ),
            (vec![("Stream-Forked-From", "a/b")], "Stream-Forked-From"),
            (
                vec![("Stream-Forked-From", "/v1/stream/a//b")],
                "Stream-Forked-From",
            ),
            (
                vec![("Stream-Forked-From", "/v1/stream/__ds/x")],
                "Stream-Forked-From",
            ),
        ] {
            assert_eq!(field_of(parse(&headers)), field, "{headers:?}");
        }
    }

    #[test]
    fn a_stream_is_public_only_when_asked_for_in_so_many_words() {
        let public = |query: &str| Create::parse(query, &lookup(&[])).map(|create| create.public);
        assert_eq!(public(""), Ok(false));
        assert_eq!(public("public=false"), Ok(false));
        assert_eq!(public("x=1&public=true"), Ok(true));
        for bad in [
            "public",
            "public=1",
            "public=True",
            "public=true&public=false",
            "public=true&public=true",
        ] {
            assert_eq!(field_of(public(bad)), "public", "{bad}");
        }
    }

    #[test]
    fn a_source_is_a_path_that_hides_nothing() {
        let path = StreamPath::parse("/v1/stream/a/x").unwrap();
        assert_eq!(fork_source("/v1/stream/a/x"), Ok(path));
        for bad in [
            "",
            "/a/x",
            "/v1/stream/b/../a/x",
            "/v1/stream/b/%2e%2e/a",
            "/v1/stream//a/x",
            "/v1/stream/a%2f",
            "https://host/v1/stream/a/x",
        ] {
            assert_eq!(field_of(fork_source(bad)), "Stream-Forked-From", "{bad}");
        }
    }

    #[test]
    fn append_needs_a_body_or_a_close() {
        let json = [("Content-Type", "application/json")];
        assert!(Append::parse(&lookup(&json), false).is_ok());
        assert_eq!(field_of(Append::parse(&lookup(&json), true)), "the body");
        assert_eq!(field_of(Append::parse(&lookup(&[]), false)), "Content-Type");
        let close = Append::parse(
            &lookup(&[("Stream-Closed", "true"), ("Content-Type", "x")]),
            true,
        );
        assert_eq!(close.unwrap().content_type, None);
    }

    #[test]
    fn producers_come_whole() {
        let all = [
            ("Producer-Id", "p"),
            ("Producer-Epoch", "1"),
            ("Producer-Seq", "2"),
        ];
        let close = ("Stream-Closed", "true");
        for missing in 0..3 {
            let mut some: Vec<_> = all.to_vec();
            some[missing] = close;
            assert_eq!(field_of(Append::parse(&lookup(&some), true)), "Producer-Id");
        }
        let mut whole = all.to_vec();
        whole.push(close);
        let claim = Append::parse(&lookup(&whole), true)
            .unwrap()
            .producer
            .unwrap();
        assert_eq!(
            claim,
            Claim {
                id: "p".into(),
                epoch: 1,
                seq: 2
            }
        );
        whole[1].1 = "1e3";
        assert_eq!(
            field_of(Append::parse(&lookup(&whole), true)),
            "Producer-Epoch"
        );
        whole[0].1 = "";
        assert_eq!(
            field_of(Append::parse(&lookup(&whole), true)),
            "Producer-Id"
        );
    }

    #[test]
    fn read_takes_one_offset() {
        let from = |query: &str| Read::parse(query, &lookup(&[])).map(|read| read.from);
        assert_eq!(from(""), Ok(ReadFrom::Start));
        assert_eq!(from("offset=-1&other=1&other=2"), Ok(ReadFrom::Start));
        assert_eq!(from("offset=now"), Ok(ReadFrom::Now));
        let seven = Offset::new(7).unwrap();
        assert_eq!(from(&format!("offset={seven}")), Ok(ReadFrom::At(seven)));
        for bad in [
            "offset=",
            "offset",
            "offset=0,1",
            "offset=0+1",
            "offset=-1&offset=-1",
            "live=tail",
        ] {
            field_of(from(bad));
        }
    }

    #[test]
    fn live_reads_need_an_offset() {
        let read = |query: &str| Read::parse(query, &lookup(&[]));
        assert_eq!(field_of(read("live=sse")), "offset");
        assert_eq!(field_of(read("offset=-1&live=")), "live");
        let read = |query: &str| read(query).map(|read| (read.live, read.cursor));
        assert_eq!(read("offset=now&live=sse"), Ok((Some(Live::Sse), None)));
        assert_eq!(
            read("cursor=12&live=long-poll&offset=-1"),
            Ok((Some(Live::LongPoll), Some(12)))
        );
        assert_eq!(read("offset=-1&cursor=x"), Ok((None, None)));
    }
}
