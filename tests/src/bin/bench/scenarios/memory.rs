//! What a server holds in memory when many streams were written to.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use durable_streams_tests::costs::MESSAGE;

use super::{JSON, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal};
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load;

const CONNECTIONS: usize = 32;
const STREAMS: usize = 10_000;
/// As many as are written to at once: workerd's SQLite has memory for some 3,300 databases.
const AT_ONCE: usize = 2000;
/// After ten seconds without a request, objects leave memory.
const IDLE: Duration = Duration::from_secs(15);

/// See the module's text.
pub const MEMORY: Scenario = Scenario {
    name: "memory",
    title: "memory of the process with 10,000 streams of one message",
    contenders: &[Ours, Floor, NodeMemory, NodeFile, RustWal],
    most_rounds: 1,
    is_warm: true,
    start: |stage| {
        Ok(Box::new(Memory {
            served: stage.serve(&[])?,
            streams: stage.size(STREAMS, 1000),
        }))
    },
    ..Scenario::USUAL
};

struct Memory {
    served: Served,
    streams: usize,
}

impl Subject for Memory {
    fn round(&mut self, _: usize) -> Result<Values> {
        let running = &self.served.running;
        let client = &running.client;
        let (before, _) = running.process.memory()?;
        let mut more = 0.0;
        for start in (0..self.streams).step_by(AT_ONCE) {
            let count = AT_ONCE.min(self.streams - start);
            for (method, body) in [("PUT", ""), ("POST", MESSAGE)] {
                let next = |_, number| {
                    let path = path(&format!("memory-{}", start + number));
                    load::request(client, method, &path, Some((JSON, body.as_bytes())))
                };
                load::run(client, CONNECTIONS, count, next, |_, _| ())?;
            }
            if start == 0 {
                let (now, _) = running.process.memory()?;
                more = now.saturating_sub(before) as f64 / count as f64;
            }
            if start + count < self.streams {
                thread::sleep(IDLE);
            }
        }
        let (now, peak) = running.process.memory()?;
        Ok(vec![
            (metrics::MEMORY, now as f64 / 1e6),
            (metrics::PEAK_MEMORY, peak as f64 / 1e6),
            (metrics::MEMORY_EACH, more / 1e3),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
