use durable_streams_cloudflare::auth::{Grant, Purpose, Refusal, Request, RootGrant};
use durable_streams_cloudflare::protocol::error::Error;
use durable_streams_cloudflare::protocol::path::StreamPath;
use durable_streams_cloudflare::protocol::root::Root;
use durable_streams_cloudflare::{AuthorizeMutation, AuthorizeRead};
use worker::Env;

/// Whoever shows a key may use the streams that it is for, as in `Authorization: Bearer KEY`.
#[derive(Clone)]
pub struct ApiKeys;

impl ApiKeys {
    /// A key in KV has the beginning of the paths it is for, as in `chat/`.
    async fn check(&self, request: &Request<'_>, path: &str, env: &Env) -> Result<Grant, Refusal> {
        let key = request.bearer().filter(|key| key.len() <= 64);
        let key = key.ok_or(Error::Unauthorized("a key is needed"))?;
        let unavailable = |error: String| Error::RegistryUnavailable(error);
        let keys = env.kv("REGISTRY").map_err(|e| unavailable(e.to_string()))?;
        let found = keys.get(&format!("api-keys/{key}")).text().await;
        match found.map_err(|e| unavailable(e.to_string()))? {
            Some(prefix) if path.starts_with(&prefix) => Ok(Grant::HOLDER),
            Some(_) => Err(Error::Forbidden("the key is for other streams").into()),
            None => Err(Error::Unauthorized("the key is not known").into()),
        }
    }

    /// Subscriptions and the list of streams are for keys of all that is below.
    async fn check_root(
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
        self.check_root(request, root, purpose, env).await
    }
}

impl AuthorizeRead<Env> for ApiKeys {
    async fn authorize_read(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> Result<Grant, Refusal> {
        self.check(request, stream.as_str(), env).await
    }

    async fn authorize_inspection(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        env: &Env,
    ) -> Result<RootGrant, Refusal> {
        self.check_root(request, root, purpose, env).await
    }

    /// A live read ends soon after its key has been taken away.
    fn again(&self) -> Option<impl AuthorizeRead<Env> + 'static> {
        Some(self.clone())
    }
}
