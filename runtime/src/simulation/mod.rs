//! The whole server in a world where everything fails: many objects, a bucket, clients, one clock
//! and one seed.
//!
//! | file | what it knows |
//! |---|---|
//! | [`executor`] | tasks in an order that the seed says, on a clock that jumps |
//! | [`workload`] | what happens in a run |
//! | [`deeds`], [`copy_deeds`] | what is done to subscriptions and the directory |
//! | [`world`] | machines, their alarms and how they fail |
//! | [`messages`] | what is between them |
//! | [`node`], [`ports`] | an object on its machine, and its ports |
//! | [`store`] | the bucket |
//! | [`desk`] | an edge's ports |
//! | [`client`] | clients |
//! | [`own`], [`own_deeds`] | code of the worker's own |
//! | [`pipes`] | what it pipes into streams |
//! | [`subscriber`], [`worker`], [`receiver`] | clients of subscriptions, and who is woken |
//! | [`keys`] | what webhooks are signed with |
//! | [`model`] | what streams are, as clients may believe |
//! | [`ledger`], [`stored`] | what subscriptions are, and what is stored of them |
//! | [`copies`], [`copy_content`] | what was copied, and what has to be |
//! | [`inspect`] | what is shown of a stream |
//! | [`run`], [`audit`], [`copy_audit`] | a run, and what has to hold at its end |
//!
//! A run that fails prints its seed, as few of its operations as still fail, and what happened.
//! `SIMULATIONS` is the number of runs, `SEED` the first of them, or, with `SIMULATIONS=1`, the
//! only one. `FAILURES` is how many of them may fail before it ends; with more than three, they are
//! only named.

mod audit;
mod client;
mod copies;
mod copy_audit;
mod copy_content;
mod copy_deeds;
mod deeds;
mod desk;
pub(crate) mod executor;
mod inspect;
pub(crate) mod keys;
mod ledger;
mod messages;
mod model;
mod node;
mod own;
mod own_deeds;
mod pipes;
mod ports;
mod receiver;
mod run;
pub mod store;
mod stored;
mod subscriber;
mod worker;
mod workload;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use run::run;
use workload::Plan;

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

/// What a failure is about, whatever it befalls.
fn kind_of(failure: Option<String>) -> Vec<String> {
    let failure = failure.unwrap_or_default();
    let is_name = |word: &&str| !word.contains(|c: char| c.is_ascii_digit() || "/\"".contains(c));
    let words = failure.split_whitespace().filter(is_name).take(12);
    words.map(str::to_owned).collect()
}

/// As few operations as still fail in the same way.
fn shrink(plan: Plan) -> Plan {
    let mut plan = plan;
    let kind = kind_of(run(&plan, false).failure);
    let mut step = plan.ops.len().div_ceil(2);
    let mut tries = 0;
    while step > 0 {
        let mut at = 0;
        while at < plan.ops.len() && tries < 400 {
            let mut less = plan.clone();
            less.ops.drain(at..(at + step).min(plan.ops.len()));
            tries += 1;
            let failure = run(&less, false).failure;
            if failure.is_some() && kind_of(failure) == kind {
                plan = less;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    plan
}

/// Everything a person needs to understand a failure.
fn report(seed: u64) -> String {
    let whole = Plan::of(seed);
    let plan = shrink(whole.clone());
    let outcome = run(&plan, true);
    let mut report = format!(
        "SEED={seed} fails: {}\nwith {} of {} operations:\n",
        outcome.failure.unwrap_or_default(),
        plan.ops.len(),
        whole.ops.len()
    );
    for (at, n, op) in &plan.ops {
        let _ = writeln!(report, "{at:>8} ms [{n}] {op:?}");
    }
    for line in outcome.history {
        let _ = writeln!(report, "{line}");
    }
    report
}

#[test]
fn everything_fails_and_nothing_is_lost() {
    let runs = number("SIMULATIONS", 2000);
    let first = number("SEED", 1);
    let next = Mutex::new(first);
    let counts: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let failed: Mutex<Vec<u64>> = Mutex::default();
    let machines = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..machines {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut next = next.lock().unwrap();
                        let most = number("FAILURES", 3) as usize;
                        if *next >= first + runs || failed.lock().unwrap().len() >= most {
                            return;
                        }
                        *next += 1;
                        *next - 1
                    };
                    let outcome = run(&Plan::of(seed), false);
                    if let Some(what) = outcome.failure {
                        println!("SEED={seed} fails: {what}");
                        failed.lock().unwrap().push(seed);
                    }
                    let mut counts = counts.lock().unwrap();
                    for (what, count) in outcome.counts {
                        *counts.entry(what).or_default() += count;
                    }
                }
            });
        }
    });
    println!("{runs} runs:");
    for (what, count) in counts.into_inner().unwrap() {
        println!("{count:>9} {what}");
    }
    let failed = failed.into_inner().unwrap();
    if number("FAILURES", 3) > 3 {
        assert!(failed.is_empty(), "{} runs fail", failed.len());
    }
    if let Some(seed) = failed.iter().min() {
        panic!("{}", report(*seed));
    }
}

#[test]
fn a_seed_says_everything() {
    let once = run(&Plan::of(7), true);
    let twice = run(&Plan::of(7), true);
    assert_eq!(once.history, twice.history);
    assert_eq!(once.counts, twice.counts);
}
