//! What was found, added up.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    prices::{self, Line},
    query::{Dear, Done, Window},
};

/// The outcome of what went well.
const OK: &str = "ok";
/// Operations that a request asks for, in the order they are shown. All others go on behind requests.
const REQUESTS: &[&str] = &["create", "append", "read", "head", "delete", "other"];
/// Operations that write to the bucket.
const BUCKET_WRITES: &[&str] = &["seal", "merge"];

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// How often.
    pub operations: f64,
    /// How often it went wrong.
    pub errors: f64,
    /// How many messages, or bytes of byte streams.
    pub items: f64,
    /// How many bytes of bodies.
    pub body_bytes: f64,
    /// How many rows were written.
    pub rows_written: f64,
}

/// An operation, and what was done of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name.
    pub operation: String,
    /// What was done.
    #[serde(flatten)]
    pub sum: Sum,
    /// How often which error came of it.
    pub by_error: BTreeMap<String, f64>,
}

/// A slot of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slot {
    /// When it begins, in seconds since 1970.
    pub start: i64,
    /// How often requests were served.
    pub operations: f64,
    /// How often it went wrong.
    pub errors: f64,
}

/// A stream that costs something.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Its path, or as much of it as an index holds.
    pub stream: String,
    /// How often something was done to it.
    pub operations: f64,
    /// How many bytes of bodies.
    pub body_bytes: f64,
    /// How many rows were written.
    pub rows_written: f64,
    /// What that costs, about, as if nothing were included.
    pub dollars: f64,
}

/// What a worker was used for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// By operation: those of requests first.
    pub operations: Vec<Operation>,
    /// All together.
    pub total: Sum,
    /// Requests over time.
    pub slots: Vec<Slot>,
    /// Those that cost most.
    pub streams: Vec<Stream>,
    /// What it costs.
    pub costs: Vec<Line>,
    /// Some points were left out, and the numbers are estimates.
    pub estimated: bool,
}

impl Report {
    /// Adds up what was found in a window.
    pub fn new(window: &Window, done: &[Done], dear: Vec<Dear>) -> Self {
        let operations = by_operation(done);
        let mut total = Sum::default();
        for operation in &operations {
            total.add(&operation.sum);
        }
        Self {
            costs: costs(window, &operations, total.rows_written),
            operations,
            total,
            slots: slots(window, done),
            streams: dear.into_iter().map(Stream::from).collect(),
            estimated: done.iter().any(|one| one.sampled > 1.0),
        }
    }

    /// What it all costs, as if nothing were included.
    pub fn dollars(&self) -> f64 {
        self.costs.iter().map(|line| line.dollars).sum()
    }

    /// What a month of it costs beyond what the plan includes.
    pub fn dollars_a_month(&self) -> f64 {
        self.costs.iter().map(|line| line.dollars_a_month).sum()
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.errors += other.errors;
        self.items += other.items;
        self.body_bytes += other.body_bytes;
        self.rows_written += other.rows_written;
    }
}

impl From<&Done> for Sum {
    fn from(done: &Done) -> Self {
        Self {
            operations: done.operations,
            errors: if done.outcome == OK {
                0.0
            } else {
                done.operations
            },
            items: done.items,
            body_bytes: done.body_bytes,
            rows_written: done.rows_written,
        }
    }
}

impl From<Dear> for Stream {
    fn from(dear: Dear) -> Self {
        Self {
            stream: dear.stream,
            operations: dear.operations,
            body_bytes: dear.body_bytes,
            rows_written: dear.rows_written,
            dollars: dear.price / 1e6,
        }
    }
}

fn is_request(operation: &str) -> bool {
    REQUESTS.contains(&operation)
}

fn by_operation(done: &[Done]) -> Vec<Operation> {
    let mut found: BTreeMap<(usize, &str), Operation> = BTreeMap::new();
    for one in done {
        let name = one.operation.as_str();
        let place = REQUESTS.iter().position(|request| *request == name);
        let key = (place.unwrap_or(REQUESTS.len()), name);
        let operation = found.entry(key).or_insert_with(|| Operation {
            operation: name.to_owned(),
            sum: Sum::default(),
            by_error: BTreeMap::new(),
        });
        operation.sum.add(&Sum::from(one));
        if one.outcome != OK {
            let errors = operation.by_error.entry(one.outcome.clone());
            *errors.or_default() += one.operations;
        }
    }
    found.into_values().collect()
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a slot begins with a whole second"
)]
fn slots(window: &Window, done: &[Done]) -> Vec<Slot> {
    let mut found: BTreeMap<i64, Slot> = window
        .slots()
        .map(|start| {
            let empty = Slot {
                start,
                operations: 0.0,
                errors: 0.0,
            };
            (start, empty)
        })
        .collect();
    for one in done.iter().filter(|one| is_request(&one.operation)) {
        if let Some(slot) = found.get_mut(&(one.slot as i64)) {
            let sum = Sum::from(one);
            slot.operations += sum.operations;
            slot.errors += sum.errors;
        }
    }
    found.into_values().collect()
}

/// What is paid for. A request reaches the worker and one object; what goes on behind it, an alarm
/// begins.
fn costs(window: &Window, operations: &[Operation], rows: f64) -> Vec<Line> {
    let count = |is_it: &dyn Fn(&str) -> bool| -> f64 {
        let counted = operations.iter().filter(|one| is_it(&one.operation));
        counted.fold(0.0, |sum, one| sum + one.sum.operations)
    };
    #[allow(
        clippy::cast_precision_loss,
        reason = "three months are not many seconds"
    )]
    let seconds = (window.to - window.from) as f64;
    let quantities = [
        (prices::WORKER_REQUESTS, count(&is_request)),
        (prices::OBJECT_REQUESTS, count(&|_| true)),
        (prices::ROWS_WRITTEN, rows),
        (
            prices::BUCKET_WRITES,
            count(&|name| BUCKET_WRITES.contains(&name)),
        ),
    ];
    let lines = quantities.into_iter();
    lines
        .map(|(price, quantity)| price.of(quantity, seconds))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(slot: f64, operation: &str, outcome: &str, operations: f64) -> Done {
        Done {
            slot,
            operation: operation.to_owned(),
            outcome: outcome.to_owned(),
            operations,
            items: operations,
            body_bytes: 10.0 * operations,
            rows_written: 1.0,
            sampled: 1.0,
        }
    }

    #[test]
    fn requests_come_first_and_errors_are_counted_by_their_codes() {
        let window = Window {
            from: 30,
            to: 240,
            slot: 60,
        };
        let found = [
            done(0.0, "seal", "ok", 2.0),
            done(0.0, "read", "ok", 5.0),
            done(60.0, "append", "ok", 3.0),
            done(60.0, "append", "CONFLICT", 2.0),
            done(180.0, "append", "CONFLICT", 1.0),
            done(999.0, "append", "ok", 1.0),
        ];
        let report = Report::new(&window, &found, Vec::new());
        let names: Vec<&str> = report
            .operations
            .iter()
            .map(|one| one.operation.as_str())
            .collect();
        assert_eq!(names, ["append", "read", "seal"]);
        let append = &report.operations[0];
        assert_eq!((append.sum.operations, append.sum.errors), (7.0, 3.0));
        assert_eq!(
            append.by_error,
            BTreeMap::from([("CONFLICT".to_owned(), 3.0)])
        );
        assert_eq!(
            (report.total.operations, report.total.rows_written),
            (14.0, 6.0)
        );
        let slots: Vec<(i64, f64, f64)> = report
            .slots
            .iter()
            .map(|slot| (slot.start, slot.operations, slot.errors))
            .collect();
        // What goes on behind requests is in no slot, and each slot is there.
        assert_eq!(
            slots,
            [
                (0, 5.0, 0.0),
                (60, 5.0, 2.0),
                (120, 0.0, 0.0),
                (180, 1.0, 1.0)
            ]
        );
        let quantities: Vec<f64> = report.costs.iter().map(|line| line.quantity).collect();
        assert_eq!(quantities, [12.0, 14.0, 6.0, 2.0]);
        assert!(!report.estimated);
        let mut sampled = found[1].clone();
        sampled.sampled = 4.0;
        assert!(Report::new(&window, &[sampled], Vec::new()).estimated);
    }
}
