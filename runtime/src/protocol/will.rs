//! `Stream-Will-After` and `Stream-Will`: what becomes of a stream to which nobody appends any more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::content_type::ContentType;
use super::error::Error;
use super::expiry;
use super::header;
use super::json;
use super::request::HeaderLookup;

/// The most seconds a will may wait: a year.
pub const MAX_SECONDS: u64 = 365 * 86_400;

/// The longest content of a will, in bytes.
pub const MAX_BYTES: usize = 4096;

/// A stream's will: when nothing was appended for `after` seconds, its content is, and the stream is
/// closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// How long, in seconds.
    pub after: u64,
    /// A body as an append has it; empty for a close without data.
    pub content: Vec<u8>,
}

impl Will {
    /// Reads the headers of a PUT.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`].
    pub fn parse(header: HeaderLookup) -> Result<Option<Self>, Error> {
        let after = header(header::STREAM_WILL_AFTER);
        let content = header(header::STREAM_WILL);
        let Some(after) = after else {
            return match content {
                Some(_) => Err(Error::invalid(
                    header::STREAM_WILL,
                    "needs Stream-Will-After",
                )),
                None => Ok(None),
            };
        };
        let seconds = expiry::parse_integer(&after);
        let seconds = seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
        Ok(Some(Self {
            after: seconds.ok_or_else(|| {
                let rule = format!("must be seconds, 1 to {MAX_SECONDS} in digits");
                Error::invalid(header::STREAM_WILL_AFTER, rule)
            })?,
            content: match content {
                Some(value) => decode(&value)?,
                None => Vec::new(),
            },
        }))
    }

    /// The same with its content as streams of this type keep it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for content that a stream of this type does not take.
    pub fn of_type(&self, content_type: &ContentType) -> Result<Self, Error> {
        if self.content.is_empty() || !content_type.is_json() {
            return Ok(self.clone());
        }
        let batch = json::parse(&self.content)
            .map_err(|error| invalid(format!("is for a JSON stream: {error}")))?;
        if batch.count == 0 {
            return Err(invalid("must not be an empty array"));
        }
        Ok(Self {
            after: self.after,
            content: [b"[", &*batch.text, b"]"].concat(),
        })
    }

    /// Milliseconds without an append after which it is carried out.
    pub fn millis(&self) -> u64 {
        self.after.saturating_mul(1000)
    }
}

/// The value of `Stream-Will` for some content.
pub fn encode(content: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(content))
}

/// Bytes stand in base64 between colons, as RFC 8941 writes them; what does not start with a colon
/// stands for itself.
fn decode(value: &str) -> Result<Vec<u8>, Error> {
    let content = match value.strip_prefix(':') {
        Some(rest) => {
            let encoded = rest.strip_suffix(':');
            let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
            decoded.ok_or_else(|| invalid("starts with a colon, and must be :<base64>: then"))?
        }
        None if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) => value.as_bytes().to_vec(),
        None => {
            let rule = "must be visible ASCII and spaces, or :<base64>: for all else";
            return Err(invalid(rule));
        }
    };
    if content.is_empty() {
        return Err(invalid(
            "must not be empty: without it, the stream is closed alone",
        ));
    }
    if content.len() > MAX_BYTES {
        let length = content.len();
        let rule = format!("must be {MAX_BYTES} bytes at most, and is {length}");
        return Err(invalid(rule));
    }
    Ok(content)
}

fn invalid(rule: impl Into<String>) -> Error {
    Error::invalid(header::STREAM_WILL, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(after: Option<&str>, content: Option<&str>) -> Result<Option<Will>, Error> {
        Will::parse(&|name| {
            let value = match name {
                header::STREAM_WILL_AFTER => after,
                header::STREAM_WILL => content,
                _ => None,
            };
            value.map(str::to_owned)
        })
    }

    #[test]
    fn a_will_is_a_time_and_perhaps_content() {
        let will = |after, content: &[u8]| {
            Some(Will {
                after,
                content: content.to_vec(),
            })
        };
        assert_eq!(parse(None, None), Ok(None));
        assert_eq!(parse(Some("1"), None), Ok(will(1, b"")));
        assert_eq!(
            parse(Some("31536000"), Some(r#"{"a": 1}"#)),
            Ok(will(MAX_SECONDS, br#"{"a": 1}"#))
        );
        assert_eq!(
            parse(Some("9"), Some(":8J+Ygzo=:")),
            Ok(will(9, "😃:".as_bytes()))
        );
    }

    #[test]
    fn what_is_wrong_with_a_will_names_its_header() {
        let long = "x".repeat(MAX_BYTES + 1);
        let encoded = encode(long.as_bytes());
        let cases = [
            (None, Some("x"), header::STREAM_WILL),
            (Some("0"), None, header::STREAM_WILL_AFTER),
            (Some(""), None, header::STREAM_WILL_AFTER),
            (Some("1.5"), None, header::STREAM_WILL_AFTER),
            (Some("31536001"), None, header::STREAM_WILL_AFTER),
            (Some("1"), Some(""), header::STREAM_WILL),
            (Some("1"), Some("::"), header::STREAM_WILL),
            (Some("1"), Some(":eA=="), header::STREAM_WILL),
            (Some("1"), Some(":!:"), header::STREAM_WILL),
            (Some("1"), Some("ü"), header::STREAM_WILL),
            (Some("1"), Some(&*long), header::STREAM_WILL),
            (Some("1"), Some(&*encoded), header::STREAM_WILL),
        ];
        for (after, content, name) in cases {
            let error = parse(after, content).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn content_is_kept_as_streams_of_its_type_keep_it() {
        let json = ContentType::parse("application/json").unwrap();
        let text = ContentType::parse("text/plain").unwrap();
        let will = |content: &str| Will {
            after: 1,
            content: content.into(),
        };
        let kept = |content, of| will(content).of_type(of).map(|will| will.content);
        assert_eq!(kept("{\"a\": 1}", &json).unwrap(), b"[{\"a\":1}]");
        assert_eq!(kept("[1, 2]", &json).unwrap(), b"[1,\n2]");
        assert_eq!(kept("[1, 2]", &text).unwrap(), b"[1, 2]");
        assert_eq!(kept("", &json).unwrap(), b"");
        for content in ["[]", "{", "1 2"] {
            let error = kept(content, &json).unwrap_err();
            assert!(error.to_string().contains(header::STREAM_WILL), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_content_survives_its_header(content in prop::collection::vec(any::<u8>(), 1..MAX_BYTES)) {
            prop_assert_eq!(decode(&encode(&content)), Ok(content));
        }

        #[test]
        fn kept_content_is_kept_as_it_is(messages in prop::collection::vec(any::<u32>(), 1..9)) {
            let json = ContentType::parse("application/json").unwrap();
            let will = Will { after: 7, content: serde_json::to_vec(&messages).unwrap() };
            let kept = will.of_type(&json).unwrap();
            prop_assert_eq!(kept.of_type(&json), Ok(kept));
        }
    }
}
