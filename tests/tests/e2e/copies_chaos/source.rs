//! The streams that are copied, and those who write them: few, each of whom has many streams, and
//! writes what is due to one of them after the other.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use durable_streams_tests::http::Call;
use durable_streams_tests::stream::Stream;

use super::Run;
use crate::JSON;
use crate::chaos::chance::Chance;
use crate::chaos::killed::{is_unreachable, until_answered};

/// How many messages a second are due for each source.
const RATE: f64 = 4.0;
/// How long a writer rests between two appends.
const REST: Duration = Duration::from_millis(45);
/// The most messages of one append.
const BATCH: usize = 40;
/// One message of so many is long, and how long, in bytes.
const LONG: (u64, usize) = (400, 100_000);

/// A stream that is copied.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path below the root.
    pub path: String,
    /// Whether it is of JSON, or of text.
    pub is_json: bool,
    /// Whether its writer repeats what was not answered, and is a producer to do so.
    pub repeats: bool,
}

impl Source {
    /// Its content type.
    pub fn content_type(&self) -> &'static str {
        if self.is_json { JSON } else { "text/plain" }
    }

    /// So many messages from number `first` on.
    fn batch(&self, first: usize, count: usize, chance: &mut Chance) -> String {
        let mut batch = String::new();
        for n in first..first + count {
            let length = if chance.below(LONG.0) == 0 {
                LONG.1
            } else {
                80
            };
            let text = "x".repeat(length);
            let _ = if self.is_json {
                let before = if batch.is_empty() { "[" } else { "," };
                write!(
                    batch,
                    r#"{before}{{"s":"{}","n":{n},"text":"{text}"}}"#,
                    self.path
                )
            } else {
                writeln!(batch, "{n} {text}")
            };
        }
        if self.is_json {
            batch.push(']');
        }
        batch
    }
}

/// How far a source is written.
struct Written<'a> {
    source: &'a Source,
    stream: Stream,
    next: usize,
    seq: u64,
    is_made: bool,
}

impl Written<'_> {
    /// What makes the stream, or appends to it.
    fn call(&self) -> Call {
        if !self.is_made {
            self.stream.put()
        } else if self.source.repeats {
            self.stream.post_as("writer", 0, self.seq)
        } else {
            self.stream.post()
        }
    }

    /// Appends so many messages; whoever does not repeat them does not know whether they are there.
    fn append(&mut self, run: &Run, count: usize, chance: &mut Chance) -> Result<()> {
        let batch = self.source.batch(self.next, count, chance);
        let sent = Instant::now();
        let send = || self.call().send_bytes(batch.as_bytes());
        // Everybody repeats to make a stream, which does not happen twice.
        let repeats = self.source.repeats || !self.is_made;
        let answer = if repeats {
            until_answered(send)
        } else {
            send()
        };
        let numbers = self.next..self.next + count;
        self.next += count;
        match answer {
            Ok(answer) if !repeats && answer.status >= 500 => return Ok(()),
            Err(error) if !repeats && is_unreachable(&error) => return Ok(()),
            answer => {
                let answer = answer?;
                ensure!(matches!(answer.status, 200 | 201 | 204), "{answer:?}");
            }
        }
        if self.is_made {
            self.seq += 1;
        }
        self.is_made = true;
        run.book().wrote(&self.source.path, numbers, sent);
        Ok(())
    }
}

/// Makes these sources that are not there yet, and writes all of them until the run is over.
pub fn write(run: &Run, sources: &[(&Source, bool)], seed: u64) -> Result<()> {
    let mut chance = Chance::new(run.seed, seed);
    let mut all: Vec<_> = sources
        .iter()
        .map(|(source, is_made)| Written {
            source,
            stream: Stream::named(&run.client, &source.path, source.content_type()),
            next: 0,
            seq: 0,
            is_made: *is_made,
        })
        .collect();
    let start = Instant::now();
    while !run.is_over() {
        thread::sleep(REST);
        let at = chance.below(all.len() as u64);
        let written = &mut all[usize::try_from(at)?];
        let due = (start.elapsed().as_secs_f64() * RATE) as usize;
        let count = due.saturating_sub(written.next).min(BATCH);
        if count > 0 {
            written.append(run, count, &mut chance)?;
        }
    }
    Ok(())
}
