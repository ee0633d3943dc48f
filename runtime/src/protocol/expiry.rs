//! How long a stream lives (protocol section 5.1).

use chrono::DateTime;

/// A stream's lifetime as its creator gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// `Stream-TTL`: seconds without a read or a write after which the stream is gone.
    Ttl(u64),
    /// `Stream-Expires-At`: the instant at which the stream is gone.
    At {
        /// The RFC 3339 text as given.
        text: String,
        /// The same instant in milliseconds since the Unix epoch.
        millis: u64,
    },
}

impl Expiry {
    /// Takes a `Stream-TTL` value: decimal digits without a leading zero, up to 2^53 - 1.
    pub fn parse_ttl(value: &str) -> Option<Self> {
        parse_integer(value).map(Self::Ttl)
    }

    /// Takes a `Stream-Expires-At` value: an RFC 3339 timestamp. Times before 1970 count as 1970.
    pub fn parse_at(value: &str) -> Option<Self> {
        let instant = DateTime::parse_from_rfc3339(value).ok()?;
        let millis = u64::try_from(instant.timestamp_millis()).unwrap_or(0);
        Some(Self::At {
            text: value.to_owned(),
            millis,
        })
    }

    /// A lifetime as two fields of a record, of which one at most is set.
    pub fn split(expiry: Option<&Self>) -> (Option<u64>, Option<String>) {
        match expiry {
            Some(Self::Ttl(seconds)) => (Some(*seconds), None),
            Some(Self::At { text, .. }) => (None, Some(text.clone())),
            None => (None, None),
        }
    }

    /// The lifetime in two fields of a record; `None` when they hold none that [`Expiry::split`]
    /// made.
    pub fn join(ttl: Option<u64>, at: Option<String>) -> Option<Option<Self>> {
        Some(match (ttl, at) {
            (Some(seconds), None) => Some(Self::Ttl(seconds)),
            (None, Some(text)) => Some(Self::parse_at(&text)?),
            (None, None) => None,
            (Some(_), Some(_)) => return None,
        })
    }

    /// Whether a creation that asks for `other` asks for the same lifetime.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ttl(a), Self::Ttl(b)) => a == b,
            (Self::At { millis: a, .. }, Self::At { millis: b, .. }) => a == b,
            _ => false,
        }
    }

    /// When a stream last accessed at `accessed` is gone; both in milliseconds since the Unix
    /// epoch.
    pub fn deadline(&self, accessed: u64) -> u64 {
        match self {
            Self::Ttl(seconds) => accessed.saturating_add(seconds.saturating_mul(1000)),
            Self::At { millis, .. } => *millis,
        }
    }
}

/// An integer as the protocol writes them in headers: `0|[1-9]\d*`, at most 2^53 - 1.
pub fn parse_integer(value: &str) -> Option<u64> {
    let canonical = value == "0" || !value.starts_with('0');
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    if !canonical || !digits {
        return None;
    }
    value.parse().ok().filter(|n| *n < 1 << 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_takes_plain_integers_only() {
        assert_eq!(Expiry::parse_ttl("0"), Some(Expiry::Ttl(0)));
        assert_eq!(Expiry::parse_ttl("3600"), Some(Expiry::Ttl(3600)));
        assert_eq!(parse_integer("9007199254740991"), Some((1 << 53) - 1));
        for bad in [
            "",
            "+1",
            "-1",
            "01",
            "1.0",
            "1e3",
            " 1",
            "1s",
            "9007199254740992",
            "99999999999999999999",
        ] {
            assert_eq!(Expiry::parse_ttl(bad), None, "{bad}");
        }
    }

    #[test]
    fn expires_at_compares_instants() {
        let zulu = Expiry::parse_at("2030-01-01T00:00:00Z").unwrap();
        let offset = Expiry::parse_at("2030-01-01T02:00:00.000+02:00").unwrap();
        assert!(zulu.matches(&offset));
        assert_eq!(zulu.deadline(5), 1_893_456_000_000);
        assert!(!zulu.matches(&Expiry::Ttl(1)));
        assert_eq!(
            Expiry::parse_at("1960-01-01T00:00:00Z")
                .unwrap()
                .deadline(5),
            0
        );
        for bad in [
            "",
            "tomorrow",
            "2030-01-01",
            "2030-13-01T00:00:00Z",
            "2030-01-01T00:00:00",
        ] {
            assert_eq!(Expiry::parse_at(bad), None, "{bad}");
        }
    }

    #[test]
    fn ttl_slides() {
        assert_eq!(Expiry::Ttl(2).deadline(1000), 3000);
        assert_eq!(Expiry::Ttl((1 << 53) - 1).deadline(u64::MAX - 1), u64::MAX);
    }
}
