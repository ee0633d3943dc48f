//! Pages of all shards as one.

use std::collections::BTreeMap;

use crate::protocol::ask::Entry;

/// What pages are of.
pub trait Listable {
    /// What they are ordered by.
    fn key(&self) -> &str;
}

impl Listable for Entry {
    fn key(&self) -> &str {
        &self.path
    }
}

impl Listable for String {
    fn key(&self) -> &str {
        self
    }
}

/// The first `limit` of what all shards have, and behind what to go on if there are more. Each shard
/// has to be asked for one more than that. What several of them have is told once.
pub fn merge<T: Listable>(pages: Vec<Vec<T>>, limit: usize) -> (Vec<T>, Option<String>) {
    let all = pages.into_iter().flatten();
    let sorted: BTreeMap<String, T> = all.map(|one| (one.key().to_owned(), one)).collect();
    let is_more = sorted.len() > limit;
    let page: Vec<T> = sorted.into_values().take(limit).collect();
    let next = page.last().filter(|_| is_more);
    let next = next.map(|last| last.key().to_owned());
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn pages_joined_are_everything_once_in_order(
            shards in proptest::collection::vec(
                proptest::collection::btree_set("[ab\u{e9}]{1,3}", 0..20),
                1..5,
            ),
            limit in 1usize..8,
        ) {
            let mut joined: Vec<String> = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let pages = shards.iter().map(|shard| {
                    let rest = shard.iter().filter(|id| Some(*id) > after.as_ref());
                    rest.take(limit + 1).cloned().collect()
                });
                let (page, next) = merge(pages.collect(), limit);
                prop_assert!(page.len() == limit || next.is_none());
                joined.extend(page);
                match next {
                    Some(next) => {
                        prop_assert_eq!(Some(&next), joined.last());
                        after = Some(next);
                    }
                    None => break,
                }
            }
            let all: BTreeSet<String> = shards.into_iter().flatten().collect();
            prop_assert_eq!(joined, all.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_last_page_says_so() {
        let page = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let merged = merge(vec![page(&["a", "c"]), page(&["b"])], 3);
        assert_eq!(merged, (page(&["a", "b", "c"]), None));
        let merged = merge(vec![page(&["a", "c"]), page(&["b"])], 2);
        assert_eq!(merged, (page(&["a", "b"]), Some("b".to_owned())));
        assert_eq!(merge::<String>(Vec::new(), 2), (Vec::new(), None));
    }
}
