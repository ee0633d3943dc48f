use durable_streams_cloudflare::protocol::path::split_url;
use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker, Streams};
use worker::web_sys::Request;
use worker::{Context, Env, Result, ScheduleContext, ScheduledEvent, console_error, event};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
    if split_url(&req.url()).0 == "/latest" {
        let ticks = Streams::new(&env).stream("my-app/ticks")?;
        let page = ticks.read(ticks.head().await?.earliest).await?;
        return Ok(worker::Response::from_bytes(page.bytes)?.into());
    }
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
}

#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _ctx: ScheduleContext) {
    let append = async {
        let ticks = Streams::new(&env).stream("my-app/ticks")?;
        ticks.append(&event.cron()).await
    };
    if let Err(error) = append.await {
        console_error!("no tick: {error}");
    }
}
