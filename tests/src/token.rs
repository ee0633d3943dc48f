//! Tokens of every kind, also of those that no program of ours would make.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

/// The registry's record of a project with one secret.
pub fn record(secret: &str) -> String {
    json!({ "signingSecrets": [secret], "corsOrigins": [], "isPublic": false }).to_string()
}

/// A token of a project that ends in an hour.
pub fn token(secret: &str, project: &str, scope: &str) -> String {
    sign(
        secret,
        &json!({ "sub": project, "scope": scope, "exp": now() + 3600 }),
    )
}

/// The same for one stream only.
pub fn stream_token(secret: &str, project: &str, scope: &str, stream: &str) -> String {
    let exp = now() + 3600;
    let claims = json!({ "sub": project, "scope": scope, "exp": exp, "stream_id": stream });
    sign(secret, &claims)
}

/// A token that says anything.
pub fn sign(secret: &str, claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let header = encode(header.to_string().as_bytes());
    let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    // A key of HMAC may have any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| mac.chain_update(&signed).finalize().into_bytes());
    let mac = mac.map(|mac| mac.to_vec()).unwrap_or_default();
    format!("{signed}.{}", encode(&mac))
}
