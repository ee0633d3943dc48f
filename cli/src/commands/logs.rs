//! `logs`: what the deployed worker does, as it does it.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    args::Logs,
    cloudflare::{self, Account, Error, Tail},
    deployment::Deployment,
    interrupt, mask,
    project::Here,
    ui::Ui,
};

/// A log that was closed sooner than this is not opened again at once.
const STABLE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Shows events until Ctrl-C. With `--json`, each is a document on a line of its own. Requests bring
/// tokens along, in their URLs too: none is shown.
pub fn run(ui: &Ui, here: &Here, args: &Logs) -> Result<()> {
    interrupt::note_interrupts();
    let deployment = Deployment::open(ui, here)?;
    let name = &deployment.project.name;
    let account = &deployment.account;
    let tail = account.open_tail(name, &args.filters())?;
    ui.note(format!("Watching {name}; Ctrl-C stops it"));
    match watch(ui, account, name, tail, args) {
        Err(Error::Interrupted) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Shows events until we are asked to end. A log comes to its end after some hours, and is opened again.
fn watch(
    ui: &Ui,
    account: &Account,
    name: &str,
    mut tail: Tail,
    args: &Logs,
) -> cloudflare::Result<()> {
    loop {
        let opened = Instant::now();
        let outcome = show(ui, account, &mut tail, args);
        account.close_tail(name, tail)?;
        outcome?;
        if opened.elapsed() < STABLE {
            account.pause(PAUSE)?;
        }
        tail = account.open_tail(name, &args.filters())?;
    }
}

/// Shows events until the log is closed.
fn show(ui: &Ui, account: &Account, tail: &mut Tail, args: &Logs) -> cloudflare::Result<()> {
    while let Some(mut event) = account.next_event(tail)? {
        if args.takes(&event) {
            mask::document(&mut event);
            ui.event(text(&event), &event);
        }
    }
    Ok(())
}

/// An event as lines: what came in and what became of it, then what was logged.
fn text(event: &Value) -> String {
    let mut lines = vec![format!(
        "{} {}: {}",
        time(&event["eventTimestamp"]),
        trigger(&event["event"]),
        outcome(event)
    )];
    for log in event["logs"].as_array().into_iter().flatten() {
        let words: Vec<String> = match &log["message"] {
            Value::Array(words) => words.iter().map(word).collect(),
            other => vec![word(other)],
        };
        let level = log["level"].as_str().unwrap_or("log");
        lines.push(format!("  {level}: {}", words.join(" ")));
    }
    for exception in event["exceptions"].as_array().into_iter().flatten() {
        let part = |key: &str| exception[key].as_str().unwrap_or_default();
        lines.push(format!("  {}: {}", part("name"), part("message")));
    }
    lines.join("\n")
}

fn time(value: &Value) -> String {
    let time = value
        .as_i64()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"))
}

fn trigger(event: &Value) -> String {
    let request = &event["request"];
    match (request["method"].as_str(), request["url"].as_str()) {
        (Some(method), Some(url)) => format!("{method} {url}"),
        _ if !event["scheduledTime"].is_null() => "alarm".to_owned(),
        _ => "event".to_owned(),
    }
}

fn outcome(event: &Value) -> String {
    let outcome = event["outcome"].as_str().unwrap_or("unknown");
    match event["event"]["response"]["status"].as_u64() {
        Some(status) => format!("{status} ({outcome})"),
        None => outcome.to_owned(),
    }
}

/// A text as it is, and anything else as JSON.
fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_becomes_lines() {
        let event = json!({
            "outcome": "exception",
            "eventTimestamp": 1_764_000_000_123_i64,
            "event": {
                "request": { "method": "GET", "url": "https://x.example/v1/stream/a" },
                "response": { "status": 500 },
            },
            "logs": [{ "level": "error", "message": ["a", { "b": 1 }] }],
            "exceptions": [{ "name": "Error", "message": "no" }],
        });
        assert_eq!(
            text(&event),
            "2025-11-24T16:00:00.123Z GET https://x.example/v1/stream/a: 500 (exception)\n  \
             error: a {\"b\":1}\n  Error: no"
        );
        assert_eq!(
            text(&json!({ "event": { "scheduledTime": "x" } })),
            "- alarm: unknown"
        );
    }
}
