//! What was looked up, for as long as it may be believed.

use std::collections::HashMap;

/// How long a cache believes what it holds, in milliseconds, and how much that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For something that was found.
    pub hit: u64,
    /// For something that was not there.
    pub miss: u64,
    /// The most entries of each of the two kinds.
    pub entries: usize,
}

/// Remembers the outcomes of look-ups by key. The time is passed in, in milliseconds since any
/// fixed instant.
///
/// Hits and misses have separate places, so that a flood of keys that do not exist cannot drive
/// out those that do.
#[derive(Debug)]
pub struct Cache<T> {
    limits: Limits,
    hits: HashMap<String, (T, u64)>,
    misses: HashMap<String, ((), u64)>,
}

impl<T: Clone> Cache<T> {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            hits: HashMap::new(),
            misses: HashMap::new(),
        }
    }

    /// What a look-up of `key` would bring, if that is known at `now`: something, or for
    /// `Some(None)` nothing.
    pub fn get(&self, key: &str, now: u64) -> Option<Option<T>> {
        let is_fresh = |since: u64, life: u64| {
            // A clock that went back makes nothing live longer.
            now.checked_sub(since).is_some_and(|age| age < life)
        };
        if let Some((value, since)) = self.hits.get(key)
            && is_fresh(*since, self.limits.hit)
        {
            return Some(Some(value.clone()));
        }
        let (_, since) = self.misses.get(key)?;
        is_fresh(*since, self.limits.miss).then_some(None)
    }

    /// Remembers what a look-up of `key` has brought at `now`.
    pub fn put(&mut self, key: &str, value: Option<T>, now: u64) {
        self.forget(key);
        let most = self.limits.entries;
        match value {
            Some(value) => insert(&mut self.hits, most, key, value, now),
            None => insert(&mut self.misses, most, key, (), now),
        }
    }

    /// Knows nothing of `key` any more.
    pub fn forget(&mut self, key: &str) {
        self.hits.remove(key);
        self.misses.remove(key);
    }
}

/// Makes room by taking out what is oldest.
fn insert<T>(entries: &mut HashMap<String, (T, u64)>, most: usize, key: &str, value: T, now: u64) {
    while entries.len() >= most.max(1) {
        let oldest = entries.iter().min_by_key(|(_, (_, since))| *since);
        let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
            break;
        };
        entries.remove(&oldest);
    }
    entries.insert(key.to_owned(), (value, now));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        hit: 30,
        miss: 5,
        entries: 3,
    };

    #[test]
    fn a_hit_lives_longer_than_a_miss() {
        let mut cache = Cache::new(LIMITS);
        cache.put("there", Some(1), 100);
        cache.put("absent", None, 100);
        assert_eq!(cache.get("there", 100), Some(Some(1)));
        assert_eq!(cache.get("absent", 104), Some(None));
        assert_eq!(cache.get("absent", 105), None);
        assert_eq!(cache.get("there", 129), Some(Some(1)));
        assert_eq!(cache.get("there", 130), None);
        assert_eq!(cache.get("there", 99), None, "the clock went back");
        assert_eq!(cache.get("other", 100), None);
    }

    #[test]
    fn the_last_look_up_counts() {
        let mut cache = Cache::new(LIMITS);
        cache.put("a", Some(1), 0);
        cache.put("a", None, 1);
        assert_eq!(cache.get("a", 1), Some(None));
        cache.put("a", Some(2), 2);
        assert_eq!(cache.get("a", 20), Some(Some(2)));
        cache.forget("a");
        assert_eq!(cache.get("a", 2), None);
    }

    #[test]
    fn a_flood_of_misses_leaves_the_hits_alone() {
        let mut cache = Cache::new(LIMITS);
        cache.put("a", Some(1), 0);
        for at in 0..1000 {
            cache.put(&format!("absent-{at}"), None, 1);
        }
        assert_eq!(cache.get("a", 1), Some(Some(1)));
        assert_eq!(cache.misses.len(), 3);
    }

    proptest! {
        #[test]
        fn it_stays_small_and_never_believes_for_too_long(
            steps in prop::collection::vec((0u8..8, prop::option::of(any::<u8>()), 0u64..20), 1..80)
        ) {
            let mut cache = Cache::new(LIMITS);
            let mut last: HashMap<String, (Option<u8>, u64)> = HashMap::new();
            let mut now = 0;
            for (key, value, pause) in steps {
                now += pause;
                let key = key.to_string();
                cache.put(&key, value, now);
                last.insert(key, (value, now));
                prop_assert!(cache.hits.len() <= 3 && cache.misses.len() <= 3);
                for (key, (value, since)) in &last {
                    let life = if value.is_some() { 30 } else { 5 };
                    if let Some(found) = cache.get(key, now) {
                        prop_assert_eq!(found, *value);
                        prop_assert!(now - since < life);
                    }
                }
            }
        }
    }
}
