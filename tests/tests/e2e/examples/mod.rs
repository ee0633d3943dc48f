//! The examples, each as `init --example` writes it: a file for each, with its name.

mod agents;
mod chat;
mod own_auth;
mod proxy;

use std::fs;

use anyhow::{Context, Result};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::places;
use durable_streams_tests::process::Process;
use durable_streams_tests::wait_until;
use ureq::http::Method;

/// Kills the runtime below `dev`, as a crash would, and waits until another one answers.
fn crash(dev: &Dev) -> Result<()> {
    let below = Process::descendants(dev.pid())?;
    let runtime = below.into_iter().find(|one| one.name == "workerd");
    let runtime = runtime.context("workerd is not running")?;
    runtime.kill();
    wait_until("another runtime answers", || {
        let answer = dev.client().call(Method::GET, "/v1/stream/").send();
        Ok(!runtime.is_running() && answer.is_ok())
    })
}

#[test]
fn each_example_has_a_test() -> Result<()> {
    let examples = places::repository().join("template/examples");
    let mut count = 0;
    for entry in fs::read_dir(examples)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let module = entry.file_name().to_string_lossy().replace('-', "_");
            let declared = format!("\nmod {module};\n");
            assert!(include_str!("mod.rs").contains(&declared), "no{declared}");
            count += 1;
        }
    }
    assert!(count > 0);
    Ok(())
}
