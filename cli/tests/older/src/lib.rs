use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker};
use worker::web_sys::Request;
use worker::{Context, Env, Result, event};

pub use durable_streams_cloudflare::StreamDO;

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
}
