//! Which of the objects that a source's index has left its forks may still read.
//!
//! A fork has what was in the index when it was made, before its fork point. So it is enough to
//! know the [generation](crate::stream::tier::generation) it was made in, and where the last
//! segment ended that it was given.

use std::collections::BTreeMap;

/// What a fork may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::stream) struct Extent {
    /// The generation of the index when the fork was made.
    pub generation: u64,
    /// The position after the last segment that the fork was given.
    pub until: u64,
}

/// An object that the index has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Retired {
    /// The first position in it.
    pub start: u64,
    /// The generation with which it came into the index, or an earlier one.
    pub born: u64,
    /// The generation with which it left; `None` when nobody knows.
    pub left: Option<u64>,
}

/// What all forks of a source may read, as far as their claims say: a number for each extent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::stream) struct Needs {
    /// How many there are of which nothing is known.
    unknown: u64,
    /// By generation and then by end.
    known: BTreeMap<u64, BTreeMap<u64, u64>>,
}

impl Needs {
    /// Counts some forks in; `None` for forks of which nothing is known.
    pub fn add(&mut self, extent: Option<Extent>, forks: u64) {
        let count = match extent {
            None => &mut self.unknown,
            Some(Extent { generation, until }) => {
                let ends = self.known.entry(generation).or_default();
                ends.entry(until).or_default()
            }
        };
        *count = count.saturating_add(forks);
    }

    /// Counts a fork out. Says whether anything may be needed no more.
    pub fn remove(&mut self, extent: Option<Extent>) -> bool {
        let Some(Extent { generation, until }) = extent else {
            self.unknown = self.unknown.saturating_sub(1);
            return self.unknown == 0;
        };
        let Some(ends) = self.known.get_mut(&generation) else {
            return false;
        };
        let before = ends.last_key_value().map(|(end, _)| *end);
        if let Some(count) = ends.get_mut(&until) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                ends.remove(&until);
            }
        }
        let after = ends.last_key_value().map(|(end, _)| *end);
        if after.is_none() {
            self.known.remove(&generation);
        }
        before != after
    }

    /// Whether a fork may read an object.
    pub fn include(&self, object: Retired) -> bool {
        let Retired { start, born, left } = object;
        let left = left.unwrap_or(u64::MAX);
        if left <= born {
            // It never was in the index.
            return false;
        }
        if self.unknown > 0 {
            return true;
        }
        // A fork of the generation with which an object leaves was not given it any more.
        let mut during = self.known.range(born..left);
        during.any(|(_, ends)| {
            ends.last_key_value()
                .is_some_and(|(until, _)| start < *until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retired(start: u64, born: u64, left: impl Into<Option<u64>>) -> Retired {
        Retired {
            start,
            born,
            left: left.into(),
        }
    }

    #[test]
    fn a_fork_needs_what_it_was_given() {
        let mut needs = Needs::default();
        assert!(!needs.include(retired(0, 0, None)), "there is no fork");
        let extent = Extent {
            generation: 3,
            until: 10,
        };
        needs.add(Some(extent), 1);
        assert!(needs.include(retired(9, 0, 4)));
        assert!(needs.include(retired(9, 3, 4)), "it came before the fork");
        assert!(!needs.include(retired(9, 4, 5)), "it came after the fork");
        assert!(!needs.include(retired(9, 0, 3)), "it left before the fork");
        assert!(
            !needs.include(retired(10, 0, 4)),
            "it is behind the fork point"
        );
        assert!(
            needs.include(retired(9, 0, None)),
            "nobody knows when it left"
        );
        needs.add(None, 1);
        assert!(
            needs.include(retired(10, 4, 5)),
            "nobody knows what it was given"
        );
        assert!(
            !needs.include(retired(9, 0, 0)),
            "it never was in the index"
        );
        assert!(needs.remove(None));
        assert!(!needs.include(retired(10, 4, 5)));
    }

    proptest! {
        /// Objects are needed exactly as long as there is a fork that was given them, and each
        /// time that may have changed, it is said.
        #[test]
        fn forks_come_and_go(
            ops in proptest::collection::vec((0usize..9, 0u64..4, 1u64..5), 1..40),
        ) {
            let mut needs = Needs::default();
            let mut forks: Vec<Option<Extent>> = Vec::new();
            let objects = || {
                let each = (0..5).flat_map(|start| (0..4).map(move |born| (start, born)));
                each.flat_map(|(start, born)| {
                    (born + 1..6).map(move |left| retired(start, born, left))
                })
            };
            for (at, generation, until) in ops {
                let before: Vec<_> = objects().map(|object| needs.include(object)).collect();
                if at < forks.len() {
                    let extent = forks.swap_remove(at);
                    let is_told = needs.remove(extent);
                    let after: Vec<_> = objects().map(|object| needs.include(object)).collect();
                    prop_assert!(is_told || before == after);
                } else {
                    let extent = (until < 4).then_some(Extent { generation, until });
                    needs.add(extent, 1);
                    forks.push(extent);
                }
                for object in objects() {
                    let is_given = |fork: &Option<Extent>| fork.is_none_or(|fork| {
                        let during = object.born..object.left.unwrap();
                        during.contains(&fork.generation) && object.start < fork.until
                    });
                    prop_assert_eq!(needs.include(object), forks.iter().any(is_given));
                }
            }
        }
    }
}
