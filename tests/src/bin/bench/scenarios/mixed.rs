//! Nine reads of what came last for each append, from many connections.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use durable_streams_tests::costs::MESSAGE;

use super::{JSON, cpu_each, create, metrics, path};
use crate::contender::Contender::{Floor, NodeFile, NodeMemory, Ours, RustWal, Tokens};
use crate::harness::{Scenario, Served, Subject, Values};
use crate::load;
use crate::statistics::percentile;

const CONNECTIONS: usize = 32;
/// One of so many requests is an append.
const APPEND_IN: usize = 10;
/// Reads begin so many acknowledged appends before the last one.
const BEHIND: usize = 5;

/// See the module's text.
pub const MIXED: Scenario = Scenario {
    name: "mixed",
    title: "90 % reads of the tail and 10 % appends, 32 connections to 1 stream",
    contenders: &[Ours, Floor, Tokens, NodeMemory, NodeFile, RustWal],
    start: |stage| {
        let served = stage.serve(&[])?;
        let path = path("mixed");
        create(&served.running.client, &path, JSON)?;
        Ok(Box::new(Mixed {
            served,
            path,
            requests: stage.size(6400, 640),
        }))
    },
    ..Scenario::USUAL
};

struct Mixed {
    served: Served,
    path: String,
    requests: usize,
}

impl Subject for Mixed {
    fn round(&mut self, _: usize) -> Result<Values> {
        let running = &self.served.running;
        let client = &running.client;
        let append = load::request(client, "POST", &self.path, Some((JSON, MESSAGE.as_bytes())));
        let seen: RefCell<VecDeque<String>> = RefCell::default();
        // Until appends are acknowledged in this round there is nothing to read behind.
        let is_append = |number: usize| number.is_multiple_of(APPEND_IN);
        let next = |_, number: usize| match seen.borrow().front() {
            Some(offset) if !is_append(number) => {
                let target = format!("{}?offset={offset}", self.path);
                load::request(client, "GET", &target, None)
            }
            _ => append.clone(),
        };
        let answered = |number: usize, answer: &load::Answer| {
            let mut seen = seen.borrow_mut();
            if let Some(offset) = answer
                .header("stream-next-offset")
                .filter(|_| is_append(number))
            {
                seen.push_back(offset.to_owned());
                if seen.len() > BEHIND {
                    seen.pop_front();
                }
            }
        };
        let before = running.process.cpu_time()?;
        let outcome = load::run(client, CONNECTIONS, self.requests, next, answered)?;
        let used = running.process.cpu_time()?.since(&before);
        let (mut writes, mut reads): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
        for (number, time) in outcome.times.iter().enumerate() {
            if is_append(number) {
                writes.push(*time);
            } else {
                reads.push(*time);
            }
        }
        Ok(vec![
            (metrics::CPU, cpu_each(used, self.requests)),
            (
                metrics::RATE,
                self.requests as f64 / outcome.wall.as_secs_f64(),
            ),
            (metrics::WRITER_P50, percentile(&mut writes, 50)),
            (metrics::READ_P50, percentile(&mut reads, 50)),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}
