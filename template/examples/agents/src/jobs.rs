//! Jobs: how they are given, and how a page gets to see what becomes of them.

use std::time::Duration;

use durable_streams_cloudflare::Platform;
use durable_streams_cloudflare::streams::{Create, Error, Scope, Stream, Subscribe};
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{Request, Response};

use crate::{App, Wrong};

/// How long a job and its results are kept when nobody looks at them any more.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an agent may be silent before another one gets its job.
const LEASE: Duration = Duration::from_secs(10);
/// How long what a page is given opens the results: a URL may hold a token for 5 minutes at most.
const TOKEN: Duration = Duration::from_secs(300);

/// What a job's stream holds.
#[derive(Debug, Deserialize, Serialize)]
pub struct Job {
    /// What is to be worked on.
    pub text: String,
}

/// What becomes of a job.
fn results(app: &App, kind: &str, id: &str) -> Result<Stream<Platform>, Error> {
    let path = format!("{}/results/{kind}/{id}", app.project);
    app.streams.stream(&path)
}

/// `POST /jobs/<kind>` with a job gives its id, and where its results will be.
pub async fn submit(mut req: Request, app: &App, kind: &str) -> Result<Response, Wrong> {
    let Ok(job) = req.json::<Job>().await else {
        return Ok(Response::error("the body has to be {\"text\": \"…\"}", 400)?);
    };
    if !subscribe(app, kind).await? {
        return Ok(Response::error("a job is `quick` or `long`", 404)?);
    }
    let id = uuid::Uuid::new_v4().to_string();
    // The results first: whoever is told of the job finds them.
    results(app, kind, &id)?
        .create(Create::new().ttl(KEPT))
        .await?;
    let create = Create::new().ttl(KEPT).messages(&[job])?.closed();
    let stream = format!("{}/jobs/{kind}/{id}", app.project);
    app.streams.stream(&stream)?.create(create).await?;
    Ok(told(app, kind, &id).await?.with_status(201))
}

/// `GET /jobs/<kind>/<id>` gives the same, with a token that goes on.
pub async fn follow(app: &App, kind: &str, id: &str) -> Result<Response, Wrong> {
    results(app, kind, id)?.head().await?;
    told(app, kind, id).await
}

/// What a page needs to follow results: a URL for an `EventSource`, with a token for this stream alone.
/// The project's secret, which would open all of them, never leaves the worker.
async fn told(app: &App, kind: &str, id: &str) -> Result<Response, Wrong> {
    let results = results(app, kind, id)?;
    let token = results.token(Scope::Read, TOKEN).await?;
    let url = format!("/v1/stream/{}?live=sse&token={token}", results.path());
    Ok(Response::from_json(&json!({ "id": id, "url": url }))?)
}

/// Makes sure that somebody is woken by jobs of a kind, if it is one. Those that are there stay as they
/// are, which is two requests within the worker: one that gets many jobs does this when it is deployed.
async fn subscribe(app: &App, kind: &str) -> Result<bool, Error> {
    let wanted = match kind {
        "quick" => Subscribe::webhook(format!("{}/agent", app.origin)),
        "long" => {
            let wakes = app.streams.stream(&format!("{}/wakes", app.project))?;
            wakes.create(Create::new()).await?;
            Subscribe::pull_wake("wakes")
        }
        _ => return Ok(false),
    };
    let wanted = wanted.pattern(format!("jobs/{kind}/*")).lease(LEASE);
    match app.subscriptions().create(kind, &wanted).await {
        // The worker has two addresses, and is called back at the first one that was used.
        Err(Error::Refused { code, .. }) if code == "SUBSCRIPTION_ALREADY_EXISTS" => Ok(true),
        outcome => outcome.map(|_| true),
    }
}
