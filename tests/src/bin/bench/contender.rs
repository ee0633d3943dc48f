//! Who is measured, and how each is started.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::{self, Scratch};
use durable_streams_tests::process::{Process, run};
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup, Vars};
use durable_streams_tests::{npm, token, wait_until};
use serde::{Deserialize, Serialize};

/// The project that all streams are in; only one of the contenders looks at it.
pub const PROJECT: &str = "p";
const SECRET: &str = "the secret of the project called p";
/// The official server in Rust, and its version.
const RUST_SERVER: (&str, &str) = ("durable-streams", "0.1.5");

/// What [`Contender::Before`] is, in a run that has one.
pub static BEFORE: OnceLock<Worker> = OnceLock::new();

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// Our worker, open to everyone.
    Ours,
    /// Our worker as another checkout has it, open to everyone.
    Before,
    /// Our worker with project tokens.
    Tokens,
    /// Our worker with code of its own, which appends for those who ask it to.
    OwnCode,
    /// A plain JavaScript worker with one INSERT.
    Floor,
    /// A plain JavaScript worker that passes appends on to live readers.
    Bridge,
    /// A plain JavaScript worker that puts R2 objects together.
    Stitch,
    /// The reference implementation in Node.js, in memory: no worker, no durability.
    NodeMemory,
    /// The same with files.
    NodeFile,
    /// The official server in Rust with its write-ahead log: no worker.
    RustWal,
}

impl Contender {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Before => "before",
            Self::Tokens => "ours, project-jwt",
            Self::OwnCode => "ours, own code",
            Self::Floor => "floor (plain JS)",
            Self::Bridge => "bridge (plain JS)",
            Self::Stitch => "stitch (plain JS)",
            Self::NodeMemory => "Node.js, memory",
            Self::NodeFile => "Node.js, file",
            Self::RustWal => "Rust server, WAL",
        }
    }

    /// Whether it is our worker, open to everyone.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Before)
    }

    /// Whether it is no worker: its work is another one, and its figures are for orientation.
    pub fn is_reference(self) -> bool {
        matches!(self, Self::NodeMemory | Self::NodeFile | Self::RustWal)
    }

    /// Starts it with nothing in `state`, or with what is there.
    pub fn start(self, state: &Scratch, vars: Vars) -> Result<Running> {
        let worker = match self {
            Self::Ours => Worker::ours()?,
            Self::Before => BEFORE.get().context("there is nothing before")?.clone(),
            Self::Tokens => Worker::with(Auth::ProjectJwt)?,
            Self::OwnCode => Worker::with(Auth::OwnCode)?,
            Self::Floor => Worker::floor()?,
            Self::Bridge => Worker::bridge()?,
            Self::Stitch => Worker::stitching_floor()?,
            Self::NodeMemory | Self::NodeFile => return self.start_node(state),
            Self::RustWal => return start_rust(state),
        };
        let setup = Setup {
            vars,
            entries: vec![(PROJECT, token::record(SECRET))],
            ..Setup::default()
        };
        let server = Server::set_up(&worker, state, &setup)?;
        let mut client = server.client().clone();
        if matches!(self, Self::Tokens | Self::OwnCode) {
            let token = token::token(SECRET, PROJECT, "write");
            client = client.with_header("authorization", format!("Bearer {token}"));
        }
        Ok(Running {
            client,
            process: server.workerd()?,
            server: Kind::Worker(server),
        })
    }

    fn start_node(self, state: &Scratch) -> Result<Running> {
        let data = (self == Self::NodeFile).then(|| state.path().join("data"));
        let mut node = Command::new("node")
            .arg("serve.mjs")
            .arg(serde_json::json!({ "dataDir": data }).to_string())
            .current_dir(npm::installed("reference")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(state.path().join("server.log"))?)
            .spawn()
            .context("running node")?;
        let stdout = node.stdout.take().context("no stdout")?;
        let native = Native(node);
        // What it says itself comes first.
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.find_map(|line| {
            let line = serde_json::from_str::<serde_json::Value>(&line.ok()?).ok()?;
            Some(line["url"].as_str()?.to_owned())
        });
        let url = url.context("the reference did not start")?;
        // It is not read any more, and must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(native.running(&url))
    }
}

/// A contender that answers.
#[derive(Debug)]
pub struct Running {
    /// A client with what it takes to be let in.
    pub client: Client,
    /// The process whose time and memory count.
    pub process: Process,
    server: Kind,
}

#[derive(Debug)]
enum Kind {
    Worker(Server),
    Native(Native),
}

impl Running {
    /// Ends it.
    pub fn stop(self) -> Result<()> {
        match self.server {
            Kind::Worker(server) => server.stop(),
            Kind::Native(native) => {
                drop(native);
                Ok(())
            }
        }
    }
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Native(Child);

impl Native {
    fn running(self, url: &str) -> Running {
        Running {
            client: Client::new(url),
            process: Process {
                pid: self.0.id(),
                name: String::new(),
            },
            server: Kind::Native(self),
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_rust(state: &Scratch) -> Result<Running> {
    let program = rust_server()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = File::create(state.path().join("server.log"))?;
    let child = Command::new(program)
        .args(["--host", "127.0.0.1", "--durability", "wal"])
        .args(["--long-poll-timeout-ms", "600000"])
        .args(["--port", &port.to_string()])
        .arg("--data-dir")
        .arg(state.path().join("data"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("running the Rust server")?;
    let native = Native(child);
    wait_until("the Rust server answers", || {
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    })?;
    Ok(native.running(&format!("http://127.0.0.1:{port}")))
}

/// The official server in Rust, installed by cargo the first time, which takes a minute or two.
fn rust_server() -> Result<PathBuf> {
    let _lock = places::lock("rust-server")?;
    let root = places::work_dir("rust-server")?;
    let program = root.join("bin/durable-streams-server");
    let (name, version) = RUST_SERVER;
    if !program.exists() {
        eprintln!("installing {name} {version} from crates.io");
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        run(Command::new(cargo)
            .args(["install", name, "--version", version, "--locked", "--quiet"])
            .arg("--target-dir")
            .arg(root.join("target"))
            .arg("--root")
            .arg(&root))
        .map_err(|error| anyhow!("{name} {version} cannot be installed: {error:#}"))?;
    }
    Ok(program)
}
