//! What the figures have to be.

use anyhow::Result;
use durable_streams_tests::costs::Costs;
use serde::Serialize;

use crate::contender::Contender::{self, Bridge, Floor, Ours, Stitch, Tokens};
use crate::harness::{Outcome, Ratio as Of};

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Where a figure is found.
#[derive(Clone, Copy)]
enum Figure {
    /// The ratio of two contenders in a scenario's metric.
    Ratio(&'static str, &'static str, Contender, Contender),
    /// Our value of a scenario's metric.
    Value(&'static str, &'static str),
    /// Something that was counted.
    Counted(fn(&Costs) -> Result<f64>),
    /// Kilobytes of compressed wasm.
    WasmKilobytes,
}

use Figure::{Counted, Ratio, Value, WasmKilobytes};
use Limit::{AtLeast, AtMost};

const TARGETS: &[(&str, Figure, Limit)] = &[
    (
        "append, 1 connection: CPU against the floor",
        Ratio("append", "CPU", Ours, Floor),
        AtMost(1.15),
    ),
    (
        "append, 1 connection: p50 against the floor",
        Ratio("append", "p50", Ours, Floor),
        AtMost(1.15),
    ),
    (
        "append, 32 connections to 1 stream: rate against the floor",
        Ratio("append-one-stream", "rate", Ours, Floor),
        AtLeast(0.9),
    ),
    (
        "append, 32 connections to 32 streams: rate against the floor",
        Ratio("append-many-streams", "rate", Ours, Floor),
        AtLeast(0.9),
    ),
    (
        "create: p50 against the floor",
        Ratio("create", "p50", Ours, Floor),
        AtMost(1.1),
    ),
    (
        "create: CPU against the floor",
        Ratio("create", "CPU", Ours, Floor),
        AtMost(1.1),
    ),
    (
        "catch up, 10,000 × 100 B: CPU against the floor's row loop",
        Ratio("catch-up", "CPU a MB", Ours, Floor),
        AtMost(0.5),
    ),
    (
        "catch up, 10,000 × 100 B: requests",
        Value("catch-up", "requests"),
        AtMost(1.0),
    ),
    (
        "catch up, 10,000 × 100 B in the bucket: requests",
        Value("catch-up-moved", "requests"),
        AtMost(1.0),
    ),
    (
        "catch up, 20 MB of bytes, cold: speed against the bare worker",
        Ratio("catch-up-cold-bytes", "speed", Ours, Stitch),
        AtLeast(0.7),
    ),
    (
        "catch up, 20 MB of bytes, cold: requests",
        Value("catch-up-cold-bytes", "requests"),
        AtMost(4.0),
    ),
    (
        "catch up, 20 MB of JSON, cold: speed against the bare worker",
        Ratio("catch-up-cold-json", "speed", Ours, Stitch),
        AtLeast(0.7),
    ),
    (
        "catch up, 20 MB of JSON, cold: requests",
        Value("catch-up-cold-json", "requests"),
        AtMost(4.0),
    ),
    (
        "200 readers of events: delivery p50 against the bridge",
        Ratio("sse-200", "delivery p50", Ours, Bridge),
        AtMost(1.1),
    ),
    (
        "200 readers of events: writer p50 against the bridge",
        Ratio("sse-200", "writer p50", Ours, Bridge),
        AtMost(1.1),
    ),
    (
        "1 long-poll: p50 against the bridge",
        Ratio("long-poll-1", "delivery p50", Ours, Bridge),
        AtMost(1.1),
    ),
    (
        "50 long-polls: p50 against the bridge",
        Ratio("long-poll-50", "delivery p50", Ours, Bridge),
        AtMost(1.1),
    ),
    (
        "rows written by an append",
        Counted(|costs| Ok(costs.of("append")?.rows_written)),
        AtMost(1.0),
    ),
    (
        "rows written by an append of a producer",
        Counted(|costs| Ok(costs.of("append by a producer")?.rows_written)),
        AtMost(2.0),
    ),
    (
        "rows written by an append, with its share of moving data",
        Counted(|costs| Ok(costs.amortised.rows_written)),
        AtMost(1.05),
    ),
    (
        "KV reads of an append and a read",
        Counted(|costs| Ok(costs.of("append")?.kv_reads + costs.of("read, hot")?.kv_reads)),
        AtMost(0.0),
    ),
    (
        "dollars for a million appends",
        Counted(|costs| Ok(costs.amortised.dollars() * 1e6)),
        AtMost(1.50),
    ),
    ("wasm, compressed, kB", WasmKilobytes, AtMost(300.0)),
    (
        "first request after the start, against the floor",
        Ratio("cold-start", "first request", Ours, Floor),
        AtMost(1.5),
    ),
    (
        "start to first answer, against the floor",
        Ratio("cold-start", "start to first answer", Ours, Floor),
        AtMost(1.5),
    ),
    (
        "append with project-jwt: CPU against no auth",
        Ratio("append", "CPU", Tokens, Ours),
        AtMost(1.1),
    ),
];

/// What a ratio has to be at most or at least, if it has to be anything.
pub fn limit(scenario: &str, ratio: &Of) -> Option<f64> {
    let mut targets = TARGETS.iter();
    targets.find_map(|(_, figure, limit)| {
        let Ratio(name, metric, of, to) = *figure else {
            return None;
        };
        let (AtMost(value) | AtLeast(value)) = *limit;
        let is_it = (name, metric, of, to) == (scenario, ratio.metric, ratio.of, ratio.to);
        is_it.then_some(value)
    })
}

/// A target and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What the figure is of.
    pub what: &'static str,
    /// What it has to be, such as `≤ 1.15`.
    pub target: String,
    /// What it is.
    pub found: f64,
    /// From the least to the greatest of the rounds, where there were several.
    pub range: Option<(f64, f64)>,
    /// Whether the figure is what it has to be.
    pub is_reached: bool,
    /// Whether the machine was too busy to tell.
    pub is_in_doubt: bool,
}

/// Holds what was measured against the targets. Those of scenarios that were not carried out are left
/// out.
pub fn verdicts(
    outcomes: &[Outcome],
    costs: Option<&Costs>,
    wasm_kilobytes: Option<f64>,
) -> Result<Vec<Verdict>> {
    let of = |name: &str| outcomes.iter().find(|outcome| outcome.name == name);
    let mut verdicts = Vec::new();
    for (what, figure, limit) in TARGETS {
        let found = match *figure {
            Ratio(scenario, metric, numerator, base) => of(scenario)
                .and_then(|outcome| outcome.ratio(metric, numerator, base))
                .map(|ratio| (ratio.spread.median, Some(ratio.spread))),
            Value(scenario, metric) => of(scenario)
                .and_then(|outcome| outcome.measured(Ours, metric))
                .map(|measured| (measured.spread.median, None)),
            Counted(of) => costs.map(of).transpose()?.map(|value| (value, None)),
            WasmKilobytes => wasm_kilobytes.map(|value| (value, None)),
        };
        let Some((found, spread)) = found else {
            continue;
        };
        let (target, is_reached) = match limit {
            AtMost(most) => (format!("≤ {most}"), found <= *most),
            AtLeast(least) => (format!("≥ {least}"), found >= *least),
        };
        verdicts.push(Verdict {
            what,
            target,
            found,
            range: spread.map(|spread| (spread.low, spread.high)),
            is_reached,
            is_in_doubt: match *figure {
                Ratio(scenario, ..) => of(scenario).is_some_and(|outcome| outcome.is_in_doubt),
                _ => false,
            },
        });
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    #[test]
    fn targets_are_about_scenarios_that_there_are() {
        for (what, figure, _) in TARGETS {
            let (Ratio(name, ..) | Value(name, _)) = *figure else {
                continue;
            };
            let scenario = scenarios::ALL.iter().find(|one| one.name == name);
            let scenario = scenario.unwrap_or_else(|| panic!("{what}: no scenario {name}"));
            if let Ratio(_, _, of, to) = *figure {
                assert!(scenario.contenders.contains(&of), "{what}");
                assert!(to == scenario.base || of == Tokens, "{what}");
            }
        }
    }
}
