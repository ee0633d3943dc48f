//! Reads that are answered at once.

use super::world::{Does, Response, World};
use crate::edge::ports::Outgoing;
use crate::protocol::header;
use crate::protocol::part::{Part, Plan};

/// An answer of which all but `[…,\n2]` lies in the bucket.
fn cold() -> Response {
    let part = Part {
        key: "streams/s/1/0-9".into(),
        size: 9,
        etag: "e".into(),
        crc: None,
        offset: 1,
        length: 3,
        lines: None,
    };
    let plan = Plan {
        is_json: true,
        parts: vec![part],
    };
    let plan = plan.encode();
    let length = plan.len().to_string();
    Response::new(
        200,
        &[(header::DS_COLD, &length)],
        &[&plan[..], b"2"].concat(),
    )
}

#[test]
fn an_answer_is_put_together_from_the_bucket_and_the_rest() {
    let world = World::default();
    world.0.bucket_answers.set(true);
    world.0.does.borrow_mut().push_back(Does::Says(cold()));
    let answer = world.get("offset=-1").unwrap();
    assert_eq!(answer.body, b"[111,\n2]");
    assert_eq!(answer.header(header::DS_COLD), None);
}

#[test]
fn a_bucket_that_does_not_answer_is_not_waited_for() {
    let world = World::default();
    world.0.does.borrow_mut().push_back(Does::Says(cold()));
    assert_eq!(world.get("offset=-1").unwrap().status, 503);
    assert_eq!(world.0.now.get(), 60_000);
}

#[test]
fn tokens_in_urls_stay_at_the_edge() {
    let world = World::default();
    let page = Response::new(200, &[], b"[]");
    world.0.does.borrow_mut().push_back(Does::Says(page));
    world.get("offset=-1&token=secret").unwrap();
    assert_eq!(world.0.asked.take(), ["http://a/v1/stream/s?offset=-1"]);
}
