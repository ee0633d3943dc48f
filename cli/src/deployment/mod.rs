//! A project on Cloudflare: what is there, what it takes to get there, and back.

mod access;
mod address;
mod at_once;
mod bindings;
mod compare;
mod consent;
mod difference;
mod emptying;
mod metadata;
mod ownership;
mod placement;
mod record;
mod removal;
mod rename;
mod resources;

pub use address::{Health, addresses, ask, wait_until_healthy};
pub use bindings::Thing;
pub use consent::{Consent, Rename};
pub use difference::Difference;
pub use emptying::empty;
pub use record::{Mark, Record, Worker};
pub use removal::Wanted;
pub use resources::{Kind, Resource};

use std::{fs, rc::Rc};

use anyhow::Result;
use serde_json::Value;

use self::rename::Renaming;
use crate::{
    cloudflare::{Account, Credentials, Module, Script, Settings, Upload},
    error::problem,
    project::{self, Here, Lock, Project, Work, wrangler::Wrangler},
    ui::Ui,
};

/// A project and its account.
#[derive(Debug)]
pub struct Deployment<'a> {
    /// Who is told.
    pub ui: &'a Ui,
    /// The project.
    pub project: Project,
    /// Its account.
    pub account: Rc<Account>,
    /// What the project has made there.
    pub record: Record,
    /// What was asked for by name, beyond that.
    pub consent: Consent,
    /// The worker is to write no data points, whatever wrangler.toml says.
    pub without_metrics: bool,
    /// Held while something is changed.
    lock: Option<Lock>,
}

/// What was found before anything was changed.
#[derive(Debug)]
pub struct Findings {
    /// The deployed worker.
    pub script: Option<Script>,
    /// What it is bound to.
    pub settings: Settings,
    /// The worker of an earlier name, and what becomes of it.
    pub renaming: Option<Renaming>,
    /// The migrations it lacks, as the API takes them.
    pub migrations: Option<Value>,
    /// Buckets and namespaces.
    pub resources: Vec<Resource>,
    /// The account's subdomain of workers.dev, when the worker is to be there.
    pub subdomain: Option<String>,
}

impl Findings {
    /// The worker of an earlier name whose streams are carried over.
    pub fn carried(&self) -> Option<&Renaming> {
        let renaming = self.renaming.as_ref();
        renaming.filter(|renaming| renaming.choice == Rename::CarryOver)
    }
}

impl<'a> Deployment<'a> {
    /// Opens the project in a folder to look at it, with credentials from the environment.
    pub fn open(ui: &'a Ui, here: &Here) -> Result<Self> {
        Self::with(ui, Project::open(here)?, Credentials::find()?)
    }

    /// The same with a project and credentials that are at hand.
    pub fn with(ui: &'a Ui, project: Project, credentials: Credentials) -> Result<Self> {
        let named = project.wrangler.account_id.as_deref();
        let account = Rc::new(Account::open(ui, credentials, named)?);
        let record = Record::load(&project, &account.id)?;
        Ok(Self {
            ui,
            project,
            account,
            record,
            consent: Consent::default(),
            without_metrics: false,
            lock: None,
        })
    }

    /// Waits until no other run on this machine changes the project's things, and keeps others
    /// waiting, who are told which command they wait for. Two machines cannot wait for each other:
    /// there, an upload is whole or not at all, and a migration names the tag it starts from.
    pub fn hold(&mut self, command: &str) -> Result<()> {
        self.lock = Some(Lock::wait(
            self.ui,
            &self.project,
            Work::Cloudflare,
            command,
        )?);
        self.read_again()
    }

    /// Reads the settings and the record once more: whoever was waited for may have written both.
    pub fn read_again(&mut self) -> Result<()> {
        self.project = self.project.reopened()?;
        self.record = Record::load(&self.project, &self.account.id)?;
        Ok(())
    }

    /// Everything that can be found out and checked before anything is built or changed. What a person
    /// has to decide is asked here.
    pub fn preflight(&mut self) -> Result<Findings> {
        self.check_settings()?;
        let scripts = self.account.scripts();
        let scripts = scripts.map_err(|error| self.all_obstacles(error.into()))?;
        let renaming = self.renaming(&scripts)?;
        if let Some(renaming) = &renaming
            && renaming.choice == Rename::KeepBoth
        {
            rename::separate(&mut self.project.wrangler, &renaming.settings);
        }
        let findings = self.look_among(scripts);
        let mut findings = findings.map_err(|error| self.all_obstacles(error))?;
        findings.renaming = renaming;
        self.check_owners(&mut findings)?;
        self.check_placement(&findings)?;
        findings.migrations = self.expected_migrations(&findings)?;
        if findings.subdomain.is_none() && self.project.wrangler.on_workers_dev() {
            return Err(self.no_subdomain());
        }
        Ok(findings)
    }

    /// What is there, without judging it.
    pub fn look(&self) -> Result<Findings> {
        self.look_among(self.account.scripts()?)
    }

    fn look_among(&self, scripts: Vec<Script>) -> Result<Findings> {
        let name = &self.project.name;
        let script = scripts.into_iter().find(|script| script.id == *name);
        let settings = match script {
            Some(_) => self.account.settings(name)?,
            None => Settings::default(),
        };
        let subdomain = match self.project.wrangler.on_workers_dev() {
            true => self.account.subdomain()?,
            false => None,
        };
        Ok(Findings {
            script,
            settings,
            renaming: None,
            migrations: None,
            resources: resources::look(&self.account, &self.project)?,
            subdomain,
        })
    }

    /// The migrations the deployed worker lacks, as far as that is known before the build. It may be
    /// ahead of a `wrangler.toml` that was upgraded for an earlier deploy and not kept, as where each
    /// deploy is from a new checkout; then the same upgrade follows.
    fn expected_migrations(&self, findings: &Findings) -> Result<Option<Value>> {
        let missing = self.missing_migrations(findings);
        let (Err(_), Some(prospect)) = (&missing, self.project.prospect()?) else {
            return missing;
        };
        match missing_migrations(&prospect, findings) {
            Ok(_) => Ok(None),
            Err(_) => missing,
        }
    }

    /// The migrations the deployed worker lacks, as the API takes them.
    pub fn missing_migrations(&self, findings: &Findings) -> Result<Option<Value>> {
        missing_migrations(&self.project.wrangler, findings)
    }

    /// Refuses settings that would be lost, and names those that have no effect.
    fn check_settings(&self) -> Result<()> {
        let wrangler = &self.project.wrangler;
        let unknown = wrangler.not_deployable();
        if !unknown.is_empty() {
            return Err(problem(
                format!(
                    "wrangler.toml has settings that this program cannot deploy: `{}`",
                    unknown.join("`, `")
                ),
                "remove them, or deploy with `npx wrangler deploy`, which knows them",
            ));
        }
        self.project.check_environment(self.ui)?;
        let others = wrangler.environments();
        if self.project.environment.is_none() && !others.is_empty() {
            self.ui.warn(format!(
                "no environment was named, and so this is about the top level; `--env NAME` is about one \
                 of `{}`",
                others.join("`, `")
            ));
        }
        placement::check(wrangler)?;
        metadata::check_classes(wrangler)
    }

    /// Refuses to look for streams and their data in another jurisdiction than they are in.
    pub fn check_placement(&self, findings: &Findings) -> Result<()> {
        let wrangler = &self.project.wrangler;
        if findings.script.is_some() {
            placement::check_streams(wrangler, &findings.settings)?;
            let name = &self.project.name;
            placement::check_same_bucket(wrangler, name, &findings.settings, &self.consent)?;
        }
        placement::check_buckets(wrangler, &self.record.created().buckets)
    }

    fn no_subdomain(&self) -> anyhow::Error {
        problem(
            "the account has no workers.dev subdomain yet, and without one the worker has no URL",
            format!(
                "open {}/workers/onboarding once to register one, then run this again; or give the \
                 worker `routes` in wrangler.toml",
                self.account.dashboard()
            ),
        )
    }

    /// Makes the buckets and namespaces that are missing, and writes their names and ids into
    /// wrangler.toml.
    pub fn provision(&mut self, resources: &mut [Resource]) -> Result<()> {
        for resource in resources {
            resource.provide(self.ui, &self.account, &mut self.project, &mut self.record)?;
        }
        Ok(())
    }

    /// The worker as it is uploaded. The project has to be built and provisioned.
    pub fn upload(&self) -> Result<Upload> {
        let module = |name: &str, content_type| {
            let path = self.project.build_dir().join(name);
            let bytes = fs::read(&path).map_err(|error| {
                problem(
                    format!("cannot read {}: {error}", path.display()),
                    "build the project: leave --no-build out, or run `durable-streams build`",
                )
            })?;
            anyhow::Ok(Module {
                name: name.to_owned(),
                content_type,
                bytes,
            })
        };
        Ok(Upload {
            metadata: self.metadata(),
            modules: vec![
                module(project::SCRIPT, "application/javascript+module")?,
                module(project::WASM, "application/wasm")?,
            ],
        })
    }

    /// The description of the worker that goes with an upload.
    fn metadata(&self) -> Value {
        let mut metadata = metadata::metadata(&self.project.wrangler);
        if let (true, Some(bindings)) = (self.without_metrics, metadata["bindings"].as_array_mut())
        {
            bindings.retain(|binding| binding["type"] != metadata::DATASET);
        }
        metadata
    }

    /// Whether what is deployed is what would be uploaded.
    pub fn is_deployed(&self, upload: &Upload, findings: &Findings) -> bool {
        findings.migrations.is_none()
            && self.has_same_code(upload, findings)
            && self.has_same_settings(&findings.settings)
    }

    /// Whether the deployed code is this: it has the digest of the last upload, and Cloudflare's
    /// etag is still that upload's, so that a change made elsewhere is noticed.
    pub fn has_same_code(&self, upload: &Upload, findings: &Findings) -> bool {
        let script = findings.script.as_ref();
        script.is_some_and(|script| self.record.uploaded.is(upload, script))
    }

    /// Whether the deployed worker has the settings of wrangler.toml.
    pub fn has_same_settings(&self, settings: &Settings) -> bool {
        self.differences(settings).is_empty()
    }

    /// Uploads the worker. Should somebody else have migrated it meanwhile, the migrations are
    /// worked out anew, once.
    pub fn put(&mut self, upload: &Upload, findings: &Findings) -> Result<()> {
        let name = self.project.name.clone();
        self.intend(findings)?;
        let mut sent = upload.clone();
        metadata::set_migrations(&mut sent.metadata, findings.migrations.as_ref());
        let uploaded = match self.account.upload(&name, &sent) {
            Err(error) if error.is_outdated_migration() && findings.migrations.is_some() => {
                let script = self.account.script(&name)?;
                if findings.script.is_none() && script.is_some() {
                    self.check_made_meanwhile()?;
                }
                let deployed = script
                    .as_ref()
                    .map(|script| script.migration_tag.as_deref());
                let migrations = metadata::migrations(&self.project.wrangler, deployed)?;
                if migrations == findings.migrations {
                    return Err(error.into());
                }
                metadata::set_migrations(&mut sent.metadata, migrations.as_ref());
                self.account.upload(&name, &sent)?
            }
            outcome => outcome?,
        };
        self.record.uploaded.note(upload, &uploaded)?;
        self.settle(&uploaded)?;
        if let Some(from) = findings.carried() {
            self.ui.note(format!(
                "{name} has taken over the streams of {0}, which stays without any: \
                 `durable-streams destroy --worker {0}` removes it",
                from.from.id
            ));
        }
        Ok(())
    }

    /// Sees to it that requests reach the worker; says whether that changed anything.
    pub fn expose(&mut self) -> Result<bool> {
        let on_workers_dev = self.expose_on_workers_dev()?;
        let routes = self.project.wrangler.all_routes();
        if self.record.uploaded.has_routes(&routes) {
            return Ok(on_workers_dev);
        }
        let name = &self.project.name;
        let (domains, patterns): (Vec<_>, Vec<_>) = routes
            .iter()
            .cloned()
            .partition(|route| route.custom_domain);
        // Like wrangler, this leaves what it finds where wrangler.toml says nothing.
        if !patterns.is_empty() {
            self.account.set_routes(name, &patterns)?;
        }
        if !domains.is_empty() {
            self.account.set_domains(name, &domains)?;
        }
        self.record.uploaded.note_routes(&routes)?;
        Ok(true)
    }

    fn expose_on_workers_dev(&self) -> Result<bool> {
        let is_so = match self.differences_in_serving() {
            Ok(differences) => differences.is_empty(),
            // To say it once more does no harm.
            Err(error) => {
                self.ui.warn(error.to_string());
                false
            }
        };
        if !is_so {
            let wrangler = &self.project.wrangler;
            let enabled = wrangler.on_workers_dev();
            let name = &self.project.name;
            self.account
                .set_workers_dev(name, enabled, wrangler.preview_urls)?;
        }
        Ok(!is_so)
    }
}

/// The migrations a worker lacks, with these settings: all of them, where it is not deployed, unless it
/// takes over another's classes.
fn missing_migrations(wrangler: &Wrangler, findings: &Findings) -> Result<Option<Value>> {
    match (&findings.script, &findings.renaming) {
        (Some(script), _) => metadata::migrations(wrangler, Some(script.migration_tag.as_deref())),
        (None, Some(renaming)) if renaming.choice == Rename::CarryOver => {
            rename::migrations(wrangler, &renaming.from, &renaming.settings)
        }
        (None, _) => metadata::migrations(wrangler, None),
    }
}
