//! What a server tells of a subscription, for a person.

use jiff::Timestamp;
use serde_json::Value;

use crate::ui::how_many;

/// A subscription in one line.
pub fn line(subscription: &Value) -> String {
    let mut parts = vec![delivery(subscription), state(subscription)];
    parts.extend(pending(subscription));
    if let Some(why) = trouble(subscription) {
        parts.push(why);
    }
    format!("{}: {}", value(&subscription["id"]), parts.join("; "))
}

/// All that is known of a subscription.
pub fn full(subscription: &Value) -> String {
    let said = |key: &str, name: &str| {
        let found = &subscription[key];
        (!found.is_null()).then(|| format!("{name} {}", time(found)))
    };
    let mut lines = vec![format!(
        "{}: {}",
        value(&subscription["id"]),
        delivery(subscription)
    )];
    let mut add = |parts: Vec<String>| {
        if !parts.is_empty() {
            lines.push(format!("  {}", parts.join(", ")));
        }
    };
    add(said("description", "for").into_iter().collect());
    let made = said("created_at", "made").into_iter();
    add(made.chain(terms(subscription)).collect());
    let wake = [
        ("generation", "generation"),
        ("wake_id", "wake"),
        ("holder", "held by"),
    ];
    let wake = wake.iter().filter(|_| !is_copy(subscription));
    let wake = wake.filter_map(|(key, name)| said(key, name));
    let until = said("lease_expires_at", "leased until");
    add([state(subscription)]
        .into_iter()
        .chain(wake)
        .chain(until)
        .collect());
    add(pending(subscription).into_iter().collect());
    let next = said("next_attempt_at", "the next attempt at");
    add(next.into_iter().chain(trouble(subscription)).collect());
    add(backfill(subscription).into_iter().collect());
    lines.extend(streams(subscription));
    lines.join("\n")
}

/// A value as a person writes it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The same; a number so large is a time in milliseconds.
pub fn time(found: &Value) -> String {
    let millis = found.as_i64().filter(|millis| *millis > 1_000_000_000_000);
    match millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()) {
        Some(time) => format!("{time:.3}"),
        None => value(found),
    }
}

fn delivery(subscription: &Value) -> String {
    let how = match subscription["type"].as_str() {
        Some("webhook") => format!("webhook to {}", value(&subscription["webhook"]["url"])),
        Some("pull-wake") => format!("pull-wake by {}", value(&subscription["wake_stream"])),
        Some("copy") => format!("copy into {}", value(&subscription["target_stream"])),
        _ => value(&subscription["type"]),
    };
    let linked = how_many(number(subscription), "stream");
    match subscription["pattern"].as_str() {
        Some(pattern) => format!("{how}, of {pattern} ({linked})"),
        None => format!("{how}, of {linked}"),
    }
}

fn is_copy(subscription: &Value) -> bool {
    subscription["type"] == "copy"
}

/// What was agreed on besides streams.
fn terms(subscription: &Value) -> Vec<String> {
    if !is_copy(subscription) {
        let lease = value(&subscription["lease_ttl_ms"]);
        return vec![format!("a lease of {lease} ms")];
    }
    let from = match subscription["from"].as_str() {
        Some("start") => "copied from the start",
        _ => "copied from when they were linked",
    };
    let envelope = subscription["envelope"] == true;
    let envelope = envelope.then(|| "each message with its stream and offset".to_owned());
    [from.to_owned()].into_iter().chain(envelope).collect()
}

/// How many streams it has.
fn number(subscription: &Value) -> u64 {
    let listed = subscription["streams"].as_array().map_or(0, Vec::len);
    let total = subscription["streams_total"].as_u64();
    total.unwrap_or(listed as u64)
}

fn state(subscription: &Value) -> String {
    let status = subscription["status"].as_str();
    let words = [
        status.map(str::to_owned),
        (subscription["parked"] == true).then(|| "parked".to_owned()),
        subscription["phase"]
            .as_str()
            .filter(|_| !is_copy(subscription))
            .map(str::to_owned),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    words.join(", ")
}

fn pending(subscription: &Value) -> Option<String> {
    // Of what is copied, the streams alone know how much is left.
    if is_copy(subscription) {
        return None;
    }
    let streams = match subscription["pending"].as_u64()? {
        0 => return Some("nothing pending".to_owned()),
        1 => "1 stream has more".to_owned(),
        number => format!("{number} streams have more"),
    };
    Some(match subscription["lag"].as_u64() {
        Some(lag) => format!("{streams}, {} in all", how_many(lag, "position")),
        None => streams,
    })
}

/// What went wrong last, unless all is well again.
fn trouble(subscription: &Value) -> Option<String> {
    let why = subscription["last_error"].as_str()?;
    let after = match subscription["attempts"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => " after 1 attempt".to_owned(),
        Some(number) => format!(" after {number} attempts"),
    };
    Some(format!("last error{after}: {why}"))
}

fn backfill(subscription: &Value) -> Option<String> {
    let backfill = &subscription["backfill"];
    let linked = backfill["linked"].as_u64().unwrap_or_default();
    match backfill["state"].as_str()? {
        "complete" => None,
        "running" => Some(format!("still looking for its streams: {linked} so far")),
        state => Some(format!("looking for its streams: {state}, {linked} so far")),
    }
}

fn streams(subscription: &Value) -> Vec<String> {
    let listed = subscription["streams"].as_array();
    let listed = listed.map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<String> = listed
        .iter()
        .map(|link| {
            let mut line = format!(
                "    {} {}",
                value(&link["acked_offset"]),
                value(&link["path"])
            );
            if link["link_type"] == "explicit" {
                line.push_str(" (by name)");
            }
            if let Some(why) = link["refused"].as_str() {
                line.push_str(&format!(" is not copied: {why}"));
            }
            line
        })
        .collect();
    let more = number(subscription).saturating_sub(listed.len() as u64);
    if more > 0 {
        lines.push(format!("    and {more} more"));
    }
    if !lines.is_empty() {
        let done = match is_copy(subscription) {
            true => "copied",
            false => "processed",
        };
        lines.insert(
            0,
            format!("  streams, each behind the offset it was {done} to:"),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_that_fails_says_so_in_one_line() {
        let subscription = json!({
            "id": "orders", "type": "webhook", "webhook": { "url": "https://x.example/hook" },
            "pattern": "events/**", "streams": [{}], "streams_total": 1200,
            "status": "failed", "parked": true, "phase": "waking", "pending": 3, "lag": 12,
            "attempts": 41, "last_error": "status 500",
        });
        assert_eq!(
            line(&subscription),
            "orders: webhook to https://x.example/hook, of events/** (1200 streams); failed, parked, \
             waking; 3 streams have more, 12 positions in all; last error after 41 attempts: status 500"
        );
    }

    #[test]
    fn one_is_said_as_one() {
        let subscription = json!({ "pending": 1, "lag": 1 });
        assert_eq!(
            pending(&subscription).as_deref(),
            Some("1 stream has more, 1 position in all")
        );
        assert_eq!(
            time(&json!(1_764_000_000_000_i64)),
            "2025-11-24T16:00:00.000Z"
        );
    }

    #[test]
    fn what_an_answer_lacks_is_left_out() {
        let subscription = json!({ "id": "a", "type": "pull-wake", "wake_stream": "wake",
            "streams": [{ "path": "s", "link_type": "explicit", "acked_offset": "-1" }],
            "status": "active" });
        assert_eq!(
            line(&subscription),
            "a: pull-wake by wake, of 1 stream; active"
        );
        assert_eq!(
            full(&subscription),
            "a: pull-wake by wake, of 1 stream\n  a lease of unknown ms\n  active\n  streams, each \
             behind the offset it was processed to:\n    -1 s (by name)"
        );
    }

    #[test]
    fn of_copies_it_is_said_where_they_go_and_what_is_passed_over() {
        let subscription = json!({
            "id": "a", "type": "copy", "target_stream": "inbox/7", "pattern": "chat/**",
            "from": "start", "envelope": true, "created_at": "2026-11-26T00:00:00.000Z",
            "lease_ttl_ms": null, "status": "failed", "parked": true, "phase": "idle", "pending": 0,
            "generation": 0, "last_error": "the target stream is closed", "attempts": 0, "streams_total": 2,
            "streams": [
                { "path": "chat/1", "link_type": "explicit", "acked_offset": "0_1" },
                { "path": "chat/2", "link_type": "glob", "acked_offset": "-1",
                  "refused": "its type is text/plain, the target's application/json" },
            ],
        });
        assert_eq!(
            line(&subscription),
            "a: copy into inbox/7, of chat/** (2 streams); failed, parked; last error: the target stream \
             is closed"
        );
        assert_eq!(
            full(&subscription),
            "a: copy into inbox/7, of chat/** (2 streams)
  made 2026-11-26T00:00:00.000Z, copied from the start, each message with its stream and offset
  failed, parked
  last error: the target stream is closed
  streams, each behind the offset it was copied to:
    0_1 chat/1 (by name)
    -1 chat/2 is not copied: its type is text/plain, the target's application/json"
        );
        let plain = json!({ "id": "a", "type": "copy", "target_stream": "t", "from": "now" });
        assert!(
            full(&plain).contains("\n  copied from when they were linked"),
            "{}",
            full(&plain)
        );
    }

    #[test]
    fn all_that_is_known_is_shown() {
        let subscription = json!({
            "id": "a", "type": "pull-wake", "wake_stream": "wake", "pattern": "*",
            "description": "mails", "lease_ttl_ms": 30000, "created_at": "2026-11-26T00:00:00.000Z",
            "status": "active", "phase": "held", "generation": 4, "wake_id": "w", "holder": "one",
            "lease_expires_at": 1_764_000_000_000_i64, "pending": 0, "next_attempt_at": null,
            "backfill": { "state": "running", "linked": 400 },
            "streams": [{ "path": "s", "link_type": "glob", "acked_offset": "0_1" }],
            "streams_total": 3,
        });
        assert_eq!(
            full(&subscription),
            "a: pull-wake by wake, of * (3 streams)
  for mails
  made 2026-11-26T00:00:00.000Z, a lease of 30000 ms
  active, held, generation 4, wake w, held by one, leased until 2025-11-24T16:00:00.000Z
  nothing pending
  still looking for its streams: 400 so far
  streams, each behind the offset it was processed to:
    0_1 s
    and 2 more"
        );
    }
}
