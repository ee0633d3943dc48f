//! What is acknowledged stays, whether the server ends in good order or is killed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::{Server, Vars};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::wait_until;
use serde_json::json;
use ureq::http::Method;

use crate::{BYTES, JSON};

#[test]
fn a_restart_keeps_everything() -> Result<()> {
    let state = Scratch::new("restart-state")?;
    let server = Server::start(&state, &[])?;
    let client = server.client();

    let json = Stream::create(client, "json", JSON)?;
    json.append(r#"[1, {"a": 2.50}]"#)?;
    json.append_in_order("b")?;
    let bytes = Stream::create(client, "bytes", BYTES)?;
    bytes.append([7; 100_000])?;
    bytes.post_as("p", 3, 0).send_bytes(b"x")?.expect(200)?;
    let closed = Stream::create(client, "closed", JSON)?;
    let close = closed.post().header("stream-closed", "true");
    close.send_bytes(b"1")?.expect(204)?;
    let sliding = Stream::named(client, "sliding", JSON);
    sliding
        .put()
        .header("stream-ttl", "3600")
        .send()?
        .expect(201)?;
    let dated = Stream::named(client, "dated", JSON);
    let date = "2099-01-01T02:00:00+02:00";
    dated
        .put()
        .header("stream-expires-at", date)
        .send()?
        .expect(201)?;
    let deleted = Stream::create(client, "deleted", JSON)?;
    deleted.call(Method::DELETE).send()?.expect(204)?;
    let before = json.get(START).send()?.expect(200)?;
    server.stop()?;

    let server = Server::start(&state, &[])?;
    let client = server.client();
    let json = json.on(client);
    let after = json.get(START).send()?.expect(200)?;
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));
    json.append_in_order("a")?.expect(409)?;
    json.append_in_order("c")?.expect(204)?;

    let bytes = bytes.on(client);
    assert_eq!(
        bytes.read()?.pages.concat(),
        [&[7; 100_000], &b"x"[..]].concat()
    );
    bytes.post_as("p", 3, 0).send_bytes(b"x")?.expect(204)?;
    bytes.post_as("p", 2, 1).send_bytes(b"y")?.expect(403)?;
    bytes.post_as("p", 3, 1).send_bytes(b"y")?.expect(200)?;
    assert_eq!(bytes.read()?.pages.concat().len(), 100_002);

    let closed = closed.on(client);
    let refused = closed.post().send_bytes(b"2")?.expect(409)?;
    assert_eq!(refused.header("stream-closed"), Some("true"));
    assert_eq!(closed.read()?.messages()?, [json!(1)]);

    let head = sliding.on(client).head()?.expect(200)?;
    assert_eq!(head.header("stream-ttl"), Some("3600"));
    let head = dated.on(client).head()?.expect(200)?;
    assert_eq!(head.header("stream-expires-at"), Some(date));
    deleted.on(client).head()?.expect(404)?;
    server.stop()
}

#[test]
fn a_stream_expires_while_the_server_is_down() -> Result<()> {
    let state = Scratch::new("expired-state")?;
    let server = Server::start(&state, &[])?;
    let stream = Stream::named(server.client(), "short", JSON);
    stream.put().header("stream-ttl", "1").send()?.expect(201)?;
    server.stop()?;
    thread::sleep(std::time::Duration::from_secs(1));
    let server = Server::start(&state, &[])?;
    stream.on(server.client()).head()?.expect(404)?;
    server.stop()
}

const WRITERS: u64 = 8;
const APPENDS_BEFORE_A_KILL: usize = 400;

/// Appends numbered messages, one after the other, until an answer fails to come.
#[derive(Debug)]
struct Writer {
    id: u64,
    /// An idempotent producer repeats the append it knows no outcome of; a plain writer goes on with
    /// the next, since it cannot know.
    is_idempotent: bool,
    next: u64,
    acknowledged: Vec<u64>,
}

impl Writer {
    fn write(&mut self, stream: &Stream, count: &AtomicUsize) -> Result<()> {
        loop {
            let body = json!({ "writer": self.id, "n": self.next }).to_string();
            let sent = if self.is_idempotent {
                let name = format!("writer-{}", self.id);
                stream.post_as(&name, 0, self.next)
            } else {
                stream.post()
            };
            let n = self.next;
            let Ok(answer) = sent.send_bytes(body.as_bytes()) else {
                self.next += u64::from(!self.is_idempotent);
                return Ok(());
            };
            ensure!(
                matches!(answer.status, 200 | 204),
                "{self:?} got {answer:?}"
            );
            self.acknowledged.push(n);
            self.next += 1;
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether `found`, this writer's numbers in the order of the stream, is what it was promised
    /// before so many kills.
    fn check(&self, found: &[u64], kills: usize) -> Result<()> {
        let id = self.id;
        ensure!(found.is_sorted_by(|a, b| a < b), "order of {id}: {found:?}");
        for n in &self.acknowledged {
            ensure!(found.binary_search(n).is_ok(), "{n} of writer {id} is lost");
        }
        // An append that nobody answered may be there or not: one for each kill, at most.
        let unanswered = found.len() - self.acknowledged.len();
        ensure!(unanswered <= kills, "{unanswered} unknown of {id}");
        if self.is_idempotent {
            let last = found.last().copied().context("nothing was written")?;
            ensure!(
                found.iter().copied().eq(0..=last),
                "a gap of {id}: {found:?}"
            );
        }
        Ok(())
    }
}

#[test]
fn killing_the_runtime_under_writers_loses_and_doubles_nothing() -> Result<()> {
    kill_under_writers("crash-state", &[], 3)
}

/// Data moves to the bucket all the time, in segments that are merged all the time.
#[test]
fn killing_the_runtime_while_data_moves_loses_and_doubles_nothing() -> Result<()> {
    let vars = [
        ("SEGMENT_MAX_MESSAGES", "5"),
        ("SEGMENT_MERGE_BYTES", "20000"),
    ];
    kill_under_writers("crash-moving-state", &vars, 10)
}

fn kill_under_writers(state: &str, vars: Vars, kills: usize) -> Result<()> {
    let state = Scratch::new(state)?;
    let mut server = Server::start(&state, vars)?;
    let mut stream = Stream::create(server.client(), "crash", JSON)?;
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|id| Writer {
            id,
            is_idempotent: id % 2 == 0,
            next: 0,
            acknowledged: Vec::new(),
        })
        .collect();

    for kill in 1..=kills {
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            let running: Vec<_> = writers
                .iter_mut()
                .map(|writer| scope.spawn(|| writer.write(&stream, &count)))
                .collect();
            wait_until("enough is written", || {
                let is_enough = count.load(Ordering::Relaxed) >= APPENDS_BEFORE_A_KILL;
                Ok(is_enough || running.iter().any(|writer| writer.is_finished()))
            })?;
            server.crash()?;
            for writer in running {
                writer.join().ok().context("a writer panicked")??;
            }
            ensure!(
                count.load(Ordering::Relaxed) >= APPENDS_BEFORE_A_KILL,
                "the writers stopped before the kill"
            );
            Ok(())
        })?;

        server = Server::start(&state, vars)?;
        stream = stream.on(server.client());
        let messages = stream.read()?.messages()?;
        for writer in &writers {
            let found: Option<Vec<u64>> = messages
                .iter()
                .filter(|message| message["writer"] == writer.id)
                .map(|message| message["n"].as_u64())
                .collect();
            writer.check(&found.context("a message without a number")?, kill)?;
        }
    }
    server.stop()
}
