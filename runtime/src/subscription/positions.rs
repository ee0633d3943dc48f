//! How far the copies of sources are, as the target has said. It is kept in memory alone: whoever does
//! not know asks.

use std::collections::BTreeMap;

use crate::protocol::ask::Life;

/// Of so many sources at the most; beyond that all are forgotten.
const MOST: usize = 20_000;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Positions {
    /// Of which subscription.
    of: Option<Life>,
    sources: BTreeMap<String, Position>,
}

#[derive(Debug)]
struct Position {
    incarnation: String,
    at: u64,
    tail: u64,
}

impl Positions {
    /// How far the copy of a source is.
    pub fn at(&self, of: &Life, path: &str, incarnation: &str) -> Option<u64> {
        let position = self.sources.get(path).filter(|_| self.is_of(of))?;
        (position.incarnation == incarnation).then_some(position.at)
    }

    /// Takes note of how far the copy of a source is, and of a tail that it has at least.
    pub fn note(&mut self, of: &Life, path: &str, incarnation: &str, at: u64, tail: u64) {
        if !self.is_of(of) {
            self.sources.clear();
            self.of = Some(of.clone());
        }
        if self.sources.len() >= MOST && !self.sources.contains_key(path) {
            self.sources.clear();
        }
        let before = self.sources.get(path);
        let before = before.filter(|position| position.incarnation == incarnation);
        let tail = before.map_or(tail, |position| position.tail.max(tail));
        let position = Position {
            incarnation: incarnation.to_owned(),
            at,
            tail,
        };
        self.sources.insert(path.to_owned(), position);
    }

    /// Forgets a source.
    pub fn forget(&mut self, path: &str) {
        self.sources.remove(path);
    }

    /// How many sources are known to have something that is not copied yet, and how much, in positions.
    pub fn lag(&self, of: &Life) -> (u64, u64) {
        let sources = self.sources.values().filter(|_| self.is_of(of));
        sources.fold((0, 0), |(count, all), position| {
            let lag = position.tail.saturating_sub(position.at);
            let count: u64 = count;
            let all: u64 = all;
            (
                count.saturating_add(u64::from(lag > 0)),
                all.saturating_add(lag),
            )
        })
    }

    fn is_of(&self, of: &Life) -> bool {
        self.of.as_ref() == Some(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(born: u64) -> Life {
        Life {
            born,
            incarnation: format!("{born}-x"),
        }
    }

    #[test]
    fn what_is_known_is_of_one_subscription_and_one_stream() {
        let mut positions = Positions::default();
        positions.note(&life(1), "a", "i", 3, 5);
        positions.note(&life(1), "b", "i", 3, 3);
        assert_eq!(positions.at(&life(1), "a", "i"), Some(3));
        assert_eq!(positions.at(&life(1), "a", "j"), None);
        assert_eq!(positions.at(&life(2), "a", "i"), None);
        assert_eq!(
            (positions.lag(&life(1)), positions.lag(&life(2))),
            ((1, 2), (0, 0))
        );
        // A tail does not go back while the stream is the same.
        positions.note(&life(1), "a", "i", 4, 0);
        assert_eq!(positions.lag(&life(1)), (1, 1));
        positions.note(&life(1), "a", "j", 1, 1);
        assert_eq!(positions.lag(&life(1)), (0, 0));
        positions.note(&life(2), "c", "i", 1, 2);
        assert_eq!(positions.at(&life(1), "a", "j"), None);
        positions.forget("c");
        assert_eq!(positions.at(&life(2), "c", "i"), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_known() {
        let mut positions = Positions::default();
        for n in 0..MOST + 1 {
            positions.note(&life(1), &n.to_string(), "i", 1, 1);
        }
        assert_eq!(positions.sources.len(), 1);
    }
}
