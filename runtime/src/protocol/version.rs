//! Versions of what is stored and of what objects and edges say to each other. Whoever reads takes
//! every version up to its own, and refuses a newer one: after a rollback, and while a release is
//! on its way to all machines, that is met every day.

use std::fmt;

use super::error::Error;

/// The version of stored records. Those of version 1 do not say so.
pub const STORED: u32 = 2;

/// The version of messages between edges and objects, and between objects. Those of version 1 do
/// not say so.
pub const SPOKEN: u32 = 2;

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
    fn older_is_read_and_newer_refused() {
        for stated in [None, Some(1), Some(STORED)] {
            assert_eq!(check("a record", stated, STORED), Ok(()));
        }
        let newer = check("a record", Some(STORED + 1), STORED).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "a record is of version 3, and this release reads versions up to 2"
        );
        assert_eq!(Error::from(newer).status(), 503);
    }
}
