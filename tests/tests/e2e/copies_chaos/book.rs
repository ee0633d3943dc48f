//! What was written and acknowledged, and what came of it to whoever follows a target.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::content::Envelope;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Book {
    /// The numbers of each source's messages that were acknowledged, in order.
    pub acknowledged: BTreeMap<String, Vec<usize>>,
    /// When what was acknowledged was sent.
    sent: BTreeMap<(String, usize), Instant>,
    /// What the follower was given, in order.
    pub followed: Vec<Envelope>,
    /// When each of these came.
    came: Vec<Instant>,
    /// In how many answers.
    pub answers: usize,
}

impl Book {
    /// These messages of a source were sent then, and are acknowledged.
    pub fn wrote(&mut self, path: &str, numbers: Range<usize>, sent: Instant) {
        for n in numbers.clone() {
            self.sent.insert((path.to_owned(), n), sent);
        }
        let acknowledged = self.acknowledged.entry(path.to_owned()).or_default();
        acknowledged.extend(numbers);
    }

    /// An answer brought these copies.
    pub fn followed(&mut self, copies: Vec<Envelope>) {
        self.came
            .resize(self.came.len() + copies.len(), Instant::now());
        self.followed.extend(copies);
        self.answers += 1;
    }

    /// Up to where the follower has each source.
    pub fn reached(&self) -> BTreeMap<&str, &str> {
        let all = self.followed.iter();
        all.map(|copy| (&*copy.stream, &*copy.offset)).collect()
    }

    /// The times from when messages were sent to when they came, in order.
    pub fn delays(&self) -> Vec<Duration> {
        let all = self.followed.iter().zip(&self.came);
        let mut delays: Vec<_> = all
            .filter_map(|(copy, came)| {
                let sent = self.sent.get(&(copy.stream.clone(), copy.number()?))?;
                Some(came.saturating_duration_since(*sent))
            })
            .collect();
        delays.sort_unstable();
        delays
    }
}
