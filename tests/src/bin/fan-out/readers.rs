//! Readers of events of some of the targets, which follow them all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::readers::{Mode, Readers};
use durable_streams_tests::stream::Stream;

use super::{JSON, target};

/// How long readers may take to have what was written.
const PATIENCE: Duration = Duration::from_secs(300);

/// The numbers that a reader was given, and when.
type Seen = Vec<(u64, Instant)>;

/// See the module's text.
#[derive(Debug)]
pub struct Following {
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Following {
    /// Lets so many read, of targets that are evenly apart.
    pub fn start(client: &Client, targets: usize, count: usize) -> Result<Self> {
        let mut readers = Readers::of(client)?;
        for at in 0..count {
            let stream = Stream::named(client, &target(at * targets / count), JSON);
            readers.add(stream.path(), "-1", Mode::Sse)?;
        }
        readers.read_until("all readers have caught up", |all| {
            all.iter().all(|reader| reader.caught_up)
        })?;
        let seen = Arc::new(Mutex::new(vec![Seen::new(); count]));
        let is_over = Arc::new(AtomicBool::new(false));
        let (noted, ends) = (Arc::clone(&seen), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                readers.read_for(Duration::from_millis(50))?;
                readers.resume_ended()?;
                let mut noted = noted.lock().ok().context("a reader panicked")?;
                for (noted, reader) in noted.iter_mut().zip(&readers.all) {
                    noted.extend(&reader.numbers[noted.len()..]);
                }
            }
            readers.hang_up()
        });
        Ok(Self {
            seen,
            is_over,
            thread,
        })
    }

    /// What each has seen, which is each message once and in order.
    pub fn seen(&self) -> Result<Vec<Seen>> {
        let seen = self.seen.lock().ok().context("a reader panicked")?.clone();
        for numbers in &seen {
            let is_exact = numbers.iter().map(|(n, _)| *n).eq(0..numbers.len() as u64);
            ensure!(is_exact, "a reader has seen {numbers:?}");
        }
        Ok(seen)
    }

    /// Waits until all have seen so many.
    pub fn wait_for(&self, count: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            let seen = self.seen.lock().ok().context("a reader panicked")?;
            let least = seen.iter().map(Vec::len).min().unwrap_or_default();
            drop(seen);
            if least as u64 >= count {
                return Ok(());
            }
            ensure!(!self.thread.is_finished(), "the readers have ended");
            ensure!(
                start.elapsed() < PATIENCE,
                "a reader has {least} of {count}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets all of them hang up.
    pub fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("a reader panicked")?
    }
}
