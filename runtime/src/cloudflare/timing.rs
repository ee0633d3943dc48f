//! The time, and `Server-Timing`: what a request cost. On Cloudflare clocks stand still while a worker computes
//! (a measure against timing attacks), so times there show waiting, not work; rows are exact.

use worker::js_sys::Date;
use worker::wasm_bindgen::prelude::*;

use super::number::integer;
use super::sql::Usage;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    integer(Date::now())
}

/// The header's name.
pub const SERVER_TIMING: &str = "Server-Timing";

/// A clock in milliseconds, which stands still unless somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    runs: bool,
}

impl Clock {
    /// A clock that runs or not.
    pub fn new(runs: bool) -> Self {
        Self { runs }
    }

    /// Milliseconds since some instant.
    pub fn now(self) -> f64 {
        if self.runs { performance_now() } else { 0.0 }
    }
}

/// The object's part of the header; `maintenance` is how many rows were written for what is done
/// besides requests, since the object was loaded.
pub fn of_object(millis: f64, usage: Usage, maintenance: f64) -> String {
    format!(
        "object;dur={millis:.3}, sql;dur={:.3}, rows_written;desc=\"{}\", rows_read;desc=\"{}\", \
         maintenance_rows_written;desc=\"{maintenance}\"",
        usage.millis, usage.rows_written, usage.rows_read
    )
}

/// The whole header: the edge's part, and the object's if it was asked.
pub fn join(edge_millis: f64, of_object: Option<String>) -> String {
    let of_edge = format!("edge;dur={edge_millis:.3}");
    of_object
        .into_iter()
        .fold(of_edge, |edge, object| edge + ", " + &object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_numbers() {
        let usage = Usage {
            rows_read: 3.0,
            rows_written: 1.0,
            millis: 0.25,
        };
        assert_eq!(
            of_object(1.5, usage, 7.0),
            "object;dur=1.500, sql;dur=0.250, rows_written;desc=\"1\", rows_read;desc=\"3\", \
             maintenance_rows_written;desc=\"7\""
        );
        assert_eq!(
            join(2.0, Some("object;dur=1".into())),
            "edge;dur=2.000, object;dur=1"
        );
        assert_eq!(join(2.0, None), "edge;dur=2.000");
    }
}
