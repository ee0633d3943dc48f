use durable_streams_cloudflare::protocol::path::split_url;
use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker};
use worker::web_sys::Request;
use worker::{Context, Env, Response, Result, event};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
    if split_url(&req.url()).0 == "/health" {
        return Ok(Response::ok("well")?.into());
    }
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
}
