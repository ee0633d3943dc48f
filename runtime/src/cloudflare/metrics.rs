//! One Analytics Engine data point per operation, written after the response is on its way.

use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::{Env, js_sys};

use super::config;
use crate::machine::DataPoint;

/// The longest index Analytics Engine takes, in bytes.
const MAX_INDEX_BYTES: usize = 96;

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = writeDataPoint, catch)]
    #[allow(clippy::too_many_arguments, reason = "a data point has as many fields")]
    fn write_data_point(
        dataset: &JsValue,
        index: &str,
        operation: &str,
        outcome: &str,
        project: &str,
        count: f64,
        bytes: f64,
        rows: f64,
    ) -> Result<(), JsValue>;
}

/// Where data points go; nowhere without the binding.
#[derive(Clone, Debug)]
pub struct Metrics(Option<JsValue>);

impl Metrics {
    /// Looks for the binding.
    pub fn from_env(env: &Env) -> Self {
        let dataset = js_sys::Reflect::get(env, &JsValue::from_str(config::METRICS)).ok();
        Self(dataset.filter(JsValue::is_object))
    }

    /// Writes a data point, which takes place behind the response. That it fails is nobody's
    /// problem.
    pub fn write(&self, point: impl FnOnce() -> DataPoint) {
        let Some(dataset) = &self.0 else {
            return;
        };
        if let Err(error) = send(dataset, &point()) {
            worker::console_warn!("a metrics data point was not written: {error:?}");
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "doubles are what there is")]
fn send(dataset: &JsValue, point: &DataPoint) -> Result<(), JsValue> {
    write_data_point(
        dataset,
        index(&point.stream),
        point.operation,
        point.outcome,
        &point.project,
        point.count as f64,
        point.bytes as f64,
        point.rows,
    )
}

/// As much of a path as fits, in whole characters.
fn index(path: &str) -> &str {
    path.get(..path.floor_char_boundary(MAX_INDEX_BYTES))
        .unwrap_or(path)
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
