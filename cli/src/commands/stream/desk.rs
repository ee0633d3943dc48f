//! What every command on streams works with: a client of the right server, and what drives it.

use std::env;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::who::Who;
use crate::{
    args::StreamFlags,
    error::problem,
    http,
    project::Here,
    server::{self, Nobody, Tokens},
    stream::{Authorize, Client, Error, Root},
    ui::Ui,
};

/// The variables that other programs for Durable Streams read, too.
const URL: &str = "STREAM_URL";
const AUTHORIZATION: &str = "STREAM_AUTH";

/// A client, and what drives it.
#[derive(Debug)]
pub struct Desk {
    /// Asks the server.
    pub client: Client,
    runtime: Runtime,
}

impl Desk {
    /// The server that the options name, or else the environment, or else the project of this folder.
    pub fn open(ui: &Ui, here: &Here, flags: &StreamFlags) -> Result<Self> {
        let (root, who) = find(ui, here, flags)?;
        Ok(Self {
            client: client(ui, root, who)?,
            runtime: http::runtime()?,
        })
    }

    /// The same, which does not give up soon: for work that takes long.
    pub fn patient(self) -> Self {
        Self {
            client: self.client.with_tries(8),
            ..self
        }
    }

    /// Drives something to its end, or until we are asked to end.
    pub fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        http::run(&self.runtime, work)?
    }
}

fn client(ui: &Ui, root: Root, who: Box<dyn Authorize>) -> Result<Client> {
    let client = Client::new(http::client(root.as_str())?, root, who);
    Ok(match ui.verbose() {
        true => client.observed(Box::new(http::trace)),
        false => client,
    })
}

/// Which server options and variables mean.
pub enum Meant {
    /// One that has this root, whoever runs it, and who asks it.
    Named(Root, Box<dyn Authorize + Send>),
    /// That of the project in this folder, and who asks it where an option says so.
    Ours(Option<Who>),
}

impl Meant {
    /// Reads them.
    pub fn read(ui: &Ui, flags: &StreamFlags) -> Result<Self> {
        let given = match &flags.token {
            Some(source) => Some(Who::read(ui, source)?),
            None => None,
        };
        let server = &flags.server;
        let is_ours = server.project.is_some() || server.place.remote || server.place.local;
        let named = match &server.url {
            Some(url) => Some(url.clone()),
            None if is_ours => None,
            None => variable(URL),
        };
        let Some(url) = named.filter(|_| !is_ours) else {
            return Ok(Self::Ours(given));
        };
        let root = Root::parse(&url)?;
        Ok(
            match given.or_else(|| variable(AUTHORIZATION).map(Who::value)) {
                Some(who) => {
                    http::check_safe(root.as_str())?;
                    Self::Named(root, Box::new(who))
                }
                None => Self::Named(root, Box::new(Nobody)),
            },
        )
    }
}

fn find(ui: &Ui, here: &Here, flags: &StreamFlags) -> Result<(Root, Box<dyn Authorize>)> {
    match Meant::read(ui, flags)? {
        Meant::Named(root, who) => Ok((root, who)),
        Meant::Ours(given) => ours(ui, here, flags, given),
    }
}

/// Refuses to look for a server from a folder that is in no project.
pub fn check_folder(here: &Here) -> Result<()> {
    match here.find()? {
        Some(_) => Ok(()),
        None => Err(problem(
            "no server is named, and this folder is in no project",
            format!(
                "name a server with --url or {URL}, as in --url http://localhost:4437, go to a project's \
                 folder, or name it with -C"
            ),
        )),
    }
}

/// The server of a project, with tokens that are made for each request.
fn ours(
    ui: &Ui,
    here: &Here,
    flags: &StreamFlags,
    given: Option<Who>,
) -> Result<(Root, Box<dyn Authorize>)> {
    check_folder(here)?;
    let found = server::locate(ui, here, &flags.server)?;
    let root = Root::parse(&found.url)?;
    let root = match &found.project {
        Some(project) => root.below(project),
        None => root,
    };
    let who: Box<dyn Authorize> = match (given, found.project, found.secret) {
        (Some(who), ..) => Box::new(who),
        (None, Some(project), Some(secret)) => Box::new(Tokens::new(project, secret)),
        (None, ..) => return Ok((root, Box::new(Nobody))),
    };
    http::check_safe(root.as_str())?;
    Ok((root, who))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Names the stream that an error is about.
pub trait About<T> {
    /// The same, with the stream before it.
    fn about(self, stream: &str) -> Result<T>;
}

impl<T> About<T> for Result<T, Error> {
    fn about(self, stream: &str) -> Result<T> {
        match self {
            // It says what is wrong with the name.
            Err(error @ Error::Invalid(_)) => Err(error.into()),
            outcome => outcome.with_context(|| stream.to_owned()),
        }
    }
}
