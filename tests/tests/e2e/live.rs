//! Live reads: everything comes once and in order, whoever waits and however the stream goes on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::readers::{Mode, Reader, Readers};
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;
use ureq::http::Method;

use crate::{BYTES, JSON, shared};

fn numbered(n: u64) -> String {
    format!(r#"{{"n":{n}}}"#)
}

fn close(stream: &Stream) -> Result<()> {
    let close = stream.call(Method::POST).header("stream-closed", "true");
    close.send()?.expect(204)?;
    Ok(())
}

/// Connects this many readers of each mode at the tail and waits until all of them wait.
fn connect(readers: &mut Readers, stream: &Stream, of_each: usize) -> Result<()> {
    let tail = stream.head()?.expect(200)?;
    let tail = tail.header("stream-next-offset").unwrap_or_default();
    for _ in 0..of_each {
        readers.add(stream.path(), tail, Mode::Sse)?;
    }
    readers.read_until("all readers of events were greeted", |all| {
        all.iter().all(|reader| reader.caught_up)
    })?;
    for _ in 0..of_each {
        readers.add(stream.path(), tail, Mode::LongPoll)?;
    }
    // A long-poll that waits says nothing; the server is given the time to take them in.
    let settled = Instant::now() + Duration::from_secs(2);
    while Instant::now() < settled {
        readers.read_for(Duration::from_millis(50))?;
    }
    Ok(())
}

fn all_have(expected: &[u64]) -> impl FnMut(&[Reader]) -> bool {
    move |all| {
        all.iter()
            .all(|reader| reader.numbers.len() >= expected.len())
    }
}

fn check_seen(readers: &Readers, expected: &[u64]) {
    for (at, reader) in readers.all.iter().enumerate() {
        assert_eq!(reader.seen(), expected, "reader {at}: {reader:?}");
    }
}

#[test]
fn idle_readers_outlive_the_object_and_hear_of_an_append_once() -> Result<()> {
    let state = Scratch::new("hibernation-state")?;
    let vars = [("DEBUG_TIMING", "1"), ("LONG_POLL_TIMEOUT_MS", "120000")];
    let server = Server::start(&state, &vars)?;
    let stream = Stream::create(server.client(), "idle", JSON)?;
    let warm = stream.append(numbered(0))?;
    let warm = warm.count("rows_read")?;
    let mut readers = Readers::of(server.client())?;
    connect(&mut readers, &stream, 500)?;

    // The runtime evicts an object that has been idle for ten seconds. When it has, the next
    // append finds one that knows nothing and reads everything anew.
    thread::sleep(Duration::from_secs(14));
    let cold = stream.append(numbered(1))?;
    let cold = cold.count("rows_read")?;
    ensure!(
        cold > warm,
        "the object was not evicted: {cold} rows read, and {warm} when it was in memory"
    );
    readers.read_until("all have read", all_have(&[1]))?;
    stream.append(numbered(2))?;
    readers.read_until("all have read again", all_have(&[1, 2]))?;
    check_seen(&readers, &[1, 2]);
    server.stop()
}

#[test]
fn who_joins_while_others_write_misses_nothing() -> Result<()> {
    const WRITERS: u64 = 8;
    const EACH: u64 = 1250;
    let state = Scratch::new("torture-state")?;
    // Readers of events are sent away again and again, and resume.
    let server = Server::start(&state, &[("SSE_TIMEOUT_MS", "2000")])?;
    let stream = Stream::create(server.client(), "torture", JSON)?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let stream = stream.on(&Client::new(server.client().base()));
            thread::spawn(move || -> Result<()> {
                for n in 0..EACH {
                    stream.append(numbered(writer * EACH + n))?;
                }
                Ok(())
            })
        })
        .collect();
    let mut readers = Readers::of(server.client())?;
    for joined in 0..100_u64 {
        let offset = ["-1", "0000000000000000_0000000000000000"][joined as usize % 2];
        let mode = [Mode::Sse, Mode::LongPoll][(joined / 2) as usize % 2];
        readers.add(stream.path(), offset, mode)?;
        readers.read_for(Duration::from_millis(joined * 7 % 40))?;
        readers.resume_ended()?;
    }
    for writer in writers {
        writer.join().map_err(|_| anyhow!("a writer panicked"))??;
    }
    let all = usize::try_from(WRITERS * EACH)?;
    wait_until("all have everything", || {
        readers.resume_ended()?;
        readers.read_for(Duration::from_millis(50))?;
        Ok(readers.all.iter().all(|reader| reader.numbers.len() >= all))
    })?;

    let order: Vec<u64> = stream
        .read()?
        .messages()?
        .iter()
        .filter_map(|message| message["n"].as_u64())
        .collect();
    assert_eq!(order.len(), all);
    for (at, reader) in readers.all.iter().enumerate() {
        assert!(reader.seen() == order, "reader {at} saw another order");
    }
    server.stop()
}

#[test]
fn a_close_ends_every_reader_after_the_last_message() -> Result<()> {
    let stream = Stream::create(&shared()?, "live/close", JSON)?;
    let mut readers = Readers::of(&shared()?)?;
    connect(&mut readers, &stream, 3)?;
    let last = stream.post().header("stream-closed", "true");
    last.send_bytes(numbered(7).as_bytes())?.expect(204)?;
    readers.read_until("all know that it is closed", |all| {
        let is_over = |reader: &Reader| reader.closed && (reader.ended || reader.answers > 0);
        all.iter().all(is_over)
    })?;
    check_seen(&readers, &[7]);

    // Who comes later learns it at once.
    let tail = stream.get("now").send()?.expect(200)?;
    let tail = tail.header("stream-next-offset").unwrap_or_default();
    let mut late = Readers::of(&shared()?)?;
    for mode in [Mode::Sse, Mode::LongPoll] {
        late.add(stream.path(), tail, mode)?;
        late.add(stream.path(), "now", mode)?;
        late.add(stream.path(), "-1", mode)?;
    }
    late.read_until("the late ones know", |all| {
        all.iter().all(|reader| reader.closed)
    })?;
    Ok(())
}

#[test]
fn a_close_without_data_is_heard_of() -> Result<()> {
    let stream = Stream::create(&shared()?, "live/close-only", BYTES)?;
    let mut readers = Readers::of(&shared()?)?;
    connect(&mut readers, &stream, 2)?;
    close(&stream)?;
    readers.read_until("all know that it is closed", |all| {
        all.iter().all(|reader| reader.closed)
    })?;
    Ok(())
}

#[test]
fn a_deletion_ends_every_reader() -> Result<()> {
    let stream = Stream::create(&shared()?, "live/delete", JSON)?;
    let mut readers = Readers::of(&shared()?)?;
    connect(&mut readers, &stream, 2)?;
    stream.call(Method::DELETE).send()?.expect(204)?;
    let gone = |reader: &Reader| match reader.status {
        200 => reader.ended,
        status => status == 404,
    };
    readers.read_until("all are gone", |all| all.iter().all(gone))?;
    Ok(())
}

#[test]
fn an_expiry_ends_every_reader() -> Result<()> {
    let stream = Stream::named(&shared()?, "live/expiry", JSON);
    let put = stream.put().header("stream-ttl", "4");
    put.send()?.expect(201)?;
    let mut readers = Readers::of(&shared()?)?;
    connect(&mut readers, &stream, 2)?;
    readers.read_until("all are gone", |all| {
        all.iter()
            .all(|reader| reader.ended || reader.status == 404)
    })?;
    Ok(())
}

#[test]
fn waiting_ends_after_the_configured_times() -> Result<()> {
    let state = Scratch::new("live-times-state")?;
    let vars = [("LONG_POLL_TIMEOUT_MS", "300"), ("SSE_TIMEOUT_MS", "500")];
    let server = Server::start(&state, &vars)?;
    let stream = Stream::create(server.client(), "times", JSON)?;
    let start = Instant::now();
    let path = format!("{}?offset=-1&live=long-poll&cursor=1", stream.path());
    let answer = server
        .client()
        .call(Method::GET, &path)
        .send()?
        .expect(204)?;
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(answer.header("stream-up-to-date"), Some("true"));
    assert_eq!(
        answer.header("stream-next-offset"),
        Some("0000000000000000_0000000000000000_0000")
    );
    let cursor: u64 = answer.header("stream-cursor").unwrap_or_default().parse()?;
    assert!(cursor > 1);

    let start = Instant::now();
    let path = format!("{}?offset=-1&live=sse&cursor={cursor}", stream.path());
    let events = server
        .client()
        .call(Method::GET, &path)
        .send()?
        .expect(200)?;
    assert!(start.elapsed() >= Duration::from_millis(500));
    let text = events.text();
    let next = text.split("\"streamCursor\":\"").nth(1).unwrap_or_default();
    let next: u64 = next.split('"').next().unwrap_or_default().parse()?;
    assert!(next > cursor, "{next} after {cursor}: {text}");
    server.stop()
}

#[test]
fn a_stream_takes_so_many_readers_and_those_who_leave_make_room() -> Result<()> {
    let state = Scratch::new("live-limit-state")?;
    let server = Server::start(&state, &[("MAX_LIVE_READERS", "2")])?;
    let stream = Stream::create(server.client(), "limit", JSON)?;
    let mut readers = Readers::of(server.client())?;
    connect(&mut readers, &stream, 1)?;
    let path = format!("{}?offset=now&live=sse", stream.path());
    let refused = server
        .client()
        .call(Method::GET, &path)
        .send()?
        .expect(429)?;
    assert_eq!(refused.refusal()?.code, "too_many_readers");
    assert!(refused.header("retry-after").is_some());

    drop(readers);
    wait_until("there is room again", || {
        let mut one = Readers::of(server.client())?;
        one.add(stream.path(), "now", Mode::Sse)?;
        one.read_until("it is answered", |all| all[0].status != 0)?;
        // Each append finds out about some that are gone.
        stream.append(numbered(1))?;
        Ok(one.all[0].status == 200)
    })?;
    server.stop()
}

#[test]
fn a_reader_in_the_middle_of_a_batch_gets_the_rest_of_it() -> Result<()> {
    let stream = Stream::create(&shared()?, "live/middle", JSON)?;
    stream.append(r#"[{"n":0},{"n":1},{"n":2}]"#)?;
    stream.append(numbered(3))?;
    let mut readers = Readers::of(&shared()?)?;
    for mode in [Mode::Sse, Mode::LongPoll] {
        readers.add(stream.path(), "0000000000000000_0000000000000002", mode)?;
    }
    readers.read_until("both have caught up", all_have(&[2, 3]))?;
    stream.append(numbered(4))?;
    readers.read_until("both have the rest", all_have(&[2, 3, 4]))?;
    check_seen(&readers, &[2, 3, 4]);
    Ok(())
}
