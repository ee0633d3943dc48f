//! Routes that pipe what a provider of events says into the stream that `path` names. `from` is the
//! provider's URL; `will`, in seconds, and `patience`, in milliseconds, are what they are for pipes.

use std::time::Duration;

use durable_streams_cloudflare::streams::{Pipe, Piped, Stream, StreamExt, Will, events};
use durable_streams_cloudflare::{Answer, Platform, Streams};
use serde_json::json;
use worker::{Context, Env, Fetch, Response, Result, Url, console_error};

/// `make` makes the stream alone, `start` answers before anything has come, and `wait` when all has.
pub async fn answer(verb: &str, url: &Url, env: &Env, ctx: &Context) -> Result<Answer> {
    let text = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let number = |name: &str, default| text(name).and_then(|it| it.parse().ok()).unwrap_or(default);
    let stream = Streams::new(env).stream(&text("path").unwrap_or_default())?;
    let will = Will::after(Duration::from_secs(number("will", 1000)));
    let pipe = Pipe::new()
        .patience(Duration::from_millis(number("patience", 60_000)))
        .will(will.message(&json!({ "error": "cut off" }))?);
    let made = match stream.create(pipe.create()).await {
        Ok(made) => made,
        Err(error) => return Ok(error.into()),
    };
    let pipe = pipe.behind(made.tail);
    let from = Url::parse(&text("from").unwrap_or_default());
    match verb {
        "make" => {}
        "start" => {
            let from = from?;
            ctx.wait_until(async move {
                match fill(&stream, pipe, from).await {
                    Ok(piped) => worker::console_log!("{piped:?}"),
                    Err(error) => console_error!("not piped: {error}"),
                }
            });
        }
        _ => {
            let piped = fill(&stream, pipe, from?).await?;
            let document = json!({
                "pieces": piped.pieces,
                "appends": piped.appends,
                "closed": piped.closed,
                "end": format!("{:?}", piped.end),
            });
            return Ok(Response::from_json(&document)?.into());
        }
    }
    Ok(Response::from_json(&json!({ "tail": made.tail.to_string() }))?.into())
}

async fn fill(stream: &Stream<Platform>, pipe: Pipe, from: Url) -> Result<Piped> {
    let said = events(Fetch::Url(from).send().await);
    let pieces = said.map(|event| event.map(|event| event.data.into_bytes()));
    Ok(stream.pipe(pieces, pipe).await?)
}
