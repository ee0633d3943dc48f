//! Measures our worker beside others on the same runtime: fast or slow, it says by how much.
//!
//! Contenders are started fresh for each scenario and have their turns in each round, so that whatever
//! else the machine does meets all of them. What counts are ratios: the median of the rounds' ratios,
//! with the least and the greatest.

mod baseline;
mod chart;
mod contender;
mod harness;
mod load;
mod machine;
mod report;
mod scenarios;
mod statistics;
mod targets;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::{bundle, costs, places};

use baseline::Baseline;
use contender::Contender;
use machine::Machine;
use report::Report;
use scenarios::ALL;

/// Measures our worker beside others on the same runtime.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// What to measure: names of scenarios, `costs` or `bundle`; all of it by default
    scenarios: Vec<String>,
    /// List the scenarios
    #[arg(long)]
    list: bool,
    /// Do little of each, to see that all works
    #[arg(long)]
    quick: bool,
    /// How many rounds of each scenario [default: 9; with --quick 2]
    #[arg(long)]
    rounds: Option<usize>,
    /// Leave out the servers that are no workers
    #[arg(long)]
    workers_only: bool,
    /// Another checkout of this repository, whose worker takes part as what ours was before
    #[arg(long, value_name = "DIR")]
    before: Option<PathBuf>,
    /// Where report.json, report.md and chart.svg go [default: target/e2e/bench]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep the ratios as those that later runs are compared with
    #[arg(long)]
    save_baseline: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for scenario in ALL {
            println!("{:<22} {}", scenario.name, scenario.title);
        }
        println!("{:<22} what operations are billed", "costs");
        println!("{:<22} how long the uploaded modules are", "bundle");
        return Ok(ExitCode::SUCCESS);
    }
    for name in &args.scenarios {
        let is_known = ["costs", "bundle"].contains(&&**name) || ALL.iter().any(|s| s.name == name);
        ensure!(is_known, "there is no scenario {name}: --list shows all");
    }
    let report = measure(&args)?;
    let out = match &args.out {
        Some(dir) => dir.clone(),
        None => places::work_dir("bench")?,
    };
    fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    let markdown = report.markdown()?;
    let caption = format!(
        "{}, workerd {}, {} processors; medians and ranges of the rounds' ratios",
        report.machine.date, report.machine.workerd, report.machine.processors
    );
    let json = serde_json::to_string_pretty(&report.json()?)? + "\n";
    fs::write(out.join("report.json"), json)?;
    fs::write(out.join("report.md"), &markdown)?;
    fs::write(
        out.join("chart.svg"),
        chart::draw(&report.outcomes, &caption)?,
    )?;
    println!(
        "{markdown}\nreport.json, report.md and chart.svg are in {}",
        out.display()
    );
    if args.save_baseline {
        let measured = format!("{}, commit {}", report.machine.date, report.machine.commit);
        let baseline = Baseline::load()?.unwrap_or_default();
        baseline.update(measured, &report.outcomes)?;
    }
    // That a target is not reached is a result, not a failure.
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(args: &Args) -> Result<Report> {
    let is_chosen = |name: &str, must_be_named: bool| match &args.scenarios[..] {
        [] => !must_be_named,
        names => names.iter().any(|one| one == name),
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 9 }).max(1);
    let everyone = ALL.iter().flat_map(|scenario| scenario.everyone());
    let chosen = everyone.filter(|one| match one {
        Contender::Before => args.before.is_some(),
        one => !(args.workers_only && one.is_reference()),
    });
    let chosen: Vec<Contender> = chosen.collect();
    // What takes long and is not to be measured comes first.
    let workers = [
        ("ours", Worker::ours()?),
        ("ours, project-jwt", Worker::with(Auth::ProjectJwt)?),
    ];
    if let Some(checkout) = &args.before {
        let worker = Worker::of_checkout(checkout);
        let worker = worker.with_context(|| format!("building {}", checkout.display()))?;
        contender::BEFORE.get_or_init(|| worker);
    }
    let mut machine = Machine::look()?;
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for scenario in ALL {
        if !is_chosen(scenario.name, scenario.must_be_named) {
            continue;
        }
        let start = Instant::now();
        eprintln!("{}: {}", scenario.name, scenario.title);
        match harness::run(scenario, &chosen, rounds, args.quick) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                eprintln!("  failed: {error:#}");
                failures.push((scenario.name, format!("{error:#}")));
            }
        }
        eprintln!("  {:.0?}", start.elapsed());
    }
    let costs = is_chosen("costs", false)
        .then(|| {
            eprintln!("costs: what operations are billed");
            costs::measure(if args.quick { 1500 } else { 20_000 })
        })
        .transpose()?;
    let (mut bundles, mut wasm) = (Vec::new(), None);
    if is_chosen("bundle", false) {
        wasm = Some(bundle::wasm_gzip(&workers[1].1)? as f64 / 1e3);
        for (name, worker) in workers {
            bundles.push((name, bundle::modules(&worker)?));
        }
    }
    machine.load_after = machine::load()?;
    let moves = Baseline::load()?.map(|baseline| {
        let moves = baseline.moves(&outcomes);
        (baseline.measured, moves)
    });
    Ok(Report {
        machine,
        before: args.before.as_deref().map(machine::commit_of),
        is_quick: args.quick,
        verdicts: targets::verdicts(&outcomes, costs.as_ref(), wasm)?,
        outcomes,
        failures,
        costs,
        bundles,
        moves,
    })
}
