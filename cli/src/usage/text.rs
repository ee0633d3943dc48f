//! The report for a person.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    chart::chart,
    prices,
    query::{Window, in_units},
    report::Report,
};

/// The whole report.
pub fn text(report: &Report, window: &Window) -> String {
    let mut parts = Vec::new();
    let values: Vec<f64> = report.slots.iter().map(|slot| slot.operations).collect();
    let day = window.to - window.from >= 86_400;
    let drawn = chart(
        &values,
        &when(window.from, day),
        &when(window.to, day),
        count,
    );
    if !drawn.is_empty() {
        let slot = length(window.slot);
        parts.push(format!("Requests in {slot} each, UTC\n{drawn}"));
    }
    parts.push(operations(report));
    parts.extend(errors(report));
    parts.extend(streams(report));
    parts.push(costs(report));
    if report.estimated {
        parts.push("Cloudflare has left out data points: all numbers are estimates.".to_owned());
    }
    parts.join("\n\n")
}

fn operations(report: &Report) -> String {
    let head = [
        "operation",
        "times",
        "errors",
        "messages or bytes",
        "body",
        "rows written",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let total = ("together", &report.total);
    let each = report
        .operations
        .iter()
        .map(|one| (one.operation.as_str(), &one.sum));
    for (name, sum) in each.chain([total]) {
        rows.push([
            name.to_owned(),
            count(sum.operations),
            count(sum.errors),
            // Nobody wants to know what different things come to together.
            if name == total.0 {
                String::new()
            } else {
                count(sum.items)
            },
            bytes(sum.body_bytes),
            count(sum.rows_written),
        ]);
    }
    table(&rows)
}

fn errors(report: &Report) -> Option<String> {
    let mut rows = Vec::new();
    for operation in &report.operations {
        for (code, times) in &operation.by_error {
            rows.push([operation.operation.clone(), count(*times), code.clone()]);
        }
    }
    (!rows.is_empty()).then(|| format!("Errors\n{}", table(&rows)))
}

fn streams(report: &Report) -> Option<String> {
    let head = ["stream", "price", "times", "body", "rows written"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(report.streams.iter().map(|one| {
        [
            if one.stream.is_empty() {
                "-".to_owned()
            } else {
                one.stream.clone()
            },
            dollars(one.dollars),
            count(one.operations),
            bytes(one.body_bytes),
            count(one.rows_written),
        ]
    }));
    (rows.len() > 1).then(|| table(&rows))
}

fn costs(report: &Report) -> String {
    let mut rows: Vec<[String; 4]> = report
        .costs
        .iter()
        .map(|line| {
            [
                line.what.to_owned(),
                count(line.quantity),
                format!("at ${:.2} a million", line.per_million),
                dollars(line.dollars),
            ]
        })
        .collect();
    rows.push([
        "together".to_owned(),
        String::new(),
        String::new(),
        dollars(report.dollars()),
    ]);
    format!(
        "{}\nA month at this rate: {} beyond what the paid plan (${:.2}) includes for the account.\n\
         Prices of {}, {}\nNot counted: {}.",
        table(&rows),
        dollars(report.dollars_a_month()),
        prices::PLAN,
        prices::AS_OF,
        prices::SOURCE,
        prices::LEFT_OUT,
    )
}

/// Columns under each other: the first to the left, the others to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let lines = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A number of things, in groups of three digits.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn bytes(number: f64) -> String {
    let mut number = number;
    for unit in ["B", "kB", "MB", "GB"] {
        if number < 999.5 {
            return match unit {
                "B" => format!("{number:.0} B"),
                unit => format!("{number:.1} {unit}"),
            };
        }
        number /= 1000.0;
    }
    format!("{number:.1} TB")
}

/// Dollars, exactly enough to tell one from the other.
fn dollars(number: f64) -> String {
    match number {
        0.0 => "$0".to_owned(),
        small if small < 0.000_05 => "<$0.0001".to_owned(),
        small if small < 1.0 => format!("${small:.4}"),
        number => format!("${number:.2}"),
    }
}

fn length(seconds: i64) -> String {
    let (count, unit) = in_units(seconds);
    crate::ui::how_many(u64::try_from(count).unwrap_or(0), unit)
}

fn when(seconds: i64, day: bool) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else {
        return String::new();
    };
    let form = if day { "%m-%d %H:%M" } else { "%H:%M" };
    time.to_zoned(TimeZone::UTC).strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::query::{Dear, Done};

    #[test]
    fn numbers_are_as_people_read_them() {
        assert_eq!(count(0.0), "0");
        assert_eq!(count(999.4), "999");
        assert_eq!(count(1_234_567.0), "1 234 567");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(1_234_567.0), "1.2 MB");
        assert_eq!(bytes(5e15), "5000.0 TB");
        assert_eq!(dollars(0.0), "$0");
        assert_eq!(dollars(0.000_001), "<$0.0001");
        assert_eq!(dollars(0.1234), "$0.1234");
        assert_eq!(dollars(12.345), "$12.35");
        assert_eq!(length(1800), "30 minutes");
        assert_eq!(length(86_400), "1 day");
    }

    #[test]
    fn a_report_is_a_page() {
        let window = Window {
            from: 1_764_000_000,
            to: 1_764_003_600,
            slot: 300,
        };
        let done = |slot: f64, operation: &str, outcome: &str, operations: f64| Done {
            slot,
            operation: operation.to_owned(),
            outcome: outcome.to_owned(),
            operations,
            items: operations,
            body_bytes: 1500.0,
            rows_written: operations,
            sampled: 2.0,
        };
        let found = [
            done(1_764_000_000.0, "append", "ok", 1200.0),
            done(1_764_000_300.0, "append", "CONFLICT", 3.0),
            done(1_764_003_300.0, "read", "ok", 600.0),
        ];
        let dear = Dear {
            stream: "chat/a".to_owned(),
            operations: 1203.0,
            body_bytes: 3000.0,
            rows_written: 1203.0,
            price: 1744.35,
        };
        let report = Report::new(&window, &found, vec![dear]);
        assert_eq!(
            text(&report, &window),
            "\
Requests in 5 minutes each, UTC
1 200 │█
      │█
      │█
      │█          █
      │█          █
      │█▁         █
    0 └────────────
       16:00  17:00

operation  times  errors  messages or bytes    body  rows written
append     1 203       3              1 203  3.0 kB         1 203
read         600       0                600  1.5 kB           600
together   1 803       3                     4.5 kB         1 803

Errors
append  3  CONFLICT

stream    price  times    body  rows written
chat/a  $0.0017  1 203  3.0 kB         1 203

requests to the worker       1 803  at $0.30 a million  $0.0005
requests to Durable Objects  1 803  at $0.15 a million  $0.0003
rows written                 1 803  at $1.00 a million  $0.0018
writes to the bucket             0  at $4.50 a million       $0
together                                                $0.0026
A month at this rate: $0.0447 beyond what the paid plan ($5.00) includes for the account.
Prices of August 2026, https://developers.cloudflare.com/workers/platform/pricing/
Not counted: how long Durable Objects run (live readers keep them running), processor time, rows read, \
what is stored, reads of the bucket, and what is refused before it reaches a stream.

Cloudflare has left out data points: all numbers are estimates."
        );
    }
}
