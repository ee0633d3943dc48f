//! URLs that open one answer, to read it and to end it, for a while: whoever has one needs nothing else.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The shortest secret that is one, in bytes.
pub const MIN_BYTES: usize = 16;

/// What opens this server, and signs URLs.
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What is wrong with a signed URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Signature,
    Expired,
}

impl Secret {
    /// The secret, unless it is too short to be one.
    pub fn new(text: String) -> Option<Self> {
        (text.len() >= MIN_BYTES).then_some(Self(text))
    }

    /// Whether a text is the secret. How long that takes tells nothing of where they differ.
    pub fn is(&self, text: &str) -> bool {
        let own = self.mac(&self.0).finalize().into_bytes();
        self.mac(text).verify(&own).is_ok()
    }

    /// The query of the URL of an answer that ends at `expires`, in seconds since 1970.
    pub fn query(&self, id: &str, expires: u64) -> String {
        let mac = self.mac(&signed_text(id, expires)).finalize().into_bytes();
        let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("expires={expires}&signature={digits}")
    }

    /// When the URL ends that has these in its query.
    ///
    /// # Errors
    ///
    /// What is wrong with them, at this time.
    pub fn verify(&self, id: &str, expires: &str, signature: &str, now: u64) -> Result<u64, Wrong> {
        let expires: u64 = expires.parse().map_err(|_| Wrong::Signature)?;
        let signature = bytes(signature).ok_or(Wrong::Signature)?;
        let mac = self.mac(&signed_text(id, expires));
        mac.verify_slice(&signature).map_err(|_| Wrong::Signature)?;
        if now > expires {
            return Err(Wrong::Expired);
        }
        Ok(expires)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        mac.expect("a key of any length is one").chain_update(text)
    }
}

fn signed_text(id: &str, expires: u64) -> String {
    format!("{id}:{expires}")
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1b671a64-40d5-491e-99b0-da01ff1f3341";

    fn secret() -> Secret {
        Secret::new("a secret of some length".to_owned()).unwrap()
    }

    fn parts(query: &str) -> (&str, &str) {
        let (expires, signature) = query.split_once("&signature=").unwrap();
        (expires.strip_prefix("expires=").unwrap(), signature)
    }

    #[test]
    fn a_url_counts_until_it_ends() {
        let query = secret().query(ID, 1000);
        let (expires, signature) = parts(&query);
        for now in [0, 999, 1000] {
            assert_eq!(secret().verify(ID, expires, signature, now), Ok(1000));
        }
        assert_eq!(
            secret().verify(ID, expires, signature, 1001),
            Err(Wrong::Expired)
        );
    }

    #[test]
    fn a_url_is_signed_in_all_its_parts() {
        let query = secret().query(ID, 1000);
        let (expires, signature) = parts(&query);
        let other = Secret::new("another secret of some length".to_owned()).unwrap();
        let flipped = format!(
            "{}{}",
            &signature[..63],
            if signature.ends_with('0') { '1' } else { '0' }
        );
        for (secret, id, expires, signature) in [
            (
                &secret(),
                "1b671a64-40d5-491e-99b0-da01ff1f3342",
                expires,
                signature,
            ),
            (&secret(), ID, "2000", signature),
            (&secret(), ID, "", signature),
            (&secret(), ID, "1e9", signature),
            (&secret(), ID, expires, ""),
            (&secret(), ID, expires, "invalid-signature"),
            (&secret(), ID, expires, "\u{e4}\u{e4}"),
            (&secret(), ID, expires, &signature[..62]),
            (&secret(), ID, expires, flipped.as_str()),
            (&other, ID, expires, signature),
        ] {
            assert_eq!(
                secret.verify(id, expires, signature, 0),
                Err(Wrong::Signature),
                "{id} {expires} {signature}"
            );
        }
    }

    #[test]
    fn one_that_is_forged_is_not_said_to_have_ended() {
        assert_eq!(secret().verify(ID, "1", "00", 1000), Err(Wrong::Signature));
    }

    #[test]
    fn the_secret_is_known_by_all_of_it() {
        assert!(secret().is("a secret of some length"));
        for text in [
            "",
            "a",
            "a secret of some lengt",
            "a secret of some length ",
        ] {
            assert!(!secret().is(text), "{text:?}");
        }
        assert!(Secret::new("too short".to_owned()).is_none());
    }
}
