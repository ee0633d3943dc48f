//! How soon live readers hear of an append, and what that costs: one writer sends 20 messages a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::readers::{Mode, Readers};

use super::{JSON, cpu_each, create, metrics, path};
use crate::contender::Contender::{Bridge, NodeMemory, Ours, RustWal};
use crate::harness::{Scenario, Served, Stage, Subject, Values};
use crate::load::{self, Connection};
use crate::statistics::percentile;

const PAUSE: Duration = Duration::from_millis(50);

/// 200 readers of events.
pub const SSE_200: Scenario = Scenario {
    name: "sse-200",
    title: "200 readers of events, 20 messages a second",
    contenders: &[Ours, Bridge, NodeMemory, RustWal],
    base: Bridge,
    start: |stage| FanOut::start(stage, Mode::Sse, 200),
    ..Scenario::USUAL
};

/// 1000 readers of events.
pub const SSE_1000: Scenario = Scenario {
    name: "sse-1000",
    title: "1000 readers of events, 20 messages a second",
    start: |stage| FanOut::start(stage, Mode::Sse, 1000),
    ..SSE_200
};

/// One long-poll.
pub const LONG_POLL_1: Scenario = Scenario {
    name: "long-poll-1",
    title: "1 long-poll is woken",
    start: |stage| FanOut::start(stage, Mode::LongPoll, 1),
    ..SSE_200
};

/// 50 long-polls.
pub const LONG_POLL_50: Scenario = Scenario {
    name: "long-poll-50",
    title: "50 long-polls are woken",
    start: |stage| FanOut::start(stage, Mode::LongPoll, 50),
    ..SSE_200
};

struct FanOut {
    served: Served,
    mode: Mode,
    readers: usize,
    messages: usize,
}

impl FanOut {
    fn start(stage: &Stage, mode: Mode, readers: usize) -> Result<Box<dyn Subject>> {
        // Nobody shall be told to ask again while times are taken.
        let vars = [
            ("SSE_TIMEOUT_MS", "600000"),
            ("LONG_POLL_TIMEOUT_MS", "600000"),
        ];
        Ok(Box::new(Self {
            served: stage.serve(&vars)?,
            mode,
            readers,
            messages: stage.size(100, 20),
        }))
    }
}

impl Subject for FanOut {
    fn round(&mut self, round: usize) -> Result<Values> {
        let running = &self.served.running;
        let path = path(&format!("fan-out-{round}"));
        create(&running.client, &path, JSON)?;
        let mut readers = Readers::of(&running.client)?;
        for _ in 0..self.readers {
            readers.add(&path, "now", self.mode)?;
        }
        if self.mode == Mode::Sse {
            readers.read_until("all were greeted", |all| all.iter().all(|r| r.caught_up))?;
        } else {
            thread::sleep(Duration::from_secs(1));
        }
        let before = running.process.cpu_time()?;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (client, sent) = (running.client.clone(), Arc::clone(&sent));
            let messages = self.messages;
            thread::spawn(move || write(&client, &path, messages, &sent))
        };
        readers.read_until("all have everything", |all| {
            all.iter()
                .all(|reader| reader.numbers.len() >= self.messages)
        })?;
        let mut writer = writer
            .join()
            .map_err(|_| anyhow!("the writer panicked"))??;
        let used = running.process.cpu_time()?.since(&before);
        let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delivery = Vec::with_capacity(self.readers * self.messages);
        for reader in &readers.all {
            let mut last = None;
            for (n, at) in &reader.numbers {
                ensure!(last.is_none_or(|last| *n == last + 1), "out of order");
                last = Some(*n);
                delivery.push(at.saturating_duration_since(sent[usize::try_from(*n)?]));
            }
            ensure!(
                reader.numbers.len() == self.messages,
                "something came twice"
            );
        }
        Ok(vec![
            (metrics::DELIVERY_P50, percentile(&mut delivery, 50)),
            (metrics::DELIVERY_P99, percentile(&mut delivery, 99)),
            (metrics::WRITER_P50, percentile(&mut writer, 50)),
            (metrics::CPU, cpu_each(used, self.messages)),
        ])
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.served.running.stop()
    }
}

/// Sends numbered messages and notes when, and how long each took to be acknowledged.
fn write(
    client: &Client,
    path: &str,
    messages: usize,
    sent: &Mutex<Vec<Instant>>,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(client)?;
    let mut took = Vec::with_capacity(messages);
    for n in 0..messages {
        let text = "a message of common length, as chats and feeds have them, or so it is said";
        let body = format!(r#"{{"n":{n},"text":"{text}"}}"#);
        let request = load::request(client, "POST", path, Some((JSON, body.as_bytes())));
        let start = Instant::now();
        sent.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(start);
        connection.call(&request)?;
        took.push(start.elapsed());
        thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    }
    Ok(took)
}
