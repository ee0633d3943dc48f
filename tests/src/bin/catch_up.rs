//! What catching up with a long stream costs above the floor: a plain JavaScript worker that
//! stitches the same objects into one response.
//!
//! `catch-up [ROUNDS]` reads 20 MB of each kind, from both in turns within each round, so that
//! whatever else the machine does meets both. `catch-up million` writes a million messages of 100
//! bytes and reads them once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::process::Process;
use durable_streams_tests::project::{Worker, copy_dir};
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{storage, wait_until};
use ureq::http::Method;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const BYTES_READ: usize = 20_000_000;
/// A little more than what ends up in five objects.
const APPENDS: usize = 205;
const APPEND_BYTES: usize = 100_000;
/// Objects of 4 MB, however many messages that is.
const FIVE_OBJECTS: &[(&str, &str)] = &[
    ("SEGMENT_MAX_BYTES", "4000000"),
    ("SEGMENT_MAX_MESSAGES", "1000000000"),
];
/// 100 bytes with what stands between two of them.
const MESSAGE: &str = r#"{"op":"insert","id":"00000000-0000-0000-0000-000000000000","text":"a message of common size 123"}"#;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("million") => million(),
        rounds => {
            let rounds = rounds.map_or(Ok(9), str::parse)?;
            against_the_floor("bytes", BYTES, rounds)?;
            against_the_floor("JSON", JSON, rounds)
        }
    }
}

fn against_the_floor(name: &str, content_type: &'static str, rounds: usize) -> Result<()> {
    let state = Scratch::new("catch-up-ours")?;
    let server = Server::start(&state, FIVE_OBJECTS)?;
    let stream = Stream::create(server.client(), "long", content_type)?;
    for n in 0..APPENDS {
        stream.append(content(content_type, n))?;
    }
    let cold = wait_for_objects(state.path(), BYTES_READ * 9 / 10)?;
    let objects = storage::objects(state.path(), "streams/")?.len();

    let floor_state = Scratch::new("catch-up-floor")?;
    copy_dir(&state.path().join("r2"), &floor_state.path().join("r2"))?;
    let floor = Server::serve(&Worker::stitching_floor()?, &floor_state, &[])?;

    println!("\n20 MB of {name}: {cold} bytes in {objects} objects, {rounds} rounds in turns");
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for turn in 0..2 {
            // Who comes first changes, too. The first round is spent on the runtime's compiler.
            let at = (round + turn) % 2;
            let cost = if at == 0 {
                read_ours(&server, &stream)?
            } else {
                read_floor(&floor)?
            };
            if round > 0 {
                costs[at].push(cost);
            }
        }
    }
    let speed = |cost: &Cost| cost.bytes as f64 / 1e6 / cost.wall.as_secs_f64();
    let cpu = |cost: &Cost| cost.cpu.as_secs_f64() * 1e3 / (cost.bytes as f64 / 1e6);
    for (who, costs) in ["ours", "floor"].into_iter().zip(&costs) {
        println!(
            "  {who:<6} {} requests  {:>6.1} MB/s  CPU {:>5.2} ms/MB  (medians)",
            costs[0].requests,
            median(costs.iter().map(speed).collect()),
            median(costs.iter().map(cpu).collect())
        );
    }
    let pairs = || costs[0].iter().zip(&costs[1]);
    println!(
        "  ours to the floor, median of the rounds' ratios: speed {:.2}, CPU {:.2}",
        median(pairs().map(|(a, b)| speed(a) / speed(b)).collect()),
        median(pairs().map(|(a, b)| cpu(a) / cpu(b)).collect())
    );
    server.stop()?;
    floor.stop()
}

/// The body of an append.
fn content(content_type: &str, n: usize) -> Vec<u8> {
    if content_type == BYTES {
        return (0..APPEND_BYTES)
            .map(|at| ((at * 7 + n) % 251) as u8)
            .collect();
    }
    let messages = vec![MESSAGE; APPEND_BYTES / (MESSAGE.len() + 2)];
    format!("[{}]", messages.join(",\n")).into_bytes()
}

struct Cost {
    requests: usize,
    bytes: usize,
    wall: Duration,
    cpu: Duration,
}

fn read_ours(server: &Server, stream: &Stream) -> Result<Cost> {
    measure(&server.workerd()?, || Ok(stream.read()?.pages))
}

fn read_floor(floor: &Server) -> Result<Cost> {
    let client: &Client = floor.client();
    measure(&floor.workerd()?, || {
        let answer = client.call(Method::GET, "/").send()?.expect(200)?;
        Ok(vec![answer.body])
    })
}

fn measure(runtime: &Process, read: impl FnOnce() -> Result<Vec<Vec<u8>>>) -> Result<Cost> {
    let before = runtime.cpu_time()?;
    let start = Instant::now();
    let pages = read()?;
    let wall = start.elapsed();
    let bytes = pages.iter().map(Vec::len).sum();
    ensure!(bytes > BYTES_READ / 2, "only {bytes} bytes");
    Ok(Cost {
        requests: pages.len(),
        bytes,
        wall,
        cpu: runtime.cpu_time()? - before,
    })
}

/// Waits until so much lies in the bucket, and nothing moves any more.
fn wait_for_objects(state: &Path, bytes: usize) -> Result<usize> {
    let mut last = 0;
    wait_until("the data has moved to the bucket", || {
        let objects = storage::objects(state, "streams/").unwrap_or_default();
        let now = objects.iter().map(|object| object.body.len()).sum();
        let rests = now >= bytes && now == last;
        last = now;
        std::thread::sleep(Duration::from_millis(500));
        Ok(rests)
    })?;
    Ok(last)
}

fn million() -> Result<()> {
    const MESSAGES: usize = 1_000_000;
    const BATCH: usize = 1000;
    let state = Scratch::new("catch-up-million")?;
    let server = Server::start(&state, &[("DEBUG_TIMING", "1")])?;
    let stream = Stream::create(server.client(), "million", JSON)?;
    let runtime = server.workerd()?;
    let batch = format!("[{}]", vec![MESSAGE; BATCH].join(","));
    let start = Instant::now();
    let mut rows = 0;
    for _ in 0..MESSAGES / BATCH {
        rows += stream.append(&batch)?.count("rows_written")?;
    }
    println!("a million messages of {} bytes", MESSAGE.len() + 2);
    println!("  written in {:.1?}, {rows} rows", start.elapsed());
    wait_for_objects(state.path(), MESSAGES * MESSAGE.len() * 9 / 10)?;
    println!("  at rest after {:.1?}", start.elapsed());
    let after = stream.append("1")?;
    let moved = after.count("maintenance_rows_written")?;
    println!("  {moved} rows for maintenance");
    let objects = storage::objects(state.path(), "streams/")?;
    let ranges = objects.iter().filter_map(|object| {
        let (start, end) = object.key.rsplit_once('/')?.1.split_once('-')?;
        Some((start.parse::<u64>().ok()?, end.parse::<u64>().ok()?))
    });
    let ranges: Vec<_> = ranges.collect();
    let is_current = |range: &&(u64, u64)| {
        let others = ranges.iter().filter(|other| other != range);
        !others
            .into_iter()
            .any(|other| other.0 <= range.0 && range.1 <= other.1)
    };
    let current = ranges.iter().filter(is_current).count();
    let kept = objects.len() - current;
    println!("  {current} objects, and {kept} that were merged and are kept for ten minutes");
    let before = memory(&runtime)?;
    let start = Instant::now();
    let whole = stream.read()?;
    let wall = start.elapsed();
    let messages = whole.messages()?.len();
    ensure!(messages == MESSAGES + 1, "{messages} messages");
    let bytes: usize = whole.pages.iter().map(Vec::len).sum();
    println!(
        "  caught up in {wall:.1?}, {} requests, {:.1} MB/s",
        whole.pages.len(),
        bytes as f64 / 1e6 / wall.as_secs_f64()
    );
    println!(
        "  memory of the runtime: {before} before, {} after",
        memory(&runtime)?
    );
    server.stop()
}

/// What the runtime holds in memory, and the most it ever held.
fn memory(runtime: &Process) -> Result<String> {
    let path = format!("/proc/{}/status", runtime.pid);
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    Ok(format!("{} (peak {})", field("VmRSS:"), field("VmHWM:")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
