//! Copies in any order, doubled, late and overlapping, of sources that are made anew, while the
//! machine fails at every statement: what is in the target is for each source one sequence, without
//! gaps and doubles.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::copy_tests::life;
use super::simulation::{ROWS, items_of};
use super::sqlite::Sqlite;
use super::{KEY, creation, named};
use crate::protocol::ask::{Copied, Copy, CopyPart, Fed, Life, OfSubscription};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::request::{Append, Read, ReadFrom};
use crate::stream::Stream;

const PATHS: usize = 3;

#[derive(Clone, Debug)]
struct Part {
    path: usize,
    /// Whether it is of the stream that was there before.
    is_late: bool,
    /// How far it is from where it should start.
    shift: i64,
    length: u64,
}

#[derive(Clone, Debug)]
enum Op {
    Copy {
        subscription: usize,
        parts: Vec<Part>,
        fails: Option<u32>,
    },
    /// One that was sent before comes once more.
    Again(usize, Option<u32>),
    /// A source is made anew.
    Anew(usize),
    /// A source is removed from a subscription, and added further on.
    AddAgain(usize, usize, u64),
    /// A subscription is made anew, or asks again.
    Feed(usize, bool, Option<u32>),
    /// A subscription is deleted, or one that was before it.
    Unfeed(usize, bool, Option<u32>),
    /// A client appends.
    Append,
    Restart,
    /// The target is deleted, and made anew.
    Replace(Option<u32>),
}

fn any_op() -> impl Strategy<Value = Op> {
    let fails = || proptest::option::weighted(0.2, 0u32..6);
    let shift = prop_oneof![6 => Just(0), 1 => -3i64..4];
    let part = (0..PATHS, proptest::bool::weighted(0.1), shift, 0u64..5);
    let part = part.prop_map(|(path, is_late, shift, length)| Part {
        path,
        is_late,
        shift,
        length,
    });
    let parts = proptest::collection::vec(part, 1..5);
    prop_oneof![
        20 => (0usize..2, parts, fails())
            .prop_map(|(subscription, parts, fails)| Op::Copy { subscription, parts, fails }),
        8 => (0usize..9, fails()).prop_map(|(back, fails)| Op::Again(back, fails)),
        2 => (0..PATHS).prop_map(Op::Anew),
        1 => (0usize..2, 0..PATHS, 0u64..4).prop_map(|(s, path, ahead)| Op::AddAgain(s, path, ahead)),
        2 => (0usize..2, proptest::bool::weighted(0.3), fails())
            .prop_map(|(s, is_new, fails)| Op::Feed(s, is_new, fails)),
        1 => (0usize..2, any::<bool>(), fails())
            .prop_map(|(s, is_older, fails)| Op::Unfeed(s, is_older, fails)),
        2 => Just(Op::Append),
        2 => Just(Op::Restart),
        1 => fails().prop_map(Op::Replace),
    ]
}

/// A source of a subscription: both with the life they are in.
type Key = (usize, u64, usize, u64);

struct Bench<'a> {
    database: &'a Sqlite,
    stream: Stream<&'a Sqlite>,
    target: u64,
    /// The life of each source, and of each subscription.
    sources: [u64; PATHS],
    subscriptions: [u64; 2],
    /// Where the interest in a source starts.
    since: BTreeMap<Key, u64>,
    sent: Vec<(Copy, Vec<u8>)>,
    // What the target is to hold.
    fed: BTreeMap<usize, u64>,
    reached: BTreeMap<Key, u64>,
    items: Vec<String>,
}

type Outcome<T = ()> = Result<T, TestCaseError>;

fn path(at: usize) -> String {
    format!("chat/{at}")
}

fn number(life: &Life) -> u64 {
    life.born
}

impl<'a> Bench<'a> {
    fn new(database: &'a Sqlite) -> Self {
        let mut bench = Self {
            database,
            stream: Stream::with_limits(database, ROWS),
            target: 0,
            sources: [1; PATHS],
            subscriptions: [1; 2],
            since: BTreeMap::new(),
            sent: Vec::new(),
            fed: BTreeMap::new(),
            reached: BTreeMap::new(),
            items: Vec::new(),
        };
        bench.create();
        bench
    }

    fn create(&mut self) {
        self.target += 1;
        let create = creation("application/json");
        let name = named("p/target", &life(self.target).incarnation);
        self.stream
            .create(&create, None, b"", name, KEY, self.target)
            .unwrap();
        self.fed.clear();
        self.reached.clear();
        self.items.clear();
    }

    fn key(&self, subscription: usize, path: usize) -> Key {
        let life = self.subscriptions[subscription];
        (subscription, life, path, self.sources[path])
    }

    fn at(&self, key: Key) -> u64 {
        let since = self.since.get(&key).copied().unwrap_or(0);
        self.reached.get(&key).copied().unwrap_or(0).max(since)
    }

    /// A copy as it is sent.
    fn copy(&self, subscription: usize, parts: &[Part]) -> (Copy, Vec<u8>) {
        let mut content = Vec::new();
        let mut ends = BTreeMap::new();
        let mut sent = Vec::new();
        for part in parts {
            let mut key = self.key(subscription, part.path);
            key.3 = key.3.saturating_sub(u64::from(part.is_late)).max(1);
            let end = ends.get(&key).copied();
            let behind = end.unwrap_or_else(|| self.at(key));
            let behind = behind.saturating_add_signed(part.shift);
            let to = behind + part.length;
            ends.insert(key, to);
            let text: String = (behind..to).map(|at| message(key, at) + "\n").collect();
            content.extend_from_slice(text.as_bytes());
            sent.push(CopyPart {
                path: path(part.path),
                life: life(key.3),
                since: self.since.get(&key).copied().unwrap_or(0),
                behind,
                to,
                length: text.len(),
                base64: false,
            });
        }
        let copy = Copy {
            subscription: subscription.to_string(),
            life: life(self.subscriptions[subscription]),
            target: life(self.target),
            parts: sent,
        };
        (copy, content)
    }

    /// What is to come of a copy.
    fn expect(&mut self, copy: &Copy) -> Copied {
        let subscription: usize = copy.subscription.parse().unwrap();
        if number(&copy.target) != self.target {
            return Copied::Gone;
        }
        let own = number(&copy.life);
        if self.fed.get(&subscription) != Some(&own) {
            return Copied::NotFed;
        }
        let mut at = Vec::new();
        for part in &copy.parts {
            let path = (0..PATHS).find(|at| self::path(*at) == part.path).unwrap();
            let key = (subscription, own, path, number(&part.life));
            let later = (subscription, own, path, key.3 + 1)..=(subscription, own, path, u64::MAX);
            if self.reached.range(later).next().is_some() {
                at.push(part.to);
                continue;
            }
            let known = self.reached.get(&key).copied();
            let start = known.unwrap_or(part.since).max(part.since);
            if start != part.behind || part.to <= start {
                at.push(start);
                continue;
            }
            let new = (part.behind..part.to).map(|at| message(key, at));
            self.items.extend(new);
            self.reached.insert(key, part.to);
            at.push(part.to);
        }
        Copied::Yes { at, pause: 0 }
    }

    fn send(&mut self, (copy, content): &(Copy, Vec<u8>), fails: Option<u32>) -> Outcome {
        let before = (self.reached.clone(), self.items.clone());
        let expected = self.expect(copy);
        let new = self.items.len() - before.1.len();
        let outcome = self.failing(fails, |stream| stream.copy(copy, content, 0))?;
        match outcome {
            Some(outcome) => {
                prop_assert_eq!(outcome.answer, expected);
                let count = outcome.appended.map_or(0, |appended| appended.count);
                prop_assert_eq!(count, new as u64);
            }
            None => (self.reached, self.items) = before,
        }
        Ok(())
    }

    /// Runs a verb while the machine may fail; nothing if it has.
    fn failing<T>(
        &mut self,
        fails: Option<u32>,
        verb: impl FnOnce(&mut Stream<&'a Sqlite>) -> Result<T, Error>,
    ) -> Outcome<Option<T>> {
        if let Some(statements) = fails {
            self.database.fail_after(statements);
        }
        let outcome = verb(&mut self.stream);
        let has_failed = self.database.heal();
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Error::Storage(_)) if has_failed => Ok(None),
            Err(error) => Err(TestCaseError::fail(error.to_string())),
        }
    }

    fn run(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Copy {
                subscription,
                parts,
                fails,
            } => {
                let sent = self.copy(*subscription, parts);
                self.send(&sent, *fails)?;
                self.sent.push(sent);
            }
            Op::Again(back, fails) => {
                if let Some(sent) = self.sent.iter().rev().nth(*back).cloned() {
                    self.send(&sent, *fails)?;
                }
            }
            Op::Anew(path) => self.sources[*path] += 1,
            Op::AddAgain(subscription, path, ahead) => {
                let key = self.key(*subscription, *path);
                let since = self.at(key) + ahead;
                self.since.insert(key, since);
            }
            Op::Feed(subscription, is_new, fails) => {
                self.subscriptions[*subscription] += u64::from(*is_new);
                self.feed(*subscription, *fails)?;
            }
            Op::Unfeed(subscription, is_older, fails) => {
                let born = self.subscriptions[*subscription] - u64::from(*is_older);
                let unfeed = OfSubscription {
                    subscription: subscription.to_string(),
                    life: life(born),
                };
                // Whether it was done is not known when it has failed: it is asked for again.
                let unfed = self.failing(*fails, |stream| stream.unfeed(&unfeed, 0))?;
                let unfed = match unfed {
                    Some(unfed) => Some(unfed),
                    None => self.failing(None, |stream| stream.unfeed(&unfeed, 0))?,
                };
                let is_known = self.fed.get(subscription).is_some_and(|fed| *fed <= born);
                if unfed.is_some() && is_known {
                    self.unfed(*subscription);
                }
                if unfed.is_some() && !is_older {
                    // Whoever has that name from now on is another one.
                    self.subscriptions[*subscription] += 1;
                }
            }
            Op::Append => {
                let append = Append {
                    content_type: ContentType::parse("application/json"),
                    close: false,
                    producer: None,
                    seq: None,
                    if_match: None,
                };
                self.stream.append(&append, b"[\"x\"]", 0).unwrap();
                self.items.push("\"x\"".into());
            }
            Op::Restart => self.stream = Stream::with_limits(self.database, ROWS),
            Op::Replace(fails) => {
                if self.failing(*fails, |stream| stream.delete(0))?.is_some() {
                    self.create();
                }
            }
        }
        self.check()
    }

    fn feed(&mut self, subscription: usize, fails: Option<u32>) -> Outcome {
        let born = self.subscriptions[subscription];
        let feed = OfSubscription {
            subscription: subscription.to_string(),
            life: life(born),
        };
        let fed = match self.failing(fails, |stream| stream.feed(&feed, 0))? {
            Some(fed) => Some(fed),
            None => self.failing(None, |stream| stream.feed(&feed, 0))?,
        };
        if let Some(fed) = fed {
            let is_fed =
                matches!(fed, Fed::Yes { life: target, .. } if target == life(self.target));
            prop_assert!(is_fed);
            if self.fed.get(&subscription) != Some(&born) {
                self.unfed(subscription);
                self.fed.insert(subscription, born);
            }
        }
        Ok(())
    }

    fn unfed(&mut self, subscription: usize) {
        self.fed.remove(&subscription);
        self.reached.retain(|key, _| key.0 != subscription);
    }

    fn check(&mut self) -> Outcome {
        let mut read = |from| {
            let read = Read {
                from,
                live: None,
                cursor: None,
                if_none_match: None,
            };
            let page = self.stream.read(&read, 1 << 20, 0).unwrap();
            items_of(&page.body, true)
        };
        let items = read(ReadFrom::At(Offset::START));
        let items: Vec<_> = items
            .into_iter()
            .map(|it| String::from_utf8(it).unwrap())
            .collect();
        prop_assert_eq!(&items, &self.items);
        prop_assert_eq!(self.stream.is_target(), !self.fed.is_empty());
        // Whatever the model says.
        let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
        for item in items.iter().filter(|item| *item != "\"x\"") {
            let (of, at) = item.trim_matches('"').rsplit_once('.').unwrap();
            let at: u64 = at.parse().unwrap();
            let key: Vec<u64> = of.split('.').map(|part| part.parse().unwrap()).collect();
            let key = (key[0] as usize, key[1], key[2] as usize, key[3]);
            let end = ends.insert(of, at + 1);
            let is_next = at == end.unwrap_or(0);
            // Where nothing was asked for, there may be something missing.
            let is_moved = self.since.get(&key).is_some_and(|since| at <= *since);
            prop_assert!(
                is_next || is_moved && end.is_none_or(|end| at > end),
                "{}",
                item
            );
        }
        Ok(())
    }

    /// In the end everybody goes on where the target says, and everything comes.
    fn rest(&mut self) -> Outcome {
        for subscription in 0..2 {
            self.feed(subscription, None)?;
            for path in 0..PATHS {
                let key = self.key(subscription, path);
                let mut at = 0;
                for _ in 0..3 {
                    let part = Part {
                        path,
                        is_late: false,
                        shift: 0,
                        length: 0,
                    };
                    let (mut copy, _) = self.copy(subscription, &[part]);
                    let text = message(key, at) + "\n";
                    (copy.parts[0].behind, copy.parts[0].to) = (at, at + 1);
                    copy.parts[0].length = text.len();
                    let expected = self.at(key);
                    self.send(&(copy, text.into_bytes()), None)?;
                    prop_assert!(self.at(key) >= expected.max(at));
                    at = self.at(key);
                }
                prop_assert!(self.reached[&key] >= 1);
            }
        }
        self.check()
    }
}

/// What a source holds behind a position, as a subscription copies it.
fn message((subscription, life, path, source): Key, at: u64) -> String {
    format!("\"{subscription}.{life}.{path}.{source}.{at}\"")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_message_comes_once_and_in_order(
        ops in proptest::collection::vec(any_op(), 1..60),
    ) {
        let database = Sqlite::new();
        let mut bench = Bench::new(&database);
        bench.feed(0, None)?;
        bench.feed(1, None)?;
        for op in &ops {
            bench.run(op)?;
        }
        bench.rest()?;
    }
}
