//! A Cloudflare of our own, and the program under test against it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::http::Client;
use crate::npm;
use crate::places::{self, Scratch};
use crate::process::{Process, run};
use crate::project::{cli, command};

/// The only token this Cloudflare takes. It is found in no output of the program.
pub const TOKEN: &str = "a-token-that-nobody-must-see";
/// The only account it has, unless it is told of others.
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// A running Cloudflare; dropping it ends it and everything it runs.
#[derive(Debug)]
pub struct Cloud {
    node: Child,
    client: Client,
    worker: String,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    worker: String,
}

/// A request it was sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query.
    pub query: Value,
    /// What the body is.
    pub content_type: Option<String>,
    /// Within which borders the bucket is that it is about.
    pub jurisdiction: Option<String>,
    /// The body, when it is a document or has parts.
    #[serde(default)]
    pub body: Value,
}

/// How a run of the program ended, and what it printed.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it printed on stdout.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Result<Self> {
        Self::read(command.stdin(Stdio::null()).output()?)
    }

    /// Runs a command with something on its stdin.
    pub fn fed(command: &mut Command, input: &str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        Self::read(child.wait_with_output()?)
    }

    fn read(output: Output) -> Result<Self> {
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// It succeeded.
    pub fn ok(self) -> Result<Self> {
        ensure!(self.code == Some(0), "{self:#?}");
        Ok(self)
    }

    /// It failed with code 1 and says all of this on stderr.
    pub fn fails(self, says: &[&str]) -> Result<Self> {
        ensure!(self.code == Some(1), "{self:#?}");
        for text in says {
            ensure!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        }
        Ok(self)
    }

    /// stdout as one document.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("{self:#?}"))
    }
}

impl Cloud {
    /// Starts one that runs what it is sent.
    pub fn booting(state: &Scratch) -> Result<Self> {
        Self::start(state, true)
    }

    /// Starts one that only answers, which is faster.
    pub fn answering(state: &Scratch) -> Result<Self> {
        Self::start(state, false)
    }

    fn start(state: &Scratch, boots: bool) -> Result<Self> {
        let options = json!({ "state": state.path(), "token": TOKEN, "boots": boots });
        let log = state.path().join("cloud.log");
        let mut node = Command::new("node")
            .arg("cloud.mjs")
            .arg(options.to_string())
            .current_dir(npm::installed("miniflare")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("running node")?;
        let mut line = String::new();
        let stdout = node.stdout.as_mut().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line).with_context(|| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("Cloudflare did not start\n{log}")
        })?;
        Ok(Self {
            node,
            client: Client::new(&ready.url),
            worker: ready.worker,
        })
    }

    /// A client of the deployed worker.
    pub fn worker(&self) -> Client {
        Client::new(&self.worker)
    }

    /// The program, ready for arguments, with this Cloudflare and its token.
    pub fn command(&self, dir: &Path) -> Result<Command> {
        let mut command = command(&cli()?)?;
        command
            .arg("-C")
            .arg(dir)
            .env(
                "CLOUDFLARE_API_BASE_URL",
                format!("{}/client/v4", self.client.base()),
            )
            .env("DURABLE_STREAMS_DEPLOYED_URL", &self.worker)
            .env(
                "DURABLE_STREAMS_R2_URL",
                format!("{}/s3", self.client.base()),
            )
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .env_remove("CLOUDFLARE_API_KEY")
            .env_remove("CLOUDFLARE_ACCOUNT_ID");
        Ok(command)
    }

    /// Runs the program in a project.
    pub fn run(&self, dir: &Path, args: &[&str]) -> Result<Ran> {
        Ran::of(self.command(dir)?.args(args))
    }

    /// What it was sent so far.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let answer = self.client.call(Method::GET, "/__fake/requests").send()?;
        Ok(serde_json::from_slice(&answer.expect(200)?.body)?)
    }

    /// What there is.
    pub fn state(&self) -> Result<Value> {
        let answer = self.client.call(Method::GET, "/__fake/state").send()?;
        Ok(serde_json::from_slice(&answer.expect(200)?.body)?)
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) -> Result<()> {
        self.tell("forget", &Value::Null).map(drop)
    }

    /// Answers wrongly from now on, in these ways.
    pub fn fail(&self, faults: Value) -> Result<()> {
        self.tell("faults", &faults).map(drop)
    }

    /// Changes what there is.
    pub fn set(&self, state: Value) -> Result<()> {
        self.tell("set", &state).map(drop)
    }

    /// Puts an object into a bucket.
    pub fn put_object(&self, bucket: &str, key: &str, text: &str) -> Result<()> {
        let object = json!({ "bucket": bucket, "key": key, "text": text });
        self.tell("object", &object).map(drop)
    }

    /// Puts so many objects into a bucket.
    pub fn put_objects(&self, bucket: &str, prefix: &str, count: usize) -> Result<()> {
        let objects = json!({ "bucket": bucket, "prefix": prefix, "count": count });
        self.tell("objects", &objects).map(drop)
    }

    /// Sends an event to everyone who watches a worker; says how many that are.
    pub fn log(&self, event: &Value) -> Result<u64> {
        Ok(self.tell("tail", event)?.as_u64().unwrap_or_default())
    }

    /// Sends a request of the API itself, as another program would.
    pub fn api(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let path = format!("/client/v4/accounts/{ACCOUNT}{path}");
        let call = self.client.call(method, &path);
        let call = call.header("authorization", format!("Bearer {TOKEN}"));
        let call = call.header("content-type", "application/json");
        let answer = call.send_bytes(body.to_string().as_bytes())?.expect(200)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn tell(&self, verb: &str, said: &Value) -> Result<Value> {
        let call = self.client.call(Method::POST, &format!("/__fake/{verb}"));
        let answer = call.send_bytes(said.to_string().as_bytes())?.expect(200)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let below = Process::descendants(self.node.id()).unwrap_or_default();
        let _ = self.node.kill();
        for process in below {
            process.kill();
        }
        let _ = self.node.wait();
    }
}

/// A Cloudflare that only answers, and a small project for it, both in a scratch folder of this name.
pub fn stage(name: &str) -> Result<(Scratch, Cloud, PathBuf)> {
    let scratch = Scratch::new(name)?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    Ok((scratch, cloud, dir))
}

/// The same, with the project deployed.
pub fn deployed(name: &str) -> Result<(Scratch, Cloud, PathBuf)> {
    let (scratch, cloud, dir) = stage(name)?;
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    Ok((scratch, cloud, dir))
}

/// A project whose bundle stands for a real one: it is small, and is not built.
pub fn small_project(scratch: &Scratch, name: &str) -> Result<PathBuf> {
    small_project_with(scratch, name, &[])
}

/// The same, with more options of `init`.
pub fn small_project_with(scratch: &Scratch, name: &str, options: &[&str]) -> Result<PathBuf> {
    let dir = scratch.path().join(name);
    let mut init = command(&cli()?)?;
    init.arg("init").arg(&dir).args(options);
    run(init.args(["--yes", "--auth", "none", "--no-git", "--runtime", "0.1.0"]))?;
    let fixture = places::repository().join("tests/small");
    fs::create_dir(dir.join("build"))?;
    fs::copy(fixture.join("index.js"), dir.join("build/index.js"))?;
    // A module without anything in it.
    fs::write(dir.join("build/index_bg.wasm"), b"\0asm\x01\0\0\0")?;
    Ok(dir)
}

/// Copies a small project as a repository has it, without the record of what it has made, and its bundle.
pub fn checkout(project: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.join("build"))?;
    for file in [
        "Cargo.toml",
        "wrangler.toml",
        "build/index.js",
        "build/index_bg.wasm",
    ] {
        fs::copy(project.join(file), to.join(file))?;
    }
    Ok(())
}
