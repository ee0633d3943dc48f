//! The registry of local runs: miniflare's KV, beside the streams in the project's folder.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::store::{BINDING, Store, no_namespace};
use crate::{
    local, process,
    project::{Lock, Project, Work},
    toolchain,
    ui::Ui,
};

const SCRIPT: &str = include_str!("../../assets/registry.mjs");

/// A Node process that holds the namespace open, until this is dropped.
#[derive(Debug)]
pub struct LocalStore {
    node: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Nobody else changes what was read here and is written again.
    _lock: Lock,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Error(String),
}

impl LocalStore {
    /// Opens the namespace, which is empty before the first run.
    pub fn start(ui: &Ui, project: &Project) -> Result<Self> {
        let lock = Lock::wait(ui, project, Work::Registry, "projects")?;
        let namespace = local::data::namespace(project, BINDING, &lock)?;
        let namespace = namespace.ok_or_else(|| no_namespace(project))?;
        let script = toolchain::node_script(ui, "registry.mjs", SCRIPT)?;
        let mut command = Command::new("node");
        command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut node = process::spawn(&mut command)?;
        let stdin = node.stdin.take();
        let stdout = node.stdout.take().context("node has no stdout")?;
        let mut store = Self {
            node,
            stdin,
            stdout: BufReader::new(stdout),
            _lock: lock,
        };
        store.say(&json!({
            "kvNamespaces": { BINDING: namespace },
            "defaultPersistRoot": project.root.join(local::STATE),
            // Otherwise miniflare asks a server of Cloudflare where this machine is.
            "cf": false,
        }))?;
        Ok(store)
    }

    /// Requests go through a pipe: nobody else sees what is in them.
    fn say(&mut self, document: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("node was stopped")?;
        writeln!(stdin, "{document}").context("node does not listen")
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        self.say(request)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        match serde_json::from_str(&line).context("node ended")? {
            Answer::Ok(value) => Ok(value),
            Answer::Error(message) => bail!("the local KV cannot be used: {message}"),
        }
    }
}

impl Store for LocalStore {
    fn get(&mut self, key: &str) -> Result<Option<String>> {
        let value = self.ask(&json!({ "get": key }))?;
        Ok(value.as_str().map(str::to_owned))
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        self.ask(&json!({ "put": key, "value": value })).map(drop)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.ask(&json!({ "delete": key })).map(drop)
    }

    fn list(&mut self) -> Result<Vec<String>> {
        let keys = self.ask(&json!({ "list": true }))?;
        serde_json::from_value(keys).context("the local KV lists no keys")
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        // The end of its input ends Node, and with it workerd, once all is written.
        drop(self.stdin.take());
        process::let_end(&mut self.node, local::STOP_LIMIT);
    }
}
