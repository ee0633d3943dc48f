//! Live reads, whatever their object says or does not say.

use std::rc::Rc;

use super::world::{Does, Response, World};
use crate::edge::events::GRACE;
use crate::edge::live::Poll;
use crate::edge::ports::{Copied, Outgoing, Ports};
use crate::edge::room;
use crate::protocol::error::Error;
use crate::protocol::frame::Head;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path;
use crate::protocol::sse::{self, Control, Encoding};
use crate::protocol::sse_reader::{Piece, Reader};

const EVENTS: &str = "offset=-1&live=sse";

fn offset(position: u64) -> Offset {
    Offset::new(position).unwrap()
}

/// What an object says of a JSON stream, whose reader goes on at `next`.
fn said(next: u64, body: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::STREAM_NEXT_OFFSET, &*offset(next).to_string()),
        (header::DS_INCARNATION, "abc-1"),
        (header::DS_VERSION, "2"),
    ];
    let status = if body.is_empty() { 101 } else { 200 };
    Response::new(status, &headers, body)
}

fn closed(mut page: Response) -> Response {
    let closed = (header::STREAM_CLOSED.to_owned(), "true".to_owned());
    page.headers.push(closed);
    page
}

/// A world in which this comes.
fn world(does: impl IntoIterator<Item = Does>) -> World {
    let world = World::default();
    world.0.takes.set(true);
    world.0.does.borrow_mut().extend(does);
    world
}

fn offsets_asked_for(world: &World) -> Vec<String> {
    let asked = world.0.asked.borrow();
    let queries = asked.iter().map(|url| url.split_once('?').unwrap().1);
    let offsets = queries.map(|query| query.split('&').next().unwrap());
    offsets.map(str::to_owned).collect()
}

#[test]
fn a_reader_that_lags_goes_on_after_the_last_event_it_was_sent() {
    let control = Control {
        next: offset(5),
        cursor: 1,
        up_to_date: false,
        closed: false,
    };
    let last = sse::event(b"[4]", Encoding::Json, &control);
    let world = world([
        Does::Says(said(2, b"[0,1]")),
        Does::Follows(said(2, b""), Copied::Behind(Some(last))),
        Does::Says(said(7, b"[5,6]")),
        Does::Follows(said(7, b""), Copied::Behind(None)),
        Does::Says(closed(said(8, b"[7]"))),
    ]);
    let answer = world.get(EVENTS).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(header::DS_INCARNATION), None);
    let expected = ["-1".to_owned()].into_iter();
    let expected = expected.chain([2, 5, 7, 7].map(|next| offset(next).to_string()));
    let expected: Vec<String> = expected.map(|offset| format!("offset={offset}")).collect();
    assert_eq!(offsets_asked_for(&world), expected);
    assert_eq!(world.0.end.get(), Some("closed"));
    let text = String::from_utf8(world.0.written.take()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ["));
    assert_eq!(data.collect::<Vec<_>>(), ["0,1]", "5,6]", "7]"]);
}

#[test]
fn only_the_first_question_is_open_to_any_incarnation() {
    let gone = Response::new(404, &[], b"");
    let world = world([Does::Says(said(2, b"[0,1]")), Does::Says(gone)]);
    world.get(EVENTS).unwrap();
    let asked = world.0.asked.take();
    assert!(!asked[0].contains("incarnation"), "{asked:?}");
    assert!(asked[1].contains("&incarnation=abc-1"), "{asked:?}");
    // It was between two events.
    assert_eq!(world.0.end.get(), Some("closed"));
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_after_its_time_and_grace() {
    for first in [
        Does::Says(said(2, b"[0,1]")),
        Does::Follows(said(2, b""), Copied::Over),
    ] {
        let world = world([first]);
        world.0.takes.set(false);
        world.get(EVENTS).unwrap();
        assert_eq!(world.0.end.get(), Some("aborted"));
        assert_eq!(world.0.now.get(), 60_000 + GRACE);
    }
    let stuck = world([Does::Follows(said(2, b""), Copied::Stuck)]);
    stuck.get(EVENTS).unwrap();
    assert_eq!(stuck.0.end.get(), Some("aborted"));
}

#[test]
fn an_object_that_says_nothing_is_not_waited_for() {
    for query in [EVENTS, "offset=-1&live=long-poll"] {
        let world = world([Does::Nothing]);
        assert_eq!(world.get(query).unwrap().status, 503);
        assert_eq!(world.0.now.get(), 30_000);
    }
    // Between two events it is no reason to break off.
    let later = world([Does::Says(said(1, b"[0]")), Does::Nothing]);
    assert_eq!(later.get(EVENTS).unwrap().status, 200);
    assert_eq!(later.0.now.get(), 30_000);
    assert_eq!(later.0.end.get(), Some("closed"));
}

#[test]
fn what_a_newer_release_says_is_refused() {
    for query in [EVENTS, "offset=-1&live=long-poll"] {
        let mut newer = said(1, b"[0]");
        newer.headers.retain(|(name, _)| name != header::DS_VERSION);
        let version = (header::DS_VERSION.to_owned(), "99".to_owned());
        newer.headers.push(version);
        let world = world([Does::Says(newer)]);
        let answer = world.get(query).unwrap();
        assert_eq!(answer.status, 503);
        assert!(String::from_utf8_lossy(&answer.body).contains("newer_version"));
        assert_eq!(world.0.log.borrow().len(), 1);
    }
}

#[test]
fn a_long_poll_without_news_says_where_the_tail_is() {
    let world = world([Does::Follows(said(9, b""), Copied::Over)]);
    let answer = world.get("offset=now&live=long-poll").unwrap();
    assert_eq!((answer.status, world.0.now.get()), (204, 25_000));
    let next = answer.header(header::STREAM_NEXT_OFFSET);
    assert_eq!(next, Some(offset(9).to_string()));
}

#[test]
fn a_message_to_a_long_poll_becomes_its_own() {
    let head = |status, headers: &[(&'static str, &str)]| {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned()));
        serde_json::to_vec(&Head::of(status, headers.collect())).unwrap()
    };
    let poll = |from_now| Poll {
        tail: offset(1),
        cursor: Some(1 << 40),
        from_now,
    };
    let page = head(
        200,
        &[
            (header::ETAG, "\"a\""),
            (header::CACHE_CONTROL, "max-age=1"),
        ],
    );
    let answer = poll(false).answer(Some(&page), 0, 0).unwrap();
    assert_eq!(
        answer.headers[header::STREAM_CURSOR],
        ((1_u64 << 40) + 1).to_string()
    );
    assert_eq!(answer.headers[header::ETAG], "\"a\"");
    let answer = poll(true).answer(Some(&page), 0, 0).unwrap();
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert!(!answer.headers.contains_key(header::ETAG));
    for (status, headers) in [(404, vec![]), (204, vec![(header::STREAM_CLOSED, "true")])] {
        let last = head(status, &headers);
        let answer = poll(false).answer(Some(&last), 0, 0).unwrap();
        assert!(!answer.headers.contains_key(header::STREAM_CURSOR));
    }
    let newer = poll(false).answer(Some(br#"{"v":99,"status":200,"headers":{}}"#), 0, 0);
    assert!(matches!(newer, Err(Error::Newer(_))), "{newer:?}");
    let garbage = poll(false).answer(Some(b"{"), 0, 0);
    assert!(matches!(garbage, Err(Error::Unavailable(_))), "{garbage:?}");
}

/// What an object of this release says of a text stream whose reader goes on at `next`.
fn text(next: u64, body: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::STREAM_NEXT_OFFSET, &*offset(next).to_string()),
        (header::DS_INCARNATION, "abc-1"),
        (header::DS_VERSION, "3"),
    ];
    let status = if body.is_empty() { 101 } else { 200 };
    Response::new(status, &headers, body)
}

fn pieces(world: &World, encoding: Encoding) -> Vec<Piece> {
    let mut reader = Reader::of(encoding);
    let pieces = reader.take(&world.0.written.borrow()).unwrap();
    assert!(reader.is_between());
    pieces
}

fn data_and_next(pieces: &[Piece]) -> Vec<(&str, u64)> {
    let pieces = pieces.iter();
    let pieces = pieces.map(|piece| (&*piece.data, piece.next.position()));
    pieces.collect()
}

#[test]
fn a_page_that_ends_within_a_character_waits_for_its_rest() {
    let world = world([
        Does::Says(text(3, b"a\xe4\xbd")),
        // There is nothing more for now.
        Does::Follows(text(3, b""), Copied::Behind(None)),
        Does::Says(text(5, b"\xa0\r")),
        Does::Follows(text(5, b""), Copied::Behind(None)),
        Does::Says(text(6, b"\xff")),
        Does::Says(text(7, b"\xf0")),
        Does::Says(closed(text(8, b"\x9f"))),
    ]);
    world.get(EVENTS).unwrap();
    let pieces = pieces(&world, Encoding::Text);
    let expected = [
        ("a", 1),
        ("\u{4f60}", 4),
        ("\n\u{fffd}", 6),
        ("\u{fffd}", 8),
    ];
    assert_eq!(data_and_next(&pieces), expected);
    let asked = world.0.asked.borrow();
    let held = asked.iter().map(|url| path::parameter(url, path::HELD));
    let held: Vec<_> = held.map(Option::unwrap_or_default).collect();
    assert_eq!(held, ["", "2", "2", "1", "1", "", "1"]);
}

#[test]
fn a_reader_with_a_part_of_a_character_is_told_where_that_starts() {
    let world = world([
        Does::Says(text(3, b"\xe4\xbd")),
        Does::Follows(text(3, b""), Copied::Over),
    ]);
    world
        .get(&format!("offset={}&live=sse", offset(1)))
        .unwrap();
    let pieces = pieces(&world, Encoding::Text);
    assert_eq!(data_and_next(&pieces), [("", 1)]);
    assert!(pieces[0].up_to_date);
}

#[test]
fn an_object_that_knows_nothing_of_held_bytes_is_not_asked_to_add_them() {
    let mut older = text(3, b"");
    older.headers.retain(|(name, _)| name != header::DS_VERSION);
    let world = world([
        Does::Says(text(3, b"a\xe4\xbd")),
        Does::Follows(older, Copied::Over),
    ]);
    world.get(EVENTS).unwrap();
    let pieces = pieces(&world, Encoding::Text);
    assert_eq!(data_and_next(&pieces), [("a", 1), ("\u{fffd}", 3)]);
}

#[test]
fn an_event_source_that_comes_back_goes_on_after_its_last_event() {
    let last = |id: &str| vec![(header::LAST_EVENT_ID, id.to_owned())];
    for (id, asked) in [
        (offset(5).to_string(), offset(5).to_string()),
        (String::new(), "-1".to_owned()),
    ] {
        let world = world([Does::Says(closed(said(6, b"[5]")))]);
        world.get_with(EVENTS, last(&id)).unwrap();
        assert_eq!(offsets_asked_for(&world), [format!("offset={asked}")]);
    }
    let world = world([]);
    let refused = world.get_with(EVENTS, last("7")).unwrap();
    assert_eq!(refused.status, 400);
    let why = String::from_utf8(refused.body).unwrap();
    assert!(why.contains("Last-Event-ID is \\\"7\\\""), "{why}");
    // No other read has one.
    world
        .0
        .does
        .borrow_mut()
        .push_back(Does::Says(said(1, b"[0]")));
    let poll = "offset=-1&live=long-poll";
    assert_eq!(world.get_with(poll, last("7")).unwrap().status, 200);
}

/// Somebody else has all the room, and gives none of it back.
fn without_room(world: &World) {
    let room = &world.0.room;
    assert_eq!(
        room.take(room.ticket(), Some(room::ALL), 0),
        Some(room::ALL)
    );
}

#[test]
fn a_page_waits_for_room_until_it_is_taken_from_who_stands_still() {
    let world = world([Does::Says(closed(said(2, b"[0,1]")))]);
    without_room(&world);
    assert_eq!(world.get(EVENTS).unwrap().status, 200);
    assert_eq!(world.0.now.get(), GRACE);
    assert_eq!(
        data_and_next(&pieces(&world, Encoding::Json)),
        [("[0,1]", 2)]
    );
}

#[test]
fn who_stands_still_is_let_go_when_others_need_its_room() {
    let world = world([Does::Says(said(2, b"[0,1]"))]);
    world.0.takes.set(false);
    let room = Rc::clone(&world.0.room);
    let ports = world.clone();
    world.spawn(async move {
        let ticket = room.ticket();
        while room.take(ticket, Some(room::ALL), ports.now()).is_none() {
            ports.sleep(room::TURN).await;
        }
    });
    world.get(EVENTS).unwrap();
    assert_eq!(world.0.end.get(), Some("aborted"));
    assert!((GRACE..GRACE + 1000).contains(&world.0.now.get()));
}

#[test]
fn what_is_larger_than_a_share_needs_its_own() {
    let needed = 900;
    let large = Response::new(path::NEEDS_ROOM, &[(header::DS_LENGTH, "900")], b"");
    let world = world([Does::Says(large), Does::Says(closed(said(1, b"[0]")))]);
    let room = &world.0.room;
    // There is enough for a small one.
    let others = room::ALL - room::LEAST;
    assert_eq!(room.take(room.ticket(), Some(others), 0), Some(others));
    world.get(EVENTS).unwrap();
    assert_eq!(world.0.now.get(), GRACE);
    assert_eq!(data_and_next(&pieces(&world, Encoding::Json)), [("[0]", 1)]);
    let asked = world.0.asked.borrow();
    let most = asked.iter().map(|url| path::parameter(url, path::MOST));
    let expected = [room::LEAST, needed].map(|most| most.to_string());
    assert_eq!(most.flatten().collect::<Vec<_>>(), expected);
}
