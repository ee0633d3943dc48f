//! Which streams a fork may start from.

use crate::protocol::path::StreamPath;

/// Whether two streams are of one project: no fork leads from one project into another. A stream
/// outside of all projects has none in common with any.
pub fn same_project(a: &StreamPath, b: &StreamPath) -> bool {
    a.project().is_some() && a.project() == b.project()
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
}
