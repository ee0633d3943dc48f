//! What a provider says is piped into a stream by the worker's own code; and wills, also of streams
//! that others write to.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::provider::Provider;
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::{say, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use crate::counted::Counted;
use crate::own_code::{entries, shared, with_token};

fn pipe(client: &Client, what: &str) -> Result<Value> {
    let call = client.call(Method::POST, &format!("/pipe/{what}"));
    let answer = call.send_bytes(b"")?.expect(200)?;
    Ok(serde_json::from_slice(&answer.body)?)
}

fn stream(client: &Client, path: &str) -> Stream {
    Stream::named(&with_token(client, "p"), path, JSON)
}

fn tokens(count: u64) -> Vec<Value> {
    (0..count).map(|n| json!({ "token": n })).collect()
}

fn cut_off(count: u64) -> Vec<Value> {
    let mut all = tokens(count);
    all.push(json!({ "error": "cut off" }));
    all
}

fn is_closed(stream: &Stream) -> Result<bool> {
    let head = stream.head()?.expect(200)?;
    Ok(head.header("stream-closed").is_some())
}

#[test]
fn an_answer_of_2000_tokens_costs_a_row_a_flush() -> Result<()> {
    let setup = Setup {
        entries: entries(),
        ..Setup::default()
    };
    let worker = Worker::with(Auth::OwnCode)?;
    let counted = Counted::start_with("pipe-costs", &worker, setup, |client| {
        pipe(client, "make?path=p/answer").map(drop)
    })?;
    let client = counted.client();
    // What belongs to the creation is done.
    stream(client, "p/answer").head()?.expect(200)?;
    let before = counted.at_rest()?;
    let provider = Provider::start()?;
    let from = provider.at("tokens?count=2000&every=10");
    let start = Instant::now();
    let piped = pipe(client, &format!("wait?path=p/answer&from={from}"))?;
    let took = start.elapsed();
    let after = counted.at_rest()?;
    let rows = after.stream_rows - before.stream_rows;
    let appends = piped["appends"].as_u64().context("no appends")?;
    say(&format!(
        "2000 tokens in {:.1} s: {appends} appends, {rows} rows",
        took.as_secs_f64()
    ));
    assert_eq!(stream(client, "p/answer").read()?.messages()?, tokens(2000));
    assert_eq!(
        (&piped["end"], &piped["pieces"]),
        (&json!("Done"), &json!(2000))
    );
    // One each 100 ms at most, and the close.
    ensure!(appends <= 10 * took.as_secs() + 10, "{appends} appends");
    assert!(u64::from(rows) <= appends + 1, "{rows} rows");
    Ok(())
}

#[test]
fn whoever_leaves_changes_nothing_and_what_has_come_is_there() -> Result<()> {
    let client = shared()?;
    let from = Provider::start()?.at("tokens?count=200&every=20");
    let started = Instant::now();
    pipe(&client, &format!("start?path=p/left&from={from}"))?;
    ensure!(started.elapsed() < Duration::from_secs(2), "it has waited");
    let stream = stream(&client, "p/left");
    sleep(Duration::from_millis(1500));
    let some = stream.read()?.messages()?;
    ensure!(
        !some.is_empty() && some.len() < 200,
        "{} are there",
        some.len()
    );
    ensure!(!is_closed(&stream)?, "it is closed");
    wait_until("all of it is there", || is_closed(&stream))?;
    assert_eq!(stream.read()?.messages()?, tokens(200));
    Ok(())
}

#[test]
fn a_provider_that_does_not_come_to_its_end_leaves_the_will() -> Result<()> {
    let client = shared()?;
    let provider = Provider::start()?;
    let ends = [
        ("breaks?count=5&every=5", 5, "BrokeOff"),
        ("hangs?count=5&every=5", 5, "Silent"),
        ("fails", 0, "BrokeOff"),
    ];
    for (n, (what, count, end)) in ends.into_iter().enumerate() {
        let from = provider.at(what);
        let route = format!("wait?path=p/end-{n}&patience=1500&from={from}");
        let piped = pipe(&client, &route)?;
        say(&format!("{what}: {piped}"));
        let said = piped["end"].as_str().context("no end")?;
        ensure!(said.starts_with(end), "{what}: {said}");
        assert_eq!(piped["closed"], true);
        let stream = stream(&client, &format!("p/end-{n}"));
        assert_eq!(stream.read()?.messages()?, cut_off(count), "{what}");
        ensure!(is_closed(&stream)?, "{what}: it is open");
    }
    Ok(())
}

#[test]
fn a_machine_that_dies_leaves_the_will() -> Result<()> {
    let state = Scratch::new("pipe-crash")?;
    let setup = Setup {
        entries: entries(),
        ..Setup::default()
    };
    let worker = Worker::with(Auth::OwnCode)?;
    let server = Server::set_up(&worker, &state, &setup)?;
    let from = Provider::start()?.at("tokens?count=2000&every=20");
    let route = format!("start?path=p/crash&will=4&from={from}");
    pipe(server.client(), &route)?;
    sleep(Duration::from_secs(2));
    let before = stream(server.client(), "p/crash").read()?.messages()?;
    ensure!(before.len() > 20, "{} are there", before.len());
    server.crash()?;

    let server = Server::set_up(&worker, &state, &setup)?;
    let stream = stream(server.client(), "p/crash");
    wait_until("the will was carried out", || is_closed(&stream))?;
    let mut after = stream.read()?.messages()?;
    assert_eq!(after.pop(), Some(json!({ "error": "cut off" })));
    ensure!(after.len() >= before.len(), "something was lost");
    assert_eq!(after, tokens(after.len() as u64));
    server.stop()
}

#[test]
fn anybody_s_stream_may_have_a_will() -> Result<()> {
    let client = crate::shared()?;
    let stream = Stream::named(&client, "with-a-will", JSON);
    let put = || {
        let put = stream.put().header("stream-will-after", "2");
        put.header("stream-will", r#"{"last": true}"#)
    };
    let made = put().send()?.expect(201)?;
    assert_eq!(made.header("stream-will-after"), Some("2"));
    put().send()?.expect(200)?;
    stream.put().send()?.expect(409)?;
    let head = stream.head()?.expect(200)?;
    assert_eq!(head.header("stream-will-after"), Some("2"));
    let wrong = stream
        .put()
        .header("stream-will", "x")
        .send()?
        .expect(400)?;
    ensure!(wrong.text().contains("Stream-Will"), "{}", wrong.text());

    stream.append("1")?;
    let tail = stream.head()?.expect(200)?;
    let tail = tail
        .header("stream-next-offset")
        .context("no tail")?
        .to_owned();
    let start = Instant::now();
    let path = format!("{}?offset={tail}&live=long-poll", stream.path());
    let news = client.call(Method::GET, &path).send()?.expect(200)?;
    ensure!(start.elapsed() > Duration::from_millis(1500), "too soon");
    assert_eq!(news.text(), r#"[{"last":true}]"#);
    assert_eq!(news.header("stream-closed"), Some("true"));
    stream.post().send_bytes(b"2")?.expect(409)?;
    let all = stream.get(START).send()?.expect(200)?;
    assert_eq!(all.header("stream-closed"), Some("true"));
    Ok(())
}
