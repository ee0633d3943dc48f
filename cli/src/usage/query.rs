//! The questions, in the SQL of Analytics Engine. A data point of the runtime has the stream as its
//! index; operation, outcome and project as blobs 1 to 3; messages or bytes, length of the body, and rows
//! written as doubles 1 to 3. Where points were left out, each that is there stands for
//! `_sample_interval` of them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::prices;

/// How many bars a chart has at most.
const MOST_SLOTS: i64 = 60;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The lengths of slots, in seconds. All of them fill a day, or are days.
const LENGTHS: &[i64] = &[
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
];

/// A time that is looked at, in slots of the same length. All in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first second.
    pub from: i64,
    /// The first second after it.
    pub to: i64,
    /// How long a slot is.
    pub slot: i64,
}

impl Window {
    /// The last while before `now`, in slots of a length that people count in.
    pub fn before(now: i64, while_: Duration) -> Self {
        let length = i64::try_from(while_.as_secs()).unwrap_or(i64::MAX / 2);
        let fits = |slot: &&i64| length / **slot < MOST_SLOTS;
        let slot = LENGTHS.iter().find(fits).or(LENGTHS.last());
        Self {
            from: now - length,
            to: now,
            slot: slot.copied().unwrap_or(DAY),
        }
    }

    /// The beginnings of its slots, the first of which begins before the window does.
    pub fn slots(&self) -> impl Iterator<Item = i64> + use<> {
        let first = self.from.div_euclid(self.slot);
        let last = (self.to - 1).div_euclid(self.slot);
        let slot = self.slot;
        (first..=last).map(move |number| number * slot)
    }
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The dataset.
    pub dataset: &'a str,
    /// The time.
    pub window: Window,
    /// The only project, if only one is asked about.
    pub project: Option<&'a str>,
}

/// What was done in a slot of time, by kind and outcome.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Done {
    /// When the slot begins.
    #[serde(deserialize_with = "number")]
    pub slot: f64,
    /// What was done.
    pub operation: String,
    /// What came of it: `ok`, or the code of an error.
    pub outcome: String,
    /// How often.
    #[serde(deserialize_with = "number")]
    pub operations: f64,
    /// How many messages, or bytes of byte streams.
    #[serde(deserialize_with = "number")]
    pub items: f64,
    /// How many bytes of bodies.
    #[serde(deserialize_with = "number")]
    pub body_bytes: f64,
    /// How many rows were written.
    #[serde(deserialize_with = "number")]
    pub rows_written: f64,
    /// How many points the one stands for that stands for most.
    #[serde(deserialize_with = "number")]
    pub sampled: f64,
}

/// What was done to a stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dear {
    /// Its path, or as much of it as an index holds.
    pub stream: String,
    /// How often something was done.
    #[serde(deserialize_with = "number")]
    pub operations: f64,
    /// How many bytes of bodies.
    #[serde(deserialize_with = "number")]
    pub body_bytes: f64,
    /// How many rows were written.
    #[serde(deserialize_with = "number")]
    pub rows_written: f64,
    /// What that costs, about, in millionths of a dollar.
    #[serde(deserialize_with = "number")]
    pub price: f64,
}

/// What is summed up in both.
const SUMS: &str = "SUM(_sample_interval) AS operations, SUM(_sample_interval * double2) AS \
                    body_bytes, SUM(_sample_interval * double3) AS rows_written";

impl Question<'_> {
    /// What was done in each slot, by kind and outcome.
    pub fn over_time(&self) -> String {
        let (length, unit) = in_units(self.window.slot);
        let unit = unit.to_uppercase();
        format!(
            "SELECT toUnixTimestamp(toStartOfInterval(timestamp, INTERVAL '{length}' {unit})) AS slot, \
             blob1 AS operation, blob2 AS outcome, {SUMS}, SUM(_sample_interval * double1) AS items, \
             MAX(_sample_interval) AS sampled {} GROUP BY slot, operation, outcome",
            self.source()
        )
    }

    /// The streams that cost most, and what was done to them.
    pub fn dearest(&self, top: u16) -> String {
        // Numbers have so many digits, as the language knows no exponents.
        format!(
            "SELECT index1 AS stream, {SUMS}, SUM(_sample_interval * double3) * {:.4} + \
             SUM(_sample_interval) * {:.4} AS price {} GROUP BY stream ORDER BY price DESC LIMIT {top}",
            prices::ROWS_WRITTEN.per_million,
            prices::WORKER_REQUESTS.per_million + prices::OBJECT_REQUESTS.per_million,
            self.source()
        )
    }

    fn source(&self) -> String {
        let Window { from, to, .. } = self.window;
        let project = self.project.map_or(String::new(), |project| {
            format!(" AND blob3 = '{}'", project.replace('\'', "''"))
        });
        format!(
            "FROM {} WHERE timestamp >= toDateTime({from}) AND timestamp < toDateTime({to}){project}",
            self.dataset
        )
    }
}

/// A length of time, as so many of the largest unit that it is whole in.
pub fn in_units(seconds: i64) -> (i64, &'static str) {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let unit = units.into_iter().find(|(length, _)| seconds % length == 0);
    let (length, name) = unit.unwrap_or((1, "second"));
    (seconds / length, name)
}

/// Reads a number, which comes as a text when it is a whole one of 64 bits.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text
            .parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is no number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_long_as_people_count_and_as_many_as_a_chart_has() {
        let slot = |seconds: i64| {
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap());
            Window::before(1_764_000_000, seconds).slot
        };
        assert_eq!(slot(15 * MINUTE), MINUTE);
        assert_eq!(slot(6 * HOUR), 15 * MINUTE);
        assert_eq!(slot(DAY), 30 * MINUTE);
        assert_eq!(slot(7 * DAY), 3 * HOUR);
        assert_eq!(slot(30 * DAY), DAY);
        assert_eq!(slot(90 * DAY), 2 * DAY);
        for length in [1, 59, 61, DAY, 10 * DAY, 90 * DAY] {
            let seconds = Duration::from_secs(u64::try_from(length).unwrap());
            let window = Window::before(1_764_000_123, seconds);
            let slots: Vec<i64> = window.slots().collect();
            assert!((1..=MOST_SLOTS + 1).contains(&i64::try_from(slots.len()).unwrap()));
            assert!(slots[0] <= window.from && window.from < slots[0] + window.slot);
            let last = slots[slots.len() - 1];
            assert!(last < window.to && window.to <= last + window.slot);
        }
    }

    #[test]
    fn questions_are_in_the_language_of_analytics_engine() {
        let question = Question {
            dataset: "chat_metrics",
            window: Window {
                from: 100,
                to: 200,
                slot: 3 * HOUR,
            },
            project: Some("it's"),
        };
        let source = "FROM chat_metrics WHERE timestamp >= toDateTime(100) AND timestamp < \
                      toDateTime(200) AND blob3 = 'it''s'";
        assert_eq!(
            question.over_time(),
            format!(
                "SELECT toUnixTimestamp(toStartOfInterval(timestamp, INTERVAL '3' HOUR)) AS slot, \
                 blob1 AS operation, blob2 AS outcome, SUM(_sample_interval) AS operations, \
                 SUM(_sample_interval * double2) AS body_bytes, SUM(_sample_interval * double3) AS \
                 rows_written, SUM(_sample_interval * double1) AS items, MAX(_sample_interval) AS \
                 sampled {source} GROUP BY slot, operation, outcome"
            )
        );
        let dearest = question.dearest(7);
        assert!(
            dearest.contains(
                "SUM(_sample_interval * double3) * 1.0000 + SUM(_sample_interval) * 0.4500 AS price"
            ),
            "{dearest}"
        );
        assert!(dearest.ends_with(&format!(
            "{source} GROUP BY stream ORDER BY price DESC LIMIT 7"
        )));
    }

    #[test]
    fn numbers_come_as_numbers_or_texts() {
        let dear = |price: &str| {
            serde_json::from_str::<Dear>(&format!(
                r#"{{"stream":"a","operations":"18446744073709551615","body_bytes":1.5,"rows_written":2,"price":{price}}}"#
            ))
        };
        let found = dear("\"0.25\"").unwrap();
        assert!((found.price - 0.25).abs() < f64::EPSILON && found.operations > 1e19);
        assert!(
            dear("\"x\"")
                .unwrap_err()
                .to_string()
                .contains("`x` is no number")
        );
    }
}
