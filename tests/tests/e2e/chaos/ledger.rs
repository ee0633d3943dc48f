//! What was written, and what was processed of it: the promises that subscriptions make, kept as a
//! book that says at once when one is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A stream's path below the root.
pub type Path = String;

/// See the module's text. Subscriptions have numbers.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

/// What the ledger holds.
#[derive(Debug, Default)]
pub struct Book {
    /// When each message of a stream was acknowledged; its number is its place.
    pub written: BTreeMap<Path, Vec<Instant>>,
    /// What each subscription has had.
    pub had: BTreeMap<usize, Had>,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

/// What a subscription has had.
#[derive(Debug, Default)]
pub struct Had {
    /// How many messages of each stream were processed.
    pub processed: BTreeMap<Path, usize>,
    /// Messages that were processed again.
    pub doubled: usize,
    /// Wakes that were delivered or claimed, by their generation.
    pub wakes: BTreeSet<u64>,
    /// How often a receiver was called, or a wake claimed.
    pub deliveries: usize,
    /// The longest time between a message's acknowledgement and its first processing.
    pub longest: Duration,
    /// Up to where each stream was acked, and by which wake, as the server has confirmed it.
    acked: BTreeMap<Path, (u64, String)>,
    /// Generations that were claimed.
    claimed: BTreeSet<u64>,
}

impl Ledger {
    /// The book; whoever panicked while it was open has left it whole.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Message number `n` of a stream was acknowledged.
    pub fn wrote(&self, path: &str, n: usize) {
        let mut book = self.book();
        let written = book.written.entry(path.to_owned()).or_default();
        if written.len() == n {
            written.push(Instant::now());
        } else {
            let what = format!("{path}: {n} was acknowledged after {}", written.len());
            book.broken.push(what);
        }
    }

    /// A subscription's worker was woken.
    pub fn woke(&self, of: usize, generation: u64, is_claim: bool) {
        let mut book = self.book();
        let had = book.had.entry(of).or_default();
        had.wakes.insert(generation);
        had.deliveries += 1;
        if is_claim && !had.claimed.insert(generation) {
            let what = format!("subscription {of}: generation {generation} was claimed twice");
            book.broken.push(what);
        }
    }

    /// A wake says that a stream is acked up to `offset`.
    pub fn told(&self, of: usize, generation: u64, path: &str, offset: &str) {
        let mut book = self.book();
        let had = book.had.entry(of).or_default();
        // An attempt of the same wake may have been on its way when the ack came.
        let earlier = had.acked.get(path).filter(|(at, _)| *at < generation);
        if let Some((_, known)) = earlier.filter(|(_, known)| offset < known.as_str()) {
            let what = format!("subscription {of}: {path} went back from {known} to {offset}");
            book.broken.push(what);
        }
    }

    /// The server has confirmed an ack of a wake.
    pub fn acked(&self, of: usize, generation: u64, path: &str, offset: &str) {
        let mut book = self.book();
        let had = book.had.entry(of).or_default();
        let known = had.acked.entry(path.to_owned()).or_default();
        if known.1.as_str() < offset {
            *known = (generation, offset.to_owned());
        }
    }

    /// Something else is not as it has to be.
    pub fn broke(&self, what: String) {
        self.book().broken.push(what);
    }

    /// Its worker has processed these messages of a stream, in this order.
    pub fn processed(&self, of: usize, path: &str, messages: &[usize]) {
        let mut book = self.book();
        let Book {
            written,
            had,
            broken,
        } = &mut *book;
        let had = had.entry(of).or_default();
        let next = had.processed.entry(path.to_owned()).or_default();
        if let Some(&first) = messages.first()
            && first > *next
        {
            broken.push(format!(
                "subscription {of}: {path} goes on at {first} instead of {next}"
            ));
        }
        if !messages.is_sorted_by(|a, b| a + 1 == *b) {
            broken.push(format!("subscription {of}: {path} has {messages:?}"));
        }
        for &n in messages {
            if n < *next {
                had.doubled += 1;
                continue;
            }
            *next = n + 1;
            // It may be processed before its writer hears that it was written.
            if let Some(at) = written.get(path).and_then(|written| written.get(n)) {
                had.longest = had.longest.max(at.elapsed());
            }
        }
    }
}

impl Book {
    /// How many messages a subscription to these streams has not processed yet.
    pub fn left(&self, of: usize, is_linked: impl Fn(&str) -> bool) -> usize {
        let had = self.had.get(&of);
        let linked = self.written.iter().filter(|(path, _)| is_linked(path));
        let left = linked.map(|(path, written)| {
            let processed = had.and_then(|had| had.processed.get(path)).copied();
            written.len().saturating_sub(processed.unwrap_or_default())
        });
        left.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn broken_promises_are_noted() {
        let good = Ledger::default();
        for n in 0..4 {
            good.wrote("a", n);
        }
        good.processed(1, "a", &[0, 1]);
        good.processed(1, "a", &[1, 2, 3]);
        good.acked(1, 1, "a", "2");
        good.told(1, 1, "a", "1");
        good.told(1, 2, "a", "2");
        good.woke(1, 1, true);
        good.woke(1, 1, false);
        assert_eq!(good.book().left(1, |_| true), 0);
        assert_eq!(good.book().left(2, |path| path == "a"), 4);
        assert_eq!(good.book().had[&1].doubled, 1);
        assert!(good.book().broken.is_empty());

        let gap = |ledger: &Ledger| ledger.processed(1, "a", &[5]);
        let disorder = |ledger: &Ledger| ledger.processed(1, "a", &[2, 1]);
        let back = |ledger: &Ledger| ledger.told(1, 2, "a", "1");
        let twice = |ledger: &Ledger| ledger.woke(1, 1, true);
        for (at, breaks) in [gap, disorder, back, twice].iter().enumerate() {
            breaks(&good);
            assert_eq!(good.book().broken.len(), at + 1);
        }
    }
}
