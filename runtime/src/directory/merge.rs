//! Pages of all shards as one.

use std::collections::BTreeMap;

/// A page of a shard: each thing, by what it is ordered by.
pub type Page<T> = Vec<(String, T)>;

/// The first `limit` of what all shards have, and behind what to go on if there are more. Each shard
/// has to be asked for one more than that. What several of them have is told once.
pub fn merge<T>(pages: Vec<Page<T>>, limit: usize) -> (Vec<T>, Option<String>) {
    let mut sorted = BTreeMap::new();
    for (key, shown) in pages.into_iter().flatten() {
        sorted.insert(key, shown);
    }
    let is_more = sorted.len() > limit;
    let next = sorted.keys().take(limit).next_back().filter(|_| is_more);
    let next = next.cloned();
    (sorted.into_values().take(limit).collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
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
                    rest.take(limit + 1).map(|id| (id.clone(), id.as_str().into())).collect()
                });
                let (page, next) = merge(pages.collect(), limit);
                let page: Vec<String> = page.iter().map(|id: &Value| id.as_str().unwrap().into()).collect();
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
        let page = |ids: &[&str]| -> Page<Value> {
            let ids = ids.iter();
            ids.map(|id| ((*id).to_owned(), json!(id))).collect()
        };
        let merged = merge(vec![page(&["a", "c"]), page(&["b"])], 3);
        assert_eq!(merged, (vec![json!("a"), json!("b"), json!("c")], None));
        let merged = merge(vec![page(&["a", "c"]), page(&["b"])], 2);
        assert_eq!(merged, (vec![json!("a"), json!("b")], Some("b".to_owned())));
        assert_eq!(merge::<Value>(Vec::new(), 2), (Vec::new(), None));
    }
}
