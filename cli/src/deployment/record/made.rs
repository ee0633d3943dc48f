//! What a project has made in an account, with what tells each thing from another of the same name.

use serde::{Deserialize, Serialize};

use crate::cloudflare::{self, Script};

/// What tells a thing from another that has its name. What Cloudflare did not say is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// An id that no other thing ever has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was made, in Cloudflare's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

impl Mark {
    /// The mark of a deployed worker.
    pub fn of(script: &Script) -> Self {
        Self {
            id: script.tag.clone(),
            created: script.created_on.clone(),
        }
    }

    /// Whether both may be of one thing.
    pub fn fits(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(other)) => one == other,
            _ => match (&self.created, &other.created) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            },
        }
    }
}

/// A worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// What tells it from another of this name; empty until it is known to be there.
    #[serde(flatten)]
    pub mark: Mark,
    /// The classes of Durable Objects whose data is its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// It was there before, and was taken over as asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The worker of an earlier name whose classes its first upload takes over. Until then.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "takesOver")]
    pub takes_over: Option<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBucket {
    /// Its name.
    pub name: String,
    /// Within which borders it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// What tells it from another of this name; empty until it is known to be there.
    #[serde(flatten)]
    pub mark: Mark,
    /// It was there before, and is used as asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl MadeBucket {
    /// An entry for a bucket.
    pub fn new(bucket: &cloudflare::Bucket, created: Option<&String>, adopted: bool) -> Self {
        Self {
            name: bucket.name.clone(),
            jurisdiction: bucket.jurisdiction.clone(),
            mark: Mark {
                id: None,
                created: created.cloned(),
            },
            adopted,
        }
    }

    /// It as a bucket.
    pub fn bucket(&self) -> cloudflare::Bucket {
        cloudflare::Bucket {
            name: self.name.clone(),
            jurisdiction: self.jurisdiction.clone(),
        }
    }
}

/// A KV namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeNamespace {
    /// Its title.
    pub title: String,
    /// Its id; none until it is known to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// It was there before, and is used as asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl MadeNamespace {
    /// Whether a namespace of the account is this one.
    pub fn is(&self, namespace: &cloudflare::Namespace) -> bool {
        match &self.id {
            Some(id) => *id == namespace.id,
            None => self.title == namespace.title,
        }
    }
}

/// What one environment of a project has made in one account. An entry is written before the thing is
/// made, when it is known not to be there: whatever happens then, what is found later is the project's
/// own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Workers, in the order they were made: all but the last are of earlier names, or were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<Worker>,
    /// Buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<MadeBucket>,
    /// KV namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<MadeNamespace>,
}

impl Created {
    /// Nothing.
    pub const NOTHING: Self = Self {
        workers: Vec::new(),
        buckets: Vec::new(),
        namespaces: Vec::new(),
    };

    /// The entry of a worker.
    pub fn worker(&self, name: &str) -> Option<&Worker> {
        self.workers.iter().find(|one| one.name == name)
    }

    /// The entry of a bucket.
    pub fn bucket(&self, bucket: &cloudflare::Bucket) -> Option<&MadeBucket> {
        self.buckets.iter().find(|one| one.bucket() == *bucket)
    }

    /// The entry of a namespace.
    pub fn namespace(&self, namespace: &cloudflare::Namespace) -> Option<&MadeNamespace> {
        self.namespaces.iter().find(|one| one.is(namespace))
    }

    /// Whether it lists a deployed worker, and not another of its name.
    pub fn has_worker(&self, script: &Script) -> bool {
        let worker = self.worker(&script.id);
        worker.is_some_and(|worker| worker.mark.fits(&Mark::of(script)))
    }

    /// Whether it lists a bucket of this mark, and not another of its name.
    pub fn has_bucket(&self, bucket: &cloudflare::Bucket, mark: &Mark) -> bool {
        let made = self.bucket(bucket);
        made.is_some_and(|made| made.mark.fits(mark))
    }

    /// Writes the entry of a worker in the place of the one it has, or as the newest.
    pub fn put_worker(&mut self, worker: Worker) {
        put(&mut self.workers, worker, |one, other| {
            one.name == other.name
        });
    }

    /// The same for a bucket.
    pub fn put_bucket(&mut self, bucket: MadeBucket) {
        put(&mut self.buckets, bucket, |one, other| {
            one.bucket() == other.bucket()
        });
    }

    /// The same for a namespace: of an id, or of a title whose id is not known yet.
    pub fn put_namespace(&mut self, namespace: MadeNamespace) {
        put(&mut self.namespaces, namespace, |one, other| {
            match (&one.id, &other.id) {
                (Some(one), Some(other)) => one == other,
                _ => one.title == other.title,
            }
        });
    }
}

fn put<T>(entries: &mut Vec<T>, entry: T, is_same: impl Fn(&T, &T) -> bool) {
    match entries.iter_mut().find(|one| is_same(one, &entry)) {
        Some(there) => *there = entry,
        None => entries.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_unless_both_say_something_else() {
        let mark = |id: Option<&str>, created: Option<&str>| Mark {
            id: id.map(str::to_owned),
            created: created.map(str::to_owned),
        };
        let full = mark(Some("a"), Some("1"));
        for fitting in [
            mark(None, None),
            mark(Some("a"), None),
            mark(None, Some("1")),
            // An id says it all: Cloudflare may tell the time in another way one day.
            mark(Some("a"), Some("2")),
        ] {
            assert!(full.fits(&fitting) && fitting.fits(&full), "{fitting:?}");
        }
        for other in [mark(Some("b"), Some("1")), mark(None, Some("2"))] {
            assert!(!full.fits(&other) && !other.fits(&full), "{other:?}");
        }
    }

    #[test]
    fn an_entry_takes_the_place_of_its_own_alone() {
        let mut created = Created::default();
        let namespace = |title: &str, id: Option<&str>| MadeNamespace {
            title: title.to_owned(),
            id: id.map(str::to_owned),
            adopted: false,
        };
        created.put_namespace(namespace("t", None));
        created.put_namespace(namespace("t", Some("1")));
        // Renamed in the dashboard, and another of the old title.
        created.put_namespace(namespace("new", Some("1")));
        created.put_namespace(namespace("t", Some("2")));
        assert_eq!(
            created.namespaces,
            [namespace("new", Some("1")), namespace("t", Some("2"))]
        );
    }
}
