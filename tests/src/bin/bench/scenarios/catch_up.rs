//! Reading a stream from its start to its tail: 10,000 small messages, before and after they have moved
//! to the bucket, and 20 MB that lie there in five objects.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::costs::MESSAGE;
use durable_streams_tests::http::Client;
use durable_streams_tests::project::copy_dir;
use durable_streams_tests::server::Vars;
use durable_streams_tests::{storage, wait_until};

use super::{BYTES, JSON, create, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal, Stitch, Tokens};
use crate::harness::{Scenario, Served, Stage, Subject, Values};
use crate::load::{self, Connection};
use crate::statistics::micros;

const COLD_BYTES_READ: usize = 20_000_000;
/// A little more than what ends up in five objects.
const COLD_APPENDS: usize = 205;
const COLD_APPEND_BYTES: usize = 100_000;
/// Objects of 4 MB, however many messages that is.
const FIVE_OBJECTS: Vars = &[
    ("SEGMENT_MAX_BYTES", "4000000"),
    ("SEGMENT_MAX_MESSAGES", "1000000000"),
];
const SMALL_MESSAGES: usize = 10_000;

/// Many small messages, appended one by one, all of them in SQLite.
pub const HOT: Scenario = Scenario {
    name: "catch-up",
    title: "catch up with 10,000 messages of 100 bytes in SQLite",
    contenders: &[Ours, Floor, Tokens, NodeMemory, NodeFile, RustWal],
    start: |stage| start_small(stage, &[("SEGMENT_MAX_MESSAGES", "1000000")], false),
    ..Scenario::USUAL
};

/// The same after most have moved to the bucket, as they do unless told otherwise. The processor time
/// has miniflare's bucket in it.
pub const MOVED: Scenario = Scenario {
    name: "catch-up-moved",
    title: "catch up with 10,000 messages of 100 bytes, moved to the bucket by the thousand",
    contenders: &[Ours, Floor],
    start: |stage| start_small(stage, &[], true),
    ..Scenario::USUAL
};

/// Bytes in the bucket.
pub const COLD_BYTES: Scenario = Scenario {
    name: "catch-up-cold-bytes",
    title: "catch up with 20 MB of bytes in five objects",
    contenders: &[Ours, Stitch, NodeFile, RustWal],
    base: Stitch,
    start: |stage| start_cold(stage, BYTES),
    ..Scenario::USUAL
};

/// JSON in the bucket.
pub const COLD_JSON: Scenario = Scenario {
    name: "catch-up-cold-json",
    title: "catch up with 20 MB of JSON in five objects",
    start: |stage| start_cold(stage, JSON),
    ..COLD_BYTES
};

struct CatchUp {
    served: Served,
    path: String,
    /// At least so many bytes have to come.
    least: usize,
    /// How often it is read in a round.
    times: usize,
}

fn start_small(stage: &Stage, vars: Vars, moves: bool) -> Result<Box<dyn Subject>> {
    let served = stage.serve(vars)?;
    let client = &served.running.client;
    let path = path("catch-up");
    create(client, &path, JSON)?;
    let append = load::request(client, "POST", &path, Some((JSON, MESSAGE.as_bytes())));
    load::run(client, 16, SMALL_MESSAGES, |_, _| append.clone(), |_, _| ())?;
    if moves && stage.contender.is_ours() {
        let least = SMALL_MESSAGES * MESSAGE.len() * 8 / 10;
        rest(served.state.path(), least)?;
    }
    Ok(Box::new(CatchUp {
        served,
        path,
        least: SMALL_MESSAGES * MESSAGE.len(),
        times: stage.size(20, 4),
    }))
}

fn start_cold(stage: &Stage, content_type: &'static str) -> Result<Box<dyn Subject>> {
    let least = COLD_BYTES_READ * 9 / 10;
    let times = stage.size(4, 1);
    if stage.contender == Stitch {
        let state = stage.scratch()?;
        // The bucket that our worker has filled, which it did before.
        let ours = stage.data_of(Ours)?;
        copy_dir(&ours.join("r2"), &state.path().join("r2"))?;
        let running = stage.contender.start(&state, &[])?;
        return Ok(Box::new(CatchUp {
            served: Served { running, state },
            path: "/".to_owned(),
            least,
            times,
        }));
    }
    let served = stage.serve(FIVE_OBJECTS)?;
    let client = &served.running.client;
    let path = path("catch-up");
    create(client, &path, content_type)?;
    let mut connection = Connection::open(client)?;
    for n in 0..COLD_APPENDS {
        let body = content(content_type, n);
        connection.call(&load::request(
            client,
            "POST",
            &path,
            Some((content_type, &body)),
        ))?;
    }
    if stage.contender.is_ours() {
        rest(served.state.path(), least)?;
    }
    Ok(Box::new(CatchUp {
        served,
        path,
        least,
        times,
    }))
}

/// The body of an append.
fn content(content_type: &str, n: usize) -> Vec<u8> {
    if content_type == BYTES {
        return (0..COLD_APPEND_BYTES)
            .map(|at| ((at * 7 + n) % 251) as u8)
            .collect();
    }
    let messages = vec![MESSAGE; COLD_APPEND_BYTES / (MESSAGE.len() + 2)];
    format!("[{}]", messages.join(",\n")).into_bytes()
}

/// Waits until at least so many bytes lie in the bucket, and nothing moves any more.
pub fn rest(state: &Path, least: usize) -> Result<usize> {
    let mut last = 0;
    wait_until("the data has moved to the bucket", || {
        // Files that are copied while they change may make no sense for a moment.
        let objects = storage::objects(state, "streams/").unwrap_or_default();
        let now = objects.iter().map(|object| object.body.len()).sum();
        let rests = now >= least && now == last;
        last = now;
        std::thread::sleep(Duration::from_millis(500));
        Ok(rests)
    })?;
    Ok(last)
}

/// Reads a stream from its start to its tail; gives the number of requests and of bytes.
pub fn read(client: &Client, connection: &mut Connection, path: &str) -> Result<(usize, usize)> {
    let mut offset = "-1".to_owned();
    let (mut requests, mut bytes) = (0, 0);
    loop {
        let target = format!("{path}?offset={offset}");
        let answer = connection.call(&load::request(client, "GET", &target, None))?;
        requests += 1;
        bytes += answer.body.len();
        let is_last = answer.header("stream-up-to-date") == Some("true");
        let next = answer.header("stream-next-offset").map(str::to_owned);
        // The worker that only puts objects together knows no offsets.
        let Some(next) = next.filter(|_| !is_last) else {
            return Ok((requests, bytes));
        };
        ensure!(next != offset, "no progress at {offset}");
        offset = next;
    }
}

impl Subject for CatchUp {
    fn round(&mut self, _: usize) -> Result<Values> {
        let running = &self.served.running;
        let mut connection = Connection::open(&running.client)?;
        let before = running.process.cpu_time()?;
        let start = Instant::now();
        let (mut requests, mut bytes) = (0, 0);
        for _ in 0..self.times {
            let (more, length) = read(&running.client, &mut connection, &self.path)?;
            requests += more;
            bytes += length;
        }
        let wall = start.elapsed();
        let used = running.process.cpu_time()?.since(&before);
        let times = self.times as f64;
        let each = bytes as f64 / times;
        ensure!(each >= self.least as f64, "only {each} bytes");
        // By the megabyte: who puts objects together has not quite as many.
        let megabytes = bytes as f64 / 1e6;
        Ok(vec![
            (metrics::CPU_MEGABYTE, micros(used) / megabytes),
            (metrics::SPEED, megabytes / wall.as_secs_f64()),
            (metrics::REQUESTS, requests as f64 / times),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop().context("stopping")
    }
}
