//! A worker served on this machine: a Node process that drives workerd.

pub mod data;
pub mod date;
pub mod exports;
pub mod listen;
mod requests;
mod stores;

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use requests::Request;

use crate::{
    dev_vars::DevVars,
    interrupt::{self, Interrupted},
    process,
    project::Project,
    settings::DEV,
    toolchain::Toolchain,
    ui::Ui,
};

const SCRIPT: &str = include_str!("../../assets/local.mjs");
/// The folder wrangler keeps local data in, so that `wrangler dev` works on the same data.
pub const STATE: &str = ".wrangler/state/v3";
/// Far more than workerd needs, even on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long Node is given to end what it has started.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What the Node process has to say.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    /// The worker answers requests.
    Ready,
    /// The worker could not be started.
    Failed { message: String },
    /// workerd is gone.
    Died,
    /// A request was answered.
    Request(Request),
}

/// What is served, and where.
#[derive(Debug, Clone, Copy)]
pub struct Serving<'a> {
    /// The project, with its bundle.
    pub project: &'a Project,
    /// What the worker is given beyond `wrangler.toml`.
    pub dev_vars: &'a DevVars,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its Durable Objects were made under.
    pub objects_of: &'a str,
}

/// A worker that is served.
#[derive(Debug)]
pub struct Server {
    node: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    started: Instant,
    shows_requests: bool,
}

impl Server {
    /// Starts serving a project's bundle and returns when it answers requests.
    pub fn start(ui: &Ui, toolchain: &Toolchain, what: Serving) -> Result<Self> {
        let script = toolchain.place_script("local.mjs", SCRIPT)?;
        let mut command = Command::new("node");
        command
            .arg(script)
            .current_dir(&what.project.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut node = process::spawn(&mut command)?;
        let stdin = node.stdin.take();
        let stdout = node.stdout.take().context("node has no stdout")?;
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    // At once, whatever the rest of the program is at.
                    Ok(Event::Request(request)) => eprintln!("{request}"),
                    Ok(event) => drop(sender.send(event)),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        let mut server = Self {
            node,
            stdin,
            events,
            started: Instant::now(),
            shows_requests: !ui.quiet(),
        };
        server.load(what)?;
        Ok(server)
    }

    /// Serves another bundle, or other settings, in place of what is served now.
    pub fn load(&mut self, what: Serving) -> Result<()> {
        let mut options = options(what);
        options["logRequests"] = json!(self.shows_requests);
        let stdin = self.stdin.as_mut().context("the server was stopped")?;
        writeln!(stdin, "{options}").context("the server does not listen")?;
        let asked = Instant::now();
        loop {
            if interrupt::interrupted() {
                return Err(Interrupted.into());
            }
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(Event::Ready) => return Ok(()),
                Ok(Event::Failed { message }) => bail!("the worker does not start: {message}"),
                Ok(Event::Died) | Err(RecvTimeoutError::Disconnected) => {
                    bail!("the worker does not start: node ended")
                }
                Err(RecvTimeoutError::Timeout) if asked.elapsed() > START_LIMIT => {
                    bail!(
                        "the worker does not start within {} s",
                        START_LIMIT.as_secs()
                    )
                }
                Ok(Event::Request(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits a moment; false when workerd or its keeper has ended by itself.
    pub fn is_alive(&self, wait: Duration) -> bool {
        !matches!(
            self.events.recv_timeout(wait),
            Ok(Event::Died) | Err(RecvTimeoutError::Disconnected)
        )
    }

    /// Ends Node, which ends workerd, and whatever is left of both.
    pub fn end(&mut self) {
        drop(self.stdin.take());
        process::let_end(&mut self.node, STOP_LIMIT);
    }

    /// How long it has been there.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The id of the Node process.
    pub fn node_pid(&self) -> u32 {
        self.node.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn options(what: Serving) -> Value {
    let Serving {
        project,
        dev_vars,
        address,
        objects_of,
    } = what;
    let mut options = project.worker_options();
    options["host"] = json!(address.ip());
    options["port"] = json!(address.port());
    options["defaultPersistRoot"] = json!(project.root.join(STATE));
    // Whoever wants it otherwise says so.
    if project.wrangler.vars.get(DEV.name).is_none() {
        options["bindings"][DEV.name] = json!("1");
    }
    for (name, value) in dev_vars.entries() {
        options["bindings"][name] = value.clone();
    }
    // Otherwise miniflare asks a server of Cloudflare where this machine is.
    options["cf"] = json!(false);
    if objects_of != project.name {
        let objects = options["durableObjects"].as_object_mut();
        for (_, object) in objects.into_iter().flatten() {
            let key = format!(
                "{objects_of}-{}",
                object["className"].as_str().unwrap_or_default()
            );
            object["unsafeUniqueKey"] = json!(key);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::samples;

    fn options_of(more: &str, objects_of: &str) -> Value {
        let (_dir, project) = samples::project(more);
        options(Serving {
            project: &project,
            dev_vars: &DevVars::default(),
            address: "[::]:80".parse().unwrap(),
            objects_of,
        })
    }

    #[test]
    fn a_local_run_is_for_development_unless_that_is_said_otherwise() {
        let dev = |more: &str| options_of(more, "x")["bindings"]["DEV"].clone();
        assert_eq!(dev(""), "1");
        assert_eq!(dev("[vars]\nDEV = \"0\""), "0");
    }

    #[test]
    fn objects_are_served_under_the_name_they_were_made_with() {
        let objects = "[[durable_objects.bindings]]\nname = \"A\"\nclass_name = \"B\"";
        let key = |objects_of| options_of(objects, objects_of)["durableObjects"]["A"].clone();
        assert_eq!(key("x").get("unsafeUniqueKey"), None);
        assert_eq!(key("old")["unsafeUniqueKey"], "old-B");
    }

    #[test]
    fn it_listens_where_it_is_told_to() {
        let options = options_of("", "x");
        assert_eq!(
            (&options["host"], &options["port"]),
            (&json!("::"), &json!(80))
        );
    }
}
