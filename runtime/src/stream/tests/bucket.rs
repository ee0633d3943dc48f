//! A bucket in memory for tests, on which everything can go wrong that goes wrong with a real one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use crate::protocol::part::{Identity, Part, Piece, Plan};
use crate::stream::slice::Extract;
use crate::stream::tier::upkeep::{GRACE, Job, Outcome};

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is carried out.
    None,
    /// It fails and has no effect.
    Refused,
    /// It has its effect, but the answer is lost.
    Unheard,
    /// It fails, and has its effect some time later.
    Late,
    /// It fails when half of it is done.
    Half,
    /// The machine fails before it has any effect.
    CrashBefore,
    /// The machine fails before anybody hears of it.
    CrashAfter,
}

pub fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Refused),
        1 => Just(Fault::Unheard),
        1 => Just(Fault::Late),
        1 => Just(Fault::Half),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
    ]
}

/// An object in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub content_type: String,
    pub body: Vec<u8>,
    /// How often it was copied, each time in other pieces.
    copies: u32,
}

impl Object {
    pub fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.body, self.copies).hash(&mut hasher);
        format!("{:x}", hasher.finish())
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    pub objects: BTreeMap<String, Object>,
    /// Puts that are on their way, and when they arrive.
    late: Vec<(u64, String, Object)>,
}

impl Bucket {
    /// Lets everything arrive that does so until `now`.
    pub fn advance(&mut self, now: u64) {
        let (arrived, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.late = late;
        let arrived: Vec<_> = arrived;
        self.objects
            .extend(arrived.into_iter().map(|(_, key, object)| (key, object)));
    }

    /// All objects are as if the bucket had been restored: the same, with other entity tags.
    pub fn copy(&mut self) {
        for object in self.objects.values_mut() {
            object.copies += 1;
        }
    }

    /// A byte of an object is another one, which its entity tag tells.
    pub fn damage(&mut self, key: &str, at: usize) {
        self.objects.get_mut(key).unwrap().body[at] ^= 1;
    }

    /// Carries out a job; nothing comes of it when the machine fails.
    pub fn carry_out(&mut self, job: &Job, fault: Fault, now: u64) -> Option<Outcome> {
        let outcome = match (job, fault) {
            (_, Fault::CrashBefore) => return None,
            (_, Fault::Refused) => return Some(Outcome::Failed),
            (Job::Seal(seal), _) => {
                let object = Object {
                    content_type: seal.content_type.clone(),
                    body: seal.body.clone(),
                    copies: 0,
                };
                self.put(&seal.key, object, fault, now)
            }
            (Job::Merge(merge), _) => {
                let object = Object {
                    content_type: merge.content_type.clone(),
                    body: self.assemble(&merge.plan, b"").unwrap(),
                    copies: 0,
                };
                self.put(&merge.key, object, fault, now)
            }
            (Job::Drop(_), _) => Outcome::Removed,
            (Job::Sweep(sweep), _) => self.delete(&sweep.keys, fault),
            (Job::Purge(purge), _) => {
                let keys = self.objects.keys().filter(|key| purge.concerns(key));
                let keys: Vec<_> = keys.cloned().collect();
                self.delete(&keys, fault)
            }
        };
        match fault {
            Fault::None => Some(outcome),
            Fault::CrashAfter => None,
            _ => Some(Outcome::Failed),
        }
    }

    fn put(&mut self, key: &str, object: Object, fault: Fault, now: u64) -> Outcome {
        let stored = Outcome::Stored {
            size: object.body.len() as u64,
            etag: object.etag(),
        };
        match fault {
            // Half an object is none.
            Fault::Half => {}
            Fault::Late => self.late.push((now + GRACE - 1, key.to_owned(), object)),
            _ => {
                self.objects.insert(key.to_owned(), object);
            }
        }
        stored
    }

    fn delete(&mut self, keys: &[String], fault: Fault) -> Outcome {
        let done = match fault {
            Fault::Half => keys.len() / 2,
            Fault::Late => 0,
            _ => keys.len(),
        };
        for key in &keys[..done] {
            self.objects.remove(key);
        }
        Outcome::Removed
    }

    /// What a part comes to.
    fn get(&self, part: &Part) -> Result<&[u8], String> {
        let object = self.objects.get(&part.key);
        let object = object.ok_or_else(|| format!("{} is missing", part.key))?;
        let is_same = match part.identity(object.body.len() as u64, &object.etag()) {
            Identity::Same => true,
            Identity::ToVerify => part.verify(&object.body),
            Identity::Other => false,
        };
        if !is_same {
            return Err(format!("{} is another object", part.key));
        }
        let end = part.offset + part.length;
        let range = &object.body[part.offset as usize..end as usize];
        match part.lines {
            None => Ok(range),
            Some(lines) => lines.cut(range).ok_or_else(|| "too few lines".to_owned()),
        }
    }

    /// The messages of a slice, or its single bytes.
    pub fn slice(&self, extract: &Extract) -> Result<Vec<Vec<u8>>, String> {
        let whole = |part: &Part| Part {
            lines: None,
            ..part.clone()
        };
        let parts = extract.parts.iter().map(whole);
        let cold = parts.map(|part| self.get(&part).map(<[u8]>::to_vec));
        let cold = cold.collect::<Result<Vec<_>, _>>()?;
        let text = extract.text(&cold).map_err(|error| format!("{error:?}"))?;
        if extract.slice().base64 {
            let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
            return Ok(bytes.into_iter().map(|byte| vec![byte]).collect());
        }
        let lines = text.split_inclusive('\n').map(|line| {
            let line = line.strip_suffix('\n').ok_or("a line is not ended")?;
            Ok(line.as_bytes().to_vec())
        });
        lines.collect()
    }

    /// Puts an answer together.
    pub fn assemble(&self, plan: &Plan, rest: &[u8]) -> Result<Vec<u8>, String> {
        let mut answer = Vec::new();
        for piece in plan.pieces(!rest.is_empty()) {
            answer.extend_from_slice(match piece {
                Piece::Text(text) => text,
                Piece::Part(part) => self.get(part)?,
                Piece::Rest => rest,
            });
        }
        Ok(answer)
    }
}
