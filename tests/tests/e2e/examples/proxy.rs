//! Requests through a proxy, by the client that there is for it.

use anyhow::{Context, Result};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::process::Process;
use durable_streams_tests::project::Project;
use ureq::http::Method;

use crate::clients::{node, run};

const SECRET: &str = "test-secret-key-for-development";

/// Short enough that a check sees each of them pass.
const VARS: [(&str, &str); 4] = [
    ("PROXY_SECRET", SECRET),
    ("ALLOWLIST", "http://127.0.0.1:*/v1/*"),
    ("ANSWER_SECONDS", "5"),
    ("SILENCE_SECONDS", "4"),
];

const PROXY: [&str; 21] = [
    "an answer is read while it comes, byte for byte, and with its type",
    "bytes of no text and of no type are kept as they are",
    "a client that was cut off has the same answer again, and a second reader, too",
    "a reader goes on from any offset, by each way to read",
    "an answer goes on when its client has left",
    "an abort ends the upstream and the answer, with all that had come",
    "an abort reaches an upstream that is silent",
    "what has ended may be aborted, and not by whoever knows the secret alone",
    "an upstream that is not allowed is not asked",
    "a redirect is not followed",
    "an upstream's error is its client's, as far as it goes",
    "an upstream that is not there, or does not begin to answer, is said to be so",
    "credentials and what is about the client stay with the proxy",
    "a request has to be whole, and from somebody who knows the secret",
    "a URL opens one answer, until it ends",
    "a client whose URL has expired asks anew",
    "whoever knows the secret looks at an answer and deletes it, while it comes, too",
    "an upstream that breaks off, or falls silent, ends its answer, and events say so",
    "an answer goes on for long though nobody reads it",
    "answers are streams of the project",
    "an answer whose runtime is killed has what had come, and says that it is not whole",
];

/// The process of the runtime below `dev`.
fn runtime(dev: &Dev) -> Result<u32> {
    let below = Process::descendants(dev.pid())?;
    let runtime = below.into_iter().find(|one| one.name == "workerd");
    Ok(runtime.context("workerd is not running")?.pid)
}

#[test]
fn requests_are_durable() -> Result<()> {
    let project = Project::of_example("proxy")?;
    says_what_is_missing(&project)?;
    let vars = VARS.map(|(name, value)| format!("{name}=\"{value}\"\n"));
    let _vars = project.edit(".dev.vars", |_| vars.concat())?;
    let dev = Dev::start(&project)?;
    let mut checks = node("example-proxy.mjs")?;
    checks
        .arg(&dev.document().url)
        .arg(runtime(&dev)?.to_string())
        .env("PROXY_SECRET", SECRET)
        .env("PROJECT", &dev.access()?.project)
        .env("TOKEN", &dev.access()?.read_token);
    run(&mut checks, &PROXY)
}

/// The project as it is written has no secret yet.
fn says_what_is_missing(project: &Project) -> Result<()> {
    let dev = Dev::start(project)?;
    let asked = dev.client().call(Method::POST, "/v1/proxy?secret=");
    let answer = asked.send_bytes(b"")?.expect(500)?.text();
    assert!(answer.contains("PROXY_SECRET"), "{answer}");
    assert!(answer.contains(".dev.vars"), "{answer}");
    Ok(())
}
