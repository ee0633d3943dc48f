//! The buckets and KV namespaces of a project: looked up, then made or adopted.

use anyhow::{Context, Result};
use serde::Serialize;

use super::record::{Record, recorded};
use crate::{
    cloudflare::{Account, Bucket},
    error::problem,
    local,
    project::{Project, edit},
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
    /// wrangler.toml names it.
    #[serde(skip)]
    is_written: bool,
}

/// Looks for all of them. An id in wrangler.toml that the account does not have is refused: the
/// worker would be bound to nothing.
pub fn look(account: &Account, project: &Project) -> Result<Vec<Resource>> {
    let resources = look_whatever_is_there(account, project)?;
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
pub fn look_whatever_is_there(account: &Account, project: &Project) -> Result<Vec<Resource>> {
    let wrangler = &project.wrangler;
    let mut resources = Vec::new();
    for bucket in &wrangler.r2_buckets {
        let is_written = bucket.bucket_name.is_some();
        let default = || default_name(&project.name, &bucket.binding);
        let name = bucket.bucket_name.clone().unwrap_or_else(default);
        let mut resource = Resource {
            kind: Kind::Bucket,
            binding: bucket.binding.clone(),
            exists: false,
            name,
            id: None,
            jurisdiction: bucket.jurisdiction.clone(),
            created: false,
            is_written,
        };
        resource.exists = account.has_bucket(&resource.bucket())?;
        resources.push(resource);
    }
    if wrangler.kv_namespaces.is_empty() {
        return Ok(resources);
    }
    let all = account.namespaces()?;
    for namespace in &wrangler.kv_namespaces {
        let title = default_name(&project.name, &namespace.binding);
        let found = all.iter().find(|one| match &namespace.id {
            Some(id) => &one.id == id,
            None => one.title == title,
        });
        resources.push(Resource {
            kind: Kind::Namespace,
            binding: namespace.binding.clone(),
            name: found.map_or(title, |one| one.title.clone()),
            id: namespace
                .id
                .clone()
                .or_else(|| found.map(|one| one.id.clone())),
            jurisdiction: None,
            exists: found.is_some(),
            created: false,
            is_written: namespace.id.is_some(),
        });
    }
    Ok(resources)
}

/// The name wrangler chooses, too.
fn default_name(worker: &str, binding: &str) -> String {
    format!("{worker}-{}", binding.to_lowercase().replace('_', "-"))
}

impl Resource {
    /// What it is and what it is called.
    pub fn title(&self) -> String {
        match self.kind {
            Kind::Bucket => format!("R2 bucket {}", self.bucket()),
            Kind::Namespace => format!("KV namespace {}", self.name),
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
        }
        if self.is_written {
            return Ok(());
        }
        let manifest = project.manifest();
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
        let name = self.name.clone();
        let what = format!("Creating the {}", self.title());
        match self.kind {
            Kind::Bucket => {
                let bucket = self.bucket();
                record.note(|created| add(&mut created.buckets, &recorded(&bucket)))?;
                ui.step(&what, || Ok(account.create_bucket(&bucket, location)?))?;
            }
            Kind::Namespace => {
                record.note(|created| add(&mut created.namespaces, &name))?;
                let made = ui.step(&what, || Ok(account.create_namespace(&name)?))?;
                let namespace = match made {
                    Some(namespace) => namespace,
                    None => {
                        let mut all = account.namespaces()?.into_iter();
                        all.find(|one| one.title == name).ok_or_else(|| {
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
        self.exists = true;
        self.created = true;
        Ok(())
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|there| there == name) {
        names.push(name.to_owned());
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
