//! Writers that number their messages and repeat each until it is acknowledged.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use durable_streams_tests::stream::Stream;
use serde_json::json;

use super::Run;
use super::chance::Chance;
use super::killed::until_answered;
use crate::JSON;

/// After so many messages a writer goes on in a new stream.
const LENGTH: u64 = 60;

/// Writes until the run is over.
pub fn write(run: &Run, writer: u64) -> Result<()> {
    let mut chance = Chance::new(run.seed, writer);
    for round in 0.. {
        let path = run.stream(writer, round);
        let stream = Stream::named(&run.client, &path, JSON);
        let made = until_answered(|| stream.put().send())?;
        ensure!(matches!(made.status, 200 | 201), "{made:?}");
        for n in 0..LENGTH {
            if run.is_over() {
                return Ok(());
            }
            let message = json!({ "n": n }).to_string();
            let sent = || {
                stream
                    .post_as("writer", 0, n)
                    .send_bytes(message.as_bytes())
            };
            let answer = until_answered(sent)?;
            ensure!(matches!(answer.status, 200 | 204), "{answer:?}");
            run.ledger.wrote(&path, usize::try_from(n)?);
            thread::sleep(Duration::from_millis(30 + chance.below(120)));
        }
    }
    Ok(())
}
