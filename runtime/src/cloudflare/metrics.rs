//! One Analytics Engine data point per operation, written after the response is on its way.

use worker::{AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, Env, State};

use super::config;

/// The longest index Analytics Engine takes, in bytes.
const MAX_INDEX_BYTES: usize = 96;

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPoint {
    /// The stream's path: the index, cut to 96 bytes.
    pub stream: String,
    /// The first segment of a path of several; blob 3.
    pub project: String,
    /// `create`, `append`, `read`, `head` or `delete`; for maintenance `seal`, `merge`, `sweep` or
    /// `purge`; blob 1.
    pub operation: &'static str,
    /// `ok` or the error's code; blob 2.
    pub outcome: &'static str,
    /// Messages or bytes appended, read or moved; double 1.
    pub count: u64,
    /// Length of the body that came or went; double 2.
    pub bytes: usize,
    /// Rows written; double 3.
    pub rows: f64,
}

/// Where data points go; nowhere without the binding.
#[derive(Debug)]
pub struct Metrics(Option<AnalyticsEngineDataset>);

impl Metrics {
    /// Looks for the binding.
    pub fn from_env(env: &Env) -> Self {
        Self(env.analytics_engine(config::METRICS).ok())
    }

    /// Writes a data point at once. That it fails is nobody's problem.
    pub fn write_now(&self, point: DataPoint) {
        if let Some(dataset) = &self.0
            && let Err(error) = send(dataset, point)
        {
            worker::console_warn!("a metrics data point was not written: {error}");
        }
    }

    /// Writes a data point some time after the current turn. That it fails is nobody's problem.
    pub fn write(&self, state: &State, point: impl FnOnce() -> DataPoint) {
        let Some(dataset) = self.0.clone() else {
            return;
        };
        let point = point();
        state.wait_until(async move { Self(Some(dataset)).write_now(point) });
    }
}

#[allow(clippy::cast_precision_loss, reason = "doubles are what there is")]
fn send(dataset: &AnalyticsEngineDataset, point: DataPoint) -> worker::Result<()> {
    AnalyticsEngineDataPointBuilder::new()
        .indexes([index(&point.stream)])
        .add_blob(point.operation)
        .add_blob(point.outcome)
        .add_blob(point.project.as_str())
        .add_double(point.count as f64)
        .add_double(point.bytes as f64)
        .add_double(point.rows)
        .write_to(dataset)
}

/// As much of a path as fits, in whole characters.
fn index(path: &str) -> &str {
    let end = (0..=MAX_INDEX_BYTES.min(path.len()))
        .rev()
        .find(|end| path.is_char_boundary(*end));
    path.get(..end.unwrap_or(0)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_cut_between_characters() {
        assert_eq!(index("a/b"), "a/b");
        assert_eq!(index(&"x".repeat(200)).len(), 96);
        assert_eq!(index(&format!("{}é", "x".repeat(95))), "x".repeat(95));
    }
}
