//! Which server, which project and which secret the options of a command mean.

use std::rc::Rc;

use anyhow::Result;

use super::{address, known::Known};
use crate::{
    args::{ServerFlags, values::Auth},
    auth,
    cloudflare::{Account, Credentials},
    project::{Here, Project},
    registry::{Place, Registry, Secret},
    ui::Ui,
};

/// Where the streams of a project are, and what signs the tokens for them.
#[derive(Debug)]
pub struct Located {
    /// The server.
    pub url: String,
    /// The project; none where it is about all streams.
    pub project: Option<String>,
    /// Its secret, where tokens are needed.
    pub secret: Option<Secret>,
}

/// The server that a command's options name, of the project in a folder.
#[derive(Debug)]
pub struct Found {
    /// The project.
    pub project: Project,
    /// Where the server is.
    pub url: String,
    /// The account that it is in, where that is the deployed one.
    pub account: Option<Rc<Account>>,
}

impl Found {
    /// Looks for it.
    pub fn look(ui: &Ui, here: &Here, flags: &ServerFlags) -> Result<Self> {
        let project = Project::open(here)?;
        let account = match flags.place.remote {
            true => Some(account(ui, &project)?),
            false => None,
        };
        let url = address::url(&project, flags.url.as_deref(), account.as_deref())?;
        Ok(Self {
            project,
            url,
            account,
        })
    }
}

/// Finds the server that a command's options name, of the project in a folder.
pub fn locate(ui: &Ui, here: &Here, flags: &ServerFlags) -> Result<Located> {
    let Found {
        project,
        url,
        account,
    } = Found::look(ui, here, flags)?;
    if auth::of(&project.root)? != Auth::ProjectJwt {
        return Ok(Located {
            url,
            project: flags.project.clone(),
            secret: None,
        });
    }
    let asked = flags.project.as_deref();
    let (name, secret) = match account {
        Some(account) => Registry::remote(account, &project)?.signer(asked, &project.name)?,
        None => local_signer(ui, &project, asked)?,
    };
    Ok(Located {
        url,
        project: Some(name),
        secret: Some(secret),
    })
}

/// What the registry of local runs says, or has said last.
fn local_signer(ui: &Ui, project: &Project, asked: Option<&str>) -> Result<(String, Secret)> {
    if let Some(known) = Known::find(project, asked) {
        return Ok((known.project, known.secret));
    }
    let mut registry = Registry::open(ui, project, Place::Local)?;
    let (name, secret) = registry.signer(asked, &project.name)?;
    Known::keep(project, asked, &name, &secret);
    Ok((name, secret))
}

/// The account of a project, with the credentials that there are.
pub fn account(ui: &Ui, project: &Project) -> Result<Rc<Account>> {
    let named = project.wrangler.account_id.as_deref();
    Ok(Rc::new(Account::open(ui, Credentials::find()?, named)?))
}
