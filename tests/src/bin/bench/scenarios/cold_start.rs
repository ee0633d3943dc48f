//! The first request to a server that was just started, a creation. Each start finds the data of those
//! before it.

use std::time::Instant;

use anyhow::Result;
use durable_streams_tests::places::Scratch;

use super::{JSON, metrics, path};
use crate::contender::Contender::{self, Floor, Ours, Tokens};
use crate::harness::{Scenario, Subject, Values};
use crate::load::{self, Connection};

/// See the module's text.
pub const COLD_START: Scenario = Scenario {
    name: "cold-start",
    title: "first request after the start of the process",
    contenders: &[Ours, Floor, Tokens],
    start: |stage| {
        Ok(Box::new(ColdStart {
            contender: stage.contender,
            state: stage.scratch()?,
        }))
    },
    ..Scenario::USUAL
};

struct ColdStart {
    contender: Contender,
    state: Scratch,
}

impl Subject for ColdStart {
    fn round(&mut self, round: usize) -> Result<Values> {
        let running = self.contender.start(&self.state, &[])?;
        let client = &running.client;
        let path = path(&format!("cold-{round}"));
        let request = load::request(client, "PUT", &path, Some((JSON, b"")));
        let mut connection = Connection::open(client)?;
        let start = Instant::now();
        connection.call(&request)?;
        let first = start.elapsed();
        let since_start = running.process.age()?;
        running.stop()?;
        Ok(vec![
            (metrics::FIRST, first.as_secs_f64() * 1e3),
            (metrics::START, since_start.as_secs_f64() * 1e3),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
