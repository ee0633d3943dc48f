//! Which streams there are.

use super::{Error, Streams};
use crate::auth::project::Registry;
use crate::edge::listing;
use crate::edge::ports::Ports;
use crate::protocol::error::Error as Refusal;
use crate::protocol::path::StreamPath;
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;

/// Which of the streams are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

impl List {
    /// Those whose path starts with `prefix`; where there are projects, that starts with one and a
    /// slash.
    pub fn of(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..Self::default()
        }
    }

    /// Those behind a path: that of the last stream of a page, or [`Listed::next`].
    #[must_use]
    pub fn after(mut self, path: impl Into<String>) -> Self {
        self.after = Some(path.into());
        self
    }

    /// How many at most, from 1 to 1000; 100 unless it is said.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// A page of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The streams, in the order of the bytes of their paths.
    pub streams: Vec<Entry>,
    /// What to go on [behind](List::after), if there are more.
    pub next: Option<String>,
}

/// A stream in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as [`Streams::stream`] takes it.
    pub path: String,
    /// Its media type.
    pub content_type: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
}

impl<P: Ports<Env: Registry>> Streams<P> {
    /// A page of the streams that there are. One that was made, or has ended, a moment ago may be
    /// missing, or still there. It asks each shard of the directory.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for what cannot be looked for, or where there is no directory;
    /// [`Error::Unavailable`].
    pub async fn list(&self, list: List) -> Result<Listed, Error> {
        let (project, prefix) = match list.prefix.split_once('/') {
            Some((project, rest)) if self.has_projects => (project, rest),
            _ => ("", &*list.prefix),
        };
        let root = self.root(project, "prefix").await?;
        let above = match root.project() {
            Some(project) => format!("{project}/"),
            None => String::new(),
        };
        let after = match &list.after {
            None => None,
            Some(after) => Some(after.strip_prefix(&above).ok_or_else(|| {
                Error::refused(
                    "after",
                    format!("must start with {above:?}, as the prefix does"),
                )
            })?),
        };
        let wanted = listing::Wanted::new(prefix, after, list.limit);
        let wanted = wanted.map_err(Refusal::from)?;
        let ports = &self.ports;
        let shards = self.shards()?;
        let (entries, next) = listing::entries(ports, shards, root, wanted).await?;
        let streams = entries.into_iter().map(|entry| Entry {
            path: format!("{above}{}", entry.path),
            content_type: entry.content_type,
            created_at: entry.life.born,
        });
        Ok(Listed {
            streams: streams.collect(),
            next: next.map(|next| format!("{above}{next}")),
        })
    }

    /// The root of a project, or of all streams if `project` is empty. Where there are projects, that
    /// would be nobody's.
    pub(super) async fn root(&self, project: &str, field: &'static str) -> Result<Root, Error> {
        if project.is_empty() {
            return match self.has_projects {
                true => Err(Error::refused(
                    field,
                    "must start with a project, as REGISTRY is bound: each stream belongs to one",
                )),
                false => Ok(Root::ALL),
            };
        }
        let path = StreamPath::of_decoded(project).map_err(Refusal::from)?;
        if path.in_project().is_some() {
            return Err(Error::refused(field, "must be a project, without a slash"));
        }
        let era = self.era_of(project).await?;
        Ok(Root::of_project(project).in_era(era))
    }

    /// How many shards the directory has.
    pub(super) fn shards(&self) -> Result<u32, Error> {
        let shards = self.ports.settings().shards?;
        shards.ok_or_else(|| Refusal::from(SubscriptionError::DirectoryOff).into())
    }
}
