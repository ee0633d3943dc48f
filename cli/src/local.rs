//! A worker served on this machine: a Node process that drives workerd.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    dev_vars::DevVars,
    error::problem,
    interrupt::{self, Interrupted},
    process,
    project::Project,
    settings::DEV,
    toolchain::Toolchain,
};

const SCRIPT: &str = include_str!("../assets/local.mjs");
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
}

/// A worker that is served.
#[derive(Debug)]
pub struct Server {
    node: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Event>,
    started: Instant,
}

impl Server {
    /// Starts serving a project's bundle and returns when it answers requests.
    pub fn start(
        project: &Project,
        dev_vars: &DevVars,
        toolchain: &Toolchain,
        port: u16,
    ) -> Result<Self> {
        let script = toolchain.place_script("local.mjs", SCRIPT)?;
        let mut command = Command::new("node");
        command
            .arg(script)
            .current_dir(&project.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut node = process::spawn(&mut command)?;
        let stdin = node.stdin.take();
        let stdout = node.stdout.take().context("node has no stdout")?;
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match serde_json::from_str::<Event>(&line) {
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
        };
        server.load(project, dev_vars, port)?;
        Ok(server)
    }

    /// Serves another bundle, or other settings, in place of what is served now.
    pub fn load(&mut self, project: &Project, dev_vars: &DevVars, port: u16) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the server was stopped")?;
        writeln!(stdin, "{}", options(project, dev_vars, port))
            .context("the server does not listen")?;
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
                Err(RecvTimeoutError::Timeout) => {}
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

/// The port to serve on, if it is free. Port 0 stands for any free one.
pub fn check_port(port: u16) -> Result<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(error) => {
            let why = match error.kind() {
                ErrorKind::AddrInUse => "another program is using it".to_owned(),
                ErrorKind::PermissionDenied => "this user may not use it".to_owned(),
                _ => error.to_string(),
            };
            Err(problem(
                format!("port {port} of 127.0.0.1 is not free: {why}"),
                "name another with --port, or let `--port 0` take a free one",
            ))
        }
    }
}

fn options(project: &Project, dev_vars: &DevVars, port: u16) -> Value {
    let mut options = project.worker_options();
    options["host"] = json!("127.0.0.1");
    options["port"] = json!(port);
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
    options["logRequests"] = json!(false);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Here;

    #[test]
    fn a_local_run_is_for_development_unless_that_is_said_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let base = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
        let dev = |more: &str| {
            std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
            std::fs::write(dir.path().join("wrangler.toml"), format!("{base}{more}")).unwrap();
            let project = Project::open(&Here::at(dir.path())).unwrap();
            options(&project, &DevVars::default(), 0)["bindings"]["DEV"].clone()
        };
        assert_eq!(dev(""), "1");
        assert_eq!(dev("[vars]\nDEV = \"0\""), "0");
    }

    #[test]
    fn a_port_in_use_is_refused_and_zero_takes_a_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(crate::error::hint(&error).unwrap().contains("--port"));
        drop(taken);
        assert_eq!(check_port(port).unwrap(), port);
        assert_ne!(check_port(0).unwrap(), 0);
    }
}
