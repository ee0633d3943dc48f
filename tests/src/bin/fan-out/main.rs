//! Measures copies at a size that tests do not reach: one stream, and very many subscriptions that copy
//! it, each into a target of its own. How long it takes to make them, how long a message takes to the
//! readers of some targets and into all of them, and what its writer notices.

mod links;
mod readers;
mod times;
mod writer;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{Server, Setup};

use readers::Following;
use times::Times;
use writer::{Pace, Sent, Writer};

const JSON: &str = "application/json";

/// Measures one stream that very many subscriptions copy.
#[derive(Debug, Parser)]
#[command(name = "fan-out")]
struct Args {
    /// How many subscriptions copy the stream, each into a target of its own: one workerd has no memory
    /// left for SQLite with more than some 3,300 objects
    #[arg(long, default_value_t = 1000)]
    targets: usize,
    /// How many of the targets have a reader of events
    #[arg(long, default_value_t = 50)]
    readers: usize,
    /// How many make targets and subscriptions, and look at them, at the same time
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// For how many seconds there is a message every 2 seconds, and then one every 10
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many messages are written without a pause, one after the other
    #[arg(long, default_value_t = 200)]
    burst: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let readers = args.readers.min(args.targets);
    ensure!(readers > 0, "--readers is at least 1");
    let state = Scratch::new("fan-out-state")?;
    let setup = Setup {
        vars: &[("DEV", "1")],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::ours()?, &state, &setup)?;
    let measured = measure(&server, &args, readers);
    if measured.is_err() {
        let log = server.log()?;
        let lines: Vec<_> = log.lines().collect();
        let last = lines.len().saturating_sub(20);
        println!("the end of the server's log:\n{}", lines[last..].join("\n"));
        memory(&server)?;
    }
    measured?;
    server.stop()
}

fn measure(server: &Server, args: &Args, readers: usize) -> Result<()> {
    let client = server.client();
    let mut writer = Writer::create(client)?;
    let (source, twin) = writer.warm_up()?;
    println!("an append before there are links: {source}; to the twin: {twin}");
    links::make(client, args.targets, args.at_once)?;
    memory(server)?;

    let following = Following::start(client, args.targets, readers)?;
    for (name, pace) in [
        ("a message every 2 s", Pace::every(2, args.seconds)),
        ("a message every 10 s", Pace::every(10, args.seconds)),
        ("a burst", Pace::at_once(args.burst)),
    ] {
        phase(server, &mut writer, &following, args, name, pace)?;
    }
    following.stop()?;
    memory(server)?;
    links::read_all(client, args.targets, args.at_once, writer.count())
}

/// How much memory the runtime holds, and the most it ever held.
fn memory(server: &Server) -> Result<()> {
    let (now, most) = server.workerd()?.memory()?;
    let [now, most] = [now, most].map(|bytes| bytes as f64 / 1e6);
    println!("the runtime holds {now:.0} MB, and {most:.0} at the most");
    Ok(())
}

/// Writes at a pace, and says what came of it.
fn phase(
    server: &Server,
    writer: &mut Writer,
    following: &Following,
    args: &Args,
    name: &str,
    pace: Pace,
) -> Result<()> {
    let client = server.client();
    let worked = server.workerd()?.family_time()?;
    let (sent, twin) = writer.write(pace)?;
    let last = sent.last().context("nothing was written")?.at;
    following.wait_for(writer.count())?;
    let read_by = last.elapsed();
    let worked = server.workerd()?.family_time()? - worked;
    let rounds = links::wait_for(client, args.targets, args.at_once, writer.count())?;
    let all_by = last.elapsed();
    let took: Times = sent.iter().map(|sent| sent.took).collect();
    println!("{name}, {} in all:", sent.len());
    println!("  an append: {took}; to the twin: {twin}");
    deliveries(following, &sent)?;
    println!(
        "  behind the last append, all readers have it after {read_by:.1?}, all {} targets after \
         {all_by:.1?}, as {rounds} rounds of HEAD say",
        args.targets
    );
    let copies = sent.len() * args.targets;
    println!(
        "  until all readers had it, {:.1} s of processor time: {:.2} ms for each message and target",
        worked.as_secs_f64(),
        worked.as_secs_f64() * 1e3 / copies as f64
    );
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("  load: {}", load.trim());
    memory(server)
}

/// How long messages took to each reader, and to the last of the readers.
fn deliveries(following: &Following, sent: &[Sent]) -> Result<()> {
    let seen = following.seen()?;
    let came = |n: u64| -> Result<Vec<Instant>> {
        let index = usize::try_from(n)?;
        let all = seen
            .iter()
            .map(|numbers| numbers.get(index).map(|(_, at)| *at));
        all.collect::<Option<_>>().context("a reader is behind")
    };
    let (mut each, mut last) = (Times::default(), Times::default());
    for sent in sent {
        let came = came(sent.n)?;
        let delays = came.iter().map(|at| at.saturating_duration_since(sent.at));
        let delays: Vec<Duration> = delays.collect();
        last.add(delays.iter().max().copied().unwrap_or_default());
        each.extend(delays);
    }
    println!(
        "  from the append to a reader: {each}; to the last of {}: {last}",
        seen.len()
    );
    Ok(())
}

/// The name of a target.
fn target(at: usize) -> String {
    format!("to/{at:05}")
}

/// A request about a subscription.
fn subscription(at: usize) -> String {
    format!("/v1/stream/__ds/subscriptions/to-{at:05}")
}

/// Does something for each target, so many at once.
fn for_all(
    client: &Client,
    targets: usize,
    at_once: usize,
    one: impl Fn(&Client, usize) -> Result<()> + Sync,
) -> Result<()> {
    std::thread::scope(|scope| {
        let work = |first: usize| {
            let one = &one;
            move || {
                (first..targets)
                    .step_by(at_once)
                    .try_for_each(|at| one(client, at))
            }
        };
        let all: Vec<_> = (0..at_once).map(|first| scope.spawn(work(first))).collect();
        let mut all = all.into_iter();
        all.try_for_each(|worker| worker.join().ok().context("a worker panicked")?)
    })
}
