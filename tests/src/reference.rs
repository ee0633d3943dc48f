//! The reference implementation, served.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

use crate::npm;

/// A running reference server; it ends when this is dropped.
#[derive(Debug)]
pub struct Reference {
    node: Child,
    /// It ends when this end of the pipe closes.
    stdin: Option<ChildStdin>,
    url: String,
}

impl Reference {
    /// Serves it with these options, as `tests/reference/serve.mjs` takes them.
    pub fn start(options: &serde_json::Value) -> Result<Self> {
        let mut node = Command::new("node")
            .args(["serve.mjs", &options.to_string()])
            .current_dir(npm::installed("reference")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("running node")?;
        let stdin = node.stdin.take();
        let stdout = node.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: serde_json::Value = serde_json::from_str(&line)?;
        let url = ready["url"].as_str().context("no URL")?.to_owned();
        Ok(Self { node, stdin, url })
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
