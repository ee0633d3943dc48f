//! Whatever happens on the way from sources to their target, and in whatever order: of each stream
//! everything is copied once, in its order.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::copy_tests::{copy, streams};
use super::copying::NAME;
use super::world::{Slot, World};
use crate::protocol::ask::Told;

const PATHS: [&str; 4] = ["a", "b", "s/1", "s/2"];
const QUESTIONS: [&str; 3] = ["copy", "feed", "link"];

struct Run {
    world: World,
    rng: Rng,
    /// Who waits for an answer, or would hear it late.
    waiting: Vec<(String, Told, u64, Slot)>,
}

impl Run {
    fn path(&mut self) -> &'static str {
        self.rng.choice(PATHS).unwrap()
    }

    fn question(&mut self) -> &'static str {
        self.rng.choice(QUESTIONS).unwrap()
    }

    fn step(&mut self) {
        let path = self.path();
        match self.rng.u32(..24) {
            0..=4 => self.world.append(path, self.rng.u64(1..4)),
            5..=9 => self.tell(path),
            10..=12 => self.answer(),
            13 => self.world.run(self.rng.u64(..200)),
            14 => self.world.run(self.rng.u64(..20_000)),
            15 => {
                let question = self.question();
                let kind = match self.rng.u32(..3) {
                    0 => &self.world.failing,
                    1 => &self.world.losing,
                    _ => &self.world.held,
                };
                kind.borrow_mut().insert(question);
            }
            16 => self.heal(),
            17 => self.world.crash(),
            18 => {
                let at = self.world.waits.get() + self.rng.u64(1..9);
                self.world.fails_at.set(Some(at));
            }
            // A source comes into memory, and guesses or does not.
            19 => {
                let guess = self.rng.bool().then(|| self.rng.u64(..9));
                self.world.change(path, |stream| {
                    stream.source.at = None;
                    stream.source.guess = guess.map(|guess| guess.min(stream.tail));
                });
            }
            20 => {
                self.world
                    .begin("remove", super::world::call(&Value::Null, None, path));
                self.world.settle();
            }
            21 => {
                let body = json!({ "streams": [path] });
                self.world.begin("add", super::world::call(&body, None, ""));
                self.world.settle();
            }
            22 => self
                .world
                .change("inbox", |stream| stream.target.fed.clear()),
            _ => {
                if self.world.stream(path).life.is_some() && self.rng.bool() {
                    self.end(path);
                }
            }
        }
    }

    /// One is told of at a time, as a stream does.
    fn tell(&mut self, path: &str) {
        if self.waiting.iter().any(|(other, ..)| other == path) && self.rng.u32(..4) > 0 {
            return;
        }
        if !self
            .world
            .streams
            .borrow()
            .contains_key(&format!("p/{path}"))
        {
            return;
        }
        let most = self.rng.u64(1..6);
        self.world.change(path, |stream| stream.source.most = most);
        if self.world.telling(path).is_none() {
            return;
        }
        let renewed = self.world.stream(path).source.renewed;
        // Who tells again has given up to hear what comes of the first time.
        self.waiting.retain(|(other, ..)| other != path);
        let (told, slot) = self.world.begin_telling(path);
        self.world.settle();
        self.waiting.push((path.to_owned(), told, renewed, slot));
    }

    /// An answer arrives, or never does.
    fn answer(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.waiting.len());
        let (path, told, renewed, slot) = self.waiting.swap_remove(at);
        let stream = self.world.stream(&path);
        // Who was linked meanwhile is not let go by what was asked before.
        let is_same = stream.life == Some(told.life) && stream.source.renewed == renewed;
        if is_same && self.rng.u32(..8) > 0 {
            let _ = self.world.is_answered(&path, slot.get());
        }
    }

    /// The stream has another life after it.
    fn end(&mut self, path: &str) {
        let stream = self.world.stream(path);
        self.heal();
        self.world.run(10);
        let life = stream.life.unwrap();
        self.world.change(path, |stream| stream.life = None);
        let name = format!("p/{path}");
        let is_linked = !self.world.stream(path).links.is_empty();
        while is_linked && !self.world.told(&name, life.clone(), 0, stream.tail, true) {}
        self.world.append(path, 1);
    }

    fn heal(&self) {
        for kind in [&self.world.failing, &self.world.losing, &self.world.held] {
            kind.borrow_mut().clear();
        }
        self.world.fails_at.set(None);
    }

    /// What is in the target of each stream, by its incarnation.
    fn copied(&self) -> BTreeMap<(String, String), Vec<u64>> {
        let mut copied: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for path in PATHS {
            for (incarnation, position) in self.world.copies_of("inbox", path) {
                let of = copied.entry((path.to_owned(), incarnation)).or_default();
                of.push(position);
            }
        }
        copied
    }

    fn check(&self) {
        for (of, positions) in self.copied() {
            let count = positions.len() as u64;
            assert_eq!(positions, (1..=count).collect::<Vec<_>>(), "{of:?}");
        }
    }

    fn finish(&mut self) {
        self.heal();
        self.world.run(120_000);
        for path in PATHS {
            let body = json!({ "streams": [path] });
            let added = self.world.call("add", &body);
            assert_eq!(added.0, 204, "{added:?}");
            self.world.append(path, 1);
            for _ in 0..5 {
                // The first one may find that the target has lost its link.
                self.world.change(path, |stream| stream.source.guess = None);
                self.world.tell_all(path);
            }
            assert!(self.world.stream(path).links.contains_key(NAME));
            let tail = self.world.stream(path).tail;
            let all: Vec<u64> = (1..=tail).collect();
            assert_eq!(self.world.copied("inbox", path), all, "{path}");
            assert_eq!(self.world.cursor(path).unwrap().1, tail);
        }
        assert_eq!(self.world.get()["status"], "active");
    }
}

fn play(seed: u64) {
    let world = streams();
    world.append("s/1", 3);
    world.append("a", 3);
    world.run(10);
    let body = copy(&json!({ "streams": ["a", "b"], "pattern": "s/*", "from": "start" }));
    world.put(&body);
    let mut run = Run {
        world,
        rng: Rng::with_seed(seed),
        waiting: Vec::new(),
    };
    for path in PATHS {
        run.world.append(path, 1);
    }
    for _ in 0..120 {
        run.step();
        run.check();
    }
    run.finish();
    run.check();
}

#[test]
fn everything_is_copied_once_and_in_order() {
    let plays = std::env::var("SIMULATIONS").ok();
    let plays = plays.map_or(60, |plays| plays.parse().unwrap());
    for seed in 0..plays {
        let outcome = std::panic::catch_unwind(|| play(seed));
        if let Err(error) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(error);
        }
    }
}
