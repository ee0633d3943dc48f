use durable_streams_cloudflare::StreamWorker;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, Result, event};

pub use durable_streams_cloudflare::StreamDO;

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Response> {
    StreamWorker::new().no_auth().fetch(req, env, ctx).await
}
