//! A running server, here or on Cloudflare, as far as commands ask it for something.

mod address;
mod error;
mod known;
mod locate;
mod streams;
mod subscriptions;
mod tokens;

pub use address::url;
pub use error::Error;
pub use known::state;
pub use locate::{Found, account, locate};
pub use tokens::{Nobody, Tokens};

use anyhow::Result;
use locate::Located;
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    args::ServerFlags,
    http,
    project::Here,
    registry::Secret,
    stream::{self, Ask, Authorize, Client, Root},
    ui::Ui,
};

/// One root of a running server: a project's, or that of all streams.
#[derive(Debug)]
pub struct Server {
    client: Client,
    runtime: Runtime,
    url: String,
    project: Option<String>,
}

/// An answer of success.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its document; null without one.
    pub document: Value,
}

impl Server {
    /// The server that a command's options name, of the project in a folder.
    pub fn open(ui: &Ui, here: &Here, flags: &ServerFlags) -> Result<Self> {
        let Located {
            url,
            project,
            secret,
        } = locate(ui, here, flags)?;
        Self::new(ui, &url, project, secret)
    }

    /// The root of a project, or of all streams, at a URL; with a secret that signs tokens, where
    /// some are needed.
    pub fn new(
        ui: &Ui,
        url: &str,
        project: Option<String>,
        secret: Option<Secret>,
    ) -> Result<Self> {
        let root = Root::parse(url)?;
        let url = url.trim().trim_end_matches('/').to_owned();
        http::check_safe(&url)?;
        let root = match &project {
            Some(project) => root.below(project),
            None => root,
        };
        let who: Box<dyn Authorize> = match (&project, secret) {
            (Some(project), Some(secret)) => Box::new(Tokens::new(project.clone(), secret)),
            _ => Box::new(Nobody),
        };
        let client = Client::new(http::client(&url)?, root.clone(), who);
        Ok(Self {
            client: match ui.verbose() {
                true => client.observed(Box::new(move |method, url, status, took| {
                    http::trace(method, root.strip(url), status, took);
                })),
                false => client,
            },
            runtime: http::runtime()?,
            url,
            project,
        })
    }

    /// Which streams it is about, for a person.
    pub fn scope(&self) -> String {
        match &self.project {
            Some(project) => format!("project {project}"),
            None => "all streams".to_owned(),
        }
    }

    /// The project, if it is about one.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request below the root, such as `__ds/streams?limit=10`. It says who asks by a token, never in
    /// its path.
    fn ask(&self, method: Method, path: &str) -> Ask<'static> {
        self.client.ask_below(method, path)
    }

    /// Sends a request, and gives what it is answered.
    fn call(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let answer = self.run(self.client.fetch(ask))?;
        Ok(Answer {
            status: answer.status.as_u16(),
            document: serde_json::from_slice(&answer.body).unwrap_or_default(),
        })
    }

    /// Drives what a client does to its end, or until we are asked to end.
    fn run<T>(&self, work: impl Future<Output = Result<T, stream::Error>>) -> Result<T, Error> {
        let outcome = http::run(&self.runtime, work).map_err(|_| Error::Interrupted)?;
        outcome.map_err(|error| Error::of(error, &self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::global::Global, ui::Places};

    fn server(url: &str) -> Result<Server> {
        let global = Global {
            json: false,
            quiet: true,
            verbose: false,
            directory: None,
            environment: None,
        };
        let ui = Ui::new(&global, Places::default());
        Server::new(&ui, url, Some("shop".to_owned()), None)
    }

    #[test]
    fn a_server_is_named_by_its_url_or_by_that_of_its_streams() {
        for url in [
            "http://localhost:1",
            "http://localhost:1/",
            "http://localhost:1/v1/stream",
            "http://localhost:1/v1/stream/",
        ] {
            let ask = server(url).unwrap().ask(Method::GET, "__ds/x?limit=1");
            assert_eq!(
                ask.url, "http://localhost:1/v1/stream/shop/__ds/x?limit=1",
                "{url}"
            );
        }
    }

    #[test]
    fn what_a_url_says_in_secret_is_refused_and_not_repeated() {
        for url in [
            "http://me:hidden@localhost:1",
            "http://localhost:1/?token=hidden",
        ] {
            let error = format!("{:?}", server(url).unwrap_err());
            assert!(!error.contains("hidden"), "{error}");
        }
        server("http://x.example").unwrap_err();
    }
}
