//! A run from its seed to rest, and what has to hold there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::audit;
use super::client::Reader;
use super::node::Kind;
use super::workload::{PATHS, Plan, STREAMS};
use super::world::{CLIENTS, World};
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::sse::Encoding;
use crate::stream::family::claims::RECHECK;
use crate::stream::tier::segment;

/// More turns than any run needs.
const MOST_TURNS: u64 = 4_000_000;

/// What came of a run.
pub struct Outcome {
    pub failure: Option<String>,
    pub history: Vec<String>,
    pub counts: BTreeMap<String, u64>,
}

/// Runs a plan. A run that is told writes down what happens.
pub fn run(plan: &Plan, is_told: bool) -> Outcome {
    let world = World::new(plan.seed, is_told);
    world.set_trouble(plan.trouble);
    world.set_latency(plan.latency);
    world.set_shards(plan.shards);
    world.set_park_after(plan.park_after);
    world.set_crashes_behind(plan.crashes_behind);
    let readers: Rc<RefCell<Vec<Rc<Reader>>>> = Rc::default();
    let start = world.executor().now();
    for (at, n, op) in plan.ops.clone() {
        let (this, readers) = (world.clone(), Rc::clone(&readers));
        world.executor().spawn(CLIENTS, async move {
            let clock = this.executor().clone();
            clock.sleep(start + at - clock.now()).await;
            this.count(&format!("op {}", name_of(&op)));
            this.happen(n, op, readers).await;
        });
    }
    let last = plan.ops.last().map_or(0, |(at, ..)| *at);
    pass(&world, last + 70_000);
    rest(&world, &readers);
    count_up(&world, &readers);
    world.end();
    Outcome {
        failure: world.failure(),
        history: world.history(),
        counts: world.counts(),
    }
}

fn name_of(op: &super::workload::Op) -> String {
    let text = format!("{op:?}");
    let (kind, text) = match text.strip_prefix("Deed(") {
        Some(deed) => ("Deed ", deed),
        None => ("", &*text),
    };
    let end = text.find([' ', '{', '(', ')']).unwrap_or(text.len());
    format!("{kind}{}", &text[..end])
}

/// Lets time pass.
pub fn pass(world: &World, millis: u64) {
    let until = world.executor().now() + millis;
    while world.failure().is_none() && world.executor().step(until) {
        if world.executor().turns() > MOST_TURNS {
            return world.fail("it never comes to rest".into());
        }
    }
}

/// Nothing goes wrong any more, and the variables are as they should be. Then everything can be
/// read; and after a while nothing is left that nobody needs.
fn rest(world: &World, readers: &Rc<RefCell<Vec<Rc<Reader>>>>) {
    if world.failure().is_some() {
        return;
    }
    world.note(|| "nothing goes wrong any more".into());
    world.set_trouble(0);
    world.set_latency(15);
    for node in world.nodes() {
        if node.settings.replace(0) != 0 {
            world.crash(&node);
        }
        node.database.heal();
    }
    pass(world, 130_000);
    check_ends(world, 130_000);
    read_everything(world);
    pass(world, 60_000);
    check_readers(world, readers);
    audit::settle(world);
    // Forks are asked once a day; a chain of them takes as many days.
    for _ in 0..STREAMS + 3 {
        pass(world, RECHECK + 900_000);
        check_ends(world, 3_600_000);
        // Whoever has lost an alarm is looked at when somebody comes by.
        read_everything(world);
        pass(world, 700_000);
    }
    world
        .executor()
        .spawn(CLIENTS, audit::check_list(world.clone()));
    pass(world, 60_000);
    if world.failure().is_none() {
        check_rest(world);
        audit::check_directory(world);
    }
}

fn read_everything(world: &World) {
    let done = Rc::new(RefCell::new(BTreeSet::new()));
    for path in PATHS {
        let (this, done) = (world.clone(), Rc::clone(&done));
        world.executor().spawn(CLIENTS, async move {
            let was_alive =
                this.model(|model| model.alive(path).map(|l| l.name.incarnation.clone()));
            let came_to_end = this.read_all(path).await;
            let is_alive =
                this.model(|model| model.alive(path).map(|l| l.name.incarnation.clone()));
            this.expect(
                came_to_end || was_alive.is_none() || is_alive != was_alive,
                || format!("{path} lives and cannot be read"),
            );
            done.borrow_mut().insert(path);
        });
    }
    // Copies make streams long.
    for _ in 0..20 {
        if done.borrow().len() < PATHS.len() {
            pass(world, 50_000);
        }
    }
    world.expect(
        world.failure().is_some() || done.borrow().len() == PATHS.len(),
        || "reading takes too long".into(),
    );
}

/// Every reader that is still there has everything.
fn check_readers(world: &World, readers: &Rc<RefCell<Vec<Rc<Reader>>>>) {
    for reader in &*readers.borrow() {
        let incarnation = reader.incarnation.borrow().clone();
        let Some(incarnation) = incarnation.filter(|_| !reader.is_over.get()) else {
            continue;
        };
        let (is_alive, length) = world.model(|model| {
            let life = &model.lives[&incarnation];
            // The end of text waits for what follows it.
            let held = match life.is_json {
                true => 0,
                false => Encoding::Text.held_back(&life.items.concat()) as u64,
            };
            let is_open = life.is_alive && !life.closed;
            (is_open, life.items.len() as u64 - held)
        });
        let at = reader.at.get();
        if reader.is_slow {
            continue;
        }
        world.count("reader at rest");
        world.expect(is_alive, || {
            format!(
                "reader {} waits for {} which is over",
                reader.name, reader.path
            )
        });
        // Whoever has begun within the last character is at the tail.
        let is_at_end = at == length || (at > length && at - length <= 3);
        world.expect(is_at_end, || {
            format!(
                "reader {} of {} has {at} of {length}",
                reader.name, reader.path
            )
        });
    }
}

/// A stream whose time was over so many milliseconds ago has ended, though nobody came by.
fn check_ends(world: &World, late: u64) {
    let now = world.executor().now();
    for node in world.nodes_of(Kind::Stream) {
        let expiry = node.birth().and_then(|birth| birth.expiry);
        let is_over = match expiry {
            Some(expiry @ Expiry::At { .. }) => expiry.deadline(0) + late < now,
            _ => false,
        };
        let is_kept = world.model(|model| model.is_kept(&node.path));
        world.expect(!is_over || is_kept || node.is_doubtful.get(), || {
            format!("{} is over and still there", node.path)
        });
        let due = world.model(|model| model.will_due(&node));
        let is_forgotten = node.is_doubtful.get() || node.has_lost_alarm.get();
        let is_open = due.is_some_and(|due| due + late < now);
        world.expect(!is_open || is_forgotten, || {
            format!("the will of {} was due at {due:?}", node.path)
        });
    }
}

/// The objects that are kept for forks which may have dropped them: nobody tells their sources.
fn given(world: &World) -> BTreeSet<String> {
    world.model(|model| {
        let lives = model.lives.values();
        let forks =
            lives.filter(|life| life.is_truncated() && model.is_needed(&life.name.incarnation));
        forks.flat_map(|life| life.given.clone()).collect()
    })
}

fn check_rest(world: &World) {
    let mut known = given(world);
    for node in world.nodes_of(Kind::Stream) {
        let birth = node.birth();
        let kept = world.model(|model| model.is_kept(&node.path));
        if let Some(birth) = &birth {
            let incarnation = &birth.name.incarnation;
            let is_needed = world.model(|model| model.is_needed(incarnation));
            world.expect(is_needed, || {
                format!("{} is still there, and nobody needs it", node.path)
            });
            let prefix = birth.name.prefix();
            let segments = segment::before(&&*node.database, Offset::MAX).unwrap();
            let earliest = world.model(|model| {
                let life = &model.lives[incarnation];
                if life.is_alive { life.truncated } else { 0 }
            });
            // Without an append, nobody looks for what retention lets go.
            for segment in segments {
                let end = segment.end().unwrap().position();
                world.expect(end > earliest || node.is_doubtful.get(), || {
                    format!("{} has {end} of what was dropped", node.path)
                });
                let key = segment.key(&prefix);
                let stuff = world.store().get(&key);
                let is_of_type =
                    stuff.is_some_and(|stuff| stuff.content_type == birth.content_type.as_str());
                world.expect(is_of_type, || {
                    format!(
                        "{key} is in the index of {}, and gone or of another type",
                        node.path
                    )
                });
                known.insert(key);
            }
        }
        world.expect(birth.is_some() || !kept, || {
            format!("{} is kept by nobody", node.path)
        });
        // Subscriptions may wait for a stream that is not there.
        let waiting = i64::from(!node.linked().is_empty());
        let tables = node.tables() - waiting;
        // Where an alarm could not be set before a crash, a purge waits for the next one.
        let may_wait = node.is_doubtful.get();
        world.expect(birth.is_some() || tables == 0 || may_wait, || {
            format!("{} is gone and has {tables} tables", node.path)
        });
        if birth.is_none() {
            world.expect(node.alarm.get().is_none() || may_wait, || {
                format!("{} is gone and has an alarm", node.path)
            });
        }
    }
    // Where an alarm could not be set before a crash, a job that was begun goes on when the next
    // one is due.
    let nodes = world.nodes_of(Kind::Stream);
    let doubtful = nodes.iter().filter(|node| node.is_doubtful.get());
    // Whatever the era.
    let doubtful: Vec<String> = doubtful.map(|node| format!("/{}/", node.path)).collect();
    for key in world.store().keys() {
        if doubtful.iter().any(|path| key.contains(path)) {
            continue;
        }
        world.expect(known.contains(&key), || format!("{key} is left behind"));
    }
}

/// What a run has covered.
fn count_up(world: &World, readers: &Rc<RefCell<Vec<Rc<Reader>>>>) {
    let (depth, ends, lives) = world.model(|model| {
        let depth = model.lives.values().map(|life| life.depth).max();
        (depth.unwrap_or(0), model.ends.clone(), model.lives.len())
    });
    world.count(&format!("forks {depth} deep"));
    for (how, count) in ends {
        for _ in 0..count {
            world.count(&format!("end {how}"));
        }
    }
    for _ in 0..lives {
        world.count("life");
    }
    for _ in 0..readers.borrow().len() {
        world.count("reader");
    }
}
