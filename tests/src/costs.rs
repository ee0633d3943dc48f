//! What operations come to at Cloudflare's prices: everything that is billed is counted while a server
//! of our own carries them out.

use anyhow::{Context, Result, ensure};
use ureq::http::Method;

use crate::http::Response;
use crate::places::Scratch;
use crate::project::{Auth, Worker};
use crate::server::{Calls, Kv, Server, Setup};
use crate::storage;
use crate::stream::{START, Stream};
use crate::{token, wait_until};

/// When [`PRICES`] were read from Cloudflare's public price lists.
pub const PRICES_OF: &str = "November 2026";

/// Dollars, beyond what the plan includes.
pub const PRICES: Prices = Prices {
    worker_request: 0.30e-6,
    worker_cpu_milli: 0.02e-6,
    object_request: 0.15e-6,
    object_gigabyte_second: 12.50e-6,
    row_written: 1.00e-6,
    row_read: 0.001e-6,
    kv_read: 0.50e-6,
    kv_write: 5.00e-6,
    r2_write: 4.50e-6,
    r2_read: 0.36e-6,
};

/// How often the alarm is set for each time data moves: ahead of the work, and after it. Setting it is
/// billed as a row, which SQLite's own count does not include.
const ALARMS_SET_A_MOVE: f64 = 2.0;
/// What an object is billed for while it is awake.
const OBJECT_GIGABYTES: f64 = 0.128;
/// Seconds in a month of 365 / 12 days.
const MONTH: f64 = 2_628_000.0;
/// After how long the edge ends an answer of events, in seconds.
const SSE_SECONDS: f64 = 60.0;

/// What one of each costs.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Prices {
    pub worker_request: f64,
    pub worker_cpu_milli: f64,
    pub object_request: f64,
    pub object_gigabyte_second: f64,
    pub row_written: f64,
    pub row_read: f64,
    pub kv_read: f64,
    pub kv_write: f64,
    pub r2_write: f64,
    pub r2_read: f64,
}

/// What one operation uses; a part of one where it is shared by many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Requests to the worker.
    pub worker_requests: f64,
    /// Processor time of the whole runtime in milliseconds, of which the worker is a part; only
    /// where it was measured.
    pub cpu_millis: f64,
    /// Requests to objects, and alarms that went off.
    pub object_requests: f64,
    /// How long the object was at work, in milliseconds.
    pub object_millis: f64,
    /// Rows written to SQLite, and alarms that were set.
    pub rows_written: f64,
    /// Rows read from SQLite.
    pub rows_read: f64,
    /// KV operations that read.
    pub kv_reads: f64,
    /// KV operations that write or delete.
    pub kv_writes: f64,
    /// R2 operations of class A: put, list.
    pub r2_writes: f64,
    /// R2 operations of class B: get.
    pub r2_reads: f64,
}

impl Usage {
    /// What it costs.
    pub fn dollars(&self) -> f64 {
        let gigabyte_seconds = self.object_millis / 1000.0 * OBJECT_GIGABYTES;
        self.worker_requests * PRICES.worker_request
            + self.cpu_millis * PRICES.worker_cpu_milli
            + self.object_requests * PRICES.object_request
            + gigabyte_seconds * PRICES.object_gigabyte_second
            + self.rows_written * PRICES.row_written
            + self.rows_read * PRICES.row_read
            + self.kv_reads * PRICES.kv_read
            + self.kv_writes * PRICES.kv_write
            + self.r2_writes * PRICES.r2_write
            + self.r2_reads * PRICES.r2_read
    }

    /// The same so many times, or a part of it.
    pub fn times(&self, factor: f64) -> Self {
        Self {
            worker_requests: self.worker_requests * factor,
            cpu_millis: self.cpu_millis * factor,
            object_requests: self.object_requests * factor,
            object_millis: self.object_millis * factor,
            rows_written: self.rows_written * factor,
            rows_read: self.rows_read * factor,
            kv_reads: self.kv_reads * factor,
            kv_writes: self.kv_writes * factor,
            r2_writes: self.r2_writes * factor,
            r2_reads: self.r2_reads * factor,
        }
    }
}

/// An operation and what it uses.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What is done.
    pub name: &'static str,
    /// What one of it uses.
    pub usage: Usage,
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Costs {
    /// One of each, while nothing else happens.
    pub operations: Vec<Operation>,
    /// An append with its share of what is done later: data that moves to the bucket, and segments
    /// that are merged there.
    pub amortised: Usage,
    /// A thousand readers of events who hear nothing for a month. Each is answered again after a
    /// minute, and costs nothing in between: the object sleeps.
    pub idle_readers: Usage,
}

impl Costs {
    /// What an operation of this name uses.
    pub fn of(&self, name: &str) -> Result<Usage> {
        let found = self.operations.iter().find(|one| one.name == name);
        Ok(found.with_context(|| format!("no operation {name}"))?.usage)
    }
}

const TYPE: &str = "application/json";
const PROJECT: &str = "costs";
const SECRET: &str = "the secret of the project called costs";
/// About 100 bytes, as in chats and change feeds.
pub const MESSAGE: &str = r#"{"op":"insert","id":"00000000-0000-0000-0000-000000000000","text":"a message of common length"}"#;

/// Counts, over so many appends for the share of what is done later.
pub fn measure(appends: u32) -> Result<Costs> {
    let state = Scratch::new("costs-state")?;
    let setup = Setup {
        // Readers of events that hear nothing are answered within a second, not a minute.
        vars: &[("DEBUG_TIMING", "1"), ("SSE_TIMEOUT_MS", "1000")],
        kv: Kv::Counted,
        entries: vec![(PROJECT, token::record(SECRET))],
        is_counted: true,
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let token = token::token(SECRET, PROJECT, "write");
    let client = server.client().clone();
    let client = client.with_header("authorization", format!("Bearer {token}"));
    // The project's secret is looked up once in a while, not for each request.
    Stream::create(&client, "costs/first", TYPE)?;

    let counter = Counter { server: &server };
    let stream = Stream::named(&client, "costs/one", TYPE);
    let reader = Stream::create(&client, "costs/idle", TYPE)?;
    let mut operations = vec![
        counter.count("create", || stream.put().send()?.expect(201))?,
        counter.count("append", || stream.append(MESSAGE))?,
        counter.count("append by a producer", || {
            stream
                .post_as("p", 0, 0)
                .send_bytes(MESSAGE.as_bytes())?
                .expect(200)
        })?,
        counter.count("read, hot", || stream.get(START).send()?.expect(200))?,
        counter.count("HEAD", || stream.head()?.expect(200))?,
    ];
    let idle = counter.count("events, until the answer ends", || {
        let path = format!("{}?offset=now&live=sse", reader.path());
        client.call(Method::GET, &path).send()?.expect(200)
    })?;
    operations.push(idle.clone());
    operations.push(counter.count("delete", || stream.call(Method::DELETE).send()?.expect(204))?);
    let long = Stream::create(&client, "costs/long", TYPE)?;
    let amortised = amortised(&counter, &long, &state, appends)?;
    // The look-up that is due by now.
    long.head()?.expect(200)?;
    operations.push(counter.count("read, cold, several segments", || {
        long.get(START).send()?.expect(200)
    })?);
    server.stop()?;
    Ok(Costs {
        operations,
        amortised,
        idle_readers: idle.usage.times(1000.0 * MONTH / SSE_SECONDS),
    })
}

struct Counter<'a> {
    server: &'a Server,
}

impl Counter<'_> {
    /// Carries out one operation, which is one request.
    fn count(
        &self,
        name: &'static str,
        operation: impl FnOnce() -> Result<Response>,
    ) -> Result<Operation> {
        let before = self.server.calls()?;
        let answer = operation().with_context(|| format!("counting {name}"))?;
        let after = self.server.calls()?;
        Ok(Operation {
            name,
            usage: Usage {
                worker_requests: 1.0,
                object_millis: answer.duration("object").unwrap_or(0.0),
                rows_written: optional(&answer, "rows_written"),
                rows_read: optional(&answer, "rows_read"),
                ..between(before, after)
            },
        })
    }
}

/// Answers that end after they began have no counts, and neither do those the object has no part in.
fn optional(answer: &Response, metric: &str) -> f64 {
    answer.count(metric).map_or(0.0, |count| count as f64)
}

fn between(before: Calls, after: Calls) -> Usage {
    Usage {
        object_requests: f64::from(after.object_requests - before.object_requests),
        kv_reads: f64::from(after.kv_reads - before.kv_reads),
        kv_writes: f64::from(after.kv_writes - before.kv_writes),
        r2_writes: f64::from(after.r2_writes - before.r2_writes),
        r2_reads: f64::from(after.r2_reads - before.r2_reads),
        ..Usage::default()
    }
}

fn amortised(counter: &Counter, stream: &Stream, state: &Scratch, appends: u32) -> Result<Usage> {
    let before = counter.server.calls()?;
    let mut sum = Usage::default();
    let mut take = |answer: &Response| -> Result<()> {
        sum.rows_written += answer.count("rows_written")? as f64;
        sum.rows_read += answer.count("rows_read")? as f64;
        sum.object_millis += answer.duration("object")?;
        Ok(())
    };
    for _ in 1..appends {
        take(&stream.append(MESSAGE)?)?;
    }
    at_rest(state)?;
    let last = stream.append(MESSAGE)?;
    take(&last)?;
    let calls = between(before, counter.server.calls()?);
    ensure!(calls.r2_writes > 0.0, "{appends} appends moved nothing");
    let maintenance = last.count("maintenance_rows_written")? as f64;
    let sum = Usage {
        worker_requests: f64::from(appends),
        rows_written: sum.rows_written + maintenance + calls.r2_writes * ALARMS_SET_A_MOVE,
        rows_read: sum.rows_read,
        object_millis: sum.object_millis,
        // Each move may have its alarm go off later.
        object_requests: calls.object_requests + calls.r2_writes,
        ..calls
    };
    Ok(sum.times(1.0 / f64::from(appends)))
}

/// Waits until nothing moves to the bucket any more.
fn at_rest(state: &Scratch) -> Result<()> {
    let mut last = usize::MAX;
    wait_until("the data has moved to the bucket", || {
        // Files that are copied while they change may make no sense for a moment.
        let now = storage::objects(state.path(), "streams/").map_or(usize::MAX, |all| all.len());
        let rests = now == last && now != usize::MAX && now > 0;
        last = now;
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(rests)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_what_the_price_list_says() {
        let million = 1e6;
        let append = Usage {
            worker_requests: million,
            object_requests: million,
            rows_written: 2.0 * million,
            ..Usage::default()
        };
        assert!(
            (append.dollars() - 2.45).abs() < 1e-9,
            "{}",
            append.dollars()
        );
        let an_hour_awake = Usage {
            object_millis: 3_600_000.0,
            cpu_millis: million,
            r2_writes: 2.0,
            ..Usage::default()
        };
        let expected = 3600.0 * 0.128 * 12.5e-6 + 0.02 + 9e-6;
        assert!((an_hour_awake.dollars() - expected).abs() < 1e-9);
        let half = append.times(0.5).dollars();
        assert!((half * 2.0 - append.dollars()).abs() < 1e-9);
    }
}
