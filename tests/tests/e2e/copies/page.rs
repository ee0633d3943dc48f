//! The example page, as somebody uses it in a browser.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use durable_streams_tests::places::{self, Scratch, repository};
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::token::{now, sign, token};
use serde_json::{Value, json};

use crate::clients::{chromium, node};

const CHECKS: [&str; 8] = [
    "a page of another origin follows three streams over one connection",
    "streams are added and taken away while it is connected",
    "what is wrong is said, and can be mended",
    "it comes back when the server was away",
    "a page that is loaded again shows what it showed, and goes on",
    "it is whole at 360 pixels, in the light and in the dark, and each control has a name",
    "when nobody reads, target and subscription go, and the page begins anew",
    "who stops leaves nothing behind",
];

const PROJECT: &str = "team";
const SECRET: &str = "the secret of the project called team";

#[test]
fn a_page_follows_many_streams_over_one_connection() -> Result<()> {
    use_page("fan-in", Auth::None)
}

#[test]
fn so_does_a_page_with_tokens() -> Result<()> {
    use_page("fan-in-tokens", Auth::ProjectJwt)
}

/// Lets somebody use the page, and does with the server what they ask for.
fn use_page(name: &str, auth: Auth) -> Result<()> {
    let state = Scratch::new(&format!("{name}-state"))?;
    let profile = Scratch::new(&format!("{name}-profile"))?;
    let pictures = places::work_dir("pictures")?.join(name);
    std::fs::create_dir_all(&pictures)?;
    let worker = Worker::with(auth)?;
    let cors = json!({ "signingSecrets": [SECRET], "corsOrigins": ["*"], "isPublic": false });
    let mut setup = Setup {
        // So short that connections end while somebody looks.
        vars: &[("SSE_TIMEOUT_MS", "5000")],
        entries: vec![(PROJECT, cors.to_string())],
        ..Setup::default()
    };
    let mut server = Some(Server::set_up(&worker, &state, &setup)?);
    let base = server
        .as_ref()
        .context("no server")?
        .client()
        .base()
        .to_owned();
    let port = base
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    setup.port = port.context("no port")?;
    let mut node = node("fan-in.mjs")?;
    match auth {
        Auth::ProjectJwt => {
            let read = json!({ "sub": PROJECT, "scope": "read", "exp": now() + 290 });
            node.arg(format!("{base}/v1/stream/{PROJECT}"))
                .env("TOKEN", token(SECRET, PROJECT, "write"))
                .env("READ_TOKEN", sign(SECRET, &read));
        }
        _ => drop(node.arg(format!("{base}/v1/stream"))),
    }
    node.arg(chromium()?).arg(profile.path());
    node.arg(repository().join("runtime/examples/fan-in.html"));
    node.arg(&pictures);
    let mut user = node
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running node")?;
    let mut stdin = user.stdin.take().context("no stdin")?;
    let stdout = user.stdout.take().context("no stdout")?;
    let (mut names, mut failures) = (Vec::new(), Vec::new());
    for line in BufReader::new(stdout).lines() {
        let said: Value = serde_json::from_str(&line?)?;
        match said["server"].as_str() {
            Some("stop") => server.take().context("it is stopped")?.stop()?,
            Some("start") => server = Some(Server::set_up(&worker, &state, &setup)?),
            Some(other) => bail!("nobody can {other} a server"),
            None => {
                let name = said["name"].as_str().unwrap_or_default().to_owned();
                if let Some(failure) = said["failure"].as_str() {
                    failures.push(format!("{name}\n    {failure}"));
                }
                names.push(name);
                continue;
            }
        }
        writeln!(stdin, "done")?;
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(names == CHECKS, "{names:?}");
    let ended = user.wait()?;
    ensure!(ended.success(), "{ended}");
    server.context("no server")?.stop()
}
