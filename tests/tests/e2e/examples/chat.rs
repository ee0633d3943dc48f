//! The chat, used by what the AI SDK is made of, and on its page. What they check is in `tests/clients`;
//! a stand-in for the provider is there, too.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use durable_streams_tests::places::{self, Scratch};
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{Server, Setup};
use serde::Deserialize;

use crate::clients::{chromium, node};

const SDK: [&str; 13] = [
    "a page of the AI SDK has an answer while it is written",
    "one that is loaded in the middle of an answer goes on with it",
    "two who follow the same answer have the same",
    "a question that is asked again is answered once",
    "of those who ask at the same time one is answered",
    "who leaves does not end the answer",
    "a provider that breaks off is not taken for one that is done",
    "who stops an answer stops the provider",
    "the death of the runtime is told who reads",
    "the death of the provider is told who reads",
    "the other formats are spoken, too",
    "what is wrong is said",
    "nobody is let in without the password",
];

const PAGE: [&str; 10] = [
    "an answer is seen while it is written",
    "a page that is loaded again in the middle goes on at once from where it is",
    "a second device sees the same, live, and may ask, too",
    "an answer that broke off says so, and can be had anew",
    "an answer is stopped on any device",
    "the death of the runtime is seen, and what there was stays",
    "a question that the server did not get is sent again",
    "it is used with the keyboard, and each control has a name",
    "what a model writes is shown as it means it",
    "what a model says becomes no part of the page",
];

#[test]
fn pages_of_the_ai_sdk_use_it() -> Result<()> {
    use_it("example-chat", node("chat.mjs")?, &SDK)
}

#[test]
fn its_page_is_used_on_two_devices() -> Result<()> {
    let profile = Scratch::new("example-chat-profile")?;
    let pictures = places::work_dir("pictures")?.join("chat");
    std::fs::create_dir_all(&pictures)?;
    let mut node = node("chat-page.mjs")?;
    node.arg(chromium()?).arg(profile.path()).arg(pictures);
    use_it("example-chat-page", node, &PAGE)
}

/// What a script of checks says: what is to happen to the server, or what came of a check.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Server {
        server: String,
        vars: BTreeMap<String, String>,
    },
    Check {
        name: String,
        failure: Option<String>,
    },
}

/// Runs a script that must report that all of `expected` passed, and does with the server what it says.
fn use_it(name: &str, mut node: Command, expected: &[&str]) -> Result<()> {
    let worker = Worker::of_example("chat")?;
    let state = Scratch::new(&format!("{name}-state"))?;
    let mut server: Option<Server> = None;
    let mut port = 0;
    let mut script = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = script.stdin.take().context("no stdin")?;
    let stdout = script.stdout.take().context("no stdout")?;
    let (mut names, mut failures) = (Vec::new(), Vec::new());
    for line in BufReader::new(stdout).lines() {
        match serde_json::from_str(&line?)? {
            Said::Check { name, failure } => {
                failures.extend(failure.map(|failure| format!("{name}\n    {failure}")));
                names.push(name);
                continue;
            }
            Said::Server { server: to, vars } => match to.as_str() {
                "start" => {
                    let vars: Vec<_> = vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                    let setup = Setup {
                        vars: &vars,
                        port,
                        ..Setup::default()
                    };
                    let started = server.insert(Server::set_up(&worker, &state, &setup)?);
                    // It comes back where its clients look for it.
                    let end = started.client().base().rsplit_once(':');
                    port = end.context("no port")?.1.parse()?;
                }
                "stop" => server.take().context("it is stopped")?.stop()?,
                "crash" => server.take().context("it is stopped")?.crash()?,
                other => bail!("nobody can {other} a server"),
            },
        }
        let base = server.as_ref().map(|server| server.client().base());
        writeln!(stdin, "{}", base.unwrap_or_default())?;
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(names == expected, "{names:?}");
    let ended = script.wait()?;
    ensure!(ended.success(), "{ended}");
    server.context("no server")?.stop()
}
