//! `Content-Encoding`: in which encodings bodies may come (RFC 9110, section 8.4).

use super::error::Error;

/// An encoding that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`, or `x-gzip` as it was once called.
    Gzip,
    /// `deflate`: what zlib makes.
    Deflate,
}

/// So many bytes more than what they become may come: incompressible data gets longer by a little.
const OVERHEAD: u64 = 1 << 16;

impl Encoding {
    /// Reads the value of the header; nothing when the body comes as it is.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedEncoding`] for another encoding, or several one over the other.
    pub fn parse(value: &str) -> Result<Option<Self>, Error> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            _ => Err(Error::UnsupportedEncoding(value.to_owned())),
        }
    }

    /// What `DecompressionStream` calls it.
    pub fn format(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// How many bytes may come, when so many may come out.
    pub fn most_encoded(limit: u64) -> u64 {
        limit.saturating_add(OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_in_any_case() {
        for (value, expected) in [
            ("", None),
            ("identity", None),
            (" Identity ", None),
            ("gzip", Some(Encoding::Gzip)),
            ("X-GZIP", Some(Encoding::Gzip)),
            ("\tDeflate", Some(Encoding::Deflate)),
        ] {
            assert_eq!(Encoding::parse(value), Ok(expected), "{value:?}");
        }
    }

    #[test]
    fn others_and_several_are_refused_by_name() {
        for value in [
            "br",
            "zstd",
            "gzip, gzip",
            "gzip, deflate",
            "identity, gzip",
            "gzip;q=1",
        ] {
            let error = Encoding::parse(value).unwrap_err();
            assert_eq!(error, Error::UnsupportedEncoding(value.to_owned()));
            assert_eq!(error.status(), 415);
            assert!(error.to_string().contains(value), "{error}");
            assert_eq!(
                error.headers(),
                [("Accept-Encoding", "gzip, deflate".to_owned())]
            );
        }
    }
}
