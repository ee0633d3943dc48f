//! Which streams a fork may start from.

use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::StreamPath;

/// Whether two streams are of one project: no fork leads from one project into another. A stream
/// outside of all projects has none in common with any.
pub fn same_project(a: &StreamPath, b: &StreamPath) -> bool {
    a.project().is_some() && a.project() == b.project()
}

/// The stream that a `Stream-Forked-From` header names.
///
/// # Errors
///
/// [`Error::Invalid`] when it names none.
pub fn source(value: &str) -> Result<StreamPath, Error> {
    StreamPath::parse(value).map_err(|_| {
        Error::invalid(
            header::STREAM_FORKED_FROM,
            "must be the URL path of a stream, as /v1/stream/<path>",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rest: &str) -> StreamPath {
        StreamPath::parse(&format!("/v1/stream/{rest}")).unwrap()
    }

    #[test]
    fn the_first_segment_decides() {
        assert!(same_project(&path("a/x"), &path("a/y/z")));
        assert!(same_project(&path("a/x"), &path("%61/x")));
        for other in ["b/x", "a", "aa/x", "A/x", "a%20/x"] {
            assert!(!same_project(&path("a/x"), &path(other)), "{other}");
        }
        assert!(!same_project(&path("a"), &path("a")));
    }

    #[test]
    fn a_source_is_a_path_that_cannot_hide_its_project() {
        assert_eq!(source("/v1/stream/a/x"), Ok(path("a/x")));
        for bad in [
            "",
            "a/x",
            "/a/x",
            "/v1/stream/b/../a/x",
            "/v1/stream/b/%2e%2e/a",
            "/v1/stream//a/x",
            "/v1/stream/a%2fx",
            "https://host/v1/stream/a/x",
        ] {
            assert!(matches!(source(bad), Err(Error::Invalid { .. })), "{bad}");
        }
    }
}
