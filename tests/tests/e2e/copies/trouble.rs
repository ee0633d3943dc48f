//! Copies while machines fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::{Server, Vars};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

const SOURCES: u64 = 6;
const KILLS: usize = 5;
const APPENDS_BEFORE_A_KILL: usize = 150;

/// Appends numbers, one after the other, and each again until it is known to be there.
fn write(stream: &Stream, next: &mut u64, is_over: &AtomicBool, count: &AtomicUsize) -> Result<()> {
    while !is_over.load(Ordering::Relaxed) {
        let body = json!([*next, *next]).to_string();
        let sent = stream.post_as("p", 0, *next).send_bytes(body.as_bytes());
        // Whether the last one was taken, nobody knows.
        let Ok(answer) = sent else {
            return Ok(());
        };
        if answer.status == 503 {
            continue;
        }
        ensure!(matches!(answer.status, 200 | 204), "{answer:?}");
        *next += 1;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn survive(state: &str, vars: Vars) -> Result<()> {
    let state = Scratch::new(state)?;
    let mut server = Server::start(&state, vars)?;
    let target = Stream::create(server.client(), "inbox", JSON)?;
    let names = (0..SOURCES).map(|at| format!("chat/{at}"));
    let mut sources: Vec<(Stream, u64)> = names
        .map(|name| Ok((Stream::create(server.client(), &name, JSON)?, 0)))
        .collect::<Result<_>>()?;
    let config = json!({
        "type": "copy", "target_stream": "inbox", "pattern": "chat/*", "envelope": true,
    });
    let put = server
        .client()
        .call(Method::PUT, "/v1/stream/__ds/subscriptions/s");
    put.send_bytes(config.to_string().as_bytes())?.expect(201)?;

    for _ in 0..KILLS {
        let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let running: Vec<_> = sources
                .iter_mut()
                .map(|(stream, next)| scope.spawn(|| write(stream, next, &is_over, &count)))
                .collect();
            let enough = wait_until("enough is written", || {
                Ok(count.load(Ordering::Relaxed) >= APPENDS_BEFORE_A_KILL)
            });
            let killed = server.crash();
            is_over.store(true, Ordering::Relaxed);
            for writer in running {
                writer.join().ok().context("a writer panicked")??;
            }
            enough.and(killed)
        })?;
        server = Server::start(&state, vars)?;
        for (stream, _) in &mut sources {
            *stream = stream.on(server.client());
        }
    }
    // The last one of each may be there or not: now it is. That it is there, a stream that has heard of it
    // before says to nobody for up to a minute, unless there is more.
    for (stream, next) in &mut sources {
        for n in [*next, *next + 1] {
            let body = json!([n, n]).to_string();
            let sent = stream.post_as("p", 0, n).send_bytes(body.as_bytes())?;
            ensure!(matches!(sent.status, 200 | 204), "{sent:?}");
        }
        *next += 1;
    }
    let target = target.on(server.client());
    let expected: u64 = sources.iter().map(|(_, next)| 2 * (next + 1)).sum();
    let mut copies = Vec::new();
    wait_until("all is copied", || {
        copies = target.read()?.messages()?;
        Ok(copies.len() as u64 >= expected)
    })?;
    thread::sleep(std::time::Duration::from_secs(2));
    copies = target.read()?.messages()?;
    for (stream, next) in &sources {
        let path = stream.path().trim_start_matches("/v1/stream/");
        let found: Vec<&Value> = copies
            .iter()
            .filter(|copy| copy["stream"] == path)
            .map(|copy| &copy["data"])
            .collect();
        let expected: Vec<Value> = (0..=*next).flat_map(|n| [json!(n), json!(n)]).collect();
        ensure!(found.iter().copied().eq(&expected), "{path}: {found:?}");
    }
    ensure!(copies.len() as u64 == expected, "{} copies", copies.len());
    server.stop()
}

#[test]
fn killing_the_runtime_neither_loses_nor_doubles_a_copy() -> Result<()> {
    survive("copies-crash", &[])
}

#[test]
fn nor_does_it_while_data_moves_to_the_bucket() -> Result<()> {
    let vars = [
        ("SEGMENT_MAX_MESSAGES", "5"),
        ("SEGMENT_MERGE_BYTES", "20000"),
    ];
    survive("copies-crash-moving", &vars)
}
