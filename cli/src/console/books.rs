//! What the registry says of projects, kept for a while: to open that of local runs takes seconds, and the
//! one at Cloudflare is far away.

use std::{
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;

use crate::{
    args::{ServerFlags, Usage, values::Auth},
    auth,
    cloudflare::Account,
    commands::usage,
    project::{Here, Project},
    registry::{Place, Record, Registry, Secret, check_name},
    server::{self, Found},
    stream::Root,
    ui::Ui,
};

/// For how long counts what was said at Cloudflare, or here where nothing seems to have changed.
const LIFETIME: Duration = Duration::from_secs(30);
const LOCAL_LIFETIME: Duration = Duration::from_secs(3600);

/// A server of a project of ours, and its registry. All it does may take seconds.
pub struct Books<'a> {
    ui: &'a Ui,
    here: Here,
    /// The project that somebody has named.
    asked: Option<String>,
    account: Option<Rc<Account>>,
    kept: Option<Kept>,
}

/// What is kept of the registry.
struct Kept {
    at: Instant,
    /// The state of its files, where it has some.
    state: Option<String>,
    names: Option<Vec<String>>,
    /// What is known of each; nothing where there is none. One that cannot be read says why.
    records: BTreeMap<String, Result<Option<Record>, String>>,
}

/// A project, as it is shown.
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Whether everyone reads; or why nobody knows.
    pub is_public: Result<bool, String>,
}

impl<'a> Books<'a> {
    /// Finds the server that options name, from a folder, and opens its books.
    pub fn open(ui: &'a Ui, here: &Here, flags: &ServerFlags) -> Result<(Self, Root)> {
        let found = Found::look(ui, here, flags)?;
        let books = Self {
            ui,
            here: here.clone(),
            asked: flags.project.clone(),
            account: found.account,
            kept: None,
        };
        Ok((books, Root::parse(&found.url)?))
    }

    /// The project that is shown at first, and which there are; nothing where streams belong to none.
    pub fn projects(&mut self) -> Result<(Option<String>, Option<Vec<String>>)> {
        let Some(project) = self.with_registry()? else {
            return Ok((self.asked.clone(), None));
        };
        if self.kept(&project).names.is_none() {
            self.read(&project, None)?;
        }
        let names = self.kept(&project).names.clone().unwrap_or_default();
        let chosen = self.asked.clone().or_else(|| {
            let of_worker = names.iter().find(|name| **name == project.name);
            of_worker.or(names.first()).cloned()
        });
        Ok((chosen, Some(names)))
    }

    /// All projects, as they are shown.
    pub fn list(&mut self) -> Result<Option<Vec<Shown>>> {
        let (_, Some(names)) = self.projects()? else {
            return Ok(None);
        };
        let mut shown = Vec::new();
        for name in names {
            let is_public = match self.find(&name) {
                Ok(Some(record)) => Ok(record.is_public),
                // It was deleted meanwhile.
                Ok(None) => continue,
                Err(error) => Err(format!("{error:#}")),
            };
            shown.push(Shown { name, is_public });
        }
        Ok(Some(shown))
    }

    /// A project, if it exists.
    pub fn find(&mut self, name: &str) -> Result<Option<Record>> {
        check_name(name)?;
        let project = Project::open(&self.here)?;
        if !self.kept(&project).records.contains_key(name) {
            self.read(&project, Some(name))?;
        }
        match self.kept(&project).records.get(name) {
            None => Ok(None),
            Some(known) => known.clone().map_err(anyhow::Error::msg),
        }
    }

    /// What signs tokens for a project's streams; nothing where none are needed.
    pub fn signer(&mut self, name: &str) -> Result<Signer> {
        if self.with_registry()?.is_none() {
            return Ok(Signer::NotNeeded);
        }
        Ok(match self.find(name)? {
            Some(record) => Signer::Secret(record.primary()?.clone()),
            None => Signer::NoProject,
        })
    }

    /// Whether there is a registry, by which tokens can be made.
    pub fn can_make_tokens(&self) -> Result<bool> {
        Ok(self.with_registry()?.is_some())
    }

    /// Makes a project, and gives its secret.
    pub fn create(&mut self, name: &str) -> Result<Secret> {
        let record = Record::new(Secret::generate()?);
        self.change(|registry| registry.create(name, &record))?;
        Ok(record.primary()?.clone())
    }

    /// Deletes a project. What its streams hold stays stored until they expire.
    pub fn delete(&mut self, name: &str) -> Result<()> {
        self.change(|registry| registry.delete(name))
    }

    /// What the deployed worker was used for; nothing where it is another server.
    pub fn usage(&self, args: &Usage) -> Result<Option<Value>> {
        match self.account {
            None => Ok(None),
            Some(_) => usage(self.ui, &self.here, args).map(|(_, document)| Some(document)),
        }
    }

    /// The project in the folder, if its streams are used with tokens. What it says may change while this
    /// is there.
    fn with_registry(&self) -> Result<Option<Project>> {
        let project = Project::open(&self.here)?;
        Ok(match auth::of(&project.root)? {
            Auth::ProjectJwt => Some(project),
            Auth::None | Auth::Own => None,
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Registry) -> Result<()>) -> Result<()> {
        let project = Project::open(&self.here)?;
        self.kept = None;
        change(&mut self.registry(&project)?)
    }

    fn registry(&self, project: &Project) -> Result<Registry> {
        match &self.account {
            Some(account) => Registry::remote(Rc::clone(account), project),
            None => Registry::open(self.ui, project, Place::Local),
        }
    }

    /// What still counts of what is kept.
    fn kept(&mut self, project: &Project) -> &mut Kept {
        let state = match self.account {
            Some(_) => None,
            None => server::state(project),
        };
        let lifetime = match &state {
            Some(_) => LOCAL_LIFETIME,
            None => LIFETIME,
        };
        let counts = |kept: &Kept| kept.state == state && kept.at.elapsed() < lifetime;
        if !self.kept.as_ref().is_some_and(counts) {
            self.kept = None;
        }
        self.kept.get_or_insert_with(|| Kept {
            at: Instant::now(),
            state,
            names: None,
            records: BTreeMap::new(),
        })
    }

    /// Reads what is known of one project, or which there are. Here it is to open the registry that takes
    /// long, and then all is read.
    fn read(&mut self, project: &Project, name: Option<&str>) -> Result<()> {
        let mut registry = self.registry(project)?;
        let is_here = self.account.is_none();
        let names = match is_here || name.is_none() {
            true => Some(registry.names()?),
            false => None,
        };
        let all = names.iter().flatten().filter(|_| is_here);
        let wanted: Vec<String> = all.cloned().chain(name.map(str::to_owned)).collect();
        let records = wanted.into_iter().map(|name| {
            let found = registry.find(&name).map_err(|error| format!("{error:#}"));
            (name, found)
        });
        let records: Vec<_> = records.collect();
        let kept = self.kept(project);
        kept.names = names.or(kept.names.take());
        kept.records.extend(records);
        Ok(())
    }
}

/// Who signs tokens for a project's streams.
#[derive(Debug, Clone)]
pub enum Signer {
    /// Nobody: none are needed.
    NotNeeded,
    /// Whoever has this.
    Secret(Secret),
    /// Nobody: there is no such project.
    NoProject,
}
