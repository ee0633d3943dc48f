//! Minting JSON Web Tokens, as `ProjectJwt` of the runtime crate takes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    crypto::{CryptoProvider, JwtSigner, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer},
};
use serde::Serialize;
use sha2::Sha256;

use crate::{args::values::Scope, error::problem, registry::Secret, stream::names_stream};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The project.
    #[serde(rename = "sub")]
    pub project: String,
    /// What it allows.
    pub scope: Scope,
    /// When it ends, in seconds since the Unix epoch.
    #[serde(rename = "exp")]
    pub expires_at: u64,
    /// The only stream it is for: its path after the project.
    #[serde(rename = "stream_id", skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
}

/// Makes a token.
pub fn mint(secret: &Secret, claims: &Claims) -> Result<String> {
    // An error says that there is a provider already, which can only be this one.
    let _ = PROVIDER.install_default();
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .context("the token cannot be signed")
}

/// When something ends that begins now, in seconds since the Unix epoch.
pub fn expiry(lifetime: Duration) -> Result<u64> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock of this machine is before 1970")?;
    let end = now.checked_add(lifetime).map(|end| end.as_secs());
    // What JavaScript counts exactly, and the runtime crate takes.
    end.filter(|end| *end < 1 << 53)
        .context("the token would last too long")
}

/// Refuses what can be no stream's path after the project.
pub fn check_stream(stream: &str) -> Result<()> {
    match names_stream(stream) {
        true => Ok(()),
        false => Err(problem(
            format!("--stream `{stream}` names no stream"),
            "give the path after the project, as in my-stream or chats/42",
        )),
    }
}

/// `jsonwebtoken` leaves the cryptography to others. What it offers for that brings RSA and elliptic
/// curves with it; HMAC is all that is needed here.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(key.as_bytes().to_vec()))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |_, _| Err(Error::from(ErrorKind::InvalidAlgorithm)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Vec<u8>);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| signature::Error::new())?;
        Ok(mac.chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_token_says_what_the_runtime_reads() {
        let mut claims = Claims {
            project: "p".into(),
            scope: Scope::Write,
            expires_at: 4_102_444_800,
            stream: None,
        };
        let secret: Secret =
            serde_json::from_value(json!("0123456789abcdef0123456789abcdef")).unwrap();
        // As Python's hmac module signs it.
        assert_eq!(
            mint(&secret, &claims).unwrap(),
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
             eyJzdWIiOiJwIiwic2NvcGUiOiJ3cml0ZSIsImV4cCI6NDEwMjQ0NDgwMH0.\
             h8IX1_J7KvHv_scEjrqB1CzOxquV07V9aUOeiW4OXTM"
        );
        claims.stream = Some("s".into());
        claims.scope = Scope::Read;
        let limited = mint(&secret, &claims).unwrap();
        let said = URL_SAFE_NO_PAD.decode(limited.split('.').nth(1).unwrap());
        assert_eq!(
            serde_json::from_slice::<Value>(&said.unwrap()).unwrap(),
            json!({ "sub": "p", "scope": "read", "exp": 4_102_444_800_u64, "stream_id": "s" })
        );
    }

    #[test]
    fn a_token_that_would_never_end_is_refused() {
        expiry(Duration::from_secs(u64::MAX)).unwrap_err();
        expiry(Duration::from_secs(1 << 53)).unwrap_err();
        assert!(expiry(Duration::from_secs(60)).unwrap() > 1_700_000_000);
    }

    #[test]
    fn a_stream_is_a_path_below_its_project() {
        for stream in ["s", "chats/42", "a b", "é"] {
            check_stream(stream).unwrap();
        }
        for stream in ["", "/s", "s/", "a//b", "..", "a/../b", "a\nb"] {
            assert!(check_stream(stream).is_err(), "{stream}");
        }
    }
}
