//! Subscriptions while the runtime is killed again and again, and receivers and workers fail a third
//! of the time: each message is processed at least once and in order, and nothing is stuck at the end.
//!
//! `CHAOS_SECONDS` says how long writers write, and `CHAOS_SEED` where chance starts. With `CHAOS_URL`
//! it is a server elsewhere, which nobody kills.

pub mod chance;
pub mod killed;
mod ledger;
mod receiver;
mod wake;
mod worker;
mod writer;

use std::env;
use std::fmt::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use durable_streams_tests::http::{Call, Client};
use durable_streams_tests::say;
use durable_streams_tests::server::Vars;
use durable_streams_tests::stream::Stream;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use chance::Chance;
use killed::{Killed, is_unreachable};
use ledger::Ledger;
use receiver::Receiver;

const WRITERS: u64 = 8;
const FLOWS: u64 = 4;
const WORKERS: u64 = 2;
const LEASE: u32 = 1500;
const VARS: Vars = &[("DEV", "1"), ("LONG_POLL_TIMEOUT_MS", "2000")];

/// The longest time between two attempts is a minute, and a fifth more; then there are a lease and
/// the work itself.
const BOUND: Duration = Duration::from_secs(90);

/// What everybody shares.
#[derive(Debug)]
struct Run {
    seed: u64,
    client: Client,
    ledger: Ledger,
    phase: AtomicU8,
}

/// Writers write, and everything fails.
const STORMY: u8 = 0;
/// Nobody writes, and nothing fails any more.
const CALM: u8 = 1;
const ENDED: u8 = 2;

/// A subscription of the run.
#[derive(Debug)]
struct Subscription {
    number: usize,
    id: String,
    about: About,
}

/// Which streams a subscription is about.
#[derive(Debug)]
enum About {
    All,
    Flow(u64),
    Named(Vec<String>),
}

impl About {
    fn is_about(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Flow(flow) => path.starts_with(&format!("flow-{flow}/")),
            Self::Named(paths) => paths.iter().any(|named| named == path),
        }
    }

    fn config(&self) -> Value {
        match self {
            Self::All => json!({ "pattern": "*/*" }),
            Self::Flow(flow) => json!({ "pattern": format!("flow-{flow}/**") }),
            Self::Named(paths) => json!({ "streams": paths }),
        }
    }
}

impl Run {
    /// Writers stop.
    fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= CALM
    }

    /// Workers fail.
    fn is_failing(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STORMY
    }

    /// Workers stop.
    fn has_ended(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= ENDED
    }

    /// The path of a writer's stream.
    fn stream(&self, writer: u64, round: u64) -> String {
        format!("flow-{}/s{writer}-{round}", writer % FLOWS)
    }

    /// A request about subscriptions.
    fn control(&self, method: Method, path: &str) -> Call {
        let path = format!("/v1/stream/__ds/subscriptions/{path}");
        self.client.call(method, &path)
    }

    /// Keeps what went wrong with a worker, unless it is that the server was killed.
    fn note(&self, error: &Error) {
        let is_unfinished = error.chain().any(|cause| cause.is::<std::io::Error>());
        if !is_unreachable(error) && !is_unfinished {
            self.ledger.broke(format!("{error:#}"));
        }
    }
}

/// A variable of the environment that is a number.
pub fn number(name: &str, otherwise: u64) -> Result<u64> {
    match env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name}: {value}")),
        Err(_) => Ok(otherwise),
    }
}

#[test]
fn killing_the_runtime_loses_no_wake() -> Result<()> {
    let seconds = number("CHAOS_SECONDS", 24)?;
    let seed = number("CHAOS_SEED", u64::from(std::process::id()))?;
    // A short run has its kills, too.
    let (least, more) = if seconds < 60 {
        (4000, 4000)
    } else {
        (5000, 10_000)
    };
    let mut killed = match env::var("CHAOS_URL") {
        Ok(_) => None,
        Err(_) => Some(Killed::start("chaos-state", VARS)?),
    };
    let base = match &killed {
        Some(killed) => killed.base(),
        None => env::var("CHAOS_URL")?,
    };
    let run = Run {
        seed,
        client: Client::new(&base),
        ledger: Ledger::default(),
        phase: AtomicU8::new(STORMY),
    };
    let receivers = (0..4).map(|_| Receiver::bind());
    let receivers: Vec<Receiver> = receivers.collect::<Result<_>>()?;
    let subscriptions = subscribe(&run, &receivers)?;

    let mut kills = 0;
    let drained = thread::scope(|scope| {
        let (by_webhook, by_pull) = subscriptions.split_at(receivers.len());
        for (of, receiver) in by_webhook.iter().zip(&receivers) {
            scope.spawn(|| receiver.serve(scope, &run, of));
        }
        for of in by_pull {
            for worker in 0..WORKERS {
                let run = &run;
                scope.spawn(move || worker::work(run, of, &wakes_of(of.number), worker));
            }
        }
        let run = &run;
        let write = |writer| move || writer::write(run, writer);
        let writers: Vec<_> = (0..WRITERS).map(|one| scope.spawn(write(one))).collect();
        let mut storm = || -> Result<()> {
            let mut chance = Chance::new(seed, 3000);
            let end = Instant::now() + Duration::from_secs(seconds);
            loop {
                let wait = Duration::from_millis(least + chance.below(more));
                thread::sleep(wait.min(end.saturating_duration_since(Instant::now())));
                if Instant::now() >= end {
                    return Ok(());
                }
                if let Some(killed) = &mut killed {
                    killed.kill()?;
                    kills += 1;
                }
            }
        };
        let stormed = storm();
        run.phase.store(CALM, Ordering::Relaxed);
        let written = writers.into_iter().map(|writer| writer.join());
        let written: Vec<_> = written.collect();
        let drained = stormed.and_then(|()| drain(run, &subscriptions));
        run.phase.store(ENDED, Ordering::Relaxed);
        for writer in written {
            writer.ok().context("a writer panicked")??;
        }
        drained
    });
    let table = report(&run, &subscriptions, kills, seconds)?;
    say(&table);
    let drained = drained.with_context(|| table.clone())?;
    say(&format!(
        "all was processed {drained:?} after the last message"
    ));
    let broken = std::mem::take(&mut run.ledger.book().broken);
    ensure!(broken.is_empty(), "seed {seed}: {broken:#?}");
    killed.map_or(Ok(()), Killed::stop)
}

fn wakes_of(number: usize) -> String {
    format!("wakes-{number}")
}

/// Four by webhook, and then four by pull: each kind has one for everything.
fn subscribe(run: &Run, receivers: &[Receiver]) -> Result<Vec<Subscription>> {
    let first = (0..WRITERS).map(|writer| run.stream(writer, 0)).collect();
    let about = [
        About::All,
        About::Flow(0),
        About::Flow(1),
        About::Flow(2),
        About::All,
        About::Flow(1),
        About::Flow(3),
        About::Named(first),
    ];
    let mut subscriptions = Vec::new();
    for (number, about) in about.into_iter().enumerate() {
        let mut config = about.config();
        config["lease_ttl_ms"] = json!(LEASE);
        if let Some(receiver) = receivers.get(number) {
            config["type"] = json!("webhook");
            config["webhook"] = json!({ "url": receiver.url()? });
        } else {
            Stream::create(&run.client, &wakes_of(number), JSON)?;
            config["type"] = json!("pull-wake");
            config["wake_stream"] = json!(wakes_of(number));
        }
        let id = format!("chaos:{number}");
        let put = run.control(Method::PUT, &id);
        put.send_bytes(config.to_string().as_bytes())?.expect(201)?;
        subscriptions.push(Subscription { number, id, about });
    }
    Ok(subscriptions)
}

/// Waits until all is processed, and gives how long that took.
fn drain(run: &Run, subscriptions: &[Subscription]) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let left: Vec<usize> = {
            let book = run.ledger.book();
            let left = |of: &Subscription| book.left(of.number, |path| of.about.is_about(path));
            subscriptions.iter().map(left).collect()
        };
        if left.iter().all(|left| *left == 0) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > BOUND {
            let mut stuck = String::new();
            for (of, left) in subscriptions
                .iter()
                .zip(&left)
                .filter(|(_, left)| **left > 0)
            {
                let seen = run.control(Method::GET, &of.id).send()?;
                writeln!(stuck, "{} has {left} left: {}", of.id, short(&seen.text()))?;
            }
            ensure!(false, "after {BOUND:?} some is not processed:\n{stuck}");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A subscription without its streams, which may be many.
fn short(text: &str) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    document["streams"] = json!("…");
    document.to_string()
}

fn report(run: &Run, of: &[Subscription], kills: usize, seconds: u64) -> Result<String> {
    let book = run.ledger.book();
    let mut table = format!(
        "seed {}: {kills} kills in {seconds} s, {} streams, {} messages\n",
        run.seed,
        book.written.len(),
        book.written.values().map(Vec::len).sum::<usize>(),
    );
    writeln!(
        table,
        "{:<10} {:>9} {:>9} {:>8} {:>7} {:>10} {:>12} {:>10}",
        "", "messages", "processed", "doubled", "wakes", "deliveries", "wakes/message", "longest"
    )?;
    for of in of {
        let linked = book.written.iter();
        let linked = linked.filter(|(path, _)| of.about.is_about(path));
        let messages: usize = linked.map(|(_, written)| written.len()).sum();
        let left = book.left(of.number, |path| of.about.is_about(path));
        let Some(had) = book.had.get(&of.number) else {
            writeln!(table, "{:<10} {messages:>9} and no wake", of.id)?;
            continue;
        };
        writeln!(
            table,
            "{:<10} {messages:>9} {:>9} {:>8} {:>7} {:>10} {:>12.3} {:>8.1} s",
            of.id,
            messages - left,
            had.doubled,
            had.wakes.len(),
            had.deliveries,
            had.wakes.len() as f64 / messages.max(1) as f64,
            had.longest.as_secs_f64(),
        )?;
    }
    Ok(table)
}
