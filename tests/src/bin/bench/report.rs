//! What a run has found, for programs and for people.

use std::fmt::Write;

use anyhow::Result;
use durable_streams_tests::bundle::Module;
use durable_streams_tests::costs::{self, Costs, Usage};
use serde_json::{Value, json};

use crate::baseline::Move;
use crate::contender::Contender;
use crate::harness::Outcome;
use crate::machine::Machine;
use crate::statistics::Spread;
use crate::targets::Verdict;

/// With fewer rounds, all of them differ the same way by chance: one time in 32 with six.
const ROUNDS_TO_TELL: usize = 6;

/// See the module's text.
#[derive(Debug)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// Whether little was done, so that the figures mean little.
    pub is_quick: bool,
    /// What came of the scenarios.
    pub outcomes: Vec<Outcome>,
    /// Scenarios that could not be carried out, and why.
    pub failures: Vec<(&'static str, String)>,
    /// What was counted.
    pub costs: Option<Costs>,
    /// What is uploaded, by the worker's name.
    pub bundles: Vec<(&'static str, Vec<Module>)>,
    /// Which targets are reached.
    pub verdicts: Vec<Verdict>,
    /// The commit of what ours was before, if that took part.
    pub before: Option<String>,
    /// When the baseline was measured, and what has moved since.
    pub moves: Option<(String, Vec<Move>)>,
}

impl Report {
    /// All of it.
    pub fn json(&self) -> Result<Value> {
        let usage = |usage: &Usage| {
            json!({
                "worker_requests": usage.worker_requests,
                "object_requests": usage.object_requests,
                "object_millis": usage.object_millis,
                "cpu_millis": usage.cpu_millis,
                "rows_written": usage.rows_written,
                "rows_read": usage.rows_read,
                "kv_reads": usage.kv_reads,
                "kv_writes": usage.kv_writes,
                "r2_writes": usage.r2_writes,
                "r2_reads": usage.r2_reads,
                "dollars": usage.dollars(),
            })
        };
        let costs = self.costs.as_ref().map(|costs| {
            let operations = costs.operations.iter();
            let operations = operations.map(|one| (one.name.to_owned(), usage(&one.usage)));
            json!({
                "prices_of": costs::PRICES_OF,
                "operations": operations.collect::<serde_json::Map<_, _>>(),
                "append_amortised": usage(&costs.amortised),
                "thousand_idle_readers_a_month": usage(&costs.idle_readers),
            })
        });
        let bundles = self.bundles.iter().map(|(name, modules)| {
            let modules = modules.iter().map(
                |module| json!({ "name": module.name, "bytes": module.bytes, "gzip": module.gzip }),
            );
            ((*name).to_owned(), modules.collect::<Value>())
        });
        Ok(json!({
            "machine": self.machine,
            "before": self.before,
            "quick": self.is_quick,
            "scenarios": self.outcomes,
            "failures": self.failures,
            "costs": costs,
            "bundles": bundles.collect::<serde_json::Map<_, _>>(),
            "targets": self.verdicts,
            "moves": self.moves,
        }))
    }

    /// Tables.
    pub fn markdown(&self) -> Result<String> {
        let mut text = String::new();
        self.write_head(&mut text)?;
        self.write_verdicts(&mut text)?;
        self.write_moves(&mut text)?;
        self.write_before(&mut text)?;
        for outcome in &self.outcomes {
            write_outcome(&mut text, outcome)?;
        }
        for (name, error) in &self.failures {
            let first = error.lines().next().unwrap_or_default();
            writeln!(text, "\n## {name}\n\nFailed: {first}")?;
        }
        if let Some(costs) = &self.costs {
            write_costs(&mut text, costs)?;
        }
        self.write_bundles(&mut text)?;
        Ok(text)
    }

    fn write_head(&self, text: &mut String) -> Result<()> {
        let machine = &self.machine;
        writeln!(text, "# Benchmark, {}\n", machine.date)?;
        if self.is_quick {
            writeln!(
                text,
                "A quick run: it shows that all works, and little else.\n"
            )?;
        }
        writeln!(
            text,
            "{} processors ({}), {} MB, {}; workerd {}, Node.js {}; commit {}. Load {:.1} before, {:.1} \
             at the end. Figures are medians of the rounds; ratios are medians of the rounds' \
             ratios, with the least and the greatest.",
            machine.processors,
            machine.processor,
            machine.memory,
            machine.kernel,
            machine.workerd,
            machine.node,
            machine.commit,
            machine.load_before,
            machine.load_after,
        )?;
        Ok(())
    }

    fn write_verdicts(&self, text: &mut String) -> Result<()> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n## Targets\n\n| | target | found | range | |\n|---|---|---|---|---|"
        )?;
        for verdict in &self.verdicts {
            let range = verdict.range.map_or(String::new(), |(low, high)| {
                format!("{} to {}", short(low), short(high))
            });
            let said = match verdict {
                Verdict {
                    is_in_doubt: true, ..
                } => "in doubt: the machine was busy",
                Verdict {
                    is_reached: true, ..
                } => "reached",
                _ => "**not reached**",
            };
            writeln!(
                text,
                "| {} | {} | {} | {range} | {said} |",
                verdict.what,
                verdict.target,
                short(verdict.found),
            )?;
        }
        Ok(())
    }

    fn write_moves(&self, text: &mut String) -> Result<()> {
        let Some((measured, moves)) = &self.moves else {
            writeln!(text, "\nThere is no baseline to compare with.")?;
            return Ok(());
        };
        writeln!(text, "\n## Since the baseline ({measured})\n")?;
        if moves.is_empty() {
            writeln!(
                text,
                "Of what is not in doubt, no ratio has moved by more than the noise."
            )?;
            return Ok(());
        }
        writeln!(
            text,
            "| moved by more than the noise | was | is |\n|---|---|---|"
        )?;
        for one in moves {
            let (before, now) = (with_range(&one.before), with_range(&one.now));
            writeln!(text, "| {} | {before} | {now} |", one.what)?;
        }
        Ok(())
    }

    /// How ours compares with what it was before.
    fn write_before(&self, text: &mut String) -> Result<()> {
        let Some(commit) = &self.before else {
            return Ok(());
        };
        writeln!(
            text,
            "\n## Ours to before (commit {commit})\n\nWhat has moved differs in every round, and in the \
             middle by 2 %.\n\n| | ratio | |\n|---|---|---|"
        )?;
        for outcome in &self.outcomes {
            let ratios = outcome.ratios.iter();
            for ratio in ratios.filter(|ratio| ratio.to == Contender::Before) {
                let said = match ratio.spread.differs_from_one() {
                    _ if outcome.is_in_doubt => "in doubt: the machine was busy",
                    _ if outcome.rounds < ROUNDS_TO_TELL => "too few rounds to tell",
                    true => "**moved**",
                    false => "",
                };
                let (name, metric) = (outcome.name, ratio.metric);
                let spread = with_range(&ratio.spread);
                writeln!(text, "| {name}: {metric} | {spread} | {said} |")?;
            }
        }
        Ok(())
    }

    fn write_bundles(&self, text: &mut String) -> Result<()> {
        if self.bundles.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n## Bundle\n\n| | module | bytes | gzip |\n|---|---|---|---|"
        )?;
        for (name, modules) in &self.bundles {
            for module in modules {
                let (file, bytes, gzip) = (&module.name, module.bytes, module.gzip);
                writeln!(text, "| {name} | {file} | {bytes} | {gzip} |")?;
            }
        }
        Ok(())
    }
}

fn write_outcome(text: &mut String, outcome: &Outcome) -> Result<()> {
    writeln!(text, "\n## {} (`{}`)\n", outcome.title, outcome.name)?;
    let mut metrics: Vec<(&str, &str)> = Vec::new();
    let mut contenders: Vec<Contender> = Vec::new();
    for measured in &outcome.results {
        let metric = (measured.metric, measured.unit);
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
        if !contenders.contains(&measured.contender) {
            contenders.push(measured.contender);
        }
    }
    let names = metrics.iter().map(|(name, unit)| match *unit {
        "" => (*name).to_owned(),
        unit => format!("{name}, {unit}"),
    });
    let names: Vec<_> = names.collect();
    writeln!(
        text,
        "| {} rounds | {} |",
        outcome.rounds,
        names.join(" | ")
    )?;
    writeln!(text, "|---|{}", "---|".repeat(metrics.len()))?;
    for contender in contenders {
        let cells = metrics.iter().map(|(metric, _)| {
            let Some(measured) = outcome.measured(contender, metric) else {
                return String::new();
            };
            let mut cell = short(measured.spread.median);
            let ratios = outcome.ratios.iter();
            for ratio in ratios.filter(|one| one.of == contender && one.metric == *metric) {
                let (to, spread) = (short_name(ratio.to), with_range(&ratio.spread));
                let _ = write!(cell, "<br>{spread} × {to}");
            }
            cell
        });
        let cells: Vec<_> = cells.collect();
        writeln!(text, "| {} | {} |", contender.name(), cells.join(" | "))?;
    }
    let others = short(outcome.others);
    if outcome.is_in_doubt {
        writeln!(
            text,
            "\n**In doubt**: other programs kept {others} processors busy, and times say little then."
        )?;
    } else {
        writeln!(text, "\nOther programs kept {others} processors busy.")?;
    }
    for (contender, why) in &outcome.interruptions {
        let first = why.lines().next().unwrap_or_default();
        writeln!(
            text,
            "\nA round of {} broke off and was repeated: {first}",
            contender.name()
        )?;
    }
    for (contender, why) in &outcome.absent {
        let first = why.lines().next().unwrap_or_default();
        writeln!(text, "\n{} was left out: {first}", contender.name())?;
    }
    Ok(())
}

/// Without what is in parentheses.
fn short_name(contender: Contender) -> &'static str {
    contender.name().split(" (").next().unwrap_or_default()
}

fn write_costs(text: &mut String, costs: &Costs) -> Result<()> {
    writeln!(
        text,
        "\n## Costs\n\nCounted, at Cloudflare's public prices of {}, beyond what the plan includes. \
         Moving data to the bucket enters in the last line: rows, alarms, R2 operations, \
         divided by the appends that caused them. Processor time is not in it: at most \
         $0.02 for each millisecond of an append, for a million.\n",
        costs::PRICES_OF
    )?;
    writeln!(
        text,
        "| operation | rows written | rows read | object requests | KV reads | KV writes | R2 class A \
         | R2 class B | dollars a million |\n|---|---|---|---|---|---|---|---|---|"
    )?;
    let mut line = |name: &str, usage: &Usage, dollars: f64| {
        let counts = [
            usage.rows_written,
            usage.rows_read,
            usage.object_requests,
            usage.kv_reads,
            usage.kv_writes,
            usage.r2_writes,
            usage.r2_reads,
        ];
        let counts = counts.map(|count| format!("{}", (count * 1e4).round() / 1e4));
        writeln!(text, "| {name} | {} | {dollars:.2} |", counts.join(" | "))
    };
    for operation in &costs.operations {
        let usage = &operation.usage;
        line(operation.name, usage, usage.dollars() * 1e6)?;
    }
    let amortised = &costs.amortised;
    let name = "append, with its share of moving data";
    line(name, amortised, amortised.dollars() * 1e6)?;
    let dollars = costs.idle_readers.dollars();
    writeln!(
        text,
        "\nA thousand idle readers of events: {dollars:.2} dollars a month, each being answered again \
         after a minute."
    )?;
    Ok(())
}

fn with_range(spread: &Spread) -> String {
    let Spread {
        median, low, high, ..
    } = *spread;
    if low == high {
        return short(median);
    }
    format!("{} ({} to {})", short(median), short(low), short(high))
}

/// Three digits or so.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
