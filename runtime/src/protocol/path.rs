//! Which URL paths name a stream.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::header;
use super::request::HeaderLookup;

/// Streams live below this path.
pub const PREFIX: &str = "/v1/stream/";

/// The same path as some clients know it. A stream is the same below either.
pub const OTHER_PREFIX: &str = "/v1/streams/";

/// Stands before [`PREFIX`] where the edge asks an object on behalf of a live reader. No request
/// from outside gets to an object with such a path.
pub const LIVE: &str = "/live";

/// The parameter of such a request that names the incarnation a reader has started in.
pub const INCARNATION: &str = "incarnation";

/// The parameter with which the edge says how many bytes before the offset its reader of events
/// has not been given, as they end within a character or may end within a line end.
pub const HELD: &str = "held";

/// The parameter with which the edge says about how many bytes it can take.
pub const MOST: &str = "most";

/// The status of an object's answer when there is no smaller one than the edge can take.
pub const NEEDS_ROOM: u16 = 413;

/// What objects ask each other is below this path. No request from outside gets to an object with
/// such a path. (Forks were all that there was to ask about once.)
pub const ASKED: &str = "/fork/";

/// Stands before [`PREFIX`], and behind [`LIVE`], where the edge asks an object of an [`Era`], which
/// follows. No request from outside gets to an object with such a path.
const ERA: &str = "/era/";

/// A project that takes the name of one that was deleted has an era of its own, and so have its
/// streams: they have other objects than the streams that had their paths before. The first
/// project of a name has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Era(u64);

impl Era {
    /// The era that is this number.
    pub const fn new(era: u64) -> Self {
        Self(era)
    }

    /// Reads 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }

    /// What stands before a stream's path where an object of this era is asked.
    pub fn prefix(self) -> String {
        format!("{ERA}{self}")
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The URL at which an object of this era is asked what `url` asks for.
pub fn in_era(url: &str, era: Era) -> String {
    let (path, _) = split_url(url);
    let (origin, rest) = url.split_once(path).unwrap_or((url, ""));
    format!("{origin}{}{path}{rest}", era.prefix())
}

/// Takes what the edge may have put before the path of a request off it.
pub fn split_era(path: &str) -> (Option<Era>, &str) {
    let path = path.strip_prefix(LIVE).unwrap_or(path);
    let era = path.strip_prefix(ERA).and_then(|rest| rest.get(..16));
    match era.and_then(Era::parse) {
        Some(era) => {
            let rest = path.get(era.prefix().len()..);
            (Some(era), rest.unwrap_or_default())
        }
        None => (None, path),
    }
}

/// The longest stream path after percent-decoding, in bytes: what a KV key and an R2 key made
/// from it can hold.
pub const MAX_BYTES: usize = 512;

/// The segment that the protocol reserves behind a [root](super::root::Root), for what is asked of
/// it (section 6).
pub const RESERVED: &str = "__ds";

/// Cuts the URL of a request into its path, as sent, and its query without `?`.
pub fn split_url(url: &str) -> (&str, &str) {
    let (before_query, query) = url.split_once('?').unwrap_or((url, ""));
    let after_scheme = before_query
        .split_once("://")
        .map_or(before_query, |(_, rest)| rest);
    let path = after_scheme
        .find('/')
        .and_then(|slash| after_scheme.get(slash..));
    (path.unwrap_or("/"), query)
}

/// The origin of a URL as its client knows it: proxies say which scheme and host they were reached
/// by.
pub fn origin(url: &str, header: HeaderLookup) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let said = |name: &str| {
        let value = header(name)?;
        let first = value.split(',').next()?.trim();
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        (!first.is_empty() && first.bytes().all(is_host)).then(|| first.to_owned())
    };
    let is_scheme = |said: &String| matches!(said.as_str(), "http" | "https");
    format!(
        "{}://{}",
        said(header::X_FORWARDED_PROTO)
            .filter(is_scheme)
            .as_deref()
            .unwrap_or(scheme),
        said(header::X_FORWARDED_HOST).as_deref().unwrap_or(host),
    )
}

/// The value of a parameter of a query, as sent.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// What a segment of a URL may not hold as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as a segment of a URL.
pub fn encoded(segment: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(segment, ESCAPED)
}

/// A stream's path below [`PREFIX`] or [`OTHER_PREFIX`], percent-decoded and valid. Two URLs that
/// decode to the same path name the same stream, also where one of them encodes a slash: some
/// clients encode a whole path as if it were one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPath(String);

/// Why a URL path names no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The path is not below [`PREFIX`].
    Elsewhere,
    /// The path lies under the reserved segment.
    Reserved,
    /// The path breaks a rule; the text says which, and what would be right.
    Invalid(&'static str),
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Elsewhere | PathError::Reserved => Self::UnknownRoute,
            PathError::Invalid(rule) => Self::invalid("the stream path", rule),
        }
    }
}

impl StreamPath {
    /// Takes the path of a request URL as sent, without the query.
    pub fn parse(url_path: &str) -> Result<Self, PathError> {
        let raw = [PREFIX, OTHER_PREFIX].iter();
        let raw = raw
            .filter_map(|prefix| url_path.strip_prefix(prefix))
            .next();
        let raw = raw.ok_or(PathError::Elsewhere)?;
        check_escapes(raw).map_err(PathError::Invalid)?;
        let decoded = percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| PathError::Invalid("must be UTF-8 after percent-decoding"))?;
        Self::of_decoded(&decoded)
    }

    /// Takes a path that is decoded already.
    pub fn of_decoded(decoded: &str) -> Result<Self, PathError> {
        if decoded.len() > MAX_BYTES {
            return Err(PathError::Invalid(
                "must be at most 512 bytes after percent-decoding",
            ));
        }
        // It stands where something was no UTF-8, and whatever that was, it is not the same.
        if decoded.contains(char::REPLACEMENT_CHARACTER) {
            return Err(PathError::Invalid("must be UTF-8, and hold no U+FFFD"));
        }
        if decoded.chars().any(char::is_control) {
            return Err(PathError::Invalid("must hold no control characters"));
        }
        for segment in decoded.split('/') {
            check_segment(segment)?;
        }
        // A root is a project, too, and what is asked of it is below it.
        if decoded
            .split('/')
            .take(2)
            .any(|segment| segment == RESERVED)
        {
            return Err(PathError::Reserved);
        }
        Ok(Self(decoded.to_owned()))
    }

    /// The first segment of a path of several: what groups streams into projects.
    pub fn project(&self) -> Option<&str> {
        self.in_project().map(|(project, _)| project)
    }

    /// The path of several segments as its first one, the project, and the rest, which names the
    /// stream in it.
    pub fn in_project(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }

    /// The place of a [root](super::root::Root), for those who are asked about places: the path of
    /// its project. No stream is there.
    pub fn of_root(project: Option<&str>) -> Self {
        Self(project.unwrap_or(RESERVED).to_owned())
    }

    /// The decoded path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the stream's object: its path, unless it is of an era. No path from outside is
    /// like that.
    pub fn name(&self, era: Option<Era>) -> Cow<'_, str> {
        match era {
            Some(era) => Cow::Owned(format!("{RESERVED}{ERA}{era}/{}", self.0)),
            None => Cow::Borrowed(&self.0),
        }
    }

    /// The path as objects know it: their name.
    #[must_use]
    pub fn named(self, era: Option<Era>) -> Self {
        match era {
            Some(_) => Self(self.name(era).into_owned()),
            None => self,
        }
    }
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    match segment {
        "" => Err(PathError::Invalid(
            "must not be empty or hold an empty segment (//)",
        )),
        "." | ".." => Err(PathError::Invalid("must hold no '.' or '..' segment")),
        _ => Ok(()),
    }
}

/// Every `%` starts an escape; the text says so of what breaks this.
pub(super) fn check_escapes(raw: &str) -> Result<(), &'static str> {
    for part in raw.split('%').skip(1) {
        let code = part.get(..2);
        if !code.is_some_and(|code| code.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err("must follow every '%' with two hex digits");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(rest: &str) -> Result<String, PathError> {
        StreamPath::parse(&format!("{PREFIX}{rest}")).map(|path| path.0)
    }

    #[test]
    fn urls_are_split() {
        assert_eq!(
            split_url("https://a.b:1/v1/x?y=http://z/?"),
            ("/v1/x", "y=http://z/?")
        );
        assert_eq!(split_url("http://a/"), ("/", ""));
        assert_eq!(split_url("http://a"), ("/", ""));
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(parse("chat/room%201").as_deref(), Ok("chat/room 1"));
        assert_eq!(parse("%C3%A9").as_deref(), Ok("é"));
        assert_eq!(parse("a..b/...").as_deref(), Ok("a..b/..."));
    }

    #[test]
    fn an_encoded_slash_is_a_slash() {
        assert_eq!(parse("chat%2F42").as_deref(), Ok("chat/42"));
        assert_eq!(parse("a%2fb/c").as_deref(), Ok("a/b/c"));
        assert_eq!(parse("__ds%2Fx"), Err(PathError::Reserved));
        let path = StreamPath::parse("/v1/streams/a%2Fb").unwrap();
        assert_eq!(path.in_project(), Some(("a", "b")));
    }

    #[test]
    fn an_era_is_known_to_objects_alone() {
        let era = Era::parse("00c0ffee00c0ffee").unwrap();
        let url = in_era(
            "https://a.b:1/v1/stream/p/s%20x?offset=-1&x=/v1/stream/p",
            era,
        );
        let (inside, query) = split_url(&url);
        assert_eq!(inside, "/era/00c0ffee00c0ffee/v1/stream/p/s%20x");
        assert_eq!(query, "offset=-1&x=/v1/stream/p");
        assert_eq!(StreamPath::parse(inside), Err(PathError::Elsewhere));
        for before in ["", LIVE] {
            let inside = format!("{before}{inside}");
            let outside = (Some(era), "/v1/stream/p/s%20x");
            assert_eq!(split_era(&inside), outside);
            let plain = format!("{before}/v1/stream/p/s");
            assert_eq!(split_era(&plain), (None, "/v1/stream/p/s"));
        }
        for none in [
            "/era/",
            "/era/00c0ffee",
            "/era/00c0ffee00c0ffeé",
            "/fork/claim",
            "",
        ] {
            assert_eq!(split_era(none), (None, none));
        }
        for none in [
            "",
            "1",
            "00c0ffee00c0ffeg",
            "+0c0ffee00c0ffee",
            "00c0ffee00c0ffee0",
        ] {
            assert_eq!(Era::parse(none), None, "{none}");
        }
        let path = StreamPath::parse("/v1/stream/p/s").unwrap();
        assert_eq!(path.name(None), "p/s");
        let name = path.name(Some(era)).into_owned();
        assert_eq!(name, "__ds/era/00c0ffee00c0ffee/p/s");
        assert_eq!(parse(&name), Err(PathError::Reserved));
        assert_eq!(path.clone().named(None), path);
        assert_eq!(path.named(Some(era)).as_str(), name);
    }

    #[test]
    fn other_routes_are_told_apart() {
        assert_eq!(
            StreamPath::parse("/v1/streamsx/a"),
            Err(PathError::Elsewhere)
        );
        assert_eq!(StreamPath::parse("/v1/stream"), Err(PathError::Elsewhere));
        for reserved in ["__ds/subscriptions/x", "p/__ds/x", "p/__ds", "p%2F__ds/x"] {
            assert_eq!(parse(reserved), Err(PathError::Reserved), "{reserved}");
        }
        assert_eq!(parse("p/x/__ds").as_deref(), Ok("p/x/__ds"));
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = "a".repeat(MAX_BYTES + 1);
        for bad in [
            "",
            "/",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "%2e%2e",
            "a/%2E",
            "%00",
            "a%0ab",
            "%zz",
            "%",
            "%4",
            "%ff",
            "caf%EF%BF%BD",
            "a%2f",
            "a%2f%2Fb",
            "%2fa",
            "a%2f..%2fb",
            &long,
        ] {
            assert!(matches!(parse(bad), Err(PathError::Invalid(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_safe(raw in "(/|%[0-9a-fA-F]{2}|\\PC){0,20}") {
            if let Ok(path) = parse(&raw) {
                prop_assert!(!path.chars().any(char::is_control));
                prop_assert!(path.split('/').all(|s| !matches!(s, "" | "." | "..")));
            }
        }

        #[test]
        fn encoding_every_byte_names_the_same_stream(path in "[a-z0-9 é~-]{1,20}") {
            let encoded: String = path.bytes().map(|b| format!("%{b:02x}")).collect();
            prop_assert_eq!(parse(&encoded), Ok(path));
        }
    }
}
