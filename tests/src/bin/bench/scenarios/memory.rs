//! What a server holds in memory when many streams were written to.

use anyhow::Result;
use durable_streams_tests::costs::MESSAGE;

use super::{JSON, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal};
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load;

const CONNECTIONS: usize = 32;
/// workerd's SQLite has memory for some 3,300 objects at once, whatever the worker.
const STREAMS: usize = 2000;

/// See the module's text.
pub const MEMORY: Scenario = Scenario {
    name: "memory",
    title: "memory of the process with 2,000 streams of one message, all of them loaded",
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
        for (method, body) in [("PUT", ""), ("POST", MESSAGE)] {
            let next = |_, number| {
                let path = path(&format!("memory-{number}"));
                load::request(client, method, &path, Some((JSON, body.as_bytes())))
            };
            load::run(client, CONNECTIONS, self.streams, next, |_, _| ())?;
        }
        let (now, peak) = running.process.memory()?;
        let more = now.saturating_sub(before) as f64;
        Ok(vec![
            (metrics::MEMORY, now as f64 / 1e6),
            (metrics::PEAK_MEMORY, peak as f64 / 1e6),
            (metrics::MEMORY_EACH, more / 1e3 / self.streams as f64),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
