//! Who writes numbered messages to the stream that is copied, and beside each one to a twin of it that
//! is not.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use durable_streams_tests::http::Client;
use durable_streams_tests::stream::Stream;

use super::JSON;
use super::times::Times;

/// The name of the stream that is copied.
pub const SOURCE: &str = "source";

/// How often something is written.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    every: Duration,
    count: usize,
}

impl Pace {
    /// A message every so many seconds, for so many.
    pub fn every(seconds: u64, of: u64) -> Self {
        Self {
            every: Duration::from_secs(seconds),
            count: usize::try_from(of / seconds).unwrap_or(usize::MAX).max(1),
        }
    }

    /// So many, one after the other.
    pub fn at_once(count: usize) -> Self {
        Self {
            every: Duration::ZERO,
            count,
        }
    }
}

/// A message that was appended.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its number.
    pub n: u64,
    /// When it was sent.
    pub at: Instant,
    /// How long the append took.
    pub took: Duration,
}

/// See the module's text.
#[derive(Debug)]
pub struct Writer {
    client: Client,
    source: Stream,
    twin: Stream,
    next: u64,
}

impl Writer {
    /// Makes both streams.
    pub fn create(client: &Client) -> Result<Self> {
        Ok(Self {
            client: client.clone(),
            source: Stream::create(client, SOURCE, JSON)?,
            twin: Stream::create(client, "twin", JSON)?,
            next: 0,
        })
    }

    /// How many messages were written that are copied.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Appends to both that nobody copies: the source's times, and those of its twin.
    pub fn warm_up(&self) -> Result<(Times, Times)> {
        let (mut of_source, mut of_twin) = (Times::default(), Times::default());
        for _ in 0..300 {
            of_source.add(self.append(&self.source, "{}")?.took());
            of_twin.add(self.append(&self.twin, "{}")?.took());
        }
        Ok((of_source, of_twin))
    }

    /// Writes to both, by turns one and the other first, and gives what was sent to be copied and the
    /// twin's times.
    pub fn write(&mut self, pace: Pace) -> Result<(Vec<Sent>, Times)> {
        let (mut all, mut of_twin) = (Vec::new(), Times::default());
        let mut due = Instant::now();
        for _ in 0..pace.count {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += pace.every;
            let n = self.next;
            let message =
                format!(r#"{{"n":{n},"text":"a message of common length for a change feed"}}"#);
            let is_first = n.is_multiple_of(2);
            if !is_first {
                of_twin.add(self.append(&self.twin, &message)?.took());
            }
            let appended = self.append(&self.source, &message)?;
            self.next += 1;
            all.push(Sent {
                n,
                at: appended.sent,
                took: appended.took(),
            });
            if is_first {
                of_twin.add(self.append(&self.twin, &message)?.took());
            }
        }
        Ok((all, of_twin))
    }

    /// Appends by a connection of its own: one that was kept ends without an answer when the server has
    /// been too busy to look at it for seconds.
    fn append(&self, stream: &Stream, message: &str) -> Result<Appended> {
        let stream = stream.on(&Client::new(self.client.base()));
        let sent = Instant::now();
        stream.append(message)?;
        let answered = Instant::now();
        Ok(Appended { sent, answered })
    }
}

struct Appended {
    sent: Instant,
    answered: Instant,
}

impl Appended {
    fn took(&self) -> Duration {
        self.answered - self.sent
    }
}
