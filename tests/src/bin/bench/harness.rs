//! What all scenarios share: contenders that are started fresh, rounds in which each has its turn, and
//! ratios between those that had their turns in the same round.

use std::collections::BTreeMap;

use anyhow::Result;
use durable_streams_tests::places::{self, Scratch};
use durable_streams_tests::server::Vars;
use serde::Serialize;

use crate::contender::{Contender, Running};
use crate::machine::Usage;
use crate::statistics::Spread;

/// How often something is tried that breaks off.
const ATTEMPTS: usize = 3;
/// The part of the processors that other programs may keep busy before times are in doubt.
const MOST_OTHERS: f64 = 0.1;

/// Something that a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
}

/// What a round has measured.
pub type Values = Vec<(Metric, f64)>;

/// A server under load.
pub trait Subject {
    /// Carries out the scenario once; `round` is unique. The first round is for warming up.
    fn round(&mut self, round: usize) -> Result<Values>;

    /// Ends the server.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// What is measured, and on whom.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, for people.
    pub title: &'static str,
    /// Whom it is done to, in the order in which they are started.
    pub contenders: &'static [Contender],
    /// The one with whom all others are compared.
    pub base: Contender,
    /// More rounds would not say more.
    pub most_rounds: usize,
    /// Whether the first round counts like any other.
    pub is_warm: bool,
    /// Whether it is only carried out when it is named.
    pub must_be_named: bool,
    /// Starts the server of a contender.
    pub start: fn(&Stage) -> Result<Box<dyn Subject>>,
}

impl Scenario {
    /// What most scenarios have in common.
    pub const USUAL: Self = Self {
        name: "",
        title: "",
        contenders: &[],
        base: Contender::Floor,
        most_rounds: usize::MAX,
        is_warm: false,
        must_be_named: false,
        start: |_| anyhow::bail!("the scenario does nothing"),
    };

    /// Whom it can be done to: wherever ours is measured, what it was before is, too.
    pub fn everyone(&self) -> impl Iterator<Item = Contender> {
        self.contenders.iter().flat_map(|one| {
            let before = (*one == Contender::Ours).then_some(Contender::Before);
            std::iter::once(*one).chain(before)
        })
    }
}

/// What a contender is started with.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// The scenario's name.
    pub scenario: &'static str,
    /// Who is started.
    pub contender: Contender,
    /// Whether little is done, to see that all works.
    pub is_quick: bool,
}

impl Stage {
    /// How much is done in a round.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { full }
    }

    /// The name of the folder with the data of a contender.
    fn state_of(&self, contender: Contender) -> String {
        format!("bench-{}-{contender:?}", self.scenario).to_lowercase()
    }

    /// An empty folder for the contender's data.
    pub fn scratch(&self) -> Result<Scratch> {
        Scratch::new(&self.state_of(self.contender))
    }

    /// Where the data of another contender of the scenario is, which was started before.
    pub fn data_of(&self, contender: Contender) -> Result<std::path::PathBuf> {
        Ok(places::work_dir("scratch")?.join(self.state_of(contender)))
    }

    /// Starts the contender with no data.
    pub fn serve(&self, vars: Vars) -> Result<Served> {
        let state = self.scratch()?;
        let running = self.contender.start(&state, vars)?;
        Ok(Served { running, state })
    }
}

/// A running contender and its data.
#[derive(Debug)]
pub struct Served {
    /// The server.
    pub running: Running,
    /// Its data.
    pub state: Scratch,
}

/// What came of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario's name.
    pub name: &'static str,
    /// What it does.
    pub title: &'static str,
    /// How many rounds counted.
    pub rounds: usize,
    /// What was measured.
    pub results: Vec<Measured>,
    /// How contenders compare.
    pub ratios: Vec<Ratio>,
    /// Contenders that could not take part, and why.
    pub absent: Vec<(Contender, String)>,
    /// Rounds that broke off and were carried out again, and why.
    pub interruptions: Vec<(Contender, String)>,
    /// How many processors other programs kept busy meanwhile, on average.
    pub others: f64,
    /// Whether that was so many that times say little: whoever waits for the kernel's scheduler waits
    /// equally long, however fast it is.
    pub is_in_doubt: bool,
}

/// A metric of a contender.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Whose.
    pub contender: Contender,
    /// What.
    pub metric: &'static str,
    /// In what.
    pub unit: &'static str,
    /// How much.
    pub spread: Spread,
    /// In each round.
    pub values: Vec<f64>,
}

/// How two contenders compare in a metric: of the ratios of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// What.
    pub metric: &'static str,
    /// Whose value is divided.
    pub of: Contender,
    /// By whose.
    pub to: Contender,
    /// The ratios of the rounds.
    pub spread: Spread,
}

impl Outcome {
    /// A metric of a contender.
    pub fn measured(&self, contender: Contender, metric: &str) -> Option<&Measured> {
        let mut results = self.results.iter();
        results.find(|one| one.contender == contender && one.metric == metric)
    }

    /// How two contenders compare.
    pub fn ratio(&self, metric: &str, of: Contender, to: Contender) -> Option<&Ratio> {
        let mut ratios = self.ratios.iter();
        ratios.find(|one| one.metric == metric && one.of == of && one.to == to)
    }
}

/// Carries out a scenario.
pub fn run(
    scenario: &Scenario,
    chosen: &[Contender],
    rounds: usize,
    is_quick: bool,
) -> Result<Outcome> {
    let rounds = rounds.min(scenario.most_rounds);
    let mut subjects: Vec<(Contender, Box<dyn Subject>)> = Vec::new();
    let mut absent = Vec::new();
    let mut interruptions = Vec::new();
    for contender in scenario.everyone() {
        if !chosen.contains(&contender) {
            continue;
        }
        let stage = Stage {
            scenario: scenario.name,
            contender,
            is_quick,
        };
        let started = again(contender, &mut interruptions, |_| {
            let mut subject = (scenario.start)(&stage)?;
            // Spent on the runtime's compiler.
            if !scenario.is_warm {
                subject.round(0)?;
            }
            Ok(subject)
        });
        match started {
            Ok(subject) => subjects.push((contender, subject)),
            Err(error) if contender.is_reference() => absent.push(leave_out(contender, &error)),
            Err(error) => return Err(error.context(format!("starting {}", contender.name()))),
        }
    }
    let mut values: BTreeMap<(Contender, Metric), Vec<f64>> = BTreeMap::new();
    let mut subjects: Vec<_> = subjects.into_iter().map(Some).collect();
    let count = subjects.len();
    let before = Usage::now()?;
    for round in 0..rounds {
        for turn in 0..count {
            // Who comes first changes, too.
            let place = &mut subjects[(round + turn) % count];
            let Some((contender, subject)) = place else {
                continue;
            };
            let contender = *contender;
            let measured = again(contender, &mut interruptions, |attempt| {
                subject.round(1 + round + attempt * rounds)
            });
            match measured {
                Ok(measured) => {
                    for (metric, value) in measured {
                        values.entry((contender, metric)).or_default().push(value);
                    }
                }
                Err(error) if contender.is_reference() => {
                    absent.push(leave_out(contender, &error));
                    values.retain(|(whose, _), _| *whose != contender);
                    *place = None;
                }
                Err(error) => {
                    let name = contender.name();
                    return Err(error.context(format!("round {round} of {name}")));
                }
            }
        }
    }
    let others = Usage::now()?.of_others_since(&before);
    let mut left = subjects.into_iter().flatten();
    left.try_for_each(|(_, subject)| subject.stop())?;
    Ok(Outcome {
        name: scenario.name,
        title: scenario.title,
        rounds,
        ratios: ratios(scenario, &values),
        results: values
            .into_iter()
            .filter_map(|((contender, metric), values)| {
                Some(Measured {
                    contender,
                    metric: metric.name,
                    unit: metric.unit,
                    spread: Spread::of(values.clone())?,
                    values,
                })
            })
            .collect(),
        absent,
        interruptions,
        others,
        is_in_doubt: others > MOST_OTHERS * std::thread::available_parallelism()?.get() as f64,
    })
}

/// Tries again what broke off, which is told. workerd closes connections without an answer when
/// nothing moves for seconds; so it does with the plainest worker, and the round is lost either way.
fn again<T>(
    contender: Contender,
    interruptions: &mut Vec<(Contender, String)>,
    mut attempt: impl FnMut(usize) -> Result<T>,
) -> Result<T> {
    let mut number = 0;
    loop {
        match attempt(number) {
            Err(error) if number + 1 < ATTEMPTS && !contender.is_reference() => {
                eprintln!("  {}, once more: {error:#}", contender.name());
                interruptions.push((contender, format!("{error:#}")));
                number += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A server that is no worker is not what is measured: the rest goes on without it.
fn leave_out(contender: Contender, error: &anyhow::Error) -> (Contender, String) {
    eprintln!("  {} is left out: {error:#}", contender.name());
    (contender, format!("{error:#}"))
}

/// Each contender is compared with the scenario's base, ours with tokens with ours without, and ours
/// with what it was before.
fn ratios(scenario: &Scenario, values: &BTreeMap<(Contender, Metric), Vec<f64>>) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for ((of, metric), numerators) in values {
        let mut bases = vec![scenario.base];
        match of {
            Contender::Tokens => bases.push(Contender::Ours),
            Contender::Ours => bases.push(Contender::Before),
            _ => {}
        }
        for to in bases.into_iter().filter(|to| to != of) {
            let Some(denominators) = values.get(&(to, *metric)) else {
                continue;
            };
            let pairs = numerators.iter().zip(denominators);
            let spread = Spread::of(pairs.map(|(a, b)| a / b).collect());
            ratios.extend(spread.map(|spread| Ratio {
                metric: metric.name,
                of: *of,
                to,
                spread,
            }));
        }
    }
    ratios
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const METRIC: Metric = Metric {
        name: "time",
        unit: "s",
    };

    /// Everyone's turns, in order.
    static TURNS: Mutex<Vec<(Contender, usize)>> = Mutex::new(Vec::new());

    struct Fake(Contender);

    impl Subject for Fake {
        fn round(&mut self, round: usize) -> Result<Values> {
            TURNS.lock().unwrap().push((self.0, round));
            // One breaks off.
            anyhow::ensure!((self.0, round) != (Contender::Floor, 2), "broken off");
            // The machine gets slower and slower, which both meet.
            let time = round as f64 * if self.0 == Contender::Ours { 3.0 } else { 2.0 };
            Ok(vec![(METRIC, time)])
        }

        fn stop(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn turns_alternate_and_ratios_are_taken_within_rounds() {
        use Contender::{Floor, NodeMemory, Ours};
        let scenario = Scenario {
            name: "fake",
            contenders: &[Ours, Floor, NodeMemory],
            start: |stage| {
                anyhow::ensure!(stage.contender != NodeMemory, "not to be had");
                Ok(Box::new(Fake(stage.contender)))
            },
            ..Scenario::USUAL
        };
        let outcome = run(&scenario, &[Ours, Floor, NodeMemory], 3, true).unwrap();
        let turns = TURNS.lock().unwrap();
        let warming = [(Ours, 0), (Floor, 0)];
        let counted = [
            (Ours, 1),
            (Floor, 1),
            (Floor, 2),
            (Floor, 5),
            (Ours, 2),
            (Ours, 3),
            (Floor, 3),
        ];
        assert_eq!(turns[..], [&warming[..], &counted[..]].concat());
        let ratio = outcome.ratio("time", Ours, Floor).unwrap();
        assert_eq!((ratio.spread.low, ratio.spread.high), (0.6, 1.5));
        assert_eq!(outcome.interruptions, [(Floor, "broken off".to_owned())]);
        assert_eq!(
            outcome.measured(Ours, "time").unwrap().values,
            [3.0, 6.0, 9.0]
        );
        assert_eq!(outcome.absent, [(NodeMemory, "not to be had".to_owned())]);
    }
}
