//! A worker with an answer of its own to who may do what: whoever changes a stream shows a key that
//! is in a KV namespace, and so does whoever reads one that is called `secret`; all others are read
//! by everyone. Subscriptions of a project and the list of its streams are for keys of all of the
//! project. The key `panic` shows what becomes of a panic.

use durable_streams_cloudflare::auth::{Grant, Purpose, Refusal, Request, RootGrant};
use durable_streams_cloudflare::protocol::error::Error;
use durable_streams_cloudflare::protocol::path::StreamPath;
use durable_streams_cloudflare::protocol::root::Root;
use durable_streams_cloudflare::{Answer, AuthorizeMutation, AuthorizeRead, StreamWorker};
use worker::{Context, Env, Result, event, web_sys};

pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};

#[derive(Clone)]
struct ApiKeys;

impl ApiKeys {
    async fn check(
        &self,
        request: &Request<'_>,
        path: &str,
        env: &Env,
    ) -> std::result::Result<Grant, Refusal> {
        let key = request
            .header("X-API-Key")
            .ok_or(Error::Unauthorized("X-API-Key is missing"))?;
        assert_ne!(key, "panic", "as asked");
        let unavailable = |error: String| Error::RegistryUnavailable(error);
        let keys = env.kv("REGISTRY").map_err(|e| unavailable(e.to_string()))?;
        let found = keys.get(&format!("api-keys/{key}")).text().await;
        let prefix = found.map_err(|e| unavailable(e.to_string()))?;
        match prefix {
            Some(prefix) if path.starts_with(&prefix) => Ok(Grant::HOLDER),
            Some(_) => Err(Error::Forbidden("the key is for other streams").into()),
            None => Err(Error::Unauthorized("the key is unknown").into()),
        }
    }

    async fn check_root(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        env: &Env,
    ) -> std::result::Result<RootGrant, Refusal> {
        // Receivers and workers, who come for these, have no keys.
        if !matches!(purpose, Purpose::Keys | Purpose::Wake) {
            self.check(request, &root.prefix(), env).await?;
        }
        Ok(RootGrant::default())
    }
}

impl AuthorizeMutation<Env> for ApiKeys {
    async fn authorize_mutation(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> std::result::Result<Grant, Refusal> {
        self.check(request, stream.as_str(), env).await
    }

    async fn authorize_control(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        env: &Env,
    ) -> std::result::Result<RootGrant, Refusal> {
        self.check_root(request, root, purpose, env).await
    }
}

impl AuthorizeRead<Env> for ApiKeys {
    async fn authorize_read(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> std::result::Result<Grant, Refusal> {
        match stream.as_str().ends_with("/secret") {
            true => self.check(request, stream.as_str(), env).await,
            false => Ok(Grant::EVERYONE),
        }
    }

    async fn authorize_inspection(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        env: &Env,
    ) -> std::result::Result<RootGrant, Refusal> {
        self.check_root(request, root, purpose, env).await
    }

    fn again(&self) -> Option<impl AuthorizeRead<Env> + 'static> {
        Some(self.clone())
    }
}

#[event(fetch)]
async fn fetch(req: web_sys::Request, env: Env, ctx: Context) -> Result<Answer> {
    StreamWorker::new()
        .auth(ApiKeys)
        .fetch(req, env, ctx)
        .await
}
