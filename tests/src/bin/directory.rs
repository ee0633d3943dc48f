//! Measures the directory at a size that tests do not reach: how long it takes to register very many
//! streams, what they take up, how long lists take then, and how a subscription comes to the streams
//! that were there before it.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::process::run;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{npm, rows, storage};
use serde_json::{Value, json};
use ureq::http::Method;

const JSON: &str = "application/json";
const ROOT: &str = "/v1/stream/__ds";

/// Measures the directory at size.
#[derive(Debug, Parser)]
#[command(name = "directory")]
struct Args {
    /// How many streams are registered, by their shards' own requests and without being created; 4000
    /// at least, for pages in the middle
    #[arg(long, default_value_t = 1_000_000)]
    streams: usize,
    /// How many streams are created for a subscription to find
    #[arg(long, default_value_t = 100_000)]
    linked: usize,
    /// How many create them at the same time
    #[arg(long, default_value_t = 16)]
    at_once: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.streams >= 4000, "--streams is at least 4000");
    let worker = Worker::ours()?;
    let state = Scratch::new("directory-state")?;
    fill(&worker, state.path(), args.streams)?;
    let setup = Setup {
        vars: &[("DEV", "1")],
        ..Setup::default()
    };
    let server = Server::set_up(&worker, &state, &setup)?;
    lists(server.client(), args.streams)?;
    create(server.client(), args.linked, args.at_once)?;
    subscribe(server.client(), args.linked)?;
    server.stop()
}

/// Registers streams, and says what that takes.
fn fill(worker: &Worker, state: &Path, count: usize) -> Result<()> {
    let options = json!({
        "script": worker.script,
        "compatibilityDate": worker.compatibility_date,
        "compatibilityFlags": worker.compatibility_flags,
        "state": state,
        "place": "million",
        "count": count,
    });
    let mut node = Command::new("node");
    node.args(["fill.mjs", &options.to_string()]);
    let filled = run(node.current_dir(npm::installed("miniflare")?))?;
    let line = filled
        .split(|byte| *byte == b'\n')
        .rfind(|line| line.starts_with(b"{"));
    let filled: Value = serde_json::from_slice(line.context("nothing was printed")?)?;
    let seconds = filled["seconds"].as_f64().context("no time")?;
    let (rows, bytes) = storage::rows_and_bytes(state, rows::DIRECTORIES)?;
    println!(
        "{count} streams registered in {seconds:.1} s, {:.0} a second: {rows} rows, {:.1} MB, {:.0} \
         bytes each",
        count as f64 / seconds,
        bytes as f64 / 1e6,
        bytes as f64 / count as f64
    );
    ensure!(rows >= i64::try_from(count)?, "only {rows} rows");
    Ok(())
}

fn page(client: &Client, query: &str) -> Result<(Vec<String>, Option<String>)> {
    let call = client.call(Method::GET, &format!("{ROOT}/streams?{query}"));
    let page: Value = serde_json::from_slice(&call.send()?.expect(200)?.body)?;
    let streams = page["streams"].as_array().context("no streams")?;
    let paths = streams.iter().filter_map(|stream| stream["path"].as_str());
    let next = page["next"].as_str().map(str::to_owned);
    Ok((paths.map(str::to_owned).collect(), next))
}

/// The median of eleven times, in milliseconds.
fn median(mut once: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Reads the list in several ways.
fn lists(client: &Client, count: usize) -> Result<()> {
    let middle = format!("million/{:09}", count / 2);
    let narrow = format!("million/{:09}", count / 3);
    let narrow = &narrow[..narrow.len() - 2];
    for (what, query, expected) in [
        ("the first 100", "limit=100".to_owned(), 100),
        ("the first 1000", "limit=1000".to_owned(), 1000),
        (
            "1000 in the middle",
            format!("limit=1000&after={middle}"),
            1000,
        ),
        ("100 by a prefix", format!("prefix={narrow}"), 100),
        ("none by a prefix", "prefix=nothing".to_owned(), 0),
    ] {
        let millis = median(|| {
            let (paths, _) = page(client, &query)?;
            ensure!(paths.len() == expected.min(count), "{} paths", paths.len());
            Ok(())
        })?;
        println!("{what}: {millis:.1} ms");
    }
    let start = Instant::now();
    let (mut seen, mut pages) = (0, 0);
    let mut after = String::new();
    loop {
        let (paths, next) = page(client, &format!("limit=1000{after}"))?;
        ensure!(paths.is_sorted(), "not in order");
        seen += paths.len();
        pages += 1;
        match next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    ensure!(seen == count, "{seen} of {count} streams are listed");
    let seconds = start.elapsed().as_secs_f64();
    println!("all {seen} in {pages} pages: {seconds:.1} s");
    Ok(())
}

/// Creates streams with a message each.
fn create(client: &Client, count: usize, at_once: usize) -> Result<()> {
    let start = Instant::now();
    thread::scope(|scope| {
        let make = |one: usize| {
            move || -> Result<()> {
                for at in (one..count).step_by(at_once) {
                    let stream = Stream::named(client, &format!("linked/{at:09}"), JSON);
                    stream.put().send_bytes(b"[1]")?.expect(201)?;
                }
                Ok(())
            }
        };
        let all: Vec<_> = (0..at_once).map(|one| scope.spawn(make(one))).collect();
        let mut all = all.into_iter();
        all.try_for_each(|one| one.join().ok().context("a creator panicked")?)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!("{count} streams created in {seconds:.1} s, {rate:.0} a second");
    Ok(())
}

/// Subscribes to them, and looks on while they are linked.
fn subscribe(client: &Client, count: usize) -> Result<()> {
    Stream::create(client, "wakes", JSON)?;
    let config = json!({ "type": "pull-wake", "pattern": "linked/*", "wake_stream": "wakes" });
    let path = format!("{ROOT}/subscriptions/large");
    let start = Instant::now();
    let made = client.call(Method::PUT, &path);
    let made = made
        .send_bytes(config.to_string().as_bytes())?
        .expect(201)?;
    let made: Value = serde_json::from_slice(&made.body)?;
    println!(
        "a subscription to {count} streams: 201 after {:.1} s, with {}",
        start.elapsed().as_secs_f64(),
        made["backfill"]
    );
    let mut said = Duration::ZERO;
    loop {
        let seen = client.call(Method::GET, &path).send()?;
        if seen.status >= 500 {
            // With thousands of objects in use at once, one workerd has no memory left for SQLite.
            println!(
                "after {:.1} s: {}",
                start.elapsed().as_secs_f64(),
                seen.text()
            );
            thread::sleep(Duration::from_secs(2));
            continue;
        }
        let seen = seen.expect(200)?;
        let seen: Value = serde_json::from_slice(&seen.body)?;
        let backfill = &seen["backfill"];
        let elapsed = start.elapsed();
        let is_complete = backfill["state"] == "complete";
        if is_complete || elapsed > said + Duration::from_secs(5) {
            println!("after {:.1} s: {backfill}", elapsed.as_secs_f64());
            said = elapsed;
        }
        if is_complete {
            let total = &seen["streams_total"];
            ensure!(*total == count, "{total} streams are linked");
            ensure!(seen["pending"] == 0, "{} are pending", seen["pending"]);
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
}
