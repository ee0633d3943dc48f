//! Workers that follow a stream of events and race to claim what they are about; a third of their
//! claims come to nothing.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::http::Method;

use super::chance::Chance;
use super::wake;
use super::{Run, Subscription};

/// Works until the run has ended.
pub fn work(run: &Run, of: &Subscription, wakes: &str, worker: u64) {
    let mut chance = Chance::new(run.seed, 2000 + 10 * of.number as u64 + worker);
    let mut offset = "-1".to_owned();
    while !run.has_ended() {
        let worked = follow(run, wakes, &mut offset).and_then(|count| {
            if count == 0 {
                return Ok(());
            }
            claim(run, of, worker, chance.below(9))
        });
        if let Err(error) = worked {
            run.note(&error);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits for events, and gives how many came.
fn follow(run: &Run, wakes: &str, offset: &mut String) -> Result<usize> {
    let target = format!("/v1/stream/{wakes}?offset={offset}&live=long-poll");
    let answer = run.client.call(Method::GET, &target).send()?;
    ensure!(matches!(answer.status, 200 | 204), "{answer:?}");
    let next = answer.header("stream-next-offset").context("no offset")?;
    next.clone_into(offset);
    if answer.status == 204 {
        return Ok(0);
    }
    Ok(serde_json::from_slice::<Vec<Value>>(&answer.body)?.len())
}

/// Claims once: an event whose claim nobody answers comes again.
fn claim(run: &Run, of: &Subscription, worker: u64, luck: u64) -> Result<()> {
    let body = json!({ "worker": format!("worker-{worker}") }).to_string();
    let call = run.control(Method::POST, &format!("{}/claim", of.id));
    let answer = call.send_bytes(body.as_bytes())?;
    if answer.status == 409 {
        return Ok(());
    }
    ensure!(answer.status == 200, "a claim: {answer:?}");
    let wake = wake::parse(&answer.body)?;
    run.ledger.woke(of.number, wake.generation, true);
    let whose = (of.number, of.id.as_str());
    match if run.is_failing() { luck } else { luck.max(3) } {
        // It is not heard of again.
        0 => Ok(()),
        1 => wake.tell(run, whose, "release", &[], false).map(drop),
        2 => {
            let refused = wake.ask(run, &format!("{}/ack", of.id), &"{ what?")?;
            ensure!(refused.status == 400, "no JSON: {refused:?}");
            Ok(())
        }
        luck => {
            let acks = wake.process(run, of.number)?;
            if luck % 2 == 0 {
                wake.tell(run, whose, "ack", &acks, false)?;
            }
            wake.tell(run, whose, "ack", &acks, true).map(drop)
        }
    }
}
