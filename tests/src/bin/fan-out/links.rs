//! Targets, and the subscriptions that copy into them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use durable_streams_tests::http::{Call, Client, Response};
use durable_streams_tests::stream::Stream;
use serde_json::{Value, json};
use ureq::http::Method;

use super::times::Times;
use super::writer::SOURCE;
use super::{JSON, for_all, subscription, target};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long to wait before targets are looked at again.
const REST: Duration = Duration::from_millis(250);

/// Asks again while the server has no memory left for SQLite, and counts how often.
fn ask(call: impl Fn() -> Call, body: &[u8], again: &AtomicUsize) -> Result<Response> {
    let start = Instant::now();
    loop {
        let answer = call().send_bytes(body)?;
        if answer.status < 500 || start.elapsed() > PATIENCE {
            return Ok(answer);
        }
        if again.fetch_add(1, Ordering::Relaxed) == 0 {
            println!("{}: {}", answer.status, answer.text());
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Makes so many of both, and says how long that took.
pub fn make(client: &Client, targets: usize, at_once: usize) -> Result<()> {
    let again = AtomicUsize::new(0);
    let timed = |what: &str, one: &(dyn Fn(usize) -> Result<()> + Sync)| -> Result<()> {
        let times = Mutex::new(Times::default());
        let start = Instant::now();
        for_all(client, targets, at_once, |_, at| {
            let start = Instant::now();
            one(at).with_context(|| target(at))?;
            let mut times = times.lock().ok().context("a worker panicked")?;
            times.add(start.elapsed());
            Ok(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let times = times.into_inner().ok().context("a worker panicked")?;
        let (first, last) = times.ends();
        println!(
            "{targets} {what} made in {seconds:.1} s, {:.0} a second by {at_once} at once: {times}; of the \
             first tenth, {first:.0?} in the middle, and {last:.0?} of the last; {} times asked again",
            targets as f64 / seconds,
            again.swap(0, Ordering::Relaxed)
        );
        Ok(())
    };
    timed("targets", &|at| {
        let stream = Stream::named(client, &target(at), JSON);
        let made = ask(|| stream.put(), b"", &again)?;
        ensure!(matches!(made.status, 200 | 201), "{made:?}");
        Ok(())
    })?;
    timed("subscriptions", &|at| {
        let config = json!({ "type": "copy", "streams": [SOURCE], "target_stream": target(at) });
        let body = config.to_string();
        let put = || client.call(Method::PUT, &subscription(at));
        let made = ask(put, body.as_bytes(), &again)?;
        ensure!(matches!(made.status, 200 | 201), "{made:?}");
        Ok(())
    })
}

/// Waits until so many messages are in each target, and gives how many rounds of HEAD that took.
pub fn wait_for(client: &Client, targets: usize, at_once: usize, count: u64) -> Result<usize> {
    let tail = format!("{:016}_{count:016}_0000", 0);
    let start = Instant::now();
    let missing = Mutex::new((0..targets).collect::<Vec<_>>());
    for round in 1.. {
        let left = std::mem::take(&mut *missing.lock().ok().context("a worker panicked")?);
        if left.is_empty() {
            return Ok(round - 1);
        }
        if round > 1 {
            thread::sleep(REST);
        }
        if start.elapsed() > PATIENCE {
            let path = subscription(left[0]);
            let seen = client.call(Method::GET, &path).send()?;
            let missing = left.len();
            bail!(
                "{missing} targets have not all after {PATIENCE:?}: {}",
                seen.text()
            );
        }
        for_all(client, left.len(), at_once, |client, index| {
            let at = left[index];
            let head = Stream::named(client, &target(at), JSON).head()?;
            if head.header("stream-next-offset") != Some(&tail) {
                missing.lock().ok().context("a worker panicked")?.push(at);
            }
            Ok(())
        })?;
    }
    Ok(0)
}

/// Reads all targets from their starts: each has each message once, in order.
pub fn read_all(client: &Client, targets: usize, at_once: usize, count: u64) -> Result<()> {
    let start = Instant::now();
    for_all(client, targets, at_once, |client, at| {
        let messages = Stream::named(client, &target(at), JSON)
            .read()?
            .messages()?;
        let numbers = messages.iter().map(|message: &Value| message["n"].as_u64());
        let is_exact = numbers.eq((0..count).map(Some));
        ensure!(is_exact, "{} has {} messages", target(at), messages.len());
        Ok(())
    })?;
    println!(
        "all {targets} targets hold each of the {count} messages once and in order: read in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
