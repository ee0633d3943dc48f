//! What subscriptions and the directory add to what Cloudflare bills: requests to objects, counted on
//! their way, and rows and alarms, counted where they are written.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::costs::Usage;
use durable_streams_tests::hooks::Hook;
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{say, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use crate::counted::{Counted, Used};

/// So many streams that no shard of the directory is without one.
const STREAMS_BEFORE: usize = 200;

impl Counted {
    /// What an append uses that comes every second.
    fn each_second(&self, name: &str, times: u32) -> Result<Used> {
        let stream = Stream::named(self.client(), name, JSON);
        stream.append("1")?;
        self.each(times, |_| {
            stream.append("1")?;
            sleep(Duration::from_secs(1));
            Ok(())
        })
    }
}

fn ask(client: &Client, method: Method, path: &str, body: &Value) -> Result<Response> {
    let call = client.call(method, &format!("/v1/stream/__ds/subscriptions/{path}"));
    call.send_bytes(body.to_string().as_bytes())
}

fn subscribe(client: &Client, id: &str, config: &Value) -> Result<()> {
    ask(client, Method::PUT, id, config)?.expect(201)?;
    Ok(())
}

fn by_webhook(client: &Client, hook: &Hook, pattern: &str) -> Result<()> {
    let webhook = json!({ "url": hook.url() });
    let config = json!({ "type": "webhook", "pattern": pattern, "webhook": webhook });
    subscribe(client, "hooked", &config)
}

fn by_pull(client: &Client, pattern: &str) -> Result<()> {
    Stream::create(client, "wakes", JSON)?;
    let config = json!({ "type": "pull-wake", "pattern": pattern, "wake_stream": "wakes" });
    subscribe(client, "pulled", &config)
}

/// Reads the events, claims what is pending, and acks all of it.
fn work(client: &Client) -> Result<()> {
    let events = Stream::named(client, "wakes", JSON).get("now");
    events.send()?.expect(200)?;
    let claim = ask(
        client,
        Method::POST,
        "pulled/claim",
        &json!({ "worker": "w" }),
    )?;
    let claim: Value = serde_json::from_slice(&claim.expect(200)?.body)?;
    let streams = claim["streams"].as_array().context("no streams")?;
    let pending = streams
        .iter()
        .filter(|stream| stream["has_pending"] == true);
    let acks = pending.map(|of| json!({ "stream": of["path"], "offset": of["tail_offset"] }));
    let body = json!({
        "wake_id": claim["wake_id"],
        "generation": claim["generation"],
        "acks": acks.collect::<Vec<_>>(),
        "done": true,
    });
    let token = claim["token"].as_str().context("no token")?;
    let path = "/v1/stream/__ds/subscriptions/pulled/ack";
    let call = client.call(Method::POST, path);
    let call = call.header("authorization", format!("Bearer {token}"));
    let answer = call.send_bytes(body.to_string().as_bytes())?.expect(200)?;
    ensure!(answer.text().contains(r#""next_wake":false"#), "{answer:?}");
    Ok(())
}

#[test]
fn rows_are_counted_as_the_server_counts_them() -> Result<()> {
    let counted = Counted::start("costs-rows", |client| {
        Stream::create(client, "rows/a", JSON)?.append("1")?;
        let dated = Stream::named(client, "rows/b", JSON);
        dated
            .put()
            .header("stream-ttl", "10000")
            .send()?
            .expect(201)?;
        Ok(())
    })?;
    let stream = Stream::named(counted.client(), "rows/a", JSON);
    let before = counted.now()?.stream_rows;
    let mut told = 0;
    for seq in 0..5 {
        told += stream.append("1")?.count("rows_written")?;
        let sent = stream.post_as("p", 0, seq).send_bytes(b"1")?;
        told += sent.expect(200)?.count("rows_written")?;
    }
    let rows = counted.now()?.stream_rows - before;
    assert_eq!(rows, 15, "the server says {told}");
    // A stream whose lifetime is moved on has its alarm set.
    let alarms = counted.server.calls()?.object_alarms;
    Stream::named(counted.client(), "rows/c", JSON)
        .put()
        .header("stream-ttl", "10000")
        .send()?
        .expect(201)?;
    wait_until("the alarm is counted", || {
        Ok(counted.server.calls()?.object_alarms > alarms)
    })?;
    counted.server.stop()
}

#[test]
fn a_stream_without_subscriptions_costs_what_it_did() -> Result<()> {
    let counted = Counted::start("costs-unlinked", |client| {
        for at in 0..STREAMS_BEFORE {
            Stream::create(client, &format!("before/{at}"), JSON)?;
        }
        by_pull(client, "elsewhere/*")
    })?;
    let client = counted.client();
    let stream = Stream::named(client, "before/7", JSON);
    // The first request finds the object on disk.
    stream.append("1")?;
    let used = counted.each(50, |_| {
        let answer = stream.append("1")?;
        // The counter's row is one of the two.
        ensure!(answer.count("rows_written")? <= 2, "{answer:?}");
        Ok(())
    })?;
    say(&format!("an append to an unlinked stream: {used}"));
    assert_eq!([used.stream_requests, used.requests()], [1.0, 1.0]);
    assert_eq!([used.stream_rows, used.rows()], [1.0, 1.0]);

    // A new object has no counters; what it writes in answering, it says.
    let used = counted.each(50, |at| {
        let stream = Stream::named(client, &format!("after/{at}"), JSON);
        let created = stream.put().send()?.expect(201)?;
        ensure!(created.count("rows_written")? <= 2, "{created:?}");
        Ok(())
    })?;
    say(&format!("a creation, without its own rows: {used}"));
    assert_eq!([used.stream_requests, used.directory_requests], [1.0, 1.0]);
    assert_eq!([used.directory_rows, used.subscription_rows], [1.0, 0.0]);
    for at in 0..50 {
        let answer = Stream::named(client, &format!("after/{at}"), JSON).append("1")?;
        assert_eq!(answer.count("rows_written")?, 1, "after/{at}");
        let later = answer.count("maintenance_rows_written")?;
        assert_eq!(later, 0, "rows that after/{at} wrote once it was answered");
    }
    // An alarm is set in the turn of the creation, and goes when the directory has answered.
    assert_eq!(used.stream_rows, 1.0, "alarms");
    let more = Used {
        stream_requests: 0.0,
        ..used
    };
    let dollars = more.dollars(0.0);
    say(&format!("a million creations: {dollars:.2} dollars more"));
    counted.server.stop()
}

/// Creations cost the same with the directory switched off, but for what the directory does.
#[test]
fn a_creation_writes_no_row_more_of_its_own() -> Result<()> {
    let mut written = Vec::new();
    for directory in ["on", "off"] {
        let state = Scratch::new(&format!("costs-directory-{directory}"))?;
        let vars = [("DEBUG_TIMING", "1"), ("DIRECTORY", directory)];
        let server = Server::start(&state, &vars)?;
        let stream = Stream::named(server.client(), "created", JSON);
        let created = stream.put().send()?.expect(201)?;
        written.push(created.count("rows_written")?);
        server.stop()?;
    }
    assert_eq!(written[0], written[1], "with and without a directory");
    let alone = Usage {
        worker_requests: 1.0,
        object_requests: 1.0,
        rows_written: written[1] as f64,
        ..Usage::default()
    };
    say(&format!(
        "a million creations without a directory: {:.2} dollars",
        alone.times(1e6).dollars()
    ));
    Ok(())
}

#[test]
fn idle_subscriptions_cost_nothing() -> Result<()> {
    let hook = Hook::start()?;
    let counted = Counted::start("costs-idle", |client| {
        for at in 0..20 {
            Stream::create(client, &format!("idle/{at}"), JSON)?.append("1")?;
        }
        by_webhook(client, &hook, "idle/*")?;
        by_pull(client, "idle/*")?;
        // Each has worked before.
        Stream::named(client, "idle/3", JSON).append("1")?;
        work(client)?;
        wait_until("the webhook is called", || Ok(hook.count() > 0))
    })?;
    // A subscription that was put out of memory comes back once to see what it is about.
    let client = counted.client();
    ask(client, Method::PUT, "pulled", &json!({}))?.expect(400)?;
    let before = counted.at_rest()?;
    sleep(Duration::from_secs(30));
    assert_eq!(counted.now()?, before);
    counted.server.stop()
}

/// The most rows and requests that a wake by webhook may use beside the append that caused it: it is
/// told, noted, sent and done. The half is for alarms that many wakes share.
const MOST_BY_WEBHOOK: (f64, f64) = (4.5, 1.5);
/// The same of one by pull, beside the append and what a worker asks for: there is an event, too, and
/// a claim.
const MOST_BY_PULL: (f64, f64) = (7.5, 2.5);

#[test]
fn a_wake_costs_a_few_rows_and_requests() -> Result<()> {
    let hook = Hook::start()?;
    let counted = Counted::start("costs-wakes", |client| {
        for name in ["hooked/a", "pulled/a"] {
            Stream::create(client, name, JSON)?;
        }
        by_webhook(client, &hook, "hooked/*")?;
        by_pull(client, "pulled/*")?;
        Stream::named(client, "hooked/a", JSON).append("1")?;
        wait_until("the webhook is called", || Ok(hook.count() > 0))?;
        Stream::named(client, "pulled/a", JSON).append("1")?;
        work(client)
    })?;
    let client = counted.client();
    let (hooked, pulled) = ("hooked/a", "pulled/a");
    for name in [hooked, pulled] {
        Stream::named(client, name, JSON).append("1")?;
    }
    work(client)?;

    let webhook = counted.each(20, |_| {
        let before = hook.count();
        Stream::named(client, hooked, JSON).append("1")?;
        wait_until("the webhook is called", || Ok(hook.count() > before))?;
        // So that the next append is another wake.
        sleep(Duration::from_millis(300));
        Ok(())
    })?;
    say(&format!("a wake by webhook: {webhook}"));
    let pull = counted.each(20, |_| {
        Stream::named(client, pulled, JSON).append("1")?;
        // As a worker that hears of the event does.
        sleep(Duration::from_millis(300));
        work(client)
    })?;
    say(&format!("a wake by pull: {pull}"));
    let (by_webhook, by_pull) = (webhook.dollars(1.0), pull.dollars(4.0));
    say(&format!(
        "a million wakes, each with its append: by webhook {by_webhook:.2} dollars; by pull, with a \
         read of the event, a claim and an ack, {by_pull:.2} dollars"
    ));
    for (what, used, of_clients, (most_rows, most_requests)) in [
        ("webhook", webhook, 1.0, MOST_BY_WEBHOOK),
        ("pull", pull, 4.0, MOST_BY_PULL),
    ] {
        let (rows, requests) = (used.rows() - 1.0, used.requests() - of_clients);
        assert!(rows <= most_rows, "{rows} rows a wake by {what}: {used}");
        let is_cheap = requests <= most_requests;
        assert!(is_cheap, "{requests} requests a wake by {what}: {used}");
    }
    counted.server.stop()
}

#[test]
fn appends_to_a_linked_stream_are_told_together() -> Result<()> {
    const APPENDS: u32 = 300;
    let counted = Counted::start("costs-linked", |client| {
        Stream::create(client, "linked/a", JSON)?;
        by_pull(client, "linked/*")?;
        Stream::named(client, "linked/a", JSON).append("1")?;
        Ok(())
    })?;
    let each_second = counted.each_second("linked/a", 30)?;
    say(&format!(
        "an append a second to a linked stream, while a wake waits: {each_second}; a million: {:.2} \
         dollars",
        each_second.dollars(1.0)
    ));
    // Where the tail is, the subscription is told and notes.
    assert!(each_second.requests() <= 2.1, "{each_second}");
    assert!(each_second.rows() <= 2.2, "{each_second}");
    // A wake is in flight all the time: nobody claims it.
    let stream = Stream::named(counted.client(), "linked/a", JSON);
    stream.append("1")?;
    let before = counted.at_rest()?;
    let start = Instant::now();
    for _ in 0..APPENDS {
        stream.append("1")?;
    }
    let lasted = start.elapsed();
    let after = counted.at_rest()?;
    let told = after.calls.subscription_requests - before.calls.subscription_requests;
    let rows = after.stream_rows - before.stream_rows;
    say(&format!(
        "{APPENDS} appends to a linked stream in {lasted:?}: {told} requests to the subscription, \
         {rows} rows of the stream, and {} of the subscription",
        after.subscription_rows - before.subscription_rows
    ));
    // At most one each 100 ms, and one at either end.
    let most = u32::try_from(lasted.as_millis() / 100)? + 2;
    assert!((1..=most).contains(&told), "{told} requests in {lasted:?}");
    // An alarm stands while there is something to be told, and is set once a minute at most.
    let more = rows - APPENDS;
    assert!(more <= 3, "{more} rows more than appends");
    counted.server.stop()
}
