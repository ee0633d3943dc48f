//! Appends of 100 bytes: one after the other, and from many connections.

use anyhow::Result;
use durable_streams_tests::costs::MESSAGE;

use super::{JSON, cpu_each, create, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, OwnCode, RustWal, Tokens};
use crate::contender::PROJECT;
use crate::harness::{Scenario, Served, Stage, Subject, Values};
use crate::load;
use crate::statistics::percentile;

const CONNECTIONS: usize = 32;

/// One connection.
pub const LATENCY: Scenario = Scenario {
    name: "append",
    title: "append of 100 bytes, one connection",
    contenders: &[Ours, Floor, Tokens, NodeMemory, NodeFile, RustWal],
    start: |stage| Append::start(stage, 1, 1),
    ..Scenario::USUAL
};

/// Many connections, all to one stream.
pub const ONE_STREAM: Scenario = Scenario {
    name: "append-one-stream",
    title: "append of 100 bytes, 32 connections to 1 stream",
    start: |stage| Append::start(stage, CONNECTIONS, 1),
    ..LATENCY
};

/// Many connections, each to its own stream.
pub const MANY_STREAMS: Scenario = Scenario {
    name: "append-many-streams",
    title: "append of 100 bytes, 32 connections to 32 streams",
    start: |stage| Append::start(stage, CONNECTIONS, CONNECTIONS),
    ..LATENCY
};

/// Through the worker's own code, which asks the stream without a token, beside one over HTTP with and
/// without one.
pub const OWN_CODE: Scenario = Scenario {
    name: "append-own-code",
    title: "append of 100 bytes by the worker's own code, one connection",
    contenders: &[Ours, Tokens, OwnCode],
    base: Ours,
    ..LATENCY
};

struct Append {
    served: Served,
    connections: usize,
    requests: Vec<Vec<u8>>,
    appends: usize,
}

impl Append {
    fn start(stage: &Stage, connections: usize, streams: usize) -> Result<Box<dyn Subject>> {
        let served = stage.serve(&[])?;
        let client = &served.running.client;
        let mut requests = Vec::new();
        for stream in 0..streams {
            let name = format!("append-{stream}");
            create(client, &path(&name), JSON)?;
            let path = match stage.contender {
                OwnCode => format!("/own/append?path={PROJECT}/{name}"),
                _ => path(&name),
            };
            let body = Some((JSON, MESSAGE.as_bytes()));
            requests.push(load::request(client, "POST", &path, body));
        }
        Ok(Box::new(Self {
            served,
            connections,
            requests,
            appends: stage.size(if connections == 1 { 2000 } else { 6400 }, 500),
        }))
    }
}

impl Subject for Append {
    fn round(&mut self, _: usize) -> Result<Values> {
        let running = &self.served.running;
        let before = running.process.cpu_time()?;
        let next = |connection: usize, _| self.requests[connection % self.requests.len()].clone();
        let client = &running.client;
        let mut outcome = load::run(client, self.connections, self.appends, next, |_, _| ())?;
        let used = running.process.cpu_time()?.since(&before);
        Ok(vec![
            (metrics::CPU, cpu_each(used, self.appends)),
            (metrics::P50, percentile(&mut outcome.times, 50)),
            (metrics::P99, percentile(&mut outcome.times, 99)),
            (
                metrics::RATE,
                self.appends as f64 / outcome.wall.as_secs_f64(),
            ),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
