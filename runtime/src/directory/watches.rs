//! Subscriptions: which there are, and which streams they watch. Those of a root lie side by side, by
//! their names. Their patterns are held in memory, as each new stream is held against all of them.

use super::lives::{Kind, Verdict};
use super::records::{Records, text};
use super::span::Span;
use crate::protocol::ask::{OfSubscription, Watch};
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

/// The patterns of roots, by what the names of subscriptions start with. All of a root's are looked
/// at when a stream comes, so that a list is enough.
#[derive(Debug, Default)]
pub struct Patterns(Vec<(String, Vec<Watcher>)>);

/// A subscription with a pattern.
#[derive(Debug)]
struct Watcher {
    name: String,
    incarnation: String,
    pattern: Glob,
}

impl Patterns {
    /// The patterns of the root that a subscription is of, if they are known.
    fn around(&mut self, subscription: &str) -> Option<&mut Vec<Watcher>> {
        let mut all = self.0.iter_mut();
        all.find_map(|(place, patterns)| subscription.starts_with(&**place).then_some(patterns))
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
        if self.goes_on(&WATCH, name, life, pattern.as_deref(), &[])? != Verdict::News {
            return Ok(());
        }
        if let Some(patterns) = self.patterns.around(name) {
            patterns.retain(|watcher| watcher.name != *name);
            patterns.extend(glob.map(|pattern| Watcher {
                name: name.clone(),
                incarnation: life.incarnation.clone(),
                pattern,
            }));
        }
        Ok(())
    }

    /// Forgets a subscription that was deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn unwatch(&mut self, unwatch: &OfSubscription, now: u64) -> Result<(), Error> {
        let OfSubscription {
            subscription: name,
            life,
        } = unwatch;
        self.is_over(&WATCH, name, life, now, &[])?;
        if let Some(patterns) = self.patterns.around(name) {
            let is_it = |it: &Watcher| it.name == *name && it.incarnation == life.incarnation;
            patterns.retain(|watcher| !is_it(watcher));
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
            if self.patterns.around(&place).is_none() {
                let patterns = self.read_patterns(&place)?;
                if self.patterns.0.len() >= ROOTS {
                    self.patterns.0.clear();
                }
                self.patterns.0.push((place.clone(), patterns));
            }
            let patterns = self.patterns.around(&place).into_iter().flatten();
            let matching = patterns.filter(|watcher| watcher.pattern.matches(path));
            watchers.extend(matching.map(|watcher| watcher.name.clone()));
        }
        Ok(watchers)
    }

    fn read_patterns(&mut self, place: &str) -> Result<Vec<Watcher>, Error> {
        let columns = "name, incarnation, pattern";
        let found = self.within("watch", columns, &Span::of(place), usize::MAX, |row| {
            let pattern = row.text(2).map(Glob::parse)?;
            Some((text(row, 0), text(row, 1), pattern))
        })?;
        let known = found.into_iter().flatten();
        let known = known.map(|(name, incarnation, pattern)| {
            let pattern =
                pattern.map_err(|why| StorageError::Failed(format!("a pattern {why}")))?;
            Ok(Watcher {
                name,
                incarnation,
                pattern,
            })
        });
        known.collect()
    }
}

/// The roots that a stream is below: that of all, unless it is of an era, and that of its project.
pub(super) fn roots_of(stream: &str) -> impl Iterator<Item = Root> {
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
