//! Whatever comes in: valid examples that were changed at random, and noise, for everything that
//! reads what somebody else has written.
//!
//! | file | what is fed |
//! |---|---|
//! | [`noise`] | examples, and how they are changed |
//! | [`values`] | values of headers and parameters, to whoever parses them |
//! | [`bodies`] | bodies in JSON, and data that is sent as events |
//! | [`tokens`] | JSON Web Tokens |
//! | [`roots`] | what is asked of roots: routes, ids, where webhooks may go |
//! | [`records`] | what is stored, and what edges and objects say to each other |
//! | [`requests`] | whole requests, to an edge with objects behind it |
//!
//! Each case has a seed of its own, and one that fails prints it. `FUZZ_RUNS` is the number of cases
//! of each subject; with `FUZZ_SECONDS`, each is fed for so long. `SEED` is the first.

mod bodies;
mod noise;
mod records;
mod requests;
mod roots;
mod tokens;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use noise::Noise;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Feeds a subject: `runs` cases, unless the environment says otherwise.
fn feed(subject: &str, runs: u64, case: impl Fn(&mut Noise)) {
    let runs = number("FUZZ_RUNS").unwrap_or(runs);
    let time = number("FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("SEED").unwrap_or(1);
    let started = Instant::now();
    let mut done = 0;
    while time.map_or(done < runs, |time| started.elapsed() < time) {
        let seed = first + done;
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut Noise::new(seed))));
        if let Err(panic) = outcome {
            eprintln!("fuzz::{subject} fails with SEED={seed} FUZZ_RUNS=1");
            resume_unwind(panic);
        }
        done += 1;
    }
    println!("fuzz::{subject}: {done} cases in {:.1?}", started.elapsed());
}
