//! What becomes of a stream into which others are copied: who may copy into it, and how copies meet
//! all else that happens to a stream.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::bucket::{Bucket, Fault};
use super::simulation::{ABLE, ROWS, items_of};
use super::sqlite::Sqlite;
use super::{KEY, creation, named};
use crate::protocol::ask::{Copied, Copy, CopyPart, Fed, Interest, Life, OfSubscription};
use crate::protocol::condition::Condition;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::part::Plan;
use crate::protocol::path::StreamPath;
use crate::protocol::producer::Claim;
use crate::protocol::request::{Append, Create, Fork, Read, ReadFrom};
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::family::lend;
use crate::stream::tier::upkeep::GRACE;
use crate::stream::verbs::copy::Outcome;
use crate::stream::verbs::delete::End;

const TTL: u64 = 100_000;

const JSON: &str = "application/json";

fn json() -> ContentType {
    ContentType::parse(JSON).unwrap()
}

fn created(database: &Sqlite) -> Stream<&Sqlite> {
    created_as(database, &creation(JSON))
}

fn created_as<'a>(database: &'a Sqlite, request: &Create) -> Stream<&'a Sqlite> {
    let mut stream = Stream::new(database);
    let name = named("p/target", "1");
    stream.create(request, None, b"", name, KEY, 0).unwrap();
    stream
}

/// Another stream takes the place of the one that was there.
fn create_again(stream: &mut Stream<&Sqlite>) {
    let name = named("p/target", "2");
    let created = stream.create(&creation(JSON), None, b"", name, KEY, 0);
    assert!(created.unwrap().is_new);
}

pub fn life(born: u64) -> Life {
    Life {
        born,
        incarnation: format!("{born:x}-1"),
    }
}

/// The stream that [`created`] makes.
fn target() -> Life {
    Life {
        born: 0,
        incarnation: "1".into(),
    }
}

fn feed(stream: &mut Stream<&Sqlite>, subscription: &str, born: u64) -> Fed {
    let feed = OfSubscription {
        subscription: subscription.into(),
        life: life(born),
    };
    stream.feed(&feed, 0).unwrap()
}

fn is_fed(fed: &Fed) -> bool {
    matches!(fed, Fed::Yes { .. })
}

fn unfeed(stream: &mut Stream<&Sqlite>, subscription: &str, born: u64) -> bool {
    let unfeed = OfSubscription {
        subscription: subscription.into(),
        life: life(born),
    };
    stream.unfeed(&unfeed, 0).unwrap()
}

/// A copy of JSON numbers, which are the positions of a source.
fn copy_of(parts: &[(&str, u64, u64)]) -> (Copy, Vec<u8>) {
    let mut content = Vec::new();
    let mut part = |(path, behind, to): &(&str, u64, u64)| {
        let lines: String = (*behind..*to).map(|at| format!("{at}\n")).collect();
        content.extend_from_slice(lines.as_bytes());
        CopyPart {
            path: (*path).into(),
            life: life(5),
            since: 0,
            behind: *behind,
            to: *to,
            length: lines.len(),
            base64: false,
        }
    };
    let copy = Copy {
        subscription: "s".into(),
        life: life(1),
        target: target(),
        parts: parts.iter().map(&mut part).collect(),
    };
    (copy, content)
}

fn copy(stream: &mut Stream<&Sqlite>, parts: &[(&str, u64, u64)]) -> Vec<u64> {
    let (copy, content) = copy_of(parts);
    let Outcome { answer, .. } = stream.copy(&copy, &content, 0).unwrap();
    match answer {
        Copied::Yes { at, pause: 0 } => at,
        refused => panic!("{refused:?}"),
    }
}

fn append(content_type: &ContentType) -> Append {
    Append {
        content_type: Some(content_type.clone()),
        close: false,
        producer: None,
        seq: None,
        if_match: None,
    }
}

fn reading(at: u64) -> Read {
    Read {
        from: ReadFrom::At(Offset::new(at).unwrap()),
        live: None,
        cursor: None,
        if_none_match: None,
    }
}

fn text(stream: &mut Stream<&Sqlite>) -> String {
    let page = stream.read(&reading(0), 1 << 20, 0).unwrap();
    String::from_utf8(page.body).unwrap().replace(",\n", ",")
}

fn interests(stream: &mut Stream<&Sqlite>) -> Vec<(String, Interest)> {
    let links = stream.links().unwrap();
    let of = |it: &crate::stream::links::Link| (it.subscription.clone(), it.interest);
    links.iter().map(of).collect()
}

fn of(links: &[(&str, Interest)]) -> Vec<(String, Interest)> {
    let mut links: Vec<_> = links.iter().map(|(s, i)| ((*s).to_owned(), *i)).collect();
    links.sort_by(|a, b| a.0.cmp(&b.0));
    links
}

fn written(database: &Sqlite, work: impl FnOnce()) -> u64 {
    let before = database.written.get();
    work();
    database.written.get() - before
}

/// How many rows of cursors there are.
fn rows(database: &Sqlite) -> usize {
    let sql = "SELECT id FROM stream WHERE id BETWEEN -1125899906842624 AND -1125899638407169";
    database.try_texts(sql).len()
}

#[test]
fn who_may_copy_into_a_stream() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    assert_eq!(feed(&mut stream, "s", 1), Fed::Absent);
    assert_eq!(stream.links(), Ok(Vec::new()));
    let mut stream = created(&database);
    stream.link("n", Interest::NamedCopies).unwrap();
    assert_eq!(feed(&mut stream, "s", 1), Fed::IsSource);
    stream.unlink("n", None).unwrap();
    let yes = Fed::Yes {
        life: target(),
        content_type: "application/json".into(),
    };
    assert_eq!(feed(&mut stream, "s", 1), yes);
    assert!(stream.is_target());
    // Again, also after a crash, that is nothing new.
    for _ in 0..2 {
        let again = written(&database, || assert_eq!(feed(&mut stream, "s", 1), yes));
        assert_eq!(again, 0);
        stream = Stream::new(&database);
    }
    let close = Append {
        content_type: None,
        close: true,
        ..append(&json())
    };
    stream.append(&close, b"", 0).unwrap();
    assert_eq!(feed(&mut stream, "t", 1), Fed::Closed);
    assert_eq!(feed(&mut stream, "s", 1), Fed::Closed);
    assert_eq!(interests(&mut stream), of(&[("s", Interest::Target)]));
}

#[test]
fn a_target_stays_one_whatever_its_subscription_wants_to_hear() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    assert!(matches!(feed(&mut stream, "s", 1), Fed::Yes { .. }));
    for interest in [Interest::Ends, Interest::Copies, Interest::Wakes] {
        let taken = stream.change_interest("s", interest);
        assert_eq!(taken, Ok(Interest::Target));
        assert!(stream.is_target());
    }
    assert_eq!(interests(&mut stream), of(&[("s", Interest::Target)]));
}

#[test]
fn nobody_copies_a_target() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    stream.link("pattern", Interest::Copies).unwrap();
    stream.link("wakes", Interest::Wakes).unwrap();
    assert!(is_fed(&feed(&mut stream, "s", 1)));
    let links = |pattern| {
        of(&[
            ("pattern", pattern),
            ("s", Interest::Target),
            ("wakes", Interest::Wakes),
        ])
    };
    // It says what it wants when it is told of something.
    assert_eq!(interests(&mut stream), links(Interest::Wakes));
    let said = stream.change_interest("pattern", Interest::Copies);
    assert_eq!(said, Ok(Interest::Ends));
    let links = links(Interest::Ends);
    assert_eq!(interests(&mut stream), links);
    assert!(stream.is_followed() && !stream.is_named_source());
    // Nor does whoever asks for it now, be it the one that copies into it.
    for name in ["pattern", "s"] {
        for interest in [Interest::Copies, Interest::NamedCopies] {
            let (tail, _) = stream.link(name, interest).unwrap();
            assert!(tail.source.unwrap().is_target);
            assert_eq!(interests(&mut stream), links);
        }
    }
    // It does not let go of its target by letting go of a source.
    assert_eq!(stream.unlink("s", None), Ok(false));
    assert!(
        Stream::new(&database)
            .feed(
                &OfSubscription {
                    subscription: "s".into(),
                    life: life(1)
                },
                0
            )
            .is_ok_and(|fed| is_fed(&fed))
    );
    assert!(unfeed(&mut stream, "s", 1));
    let links = of(&[("pattern", Interest::Ends), ("wakes", Interest::Wakes)]);
    assert_eq!(interests(&mut stream), links);
    assert!(!stream.is_target());
    stream.link("pattern", Interest::Copies).unwrap();
    assert_eq!(interests(&mut stream)[0].1, Interest::Copies);
}

#[test]
fn of_subscriptions_of_a_name_the_youngest_counts() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    assert_eq!(copy(&mut stream, &[("a", 0, 2)]), [2]);
    feed(&mut stream, "t", 9);
    assert_eq!(feed(&mut stream, "s", 0), Fed::Absent);
    assert!(!unfeed(&mut stream, "s", 0));
    assert_eq!(copy(&mut stream, &[("a", 0, 2), ("a", 2, 3)]), [2, 3]);
    assert!(is_fed(&feed(&mut stream, "s", 2)));
    assert_eq!(rows(&database), 2);
    for is_loaded in [true, false] {
        if !is_loaded {
            stream = Stream::new(&database);
        }
        assert_eq!(feed(&mut stream, "s", 1), Fed::Absent);
        assert!(!unfeed(&mut stream, "s", 1));
        let (mut copy, content) = copy_of(&[("a", 3, 4)]);
        let refused = stream.copy(&copy, &content, 0).unwrap();
        assert_eq!(refused.answer, Copied::NotFed);
        // The younger one starts anew.
        copy.life = life(2);
        let Copied::Yes { at, .. } = stream.copy(&copy, &content, 0).unwrap().answer else {
            panic!("it is fed");
        };
        assert_eq!(at, [0]);
    }
    assert_eq!(text(&mut stream), "[0,1,2]");
    assert!(unfeed(&mut stream, "s", 2) && unfeed(&mut stream, "s", 2));
    assert!(stream.is_target());
    // One that is younger than all that is known takes them with it.
    assert!(unfeed(&mut stream, "t", 10));
    assert_eq!((rows(&database), stream.is_target()), (0, false));
    assert_eq!(stream.links(), Ok(Vec::new()));
    let (copy, content) = copy_of(&[("a", 3, 4)]);
    let refused = stream.copy(&copy, &content, 0).unwrap();
    assert_eq!(refused.answer, Copied::NotFed);
}

#[test]
fn a_copy_is_for_one_stream_that_is_open() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    let (copy, content) = copy_of(&[("a", 0, 1)]);
    let answer = |stream: &mut Stream<&Sqlite>| {
        let outcome = stream.copy(&copy, &content, 0).unwrap();
        assert_eq!(outcome.appended, None);
        outcome.answer
    };
    assert_eq!(answer(&mut stream), Copied::Gone);
    create_again(&mut stream);
    feed(&mut stream, "s", 1);
    assert_eq!(answer(&mut stream), Copied::Gone);
    let database = Sqlite::new();
    let mut stream = created(&database);
    assert_eq!(answer(&mut stream), Copied::NotFed);
    feed(&mut stream, "s", 1);
    let close = Append {
        close: true,
        ..append(&json())
    };
    stream.append(&close, b"[7]", 0).unwrap();
    assert_eq!(answer(&mut stream), Copied::Closed);
    assert_eq!(text(&mut stream), "[7]");
}

#[test]
fn a_link_of_a_younger_subscription_outlives_the_target() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    // The next one of that name wakes somebody.
    stream.link("s", Interest::Wakes).unwrap();
    assert!(!stream.is_target());
    assert!(!unfeed(&mut stream, "s", 1));
    assert_eq!(interests(&mut stream), of(&[("s", Interest::Wakes)]));
    assert_eq!(rows(&database), 0);
    // And the other way round: what the older one asks late does not unlink the younger one.
    feed(&mut stream, "s", 2);
    assert_eq!(stream.unlink("s", None), Ok(false));
    assert_eq!(interests(&mut stream), of(&[("s", Interest::Target)]));
}

#[test]
fn what_a_copy_costs() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    // The row of cursors and the link; where there is no table of links, two more are billed.
    assert_eq!(written(&database, || drop(feed(&mut stream, "s", 1))), 2);
    let counted = |stream: &mut Stream<&Sqlite>, parts: &[(&str, u64, u64)]| {
        let statements = database.statements.get();
        let rows = written(&database, || drop(copy(stream, parts)));
        (rows, database.statements.get() - statements)
    };
    // The cursors are read once.
    assert_eq!(counted(&mut stream, &[("a", 0, 1)]), (2, 2));
    assert_eq!(counted(&mut stream, &[("a", 1, 3)]), (2, 2));
    let paths: Vec<_> = (0..63).map(|n| format!("source/{n}")).collect();
    let of = |behind, to| -> Vec<(&str, u64, u64)> {
        paths
            .iter()
            .map(|path| (path.as_str(), behind, to))
            .collect()
    };
    assert_eq!(counted(&mut stream, &of(0, 1)), (2, 2));
    assert_eq!(counted(&mut stream, &of(1, 2)[..50]), (2, 2));
    // What is there already, or only asked about, costs nothing.
    assert_eq!(counted(&mut stream, &of(0, 1)), (0, 0));
    assert_eq!(
        counted(&mut stream, &[("a", 3, 3), ("x", 0, 0), ("a", 9, 10)]),
        (0, 0)
    );
    // A row more for 64 sources more, in the first of which nothing changes.
    let many: Vec<_> = (0..64).map(|n| format!("more/{n}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), 0, 1)).collect();
    assert_eq!(counted(&mut stream, &many), (2, 2));
    assert_eq!(
        counted(&mut stream, &[("a", 3, 4), ("more/1", 1, 2)]),
        (3, 3)
    );
    // Where there is nothing of a source any more, its cursor moves.
    let (mut gap, content) = copy_of(&[("a", 4, 4)]);
    gap.parts[0].to = 9;
    let moved = written(&database, || {
        let outcome = stream.copy(&gap, &content, 0).unwrap();
        let yes = Copied::Yes {
            at: vec![9],
            pause: 0,
        };
        assert_eq!((outcome.answer, outcome.appended), (yes, None));
    });
    assert_eq!(moved, 1);
    // A stream that is no target costs what it did.
    let append = append(&json());
    let appended = written(&database, || {
        _ = stream.append(&append, b"[1]", 0).unwrap();
    });
    assert_eq!(appended, 1);
    let unfed = written(&database, || assert!(unfeed(&mut stream, "s", 1)));
    assert_eq!(unfed, 2, "its rows; its link goes with the table");
}

#[test]
fn many_parts_are_one_append() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    let (copy, content) = copy_of(&[
        ("a", 0, 2),
        ("b", 1, 3),
        ("b", 0, 1),
        ("a", 2, 3),
        ("b", 1, 2),
    ]);
    let outcome = stream.copy(&copy, &content, 0).unwrap();
    let at = vec![2, 0, 1, 3, 2];
    assert_eq!(outcome.answer, Copied::Yes { at, pause: 0 });
    let appended = outcome.appended.unwrap();
    assert_eq!((appended.count, appended.tail.position()), (5, 5));
    assert!(appended.is_new_data && !appended.closed);
    assert_eq!(text(&mut stream), "[0,1,0,2,1]");
    let news = stream.news(Offset::START, 1 << 20, 0).unwrap();
    assert_eq!(items_of(&news.body, true).len(), 5);
    // Messages that are arrays stay what they are.
    let content = b"[1,2]\n[]\n{\"a\":[\"\\n\"]}\n";
    let mut arrays = copy;
    arrays.parts.truncate(1);
    arrays.parts[0] = CopyPart {
        behind: 3,
        to: 6,
        length: content.len(),
        ..arrays.parts[0].clone()
    };
    stream.copy(&arrays, content, 0).unwrap();
    let all = "[0,1,0,2,1,[1,2],[],{\"a\":[\"\\n\"]}]";
    assert_eq!(text(&mut stream), all);
    assert_eq!(text(&mut Stream::new(&database)), all);
}

#[test]
fn bytes_come_as_base64() {
    let database = Sqlite::new();
    let mut stream = created_as(&database, &creation("text/plain"));
    feed(&mut stream, "s", 1);
    let pieces = ["héllo".as_bytes(), b"\0\xff", b"!"];
    let (mut copy, _) = copy_of(&[("a", 0, 6), ("b", 0, 2), ("a", 6, 7)]);
    let mut content = String::new();
    for (part, piece) in copy.parts.iter_mut().zip(pieces) {
        let text = STANDARD.encode(piece);
        (part.length, part.base64) = (text.len(), true);
        content.push_str(&text);
    }
    let outcome = stream.copy(&copy, content.as_bytes(), 0).unwrap();
    assert_eq!(outcome.appended.unwrap().count, 9);
    let page = stream.read(&reading(0), 100, 0).unwrap();
    assert_eq!(page.body, pieces.concat());
}

#[test]
fn content_that_is_none_is_refused_and_changes_nothing() {
    for (content_type, base64, content, length) in [
        (JSON, false, "0\n1\n", 3),
        (JSON, false, "0\n1\n", 5),
        (JSON, false, "0\n1", 3),
        (JSON, false, "0\nx\n", 4),
        (JSON, false, "0\n\n", 3),
        (JSON, false, "0]\n[1\n", 6),
        (JSON, true, "MAo=", 4),
        ("text/plain", false, "0\n1\n", 4),
        ("text/plain", true, "MA", 2),
    ] {
        let database = Sqlite::new();
        let mut stream = created_as(&database, &creation(content_type));
        feed(&mut stream, "s", 1);
        let (mut copy, _) = copy_of(&[("b", 0, 0), ("a", 0, 2)]);
        (copy.parts[1].length, copy.parts[1].base64) = (length, base64);
        let refused = written(&database, || {
            let refused = stream.copy(&copy, content.as_bytes(), 0);
            let is_invalid = matches!(
                refused,
                Err(Error::Invalid {
                    field: "the body",
                    ..
                })
            );
            assert!(is_invalid, "{content:?}: {refused:?}");
        });
        assert_eq!(refused, 0);
        // The cursor has not moved either.
        copy.parts.truncate(1);
        copy.parts[0].path = "a".into();
        let Copied::Yes { at, .. } = stream.copy(&copy, b"", 0).unwrap().answer else {
            panic!("it is fed");
        };
        assert_eq!(at, [0]);
    }
}

#[test]
fn copies_and_clients_append_to_one_stream() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    let by = |seq| Append {
        producer: Some(Claim {
            id: "p".into(),
            epoch: 0,
            seq,
        }),
        ..append(&json())
    };
    stream.append(&by(0), b"[\"p0\"]", 0).unwrap();
    copy(&mut stream, &[("a", 0, 2)]);
    // The producer goes on, and repeats; so does the copy.
    assert_eq!(stream.append(&by(1), b"[\"p1\"]", 0).unwrap().count, 1);
    assert_eq!(stream.append(&by(1), b"[\"p1\"]", 0).unwrap().count, 0);
    copy(&mut stream, &[("a", 0, 2)]);
    // A condition on the tail fails when a copy came in between, and holds at the new one.
    let at = |position| Append {
        if_match: Some(Condition::At(vec![Offset::new(position).unwrap()])),
        ..append(&json())
    };
    copy(&mut stream, &[("a", 2, 3)]);
    let overtaken = stream.append(&at(4), b"[\"x\"]", 0);
    assert!(matches!(overtaken, Err(Error::Overtaken { tail, .. }) if tail.position() == 5));
    stream.append(&at(5), b"[\"y\"]", 0).unwrap();
    // What `Stream-Seq` was goes on.
    let seq = |seq: &str| Append {
        seq: Some(seq.into()),
        ..append(&json())
    };
    stream.append(&seq("b"), b"[\"b\"]", 0).unwrap();
    copy(&mut stream, &[("a", 3, 4)]);
    let mut stream = Stream::new(&database);
    let older = stream.append(&seq("a"), b"[\"a\"]", 0);
    assert!(matches!(older, Err(Error::SeqRegression { .. })));
    copy(&mut stream, &[("a", 3, 4), ("a", 4, 5)]);
    let all = "[\"p0\",0,1,\"p1\",2,\"y\",\"b\",3,4]";
    assert_eq!(text(&mut stream), all);
}

#[test]
fn truncation_leaves_cursors_where_they_are() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    copy(&mut stream, &[("a", 0, 5)]);
    for before in [3, 5] {
        let truncate = Truncate {
            before: Offset::new(before).unwrap(),
            if_match: None,
        };
        stream.truncate(&truncate, 0).unwrap();
        while let (Some(job), _) = stream.next_job(&ABLE, 0) {
            let outcome = Bucket::default().carry_out(&job, Fault::None, 0).unwrap();
            assert_eq!(stream.finish(job, outcome, 0), Ok(true));
        }
        assert_eq!(copy(&mut stream, &[("a", 0, 5)]), [5]);
        stream = Stream::new(&database);
        assert_eq!(copy(&mut stream, &[("a", 0, 5)]), [5]);
    }
    assert_eq!(copy(&mut stream, &[("a", 5, 7)]), [7]);
    let page = stream.read(&reading(5), 100, 0).unwrap();
    assert_eq!((page.body, page.next.position()), (b"[5,\n6]".to_vec(), 7));
}

#[test]
fn what_is_copied_moves_to_the_bucket() {
    let database = Sqlite::new();
    created(&database);
    let mut stream = Stream::with_limits(&database, ROWS);
    feed(&mut stream, "s", 1);
    let mut bucket = Bucket::default();
    let mut kinds = std::collections::BTreeSet::new();
    for n in 0..40 {
        copy(
            &mut stream,
            &[("a", n, n + 1), ("b", n, n + 1), ("b", n, n + 1)],
        );
        while let (Some(job), errors) = stream.next_job(&ABLE, n * GRACE) {
            assert_eq!(errors, []);
            kinds.insert(job.name());
            // One comes meanwhile.
            copy(&mut stream, &[("a", n, n + 1)]);
            let outcome = bucket.carry_out(&job, Fault::None, n * GRACE).unwrap();
            assert_eq!(stream.finish(job, outcome, n * GRACE), Ok(true));
        }
        if n % 7 == 0 {
            stream = Stream::with_limits(&database, ROWS);
        }
    }
    assert!(
        kinds.contains("seal") && kinds.contains("merge"),
        "{kinds:?}"
    );
    assert!(bucket.objects.len() > 1 && rows(&database) == 1);
    let mut items = Vec::new();
    loop {
        let page = stream
            .read(&reading(items.len() as u64), 1 << 20, 0)
            .unwrap();
        let plan = Plan {
            is_json: true,
            parts: page.cold.clone(),
        };
        let body = match plan.parts.is_empty() {
            true => page.body.clone(),
            false => bucket.assemble(&plan, &page.body).unwrap(),
        };
        items.extend(items_of(&body, true));
        if page.up_to_date {
            break;
        }
    }
    let expected = (0..40).flat_map(|n| [n, n].map(|n: u64| n.to_string().into_bytes()));
    assert_eq!(items, expected.collect::<Vec<_>>());
    // The bucket is emptied with the stream, and the cursors go with it.
    stream.delete(40 * GRACE).unwrap();
    while let (Some(job), _) = stream.next_job(&ABLE, 99 * GRACE) {
        let outcome = bucket.carry_out(&job, Fault::None, 99 * GRACE).unwrap();
        stream.finish(job, outcome, 99 * GRACE).unwrap();
    }
    assert_eq!((bucket.objects.len(), rows(&database)), (0, 0));
}

#[test]
fn a_fork_of_a_target_is_none() {
    let (database, forks) = (Sqlite::new(), Sqlite::new());
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    copy(&mut stream, &[("a", 0, 2)]);
    let name = named("p/fork", "f");
    let claim = lend::Claim {
        fork: name.clone(),
        content_type: None,
        offset: None,
        sub_offset: 0,
    };
    let loan = stream.lend(&claim, 0).unwrap();
    let source = StreamPath::parse("/v1/stream/p/target").unwrap();
    let request = Create {
        fork: Some(Fork {
            source,
            offset: None,
            sub_offset: 0,
        }),
        ..creation(JSON)
    };
    let mut fork = Stream::new(&forks);
    fork.create(&request, Some(&loan), b"", name, KEY, 0)
        .unwrap();
    assert_eq!((text(&mut fork).as_str(), rows(&forks)), ("[0,1]", 0));
    assert!(!fork.is_target() && fork.links() == Ok(Vec::new()));
    let (mut copy_to_fork, content) = copy_of(&[("a", 2, 3)]);
    copy_to_fork.target = fork.end_of().unwrap().0;
    let refused = fork.copy(&copy_to_fork, &content, 0).unwrap().answer;
    assert_eq!(refused, Copied::NotFed);
    // Copies go on in the one, and not in the other.
    copy(&mut stream, &[("a", 2, 3)]);
    assert_eq!(text(&mut fork), "[0,1]");
    // A target that is kept for its forks is none any more.
    stream.link("pattern", Interest::Copies).unwrap();
    assert_eq!(stream.delete(0), Ok(End::Kept));
    for _ in 0..2 {
        let (copy, content) = copy_of(&[("a", 3, 4)]);
        assert_eq!(
            stream.copy(&copy, &content, 0).unwrap().answer,
            Copied::Gone
        );
        assert_eq!(feed(&mut stream, "s", 1), Fed::Absent);
        assert_eq!((rows(&database), stream.is_target()), (0, false));
        // Both are to hear of the end.
        let links = of(&[("pattern", Interest::Ends), ("s", Interest::Target)]);
        assert_eq!(interests(&mut stream), links);
        assert_eq!(stream.farewells().len(), 1);
        stream = Stream::new(&database);
    }
    assert!(unfeed(&mut stream, "s", 1));
    assert_eq!(interests(&mut stream), of(&[("pattern", Interest::Ends)]));
}

#[test]
fn a_stream_in_place_of_a_target_is_none() {
    let database = Sqlite::new();
    let mut stream = created(&database);
    feed(&mut stream, "s", 1);
    stream.link("pattern", Interest::Copies).unwrap();
    copy(&mut stream, &[("a", 0, 2)]);
    stream.delete(0).unwrap();
    create_again(&mut stream);
    for _ in 0..2 {
        let links = of(&[("pattern", Interest::Ends), ("s", Interest::Target)]);
        assert_eq!(interests(&mut stream), links);
        assert!(!stream.is_target());
        let (copy, content) = copy_of(&[("a", 2, 3)]);
        assert_eq!(
            stream.copy(&copy, &content, 0).unwrap().answer,
            Copied::Gone
        );
        stream = Stream::new(&database);
    }
    // Who asks for it may copy it.
    stream.link("pattern", Interest::Copies).unwrap();
    assert_eq!(interests(&mut stream)[0].1, Interest::Copies);
    // It becomes one, of the next subscription of that name.
    assert!(is_fed(&feed(&mut stream, "s", 2)));
    let links = of(&[("pattern", Interest::Wakes), ("s", Interest::Target)]);
    assert_eq!(interests(&mut stream), links);
    // The end of the last one is said to the one that is linked, and does not unlink this one.
    assert_eq!(stream.unlink("s", Some(&target())), Ok(false));
    assert!(stream.is_target());
}

#[test]
fn copies_do_not_keep_a_stream_alive() {
    let database = Sqlite::new();
    let request = Create {
        expiry: Some(Expiry::Ttl(TTL / 1000)),
        ..creation(JSON)
    };
    let mut stream = created_as(&database, &request);
    let at = |now| {
        let (mut copy, content) = copy_of(&[("a", now, now + 1)]);
        copy.parts[0].since = now;
        (copy, content)
    };
    feed(&mut stream, "s", 1);
    for now in [TTL / 2, TTL * 3 / 4] {
        let (copy, content) = at(now);
        let copied = written(&database, || {
            drop(stream.copy(&copy, &content, now).unwrap())
        });
        assert_eq!((copied, stream.deadline()), (2, Some(TTL)));
    }
    stream.read(&reading(0), 100, TTL * 3 / 4).unwrap();
    assert_eq!(stream.deadline(), Some(TTL * 7 / 4));
    let (copy, content) = at(TTL * 7 / 4);
    assert_eq!(stream.expire(TTL * 7 / 4 - 1), Ok(None));
    // Also for whoever does not look whether it is over.
    let gone = stream.copy(&copy, &content, TTL * 7 / 4).unwrap();
    assert_eq!(gone.answer, Copied::Gone);
    assert!(stream.expire(TTL * 7 / 4).unwrap().is_some());
    assert_eq!(stream.farewells().len(), 1);
}
