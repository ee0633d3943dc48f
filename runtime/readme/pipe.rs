use std::time::Duration;

use durable_streams_cloudflare::streams::{Pipe, StreamExt, Will, events};
use durable_streams_cloudflare::{Answer, Streams};
use serde_json::json;
use worker::{Context, Env, Fetch, Request, Response, Result, console_error};

/// Asks a provider that answers in events, and says at once where that is to be read.
async fn ask(question: Request, env: &Env, ctx: &Context) -> Result<Answer> {
    let stream = Streams::new(env).stream("chat/42")?;
    let will = Will::after(Duration::from_secs(75)).message(&json!({ "error": "cut off" }))?;
    let pipe = Pipe::new().will(will);
    let created = stream.create(pipe.create()).await?;
    ctx.wait_until(async move {
        let said = events(Fetch::Request(question).send().await);
        let messages = said.map(|event| event.map(|event| event.data.into_bytes()));
        let piped = stream.pipe(messages, pipe.behind(created.tail)).await;
        if let Err(error) = piped {
            console_error!("not piped: {error}");
        }
    });
    Ok(Response::ok("/v1/stream/chat/42")?.into())
}
