//! Streams that are used with API keys, and a route that gives out keys and takes them away.

mod api_keys;

use durable_streams_cloudflare::protocol::path::split_url;
use durable_streams_cloudflare::{Answer, StreamWorker};
use worker::{Context, Env, Method, Request, Response, Result, event, web_sys};

use api_keys::ApiKeys;

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[event(fetch)]
async fn fetch(req: web_sys::Request, env: Env, ctx: Context) -> Result<Answer> {
    if split_url(&req.url()).0 == "/keys" {
        return Ok(keys(req.into(), &env).await?.into());
    }
    StreamWorker::new()
        .auth(ApiKeys)
        .fetch(req, env, ctx)
        .await
}

/// POST with the beginning of paths as the body, as in `chat/`, is answered with a new key for the
/// streams there; DELETE with a key as the body takes it away. Both are for the secret `ADMIN_KEY`.
async fn keys(mut req: Request, env: &Env) -> Result<Response> {
    let Some(admin_key) = admin_key(env) else {
        return Response::error("the secret ADMIN_KEY is not set: nobody makes keys", 503);
    };
    let shown = req.headers().get("Authorization")?.unwrap_or_default();
    // Before anything is refused: a client that is not heard out may not see the answer.
    let text = req.text().await?;
    let text = text.trim();
    if !is_same(&shown, &format!("Bearer {admin_key}")) {
        return Response::error("this is for whoever knows ADMIN_KEY", 401);
    }
    let kv = env.kv("REGISTRY")?;
    match req.method() {
        // A key for `chat` would be one for `chat/1`, and for `chatter/1`, too.
        Method::Post if text.ends_with('/') => {
            let key = uuid::Uuid::new_v4().simple().to_string();
            kv.put(&format!("api-keys/{key}"), text)?.execute().await?;
            Ok(Response::ok(key)?.with_status(201))
        }
        Method::Post => Response::error("the body has to be a path with `/` at its end", 400),
        Method::Delete => {
            kv.delete(&format!("api-keys/{text}")).await?;
            Ok(Response::empty()?.with_status(204))
        }
        _ => Response::error("POST makes a key, DELETE takes one away", 405),
    }
}

/// The secret, if it is set to something.
fn admin_key(env: &Env) -> Option<String> {
    let key = env.secret("ADMIN_KEY").ok()?.to_string();
    (!key.is_empty()).then_some(key)
}

/// Compares all of it whatever comes: how long that takes tells nobody where the first difference is.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes());
    one.len() == other.len() && differences.fold(0, |all, (one, other)| all | (one ^ other)) == 0
}
