//! `durable-streams dev`, run as a person runs it: at the head of a terminal's process group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};

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
        let name = project.dir.file_name().context("a project in no folder")?;
        let log = places::work_dir("logs")?.join(name);
        let mut child = command(&cli()?)?
            .arg("-C")
            .arg(&project.dir)
            .args(["dev", "--json", "--port", "0"])
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

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.document.url)
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
