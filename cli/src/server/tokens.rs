//! Who asks a server of a project: whoever has the project's secret, or nobody in particular.

use std::time::Duration;

use crate::{
    args::values::Scope,
    registry::Secret,
    stream::{Access, Authorize, Need},
    token::{self, Claims},
};

/// How long a token lasts. Each request has one of its own.
const LIFETIME: Duration = Duration::from_secs(300);

/// Nobody in particular.
#[derive(Debug)]
pub struct Nobody;

impl Authorize for Nobody {
    fn authorization(&self, _: Need<'_>) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Whoever has a project's secret: with a token for each request that allows it and no more.
#[derive(Debug)]
pub struct Tokens {
    project: String,
    secret: Secret,
}

impl Tokens {
    /// For the streams of a project.
    pub fn new(project: String, secret: Secret) -> Self {
        Self { project, secret }
    }
}

impl Authorize for Tokens {
    fn authorization(&self, need: Need<'_>) -> Result<Option<String>, String> {
        let mint = || {
            let claims = Claims {
                project: self.project.clone(),
                scope: match need.access {
                    Access::Read => Scope::Read,
                    Access::Write => Scope::Write,
                },
                expires_at: token::expiry(LIFETIME)?,
                stream: need.stream.map(str::to_owned),
            };
            token::mint(&self.secret, &claims)
        };
        let token = mint().map_err(|error| error.to_string())?;
        Ok(Some(format!("Bearer {token}")))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_token_allows_what_is_done_and_no_more() {
        let secret = serde_json::from_value(json!("0123456789abcdef0123456789abcdef")).unwrap();
        let tokens = Tokens::new("p".to_owned(), secret);
        let said = |access, stream| {
            let token = tokens
                .authorization(Need { access, stream })
                .unwrap()
                .unwrap();
            let claims = token.split('.').nth(1).unwrap();
            let mut said: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            said["exp"].take();
            said
        };
        assert_eq!(
            said(Access::Read, Some("chats/42")),
            json!({ "sub": "p", "scope": "read", "exp": null, "stream_id": "chats/42" })
        );
        assert_eq!(
            said(Access::Write, None),
            json!({ "sub": "p", "scope": "write", "exp": null })
        );
    }
}
