//! A million messages of 100 bytes: written in batches of a thousand, moved to the bucket, and read
//! once.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::costs::MESSAGE;
use durable_streams_tests::storage;
use durable_streams_tests::stream::Stream;

use super::{JSON, catch_up, metrics};
use crate::contender::Contender::Ours;
use crate::contender::PROJECT;
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load::Connection;

const BATCH: usize = 1000;

/// See the module's text.
pub const MILLION: Scenario = Scenario {
    name: "million",
    title: "a million messages of 100 bytes, appended by the thousand and read once",
    contenders: &[Ours],
    base: Ours,
    most_rounds: 1,
    is_warm: true,
    must_be_named: true,
    start: |stage| {
        Ok(Box::new(Million {
            served: stage.serve(&[("DEBUG_TIMING", "1")])?,
            messages: stage.size(1_000_000, 100_000),
        }))
    },
};

struct Million {
    served: Served,
    messages: usize,
}

impl Subject for Million {
    fn round(&mut self, _: usize) -> Result<Values> {
        let running = &self.served.running;
        let client = &running.client;
        let stream = Stream::create(client, &format!("{PROJECT}/million"), JSON)?;
        let batch = format!("[{}]", vec![MESSAGE; BATCH].join(","));
        let start = Instant::now();
        let mut rows = 0;
        for _ in 0..self.messages / BATCH {
            rows += stream.append(&batch)?.count("rows_written")?;
        }
        let wall = start.elapsed().as_secs_f64();
        let least = self.messages * MESSAGE.len() * 9 / 10;
        catch_up::rest(self.served.state.path(), least)?;
        rows += stream.append("1")?.count("maintenance_rows_written")?;
        let objects = storage::objects(self.served.state.path(), "streams/")?.len();
        let mut connection = Connection::open(client)?;
        let start = Instant::now();
        let (requests, bytes) = catch_up::read(client, &mut connection, stream.path())?;
        let read = start.elapsed().as_secs_f64();
        ensure!(bytes > self.messages * MESSAGE.len(), "only {bytes} bytes");
        let messages = stream.head()?.expect(200)?;
        let tail = messages.header("stream-next-offset").context("no tail")?;
        let expected = format!("_{:016}_0000", self.messages + 1);
        ensure!(tail.ends_with(&expected), "the tail is {tail}");
        let (now, peak) = running.process.memory()?;
        Ok(vec![
            (metrics::RATE, self.messages as f64 / wall),
            (metrics::ROWS, rows as f64 / self.messages as f64),
            (metrics::OBJECTS, objects as f64),
            (metrics::REQUESTS, requests as f64),
            (metrics::SPEED, bytes as f64 / 1e6 / read),
            (metrics::MEMORY, now as f64 / 1e6),
            (metrics::PEAK_MEMORY, peak as f64 / 1e6),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
