//! The buckets and KV namespaces of a project: looked up, then made or adopted.

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    bindings::Thing,
    record::{Created, MadeBucket, MadeNamespace, Mark, Record},
};
use crate::{
    cloudflare::{Account, Bucket, Namespace},
    error::problem,
    local,
    project::{Project, edit, wrangler},
    settings,
    ui::Ui,
};

/// What kind of storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// An R2 bucket.
    Bucket,
    /// A KV namespace.
    Namespace,
}

/// A bucket or namespace a project is bound to.
#[derive(Debug, Clone, Serialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// The name the worker knows it by.
    pub binding: String,
    /// Its name, or its title.
    pub name: String,
    /// The id of a namespace.
    pub id: Option<String>,
    /// Within which borders a bucket is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// It is there.
    pub exists: bool,
    /// This run made it.
    pub created: bool,
    /// It was there before, and was asked for by name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// wrangler.toml names it.
    #[serde(skip)]
    pub is_written: bool,
    /// When it was made, if it is a bucket and is there.
    #[serde(skip)]
    pub created_on: Option<String>,
}

/// Looks for all of them. An id in wrangler.toml that the account does not have is refused: the
/// worker would be bound to nothing.
pub fn look(account: &Account, project: &Project) -> Result<Vec<Resource>> {
    let resources = look_for_all(account, project)?;
    let lost = resources
        .iter()
        .find(|one| one.is_written && !one.exists && one.id.is_some());
    match lost {
        None => Ok(resources),
        Some(resource) => Err(problem(
            format!(
                "the account has no KV namespace {}, which wrangler.toml names for `{}`",
                resource.id.as_deref().unwrap_or_default(),
                resource.binding
            ),
            format!(
                "is {} the right account? To have a new namespace made, remove the line `id = …`",
                account.id
            ),
        )),
    }
}

/// Looks for all of them. One request looks for all namespaces, as the ids of missing ones are
/// unknown.
fn look_for_all(account: &Account, project: &Project) -> Result<Vec<Resource>> {
    let wrangler = &project.wrangler;
    let mut resources = Vec::new();
    for bound in &wrangler.r2_buckets {
        let bucket = bucket_of(project, bound);
        let found = account.find_bucket(&bucket)?;
        resources.push(Resource {
            kind: Kind::Bucket,
            binding: bound.binding.clone(),
            name: bucket.name,
            id: None,
            jurisdiction: bucket.jurisdiction,
            exists: found.is_some(),
            created: false,
            adopted: false,
            is_written: bound.bucket_name.is_some(),
            created_on: found.and_then(|found| found.creation_date),
        });
    }
    if wrangler.kv_namespaces.is_empty() {
        return Ok(resources);
    }
    let all = account.namespaces()?;
    for bound in &wrangler.kv_namespaces {
        let found = find_namespace(project, bound, &all);
        let title = || default_name(&project.name, &bound.binding);
        resources.push(Resource {
            kind: Kind::Namespace,
            binding: bound.binding.clone(),
            name: found.map_or_else(title, |one| one.title.clone()),
            id: bound.id.clone().or_else(|| found.map(|one| one.id.clone())),
            jurisdiction: None,
            exists: found.is_some(),
            created: false,
            adopted: false,
            is_written: bound.id.is_some(),
            created_on: None,
        });
    }
    Ok(resources)
}

/// The bucket that a binding is to: the one it names, or the one that is made for it.
pub fn bucket_of(project: &Project, bound: &wrangler::Bucket) -> Bucket {
    let default = || default_name(&project.name, &bound.binding);
    Bucket {
        name: bound.bucket_name.clone().unwrap_or_else(default),
        jurisdiction: bound.jurisdiction.clone(),
    }
}

/// Looks for the namespace that a binding is to: the one it names, or the one that is made for it.
pub fn find_namespace<'a>(
    project: &Project,
    bound: &wrangler::Namespace,
    all: &'a [Namespace],
) -> Option<&'a Namespace> {
    let title = default_name(&project.name, &bound.binding);
    all.iter().find(|one| match &bound.id {
        Some(id) => one.id == *id,
        None => one.title == title,
    })
}

/// The name wrangler chooses, too.
fn default_name(worker: &str, binding: &str) -> String {
    format!("{worker}-{}", binding.to_lowercase().replace('_', "-"))
}

impl Resource {
    /// It as a thing of the account. A namespace that is not there has no id.
    pub fn thing(&self) -> Thing {
        match self.kind {
            Kind::Bucket => Thing::Bucket(self.bucket()),
            Kind::Namespace => Thing::Namespace {
                id: self.id.clone().unwrap_or_default(),
                title: self.name.clone(),
            },
        }
    }

    /// What it is and what it is called.
    pub fn title(&self) -> String {
        self.thing().title()
    }

    /// Whether a record lists it, and not another of its name.
    pub fn is_listed(&self, created: &Created) -> bool {
        match self.kind {
            Kind::Bucket => created.has_bucket(&self.bucket(), &self.mark()),
            Kind::Namespace => created.namespace(&self.namespace()).is_some(),
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            id: None,
            created: self.created_on.clone(),
        }
    }

    fn namespace(&self) -> Namespace {
        Namespace {
            id: self.id.clone().unwrap_or_default(),
            title: self.name.clone(),
        }
    }

    /// Writes down that it is used by this project, with what is known of it by now.
    fn note(&self, record: &mut Record) -> Result<()> {
        let adopted = self.adopted;
        match self.kind {
            Kind::Bucket => record.note(|created| {
                let bucket = self.bucket();
                let adopted = created.bucket(&bucket).map_or(adopted, |one| one.adopted);
                created.put_bucket(MadeBucket::new(&bucket, self.created_on.as_ref(), adopted));
            }),
            Kind::Namespace => record.note(|created| {
                let there = created.namespace(&self.namespace());
                let adopted = there.map_or(adopted, |one| one.adopted);
                created.put_namespace(MadeNamespace {
                    title: self.name.clone(),
                    id: self.id.clone(),
                    adopted,
                });
            }),
        }
    }

    /// It as a bucket.
    pub fn bucket(&self) -> Bucket {
        Bucket {
            name: self.name.clone(),
            jurisdiction: self.jurisdiction.clone(),
        }
    }

    /// Whether a run of `provision` would change something.
    pub fn is_ready(&self) -> bool {
        self.exists && self.is_written
    }

    /// Makes it if it is missing, and writes it into wrangler.toml if it is not there.
    pub fn provide(
        &mut self,
        ui: &Ui,
        account: &Account,
        project: &mut Project,
        record: &mut Record,
    ) -> Result<()> {
        if !self.exists {
            let location = project.wrangler.word(settings::LOCATION_HINT);
            self.create(ui, account, location, record)?;
        } else if self.adopted || self.is_listed(record.created()) {
            self.note(record)?;
        }
        if self.is_written {
            return Ok(());
        }
        let manifest = project.manifest().clone();
        let wrangler = &mut project.wrangler;
        match self.kind {
            Kind::Bucket => {
                edit::set(
                    &manifest,
                    "r2_buckets",
                    &self.binding,
                    "bucket_name",
                    Some(&self.name),
                )?;
                let mut buckets = wrangler.r2_buckets.iter_mut();
                let found = buckets.find(|one| one.binding == self.binding);
                found.context("no such bucket")?.bucket_name = Some(self.name.clone());
            }
            Kind::Namespace => {
                let id = self.id.as_deref();
                edit::set(&manifest, "kv_namespaces", &self.binding, "id", id)?;
                let mut namespaces = wrangler.kv_namespaces.iter_mut();
                let found = namespaces.find(|one| one.binding == self.binding);
                found.context("no such namespace")?.id = self.id.clone();
            }
        }
        self.is_written = true;
        local::data::follow(ui, project);
        Ok(())
    }

    /// Makes it. That it is there by now is as good: a first try, of which we have not heard, or
    /// another run has made it.
    fn create(
        &mut self,
        ui: &Ui,
        account: &Account,
        location: Option<&str>,
        record: &mut Record,
    ) -> Result<()> {
        let what = format!("Creating the {}", self.title());
        self.note(record)?;
        match self.kind {
            Kind::Bucket => {
                let bucket = self.bucket();
                let made = ui.step(&what, || Ok(account.create_bucket(&bucket, location)?))?;
                let found = match made {
                    Some(made) => Some(made),
                    None => account.find_bucket(&bucket)?,
                };
                self.created_on = found.and_then(|found| found.creation_date);
            }
            Kind::Namespace => {
                let name = &self.name;
                let made = ui.step(&what, || Ok(account.create_namespace(name)?))?;
                let namespace = match made {
                    Some(namespace) => namespace,
                    None => {
                        let mut all = account.namespaces()?.into_iter();
                        all.find(|one| one.title == *name).ok_or_else(|| {
                            problem(
                                format!(
                                    "the KV namespace {name} exists, says Cloudflare, and is not \
                                     in its list"
                                ),
                                "the list may be a little behind: run this again",
                            )
                        })?
                    }
                };
                self.id = Some(namespace.id);
            }
        }
        self.note(record)?;
        self.exists = true;
        self.created = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_worker_and_the_binding() {
        assert_eq!(
            default_name("my-streams", "REGISTRY"),
            "my-streams-registry"
        );
        assert_eq!(default_name("a", "MY_KV"), "a-my-kv");
    }
}
