//! What an append costs above the floor, a plain JavaScript worker that does one INSERT, and what
//! it costs more with project tokens.
//!
//! `append-cost [ROUNDS] [APPENDS]` runs all on the same runtime, in turns within each round, so
//! that whatever else the machine does meets all.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token;
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

    let subjects = [
        Subject::new("floor", Worker::floor()?)?,
        Subject::new("ours", Worker::ours()?)?,
        Subject::new("tokens", Worker::with(Auth::ProjectJwt)?)?,
    ];
    cold_starts(&subjects)?;
    appending(&subjects, rounds, appends)?;
    subjects[1..].iter().try_for_each(sizes)
}

const PROJECT: &str = "p";
const SECRET: &str = "the secret of the project called p";

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
        let setup = Setup {
            entries: vec![(PROJECT, token::record(SECRET))],
            ..Setup::default()
        };
        Server::set_up(&self.worker, &self.state, &setup)
    }
}

/// A client with a token, which only one of the workers looks at.
fn client(server: &Server) -> Client {
    let token = token::token(SECRET, PROJECT, "write");
    let client = server.client().clone();
    client.with_header("authorization", format!("Bearer {token}"))
}

/// From the start of the runtime's process to the answer to the first creation of a stream. Each
/// start finds the data of the ones before it.
fn cold_starts(subjects: &[Subject]) -> Result<()> {
    println!("cold start, {COLD_STARTS} in turns");
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..COLD_STARTS {
        for (subject, times) in subjects.iter().zip(&mut times) {
            let server = subject.serve()?;
            let runtime = server.workerd()?;
            Stream::create(&client(&server), &format!("{PROJECT}/cold-{round}"), TYPE)?;
            times.push(runtime.age()?);
            server.stop()?;
        }
    }
    for (subject, times) in subjects.iter().zip(&mut times) {
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

fn appending(subjects: &[Subject], rounds: usize, appends: usize) -> Result<()> {
    println!(
        "\nappends of {} bytes, one after the other on one connection, {rounds} rounds of {appends} in turns",
        MESSAGE.len()
    );
    let mut servers = Vec::new();
    let mut streams = Vec::new();
    for subject in subjects {
        let server = subject.serve()?;
        let stream = Stream::create(&client(&server), &format!("{PROJECT}/appends"), TYPE)?;
        // The first ones are spent on the runtime's compiler.
        append(&server, &stream, appends)?;
        servers.push(server);
        streams.push(stream);
    }
    let mut cpu = vec![Vec::new(); subjects.len()];
    let mut wall = vec![Vec::new(); subjects.len()];
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            // Who comes first changes, too.
            let at = (round + turn) % subjects.len();
            let cost = append(&servers[at], &streams[at], appends)?;
            cpu[at].push(cost.cpu_each);
            wall[at].extend(cost.wall);
        }
    }
    for at in 1..subjects.len() {
        let ratio = |round: usize| cpu[at][round].as_secs_f64() / cpu[at - 1][round].as_secs_f64();
        let mut ratios: Vec<f64> = (0..rounds).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "  CPU, {} to {}: median {:.3} of the rounds' ratios ({:.3} to {:.3})",
            subjects[at].name,
            subjects[at - 1].name,
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
    for (at, subject) in subjects.iter().enumerate() {
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
fn sizes(subject: &Subject) -> Result<()> {
    println!("\nbundle of {}", subject.name);
    let dir = subject
        .worker
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
