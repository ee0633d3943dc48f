//! `Stream-Retention`: how much of a stream is kept, counted back from its tail.

use std::fmt;

use super::content_type::ContentType;
use super::error::Error;
use super::expiry;
use super::header;
use super::offset::Offset;

/// How much is kept. The unit is that of offsets, so that it is known without looking at any data
/// where what is kept begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// So many messages, in JSON streams.
    Messages(u64),
    /// So many bytes, in all others.
    Bytes(u64),
}

impl Retention {
    /// Reads the header's value, `messages=N` or `bytes=N`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`].
    pub fn parse(value: &str) -> Result<Self, Error> {
        let malformed = || {
            let most = Offset::MAX.position();
            let rule = format!("must be messages=N or bytes=N, with N from 1 to {most} in digits");
            Error::invalid(header::STREAM_RETENTION, rule)
        };
        let (unit, count) = value.split_once('=').ok_or_else(malformed)?;
        let count = expiry::parse_integer(count).ok_or_else(malformed)?;
        if count == 0 || Offset::new(count).is_none() {
            return Err(malformed());
        }
        match unit {
            "messages" => Ok(Self::Messages(count)),
            "bytes" => Ok(Self::Bytes(count)),
            _ => Err(malformed()),
        }
    }

    /// Refuses a unit that streams of this type are not counted in.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`].
    pub fn check(self, content_type: &ContentType) -> Result<(), Error> {
        let rule = match (self, content_type.is_json()) {
            (Self::Messages(_), true) | (Self::Bytes(_), false) => return Ok(()),
            (Self::Bytes(_), true) => "must be messages=N: a JSON stream is counted in messages",
            (Self::Messages(_), false) => "must be bytes=N: only JSON streams have messages",
        };
        Err(Error::invalid(header::STREAM_RETENTION, rule))
    }

    /// The first position that is kept of a stream that ends at `tail`.
    pub fn earliest(self, tail: Offset) -> Offset {
        let (Self::Messages(count) | Self::Bytes(count)) = self;
        tail.back(count)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(count) => write!(f, "messages={count}"),
            Self::Bytes(count) => write!(f, "bytes={count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_malformed_is_refused_by_name() {
        let beyond = format!("bytes={}", Offset::MAX.position() + 1);
        for value in [
            "",
            "1000",
            "messages",
            "messages=",
            "messages=0",
            "messages=01",
            "messages=-1",
            "messages=1.5",
            "messages=1e3",
            "Messages=1",
            "messages = 1",
            "seconds=1",
            "messages=1, bytes=1",
            &beyond,
        ] {
            let refused = Retention::parse(value);
            let is_named = matches!(
                refused,
                Err(Error::Invalid {
                    field: "Stream-Retention",
                    ..
                })
            );
            assert!(is_named, "{value:?}: {refused:?}");
        }
    }

    #[test]
    fn units_are_those_of_offsets() {
        let json = ContentType::parse("application/json").unwrap();
        let text = ContentType::parse("text/plain").unwrap();
        assert!(Retention::Messages(1).check(&json).is_ok());
        assert!(Retention::Bytes(1).check(&text).is_ok());
        assert!(Retention::Bytes(1).check(&json).is_err());
        assert!(Retention::Messages(1).check(&text).is_err());
    }

    proptest! {
        #[test]
        fn values_round_trip(count in 1..=Offset::MAX.position(), json: bool) {
            let retention = if json { Retention::Messages(count) } else { Retention::Bytes(count) };
            prop_assert_eq!(Retention::parse(&retention.to_string()), Ok(retention));
        }

        #[test]
        fn so_much_is_kept_and_no_more(count in 1u64..99, tail in 0u64..200) {
            let tail = Offset::new(tail).unwrap();
            let earliest = Retention::Bytes(count).earliest(tail);
            prop_assert_eq!(tail.since(earliest), count.min(tail.position()));
        }
    }
}
