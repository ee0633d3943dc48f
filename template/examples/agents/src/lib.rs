//! Jobs come into streams, and wake agents that work them off: `quick` ones a webhook, which is this
//! worker itself, and `long` ones a program that may be anywhere, such as `agent.mjs`.
//!
//! A job is the stream `jobs/<kind>/<id>`, and what becomes of it `results/<kind>/<id>`.

mod agent;
mod jobs;

use durable_streams_cloudflare::streams::{Error, Subscriptions};
use durable_streams_cloudflare::{Answer, Platform, ProjectJwt, StreamWorker, Streams};
use worker::{Context, Env, Method, Request, Response, Result, Url, event, web_sys};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: web_sys::Request, env: Env, ctx: Context) -> Result<Answer> {
    let url = Url::parse(&req.url())?;
    let path: Vec<&str> = url.path().split('/').skip(1).collect();
    if !matches!(path[..], [""] | ["jobs", ..] | ["agent"]) {
        return StreamWorker::new()
            .auth(ProjectJwt)
            .fetch(req, env, ctx)
            .await;
    }
    let req = Request::from(req);
    let app = App::new(&env, &url)?;
    let answer = match (req.method(), &path[..]) {
        (Method::Get, [""]) => Ok(Response::from_html(include_str!("../page/index.html"))?),
        (Method::Post, ["agent"]) => agent::receive(req, &app).await,
        (Method::Post, ["jobs", kind]) if may(&req) => jobs::submit(req, &app, kind).await,
        (Method::Get, ["jobs", kind, id]) if may(&req) => jobs::follow(&app, kind, id).await,
        _ => Response::error("there is no such route", 404).map_err(Into::into),
    };
    Ok(match answer {
        Ok(response) => response.into(),
        Err(Wrong::Stream(error)) => error.into(),
        Err(Wrong::Worker(error)) => return Err(error),
    })
}

/// Who may give jobs and see what becomes of them: here everybody, because an example has no users.
/// Look at the session of yours instead.
fn may(_request: &Request) -> bool {
    true
}

/// The streams of this worker's project.
struct App {
    streams: Streams,
    project: String,
    /// As in `https://agents.example`.
    origin: String,
}

impl App {
    fn new(env: &Env, url: &Url) -> Result<Self> {
        let public_url = env.var("PUBLIC_URL").map(|url| url.to_string());
        let public_url = public_url.ok().filter(|url| !url.is_empty());
        Ok(Self {
            streams: Streams::new(env),
            project: env.var("PROJECT")?.to_string(),
            origin: public_url.unwrap_or_else(|| url.origin().ascii_serialization()),
        })
    }

    fn subscriptions(&self) -> Subscriptions<Platform> {
        self.streams.subscriptions(&self.project).at(&self.origin)
    }
}

/// What can go wrong with a request.
enum Wrong {
    /// A stream says no: what that means to a client is known.
    Stream(Error),
    /// All else.
    Worker(worker::Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Stream(error)
    }
}

impl From<worker::Error> for Wrong {
    fn from(error: worker::Error) -> Self {
        Self::Worker(error)
    }
}
