//! Content types (protocol section 9).

/// The longest content type a stream may have, in bytes.
pub const MAX_BYTES: usize = 255;

/// A stream's media type as its creator wrote it; compared without case and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(String);

impl ContentType {
    /// What a stream created without a content type gets.
    pub fn default_type() -> Self {
        Self("application/octet-stream".to_owned())
    }

    /// Takes a `Content-Type` header value; `None` unless it reads `type/subtype`, with or
    /// without parameters, in at most [`MAX_BYTES`] visible ASCII characters and spaces.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if value.len() > MAX_BYTES || !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return None;
        }
        let (kind, subtype) = essence(value).split_once('/')?;
        (is_token(kind) && is_token(subtype)).then(|| Self(value.to_owned()))
    }

    /// The type as its creator wrote it, parameters included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the same media type; case and parameters do not count.
    pub fn matches(&self, other: &Self) -> bool {
        essence(&self.0).eq_ignore_ascii_case(essence(&other.0))
    }

    /// Whether streams of this type are in JSON mode (section 9.1).
    pub fn is_json(&self) -> bool {
        essence(&self.0).eq_ignore_ascii_case("application/json")
    }

    /// Whether this is one of the `text/*` types.
    pub fn is_text(&self) -> bool {
        let kind = self.0.split('/').next().unwrap_or_default();
        kind.eq_ignore_ascii_case("text")
    }
}

fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> ContentType {
        ContentType::parse(value).unwrap()
    }

    #[test]
    fn case_and_parameters_do_not_count() {
        let json = parsed("Application/JSON; charset=utf-8");
        assert!(json.is_json());
        assert!(json.matches(&parsed("application/json")));
        assert!(!json.matches(&parsed("application/json-seq")));
        assert_eq!(json.as_str(), "Application/JSON; charset=utf-8");
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for value in [
            "",
            "json",
            "/json",
            "text/",
            "text/pl ain",
            "text/plain\u{e9}",
            "a/b/c",
        ] {
            assert_eq!(ContentType::parse(value), None, "{value}");
        }
        assert_eq!(
            ContentType::parse(&format!("a/{}", "b".repeat(MAX_BYTES))),
            None
        );
    }
}
