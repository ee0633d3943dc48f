//! The directory: which streams and subscriptions there are below a root. It is split into shards,
//! each an object of its own, which serve all roots.
//!
//! | file | what it knows |
//! |---|---|
//! | [`records`] | the tables of a shard, and their version |
//! | [`span`] | names that lie side by side |
//! | [`lives`] | whose message counts, when they are doubled, late and out of order |
//! | [`streams`] | streams that there are, and that have ended |
//! | [`watches`] | subscriptions, and which streams they watch |
//! | [`list`] | both, page by page |
//! | [`keys`] | the keys that webhooks are signed with |
//! | [`registry`] | streams that say which streams came and went |
//! | [`sweep`] | forgetting what is gone |
//! | [`alarm`] | when that is done |
//! | [`merge`] | pages of all shards as one, for the edge |
//!
//! What is asked of a shard about streams and subscriptions is answered in one turn. Keys are made
//! meanwhile: whoever has made one looks again whether it is still wanted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::machine::{KeyPair, Signs};
use crate::protocol::ask::{self, OfRoot, Rotate, Rotated, SigningKey, hear, say};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;

pub mod alarm;
pub mod keys;
pub mod list;
pub mod lives;
pub mod merge;
pub mod records;
pub mod registry;
pub mod span;
pub mod streams;
pub mod sweep;
pub mod watches;

#[cfg(test)]
mod tests;

use records::Records;

/// How many shards there are. What is in them would have to move if it were another number.
pub const SHARDS: u32 = 16;

/// The number of the shard, of so many, that knows of the stream or subscription of a name.
pub fn shard_of(name: &str, shards: u32) -> u32 {
    let hash = Sha256::digest(name.as_bytes());
    let start = hash.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(start).checked_rem(shards).unwrap_or(0)
}

/// The number of the shard, of so many, that keeps the keys of a root.
pub fn key_shard(root: &Root, shards: u32) -> u32 {
    shard_of(&root.prefix(), shards)
}

/// The object of a shard, for as long as it is in memory.
pub struct Shard<P: Signs> {
    ports: P,
    records: RefCell<Records<P::Storage>>,
    /// Whether the alarm is known to be set.
    is_armed: Cell<bool>,
    /// Whether registry streams are being told.
    is_telling: Cell<bool>,
}

impl<P: Signs> std::fmt::Debug for Shard<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").finish_non_exhaustive()
    }
}

/// An answer without content.
#[derive(Serialize)]
struct Noted {}

impl<P: Signs> Shard<P> {
    /// The shard in a database. Nothing is read before the first question.
    pub fn new(ports: P, storage: P::Storage) -> Rc<Self> {
        Self::of(ports, Records::new(storage))
    }

    /// The same where the registry streams of roots are to hear of streams; see [`registry`].
    pub fn with_registry(ports: P, storage: P::Storage) -> Rc<Self> {
        Self::of(ports, Records::new(storage).with_registry())
    }

    fn of(ports: P, records: Records<P::Storage>) -> Rc<Self> {
        Rc::new(Self {
            ports,
            records: RefCell::new(records),
            is_armed: Cell::new(false),
            is_telling: Cell::new(false),
        })
    }

    /// Answers a question; see [`crate::protocol::ask`].
    pub async fn answer(self: &Rc<Self>, question: &str, body: &[u8]) -> Reply {
        match self.carry_out(question, body).await {
            Ok(text) => Reply {
                body: text.into_bytes(),
                ..Reply::new(200).with(header::CONTENT_TYPE, "application/json")
            },
            Err(error) => {
                if let Some(detail) = error.detail() {
                    self.ports
                        .log(format_args!("a shard was asked to {question}: {detail}"));
                }
                Reply::refused(&error)
            }
        }
    }

    async fn carry_out(self: &Rc<Self>, question: &str, body: &[u8]) -> Result<String, Error> {
        let (records, now) = (&self.records, self.ports.now());
        Ok(match question {
            ask::REGISTER => {
                let registered = records.borrow_mut().register(&hear(body)?)?;
                self.tell_behind();
                say(&registered)
            }
            ask::UNREGISTER => {
                records.borrow_mut().unregister(&hear(body)?, now)?;
                self.arm();
                self.tell_behind();
                say(&Noted {})
            }
            ask::WATCH => {
                records.borrow_mut().watch(&hear(body)?)?;
                say(&Noted {})
            }
            ask::UNWATCH => {
                records.borrow_mut().unwatch(&hear(body)?, now)?;
                self.arm();
                say(&Noted {})
            }
            ask::LIST => say(&records.borrow_mut().list(&hear(body)?)?),
            ask::SUBSCRIPTIONS => say(&records.borrow_mut().subscriptions(&hear(body)?)?),
            ask::JWKS => {
                let OfRoot { root } = hear(body)?;
                let keys = records.borrow_mut().keys(&root, now)?;
                keys.document().to_string()
            }
            ask::SIGNING_KEY => say(&self.signing_key(&hear(body)?).await?),
            ask::ROTATE => say(&self.rotate(&hear(body)?).await?),
            _ => return Err(Error::UnknownRoute),
        })
    }

    /// The key to sign with, which is made when it is first asked for.
    async fn signing_key(&self, OfRoot { root }: &OfRoot) -> Result<SigningKey, Error> {
        let keys = self.records.borrow_mut().keys(root, self.ports.now())?;
        if let Some(key) = keys.active(self.ports.now()) {
            return Ok(key);
        }
        let pair = self.new_key().await?;
        let now = self.ports.now();
        let mut records = self.records.borrow_mut();
        records.first_key(root, pair, now)?;
        let key = records.keys(root, now)?.active(now);
        key.ok_or_else(|| Error::Storage("a key is not there".to_owned()))
    }

    async fn rotate(
        self: &Rc<Self>,
        Rotate { root, now: at_once }: &Rotate,
    ) -> Result<Rotated, Error> {
        if !at_once {
            let rotated = self.records.borrow_mut().rotated(root, self.ports.now())?;
            if let Some(rotated) = rotated {
                return Ok(rotated);
            }
        }
        let pair = self.new_key().await?;
        let now = self.ports.now();
        let mut records = self.records.borrow_mut();
        if *at_once {
            return records.only_key(root, pair, now);
        }
        let rotated = records.next_key(root, pair, now)?;
        self.arm();
        Ok(rotated)
    }

    async fn new_key(&self) -> Result<KeyPair, Error> {
        let made = self.ports.new_key().await;
        made.map_err(|why| Error::Unavailable(format!("no key was made: {why}")))
    }
}
