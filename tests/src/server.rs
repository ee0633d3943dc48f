//! A worker served on workerd with a state of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::Client;
use crate::places::Scratch;
use crate::process::Process;
use crate::project::Worker;
use crate::{npm, wait_until};

/// A running server; dropping it ends it. Should the test be killed, its end of the pipe to the
/// server closes, and the server ends by itself.
#[derive(Debug)]
pub struct Server {
    node: Child,
    stdout: BufReader<ChildStdout>,
    client: Client,
    state: PathBuf,
}

/// The bucket that a worker is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum R2 {
    /// A bucket that works.
    #[default]
    Works,
    /// One that [`Server::let_r2`] has power over.
    Faulty,
    /// None.
    Missing,
}

/// Names and values of a worker's variables.
pub type Vars<'a> = &'a [(&'a str, &'a str)];

/// What is behind the worker's binding `REGISTRY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kv {
    /// A KV namespace.
    #[default]
    Usual,
    /// The same, and every call is counted: [`Server::calls`].
    Counted,
    /// One that takes one write a second for each key, as Cloudflare's does.
    Busy,
    /// One that fails.
    Failing,
    /// One that never answers.
    Silent,
    /// Nothing.
    Missing,
}

/// How often a worker has asked for what Cloudflare bills.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Calls {
    /// Requests to a stream's object: from the edge, or from another object.
    pub object_requests: u32,
    /// Requests to an object of the directory.
    pub directory_requests: u32,
    /// Requests to the object of a subscription.
    pub subscription_requests: u32,
    /// Alarms that streams have set; each is billed as a row.
    pub object_alarms: u32,
    /// Alarms that the directory has set.
    pub directory_alarms: u32,
    /// Alarms that subscriptions have set.
    pub subscription_alarms: u32,
    /// KV, to read.
    pub kv_reads: u32,
    /// KV, to write or delete.
    pub kv_writes: u32,
    /// R2, to read: class B.
    pub r2_reads: u32,
    /// R2, to write or list: class A.
    pub r2_writes: u32,
    /// R2, to delete, which is free.
    pub r2_deletions: u32,
    /// Requests to objects, by where they were said to be: `jurisdiction=…&near=…`.
    pub places: BTreeMap<String, u32>,
}

/// What a server is given besides its worker and its state.
#[derive(Clone, Debug, Default)]
pub struct Setup<'a> {
    /// The worker's variables.
    pub vars: Vars<'a>,
    /// What is behind its registry.
    pub kv: Kv,
    /// Keys and values put into the registry before the first request.
    pub entries: Vec<(&'a str, String)>,
    /// Its bucket.
    pub r2: R2,
    /// Whether it has a queue `jobs`, bound as `JOBS`, of which it is the consumer, and
    /// `/cdn-cgi/handler/scheduled?cron=…` is as if it was time.
    pub has_jobs: bool,
    /// Whether requests to objects and to the bucket, which has to work, are counted:
    /// [`Server::calls`].
    pub is_counted: bool,
    /// Where it listens; any free port if this is 0.
    pub port: u16,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl Server {
    /// Serves our worker with what `state` holds, and waits until it answers.
    pub fn start(state: &Scratch, vars: Vars) -> Result<Self> {
        Self::serve(&Worker::ours()?, state, vars)
    }

    /// Serves any worker with what `state` holds, and waits until it answers.
    pub fn serve(worker: &Worker, state: &Scratch, vars: Vars) -> Result<Self> {
        let setup = Setup {
            vars,
            ..Setup::default()
        };
        Self::set_up(worker, state, &setup)
    }

    /// The same with more to say.
    pub fn set_up(worker: &Worker, state: &Scratch, setup: &Setup) -> Result<Self> {
        let vars: BTreeMap<_, _> = setup.vars.iter().copied().collect();
        let entries: BTreeMap<_, _> = setup.entries.iter().cloned().collect();
        let options = json!({
            "script": worker.script,
            "compatibilityDate": worker.compatibility_date,
            "compatibilityFlags": worker.compatibility_flags,
            "state": state.path(),
            "vars": vars,
            "registry": setup.kv,
            "entries": entries,
            "r2": setup.r2,
            "hasJobs": setup.has_jobs,
            "isCounted": setup.is_counted,
            "port": setup.port,
        });
        let log = state.path().join("server.log");
        let mut node = Command::new("node")
            .arg("serve.mjs")
            .arg(options.to_string())
            .current_dir(npm::installed("miniflare")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .context("running node")?;
        let mut line = String::new();
        let stdout = node.stdout.take().context("no stdout")?;
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line)?;
        let ready: Result<Ready, _> = serde_json::from_str(&line);
        let ready = ready.with_context(|| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("the server did not start\n{log}")
        });
        let client = match ready {
            Ok(ready) => Client::new(&ready.url),
            Err(error) => {
                let _ = node.wait();
                return Err(error);
            }
        };
        Ok(Self {
            node,
            stdout,
            client,
            state: state.path().to_owned(),
        })
    }

    /// Says what goes wrong with [`R2::Faulty`] from now on; `none` for nothing.
    pub fn let_r2(&mut self, fault: &str) -> Result<()> {
        self.say(fault)
    }

    /// Sets a value in the registry, or takes it away, as if somebody else had.
    pub fn register(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        self.say(&json!({ "key": key, "value": value }).to_string())
    }

    fn say(&mut self, what: &str) -> Result<()> {
        let stdin = self.node.stdin.as_mut().context("no stdin")?;
        writeln!(stdin, "{what}")?;
        // Whatever else is on its stdout, workerd has printed.
        let mut lines = (&mut self.stdout).lines();
        let said = lines.find(|line| line.as_ref().map_or(true, |line| line == what));
        said.context("the server does not answer")?.map(drop)?;
        Ok(())
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the worker has asked for since the start: KV is counted with [`Kv::Counted`], and the
    /// rest with [`Setup::is_counted`].
    pub fn calls(&self) -> Result<Calls> {
        let counts = fs::read(self.state.join("calls.json")).context("no counts")?;
        Ok(serde_json::from_slice(&counts)?)
    }

    /// What the worker has printed so far.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.state.join("server.log"))?)
    }

    /// The runtime's process.
    pub fn workerd(&self) -> Result<Process> {
        let all = Process::descendants(self.node.id())?;
        let found = all.into_iter().find(|process| process.name == "workerd");
        found.context("workerd is not running")
    }

    /// Ends it in good order.
    pub fn stop(mut self) -> Result<()> {
        let runtime = self.workerd()?;
        drop(self.node.stdin.take());
        wait_until("the server has ended", || {
            Ok(self.node.try_wait()?.is_some() && !runtime.is_running())
        })
    }

    /// Kills the runtime at once, as a power cut would.
    pub fn crash(self) -> Result<()> {
        let runtime = self.workerd()?;
        runtime.kill();
        wait_until("the runtime is dead", || Ok(!runtime.is_running()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(runtime) = self.workerd() {
            runtime.kill();
        }
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
