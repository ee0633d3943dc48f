//! A bucket in trouble: appends go on, nothing is lost, and no answer is wrong.

use anyhow::Result;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{R2, Server, Setup};
use durable_streams_tests::storage;
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::wait_until;
use ureq::http::Method;

use crate::{BYTES, JSON};

const VARS: &[(&str, &str)] = &[("SEGMENT_MAX_MESSAGES", "4"), ("DEBUG_TIMING", "1")];

fn serve(state: &Scratch, r2: R2) -> Result<Server> {
    let setup = Setup {
        vars: VARS,
        r2,
        ..Setup::default()
    };
    Server::set_up(&Worker::ours()?, state, &setup)
}

fn faulty(state: &Scratch) -> Result<Server> {
    serve(state, R2::Faulty)
}

fn count(state: &Scratch, name: &str) -> usize {
    let objects = storage::objects(state.path(), &format!("streams/{name}/"));
    objects.map_or(usize::MAX, |objects| objects.len())
}

#[test]
fn what_cannot_be_moved_stays_and_is_moved_later() -> Result<()> {
    let state = Scratch::new("unmoved-state")?;
    let mut server = faulty(&state)?;
    for fault in ["put fails", "put is not heard of"] {
        server.let_r2(fault)?;
        let name = fault.replace(' ', "-");
        let stream = Stream::create(server.client(), &name, JSON)?;
        let mut unrotated = None;
        for n in 0..30 {
            let answer = stream.append(n.to_string())?;
            unrotated = answer.header("ds-unrotated").map(str::to_owned);
        }
        // Ten numbers of one digit and twenty of two.
        assert_eq!(unrotated.as_deref(), Some("50"), "{fault}");
        let all: Vec<u64> = (0..30).collect();
        assert_eq!(stream.read()?.messages()?, all, "{fault}");
        server.let_r2("none")?;
        // Nobody appends any more: the alarm has to do it. What was begun comes first, as it was.
        wait_until("the data has moved", || Ok(count(&state, &name) == 2))?;
        assert_eq!(stream.read()?.messages()?, all, "{fault}");
        let mut moved: Vec<u64> = Vec::new();
        for object in storage::objects(state.path(), &format!("streams/{name}/"))? {
            moved.extend(serde_json::from_slice::<Vec<u64>>(&object.body)?);
        }
        assert_eq!(moved, all, "{fault}");
    }
    server.stop()
}

#[test]
fn appends_do_not_wait_for_a_slow_bucket() -> Result<()> {
    let state = Scratch::new("slow-state")?;
    let mut server = faulty(&state)?;
    server.let_r2("slow")?;
    let stream = Stream::create(server.client(), "slow", JSON)?;
    let start = std::time::Instant::now();
    for n in 0..40 {
        stream.append(n.to_string())?;
    }
    assert_eq!(count(&state, "slow"), 0, "the bucket was not slow");
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    let all: Vec<u64> = (0..40).collect();
    // What was appended meanwhile moves afterwards.
    wait_until("all has moved", || Ok(count(&state, "slow") == 2))?;
    assert_eq!(stream.read()?.messages()?, all);
    server.stop()
}

#[test]
fn a_read_that_needs_what_is_not_there_is_refused() -> Result<()> {
    let state = Scratch::new("unread-state")?;
    let mut server = faulty(&state)?;
    let stream = Stream::create(server.client(), "unread", JSON)?;
    stream.append("[1,2,3,4,5]")?;
    let bytes = Stream::create(server.client(), "unread-bytes", BYTES)?;
    for _ in 0..4 {
        bytes.append("12345")?;
    }
    wait_until("the data has moved", || {
        Ok(count(&state, "unread") == 1 && count(&state, "unread-bytes") == 1)
    })?;
    stream.append("6")?;
    for stream in [&stream, &bytes] {
        for fault in ["get fails", "get finds nothing"] {
            server.let_r2(fault)?;
            let refused = stream.get(START).send()?.expect(503)?;
            assert_eq!(refused.header("retry-after"), Some("1"), "{fault}");
            assert_eq!(refused.refusal()?.code, "unavailable", "{fault}");
        }
        server.let_r2("get finds something else")?;
        let refused = stream.get(START).send()?.expect(500)?;
        assert_eq!(refused.refusal()?.code, "storage_error");
        // As in a bucket that was restored: the same bytes with another entity tag.
        server.let_r2("none")?;
        let whole = stream.get(START).send()?.expect(200)?.text();
        server.let_r2("get finds a copy")?;
        assert_eq!(stream.get(START).send()?.expect(200)?.text(), whole);
        // What was promised is not kept, and the client can tell.
        server.let_r2("get is short")?;
        assert!(stream.get(START).send().is_err(), "a short answer");
        server.let_r2("none")?;
        stream.get(START).send()?.expect(200)?;
    }
    // What lies in the object is served whatever the bucket does.
    server.let_r2("get fails")?;
    let hot = stream.get("0000000000000000_0000000000000005").send()?;
    assert_eq!(hot.expect(200)?.text(), "[6]");
    server.stop()
}

#[test]
fn objects_that_cannot_be_deleted_are_deleted_later() -> Result<()> {
    let state = Scratch::new("undeleted-state")?;
    let mut server = faulty(&state)?;
    let stream = Stream::create(server.client(), "undeleted", JSON)?;
    stream.append("[1,2,3,4,5]")?;
    wait_until("the data has moved", || Ok(count(&state, "undeleted") == 1))?;
    server.let_r2("delete fails")?;
    stream.call(Method::DELETE).send()?.expect(204)?;
    stream.put().send()?.expect(201)?;
    stream.append("[6,7,8,9]")?;
    wait_until("the next one has moved", || {
        Ok(count(&state, "undeleted") == 2)
    })?;
    server.let_r2("none")?;
    wait_until("the first one is gone", || {
        Ok(count(&state, "undeleted") == 1)
    })?;
    assert_eq!(stream.read()?.messages()?, [6, 7, 8, 9]);
    server.stop()
}

#[test]
fn without_a_bucket_streams_keep_their_data() -> Result<()> {
    let state = Scratch::new("bucketless-state")?;
    let server = serve(&state, R2::Missing)?;
    let stream = Stream::create(server.client(), "bucketless", JSON)?;
    for n in 0..20 {
        stream.append(n.to_string())?;
    }
    assert_eq!(stream.read()?.messages()?, (0..20).collect::<Vec<_>>());
    server.stop()
}
