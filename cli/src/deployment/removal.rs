//! What a removal takes away and what it leaves: all that the record lists for this environment, also of
//! earlier names; and nothing else, unless it is asked for by name.

use std::fmt;

use anyhow::Result;

use super::{
    Deployment, Thing,
    bindings::{free, users},
    record::{Created, Mark},
    rename::{deployed, own_classes},
    resources::{bucket_of, find_namespace},
};
use crate::{
    cloudflare::{Bucket, Script},
    error::problem,
    project::edit,
};

/// Why something is left alone.
#[derive(Debug)]
enum Because {
    /// It was there before it was used.
    Before,
    /// The record does not list it.
    Unknown,
    /// Another environment has made it.
    Sibling(String),
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("it was there before this project used it"),
            Self::Unknown => f.write_str("this project has no record of making it"),
            Self::Sibling(environment) => {
                write!(f, "{environment} has made it, and removes it")
            }
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// This worker alone.
    pub worker: Option<&'a str>,
    /// No bucket and no namespace.
    pub keep_data: bool,
    /// Nothing is asked.
    pub yes: bool,
}

/// What goes and what stays.
#[derive(Debug, Default)]
pub struct Removal {
    /// What goes, workers first.
    pub things: Vec<Thing>,
    /// What is lost with it.
    pub losses: Vec<String>,
    /// What stays, and why.
    pub kept: Vec<String>,
    /// What the record lists and is not there any more.
    gone: Vec<Thing>,
    /// What was looked at, by name.
    seen: Vec<String>,
}

impl Deployment<'_> {
    /// Finds out what goes and what stays.
    pub fn removal(&self, wanted: &Wanted) -> Result<Removal> {
        let scripts = self.account.scripts()?;
        let mut plan = Removal::default();
        self.plan_workers(&scripts, wanted, &mut plan)?;
        let mut storage = Removal::default();
        if wanted.worker.is_none() {
            self.plan_buckets(wanted, &mut storage)?;
            self.plan_namespaces(wanted, &mut storage)?;
        }
        if wanted.keep_data {
            let kept = storage.things.drain(..);
            let kept = kept.map(|thing| format!("{}: --keep-data", thing.title()));
            storage.kept.extend(kept);
        }
        plan.add(storage);
        self.check_names(&plan)?;
        if plan.things.is_empty() {
            return Ok(plan);
        }
        let names: Vec<String> = scripts.into_iter().map(|script| script.id).collect();
        let users = users(&self.account, &names)?;
        let (things, bound) = free(plan.things, &users);
        let bound = bound.into_iter().map(|(thing, user)| {
            format!(
                "{}: the worker {user} is bound to it; take that binding away, then run this again",
                thing.title()
            )
        });
        plan.kept.extend(bound);
        let classes = |name: &str| {
            let user = users.iter().find(|user| user.name == name);
            user.map_or_else(Vec::new, |user| own_classes(name, &user.settings))
        };
        plan.losses = things.iter().map(|thing| loss(thing, classes)).collect();
        plan.things = things;
        Ok(plan)
    }

    fn plan_workers(&self, scripts: &[Script], wanted: &Wanted, plan: &mut Removal) -> Result<()> {
        let created = self.record.created();
        if let Some(name) = wanted.worker
            && created.worker(name).is_none()
        {
            let listed: Vec<&str> = created
                .workers
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            return Err(problem(
                format!("this project has no record of making a worker {name}"),
                match listed.is_empty() {
                    true => "it has no record of any".to_owned(),
                    false => format!("it has made `{}`", listed.join("`, `")),
                },
            ));
        }
        let ours = created.workers.iter();
        for worker in ours.filter(|one| wanted.worker.is_none_or(|name| name == one.name)) {
            let thing = Thing::Worker(worker.name.clone());
            let is_there = deployed(worker, scripts).is_some();
            let why = worker.adopted.then_some(Because::Before);
            self.plan_thing(thing, is_there, why, wanted, plan)?;
        }
        let name = &self.project.name;
        let found = scripts.iter().find(|script| script.id == *name);
        if let Some(script) = found.filter(|script| !created.has_worker(script))
            && wanted.worker.is_none()
        {
            let why = self.unlisted(|created| created.has_worker(script));
            let thing = Thing::Worker(script.id.clone());
            self.plan_thing(thing, true, Some(why), wanted, plan)?;
        }
        Ok(())
    }

    fn plan_buckets(&self, wanted: &Wanted, plan: &mut Removal) -> Result<()> {
        let created = self.record.created();
        let bound = self.project.wrangler.r2_buckets.iter();
        let bound = bound.map(|one| bucket_of(&self.project, one));
        let listed = created.buckets.iter().map(|made| made.bucket());
        let mut buckets: Vec<Bucket> = Vec::new();
        for bucket in listed.chain(bound) {
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        for bucket in buckets {
            let found = self.account.find_bucket(&bucket)?;
            let made = created.bucket(&bucket);
            let mark = Mark {
                id: None,
                created: found.as_ref().and_then(|found| found.creation_date.clone()),
            };
            let is_made = made.is_some_and(|made| found.is_none() || made.mark.fits(&mark));
            let unlisted = self.unlisted(|created| created.has_bucket(&bucket, &mark));
            let thing = Thing::Bucket(bucket);
            if let Some(made) = made {
                let why = made.adopted.then_some(Because::Before);
                let is_there = found.is_some() && is_made;
                self.plan_thing(thing.clone(), is_there, why, wanted, plan)?;
            }
            if found.is_some() && !is_made {
                self.plan_thing(thing, true, Some(unlisted), wanted, plan)?;
            }
        }
        Ok(())
    }

    fn plan_namespaces(&self, wanted: &Wanted, plan: &mut Removal) -> Result<()> {
        let created = self.record.created();
        let bound = &self.project.wrangler.kv_namespaces;
        if created.namespaces.is_empty() && bound.is_empty() {
            return Ok(());
        }
        let all = self.account.namespaces()?;
        for made in &created.namespaces {
            let found = all.iter().find(|one| made.is(one));
            let thing = Thing::Namespace {
                id: found.map_or_else(
                    || made.id.clone().unwrap_or_default(),
                    |found| found.id.clone(),
                ),
                title: found.map_or(&made.title, |found| &found.title).clone(),
            };
            let why = made.adopted.then_some(Because::Before);
            self.plan_thing(thing, found.is_some(), why, wanted, plan)?;
        }
        for namespace in bound {
            let found = find_namespace(&self.project, namespace, &all);
            if let Some(found) = found.filter(|found| created.namespace(found).is_none()) {
                let why = self.unlisted(|created| created.namespace(found).is_some());
                let thing = Thing::Namespace {
                    id: found.id.clone(),
                    title: found.title.clone(),
                };
                self.plan_thing(thing, true, Some(why), wanted, plan)?;
            }
        }
        Ok(())
    }

    /// Why what this environment does not list is left alone.
    fn unlisted(&self, lists: impl Fn(&Created) -> bool) -> Because {
        let mut others = self.record.of_others().into_iter();
        match others.find(|(_, created)| lists(created)) {
            Some((environment, _)) => Because::Sibling(environment),
            None => Because::Unknown,
        }
    }

    /// Takes a thing in, if it is there. One that is not this project's, for the reason given, is left
    /// alone unless it is asked for.
    fn plan_thing(
        &self,
        thing: Thing,
        is_there: bool,
        why: Option<Because>,
        wanted: &Wanted,
        plan: &mut Removal,
    ) -> Result<()> {
        let name = thing.name().to_owned();
        plan.seen.push(name.clone());
        if !is_there {
            plan.gone.push(thing);
            return Ok(());
        }
        let goes = match &why {
            None => true,
            Some(_) if self.consent.names(&name) => true,
            Some(why) if self.ui.can_ask() && !wanted.yes => {
                self.ui.warn(format!("{}: {why}", thing.title()));
                let question = format!("Type `{name}` to remove it too, nothing to leave it");
                self.ui.is_typed(&name, &question)?
            }
            Some(_) => false,
        };
        match (goes, why) {
            (false, Some(why)) => plan.kept.push(format!(
                "{}: {why}; with `--adopt {name}` it goes too",
                thing.title()
            )),
            _ => plan.things.push(thing),
        }
        Ok(())
    }

    /// Refuses a name that nothing here has.
    fn check_names(&self, plan: &Removal) -> Result<()> {
        let mut names = self.consent.adopt.iter();
        match names.find(|name| !plan.seen.contains(name)) {
            None => Ok(()),
            Some(name) => Err(problem(
                format!("--adopt {name}: neither the record nor wrangler.toml names such a thing"),
                format!("what they name: `{}`", plan.seen.join("`, `")),
            )),
        }
    }

    /// Forgets what is not there any more.
    pub fn forget_gone(&mut self, plan: &Removal) -> Result<()> {
        for thing in &plan.gone {
            self.forget(thing)?;
        }
        Ok(())
    }

    /// Forgets a thing that has been removed.
    pub fn forget(&mut self, thing: &Thing) -> Result<()> {
        if let Thing::Namespace { id, .. } = thing {
            self.unbind(id)?;
        }
        self.record.note(|created| match thing {
            Thing::Worker(name) => created.workers.retain(|one| one.name != *name),
            Thing::Bucket(bucket) => created.buckets.retain(|one| one.bucket() != *bucket),
            Thing::Namespace { id, title } => created.namespaces.retain(|one| match &one.id {
                Some(made) => made != id,
                None => one.title != *title,
            }),
        })
    }

    /// Takes the id of a namespace that is gone out of wrangler.toml: the next deploy makes a new one,
    /// which has another.
    fn unbind(&self, id: &str) -> Result<()> {
        let manifest = self.project.manifest();
        let bound = self.project.wrangler.kv_namespaces.iter();
        for namespace in bound.filter(|one| one.id.as_deref() == Some(id)) {
            edit::set(manifest, "kv_namespaces", &namespace.binding, "id", None)?;
        }
        Ok(())
    }
}

impl Removal {
    fn add(&mut self, other: Self) {
        self.things.extend(other.things);
        self.kept.extend(other.kept);
        self.gone.extend(other.gone);
        self.seen.extend(other.seen);
    }
}

/// What is lost with a thing. A worker has these classes.
fn loss(thing: &Thing, classes: impl Fn(&str) -> Vec<String>) -> String {
    let title = thing.title();
    match thing {
        Thing::Worker(name) if classes(name).is_empty() => format!("{title} and its URL"),
        Thing::Worker(_) => {
            format!("{title}, its URL, and what its Durable Objects hold: all streams' newest data")
        }
        Thing::Bucket(_) => format!("{title} with all its objects: the older data of streams"),
        Thing::Namespace { .. } => {
            format!("{title} with all its values: projects and their secrets")
        }
    }
}
