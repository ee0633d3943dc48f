//! The keys that webhooks of a root are signed with (section 6.5).
//!
//! A key is published at once and signed with [`LEAD`] later, when nobody has an older set any more;
//! the first one of a root, whose set nobody has, at once. From when the next one is signed with, it
//! is retired: it is published for [`GONE_FOR`] more, which is longer than receivers take what was
//! signed with it, and then dropped. So a key needs to be known by nothing but when it is active
//! from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::lives::{GONE, GONE_FOR};
use super::records::{Records, text, time, whole};
use super::span::Span;
use crate::machine::KeyPair;
use crate::protocol::ask::{Rotated, SigningKey};
use crate::protocol::error::Error;
use crate::protocol::path::RESERVED;
use crate::protocol::root::Root;
use crate::stream::storage::{Param, Statement, Storage};

/// How long a key is published before it is signed with, in milliseconds: for as long as receivers
/// and caches may keep the set, which is five minutes, and one more.
pub const LEAD: u64 = 6 * 60_000;

/// For how long a key is handed out at the most, in milliseconds: so long it takes a compromised one
/// to be used no more.
pub const GOOD_FOR: u64 = 60_000;

/// A key of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is called in the published set.
    pub kid: String,
    /// The key itself.
    pub pair: KeyPair,
    /// When it is signed with from, in milliseconds since the Unix epoch.
    pub active_at: u64,
}

impl Key {
    fn new(pair: KeyPair, active_at: u64) -> Self {
        Self {
            kid: kid(&pair.public),
            pair,
            active_at,
        }
    }
}

/// What a public key is called: its thumbprint (RFC 7638).
fn kid(public: &str) -> String {
    let document = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    let hash = Sha256::digest(document.as_bytes());
    format!("ds_{}", URL_SAFE_NO_PAD.encode(hash))
}

/// The keys of a root that are not dropped, in the order in which they are signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Sorts keys, and leaves out those that are dropped by now.
    pub fn new(found: Vec<Key>, now: u64) -> Self {
        let mut keys: Vec<Key> = Vec::with_capacity(found.len());
        for key in found {
            let order = |key: &Key| (key.active_at, key.kid.clone());
            let place = keys.partition_point(|other| order(other) < order(&key));
            keys.insert(place, key);
        }
        let retired: Vec<u64> = keys.iter().skip(1).map(|next| next.active_at).collect();
        let is_dropped = |at: &u64| at.saturating_add(GONE_FOR) <= now;
        let dropped = retired.iter().filter(|at| is_dropped(at)).count();
        Self(keys.split_off(dropped.min(keys.len())))
    }

    /// The key to sign with.
    pub fn active(&self, now: u64) -> Option<SigningKey> {
        let active = self.0.iter().rev().find(|key| key.active_at <= now);
        // No time is before the first one: a clock was set back.
        let active = active.or(self.0.first())?;
        let next = self.coming(now).map(|key| key.active_at);
        let rest = next.map_or(GOOD_FOR, |at| at.saturating_sub(now));
        Some(SigningKey {
            kid: active.kid.clone(),
            private: active.pair.private.clone(),
            good_for: rest.min(GOOD_FOR),
        })
    }

    /// The key that is published and not signed with yet, if there is one.
    fn coming(&self, now: u64) -> Option<&Key> {
        let mut later = self.0.iter().skip(1);
        later.find(|key| key.active_at > now)
    }

    /// The published set (RFC 7517).
    pub fn document(&self) -> Value {
        let keys: Vec<Value> = self
            .0
            .iter()
            .map(|key| {
                json!({
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": key.pair.public,
                    "kid": key.kid,
                    "use": "sig",
                    "alg": "EdDSA",
                })
            })
            .collect();
        json!({ "keys": keys })
    }
}

impl<S: Storage> Records<S> {
    /// The keys of a root.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn keys(&mut self, root: &Root, now: u64) -> Result<Keys, Error> {
        let columns = "private, public, active_at";
        let span = Span::of(&place(root));
        let keys = self.within("key", columns, &span, usize::MAX, |row| {
            let pair = KeyPair {
                private: text(row, 0),
                public: text(row, 1),
            };
            Key::new(pair, whole(row, 2))
        })?;
        Ok(Keys::new(keys, now))
    }

    /// Takes a new key for the first of a root, unless somebody was faster.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn first_key(&mut self, root: &Root, pair: KeyPair, now: u64) -> Result<(), Error> {
        if self.keys(root, now)?.0.is_empty() {
            let key = Key::new(pair, now);
            let name = name(root, &key.kid);
            self.storage()?.write(&[put(&name, &key)])?;
        }
        Ok(())
    }

    /// What a rotation would come to that has happened already: there is one under way, and one more
    /// would be too much.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn rotated(&mut self, root: &Root, now: u64) -> Result<Option<Rotated>, Error> {
        let keys = self.keys(root, now)?;
        Ok(keys.coming(now).map(|key| Rotated {
            kid: key.kid.clone(),
            active_at: key.active_at,
        }))
    }

    /// Takes a new key for the next of a root, unless somebody was faster. The present one is retired
    /// when the next one is active.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn next_key(&mut self, root: &Root, pair: KeyPair, now: u64) -> Result<Rotated, Error> {
        if let Some(rotated) = self.rotated(root, now)? {
            return Ok(rotated);
        }
        let present = self.keys(root, now)?.active(now);
        let lead = if present.is_some() { LEAD } else { 0 };
        let key = Key::new(pair, now.saturating_add(lead));
        let (new, old) = (
            name(root, &key.kid),
            present.map(|present| name(root, &present.kid)),
        );
        let mut batch = vec![put(&new, &key)];
        batch.extend(old.as_ref().map(|old| Statement {
            sql: GONE,
            params: vec![Param::Text(old), Param::Text(""), time(key.active_at)],
        }));
        self.storage()?.write(&batch)?;
        Ok(Rotated {
            kid: key.kid,
            active_at: key.active_at,
        })
    }

    /// Takes a new key for the only one of a root, from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn only_key(&mut self, root: &Root, pair: KeyPair, now: u64) -> Result<Rotated, Error> {
        let key = Key::new(pair, now);
        let (new, all) = (name(root, &key.kid), Span::of(&place(root)));
        let drop = Statement {
            sql: "DELETE FROM key WHERE name >= ?1 AND name < ?2",
            params: vec![Param::Text(&all.from), all.end()],
        };
        self.storage()?.write(&[drop, put(&new, &key)])?;
        Ok(Rotated {
            kid: key.kid,
            active_at: now,
        })
    }
}

/// What the names of a root's keys start with. No stream has such a name.
fn place(root: &Root) -> String {
    format!("{}{RESERVED}/keys/", root.prefix())
}

fn name(root: &Root, kid: &str) -> String {
    format!("{}{kid}", place(root))
}

fn put<'a>(name: &'a str, key: &'a Key) -> Statement<'a> {
    Statement {
        sql: "INSERT INTO key VALUES (?1, ?2, ?3, ?4)",
        params: vec![
            Param::Text(name),
            Param::Text(&key.pair.private),
            Param::Text(&key.pair.public),
            time(key.active_at),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_by_its_thumbprint() {
        // The example of RFC 8037, appendix A.3.
        let public = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let expected = "ds_kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(kid(public), expected);
    }
}
