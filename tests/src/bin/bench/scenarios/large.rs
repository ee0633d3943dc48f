//! A message of a megabyte: appended and read.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{BYTES, cpu_each, create, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal, Tokens};
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load::{self, Connection};
use crate::statistics::percentile;

const LENGTH: usize = 1_000_000;

/// See the module's text.
pub const LARGE: Scenario = Scenario {
    name: "large",
    title: "append of 1 MB in one message, and a read of it",
    contenders: &[Ours, Floor, Tokens, NodeMemory, NodeFile, RustWal],
    start: |stage| {
        Ok(Box::new(Large {
            served: stage.serve(&[])?,
            times: stage.size(20, 3),
        }))
    },
    ..Scenario::USUAL
};

struct Large {
    served: Served,
    times: usize,
}

impl Subject for Large {
    fn round(&mut self, round: usize) -> Result<Values> {
        let running = &self.served.running;
        let client = &running.client;
        let mut connection = Connection::open(client)?;
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        let body = vec![b'x'; LENGTH];
        let paths = (0..self.times).map(|n| path(&format!("large-{round}-{n}")));
        let paths: Vec<_> = paths.collect();
        for path in &paths {
            create(client, path, BYTES)?;
        }
        let before = running.process.cpu_time()?;
        for path in &paths {
            let append = load::request(client, "POST", path, Some((BYTES, &body)));
            let start = Instant::now();
            connection.call(&append)?;
            writes.push(start.elapsed());
            let read = load::request(client, "GET", &format!("{path}?offset=-1"), None);
            let start = Instant::now();
            let length = connection.call(&read)?.body.len();
            reads.push(start.elapsed());
            ensure!(length >= LENGTH, "{length} bytes came");
        }
        let used = running.process.cpu_time()?.since(&before);
        Ok(vec![
            (metrics::CPU, cpu_each(used, self.times)),
            (metrics::P50, percentile(&mut writes, 50)),
            (metrics::READ_P50, percentile(&mut reads, 50)),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
