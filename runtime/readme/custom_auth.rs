use durable_streams_cloudflare::AuthorizeMutation;
use durable_streams_cloudflare::auth::{Grant, Purpose, Refusal, Request, RootGrant};
use durable_streams_cloudflare::protocol::error::Error;
use durable_streams_cloudflare::protocol::path::StreamPath;
use durable_streams_cloudflare::protocol::root::Root;
use worker::Env;

#[derive(Clone)]
struct ApiKeys;

impl ApiKeys {
    /// A key in KV has the beginning of the paths it is for, as in `chat/`.
    async fn check(&self, request: &Request<'_>, path: &str, env: &Env) -> Result<Grant, Refusal> {
        let key = request
            .header("X-API-Key")
            .ok_or(Error::Unauthorized("X-API-Key is missing"))?;
        let unavailable = |error: String| Error::RegistryUnavailable(error);
        let keys = env.kv("REGISTRY").map_err(|e| unavailable(e.to_string()))?;
        let found = keys.get(&format!("api-keys/{key}")).text().await;
        match found.map_err(|e| unavailable(e.to_string()))? {
            Some(prefix) if path.starts_with(&prefix) => Ok(Grant::HOLDER),
            _ => Err(Error::Forbidden("the key is not for this").into()),
        }
    }
}

impl AuthorizeMutation<Env> for ApiKeys {
    async fn authorize_mutation(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> Result<Grant, Refusal> {
        self.check(request, stream.as_str(), env).await
    }

    async fn authorize_control(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        env: &Env,
    ) -> Result<RootGrant, Refusal> {
        if !matches!(purpose, Purpose::Keys | Purpose::Wake) {
            self.check(request, &root.prefix(), env).await?;
        }
        Ok(RootGrant::default())
    }
}
