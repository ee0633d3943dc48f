//! What becomes of a file that its user and the template have changed.

use std::{cmp::Ordering, collections::BTreeMap};

use diffy::{ConflictStyle, IncompleteHunkStyle, MergeOptions};

/// What begins a place that both have changed, as git writes it.
const BEGIN: &[u8] = b"<<<<<<< ";
const END: &[u8] = b">>>>>>> ";

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the template has not changed it, or its user has done just the same.
    Nothing,
    /// It has this content from now on, with so many places that both have changed.
    Content(Vec<u8>, usize),
    /// It goes: the template has dropped it, and nobody has touched it.
    Removed,
    /// Its user has removed it, and it stays away, though the template has changed it.
    StaysAway,
    /// The template has dropped it, and it stays, for its user has changed it.
    StaysHere,
}

impl Change {
    /// How many places both have changed.
    pub fn conflicts(&self) -> usize {
        match self {
            Self::Content(_, conflicts) => *conflicts,
            _ => 0,
        }
    }
}

/// Merges what a user and the template have made of the same base. What is not there is nothing.
pub fn merge(base: Option<&[u8]>, ours: Option<&[u8]>, theirs: Option<&[u8]>) -> Change {
    match (base, ours, theirs) {
        (_, None, None) | (None, Some(_), None) => Change::Nothing,
        (base, ours, theirs) if base == theirs || ours == theirs => Change::Nothing,
        (None, None, Some(theirs)) => Change::Content(theirs.to_owned(), 0),
        (Some(_), None, Some(_)) => Change::StaysAway,
        (Some(base), Some(ours), None) if base == ours => Change::Removed,
        (Some(_), Some(_), None) => Change::StaysHere,
        (base, Some(ours), Some(theirs)) => three_ways(base.unwrap_or_default(), ours, theirs),
    }
}

fn three_ways(base: &[u8], ours: &[u8], theirs: &[u8]) -> Change {
    let mut options = MergeOptions::new();
    options
        .set_conflict_style(ConflictStyle::Merge)
        .set_incomplete_hunk_style(IncompleteHunkStyle::Git);
    match options.merge_bytes(base, ours, theirs) {
        Ok(merged) if merged == ours => Change::Nothing,
        Ok(merged) => Change::Content(merged, 0),
        // The user's lines may stand right beside those of an upgrade that was cut short.
        Err(_) if is_done(base, ours, theirs) => Change::Nothing,
        Err(marked) => {
            let conflicts = lines_with(&marked, BEGIN).saturating_sub(lines_with(ours, BEGIN));
            Change::Content(marked, conflicts)
        }
    }
}

/// Whether all that the template has changed is there already.
fn is_done(base: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
    let [base, ours, theirs] = [base, ours, theirs].map(counted);
    let count = |lines: &BTreeMap<_, usize>, line| lines.get(line).copied().unwrap_or_default();
    base.keys().chain(theirs.keys()).all(|line| {
        let (new, here) = (count(&theirs, line), count(&ours, line));
        match new.cmp(&count(&base, line)) {
            Ordering::Greater => here >= new,
            Ordering::Less => here <= new,
            Ordering::Equal => true,
        }
    })
}

/// How often each line is there.
fn counted(text: &[u8]) -> BTreeMap<&[u8], usize> {
    let mut lines = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        *lines.entry(line).or_default() += 1;
    }
    lines
}

/// Whether a merge has left places in a file that nobody has decided on.
pub fn is_undecided(text: &[u8]) -> bool {
    lines_with(text, BEGIN) > 0 && lines_with(text, END) > 0
}

fn lines_with(text: &[u8], start: &[u8]) -> usize {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter(|line| line.starts_with(start)).count()
}

/// Whether the lines of a file end as on Windows.
pub fn has_returns(text: &[u8]) -> bool {
    let newlines = text.iter().filter(|byte| **byte == b'\n').count();
    let with_return = text.windows(2).filter(|pair| *pair == b"\r\n").count();
    with_return > 0 && with_return * 2 >= newlines
}

/// A text whose lines end as on Windows, with line ends of its own.
pub fn without_returns(text: &[u8]) -> Vec<u8> {
    let mut without = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte != b'\r' || bytes.peek() != Some(&&b'\n') {
            without.push(*byte);
        }
    }
    without
}

/// The other way round.
pub fn with_returns(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.join(&b"\r\n"[..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> (String, usize) {
        let bytes = |text: &str| Some(text.as_bytes().to_owned());
        let change = merge(
            bytes(base).as_deref(),
            bytes(ours).as_deref(),
            bytes(theirs).as_deref(),
        );
        match change {
            Change::Nothing => (ours.to_owned(), 0),
            Change::Content(text, conflicts) => (String::from_utf8(text).unwrap(), conflicts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_sides_count() {
        let base = "a\nb\nc\nd\ne\nf\n";
        let ours = "a\nB\nc\nd\ne\nf\n";
        let theirs = "a\nb\nc\nd\ne\nf\ng\n";
        assert_eq!(
            merged(base, ours, theirs),
            ("a\nB\nc\nd\ne\nf\ng\n".to_owned(), 0)
        );
    }

    #[test]
    fn what_was_merged_before_is_no_conflict_with_lines_beside_it() {
        let done = "a\nmine\nx\nc\n";
        assert_eq!(merged("a\nb\nc\n", done, "a\nx\nc\n"), (done.to_owned(), 0));
        for not_all in ["a\nmine\nb\nx\nc\n", "a\nmine\nc\n"] {
            assert_eq!(merged("a\nb\nc\n", not_all, "a\nx\nc\n").1, 1, "{not_all}");
        }
    }

    #[test]
    fn what_both_have_changed_is_shown_as_git_shows_it() {
        assert_eq!(
            merged("a\nb\nc\n", "a\nx\nc\n", "a\ny\nc\n"),
            (
                "a\n<<<<<<< ours\nx\n=======\ny\n>>>>>>> theirs\nc\n".to_owned(),
                1
            )
        );
        assert_eq!(
            merged("a\n", "x", "y\n").0,
            "<<<<<<< ours\nx\n=======\ny\n>>>>>>> theirs\n"
        );
    }

    #[test]
    fn files_come_go_and_stay() {
        let (a, b, c) = (Some(&b"a\n"[..]), Some(&b"b\n"[..]), Some(&b"c\n"[..]));
        for (base, ours, theirs, change) in [
            (None, None, a, Change::Content(b"a\n".to_vec(), 0)),
            (None, a, None, Change::Nothing),
            (None, a, a, Change::Nothing),
            (a, None, a, Change::Nothing),
            (a, None, b, Change::StaysAway),
            (a, None, None, Change::Nothing),
            (a, a, None, Change::Removed),
            (a, b, None, Change::StaysHere),
            (a, a, b, Change::Content(b"b\n".to_vec(), 0)),
            (a, b, b, Change::Nothing),
            (a, b, a, Change::Nothing),
        ] {
            assert_eq!(
                merge(base, ours, theirs),
                change,
                "{base:?} {ours:?} {theirs:?}"
            );
        }
        assert!(matches!(merge(None, a, b), Change::Content(_, 1)));
        assert!(matches!(merge(a, b, c), Change::Content(_, 1)));
    }

    #[test]
    fn line_ends_of_windows_are_told_and_come_back() {
        let text = b"a\r\nb\rc\r\n\r\nd";
        assert!(has_returns(text));
        assert_eq!(without_returns(text), b"a\nb\rc\n\nd");
        assert_eq!(with_returns(&without_returns(text)), text);
        for text in [&b""[..], b"a\n", b"a\r", b"a\nb\nc\r\n"] {
            assert!(!has_returns(text), "{text:?}");
        }
    }

    #[test]
    fn undecided_places_are_noticed() {
        let (text, _) = merged("a\n", "b\n", "c\n");
        assert!(is_undecided(text.as_bytes()));
        assert!(!is_undecided(b"a\n=======\n<<<<<<< \n"));
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-d]", 0..12).prop_map(|lines| {
            let lines = lines.iter().map(|line| format!("{line}\n"));
            lines.collect()
        })
    }

    proptest! {
        #[test]
        fn who_changes_alone_gets_what_was_changed(base in text(), new in text()) {
            prop_assert_eq!(merged(&base, &new, &base), (new.clone(), 0));
            prop_assert_eq!(merged(&base, &base, &new), (new.clone(), 0));
            prop_assert_eq!(merged(&base, &new, &new), (new.clone(), 0));
        }

        /// Lines that nobody else has are there, whatever the template has done.
        #[test]
        fn nothing_of_the_users_is_lost(base in text(), theirs in text(), at in 0_usize..12) {
            let mut lines: Vec<&str> = base.lines().collect();
            lines.insert(at.min(lines.len()), "mine");
            let ours: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let (result, _) = merged(&base, &ours, &theirs);
            prop_assert!(result.lines().any(|line| line == "mine"), "{result}");
        }
    }
}
