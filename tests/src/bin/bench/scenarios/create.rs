//! Creations of streams, one after the other.

use anyhow::Result;

use super::{JSON, cpu_each, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal, Tokens};
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load;
use crate::statistics::percentile;

/// See the module's text.
pub const CREATE: Scenario = Scenario {
    name: "create",
    title: "create, one connection",
    contenders: &[Ours, Floor, Tokens, NodeMemory, NodeFile, RustWal],
    start: |stage| {
        Ok(Box::new(Create {
            served: stage.serve(&[])?,
            streams: stage.size(300, 60),
        }))
    },
    ..Scenario::USUAL
};

struct Create {
    served: Served,
    streams: usize,
}

impl Subject for Create {
    fn round(&mut self, round: usize) -> Result<Values> {
        let running = &self.served.running;
        let client = &running.client;
        let before = running.process.cpu_time()?;
        let next = |_, number| {
            let path = path(&format!("create-{round}-{number}"));
            load::request(client, "PUT", &path, Some((JSON, b"")))
        };
        let mut outcome = load::run(client, 1, self.streams, next, |_, _| ())?;
        let used = running.process.cpu_time()?.since(&before);
        Ok(vec![
            (metrics::CPU, cpu_each(used, self.streams)),
            (metrics::P50, percentile(&mut outcome.times, 50)),
            (metrics::P99, percentile(&mut outcome.times, 99)),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
