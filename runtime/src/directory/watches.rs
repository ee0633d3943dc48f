//! Subscriptions: which there are, and which streams they watch. Those of a root lie side by side, by
//! their names. Their patterns are held in memory, as each new stream is held against all of them.

use std::collections::{BTreeMap, HashMap};

use super::lives::{Kind, Verdict};
use super::records::{Records, text};
use super::span::Span;
use crate::protocol::ask::{Unwatch, Watch};
use crate::protocol::error::Error;
use crate::protocol::glob::Glob;
use crate::protocol::path::{RESERVED, split_era};
use crate::protocol::root::Root;
use crate::stream::storage::{Storage, StorageError};

/// Patterns of so many roots are held in memory.
const ROOTS: usize = 1_000;

const WATCH: Kind = Kind {
    select: "SELECT incarnation, born, pattern FROM watch WHERE name = ?1 \
             UNION ALL SELECT NULL, at, NULL FROM gone WHERE name = ?1 AND incarnation = ?2",
    put: "INSERT INTO watch VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE \
          SET incarnation = ?2, born = ?3, pattern = ?4",
    delete: "DELETE FROM watch WHERE name = ?1 AND incarnation = ?2",
};

/// The patterns of roots, by what the names of subscriptions start with, and then by these names.
#[derive(Debug, Default)]
pub struct Patterns(HashMap<String, BTreeMap<String, Watcher>>);

/// A subscription with a pattern.
#[derive(Debug)]
struct Watcher {
    incarnation: String,
    pattern: Glob,
}

impl Patterns {
    /// The patterns of the root that a subscription is of, if they are known.
    fn around(&mut self, subscription: &str) -> Option<&mut BTreeMap<String, Watcher>> {
        let mut all = self.0.iter_mut();
        all.find_map(|(place, patterns)| subscription.starts_with(place).then_some(patterns))
    }
}

impl<S: Storage> Records<S> {
    /// Notes a subscription, and what it watches.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Storage`], [`Error::Newer`].
    pub fn watch(&mut self, watch: &Watch) -> Result<(), Error> {
        let Watch {
            subscription: name,
            life,
            root,
            pattern,
        } = watch;
        let place = root.subscription("");
        if !name.starts_with(&place) {
            let message = format!("must start with {place:?}, as those of its root do");
            return Err(Error::invalid("subscription", message));
        }
        let glob = pattern.as_deref().map(Glob::parse).transpose();
        let glob = glob.map_err(|message| Error::invalid("pattern", message))?;
        if self.goes_on(&WATCH, name, life, pattern.as_deref())? != Verdict::News {
            return Ok(());
        }
        if let Some(patterns) = self.patterns.0.get_mut(&place) {
            match glob {
                Some(pattern) => {
                    let incarnation = life.incarnation.clone();
                    let watcher = Watcher {
                        incarnation,
                        pattern,
                    };
                    patterns.insert(name.clone(), watcher);
                }
                None => drop(patterns.remove(name)),
            }
        }
        Ok(())
    }

    /// Forgets a subscription that was deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn unwatch(&mut self, unwatch: &Unwatch, now: u64) -> Result<(), Error> {
        let Unwatch {
            subscription: name,
            life,
        } = unwatch;
        self.is_over(&WATCH, name, life, now)?;
        if let Some(patterns) = self.patterns.around(name)
            && patterns
                .get(name)
                .is_some_and(|watcher| watcher.incarnation == life.incarnation)
        {
            patterns.remove(name);
        }
        Ok(())
    }

    /// The names of the subscriptions whose pattern a stream matches: those of the root of all, and
    /// those of the root of its project.
    pub(super) fn watchers_of(&mut self, stream: &str) -> Result<Vec<String>, Error> {
        let mut watchers = Vec::new();
        for root in roots_of(stream) {
            let Some(path) = root.path_of(stream) else {
                continue;
            };
            let place = root.subscription("");
            if !self.patterns.0.contains_key(&place) {
                let patterns = self.read_patterns(&place)?;
                if self.patterns.0.len() >= ROOTS {
                    self.patterns.0.clear();
                }
                self.patterns.0.insert(place.clone(), patterns);
            }
            let patterns = self.patterns.0.get(&place).into_iter().flatten();
            let matching = patterns.filter(|(_, watcher)| watcher.pattern.matches(path));
            watchers.extend(matching.map(|(name, _)| name.clone()));
        }
        Ok(watchers)
    }

    fn read_patterns(&mut self, place: &str) -> Result<BTreeMap<String, Watcher>, Error> {
        let columns = "name, incarnation, pattern";
        let found = self.within("watch", columns, &Span::of(place), usize::MAX, |row| {
            let pattern = row.text(2).map(Glob::parse)?;
            Some((text(row, 0), text(row, 1), pattern))
        })?;
        let known = found.into_iter().flatten();
        let known = known.map(|(name, incarnation, pattern)| {
            let pattern =
                pattern.map_err(|why| StorageError::Failed(format!("a pattern {why}")))?;
            let watcher = Watcher {
                incarnation,
                pattern,
            };
            Ok((name, watcher))
        });
        known.collect()
    }
}

/// The roots that a stream is below: that of all, unless it is of an era, and that of its project.
fn roots_of(stream: &str) -> impl Iterator<Item = Root> {
    let (era, path) = match stream.strip_prefix(RESERVED) {
        Some(rest) => split_era(rest),
        None => (None, stream),
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let project = path.split_once('/');
    let project = project.map(|(project, _)| Root::of_project(project).in_era(era));
    era.is_none()
        .then_some(Root::ALL)
        .into_iter()
        .chain(project)
}
