//! `durable-streams dev`, run as a person runs it: at the head of a terminal's process group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::http::Client;
use crate::places;
use crate::process::{Process, interrupt};
use crate::project::{Project, cli, command};
use crate::wait_until;

/// A running `dev`; dropping it ends everything below it.
#[derive(Debug)]
pub struct Dev {
    child: Child,
    document: Document,
    log: PathBuf,
}

/// What `dev --json` prints when it serves.
#[derive(Debug, Deserialize)]
pub struct Document {
    /// Where.
    pub url: String,
    /// The port of `url`.
    pub port: u16,
    /// Where it listens.
    pub host: String,
    /// Where its console is.
    pub console: Option<String>,
    /// Tokens, where they are needed.
    pub access: Option<Access>,
    /// Variables for a shell.
    pub variables: BTreeMap<String, String>,
    /// Lines for it, which use them.
    pub snippets: Vec<Snippet>,
}

/// Tokens to try it with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The project.
    pub project: String,
    /// Allows everything.
    pub write_token: String,
    /// Allows reading.
    pub read_token: String,
}

/// A line for a shell.
#[derive(Debug, Deserialize)]
pub struct Snippet {
    /// The line.
    pub command: String,
}

impl Dev {
    /// Builds and serves `project` on a free port, and waits until it answers.
    pub fn start(project: &Project) -> Result<Self> {
        Self::start_as(project, &["--port", "0"])
    }

    /// The same with other options, and a port that may be another.
    pub fn start_as(project: &Project, options: &[&str]) -> Result<Self> {
        Self::run(project, command(&cli()?)?, options)
    }

    /// The same where the system tells nobody of changes to files.
    pub fn start_unwatched(project: &Project) -> Result<Self> {
        let used_up = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
        let program = command(&cli()?)?;
        let mut unshared = Command::new("unshare");
        unshared
            .args(["--user", "--map-root-user", "sh", "-c", used_up, "sh"])
            .arg(program.get_program());
        for (name, value) in program.get_envs() {
            unshared.env(name, value.unwrap_or_default());
        }
        Self::run(project, unshared, &["--port", "0"])
    }

    fn run(project: &Project, mut program: Command, options: &[&str]) -> Result<Self> {
        let name = project.dir.file_name().context("a project in no folder")?;
        let log = places::work_dir("logs")?.join(name);
        let mut child = program
            .arg("-C")
            .arg(&project.dir)
            .args(["dev", "--json"])
            .args(options)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let stdout = child.stdout.as_mut().context("no stdout")?;
        // Reads to the end of one document and no further: the program goes on.
        let document = serde_json::Deserializer::from_reader(stdout)
            .into_iter()
            .next();
        match document {
            Some(Ok(document)) => Ok(Self {
                child,
                document,
                log,
            }),
            other => {
                let status = child.wait()?;
                let log = fs::read_to_string(&log).unwrap_or_default();
                let document = other.map(|result| result.map(|_: Document| ()));
                anyhow::bail!("dev ended with {status} after {document:?}\n{log}");
            }
        }
    }

    /// What it printed.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What it has written on stderr so far.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, and lets what is below it notice.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.document.url)
    }

    /// The tokens to try it with.
    pub fn access(&self) -> Result<&Access> {
        self.document.access.as_ref().context("no tokens")
    }

    /// A client that may do everything in the project that the tokens are of.
    pub fn writer(&self) -> Result<Client> {
        let bearer = format!("Bearer {}", self.access()?.write_token);
        Ok(self.client().with_header("authorization", bearer))
    }

    /// Presses Ctrl-C and waits until it and everything below it is gone. Gives how it ended.
    pub fn interrupt(mut self) -> Result<ExitStatus> {
        let below = Process::descendants(self.child.id())?;
        ensure!(
            below.iter().any(|process| process.name == "workerd"),
            "no workerd among {below:?}"
        );
        interrupt(&self.child)?;
        let mut rest = String::new();
        let mut stdout = self.child.stdout.take().context("no stdout")?;
        stdout.read_to_string(&mut rest)?;
        ensure!(rest.trim().is_empty(), "printed after its document: {rest}");
        let status = self.child.wait()?;
        wait_until("all of its processes are gone", || {
            Ok(below.iter().all(|process| !process.is_running()))
        })?;
        Ok(status)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let below = Process::descendants(self.child.id()).unwrap_or_default();
        let _ = self.child.kill();
        for process in below {
            process.kill();
        }
        let _ = self.child.wait();
    }
}
