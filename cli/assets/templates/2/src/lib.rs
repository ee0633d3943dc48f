{% if auth == "none" -%}
use durable_streams_cloudflare::{Answer, StreamWorker};
{%- else -%}
use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker};
{%- endif %}
use worker::web_sys::Request;
use worker::{Context, Env, Result, event};

pub use durable_streams_cloudflare::StreamDO;

#[event(fetch)]
async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
{%- if auth == "none" %}
    StreamWorker::new().no_auth().fetch(req, env, ctx).await
{%- else %}
    StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(req, env, ctx)
        .await
{%- endif %}
}
