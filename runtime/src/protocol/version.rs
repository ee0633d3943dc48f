//! Versions of what is stored and of what objects and edges say to each other. Whoever reads takes
//! every version up to its own, and refuses a newer one: after a rollback, and while a release is
//! on its way to all machines, that is met every day.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;

/// The version of stored records. Those of version 1 do not say so. From version 3 on, a stream may
/// start in the middle.
pub const STORED: u32 = 3;

/// The version of messages between edges and objects, and between objects. Those of version 1 do
/// not say so. Offsets of version 3 have three parts.
pub const SPOKEN: u32 = 3;

/// What a record or message says of its version; nothing means 1.
pub type Stated = Option<u32>;

/// What a newer release has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newer {
    /// What was found.
    pub what: &'static str,
    /// Its version.
    pub version: u32,
    /// The newest version that can be read.
    pub known: u32,
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            version,
            known,
        } = self;
        write!(
            f,
            "{what} is of version {version}, and this release reads versions up to {known}"
        )
    }
}

impl std::error::Error for Newer {}

impl From<Newer> for Error {
    fn from(newer: Newer) -> Self {
        Self::Newer(newer.to_string())
    }
}

/// Refuses a version that is newer than `known`.
///
/// # Errors
///
/// [`Newer`].
pub fn check(what: &'static str, stated: Stated, known: u32) -> Result<(), Newer> {
    match stated {
        Some(version) if version > known => Err(Newer {
            what,
            version,
            known,
        }),
        _ => Ok(()),
    }
}

/// What the value of a header says of a version. One that is none is of nobody's yet.
pub fn stated(value: Option<&str>) -> Stated {
    value.map(|value| value.parse().unwrap_or(u32::MAX))
}

/// Why a text in JSON cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A newer release has written it.
    Newer(Newer),
    /// It is not what it should be; the text says why, for the log.
    Malformed(String),
}

impl Unreadable {
    /// The error for a message that another part of the server has sent.
    pub fn said(self) -> Error {
        match self {
            Self::Newer(newer) => newer.into(),
            Self::Malformed(what) => Error::Unavailable(what),
        }
    }
}

impl From<Newer> for Unreadable {
    fn from(newer: Newer) -> Self {
        Self::Newer(newer)
    }
}

/// What a record or message says of its version, whatever else it holds.
#[derive(Debug, Deserialize)]
pub struct Says {
    /// See [`Stated`].
    #[serde(default)]
    pub v: Stated,
}

/// Reads JSON that may state a version, in a field `v`. What is of a newer one is refused whatever
/// else it holds: that may be of a form that is not known yet.
///
/// # Errors
///
/// [`Unreadable`].
pub fn read<T: DeserializeOwned>(
    what: &'static str,
    text: &[u8],
    known: u32,
) -> Result<T, Unreadable> {
    let malformed =
        |error: serde_json::Error| Unreadable::Malformed(format!("{what} is malformed: {error}"));
    let says: Says = serde_json::from_slice(text).map_err(malformed)?;
    check(what, says.v, known)?;
    serde_json::from_slice(text).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_it_in_digits() {
        assert_eq!(stated(None), None);
        assert_eq!(stated(Some("2")), Some(2));
        assert_eq!(stated(Some("2.1")), Some(u32::MAX));
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_malformed() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Example {
            a: u8,
        }
        let read = |text: &str| read::<Example>("an example", text.as_bytes(), 2);
        for text in [r#"{"a":1}"#, r#"{"a":1,"v":2}"#, r#"{"a":1,"b":{},"v":1}"#] {
            assert_eq!(read(text), Ok(Example { a: 1 }), "{text}");
        }
        for text in [r#"{"a":1,"v":3}"#, r#"{"a":"another form","v":3}"#] {
            assert!(matches!(read(text), Err(Unreadable::Newer(_))), "{text}");
        }
        for text in ["", "{}", r#"{"a":1}x"#, r#"{"a":1,"v":"3"}"#] {
            let is_malformed = matches!(read(text), Err(Unreadable::Malformed(_)));
            assert!(is_malformed, "{text}");
        }
    }

    #[test]
    fn older_is_read_and_newer_refused() {
        for stated in [None, Some(1), Some(STORED)] {
            assert_eq!(check("a record", stated, STORED), Ok(()));
        }
        let newer = check("a record", Some(STORED + 1), STORED).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "a record is of version 4, and this release reads versions up to 3"
        );
        assert_eq!(Error::from(newer).status(), 503);
    }
}
