//! What a stream has to do at its end comes to an end, and takes nothing that others need.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{R2, Server, Setup, Vars};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::now;
use durable_streams_tests::{say, storage, wait_until};
use ureq::http::Method;

use crate::JSON;
use crate::events::date;

const SMALL: Vars = &[("SEGMENT_MAX_MESSAGES", "4")];

fn serve(state: &Scratch, vars: Vars) -> Result<Server> {
    let setup = Setup {
        vars,
        r2: R2::Faulty,
        ..Setup::default()
    };
    Server::set_up(&Worker::ours()?, state, &setup)
}

/// How many objects a stream has in the bucket.
fn count(state: &Scratch, name: &str) -> usize {
    let objects = storage::objects(state.path(), &format!("streams/{name}/"));
    // Files that are copied while they change may make no sense for a moment.
    objects.map_or(usize::MAX, |objects| objects.len())
}

fn has_hung(server: &Server) -> Result<()> {
    wait_until("a put is not answered", || {
        Ok(server.log()?.contains("a put is not answered"))
    })
}

#[test]
fn a_fork_of_an_expired_fork_keeps_what_it_inherited() -> Result<()> {
    let state = Scratch::new("expired-fork-state")?;
    let mut server = serve(&state, SMALL)?;
    let end = now() + 10;
    let source = Stream::named(server.client(), "source", JSON);
    let put = source.put().header("stream-expires-at", date(end)?);
    put.send_bytes(b"[1,2,3,4]")?.expect(201)?;
    wait_until("the data has moved", || Ok(count(&state, "source") == 1))?;
    let fork = Stream::named(server.client(), "fork", JSON);
    let put = fork.put().header("stream-forked-from", source.path());
    put.send()?.expect(201)?;
    let last = Stream::named(server.client(), "last", JSON);
    let put = last.put().header("stream-forked-from", fork.path());
    put.header("stream-ttl", "3600").send()?.expect(201)?;

    // The fork is busy when its time is over, and is asked before its own alarm.
    server.let_r2("put is never answered")?;
    fork.append("[5,6,7,8]")?;
    has_hung(&server)?;
    ensure!(now() < end, "too late");
    // Nobody asks for them, and whatever the source has to delete has time to go.
    sleep(Duration::from_secs(end - now() + 6));
    assert_eq!(last.read()?.messages()?, [1, 2, 3, 4]);
    assert_eq!(count(&state, "source"), 1);
    fork.call(Method::HEAD).send()?.expect(410)?;
    server.stop()
}

#[test]
fn with_a_malformed_limit_streams_work_and_what_is_deleted_goes() -> Result<()> {
    let state = Scratch::new("malformed-state")?;
    let server = serve(&state, SMALL)?;
    let names = ["kept", "deleted"];
    for name in names {
        let stream = Stream::create(server.client(), name, JSON)?;
        stream.append("[1,2,3,4]")?;
        wait_until("the data has moved", || Ok(count(&state, name) == 1))?;
    }
    server.stop()?;

    let vars = &[("SEGMENT_MAX_BYTES", "x"), ("SEGMENT_MAX_MESSAGES", "4")];
    let mut server = serve(&state, vars)?;
    let [kept, deleted] = names.map(|name| Stream::named(server.client(), name, JSON));
    server.let_r2("delete fails")?;
    deleted.call(Method::DELETE).send()?.expect(204)?;
    kept.append("[5,6,7,8]")?;
    assert_eq!(kept.read()?.messages()?, [1, 2, 3, 4, 5, 6, 7, 8]);
    // Alarms without a pause take much of a processor.
    sleep(Duration::from_secs(1));
    let before = server.workerd()?.cpu_time()?;
    sleep(Duration::from_secs(4));
    let used = server.workerd()?.cpu_time()?.since(&before);
    say(&format!(
        "an object that waits to delete: {used:.0?} in 4 s"
    ));
    assert!(used < Duration::from_millis(400), "{used:?} in 4 s");
    server.let_r2("none")?;
    wait_until("the objects are gone", || Ok(count(&state, "deleted") == 0))?;
    assert_eq!(count(&state, "kept"), 1);
    server.stop()
}

#[test]
fn a_bucket_that_does_not_answer_is_asked_again() -> Result<()> {
    let state = Scratch::new("unanswered-state")?;
    let mut server = serve(&state, SMALL)?;
    server.let_r2("put is never answered")?;
    let stream = Stream::create(server.client(), "unanswered", JSON)?;
    stream.append("[1,2,3,4]")?;
    has_hung(&server)?;
    server.let_r2("none")?;
    stream.append("[5,6,7,8]")?;
    assert_eq!(stream.read()?.messages()?, [1, 2, 3, 4, 5, 6, 7, 8]);
    // It has a minute to answer.
    sleep(Duration::from_secs(60));
    wait_until("the data has moved", || {
        let all = storage::objects(state.path(), "streams/unanswered/").unwrap_or_default();
        let bodies = all
            .iter()
            .map(|object| serde_json::from_slice(&object.body));
        let bodies: Vec<Vec<u64>> = bodies.collect::<Result<_, _>>()?;
        Ok(bodies.concat() == [1, 2, 3, 4, 5, 6, 7, 8])
    })?;
    server.stop()
}
