//! The program, as scripts use it: with a server in its environment.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::project::cli;
use serde_json::Value;

/// The program with a server.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    url: String,
}

impl Program {
    pub fn at(url: &str) -> Result<Self> {
        Ok(Self {
            path: cli()?,
            url: url.to_owned(),
        })
    }

    /// A `stream` command in a folder that is no project.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .current_dir(std::env::temp_dir())
            .env("STREAM_URL", &self.url)
            .env_remove("STREAM_AUTH")
            .arg("stream")
            .args(args);
        command
    }

    /// Runs a command with this on its stdin.
    pub fn output(&self, args: &[&str], stdin: &[u8]) -> Result<Output> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut pipe = child.stdin.take().context("no stdin")?;
        let text = stdin.to_vec();
        // It may end without having read all of it.
        let writer = thread::spawn(move || drop(pipe.write_all(&text)));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        Ok(output)
    }

    /// Runs a command that must succeed, and gives its stdout.
    pub fn piped(&self, args: &[&str], stdin: &[u8]) -> Result<Vec<u8>> {
        let output = self.output(args, stdin)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {stderr}");
        Ok(output.stdout)
    }

    /// The same without anything on stdin, and text on stdout.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        Ok(String::from_utf8(self.piped(args, b"")?)?)
    }

    /// The document of a command.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let stdout = self.run(&[args, &["--json"]].concat())?;
        Ok(serde_json::from_str(&stdout)?)
    }

    /// Runs a command that must fail, and gives its stderr.
    pub fn fails(&self, args: &[&str], stdin: &[u8]) -> Result<String> {
        let output = self.output(args, stdin)?;
        ensure!(output.status.code() == Some(1), "{args:?}: {output:?}");
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Starts a command that writes its stdout to a file, and its stderr to another beside it.
    pub fn start(&self, args: &[&str], stdout: &Path) -> Result<Running> {
        let child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(File::create(stdout)?)
            .stderr(File::create(stdout.with_extension("err"))?)
            .spawn()?;
        Ok(Running {
            child,
            stdout: stdout.to_owned(),
        })
    }
}

/// A command that runs; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
}

impl Running {
    /// What it has printed so far.
    pub fn printed(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.stdout)?)
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.stdout.with_extension("err"))?)
    }

    /// Waits until it has ended by itself, which must be with success.
    pub fn ends(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.said()?);
        Ok(())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Kills it at once.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
