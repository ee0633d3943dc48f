//! The ratios of an earlier run, kept in the repository: `tests/bench/baseline.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};
use durable_streams_tests::places;
use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::harness::{Outcome, Ratio};
use crate::statistics::Spread;

/// Ratios by what they are of.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// When they were measured, and on what.
    pub measured: String,
    /// The ratios.
    pub ratios: BTreeMap<String, Spread>,
}

/// A ratio that is another one than it was.
#[derive(Clone, Debug, Serialize)]
pub struct Move {
    /// What it is of.
    pub what: String,
    /// What it was.
    pub before: Spread,
    /// What it is.
    pub now: Spread,
}

impl Baseline {
    /// The one in the repository; nothing if there is none yet.
    pub fn load() -> Result<Option<Self>> {
        let path = path();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("reading {}", path.display()))?,
        };
        let baseline = serde_json::from_str(&text);
        Ok(Some(
            baseline.with_context(|| format!("parsing {}", path.display()))?,
        ))
    }

    /// Puts what was measured now in the place of what was measured before, and keeps the rest.
    pub fn update(mut self, measured: String, outcomes: &[Outcome]) -> Result<()> {
        self.measured = measured;
        self.ratios.extend(ratios(outcomes));
        let path = path();
        path.parent().map(fs::create_dir_all).transpose()?;
        let text = serde_json::to_string_pretty(&self)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// What has moved by more than the noise of both runs.
    pub fn moves(&self, outcomes: &[Outcome]) -> Vec<Move> {
        let moves = ratios(outcomes).filter_map(|(what, now)| {
            let before = *self.ratios.get(&what)?;
            now.differs_from(&before)
                .then_some(Move { what, before, now })
        });
        moves.collect()
    }
}

fn path() -> PathBuf {
    places::repository().join("tests/bench/baseline.json")
}

/// Those between workers of this checkout, as how fast the others are is none of this project's business;
/// and only those that are not in doubt.
fn ratios(outcomes: &[Outcome]) -> impl Iterator<Item = (String, Spread)> {
    let is_other = |one: Contender| one.is_reference() || one == Contender::Before;
    let is_kept = move |ratio: &&Ratio| !is_other(ratio.of) && !is_other(ratio.to);
    let certain = outcomes.iter().filter(|outcome| !outcome.is_in_doubt);
    certain.flat_map(move |outcome| {
        let kept = outcome.ratios.iter().filter(is_kept);
        kept.map(|ratio| {
            let (of, to) = (ratio.of.name(), ratio.to.name());
            let what = format!("{}: {}, {of} to {to}", outcome.name, ratio.metric);
            (what, ratio.spread)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Contender::{Floor, NodeMemory, Ours};

    fn outcome(values: &[f64]) -> Outcome {
        let ratio = |of| Ratio {
            metric: "CPU",
            of,
            to: Floor,
            spread: Spread::of(values.to_vec()).unwrap(),
        };
        Outcome {
            name: "append",
            title: "",
            rounds: values.len(),
            results: Vec::new(),
            ratios: vec![ratio(Ours), ratio(NodeMemory)],
            absent: Vec::new(),
            interruptions: Vec::new(),
            others: 0.0,
            is_in_doubt: false,
        }
    }

    #[test]
    fn what_was_measured_on_a_busy_machine_is_neither_kept_nor_compared() {
        let doubtful = Outcome {
            is_in_doubt: true,
            ..outcome(&[3.0, 3.0, 3.0])
        };
        assert_eq!(ratios(std::slice::from_ref(&doubtful)).count(), 0);
        let baseline = Baseline {
            measured: String::new(),
            ratios: ratios(&[outcome(&[1.0, 1.0, 1.0])]).collect(),
        };
        assert!(baseline.moves(&[doubtful]).is_empty());
    }

    #[test]
    fn what_has_moved_is_told_with_what_it_was() {
        let before = outcome(&[1.0, 1.01, 1.02]);
        let baseline = Baseline {
            measured: String::new(),
            ratios: ratios(&[before]).collect(),
        };
        assert!(baseline.moves(&[outcome(&[1.0, 1.02, 1.03])]).is_empty());
        let moves = baseline.moves(&[outcome(&[1.2, 1.21, 1.22])]);
        assert_eq!(moves.len(), 1, "references are left alone: {moves:?}");
        assert_eq!(moves[0].what, "append: CPU, ours to floor (plain JS)");
        assert_eq!((moves[0].before.median, moves[0].now.median), (1.01, 1.21));
    }
}
