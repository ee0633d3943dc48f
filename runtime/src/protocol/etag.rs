//! Entity tags (protocol section 10.1).

use super::offset::Offset;

/// The tag of what a read returned: which life of the stream, from where to where, and whether
/// it ended with the stream's closing.
pub fn compose(incarnation: &str, start: Offset, end: Offset, closed: bool) -> String {
    let closed = if closed { ":c" } else { "" };
    format!(
        "\"{incarnation}:{}:{}{closed}\"",
        start.position(),
        end.position()
    )
}

/// Whether an `If-None-Match` value names `etag`. Weak comparison, as RFC 9110 asks for reads.
pub fn matches(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|candidate| {
        candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_tag() {
        let at = |n| Offset::new(n).unwrap();
        let tag = compose("life", at(1), at(2), false);
        assert_eq!(tag, "\"life:1:2\"");
        for other in [
            compose("next", at(1), at(2), false),
            compose("life", at(0), at(2), false),
            compose("life", at(1), at(3), false),
            compose("life", at(1), at(2), true),
        ] {
            assert_ne!(tag, other);
            assert!(!matches(&other, &tag));
        }
    }

    #[test]
    fn if_none_match_takes_lists_and_weak_tags() {
        assert!(matches("\"a\"", "\"a\""));
        assert!(matches("\"b\", W/\"a\"", "\"a\""));
        assert!(matches("*", "\"a\""));
        assert!(!matches("a", "\"a\""));
        assert!(!matches("", "\"a\""));
    }
}
