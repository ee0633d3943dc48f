//! Verbs in any order, at any time, with a database that may fail. After each, what has to hold is
//! looked up in the database anew.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{HOOK, call, offset};
use crate::protocol::ask::{self, Call, Life, Told};
use crate::protocol::error::Error;
use crate::stream::tests::sqlite::Sqlite;
use crate::subscription::acks::{Said, Saying};
use crate::subscription::config::{Wanted, added};
use crate::subscription::core::Core;
use crate::subscription::links::{Book, Link, page};
use crate::subscription::manage::Birth;
use crate::subscription::record::{Key, Record, Stage, decode};
use crate::subscription::telling::{Job, Outcome};

const START: u64 = 1_700_000_000_000;
const PARK: u64 = 200_000;
const PATHS: [&str; 4] = ["events/a", "events/b", "named", "events/gone"];

struct Run<'a> {
    database: &'a Sqlite,
    core: Core<&'a Sqlite>,
    rng: Rng,
    now: u64,
    is_webhook: bool,
    jobs: Vec<Job>,
    /// Claims and wakes of which somebody knows: the id, the generation, the token.
    known: Vec<(Value, u64, String)>,
}

/// What is in the database.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    record: Record,
    links: BTreeMap<String, Link>,
}

impl Run<'_> {
    fn see(&self) -> Seen {
        self.database.observe(|database| {
            let rows = database.texts("SELECT CAST(body AS TEXT) FROM record WHERE id = 0");
            Seen {
                record: decode(rows[0][0].as_bytes()).unwrap(),
                links: page(&database, "", 100).unwrap().into_iter().collect(),
            }
        })
    }

    fn create(&mut self) {
        let body = match self.is_webhook {
            true => json!({
                "type": "webhook", "pattern": "events/*", "streams": ["named"],
                "webhook": { "url": HOOK }, "lease_ttl_ms": 5000,
            }),
            false => json!({
                "type": "pull-wake", "pattern": "events/*", "streams": ["named"],
                "wake_stream": "wake", "lease_ttl_ms": 5000,
            }),
        };
        let call: Call = ask::hear(call(&body, None, "").as_bytes()).unwrap();
        let wanted = Wanted::parse(&call.body, &call.root).unwrap();
        let birth = || {
            Ok(Birth {
                random: 1,
                key: Key::new(1, 2),
                shards: 2,
            })
        };
        let made = self.core.create(&call, wanted, birth, |_| Ok(()), self.now);
        assert_eq!(made, Ok(true));
    }

    fn step(&mut self) -> Result<(), Error> {
        let now = self.now;
        match self.rng.u32(..14) {
            0..=3 => {
                let path = self.rng.choice(PATHS).unwrap();
                let born = START + self.rng.u64(..3) * 1000;
                let tail = self.rng.u64(..9);
                let told = Told {
                    name: format!("p/{path}"),
                    life: Life {
                        born,
                        incarnation: format!("{born}-{path}"),
                    },
                    since: self.rng.u64(..=tail),
                    start: None,
                    tail,
                    ended: self.rng.u32(..6) == 0,
                    source: None,
                };
                self.core.told(&told, now).map(drop)
            }
            4 => self.core.look(now),
            5 => {
                if let Some(job) = self.core.begin(now)? {
                    let parcel = self.core.parcel(&job, now)?.unwrap();
                    let body: Value = serde_json::from_str(&parcel.body).unwrap();
                    let token = body["callback_token"].as_str().unwrap().to_owned();
                    if self.is_webhook {
                        self.known
                            .push((body["wake_id"].clone(), job.generation, token));
                    }
                    self.jobs.push(job);
                }
                Ok(())
            }
            6 if !self.jobs.is_empty() => {
                let at = self.rng.usize(..self.jobs.len());
                let job = self.jobs.swap_remove(at);
                let parcel = self.core.parcel(&job, now)?;
                let outcome = match (self.rng.u32(..3), parcel) {
                    (0, _) => Outcome::Failed("no".into()),
                    (1, Some(parcel)) if self.is_webhook => Outcome::Done(parcel.sent),
                    _ if self.is_webhook => Outcome::Accepted { since: now },
                    _ => Outcome::Announced,
                };
                let random = self.rng.u64(..1 << 32);
                self.core.finish(&job, outcome, PARK, random, now)
            }
            7 => {
                let was_asked = self.rng.bool();
                let said = self.core.claim(r#"{"worker":"w"}"#, was_asked, "", now)?;
                if let Said::Yes(Some(claimed)) = said {
                    let generation = claimed["generation"].as_u64().unwrap();
                    let token = claimed["token"].as_str().unwrap().to_owned();
                    self.known
                        .push((claimed["wake_id"].clone(), generation, token));
                }
                Ok(())
            }
            8 | 9 => {
                let Some((id, generation, token)) = self.rng.choice(&self.known).cloned() else {
                    return Ok(());
                };
                let path = self.rng.choice(PATHS).unwrap();
                let body = json!({
                    "wake_id": id, "generation": generation, "done": self.rng.bool(),
                    "acks": [{ "stream": path, "offset": offset(self.rng.u64(..9)) }],
                });
                let saying = match (self.is_webhook, self.rng.u32(..4)) {
                    (true, _) => Saying::Callback,
                    (false, 0) => Saying::Release,
                    (false, _) => Saying::Ack,
                };
                let body = body.to_string();
                let was_current = self.see().record;
                let said = self.core.say(saying, Some(&token), &body, true, now);
                if said.is_ok() {
                    assert_eq!(was_current.generation, generation, "fenced");
                }
                said.map(drop)
            }
            10 => {
                let body = json!({ "streams": [self.rng.choice(PATHS).unwrap()] });
                let paths = added(&body.to_string(), &self.see().record.root)?;
                self.core.add(&paths, now).map(drop)
            }
            11 => self.core.remove(self.rng.choice(PATHS).unwrap(), now),
            12 => self.core.retry(now),
            _ => {
                self.now += self.rng.u64(..8_000);
                if self.rng.u32(..10) == 0 {
                    // The machine fails: nobody is being told any more.
                    self.core = Core::new(self.database);
                    self.jobs.clear();
                }
                Ok(())
            }
        }
    }

    fn check(&mut self, before: &Seen) {
        let after = self.see();
        let (was, is) = (&before.record, &after.record);
        assert!(is.generation >= was.generation, "generations rise");
        assert!(is.generation <= was.generation + 2);
        let is_new = is.generation > was.generation;
        if let (true, None) = (was.wake.is_none(), &is.wake) {
            assert!(!is_new || before.links != after.links);
        }
        let lag: u64 = after.links.values().map(Link::lag).sum();
        if is.wake.is_none() {
            assert_eq!(lag, 0, "who has something pending is never at rest");
        }
        if is_new && is.wake.is_some() {
            assert!(lag > 0, "acknowledged data wakes nobody");
        }
        for (path, link) in &after.links {
            let old = before.links.get(path);
            let Some(old) = old.filter(|old| old.incarnation == link.incarnation) else {
                continue;
            };
            if link.incarnation.is_some() {
                assert!(link.acked >= old.acked, "cursors do not go back");
                assert!(link.tail >= old.tail, "tails do not go back");
            }
            assert!(link.is_gone() || link.acked <= link.tail.unwrap_or(0));
        }
        if let (false, Some(Stage::Parked)) = (self.is_webhook, is.wake.as_ref().map(|w| &w.stage))
        {
            panic!("workers are never left alone");
        }
        // Something stands for all that is to come.
        let next = self.core.next(self.now).unwrap();
        let is_parked = is
            .wake
            .as_ref()
            .is_some_and(|wake| wake.stage == Stage::Parked);
        assert!(next.is_some() || is.wake.is_none() || is_parked);
        // What is known is what is there.
        let counted = self
            .database
            .observe(|database| Book::load(&database).unwrap());
        let (_, present) = self.core.present().unwrap();
        assert_eq!(present.record, *is);
        assert_eq!(present.book, counted);
    }
}

fn play(seed: u64, is_webhook: bool) {
    let database = Sqlite::new();
    let mut run = Run {
        database: &database,
        core: Core::new(&database),
        rng: Rng::with_seed(seed),
        now: START,
        is_webhook,
        jobs: Vec::new(),
        known: Vec::new(),
    };
    run.create();
    for _ in 0..120 {
        let before = run.see();
        let fails = run.rng.u32(..8) == 0;
        if fails {
            database.fail_after(run.rng.u32(..5));
        }
        let outcome = run.step();
        let has_failed = database.heal();
        match outcome {
            Err(Error::Storage(_)) => assert!(has_failed),
            Err(Error::Subscription(_)) | Ok(()) => {}
            Err(error) => panic!("{error:?}"),
        }
        run.check(&before);
    }
}

#[test]
fn whatever_happens_everything_holds() {
    let plays = std::env::var("SIMULATIONS").ok();
    let plays = plays.map_or(40, |plays| plays.parse().unwrap());
    for seed in 0..plays {
        play(seed, true);
        play(seed, false);
    }
}
