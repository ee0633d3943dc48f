//! Whose things are: what the record does not list is left alone unless it is asked for by name; and what
//! is made is written down.

use anyhow::Result;

use super::{Deployment, Findings, Kind, Mark, Resource, Worker, consent::ask_for, rename};
use crate::{
    cloudflare::{Script, Settings},
    error::problem,
};

/// Whose a deployed worker is, as far as the record says.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// This environment's of this project.
    Us,
    /// Nobody's that the record knows.
    Unknown,
    /// Of one that has the name of this environment's, which is gone.
    Successor,
    /// Another environment's of this project.
    Sibling(String),
}

impl Deployment<'_> {
    fn owner(&self, script: &Script) -> Owner {
        let created = self.record.created();
        if created.has_worker(script) {
            return Owner::Us;
        }
        if created.worker(&script.id).is_some() {
            return Owner::Successor;
        }
        let mut others = self.record.of_others().into_iter();
        match others.find(|(_, created)| created.has_worker(script)) {
            Some((environment, _)) => Owner::Sibling(environment),
            None => Owner::Unknown,
        }
    }

    /// Refuses to put this worker in the place of another's, and to use a bucket or a namespace that is
    /// not this project's, unless it is asked for by name.
    pub(super) fn check_owners(&self, findings: &mut Findings) -> Result<()> {
        if let Some(script) = &findings.script {
            self.check_worker(script, &findings.settings)?;
        }
        // Whoever may use the worker may use what it uses.
        let carried = findings.carried().map(|renaming| &renaming.settings);
        let users = [Some(&findings.settings), carried];
        let is_used = |resource: &Resource| {
            let thing = resource.thing();
            let mut users = users.iter().flatten();
            users.any(|settings| thing.is_used_by(settings))
        };
        let unused: Vec<bool> = findings
            .resources
            .iter()
            .map(|resource| resource.exists && !is_used(resource))
            .collect();
        for (resource, unused) in findings.resources.iter_mut().zip(unused) {
            if unused {
                self.check_resource(resource)?;
            }
        }
        Ok(())
    }

    fn check_worker(&self, script: &Script, settings: &Settings) -> Result<()> {
        let name = &script.id;
        let why = match self.owner(script) {
            Owner::Us => return Ok(()),
            Owner::Sibling(environment) => {
                format!("the worker {name} is that of {environment} of this project")
            }
            Owner::Successor => format!(
                "the worker {name} is not the one that this project has made: that one is gone, and \
                 another has its name"
            ),
            Owner::Unknown => {
                let classes = rename::own_classes(name, settings);
                let wanted: Vec<&str> = self.project.wrangler.own_classes().collect();
                let has_ours = classes.iter().any(|one| wanted.contains(&one.as_str()));
                let more = match has_ours {
                    true => "",
                    false => "; it has none of this project's classes",
                };
                format!(
                    "the account has another worker {name}, which this project has no record of \
                     making{more}"
                )
            }
        };
        ask_for(
            self.ui,
            &self.consent,
            name,
            &why,
            "a deploy would replace it",
            "change `name` in wrangler.toml, or look for the .durable-streams.json of the checkout \
             that made it",
        )
    }

    fn check_resource(&self, resource: &mut Resource) -> Result<()> {
        if resource.is_listed(self.record.created()) {
            return Ok(());
        }
        let others = self.record.of_others();
        let sibling = others
            .iter()
            .find(|(_, created)| resource.is_listed(created));
        if let Some((environment, _)) = sibling {
            self.ui.note(format!(
                "{} is shared with {environment}, which made it",
                resource.title()
            ));
            return Ok(());
        }
        // An id is no name that two projects have by chance.
        if resource.kind == Kind::Namespace && resource.is_written {
            return Ok(());
        }
        let key = match resource.kind {
            Kind::Bucket => "bucket_name",
            Kind::Namespace => "id",
        };
        ask_for(
            self.ui,
            &self.consent,
            &resource.name,
            &format!(
                "the account has the {} already, and this project has no record of making it",
                resource.title()
            ),
            "the worker would use it together with whoever made it",
            &format!(
                "set another `{key}` for {} in wrangler.toml",
                resource.binding
            ),
        )?;
        resource.adopted = true;
        Ok(())
    }

    /// Writes down what is used from now on that was there before, before anything is changed.
    pub fn claim(&mut self, findings: &Findings) -> Result<()> {
        let Some(script) = &findings.script else {
            return Ok(());
        };
        let is_ours = self.owner(script) == Owner::Us;
        let listed = self.record.created().worker(&script.id).cloned();
        let worker = match listed {
            Some(worker) if is_ours => Worker {
                mark: Mark::of(script),
                ..worker
            },
            _ => Worker {
                name: script.id.clone(),
                mark: Mark::of(script),
                classes: rename::own_classes(&script.id, &findings.settings),
                adopted: true,
                takes_over: None,
            },
        };
        self.record.note(|created| created.put_worker(worker))?;
        self.settle(script)
    }

    /// Writes down that a worker is about to be made.
    pub(super) fn intend(&mut self, findings: &Findings) -> Result<()> {
        if findings.script.is_some() {
            return Ok(());
        }
        let carried = findings.carried();
        let worker = Worker {
            name: self.project.name.clone(),
            takes_over: carried.map(|renaming| renaming.from.id.clone()),
            ..Worker::default()
        };
        self.record.uploaded.forget();
        self.record.note(|created| created.put_worker(worker))
    }

    /// Writes down what is known of the worker once it is there.
    pub(super) fn settle(&mut self, script: &Script) -> Result<()> {
        let mut mark = Mark::of(script);
        if mark == Mark::default() {
            let found = self.account.script(&script.id)?;
            mark = found.as_ref().map_or_else(Mark::default, Mark::of);
        }
        let wrangler = &self.project.wrangler;
        let mut classes: Vec<String> = wrangler.own_classes().map(str::to_owned).collect();
        classes.sort();
        classes.dedup();
        self.record.note(|created| {
            let Some(worker) = created.workers.iter_mut().find(|one| one.name == script.id) else {
                return;
            };
            worker.mark = mark;
            worker.classes = classes;
            let taken_over = worker.takes_over.take();
            for worker in &mut created.workers {
                if Some(&worker.name) == taken_over.as_ref() {
                    worker.classes.clear();
                }
            }
        })
    }

    /// Goes on when the worker that was made since we looked is what is uploaded: then its own first
    /// try has made it, or another run of the same project.
    pub(super) fn check_made_meanwhile(&mut self) -> Result<()> {
        let name = self.project.name.clone();
        let settings = self.account.settings(&name)?;
        if self.has_same_settings(&settings) || self.consent.names(&name) {
            return Ok(());
        }
        self.record
            .note(|created| created.workers.retain(|one| one.name != name))?;
        Err(problem(
            format!("somebody else has made a worker {name} while this was running"),
            "change `name` in wrangler.toml, or run this again to be asked about it",
        ))
    }
}
