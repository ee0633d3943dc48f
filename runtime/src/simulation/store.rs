//! The bucket, which is slow, refuses, loses answers, takes effect late, and now and then never
//! answers at all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::executor::{Executor, Group, once};
use crate::object::ports::{Bucket, Listed, Stored};
use crate::protocol::error::Error;
use crate::protocol::part::{Identity, Part, Piece, Plan};
use crate::stream::tier::upkeep::GRACE;

/// The machines of the bucket, which never fail together with any of ours.
const STORE: Group = 0;

/// An object in the bucket.
#[derive(Clone, Debug)]
pub struct Stuff {
    pub content_type: String,
    pub body: Vec<u8>,
    pub etag: String,
}

/// See the module's text.
#[derive(Clone)]
pub struct Store(Rc<Inner>);

struct Inner {
    executor: Executor,
    objects: RefCell<BTreeMap<String, Stuff>>,
    /// How many of a thousand calls go wrong.
    trouble: Cell<u64>,
    /// Changes the entity tags of what is put from now on, as another part size does.
    salt: Cell<u64>,
    pub puts: Cell<u64>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    Refused,
    Unheard,
    /// It fails, and has its effect some time later.
    Late,
    /// Nobody ever answers; it may have its effect.
    Silent {
        works: bool,
    },
}

impl Store {
    pub fn new(executor: Executor) -> Self {
        Self(Rc::new(Inner {
            executor,
            objects: RefCell::default(),
            trouble: Cell::new(0),
            salt: Cell::new(0),
            puts: Cell::new(0),
        }))
    }

    pub fn set_trouble(&self, per_mille: u64) {
        self.0.trouble.set(per_mille);
    }

    pub fn keys(&self) -> Vec<String> {
        self.0.objects.borrow().keys().cloned().collect()
    }

    /// Copies everything to another bucket: the same bytes with other tags.
    pub fn copy(&self) {
        self.0.salt.set(self.0.salt.get() + 1);
        for stuff in self.0.objects.borrow_mut().values_mut() {
            stuff.etag = self.etag(&stuff.body);
        }
    }

    fn etag(&self, body: &[u8]) -> String {
        let mut hasher = DefaultHasher::new();
        (self.0.salt.get(), body).hash(&mut hasher);
        format!("{:x}", hasher.finish())
    }

    pub fn get(&self, key: &str) -> Option<Stuff> {
        self.0.objects.borrow().get(key).cloned()
    }

    fn fate(&self) -> Fate {
        let executor = &self.0.executor;
        if !executor.chance(self.0.trouble.get()) {
            return Fate::Works;
        }
        *executor.pick(&[
            Fate::Refused,
            Fate::Refused,
            Fate::Unheard,
            Fate::Unheard,
            Fate::Late,
            Fate::Silent { works: true },
            Fate::Silent { works: false },
        ])
    }

    /// The keys that start with a prefix, behind one of them if it is given.
    pub async fn list_behind(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Listed, String> {
        let (prefix, after) = (prefix.to_owned(), after.unwrap_or_default().to_owned());
        self.call(move |store| {
            let objects = store.0.objects.borrow();
            let keys = objects.keys();
            let keys = keys.filter(|key| key.starts_with(&prefix) && **key > after);
            let mut keys: Vec<String> = keys.take(limit as usize + 1).cloned().collect();
            let has_more = keys.len() > limit as usize;
            keys.truncate(limit as usize);
            Listed {
                cursor: keys.last().filter(|_| has_more).cloned(),
                keys,
            }
        })
        .await
    }

    /// Calls the bucket: `effect` takes place on its machines, whatever becomes of the caller.
    async fn call<T: 'static>(
        &self,
        effect: impl FnOnce(&Self) -> T + 'static,
    ) -> Result<T, String> {
        let executor = self.0.executor.clone();
        let (fate, this) = (self.fate(), self.clone());
        let (sender, receiver) = once();
        let clock = executor.clone();
        executor.spawn(STORE, async move {
            let slow = if clock.chance(50) { 8_000 } else { 60 };
            clock.pause(slow).await;
            match fate {
                Fate::Refused => sender.send(Err("injected".to_owned())),
                Fate::Works => sender.send(Ok(effect(&this))),
                Fate::Unheard => {
                    effect(&this);
                    sender.send(Err("injected".to_owned()));
                }
                Fate::Late => {
                    sender.send(Err("injected".to_owned()));
                    clock.pause(GRACE - 120_000).await;
                    effect(&this);
                }
                Fate::Silent { works } => {
                    if works {
                        effect(&this);
                    }
                    clock.sleep(u64::MAX).await;
                    drop(sender);
                }
            }
        });
        let answer = receiver.await;
        executor.pause(30).await;
        answer.unwrap_or_else(|| Err("nobody answers".to_owned()))
    }

    /// The range of an object, if it is the one that was stored.
    pub async fn open(&self, part: &Part) -> Result<Vec<u8>, Error> {
        let wanted = part.clone();
        let found = self
            .call(move |store| Some((store.get(&wanted.key)?, store.range(&wanted))))
            .await
            .map_err(Error::Unavailable)?;
        let Some((stuff, range)) = found else {
            return Err(Error::Unavailable(format!("{} is not there", part.key)));
        };
        let is_same = match part.identity(stuff.body.len() as u64, &stuff.etag) {
            Identity::Same => true,
            Identity::ToVerify => part.verify(&stuff.body),
            Identity::Other => false,
        };
        if !is_same {
            return Err(Error::Storage(format!("{} is another", part.key)));
        }
        range.ok_or_else(|| Error::Storage(format!("{} is short", part.key)))
    }

    fn insert(&self, key: &str, body: Vec<u8>, content_type: String) -> Stored {
        self.0.puts.set(self.0.puts.get() + 1);
        let etag = self.etag(&body);
        let stored = (body.len() as u64, etag.clone());
        let stuff = Stuff {
            content_type,
            body,
            etag,
        };
        self.0.objects.borrow_mut().insert(key.to_owned(), stuff);
        stored
    }

    /// The bytes of a part, if its object is there.
    pub fn range(&self, part: &Part) -> Option<Vec<u8>> {
        let stuff = self.get(&part.key)?;
        let end = part.offset + part.length;
        Some(stuff.body.get(part.offset as usize..end as usize)?.to_vec())
    }
}

impl Bucket for Store {
    async fn read(&self, part: &Part) -> Result<Vec<u8>, String> {
        let range = self.open(part).await;
        range.map_err(|error| format!("{error:?}"))
    }

    async fn put(&self, key: &str, body: &[u8], content_type: &str) -> Result<Stored, String> {
        let (key, body, content_type) = (key.to_owned(), body.to_vec(), content_type.to_owned());
        self.call(move |store| store.insert(&key, body, content_type))
            .await
    }

    async fn join(
        &self,
        key: &str,
        plan: &Plan,
        size: u64,
        content_type: &str,
    ) -> Result<Stored, String> {
        let mut body = Vec::new();
        for piece in plan.pieces(false) {
            match piece {
                Piece::Text(text) => body.extend_from_slice(text),
                Piece::Part(part) => {
                    let read = part.clone();
                    let range = self.call(move |store| store.range(&read)).await?;
                    body.extend(range.ok_or_else(|| format!("{} is not there", part.key))?);
                }
                Piece::Rest => {}
            }
        }
        if body.len() as u64 != size {
            return Err(format!("{key} would have {} bytes", body.len()));
        }
        self.put(key, &body, content_type).await
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        assert!(keys.len() <= 1000);
        let half = self.0.executor.chance(self.0.trouble.get());
        self.call(move |store| {
            let all = keys.len();
            let keys = keys.into_iter().take(if half { all / 2 } else { all });
            let mut objects = store.0.objects.borrow_mut();
            for key in keys {
                objects.remove(&key);
            }
            half
        })
        .await
        .and_then(|half| {
            if half {
                Err("half of it".into())
            } else {
                Ok(())
            }
        })
    }

    async fn list(&self, prefix: &str, cursor: Option<String>) -> Result<Listed, String> {
        let prefix = prefix.to_owned();
        self.call(move |store| {
            // Few at a time, so that there are pages.
            let objects = store.0.objects.borrow();
            let after = cursor.unwrap_or_default();
            let keys = objects.keys().filter(|key| {
                let rest = key.strip_prefix(&prefix);
                rest.is_some_and(|rest| !rest.contains('/')) && **key > after
            });
            let mut keys: Vec<String> = keys.take(4).cloned().collect();
            let cursor = (keys.len() > 3)
                .then(|| keys.remove(3))
                .and(keys.last().cloned());
            Listed { keys, cursor }
        })
        .await
    }
}
