//! Keys that anybody could make, and signatures that say who has made them and of what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::machine::KeyPair;

/// The key of a number.
pub fn pair(number: u64) -> KeyPair {
    let private = format!("key {number}");
    KeyPair {
        public: URL_SAFE_NO_PAD.encode(Sha256::digest(&private)),
        private,
    }
}

/// A checksum of the public key and the bytes, twice.
pub fn sign(private: &str, bytes: &[u8]) -> Vec<u8> {
    let public = Sha256::digest(private);
    checksum(&public, bytes)
}

/// Whether it is the signature of some bytes by a key; both are base64url.
pub fn is_signed(public: &str, bytes: &[u8], signature: &str) -> bool {
    let public = URL_SAFE_NO_PAD.decode(public).unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    public.len() == 32 && signature == checksum(&public, bytes)
}

fn checksum(public: &[u8], bytes: &[u8]) -> Vec<u8> {
    let sum = Sha256::new().chain_update(public).chain_update(bytes);
    sum.finalize().repeat(2)
}
