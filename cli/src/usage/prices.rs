//! What Cloudflare asks for, on the paid plan of Workers, in dollars.

use serde::Serialize;

/// The month in which the prices were looked up.
pub const AS_OF: &str = "August 2026";
/// Where they are.
pub const SOURCE: &str = "https://developers.cloudflare.com/workers/platform/pricing/";
/// The plan itself, for a month.
pub const PLAN: f64 = 5.0;
/// A month has so many seconds, as Cloudflare counts them.
const MONTH: f64 = 30.0 * 86_400.0;
/// What is not in the data points, and so in no price here.
pub const LEFT_OUT: &str = "how long Durable Objects run (live readers keep them running), processor \
                            time, rows read, what is stored, reads of the bucket, and what is refused \
                            before it reaches a stream";

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// What it is.
    pub what: &'static str,
    /// Dollars for a million.
    pub per_million: f64,
    /// How many a month the plan includes, for the whole account.
    pub included: f64,
}

/// Requests that reach the worker.
pub const WORKER_REQUESTS: Price = Price {
    what: "requests to the worker",
    per_million: 0.30,
    included: 10e6,
};
/// Requests and alarms that reach an object.
pub const OBJECT_REQUESTS: Price = Price {
    what: "requests to Durable Objects",
    per_million: 0.15,
    included: 1e6,
};
/// Rows of SQLite.
pub const ROWS_WRITTEN: Price = Price {
    what: "rows written",
    per_million: 1.0,
    included: 50e6,
};
/// Operations on the bucket that change it, of class A.
pub const BUCKET_WRITES: Price = Price {
    what: "writes to the bucket",
    per_million: 4.50,
    included: 1e6,
};

/// A number of things, and what they cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What it is.
    pub what: &'static str,
    /// How many.
    pub quantity: f64,
    /// Dollars for a million.
    pub per_million: f64,
    /// Dollars for all, as if nothing were included.
    pub dollars: f64,
    /// Dollars for a month at this rate, beyond what the plan includes.
    pub dollars_a_month: f64,
}

impl Price {
    /// What so many cost, used up in so many seconds.
    pub fn of(self, quantity: f64, seconds: f64) -> Line {
        let a_month = quantity / seconds.max(1.0) * MONTH;
        let millions = |number: f64| number / 1e6 * self.per_million;
        Line {
            what: self.what,
            quantity,
            per_million: self.per_million,
            dollars: millions(quantity),
            dollars_a_month: millions((a_month - self.included).max(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_costs_what_goes_beyond_the_plan() {
        let day = 86_400.0;
        let line = ROWS_WRITTEN.of(1e6, day);
        assert!((line.dollars - 1.0).abs() < 1e-9);
        assert!(line.dollars_a_month.abs() < 1e-9);
        // 60 million a month, of which 50 are included.
        let line = ROWS_WRITTEN.of(2e6, day);
        assert!((line.dollars_a_month - 10.0).abs() < 1e-9, "{line:?}");
        assert!(ROWS_WRITTEN.of(0.0, 0.0).dollars.abs() < 1e-9);
    }
}
