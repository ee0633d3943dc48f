//! Names that lie side by side, in the order of their bytes, which is that of their characters, too.

use crate::stream::storage::Param;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first name that may be in it.
    pub from: String,
    /// The name behind which it starts, if it does: that one is not in it.
    pub after: String,
    /// The first name behind it; nothing if there is none.
    pub to: Option<String>,
}

impl Span {
    /// The names that start with this.
    pub fn of(prefix: &str) -> Self {
        Self {
            from: prefix.to_owned(),
            after: String::new(),
            to: behind(prefix),
        }
    }

    /// Those of them that come after a name.
    #[must_use]
    pub fn after(self, name: String) -> Self {
        Self {
            from: self.from.max(name.clone()),
            after: name,
            to: self.to,
        }
    }

    /// What is left of it without what is in another one: before that one, and behind it.
    pub fn without(self, other: &Self) -> impl Iterator<Item = Self> {
        let before = Self {
            to: Some(match self.to.clone() {
                Some(to) => to.min(other.from.clone()),
                None => other.from.clone(),
            }),
            ..self.clone()
        };
        let behind = other.to.clone().map(|to| Self {
            from: self.from.max(to),
            ..self
        });
        [Some(before), behind]
            .into_iter()
            .flatten()
            .filter(|span| span.to.as_ref().is_none_or(|to| span.from < *to))
    }

    /// The end, as a parameter. Every text comes before what is no text.
    pub fn end(&self) -> Param<'_> {
        match &self.to {
            Some(to) => Param::Text(to),
            None => Param::Blob(&[0]),
        }
    }
}

/// The first text behind all that start with `prefix`.
fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The last character of all has none behind it: then it is the one before it that counts.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn has(span: &Span, name: &str) -> bool {
        let is_before_end = span.to.as_ref().is_none_or(|to| name < to.as_str());
        name >= span.from.as_str() && name != span.after && is_before_end
    }

    /// Characters at all borders of their encoding, and a few that mean something elsewhere.
    fn any_text() -> impl Strategy<Value = String> {
        "[a%_'\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}"
    }

    proptest! {
        #[test]
        fn a_span_has_what_starts_so(prefix in any_text(), rest in any_text(), more in any_text()) {
            let span = Span::of(&prefix);
            // No name is empty.
            let name = format!("{rest}a");
            prop_assert_eq!(has(&span, &name), name.starts_with(&prefix));
            let longer = format!("{prefix}{more}x");
            prop_assert!(has(&span, &longer));
        }

        #[test]
        fn after_and_without_leave_the_rest(
            prefix in any_text(),
            after in any_text(),
            hole in any_text(),
            name in "[a%_'\u{10ffff}x]{1,5}",
        ) {
            let span = Span::of(&prefix).after(after.clone());
            let wanted = name.starts_with(&prefix) && name > after;
            prop_assert_eq!(has(&span, &name), wanted);
            let left: Vec<_> = span.without(&Span::of(&hole)).collect();
            let count = left.iter().filter(|span| has(span, &name)).count();
            prop_assert_eq!(count, usize::from(wanted && !name.starts_with(&hole)));
        }
    }
}
