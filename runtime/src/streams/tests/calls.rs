use crate::auth::project::{Project, Registry};
use crate::edge::tests::world::{Does, Response, World};
use crate::protocol::error::Error as Refusal;
use crate::protocol::offset::Offset;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::reply::Reply;
use crate::streams::{Append, Create, Error, Streams};

use std::rc::Rc;
use std::time::Duration;

impl Registry for () {
    async fn project(&self, _name: &str) -> Result<Option<Rc<Project>>, Refusal> {
        Ok(None)
    }

    async fn is_public(&self, _stream: &StreamPath, _era: Option<Era>) -> Result<bool, Refusal> {
        Ok(false)
    }

    async fn publish(&self, _stream: &StreamPath, _era: Option<Era>) -> Result<(), Refusal> {
        Ok(())
    }

    async fn unpublish(&self, _stream: &StreamPath, _era: Option<Era>) -> Result<(), Refusal> {
        Ok(())
    }
}

fn world_that(says: &[Response]) -> World {
    let world = World::default();
    let does = says.iter().cloned().map(Does::Says);
    world.0.does.borrow_mut().extend(does);
    world
}

fn refused(refusal: &Refusal) -> Response {
    let reply = Reply::refused(refusal);
    Response {
        status: reply.status,
        headers: reply
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: reply.body,
    }
}

fn at(position: u64) -> Offset {
    Offset::new(position).unwrap()
}

#[test]
fn a_call_asks_the_object_of_the_path_at_its_url() {
    let tail = at(2).to_string();
    let world = world_that(&[Response::new(201, &[("Stream-Next-Offset", &tail)], b"")]);
    let streams = Streams::over(world.clone(), false);
    let stream = streams.stream("a b/ü").unwrap();
    let created = world.run(stream.create(Create::new())).unwrap();
    assert!(created.is_new);
    assert_eq!(created.tail, at(2));
    assert_eq!(*world.0.objects.borrow(), ["a b/ü"]);
    let asked = world.0.asked.borrow();
    assert_eq!(*asked, ["http://streams/v1/stream/a%20b/%C3%BC"]);
}

#[test]
fn what_is_refused_is_read_as_it_was_meant() {
    let tail = at(7);
    let refusals = [
        (Refusal::NotFound, Error::NotFound),
        (Refusal::Gone, Error::Gone),
        (Refusal::Closed { tail }, Error::Closed { tail }),
        (
            Refusal::Overtaken { tail, closed: true },
            Error::Overtaken { tail, closed: true },
        ),
        (
            Refusal::Truncated { earliest: tail },
            Error::Truncated { earliest: tail },
        ),
        (
            Refusal::StaleEpoch { current: 3 },
            Error::StaleEpoch { current: 3 },
        ),
        (
            Refusal::SequenceGap {
                expected: 1,
                received: 5,
            },
            Error::SequenceGap {
                expected: 1,
                received: 5,
            },
        ),
    ];
    for (refusal, expected) in refusals {
        let world = world_that(&[refused(&refusal)]);
        let stream = Streams::over(world.clone(), false).stream("s").unwrap();
        let error = world.run(stream.send(Append::bytes("[1]"))).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.status(), refusal.status());
        assert_eq!(Error::from(refusal), expected);
    }
}

#[test]
fn what_refuses_without_a_word_is_read_by_its_status() {
    for (status, expected) in [(404, "there is no such stream"), (410, "was deleted")] {
        let world = world_that(&[Response::new(status, &[], b"")]);
        let stream = Streams::over(world.clone(), false).stream("s").unwrap();
        let error = world.run(stream.head()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error:?}");
        assert_eq!(error.status(), status);
    }
}

#[test]
fn what_comes_too_late_is_not_waited_for() {
    let world = World::default();
    world.0.does.borrow_mut().push_back(Does::Nothing);
    let streams = Streams::over(world.clone(), false).within(Duration::from_secs(2));
    let stream = streams.stream("s").unwrap();
    let error = world.run(stream.close()).unwrap_err();
    assert_eq!(
        error,
        Error::Unavailable("no answer within 2000 ms".to_owned())
    );
    assert_eq!(world.0.now.get(), 2000);
}

#[test]
fn what_takes_for_ever_is_waited_for() {
    let world = World::default();
    let streams = Streams::over(world.clone(), false).within(Duration::MAX);
    world.0.does.borrow_mut().push_back(Does::Nothing);
    world.run(streams.stream("s").unwrap().close()).unwrap_err();
    assert!(world.0.now.get() > 0);
}

/// An object answers a close without data as it does one that comes again.
#[test]
fn a_close_is_not_taken_for_one_that_was_there() {
    let says = |status| Response::new(status, &[("Stream-Next-Offset", &at(0).to_string())], b"");
    let world = world_that(&[says(204), says(204), says(200)]);
    let stream = Streams::over(world.clone(), false).stream("s").unwrap();
    let mut producer = stream.producer("a", 0);
    for (append, was_there) in [
        (Append::nothing().close(), false),
        (Append::bytes("[1]").close(), true),
        (Append::bytes("[1]").close(), false),
    ] {
        let appended = world.run(producer.send(append)).unwrap();
        assert_eq!(appended.was_there, was_there);
    }
}

#[test]
fn a_path_that_is_none_is_refused_before_anything_is_asked() {
    let streams = Streams::over(World::default(), false);
    for path in ["", "/", "a//b", "__ds/x", "a/../b"] {
        let refused = streams.stream(path);
        assert!(
            matches!(refused.err(), Some(Error::Refused { .. })),
            "{path}"
        );
    }
}

#[test]
fn what_may_be_there_is_sent_again_before_anything_else() {
    let world = world_that(&[]);
    let stream = Streams::over(world.clone(), false).stream("s").unwrap();
    let mut producer = stream.producer("p", 0);
    let mut send = |text: &str| world.run(producer.send(Append::bytes(text)));
    assert!(matches!(send("[1]"), Err(Error::Unavailable(_))));
    let Err(Error::Refused { code, message, .. }) = send("[2]") else {
        panic!("another append takes the number of one that may be there");
    };
    assert_eq!(code, "producer_in_doubt");
    assert!(
        message.contains("append 0 of the producer \"p\""),
        "{message}"
    );
    assert_eq!(world.0.asked.borrow().len(), 1);
    for position in 1..3 {
        let tail = at(position).to_string();
        let says = Response::new(200, &[("Stream-Next-Offset", &tail)], b"");
        world.0.does.borrow_mut().push_back(Does::Says(says));
    }
    assert_eq!(send("[1]").unwrap().tail, at(1));
    assert_eq!(send("[2]").unwrap().tail, at(2));
}
