//! A project on Cloudflare: what is there, what it takes to get there, and back.

mod address;
mod compare;
mod difference;
mod metadata;
mod placement;
mod record;
mod resources;

pub use address::{Health, addresses, ask, wait_until_healthy};
pub use difference::Difference;
pub use record::{Record, recorded};
pub use resources::{Kind, Resource};

use std::{fs, rc::Rc};

use anyhow::Result;
use serde_json::Value;

use crate::{
    cloudflare::{Account, Credentials, Module, Script, Settings, Upload},
    error::problem,
    project::{self, Here, Lock, Project, Work},
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
    /// The migrations it lacks, as the API takes them.
    pub migrations: Option<Value>,
    /// Buckets and namespaces.
    pub resources: Vec<Resource>,
    /// The account's subdomain of workers.dev, when the worker is to be there.
    pub subdomain: Option<String>,
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
        // The other run may have written both.
        self.project = self.project.reopened()?;
        self.record = Record::load(&self.project, &self.account.id)?;
        Ok(())
    }

    /// Everything that can be found out and checked before anything is built or changed.
    pub fn preflight(&self) -> Result<Findings> {
        self.check_settings()?;
        let mut findings = self.look()?;
        if findings.script.is_some() {
            self.check_owner(&findings.settings)?;
        }
        self.check_placement(&findings)?;
        findings.migrations = self.expected_migrations(&findings)?;
        if findings.subdomain.is_none() && self.project.wrangler.on_workers_dev() {
            return Err(self.no_subdomain());
        }
        Ok(findings)
    }

    /// What is there, without judging it.
    pub fn look(&self) -> Result<Findings> {
        let mut findings = self.look_at_worker()?;
        if self.project.wrangler.on_workers_dev() {
            findings.subdomain = self.account.subdomain()?;
        }
        findings.resources = resources::look(&self.account, &self.project)?;
        Ok(findings)
    }

    /// What is there, of a project that may be half gone.
    pub fn look_whatever_is_there(&self) -> Result<Findings> {
        let mut findings = self.look_at_worker()?;
        findings.resources = resources::look_whatever_is_there(&self.account, &self.project)?;
        Ok(findings)
    }

    fn look_at_worker(&self) -> Result<Findings> {
        let name = &self.project.name;
        let script = self.account.script(name)?;
        let settings = match script {
            Some(_) => self.account.settings(name)?,
            None => Settings::default(),
        };
        Ok(Findings {
            script,
            settings,
            migrations: None,
            resources: Vec::new(),
            subdomain: None,
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
        match metadata::migrations(&prospect, deployed_tag(findings)) {
            Ok(_) => Ok(None),
            Err(_) => missing,
        }
    }

    /// The migrations the deployed worker lacks, as the API takes them.
    pub fn missing_migrations(&self, findings: &Findings) -> Result<Option<Value>> {
        metadata::migrations(&self.project.wrangler, deployed_tag(findings))
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

    /// Refuses to put this worker in the place of one that has nothing to do with it.
    fn check_owner(&self, settings: &Settings) -> Result<()> {
        let classes: Vec<&str> = self.project.wrangler.own_classes().collect();
        if self.is_own(settings) || classes.is_empty() {
            return Ok(());
        }
        Err(problem(
            format!(
                "the account has another worker named {}: it has none of this project's classes ({})",
                self.project.name,
                classes.join(", ")
            ),
            "change `name` in wrangler.toml, or delete that worker in the dashboard",
        ))
    }

    /// Refuses to look for streams and their data in another jurisdiction than they are in.
    pub fn check_placement(&self, findings: &Findings) -> Result<()> {
        let wrangler = &self.project.wrangler;
        if findings.script.is_some() {
            placement::check_streams(wrangler, &findings.settings)?;
        }
        placement::check_buckets(wrangler, &self.record.created().buckets)
    }

    /// Whether the deployed worker is this project's: made by it, or with its classes.
    pub fn is_own(&self, settings: &Settings) -> bool {
        let is_made = self.record.created().worker.as_ref() == Some(&self.project.name);
        let classes: Vec<&str> = self.project.wrangler.own_classes().collect();
        let has_class = settings.bindings.iter().any(|binding| {
            let class = binding.get("class_name").and_then(Value::as_str);
            class.is_some_and(|class| classes.contains(&class))
        });
        is_made || has_class
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
            metadata: metadata::metadata(&self.project.wrangler),
            modules: vec![
                module(project::SCRIPT, "application/javascript+module")?,
                module(project::WASM, "application/wasm")?,
            ],
        })
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
        script.is_some_and(|script| self.record.is_last_upload(upload, script))
    }

    /// Whether the deployed worker has the settings of wrangler.toml.
    pub fn has_same_settings(&self, settings: &Settings) -> bool {
        self.differences(settings).is_empty()
    }

    /// Uploads the worker. Should somebody else have migrated it meanwhile, the migrations are
    /// worked out anew, once.
    pub fn put(&mut self, upload: &Upload, findings: &Findings) -> Result<()> {
        let name = self.project.name.clone();
        if findings.script.is_none() {
            self.record.forget_upload();
            self.record
                .note(|created| created.worker = Some(name.clone()))?;
        }
        let mut sent = upload.clone();
        metadata::set_migrations(&mut sent.metadata, findings.migrations.as_ref());
        let uploaded = match self.account.upload(&name, &sent) {
            Err(error) if error.is_outdated_migration() && findings.migrations.is_some() => {
                let script = self.account.script(&name)?;
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
        self.record.note_upload(upload, &uploaded)
    }

    /// Sees to it that requests reach the worker; says whether that changed anything.
    pub fn expose(&mut self) -> Result<bool> {
        let on_workers_dev = self.expose_on_workers_dev()?;
        let routes = self.project.wrangler.all_routes();
        if self.record.has_routes(&routes) {
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
        self.record.note_routes(&routes)?;
        Ok(true)
    }

    fn expose_on_workers_dev(&self) -> Result<bool> {
        let wrangler = &self.project.wrangler;
        let name = &self.project.name;
        let enabled = wrangler.on_workers_dev();
        let previews = wrangler.preview_urls;
        let is_so = match self.account.workers_dev(name) {
            Ok(found) => {
                found.enabled == enabled
                    && previews.is_none_or(|previews| previews == found.previews_enabled)
            }
            // To say it once more does no harm.
            Err(error) => {
                self.ui.warn(error.to_string());
                false
            }
        };
        if !is_so {
            self.account.set_workers_dev(name, enabled, previews)?;
        }
        Ok(!is_so)
    }
}

/// The last migration of the deployed worker, when there is one, and has one.
fn deployed_tag(findings: &Findings) -> Option<Option<&str>> {
    let script = findings.script.as_ref();
    script.map(|script| script.migration_tag.as_deref())
}
