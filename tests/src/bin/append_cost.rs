//! What an append costs above the floor: a plain JavaScript worker that does one INSERT.
//!
//! `append-cost [ROUNDS] [APPENDS]` runs both on the same runtime, in turns within each round, so
//! that whatever else the machine does meets both.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use flate2::Compression;
use flate2::write::GzEncoder;

const TYPE: &str = "application/json";
/// About 100 bytes, as in chats and change feeds.
const MESSAGE: &[u8] = br#"{"op":"insert","id":"00000000-0000-0000-0000-000000000000","text":"a message of common length"}"#;
const COLD_STARTS: usize = 7;

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let rounds = numbers.next().transpose()?.unwrap_or(9).max(1);
    let appends = numbers.next().transpose()?.unwrap_or(2000).max(1);

    let ours = Subject::new("ours", Worker::ours()?)?;
    let floor = Subject::new("floor", Worker::floor()?)?;
    cold_starts(&ours, &floor)?;
    appending(&ours, &floor, rounds, appends)?;
    sizes(&ours.worker)
}

/// A worker under measurement.
struct Subject {
    name: &'static str,
    worker: Worker,
    state: Scratch,
}

impl Subject {
    fn new(name: &'static str, worker: Worker) -> Result<Self> {
        let state = Scratch::new(&format!("append-cost-{name}"))?;
        Ok(Self {
            name,
            worker,
            state,
        })
    }

    fn serve(&self) -> Result<Server> {
        Server::serve(&self.worker, &self.state, &[])
    }
}

/// From the start of the runtime's process to the answer to the first creation of a stream. Each
/// start finds the data of the ones before it.
fn cold_starts(ours: &Subject, floor: &Subject) -> Result<()> {
    println!("cold start, {COLD_STARTS} in turns");
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..COLD_STARTS {
        for (subject, times) in [ours, floor].into_iter().zip(&mut times) {
            let server = subject.serve()?;
            let runtime = server.workerd()?;
            Stream::create(server.client(), &format!("cold-{round}"), TYPE)?;
            times.push(runtime.age()?);
            server.stop()?;
        }
    }
    for (subject, times) in [ours, floor].into_iter().zip(&mut times) {
        times.sort();
        let (least, most) = (times[0], times[times.len() - 1]);
        let middle = percentile(times, 50);
        println!(
            "  {:<6} median {middle:.0?}  ({least:.0?} to {most:.0?})",
            subject.name
        );
    }
    Ok(())
}

fn appending(ours: &Subject, floor: &Subject, rounds: usize, appends: usize) -> Result<()> {
    println!(
        "\nappends of {} bytes, one after the other on one connection, {rounds} rounds of {appends} in turns",
        MESSAGE.len()
    );
    let servers = [ours.serve()?, floor.serve()?];
    let mut streams = Vec::new();
    for server in &servers {
        let stream = Stream::create(server.client(), "appends", TYPE)?;
        // The first ones are spent on the runtime's compiler.
        append(server, &stream, appends)?;
        streams.push(stream);
    }
    let mut cpu = [Vec::new(), Vec::new()];
    let mut wall = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    for round in 0..rounds {
        for turn in 0..2 {
            // Who comes first changes, too.
            let at = (round + turn) % 2;
            let cost = append(&servers[at], &streams[at], appends)?;
            cpu[at].push(cost.cpu_each);
            wall[at].extend(cost.wall);
        }
        ratios.push(cpu[0][round].as_secs_f64() / cpu[1][round].as_secs_f64());
    }
    for (at, subject) in [ours, floor].into_iter().enumerate() {
        cpu[at].sort();
        wall[at].sort();
        println!(
            "  {:<6} CPU {:>7.1?}   wall p50 {:>7.1?}  p99 {:>7.1?}",
            subject.name,
            percentile(&cpu[at], 50),
            percentile(&wall[at], 50),
            percentile(&wall[at], 99)
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "  CPU, ours to the floor: median {:.3} of the rounds' ratios ({:.3} to {:.3})",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
    servers.into_iter().try_for_each(Server::stop)
}

struct Cost {
    cpu_each: Duration,
    wall: Vec<Duration>,
}

fn append(server: &Server, stream: &Stream, appends: usize) -> Result<Cost> {
    let runtime = server.workerd()?;
    let before = runtime.cpu_time()?;
    let mut wall = Vec::with_capacity(appends);
    for _ in 0..appends {
        let start = Instant::now();
        stream.append(MESSAGE)?;
        wall.push(start.elapsed());
    }
    let used = runtime.cpu_time()? - before;
    Ok(Cost {
        cpu_each: used / u32::try_from(appends)?,
        wall,
    })
}

/// What is uploaded to Cloudflare.
fn sizes(worker: &Worker) -> Result<()> {
    println!("\nbundle");
    let dir = worker
        .script
        .parent()
        .context("the script is in no folder")?;
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
            continue;
        }
        if !path
            .extension()
            .is_some_and(|end| end == "wasm" || end == "js")
        {
            continue;
        }
        let bytes = fs::read(&path)?;
        let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
        zipped.write_all(&bytes)?;
        println!(
            "  {:<24} {:>9} bytes, {:>8} gzip",
            path.strip_prefix(dir)?.display(),
            bytes.len(),
            zipped.finish()?.len()
        );
    }
    Ok(())
}

/// Of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}
