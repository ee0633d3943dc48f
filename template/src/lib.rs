{% if auth == "none" -%}
use durable_streams_cloudflare::StreamWorker;
{%- else -%}
use durable_streams_cloudflare::{ProjectJwt, StreamWorker};
{%- endif %}
use worker::web_sys::{Request, Response};
use worker::{Context, Env, Result, event};

pub use durable_streams_cloudflare::StreamDO;

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Response> {
{%- if auth == "none" %}
    StreamWorker::new().no_auth().fetch(req, env, ctx).await
{%- else %}
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
{%- endif %}
}
