//! What an operation cost and came to: a data point, and `Server-Timing`. On Cloudflare clocks
//! stand still while a worker computes (a measure against timing attacks), so times there show
//! waiting, not work; rows are exact.

use super::ports::Ports;
use super::request::Incoming;
use super::{Done, Object};
use crate::machine::{DataPoint, Metered, Usage};
use crate::protocol::error::Error;
use crate::protocol::number::{integer, thousandths};
use crate::protocol::path::StreamPath;

impl<P: Ports> Object<P> {
    /// Takes down what a request came to.
    pub(super) fn measure<S>(
        &self,
        asked: &impl Incoming,
        outcome: &Result<Done<S>, Error>,
        usage: Usage,
    ) {
        self.ports.measure(|| {
            if let (None, Ok(path)) = (self.path.get(), StreamPath::parse(asked.public_path())) {
                let _ = self.path.set(path);
            }
            let path = self.path.get();
            let stream = path.map(StreamPath::as_str).unwrap_or_default();
            let project = path.and_then(StreamPath::project);
            let (outcome, count, bytes) = match outcome {
                Ok(done) => ("ok", done.count, done.bytes),
                Err(error) => (error.code(), 0, 0),
            };
            DataPoint {
                stream: stream.to_owned(),
                project: project.unwrap_or_default().to_owned(),
                operation: operation(asked.method()),
                outcome,
                count,
                bytes,
                rows: usage.rows_written,
            }
        });
    }

    /// The object's part of `Server-Timing` for a request that came at `started`.
    pub(super) fn timing(&self, started: f64, usage: Usage) -> String {
        of_object(self.ports.tick() - started, usage, self.upkeep_rows.get())
    }

    /// Runs a step of maintenance, and counts the rows it writes for itself: what requests write
    /// is counted with them.
    pub(super) fn counted<T>(&self, step: impl FnOnce(&Self) -> T) -> (T, f64) {
        let others = self.stream.borrow().storage().take_usage();
        let outcome = step(self);
        let stream = self.stream.borrow();
        let rows = stream.storage().take_usage().rows_written;
        stream.storage().give_back(others);
        self.upkeep_rows.set(self.upkeep_rows.get() + rows);
        (outcome, rows)
    }
}

fn operation(method: &str) -> &'static str {
    match method {
        "PUT" => "create",
        "POST" => "append",
        "GET" => "read",
        "HEAD" => "head",
        "DELETE" => "delete",
        _ => "other",
    }
}

/// The object's part of the header; `maintenance` is how many rows were written for what is done
/// besides requests, since the object was loaded.
fn of_object(millis: f64, usage: Usage, maintenance: f64) -> String {
    format!(
        "object;dur={}, sql;dur={}, rows_written;desc=\"{}\", rows_read;desc=\"{}\", \
         maintenance_rows_written;desc=\"{}\"",
        thousandths(millis),
        thousandths(usage.millis),
        integer(usage.rows_written),
        integer(usage.rows_read),
        integer(maintenance),
    )
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
    }
}
