//! A running server, here or on Cloudflare, as far as commands ask it for something.

mod address;
mod error;
mod known;
mod streams;
mod subscriptions;

pub use address::{local, remote};
pub use error::Error;
pub use streams::Page;

use std::{
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use known::Known;
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    args::{
        ServerFlags,
        values::{Auth, Scope},
    },
    auth,
    cloudflare::{Account, Credentials},
    error::problem,
    http::{self, TRIES, is_success, is_worth_another_try, reason, retry_after},
    project::{Here, Project},
    registry::{Place, Registry, Secret},
    stream::Root,
    token::{self, Claims},
    ui::Ui,
};

/// A creation waits ten seconds for what it links, and a page of a bucket takes a while.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long a token lasts. Each request has one of its own.
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// One root of a running server: a project's, or that of all streams.
pub struct Server {
    http: Client,
    runtime: Runtime,
    url: String,
    root: Root,
    project: Option<String>,
    secret: Option<Secret>,
    verbose: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// A request. It says who asks by a token, never in its path.
#[derive(Debug)]
pub struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
    /// It can be sent again when nobody knows what became of it.
    is_repeatable: bool,
}

impl Request {
    /// A request below the root, such as `__ds/streams?limit=10`.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            is_repeatable: true,
        }
    }

    /// The same, which is sent only once: to repeat it does it again.
    pub fn once(self) -> Self {
        Self {
            is_repeatable: false,
            ..self
        }
    }

    /// The same with a document.
    pub fn with(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }
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
        if !http::is_safe(&url) {
            return Err(problem(
                format!("`{url}` is no https URL"),
                "tokens would be sent there in the clear; only on this machine http will do",
            ));
        }
        Ok(Self {
            http: http::client(&url)?,
            runtime: http::runtime()?,
            url,
            root: match &project {
                Some(project) => root.below(project),
                None => root,
            },
            project,
            secret,
            verbose: ui.verbose(),
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

    /// Sends a request, and gives what it is answered.
    pub fn call(&self, request: &Request) -> Result<Answer, Error> {
        self.run(self.send(request))?
    }

    /// Drives requests to their end, or until we are asked to end.
    fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        http::run(&self.runtime, work).map_err(|_| Error::Interrupted)
    }

    /// Sends a request until there is an answer that is worth reading.
    async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let attempt = async || {
            let started = Instant::now();
            let outcome = self.attempt(request).await;
            self.trace(request, &outcome, started.elapsed());
            outcome
        };
        let again = |outcome: &Result<Answer, Error>| match outcome {
            Err(Error::Refused {
                status,
                retry_after,
                ..
            }) if is_worth_another_try(*status) && *status != 501 => Some(*retry_after),
            Err(Error::Unreachable { .. }) => Some(None),
            _ => None,
        };
        let tries = if request.is_repeatable { TRIES } else { 1 };
        http::repeat(tries, attempt, again).await
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Error> {
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            url: self.url.clone(),
            why: reason(&error),
        };
        let builder = self.build(request)?;
        let response = builder.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let pause = retry_after(response.headers());
        let body = response.bytes().await.map_err(unreachable)?;
        let document = serde_json::from_slice(&body).unwrap_or_default();
        match is_success(status) {
            true => Ok(Answer { status, document }),
            false => Err(Error::refused(status, &document, pause)),
        }
    }

    fn build(&self, request: &Request) -> Result<reqwest::RequestBuilder, Error> {
        let root = self.root.as_str();
        let method = request.method.clone();
        let mut builder = self
            .http
            .request(method, format!("{root}/{}", request.path))
            .timeout(REQUEST_LIMIT);
        if let Some(token) = self.token(&request.method)? {
            builder = builder.bearer_auth(token);
        }
        if let Some(body) = &request.body {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        Ok(builder)
    }

    /// A token that allows what a method does, and no more.
    fn token(&self, method: &Method) -> Result<Option<String>, Error> {
        let (Some(project), Some(secret)) = (&self.project, &self.secret) else {
            return Ok(None);
        };
        let scope = match *method {
            Method::GET => Scope::Read,
            _ => Scope::Write,
        };
        let mint = || {
            let claims = Claims {
                project: project.clone(),
                scope,
                expires_at: token::expiry(TOKEN_LIFETIME)?,
                stream: None,
            };
            token::mint(secret, &claims)
        };
        mint()
            .map(Some)
            .map_err(|error| Error::NoToken(error.to_string()))
    }

    /// Says what was sent and what came, if somebody wants to know.
    fn trace(&self, request: &Request, outcome: &Result<Answer, Error>, took: Duration) {
        let status = match outcome {
            Ok(answer) => Some(answer.status),
            Err(Error::Refused { status, .. }) => Some(*status),
            Err(_) => None,
        };
        if self.verbose {
            http::trace(&request.method, &request.path, status, took);
        }
    }
}

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

/// Finds the server that a command's options name, of the project in a folder.
pub fn locate(ui: &Ui, here: &Here, flags: &ServerFlags) -> Result<Located> {
    let project = Project::open(here)?;
    let account = match flags.place.remote {
        true => Some(account(ui, &project)?),
        false => None,
    };
    let url = match (&flags.url, &account) {
        (Some(url), _) => url.clone(),
        (None, None) => address::local(&project)?,
        (None, Some(account)) => address::remote(&project, account)?,
    };
    if auth::of(&project.root)? == Auth::None {
        return Ok(Located {
            url,
            project: flags.project.clone(),
            secret: None,
        });
    }
    let asked = flags.project.as_deref();
    let (name, secret) = match account {
        Some(account) => registered(Registry::remote(account, &project)?, &project, asked)?,
        None => match Known::find(&project, asked) {
            Some(known) => (known.project, known.secret),
            None => {
                let registry = Registry::open(ui, &project, Place::Local)?;
                let (name, secret) = registered(registry, &project, asked)?;
                Known::keep(&project, asked, &name, &secret);
                (name, secret)
            }
        },
    };
    Ok(Located {
        url,
        project: Some(name),
        secret: Some(secret),
    })
}

/// The project that is asked for, or else that of the worker's name, or the only one, with its secret.
fn registered(
    mut registry: Registry,
    project: &Project,
    asked: Option<&str>,
) -> Result<(String, Secret)> {
    let name = match asked {
        Some(name) => name.to_owned(),
        None => registry.usual(&project.name)?,
    };
    let secret = registry.get(&name)?.primary()?.clone();
    Ok((name, secret))
}

/// The account of a project, with credentials from the environment.
pub fn account(ui: &Ui, project: &Project) -> Result<Rc<Account>> {
    let named = project.wrangler.account_id.as_deref();
    Ok(Rc::new(Account::open(ui, Credentials::find()?, named)?))
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
            let request = Request::new(Method::GET, "__ds/x?limit=1");
            let request = server(url).unwrap().build(&request).unwrap();
            let sent = request.build().unwrap();
            assert_eq!(
                sent.url().as_str(),
                "http://localhost:1/v1/stream/shop/__ds/x?limit=1",
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
