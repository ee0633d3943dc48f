//! Patterns over paths of streams (section 6.2): `*` is one segment, `**` any number of them, and
//! everything else is itself. There are no stars within segments; `%2A` is one that is itself.

/// The longest pattern, in bytes.
pub const MAX_BYTES: usize = 512;

/// The most segments that a pattern has.
pub const MAX_SEGMENTS: usize = 32;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    One,
    Any,
    Literal(String),
}

impl Glob {
    /// Reads a pattern. Slashes at its ends do not count.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_matches('/');
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(format!("must have 1 to {MAX_BYTES} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err("must hold no control characters".to_owned());
        }
        let mut segments = Vec::new();
        for segment in text.split('/') {
            segments.push(match segment {
                "*" => Segment::One,
                // Two of them in a row are no more than one.
                "**" if segments.last() == Some(&Segment::Any) => continue,
                "**" => Segment::Any,
                "" => return Err("must hold no empty segment (//)".to_owned()),
                _ if segment.contains('*') => {
                    return Err(format!(
                        "has the segment {segment:?}: a star is a whole segment (* or **), or %2A"
                    ));
                }
                _ => Segment::Literal(segment.replace("%2A", "*").replace("%2a", "*")),
            });
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("must have at most {MAX_SEGMENTS} segments"));
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The pattern as it was written, without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What all paths start with that match.
    pub fn literal_prefix(&self) -> String {
        let mut prefix = String::new();
        let mut segments = self.segments.iter().peekable();
        while let Some(Segment::Literal(segment)) = segments.next() {
            prefix.push_str(segment);
            match segments.peek() {
                // It may stand for nothing at all, the slash before it, too.
                None | Some(Segment::Any) => break,
                Some(_) => prefix.push('/'),
            }
        }
        prefix
    }

    /// Whether a path matches. It takes time in the length of the path times that of the pattern.
    pub fn matches(&self, path: &str) -> bool {
        // How much of the pattern what was read of the path can stand for: one flag for each of its
        // segments, and one for all of it.
        let mut at = vec![false; self.segments.len().saturating_add(1)];
        if let Some(start) = at.first_mut() {
            *start = true;
        }
        self.skip(&mut at);
        for segment in path.split('/') {
            let mut next = vec![false; at.len()];
            for (n, (wanted, is_here)) in self.segments.iter().zip(&at).enumerate() {
                let after = match wanted {
                    _ if !is_here => continue,
                    Segment::Any => n,
                    Segment::One => n.saturating_add(1),
                    Segment::Literal(literal) if literal == segment => n.saturating_add(1),
                    Segment::Literal(_) => continue,
                };
                if let Some(flag) = next.get_mut(after) {
                    *flag = true;
                }
            }
            self.skip(&mut next);
            at = next;
        }
        at.last().copied().unwrap_or(false)
    }

    /// What stands for any number of segments may stand for none.
    fn skip(&self, at: &mut [bool]) {
        for (n, segment) in self.segments.iter().enumerate() {
            if *segment == Segment::Any
                && at.get(n) == Some(&true)
                && let Some(flag) = at.get_mut(n.saturating_add(1))
            {
                *flag = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn stars_are_segments() {
        for (pattern, matching, others) in [
            (
                "events/*",
                &["events/a", "events/*"][..],
                &["events", "events/a/b", "a/events/a"][..],
            ),
            (
                "events/**",
                &["events", "events/a", "events/a/b"],
                &["event", "a/events"],
            ),
            ("**", &["a", "a/b/c"], &[]),
            ("*", &["a"], &["a/b"]),
            ("**/x", &["x", "a/x", "a/b/x"], &["x/a", "ax"]),
            (
                "a/**/b",
                &["a/b", "a/x/b", "a/x/y/b", "a/b/b"],
                &["a/x", "b", "a"],
            ),
            ("a/*/**", &["a/x", "a/x/y"], &["a"]),
            ("**/**/a", &["a", "b/c/a"], &["b"]),
            ("a.b/%2A/c", &["a.b/*/c"], &["a.b/x/c", "axb/*/c"]),
            ("/a/b/", &["a/b"], &["a"]),
        ] {
            for path in matching {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in others {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        let long = "a".repeat(MAX_BYTES + 1);
        let deep = vec!["a"; MAX_SEGMENTS + 1].join("/");
        for bad in ["", "/", "a*", "a/b*c", "***", "a//b", "a\nb", &long, &deep] {
            Glob::parse(bad).unwrap_err();
        }
        assert!(Glob::parse("x/a*").unwrap_err().contains("\"a*\""));
    }

    proptest! {
        #[test]
        fn whatever_matches_starts_as_it_must(
            pattern in "[ab*]{1,2}(/[ab*]{1,2}){0,4}",
            path in "[ab](/[ab]){0,5}",
        ) {
            if let Ok(glob) = Glob::parse(&pattern)
                && glob.matches(&path)
            {
                prop_assert!(path.starts_with(&glob.literal_prefix()));
            }
        }

        #[test]
        fn it_is_as_by_trying_everything(
            pattern in "([ab]|\\*|\\*\\*)(/([ab]|\\*|\\*\\*)){0,4}",
            path in "[ab](/[ab]){0,5}",
        ) {
            fn slow(pattern: &[&str], path: &[&str]) -> bool {
                match (pattern, path) {
                    ([], []) => true,
                    (["**", rest @ ..], _) => {
                        (0..=path.len()).any(|n| slow(rest, &path[n..]))
                    }
                    (["*", rest @ ..], [_, others @ ..]) => slow(rest, others),
                    ([literal, rest @ ..], [segment, others @ ..]) => {
                        literal == segment && slow(rest, others)
                    }
                    _ => false,
                }
            }
            let wanted: Vec<_> = pattern.split('/').collect();
            let segments: Vec<_> = path.split('/').collect();
            prop_assert_eq!(matches(&pattern, &path), slow(&wanted, &segments));
        }
    }
}
