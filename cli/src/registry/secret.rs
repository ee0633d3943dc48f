//! Secrets that sign tokens.

use std::{
    fmt,
    io::{IsTerminal, Read},
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{error::problem, hex::hex};

/// The shortest secret taken, in bytes: as long as the hash that signs (RFC 7518 section 3.2).
const MIN: usize = 32;
/// Far longer than any secret; what is longer is something else.
const MAX: usize = 4096;

/// A secret. It is shown by [`Secret::reveal`] only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id())
    }
}

impl Secret {
    /// 32 random bytes from the system's generator, as text that goes through every shell and URL.
    /// The text itself, not what it encodes, is the key.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("the system has no random bytes")?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A secret of one's own, from stdin. The end of the line is no part of it.
    pub fn from_stdin() -> Result<Self> {
        let mut stdin = std::io::stdin();
        if stdin.is_terminal() {
            return Err(problem(
                "--secret-stdin: stdin is a terminal, which would show the secret",
                "pipe the secret in: `… --secret-stdin < FILE`",
            ));
        }
        let mut text = String::new();
        let limit = MAX as u64 + 1;
        Read::take(&mut stdin, limit)
            .read_to_string(&mut text)
            .context("--secret-stdin: stdin holds no text")?;
        Self::parse(text.trim_end_matches(['\r', '\n']))
    }

    fn parse(text: &str) -> Result<Self> {
        let hint = "`head -c 32 /dev/urandom | base64` makes a good one";
        let length = text.len();
        let wrong = if length < MIN {
            format!("it has {length} bytes, and {MIN} are the least")
        } else if length > MAX {
            format!("it has more than {MAX} bytes")
        } else if text.chars().any(char::is_control) {
            "it has more than one line, or other control characters".to_owned()
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(problem(
            format!("--secret-stdin: the secret cannot be taken: {wrong}"),
            hint,
        ))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Tells it from others without giving it away.
    pub fn id(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hex(hash.iter().take(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let (a, b) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(a.reveal().len(), 43);
        assert_ne!(a, b);
        assert_ne!(a.id(), b.id());
        assert_eq!(URL_SAFE_NO_PAD.decode(a.reveal()).unwrap().len(), 32);
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let secret = Secret::generate().unwrap();
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }

    #[test]
    fn short_and_broken_secrets_are_refused_without_being_shown() {
        for text in [
            "",
            "hunter2",
            &"x".repeat(31),
            &"x".repeat(4097),
            &"xy\n".repeat(20),
        ] {
            let error = Secret::parse(text).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(error.to_string().contains("--secret-stdin"), "{error}");
        }
        assert_eq!(Secret::parse(&"é".repeat(16)).unwrap().reveal().len(), 32);
    }
}
