//! The agent for quick jobs: a receiver of webhooks.

use durable_streams_cloudflare::Platform;
use durable_streams_cloudflare::protocol::request::ReadFrom;
use durable_streams_cloudflare::streams::{Append, Error, Subscriptions};
use serde_json::json;
use worker::{Request, Response};

use crate::jobs::Job;
use crate::{App, Wrong};

/// A wake, which the server has signed: there are jobs to do. What fails here, or is not answered, comes
/// again, after a second, then two, up to a minute, for three days.
pub async fn receive(mut req: Request, app: &App) -> Result<Response, Wrong> {
    let signature = req.headers().get("Webhook-Signature")?;
    let body = req.bytes().await?;
    let subscriptions = app.subscriptions();
    let signature = signature.unwrap_or_default();
    let wake = subscriptions.received("quick", &signature, &body).await?;
    for job in wake.streams.iter().filter(|stream| stream.has_pending) {
        work(&subscriptions, &job.path, wake.generation).await?;
    }
    // All of it is worked off. Something that takes longer than half a minute belongs to the other agent.
    Ok(Response::from_json(&json!({ "done": true }))?)
}

/// Does a job. It may be done twice, by two that both believe that it is theirs, or after one has died
/// halfway: what is appended has numbers, and there is one of each. An attempt with a lower generation
/// than another one's is refused.
async fn work(
    subscriptions: &Subscriptions<Platform>,
    path: &str,
    generation: u64,
) -> Result<(), Error> {
    let jobs = subscriptions.stream(path)?.read(ReadFrom::Start).await;
    // It has expired, or was deleted: nobody wants it any more.
    let jobs = match jobs {
        Err(Error::NotFound | Error::Gone) => return Ok(()),
        jobs => jobs?.messages::<Job>()?,
    };
    let results = subscriptions.stream(&path.replacen("jobs/", "results/", 1))?;
    let mut producer = results.producer("agent", generation);
    for job in jobs {
        // Whatever your agent does comes here.
        let started = json!({ "type": "started", "attempt": generation });
        let words = job.text.split_whitespace().count();
        let done = json!({ "type": "result", "text": format!("{words} words") });
        for append in [
            Append::message(&started)?,
            Append::message(&done)?.close(),
        ] {
            match producer.send(append).await {
                // An earlier attempt has got to the end, or a later one is at it.
                Err(Error::Closed { .. } | Error::StaleEpoch { .. }) => return Ok(()),
                Err(Error::NotFound | Error::Gone) => return Ok(()),
                outcome => outcome?,
            };
        }
    }
    Ok(())
}
