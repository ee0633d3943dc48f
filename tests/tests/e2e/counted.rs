//! A server whose requests to objects are counted on their way, and whose rows and alarms where they are
//! written.

use std::fmt::{self, Display};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use durable_streams_tests::costs::Usage;
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::rows;
use durable_streams_tests::server::{Calls, Server, Setup};
use durable_streams_tests::wait_until;

/// How long nothing is written before all is taken to be at rest: longer than appends are gathered
/// before a subscription is told.
const REST: Duration = Duration::from_millis(1500);

/// What was counted. An alarm is billed as a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    pub calls: Calls,
    pub stream_rows: u32,
    pub directory_rows: u32,
    pub subscription_rows: u32,
}

/// What each of so many operations has used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub stream_requests: f64,
    pub directory_requests: f64,
    pub subscription_requests: f64,
    pub stream_rows: f64,
    pub directory_rows: f64,
    pub subscription_rows: f64,
}

impl Used {
    pub fn requests(&self) -> f64 {
        self.stream_requests + self.directory_requests + self.subscription_requests
    }

    pub fn rows(&self) -> f64 {
        self.stream_rows + self.directory_rows + self.subscription_rows
    }

    /// What each of so many has used that have used this together.
    pub fn each_of(self, times: u32) -> Self {
        let share = |all: f64| all / f64::from(times);
        Self {
            stream_requests: share(self.stream_requests),
            directory_requests: share(self.directory_requests),
            subscription_requests: share(self.subscription_requests),
            stream_rows: share(self.stream_rows),
            directory_rows: share(self.directory_rows),
            subscription_rows: share(self.subscription_rows),
        }
    }

    /// Dollars for a million of them, each of which is so many requests of clients.
    pub fn dollars(&self, worker_requests: f64) -> f64 {
        let usage = Usage {
            worker_requests,
            object_requests: self.requests(),
            rows_written: self.rows(),
            ..Usage::default()
        };
        usage.times(1e6).dollars()
    }
}

impl Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requests to streams {:.2}, directory {:.2}, subscriptions {:.2}; \
             rows of streams {:.2}, directory {:.2}, subscriptions {:.2}",
            self.stream_requests,
            self.directory_requests,
            self.subscription_requests,
            self.stream_rows,
            self.directory_rows,
            self.subscription_rows,
        )
    }
}

/// A server whose objects count their rows.
pub struct Counted {
    pub server: Server,
    state: Scratch,
}

impl Counted {
    /// Serves, lets `prepare` make all objects that will be counted, and serves anew with counters.
    pub fn start(name: &str, prepare: impl FnOnce(&Client) -> Result<()>) -> Result<Self> {
        let worker = Worker::ours()?;
        Self::start_with(name, &worker, Setup::default(), prepare)
    }

    /// The same with any worker, and what else it is given.
    pub fn start_with(
        name: &str,
        worker: &Worker,
        setup: Setup,
        prepare: impl FnOnce(&Client) -> Result<()>,
    ) -> Result<Self> {
        let state = Scratch::new(name)?;
        let setup = Setup {
            // Nothing moves to the bucket.
            vars: &[
                ("DEV", "1"),
                ("DEBUG_TIMING", "1"),
                ("SEGMENT_MAX_MESSAGES", "1000000"),
            ],
            is_counted: true,
            ..setup
        };
        let server = Server::set_up(worker, &state, &setup)?;
        prepare(server.client())?;
        sleep(REST);
        server.stop()?;
        rows::count(state.path())?;
        let server = Server::set_up(worker, &state, &setup)?;
        Ok(Self { server, state })
    }

    pub fn client(&self) -> &Client {
        self.server.client()
    }

    pub fn now(&self) -> Result<Count> {
        let of = |class| rows::written(self.state.path(), class);
        let calls = self.server.calls()?;
        Ok(Count {
            stream_rows: of(rows::STREAMS)? + calls.object_alarms,
            directory_rows: of(rows::DIRECTORIES)? + calls.directory_alarms,
            subscription_rows: of(rows::SUBSCRIPTIONS)? + calls.subscription_alarms,
            calls,
        })
    }

    /// The count when nothing happens any more.
    pub fn at_rest(&self) -> Result<Count> {
        let mut last = None;
        wait_until("nothing happens any more", || {
            // A file that is copied while it changes may make no sense for a moment.
            let now = self.now().ok();
            let rests = now.is_some() && now == last;
            last = now;
            if !rests {
                sleep(REST);
            }
            Ok(rests)
        })?;
        last.context("no count")
    }

    /// What each of `times` operations uses, with all that comes of them.
    pub fn each(&self, times: u32, operation: impl Fn(u32) -> Result<()>) -> Result<Used> {
        let used = self.during(|| (0..times).try_for_each(operation))?;
        Ok(used.each_of(times))
    }

    /// What something uses, with all that comes of it.
    pub fn during(&self, what: impl FnOnce() -> Result<()>) -> Result<Used> {
        let before = self.at_rest()?;
        what()?;
        let after = self.at_rest()?;
        let (was, is) = (&before.calls, &after.calls);
        let more = |before: u32, after: u32| f64::from(after - before);
        Ok(Used {
            stream_requests: more(was.object_requests, is.object_requests),
            directory_requests: more(was.directory_requests, is.directory_requests),
            subscription_requests: more(was.subscription_requests, is.subscription_requests),
            stream_rows: more(before.stream_rows, after.stream_rows),
            directory_rows: more(before.directory_rows, after.directory_rows),
            subscription_rows: more(before.subscription_rows, after.subscription_rows),
        })
    }
}
