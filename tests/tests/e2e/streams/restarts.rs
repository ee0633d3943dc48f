//! Followers and appenders while the server is killed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::reference::Reference;
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::wait_until;
use serde_json::json;

use super::program::{Program, Running};

/// How many messages are appended.
const ALL: usize = 400;
/// How often the server is killed meanwhile.
const KILLS: usize = 3;

#[test]
fn followers_see_each_message_once_however_often_the_server_is_killed() -> Result<()> {
    let state = Scratch::new("streams-restarts")?;
    let worker = Worker::ours()?;
    let start = |port| {
        let setup = Setup {
            port,
            ..Setup::default()
        };
        Server::set_up(&worker, &state, &setup)
    };
    let mut server = start(0)?;
    let base = server.client().base().to_owned();
    let port = base.rsplit(':').next().context("no port")?.parse()?;
    let program = Program::at(&base)?;
    program.run(&["create", "json"])?;
    program.run(&["create", "text", "-t", "text"])?;
    let followers = [
        program.start(&["follow", "json"], &state.path().join("sse.txt"))?,
        program.start(
            &["follow", "json", "--live", "long-poll"],
            &state.path().join("poll.txt"),
        )?,
        program.start(&["follow", "text"], &state.path().join("text.txt"))?,
    ];
    let mut input = String::new();
    for number in 0..ALL {
        input.push_str(&format!("{number}\n"));
    }

    // A script that runs the same again until it has succeeded.
    let broken_off = Arc::new(AtomicUsize::new(0));
    let until_done = |args: &'static [&'static str]| {
        let (program, input) = (program.clone(), input.clone());
        let broken_off = Arc::clone(&broken_off);
        thread::spawn(move || -> Result<()> {
            for _ in 1..100 {
                if program.output(args, input.as_bytes())?.status.success() {
                    return Ok(());
                }
                broken_off.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(200));
            }
            anyhow::bail!("{args:?} never succeeded")
        })
    };
    let scripts = [
        until_done(&["append", "json", "--producer", "script", "--close"]),
        until_done(&["append", "text", "--producer", "script", "--close"]),
    ];
    for kill in 1..=KILLS {
        let some = ALL * kill / (KILLS + 1);
        wait_until("some of it has come", || {
            Ok(followers[0].printed()?.lines().count() >= some)
        })?;
        server.crash()?;
        if kill == 1 {
            // An append waits for a server that is soon back.
            wait_until("a script is broken off", || {
                Ok(broken_off.load(Ordering::SeqCst) > 0)
            })?;
        }
        server = start(port)?;
    }
    for script in scripts {
        let joined = script.join();
        joined.map_err(|_| anyhow::anyhow!("a script has panicked"))??;
    }
    let said = followers[0].said()?;
    ensure!(said.contains("trying again"), "nothing was lost: {said}");
    ensure!(said.contains("Connected again"), "{said}");
    for (follower, file) in followers
        .into_iter()
        .zip(["sse.txt", "poll.txt", "text.txt"])
    {
        follower.ends()?;
        let printed = fs::read_to_string(state.path().join(file))?;
        assert!(printed == input, "{file}: {printed}");
    }
    drop(server);
    Ok(())
}

#[test]
fn a_follower_of_the_reference_implementation_sees_what_is_new_and_the_end() -> Result<()> {
    let server = Reference::start(&json!({}))?;
    let state = Scratch::new("streams-reference")?;
    let program = Program::at(server.url())?;
    program.run(&["create", "json"])?;
    let appended = |follower: &Running, text: &str| {
        wait_until("it has come", || Ok(follower.printed()?.ends_with(text)))
    };
    program.run(&["append", "json", "1"])?;
    let file = state.path().join("new.txt");
    let follower = program.start(&["follow", "json", "--from", "now"], &file)?;
    // Nobody says when it is there; what is appended until then is not new.
    wait_until("it follows", || {
        program.run(&["append", "json", "2"])?;
        Ok(follower.printed()?.contains('2'))
    })?;
    program.run(&["append", "json", "3"])?;
    appended(&follower, "3\n")?;
    assert!(!follower.printed()?.contains('1'));
    program.run(&["close", "json"])?;
    follower.ends()
}
