//! The tokens of a wake (sections 7.1, 7.2 and 12.9): JSON Web Tokens, HMAC-SHA256, which say whose
//! they are, of which generation, and until when.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;

use super::record::Key;
use crate::protocol::subscription_error::SubscriptionError;

/// How long a token lasts, in seconds: a week, longer than anybody works on one wake.
const LASTS: u64 = 7 * 86_400;

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 4096;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    r#gen: u64,
    exp: u64,
}

/// The token for a generation of the subscription of this name, at a time in milliseconds since the
/// Unix epoch.
pub fn make(key: &Key, name: &str, generation: u64, now: u64) -> String {
    let claims = json!(Claims {
        sub: name.to_owned(),
        r#gen: generation,
        exp: seconds(now).saturating_add(LASTS),
    });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(HEADER), encode(&claims.to_string()));
    let signature = mac(key, &[&signed]).map(|mac| mac.finalize().into_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.unwrap_or_default());
    format!("{signed}.{signature}")
}

/// The generation that a token is for.
///
/// # Errors
///
/// [`SubscriptionError::Token`] if it is none of this subscription,
/// [`SubscriptionError::TokenExpired`].
pub fn check(
    key: &Key,
    name: &str,
    token: Option<&str>,
    now: u64,
) -> Result<u64, SubscriptionError> {
    const NONE: SubscriptionError = SubscriptionError::Token(
        "the token of the wake must come in Authorization: Bearer <token>",
    );
    const WRONG: SubscriptionError =
        SubscriptionError::Token("the token is none of this subscription");
    let token = token.filter(|token| token.len() <= MAX_BYTES).ok_or(NONE)?;
    let (signed, signature) = token.rsplit_once('.').ok_or(WRONG)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| WRONG)?;
    let mac = mac(key, &[signed]).ok_or(WRONG)?;
    mac.verify_slice(&signature).map_err(|_| WRONG)?;
    let claims = signed.split_once('.').map(|(_, claims)| claims);
    let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
    let claims = claims.filter(|claims| claims.sub == name).ok_or(WRONG)?;
    match seconds(now) < claims.exp {
        true => Ok(claims.r#gen),
        false => Err(SubscriptionError::TokenExpired),
    }
}

/// What a wake is called: nobody who has not heard of it knows.
pub fn wake_id(key: &Key, generation: u64) -> String {
    let mac = mac(key, &["wake ", &generation.to_string()]);
    let bytes = mac.map(|mac| mac.finalize().into_bytes());
    let bytes = bytes.unwrap_or_default();
    let half = bytes.first_chunk::<12>().copied().unwrap_or_default();
    format!("w_{}", URL_SAFE_NO_PAD.encode(half))
}

fn mac(key: &Key, parts: &[&str]) -> Option<Hmac<Sha256>> {
    // A key may have any length, so this is always something.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).ok()?;
    for part in parts {
        mac.update(part.as_bytes());
    }
    Some(mac)
}

fn seconds(millis: u64) -> u64 {
    millis.checked_div(1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    fn key() -> Key {
        Key::new(1, 2)
    }

    #[test]
    fn a_token_opens_its_own_subscription_for_a_week() {
        let token = make(&key(), "p/s", 7, NOW);
        let at = |now| check(&key(), "p/s", Some(&token), now);
        assert_eq!(at(NOW), Ok(7));
        assert_eq!(at(NOW + LASTS * 1000 - 1), Ok(7));
        assert_eq!(at(NOW + LASTS * 1000), Err(SubscriptionError::TokenExpired));
        for (key, name) in [(key(), "p/t"), (Key::new(1, 3), "p/s")] {
            let refused = check(&key, name, Some(&token), NOW);
            assert!(matches!(refused, Err(SubscriptionError::Token(_))));
        }
        let none = check(&key(), "p/s", None, NOW);
        assert!(matches!(none, Err(SubscriptionError::Token(_))));
    }

    #[test]
    fn wakes_have_different_ids() {
        assert_ne!(wake_id(&key(), 1), wake_id(&key(), 2));
        assert_ne!(wake_id(&key(), 1), wake_id(&Key::new(1, 3), 1));
        assert_eq!(wake_id(&key(), 1).len(), 18);
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(at in 0usize..200, to in "[A-Za-z0-9_.=-]") {
            let token = make(&key(), "p/s", 7, NOW);
            let at = at.min(token.len() - 1);
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                let refused = check(&key(), "p/s", Some(&changed), NOW);
                prop_assert!(matches!(refused, Err(SubscriptionError::Token(_))));
            }
        }

        #[test]
        fn any_text_is_refused(text in "\\PC{0,200}") {
            let refused = check(&key(), "p/s", Some(&text), NOW);
            prop_assert!(matches!(refused, Err(SubscriptionError::Token(_))));
        }
    }
}
