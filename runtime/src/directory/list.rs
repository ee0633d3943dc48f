//! What there is below a root, page by page, in the order of the bytes of paths and ids.

use super::records::{Records, text, whole};
use super::span::Span;
use crate::protocol::ask::{Entry, Life, List, Listed, ListedSubscriptions};
use crate::protocol::error::Error;
use crate::protocol::path::RESERVED;
use crate::stream::storage::Storage;

/// How many are told of at once: the most that a page has, and the one behind it, which says that
/// there are more.
pub const MOST: usize = 1_001;

impl<S: Storage> Records<S> {
    /// The streams that are asked for. No more rows are read than are told of, and one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn list(&mut self, list: &List) -> Result<Listed, Error> {
        let place = list.root.prefix();
        let limit = list.limit.clamp(1, MOST);
        let mut streams = Vec::new();
        // What is reserved is nobody's stream: those of eras, which are below other roots.
        let reserved = Span::of(&format!("{place}{RESERVED}/"));
        for span in wanted(&place, list).without(&reserved) {
            let rest = limit.saturating_sub(streams.len());
            if rest == 0 {
                break;
            }
            let columns = "name, incarnation, born, type";
            streams.extend(self.within("stream", columns, &span, rest, |row| Entry {
                path: below(&place, &text(row, 0)),
                life: Life {
                    born: whole(row, 2),
                    incarnation: text(row, 1),
                },
                content_type: text(row, 3),
            })?);
        }
        Ok(Listed { streams })
    }

    /// The ids of the subscriptions that are asked for. One with a pattern is in every shard.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn subscriptions(&mut self, list: &List) -> Result<ListedSubscriptions, Error> {
        let place = list.root.subscription("");
        let limit = list.limit.clamp(1, MOST);
        let span = wanted(&place, list);
        let ids = self.within("watch", "name", &span, limit, |row| {
            below(&place, &text(row, 0))
        })?;
        Ok(ListedSubscriptions { ids })
    }
}

fn wanted(place: &str, list: &List) -> Span {
    let span = Span::of(&format!("{place}{}", list.prefix));
    match &list.after {
        Some(after) => span.after(format!("{place}{after}")),
        None => span,
    }
}

fn below(place: &str, name: &str) -> String {
    name.strip_prefix(place).unwrap_or(name).to_owned()
}
