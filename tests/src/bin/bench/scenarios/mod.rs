//! What is measured, a file a subject.

mod append;
mod catch_up;
mod cold_start;
mod create;
mod fan_out;
mod large;
mod memory;
mod million;
mod mixed;

use std::time::Duration;

use anyhow::Result;
use durable_streams_tests::http::Client;

use crate::contender::PROJECT;
use crate::harness::Scenario;
use crate::load;
use crate::statistics::micros;

/// All of them, in the order in which they are carried out.
pub const ALL: &[Scenario] = &[
    append::LATENCY,
    append::ONE_STREAM,
    append::MANY_STREAMS,
    append::OWN_CODE,
    create::CREATE,
    catch_up::HOT,
    catch_up::MOVED,
    catch_up::COLD_BYTES,
    catch_up::COLD_JSON,
    large::LARGE,
    fan_out::SSE_200,
    fan_out::SSE_1000,
    fan_out::LONG_POLL_1,
    fan_out::LONG_POLL_50,
    mixed::MIXED,
    memory::MEMORY,
    cold_start::COLD_START,
    million::MILLION,
];

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// What rounds measure.
pub mod metrics {
    use crate::harness::Metric;

    const fn metric(name: &'static str, unit: &'static str) -> Metric {
        Metric { name, unit }
    }

    /// Processor time of the server for one operation.
    pub const CPU: Metric = metric("CPU", "µs");
    /// Processor time of the server for each megabyte that came.
    pub const CPU_MEGABYTE: Metric = metric("CPU a MB", "µs");
    /// How long half of the reads take at most.
    pub const READ_P50: Metric = metric("read p50", "µs");
    /// How long half of the operations take at most.
    pub const P50: Metric = metric("p50", "µs");
    /// How long 99 of 100 operations take at most.
    pub const P99: Metric = metric("p99", "µs");
    /// Operations a second.
    pub const RATE: Metric = metric("rate", "/s");
    /// Bytes a second.
    pub const SPEED: Metric = metric("speed", "MB/s");
    /// How many requests it took.
    pub const REQUESTS: Metric = metric("requests", "");
    /// From sending a message to a reader having it, half of all.
    pub const DELIVERY_P50: Metric = metric("delivery p50", "µs");
    /// The same, 99 of 100.
    pub const DELIVERY_P99: Metric = metric("delivery p99", "µs");
    /// From sending a message to its acknowledgement, half of all.
    pub const WRITER_P50: Metric = metric("writer p50", "µs");
    /// Memory of the server.
    pub const MEMORY: Metric = metric("memory", "MB");
    /// The most memory it ever held.
    pub const PEAK_MEMORY: Metric = metric("peak memory", "MB");
    /// What it holds more than before, for each stream.
    pub const MEMORY_EACH: Metric = metric("memory a stream", "kB");
    /// From the start of the process to the first answer.
    pub const START: Metric = metric("start to first answer", "ms");
    /// The first request alone.
    pub const FIRST: Metric = metric("first request", "ms");
    /// Rows written a message.
    pub const ROWS: Metric = metric("rows written a message", "");
    /// Objects in the bucket.
    pub const OBJECTS: Metric = metric("objects in the bucket", "");
}

/// The path of a stream.
fn path(name: &str) -> String {
    format!("/v1/stream/{PROJECT}/{name}")
}

/// Creates a stream.
fn create(client: &Client, path: &str, content_type: &str) -> Result<()> {
    let request = load::request(client, "PUT", path, Some((content_type, b"")));
    load::Connection::open(client)?.call(&request).map(drop)
}

/// Microseconds for each of so many operations.
fn cpu_each(used: Duration, operations: usize) -> f64 {
    micros(used) / operations as f64
}
