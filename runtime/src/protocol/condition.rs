//! `If-Match` of a POST: an append that counts only if nobody was faster.
//!
//! The entity tag of a stream, as far as writers are concerned, is the offset of its tail in
//! quotes: what every answer gives as `Stream-Next-Offset`.

use super::error::Error;
use super::header;
use super::offset::Offset;

/// Where the tail has to be for a request to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `*`: anywhere, in a stream that exists.
    Anywhere,
    /// At one of these offsets; at none of them when there is none, which is what weak tags come
    /// to.
    At(Vec<Offset>),
}

impl Condition {
    /// Whether a stream with this tail is as the request wants it.
    pub fn holds(&self, tail: Offset) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(offsets) => offsets.contains(&tail),
        }
    }

    /// Reads the value of the header: `*`, or a list of entity tags (RFC 9110 sections 8.8.3 and
    /// 13.1.1). Comparison is strong, so weak tags are nobody's, whatever is in them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is none, and for a tag that is no offset.
    pub fn parse(value: &str) -> Result<Self, Error> {
        if value.trim() == "*" {
            return Ok(Self::Anywhere);
        }
        let malformed = || {
            let rule = "must be *, or offsets in double quotes, separated by commas, as \
                        \"0000000000000000_0000000000000000_0000\"";
            Error::invalid(header::IF_MATCH, rule)
        };
        let mut offsets = Vec::new();
        let mut found = false;
        let mut rest = Some(value);
        while let Some(text) = rest {
            let text = text.trim_start();
            // RFC 9110 section 5.6.1.2: elements of a list may be empty.
            if let Some(next) = text.strip_prefix(',') {
                rest = Some(next);
                continue;
            }
            if text.is_empty() {
                break;
            }
            let weak = text.strip_prefix("W/");
            let quoted = weak.unwrap_or(text).strip_prefix('"');
            let (tag, behind) = quoted
                .and_then(|q| q.split_once('"'))
                .ok_or_else(malformed)?;
            found = true;
            if weak.is_none() {
                offsets.push(tag.parse().map_err(|_| {
                    let rule = "must name offsets of this server, as Stream-Next-Offset has them, \
                                or *; entity tags of pages are none";
                    Error::invalid(header::IF_MATCH, rule)
                })?);
            }
            let behind = behind.trim_start();
            rest = match behind.strip_prefix(',') {
                Some(next) => Some(next),
                None if behind.is_empty() => None,
                None => return Err(malformed()),
            };
        }
        if !found {
            return Err(malformed());
        }
        Ok(Self::At(offsets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEVEN: &str = "0000000000000000_0000000000000007_0000";

    fn at(position: u64) -> Offset {
        Offset::new(position).unwrap()
    }

    fn holds(value: &str, tail: u64) -> Option<bool> {
        match Condition::parse(value) {
            Ok(condition) => Some(condition.holds(at(tail))),
            Err(Error::Invalid { field, .. }) => {
                assert_eq!(field, "If-Match");
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_tail_is_its_own_tag_in_either_spelling() {
        let old = "0000000000000000_0000000000000007";
        for tag in [SEVEN, old] {
            assert_eq!(holds(&format!("\"{tag}\""), 7), Some(true));
            assert_eq!(holds(&format!("\"{tag}\""), 8), Some(false));
            assert_eq!(holds(&format!("W/\"{tag}\""), 7), Some(false), "weak");
        }
        assert_eq!(holds(" * ", 7), Some(true));
    }

    #[test]
    fn any_of_a_list_will_do() {
        let three = "0000000000000000_0000000000000003_0000";
        let list = format!("\"{three}\", W/\"x, y\" ,, \"{SEVEN}\",");
        assert_eq!(holds(&list, 3), Some(true));
        assert_eq!(holds(&list, 7), Some(true));
        assert_eq!(holds(&list, 4), Some(false));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for value in [
            "",
            " ",
            ",",
            SEVEN,
            "\"",
            "\"\"",
            "\"7\"",
            "\"-1\"",
            "\"now\"",
            "\"*\"",
            "*, *",
            "W/",
            "w/\"x\"",
            &format!("\"{SEVEN}"),
            &format!("\"{SEVEN}\" \"{SEVEN}\""),
            &format!("\"{SEVEN}\"x"),
            &format!("\"{SEVEN}\", *"),
            "\"1234abcd-9:0:7\"",
        ] {
            assert_eq!(holds(value, 7), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn a_list_holds_where_one_of_it_is(
            positions in proptest::collection::vec(0u64..9, 1..5),
            weak in proptest::collection::vec(any::<bool>(), 5),
            tail in 0u64..9,
        ) {
            let tags = positions.iter().zip(&weak).map(|(position, weak)| {
                let weak = if *weak { "W/" } else { "" };
                format!("{weak}\"{}\"", at(*position))
            });
            let value = tags.collect::<Vec<_>>().join(", ");
            let expected = positions.iter().zip(&weak).any(|(p, weak)| *p == tail && !weak);
            prop_assert_eq!(holds(&value, tail), Some(expected));
        }

        #[test]
        fn nothing_breaks_it(value in "\\PC{0,40}|[*W/\", 0_]{0,50}") {
            let _ = Condition::parse(&value);
        }
    }
}
