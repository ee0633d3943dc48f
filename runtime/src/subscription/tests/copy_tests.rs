//! From a source to its target: what is copied, when, and what of it is refused.

use serde_json::{Value, json};

use super::copying::{JSON, NAME, message};
use super::world::{World, call, code, offset, seen};
use crate::protocol::ask::{self, Call, Interest, Kept, Life, TOLD, Told};
use crate::protocol::root::Root;

/// A request, with the fields that a test is about.
pub fn copy(more: &Value) -> Value {
    let mut body = json!({ "type": "copy", "target_stream": "inbox" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A target and two sources.
pub fn streams() -> World {
    let world = World::new();
    for path in ["inbox", "a", "b"] {
        world.create(path);
    }
    world.run(10);
    world
}

fn copying(more: &Value) -> World {
    let world = streams();
    world.put(&copy(more));
    world
}

fn messages(world: &World) -> Vec<String> {
    world.stream("inbox").target.messages
}

/// What was asked of whom since the last time.
fn asked(world: &World) -> Vec<String> {
    let questions = world.questions.take();
    questions.iter().map(|it| it.replace(NAME, "s")).collect()
}

/// A request of somebody of whom nobody knows what they may.
fn unchecked(question: &str, body: &Value) -> String {
    ask::say(&Call {
        root: Root::of_project("p"),
        id: "s".into(),
        base: String::new(),
        token: None,
        rest: String::new(),
        body: body.to_string(),
        may_copy: false,
        into: None,
    })
    .replace("\"question\"", question)
}

#[test]
fn what_is_appended_is_copied_once_and_in_order() {
    let world = copying(&json!({ "streams": ["a", "b"] }));
    world.push("a", 3);
    world.push("b", 2);
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3, 4]);
    assert_eq!(world.copied("inbox", "b"), [1, 2]);
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 4)));
    let shown = world.get();
    for (field, value) in [
        ("type", json!("copy")),
        ("target_stream", json!("inbox")),
        ("from", json!("now")),
        ("envelope", json!(false)),
        ("lease_ttl_ms", Value::Null),
        ("webhook", Value::Null),
        ("wake_stream", Value::Null),
        ("wake_id", Value::Null),
        ("lag", json!(0)),
        ("pending", json!(0)),
        ("status", json!("active")),
        ("parked", json!(false)),
        ("last_error", Value::Null),
        ("attempts", json!(0)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    let target = world.call("target", &Value::Null);
    assert_eq!(
        (target.0, &target.1["target_stream"]),
        (200, &json!("inbox"))
    );
}

#[test]
fn from_now_copies_what_comes_and_from_start_what_is_there() {
    for (from, expected) in [("now", vec![4, 5]), ("start", vec![1, 2, 3, 4, 5])] {
        for by in [json!({ "streams": ["a"] }), json!({ "pattern": "a" })] {
            let world = streams();
            world.append("a", 3);
            world.change("a", |stream| {
                stream.source.most = 2;
                stream.source.start = 1;
            });
            world.run(10);
            let mut body = copy(&by);
            body["from"] = json!(from);
            world.put(&body);
            world.push("a", 2);
            assert_eq!(world.copied("inbox", "a"), expected, "{from} {by}");
        }
    }
}

#[test]
fn streams_that_come_later_are_copied_from_their_start() {
    for from in ["now", "start"] {
        let world = copying(&json!({ "pattern": "later/**", "streams": ["c"], "from": from }));
        world.run(10);
        world.push("later/x", 2);
        world.push("c", 2);
        assert_eq!(world.copied("inbox", "later/x"), [1, 2], "{from}");
        assert_eq!(world.copied("inbox", "c"), [1, 2], "{from}");
        assert_eq!(world.cursor("later/x"), Some(("glob".into(), 2)));
    }
}

#[test]
fn the_end_of_an_older_stream_does_not_hide_where_the_next_one_starts() {
    let told = |world: &World, path: &str, born, ended| {
        let source = ask::Source {
            content_type: JSON.to_owned(),
            is_target: false,
            slice: None,
        };
        let told = Told {
            name: format!("p/{path}"),
            life: Life {
                born,
                incarnation: format!("{born}-{path}"),
            },
            since: 5,
            start: Some(2),
            tail: 5,
            ended,
            source: (!ended).then_some(source),
        };
        world.ask(TOLD, ask::say(&told)).unwrap();
    };
    let world = copying(&json!({ "pattern": "s/*", "streams": ["n"], "from": "start" }));
    let later = world.now.get() + 1;
    for path in ["s/1", "n"] {
        told(&world, path, 1, true);
        told(&world, path, 2, false);
        assert_eq!(world.cursor(path).map(|(_, at)| at), Some(0), "{path}");
        told(&world, path, later, true);
        told(&world, path, later + 1, false);
        assert_eq!(world.cursor(path).map(|(_, at)| at), Some(2), "{path}");
    }
}

#[test]
fn a_long_history_comes_in_slices_while_news_come() {
    let world = streams();
    world.append("a", 40);
    world.change("a", |stream| stream.source.most = 7);
    world.run(10);
    world.put(&copy(&json!({ "streams": ["a", "b"], "from": "start" })));
    world.append("a", 5);
    world.push("b", 1);
    world.tell();
    assert_eq!(world.copied("inbox", "a"), (1..=45).collect::<Vec<_>>());
    assert_eq!(world.copied("inbox", "b"), [1]);
}

#[test]
fn what_was_dropped_of_a_source_is_passed_over() {
    let world = streams();
    world.append("a", 9);
    world.change("a", |stream| stream.source.earliest = 6);
    world.run(10);
    world.put(&copy(&json!({ "streams": ["a"], "from": "start" })));
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [7, 8, 9, 10]);
}

#[test]
fn a_source_that_does_not_know_is_told_where_to_go_on() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.push("a", 3);
    for guess in [Some(3), Some(0), Some(1), None] {
        world.change("a", |stream| {
            stream.source.at = None;
            stream.source.guess = guess;
        });
        world.push("a", 1);
    }
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3, 4, 5, 6, 7]);
    // Nobody knows any more but the target, which is asked, so that nothing is sent in vain.
    world.change("a", |stream| {
        stream.source.at = None;
        stream.source.guess = None;
    });
    world.crash();
    let before = world.stream("inbox").target.copies.len();
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(world.stream("inbox").target.copies.len() - before, 2);
}

#[test]
fn envelopes_say_where_a_message_is_from() {
    let world = copying(&json!({ "streams": ["a", "b"], "envelope": true }));
    world.change("b", |stream| stream.source.content_type = "text/plain");
    world.push("a", 2);
    world.push("b", 5);
    let life = world.stream("a").life.unwrap();
    let read = |n: usize| serde_json::from_str::<Value>(&messages(&world)[n]).unwrap();
    for n in [1, 2] {
        let data: Value = serde_json::from_str(&message("a", &life, n)).unwrap();
        let expected = json!({ "stream": "a", "offset": offset(n), "data": data });
        assert_eq!(read(n as usize - 1), expected);
    }
    assert_eq!(
        read(2),
        json!({ "stream": "b", "offset": offset(5), "data": "eHh4eHg=", "encoding": "base64" })
    );
    assert_eq!(world.get()["envelope"], json!(true));
}

#[test]
fn bytes_are_copied_as_they_are() {
    let world = streams();
    for path in ["inbox", "a"] {
        world.change(path, |stream| stream.source.content_type = "text/plain");
    }
    world.put(&copy(&json!({ "streams": ["a"] })));
    world.push("a", 3);
    assert_eq!(messages(&world), ["xxx"]);
}

#[test]
fn a_stream_of_another_type_is_refused_by_name_and_passed_over_by_pattern() {
    let text = "its type is text/plain, the target's application/json";
    let world = streams();
    world.change("b", |stream| stream.source.content_type = "text/plain");
    let answer = world.call("create", &copy(&json!({ "streams": ["a", "b"] })));
    assert_eq!(code(&answer), (400, "INVALID_REQUEST"));
    let said = answer.1["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        said.starts_with("streams must not hold \"b\"") && said.contains(text),
        "{said}"
    );
    world.run(10);
    assert_left_nothing(&world);

    world.put(&copy(&json!({ "pattern": "*", "streams": ["c"] })));
    let refused = |path: &str| {
        let shown = world.get();
        let streams = shown["streams"].as_array().unwrap().clone();
        let link = streams.into_iter().find(|link| link["path"] == path);
        link.unwrap().get("refused").cloned()
    };
    assert_eq!((refused("a"), refused("b")), (None, Some(json!(text))));
    // One that was named and comes later is passed over, too, until another one has its name.
    world.change("c", |stream| stream.source.content_type = "text/plain");
    world.push("c", 1);
    assert_eq!(refused("c"), Some(json!(text)));
    assert_eq!(world.stream("c").source.interest, Some(Interest::Ends));
    world.push("b", 1);
    assert_eq!(messages(&world).len(), 0);
    world.run(10);
    world.end("c");
    assert_eq!(
        world.stream("c").source.interest,
        Some(Interest::NamedCopies)
    );
    assert_eq!(refused("c"), None);
    world.change("c", |stream| stream.source.content_type = JSON);
    world.push("c", 1);
    assert_eq!(world.copied("inbox", "c"), [1]);
    // To name it is refused, and changes nothing.
    let before = world.get()["streams"].clone();
    let answer = world.call("add", &json!({ "streams": ["b", "d"] }));
    assert_eq!(code(&answer), (400, "INVALID_REQUEST"));
    assert_eq!(world.get()["streams"], before);
}

fn assert_left_nothing(world: &World) {
    assert_eq!(code(&world.call("get", &Value::Null)).0, 404);
    world.run(100);
    assert!(world.watches.borrow().is_empty());
    assert!(
        world
            .streams
            .borrow()
            .values()
            .all(|s| s.target.fed.is_empty())
    );
    let tables = world.database.texts("SELECT name FROM sqlite_master");
    assert!(tables.is_empty(), "{tables:?}");
}

#[test]
fn a_target_that_cannot_be_one_is_refused_and_nothing_is_left() {
    let create = |world: &World, more: &Value| {
        let answer = world.call("create", &copy(more));
        assert_left_nothing(world);
        let said = answer.1["error"]["message"].as_str().unwrap().to_owned();
        let (status, name) = code(&answer);
        (status, name.to_owned(), said)
    };
    let by_name = json!({ "streams": ["a"] });
    let world = World::new();
    world.create("a");
    let (status, name, said) = create(&world, &by_name);
    assert_eq!((status, name.as_str()), (404, "TARGET_NOT_FOUND"));
    assert_eq!(
        said,
        "there is no stream \"inbox\" to copy into; create it first"
    );
    let world = streams();
    world.change("inbox", |stream| stream.target.is_closed = true);
    let (status, name, said) = create(&world, &by_name);
    assert_eq!((status, name.as_str()), (409, "TARGET_CLOSED"));
    assert_eq!(
        said,
        "nothing can be copied into \"inbox\": the stream is closed"
    );
    let world = streams();
    world.change("inbox", |stream| {
        stream.source.interest = Some(Interest::NamedCopies)
    });
    let (status, name, _) = create(&world, &by_name);
    assert_eq!((status, name.as_str()), (409, "TARGET_IS_SOURCE"));
    let world = streams();
    world.change("inbox", |stream| stream.source.content_type = "text/plain");
    let (status, name, said) = create(&world, &json!({ "streams": ["a"], "envelope": true }));
    assert_eq!((status, name.as_str()), (400, "INVALID_REQUEST"));
    assert!(
        said.starts_with("envelope takes a target of type application/json"),
        "{said}"
    );
    let (status, name, said) = create(&world, &json!({ "streams": ["a", "inbox"] }));
    assert_eq!((status, name.as_str()), (400, "INVALID_REQUEST"));
    assert!(said.contains("own target_stream"), "{said}");
}

#[test]
fn what_is_a_target_is_never_a_source() {
    let other = Life {
        born: 1,
        incarnation: "1-1".into(),
    };
    let world = streams();
    world.change("b", |stream| {
        drop(stream.target.fed.insert("other".into(), other.clone()))
    });
    let answer = world.call("create", &copy(&json!({ "streams": ["b", "a"] })));
    assert_eq!(code(&answer), (409, "SOURCE_IS_TARGET"));
    let said = answer.1["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("streams must not hold \"b\""), "{said}");
    assert_eq!(code(&world.call("get", &Value::Null)).0, 404);

    world.put(&copy(&json!({ "pattern": "*" })));
    world.push("b", 1);
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "b"), Vec::<u64>::new());
    let answer = world.call("add", &json!({ "streams": ["b"] }));
    assert_eq!(code(&answer), (409, "SOURCE_IS_TARGET"));
    assert_eq!(world.cursor("b"), Some(("glob".into(), 0)));
    // The target itself is passed over, too.
    assert_eq!(world.cursor("inbox"), None);
    // One that becomes a target says so, and is a source no more.
    world.change("a", |stream| {
        drop(stream.target.fed.insert("other".into(), other))
    });
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1]);
    assert_eq!(world.stream("a").source.interest, Some(Interest::Ends));
    assert!(
        world
            .get()
            .to_string()
            .contains("it is the target of copies itself")
    );
}

#[test]
fn the_same_request_changes_nothing_and_another_one_is_refused() {
    let world = copying(&json!({ "streams": ["a"] }));
    let same = copy(&json!({ "streams": ["/a"], "from": "now", "envelope": false }));
    assert_eq!(world.call("create", &same).0, 200);
    for other in [
        json!({ "streams": ["a"], "from": "start" }),
        json!({ "streams": ["a"], "envelope": true }),
        json!({ "streams": ["a"], "target_stream": "b" }),
        json!({ "streams": ["b"] }),
    ] {
        let answer = world.call("create", &copy(&other));
        assert_eq!(
            code(&answer),
            (409, "SUBSCRIPTION_ALREADY_EXISTS"),
            "{other}"
        );
    }
}

#[test]
fn nobody_has_copied_what_they_may_not_read() {
    let world = streams();
    let body = copy(&json!({ "streams": ["a"] }));
    let refused = |question: &str, body: &Value| {
        let reply = world.ask(question, unchecked(question, body)).unwrap();
        let answer = seen(&reply);
        assert_eq!(code(&answer), (403, "UNCHECKED"));
        assert_eq!(answer.1["error"]["target_stream"], json!("inbox"));
    };
    refused("create", &body);
    assert_eq!(code(&world.call("get", &Value::Null)).0, 404);
    world.put(&body);
    refused("add", &json!({ "streams": ["b"] }));
    assert_eq!(world.cursor("b"), None);
    assert_eq!(world.call("add", &json!({ "streams": ["b"] })).0, 204);
    assert_eq!(world.call_with("remove", &Value::Null, None, "b").0, 204);
}

#[test]
fn who_may_ask_about_copies_into_one_stream_learns_of_no_others() {
    let world = copying(&json!({ "streams": ["a"] }));
    let ask = |question: &str, into: &str| {
        let body = json!({ "streams": ["b"] });
        let mut call: Call = serde_json::from_str(&unchecked(question, &body)).unwrap();
        call.may_copy = true;
        call.into = Some(into.to_owned());
        seen(&world.ask(question, ask::say(&call)).unwrap())
    };
    for question in ["get", "add", "remove", "delete"] {
        let refused = ask(question, "inbox/2");
        assert_eq!(
            code(&refused),
            (404, "SUBSCRIPTION_NOT_FOUND"),
            "{question}"
        );
    }
    for question in ["get", "add", "remove", "delete"] {
        assert_eq!(ask(question, "inbox").0 / 100, 2, "{question}");
    }
}

#[test]
fn what_is_about_wakes_is_refused() {
    let world = copying(&json!({ "streams": ["a"] }));
    for question in ["claim", "ack", "release", "callback", "retry"] {
        let answer = world.call(question, &json!({ "worker": "w" }));
        assert_eq!(code(&answer), (400, "INVALID_REQUEST"), "{question}");
        let said = answer.1["error"]["message"].as_str().unwrap();
        assert!(said.contains("is of type copy"), "{said}");
    }
    let world = World::new();
    world.put(
        &json!({ "type": "webhook", "streams": ["a"], "webhook": { "url": super::world::HOOK } }),
    );
    assert_eq!(code(&world.call("target", &Value::Null)).0, 404);
}

#[test]
fn a_message_costs_no_row_and_a_question_of_each() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.push("a", 1);
    world.settle();
    let before = (world.database.written.get(), world.alarms.get());
    asked(&world);
    for n in 0..20 {
        world.run(100 + n);
        world.push("a", 1);
    }
    assert_eq!(asked(&world), vec!["copy p/inbox"; 20]);
    assert_eq!((world.database.written.get(), world.alarms.get()), before);
    // The first one asked how far it is before.
    assert_eq!(world.stream("inbox").target.copies.len(), 22);
}

#[test]
fn the_row_of_a_source_is_written_once() {
    let world = copying(&json!({ "pattern": "x/*" }));
    world.run(10);
    let before = world.database.written.get();
    for _ in 0..5 {
        world.push("x/1", 1);
    }
    assert_eq!(world.database.written.get() - before, 1);
    world.crash();
    world.push("x/1", 1);
    assert_eq!(world.database.written.get() - before, 1);
    assert_eq!(world.copied("inbox", "x/1"), [1, 2, 3, 4, 5, 6]);
}

/// Tells of so many sources at once. Gives who waits.
fn tell_of(world: &World, paths: &[String]) -> Vec<(String, super::world::Slot)> {
    let began = paths.iter().map(|path| {
        let (_, slot) = world.begin_telling(path);
        (path.clone(), slot)
    });
    began.collect()
}

fn many(count: usize) -> (World, Vec<String>) {
    let world = World::new();
    world.create("inbox");
    let paths: Vec<String> = (0..count).map(|n| format!("s/{n}")).collect();
    for path in &paths {
        world.create(path);
    }
    world.run(10);
    world.put(&copy(&json!({ "pattern": "s/*" })));
    for path in &paths {
        world.append(path, 1);
        world.change(path, |stream| stream.source.at = Some(0));
    }
    world.run(100);
    (world, paths)
}

#[test]
fn what_waits_is_sent_together_and_not_too_often() {
    let (world, paths) = many(60);
    asked(&world);
    world.held.borrow_mut().insert("copy");
    let waiting = tell_of(&world, &paths);
    world.settle();
    assert!(waiting.iter().all(|(_, slot)| slot.get().is_none()));
    world.held.borrow_mut().clear();
    let start = world.now.get();
    world.run(50);
    for (path, slot) in waiting {
        let kept = world.is_answered(&path, slot.get()).unwrap();
        assert_eq!(kept.copying.unwrap().at, 1, "{path}");
    }
    // The first one went at once, alone, and all others after 50 ms, together.
    assert_eq!(
        world.stream("inbox").target.copies,
        [(start, 1), (start + 50, 59)]
    );
    assert_eq!(asked(&world), ["copy p/inbox", "copy p/inbox"]);
    for path in &paths {
        assert_eq!(world.copied("inbox", path), [1]);
    }
    // Who comes later goes at once again.
    world.run(100);
    world.push("s/0", 1);
    assert_eq!(world.stream("inbox").target.copies[2], (start + 150, 1));
}

/// Paths of streams with long messages.
fn long_paths(count: usize) -> Vec<String> {
    let long = "x".repeat(400);
    (0..count).map(|n| format!("s/{long}{n}")).collect()
}

#[test]
fn a_question_is_no_longer_than_it_may_be() {
    let world = copying(&json!({ "pattern": "s/*" }));
    let paths = long_paths(40);
    for path in &paths {
        world.append(path, 200);
        world.change(path, |stream| {
            stream.source.interest = Some(Interest::Copies);
            stream.source.at = Some(0);
            stream.source.most = 200;
        });
    }
    let length = world.telling(&paths[0]).unwrap().1.len();
    let waiting = tell_of(&world, &paths);
    world.run(5_000);
    let fitting = (512 << 10) / (length + paths[0].len() + 256);
    let copies = world.stream("inbox").target.copies;
    assert!(
        copies.iter().all(|(_, parts)| *parts <= fitting),
        "{copies:?}"
    );
    assert!(copies.len() < 40 / fitting + 4, "{copies:?}");
    for (path, slot) in waiting {
        world.is_answered(&path, slot.get()).unwrap();
        world.tell_all(&path);
        assert_eq!(world.copied("inbox", &path).len(), 200);
    }
}

#[test]
fn what_does_not_fit_into_memory_is_held_back() {
    let world = copying(&json!({ "pattern": "s/*" }));
    let paths = long_paths(60);
    for path in &paths {
        world.append(path, 300);
        world.change(path, |stream| {
            stream.source.interest = Some(Interest::Copies);
            stream.source.at = Some(0);
            stream.source.most = 300;
        });
    }
    world.held.borrow_mut().insert("copy");
    let waiting = tell_of(&world, &paths);
    world.settle();
    let answered = waiting.iter().filter_map(|(_, slot)| slot.get());
    let held_back: Vec<Kept> = answered
        .map(|reply| ask::answered(&(reply.status, reply.body)).unwrap())
        .collect();
    assert!(!held_back.is_empty());
    for kept in held_back {
        let copying = kept.copying.unwrap();
        assert_eq!((kept.keep, copying.at), (true, 0));
        assert!((1_000..2_000).contains(&copying.pause), "{}", copying.pause);
    }
    world.held.borrow_mut().clear();
    world.run(5_000);
    for (path, slot) in waiting {
        world.is_answered(&path, slot.get()).unwrap();
        world.tell_all(&path);
    }
    assert_eq!(messages(&world).len(), 60 * 300);
    assert_eq!(
        world.copied("inbox", &paths[59]),
        (1..=300).collect::<Vec<_>>()
    );
}

#[test]
fn a_target_that_nobody_reads_slows_its_sources_down() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.change("inbox", |stream| stream.target.pause = 10_000);
    world.push("a", 1);
    assert_eq!(world.stream("a").source.pause, 10_000);
}

#[test]
fn a_target_that_does_not_answer_is_told_of_again() {
    for way in ["failing", "held"] {
        let world = copying(&json!({ "streams": ["a"] }));
        world.push("a", 1);
        world.run(100);
        match way {
            "failing" => world.failing.borrow_mut().insert("copy"),
            _ => world.held.borrow_mut().insert("copy"),
        };
        let written = world.database.written.get();
        world.append("a", 1);
        for _ in 0..3 {
            let (_, slot) = world.begin_telling("a");
            let since = world.now.get();
            assert!(world.run_until(20_000, |_| slot.get().is_some()));
            assert!(world.now.get() - since <= 10_050, "{way}");
            assert_eq!(slot.get().unwrap().status, 503);
        }
        let shown = world.get();
        assert_eq!(
            (&shown["status"], &shown["attempts"], &shown["parked"]),
            (&json!("failed"), &json!(3), &json!(false))
        );
        assert!(shown["last_error"].is_string());
        // What is known is shown where the target is not heard in time.
        assert_eq!(world.cursor("a"), Some(("explicit".into(), 0)));
        assert_eq!(
            world.database.written.get() - written,
            1,
            "one row when it begins"
        );
        world.failing.borrow_mut().clear();
        world.held.borrow_mut().clear();
        world.run(10_000);
        world.push("a", 1);
        assert_eq!(
            world.database.written.get() - written,
            2,
            "and one when it ends"
        );
        assert_eq!(world.copied("inbox", "a"), [1, 2, 3]);
        let shown = world.get();
        assert_eq!(
            (&shown["status"], &shown["attempts"]),
            (&json!("active"), &json!(0))
        );
    }
}

#[test]
fn a_source_that_ends_leaves_neither_lag_nor_failure() {
    let world = copying(&json!({ "streams": ["a", "b"] }));
    world.push("a", 1);
    world.failing.borrow_mut().insert("copy");
    world.push("a", 2);
    assert_eq!(world.get()["status"], "failed");
    world.end("a");
    world.failing.borrow_mut().clear();
    let shown = world.get();
    let fields = ["status", "last_error", "lag", "pending"];
    let shown = fields.map(|field| shown[field].clone());
    assert_eq!(shown, [json!("active"), Value::Null, json!(0), json!(0)]);
}

#[test]
fn a_subscription_does_not_copy_its_target_for_one_that_had_its_name() {
    let world = copying(&json!({ "streams": ["a"] }));
    let told = |born, incarnation: &str| {
        let life = Life {
            born,
            incarnation: incarnation.into(),
        };
        assert!(world.told("p/inbox", life, 0, 0, false));
        world.stream("inbox").source.interest
    };
    world.change("inbox", |stream| {
        stream.source.interest = Some(Interest::NamedCopies);
    });
    assert_eq!(told(1, "other"), Some(Interest::Ends));
    let target = world.stream("inbox").life.unwrap();
    assert_eq!(
        told(target.born, &target.incarnation),
        Some(Interest::Target)
    );
}

#[test]
fn a_closed_target_parks_the_subscription() {
    let world = copying(&json!({ "streams": ["a"], "pattern": "s/*" }));
    world.push("a", 1);
    world.run(100);
    world.change("inbox", |stream| stream.target.is_closed = true);
    world.push("a", 1);
    let shown = world.get();
    assert_eq!(
        (&shown["status"], &shown["parked"], &shown["last_error"]),
        (
            &json!("failed"),
            &json!(true),
            &json!("the target stream is closed")
        )
    );
    // Its sources are let go.
    assert!(world.stream("a").links.is_empty());
    world.push("s/1", 1);
    assert!(world.stream("s/1").links.is_empty());
    let answer = world.call("add", &json!({ "streams": ["b"] }));
    assert_eq!(code(&answer), (400, "INVALID_REQUEST"));
    let next = world.alarm.get();
    world.run(600_000);
    assert!(next.is_none() || world.alarm.get().is_none());
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    assert_left_nothing(&world);
    assert_eq!(world.stream("inbox").target.unfed, 1);
}

#[test]
fn a_target_that_is_gone_takes_the_subscription_with_it() {
    // It tells of its end, or is asked to copy, and is another one perhaps.
    for way in ["told", "asked", "anew", "registered"] {
        let world = copying(&json!({ "streams": ["a"], "pattern": "*" }));
        world.push("a", 1);
        world.run(100);
        let life = world.stream("inbox").life.clone().unwrap();
        match way {
            "told" => world.end("inbox"),
            _ => world.change("inbox", |stream| {
                stream.life = None;
                stream.target = super::copying::Target::default();
            }),
        }
        if matches!(way, "anew" | "registered") {
            world.create("inbox");
        }
        match way {
            "told" => {}
            "registered" => {
                let new = world.stream("inbox").life.unwrap();
                assert!(new.is_after(&life));
                assert!(world.told("p/inbox", new, 0, 0, false));
            }
            _ => world.push("a", 1),
        }
        assert_left_nothing(&world);
        // Nobody copies into the new one, and its sources are let go.
        world.push("a", 1);
        assert!(world.stream("a").links.is_empty(), "{way}");
        assert_eq!(messages(&world).len(), 0);
    }
}

#[test]
fn a_target_that_ends_before_it_was_heard_takes_the_subscription_with_it() {
    let world = streams();
    world.held.borrow_mut().insert("feed");
    let body = copy(&json!({ "streams": ["a"] }));
    world.begin("create", call(&body, None, ""));
    world.run(10);
    let target = world.stream("inbox").life.unwrap();
    let ends = || world.told("p/inbox", target.clone(), 0, 0, true);
    assert!(!ends());
    world.held.borrow_mut().clear();
    world.run(1_000);
    world.change("inbox", |stream| stream.target.fed.clear());
    assert!(ends());
    assert_left_nothing(&world);
}

#[test]
fn the_end_of_an_older_target_is_nothing_to_a_subscription() {
    let world = copying(&json!({ "streams": ["a"] }));
    let told = Told {
        name: "p/inbox".into(),
        life: Life {
            born: 5,
            incarnation: "5-5".into(),
        },
        since: 0,
        start: None,
        tail: 0,
        ended: true,
        source: None,
    };
    let reply = world.ask(TOLD, ask::say(&told)).unwrap();
    let kept: Kept = ask::answered(&(reply.status, reply.body)).unwrap();
    assert!(kept.keep, "it has to hear of its own");
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1]);
}

#[test]
fn a_target_that_has_lost_its_link_is_asked_again() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.push("a", 1);
    world.change("inbox", |stream| stream.target.fed.clear());
    world.push("a", 1);
    assert_eq!(world.get()["status"], "failed");
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3]);
    assert_eq!(world.get()["status"], "active");
    // It is the end if it will not be the target any more.
    world.change("inbox", |stream| {
        stream.target.fed.clear();
        stream.source.interest = Some(Interest::NamedCopies);
    });
    world.push("a", 1);
    assert_left_nothing(&world);
}

#[test]
fn a_subscription_that_was_deleted_is_forgotten_by_its_target() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.push("a", 1);
    world.failing.borrow_mut().insert("unfeed");
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    world.run(100);
    assert_eq!(world.stream("inbox").target.fed.len(), 1);
    world.crash();
    world.failing.borrow_mut().clear();
    world.run(120_000);
    assert_left_nothing(&world);
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1]);
}

#[test]
fn a_stream_that_is_removed_and_added_again_repeats_nothing() {
    for (from, expected) in [("now", vec![1, 2, 5]), ("start", vec![1, 2, 3, 4, 5])] {
        let world = copying(&json!({ "streams": ["a", "b"], "from": from }));
        world.push("a", 2);
        assert_eq!(world.call_with("remove", &Value::Null, None, "a").0, 204);
        world.push("a", 1);
        assert!(world.stream("a").links.is_empty());
        world.append("a", 1);
        world.run(10);
        assert_eq!(world.call("add", &json!({ "streams": ["a"] })).0, 204);
        world.push("a", 1);
        assert_eq!(world.copied("inbox", "a"), expected, "{from}");
    }
}

#[test]
fn late_slices_of_a_removed_stream_are_not_copied() {
    let world = copying(&json!({ "streams": ["a", "b"] }));
    for path in ["a", "b"] {
        world.append(path, 1);
        world.change(path, |stream| stream.source.at = Some(0));
    }
    world.held.borrow_mut().insert("copy");
    let (_, first) = world.begin_telling("b");
    let (_, late) = world.begin_telling("a");
    world.settle();
    assert_eq!(world.call_with("remove", &Value::Null, None, "a").0, 204);
    world.held.borrow_mut().clear();
    world.run(100);
    assert!(world.is_answered("b", first.get()).unwrap().keep);
    assert!(!world.is_answered("a", late.get()).unwrap().keep);
    assert_eq!(world.copied("inbox", "a"), Vec::<u64>::new());
}

#[test]
fn what_a_pattern_and_somebody_link_is_one_source() {
    let world = copying(&json!({ "pattern": "*" }));
    world.push("a", 2);
    assert_eq!(world.stream("a").source.interest, Some(Interest::Copies));
    assert_eq!(world.call("add", &json!({ "streams": ["a"] })).0, 204);
    assert_eq!(
        world.stream("a").source.interest,
        Some(Interest::NamedCopies)
    );
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 2)));
    world.push("a", 1);
    assert_eq!(world.call_with("remove", &Value::Null, None, "a").0, 204);
    world.run(100);
    assert_eq!(world.stream("a").source.interest, Some(Interest::Copies));
    world.push("a", 1);
    assert_eq!(world.cursor("a"), Some(("glob".into(), 4)));
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3, 4]);
}

#[test]
fn a_source_that_is_made_anew_is_copied_from_its_start() {
    for by in [json!({ "streams": ["a"] }), json!({ "pattern": "*" })] {
        for from in ["now", "start"] {
            let mut body = by.clone();
            body["from"] = json!(from);
            let world = copying(&body);
            world.push("a", 2);
            world.run(10);
            world.end("a");
            world.run(10);
            world.push("a", 3);
            assert_eq!(world.copied("inbox", "a"), [1, 2, 3], "{body}");
            assert_eq!(world.copies_of("inbox", "a").len(), 5);
        }
    }
}

#[test]
fn who_is_created_anew_while_a_copy_is_under_way_copies_each_message_once() {
    for from in ["now", "start"] {
        let body = copy(&json!({ "streams": ["a"], "from": from }));
        let world = streams();
        world.put(&body);
        world.push("a", 1);
        world.append("a", 1);
        world.run(100);
        world.held.borrow_mut().insert("copy");
        let (_, slot) = world.begin_telling("a");
        world.settle();
        assert_eq!(world.call("delete", &Value::Null).0, 204);
        world.run(100);
        let second = world.put(&body);
        assert_eq!(second["backfill"]["state"], "complete");
        world.held.borrow_mut().clear();
        world.run(10_000);
        assert_eq!(slot.get().unwrap().status, 503, "it is told again");
        world.tell();
        world.push("a", 1);
        // What the old one had copied is there, and the new one copies what it would by itself.
        let expected = match from {
            "now" => vec![1, 3],
            _ => vec![1, 1, 2, 3],
        };
        assert_eq!(world.copied("inbox", "a"), expected);
        assert_eq!(world.stream("inbox").target.fed.len(), 1);
    }
}

#[test]
fn what_was_under_way_when_the_machine_failed_is_told_again() {
    for at in 1..40 {
        let world = copying(&json!({ "streams": ["a", "b"] }));
        world.waits.set(0);
        world.fails_at.set(Some(at));
        world.push("a", 2);
        world.push("b", 2);
        world.fails_at.set(None);
        world.tell();
        world.push("a", 1);
        world.tell();
        assert_eq!(world.copied("inbox", "a"), [1, 2, 3], "{at}");
        assert_eq!(world.copied("inbox", "b"), [1, 2], "{at}");
    }
}

#[test]
fn nobody_is_shown_less_than_was_copied() {
    let world = copying(&json!({ "streams": ["a", "b"] }));
    world.push("a", 7);
    world.crash();
    asked(&world);
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 7)));
    assert_eq!(asked(&world), ["copy p/inbox"]);
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 7)));
    assert_eq!(asked(&world), Vec::<String>::new());
    // Without an answer, what is known is shown after a while.
    world.crash();
    world.held.borrow_mut().insert("copy");
    let since = world.now.get();
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 0)));
    assert_eq!(world.now.get() - since, 2_000);
}

#[test]
fn streams_of_older_releases_are_waited_for() {
    let world = streams();
    world.change("b", |stream| stream.source.is_old = true);
    let shown = world.put(&copy(&json!({ "streams": ["a", "b"] })));
    assert_eq!(shown["backfill"]["state"], "running");
    world.append("b", 1);
    world.tell();
    assert_eq!(world.copied("inbox", "b"), Vec::<u64>::new());
    world.change("b", |stream| stream.source.is_old = false);
    world.run(60_000);
    assert_eq!(world.get()["backfill"]["state"], "complete");
    world.push("b", 1);
    assert_eq!(world.copied("inbox", "b"), [2]);
}

#[test]
fn who_is_refused_when_nobody_waits_any_more_is_parked() {
    let world = streams();
    world.change("b", |stream| stream.source.content_type = "text/plain");
    world.held.borrow_mut().insert("link");
    world.begin(
        "create",
        call(&copy(&json!({ "streams": ["b"] })), None, ""),
    );
    world.settle();
    world.crash();
    world.held.borrow_mut().clear();
    world.run(120_000);
    let shown = world.get();
    assert_eq!(
        (&shown["parked"], &shown["status"]),
        (&json!(true), &json!("failed"))
    );
    assert!(
        shown["last_error"]
            .as_str()
            .unwrap()
            .contains("its type is text/plain")
    );
    assert_eq!(world.call("delete", &Value::Null).0, 204);
    assert_left_nothing(&world);
}

#[test]
fn a_target_that_answers_late_has_been_asked_before_anybody_else() {
    let world = streams();
    world.failing.borrow_mut().insert("feed");
    let shown = world.put(&copy(&json!({ "streams": ["a"], "pattern": "*" })));
    assert_eq!(shown["backfill"]["state"], "running");
    assert!(
        asked(&world)
            .iter()
            .all(|question| question == "feed p/inbox")
    );
    assert!(world.watches.borrow().is_empty());
    world.failing.borrow_mut().clear();
    world.run(60_000);
    assert_eq!(world.get()["backfill"]["state"], "complete");
}

#[test]
fn many_streams_are_copied() {
    let world = World::new();
    world.create("inbox");
    let paths: Vec<String> = (0..10_000).map(|n| format!("n/{n}")).collect();
    let made = world.put(&copy(&json!({ "streams": paths[..1_000] })));
    assert_eq!(made["backfill"]["state"], "complete");
    for some in paths[1_000..].chunks(1_000) {
        assert_eq!(world.call("add", &json!({ "streams": some })).0, 204);
    }
    for path in paths.iter().step_by(500) {
        world.push(path, 1);
        assert_eq!(world.copied("inbox", path), [1]);
    }
    assert_eq!(world.get()["streams_total"], 10_000);
    let answer = world.call("add", &json!({ "streams": ["one/more"] }));
    assert_eq!(code(&answer), (400, "INVALID_REQUEST"));
}

#[test]
fn records_of_copies_are_of_a_version_that_older_releases_refuse() {
    let version = |world: &World| {
        let rows = world
            .database
            .texts("SELECT CAST(body AS TEXT) FROM record");
        let record: Value = serde_json::from_str(&rows[0][0]).unwrap();
        record["v"].as_u64()
    };
    let world = copying(&json!({ "streams": ["a"] }));
    assert_eq!(version(&world), Some(2));
    world.failing.borrow_mut().insert("unfeed");
    world.call("delete", &Value::Null);
    world.settle();
    assert_eq!(version(&world), Some(2));
    let world = World::new();
    world.put(
        &json!({ "type": "webhook", "streams": ["a"], "webhook": { "url": super::world::HOOK } }),
    );
    assert_eq!(version(&world), Some(1));
}

#[test]
fn a_subscription_whose_streams_are_removed_before_they_answer_is_complete() {
    let world = streams();
    world.failing.borrow_mut().insert("link");
    let shown = world.put(&copy(&json!({ "streams": ["a"], "pattern": "s/*" })));
    assert_eq!(shown["backfill"]["state"], "running");
    assert_eq!(world.call_with("remove", &Value::Null, None, "a").0, 204);
    world.run(60_000);
    assert_eq!(world.get()["backfill"]["state"], "complete");
    world.push("s/1", 1);
    assert_eq!(world.copied("inbox", "s/1"), [1]);
}

#[test]
fn a_slice_that_does_not_hold_what_it_says_is_not_copied() {
    let world = copying(&json!({ "streams": ["a"] }));
    world.append("a", 2);
    world.change("a", |stream| stream.source.at = Some(0));
    let (told, content) = world.telling("a").unwrap();
    for content in ["", "1\n", "1\n2", "1\n2\n3\n", &content[..9]] {
        let reply = world.ask(ask::TOLD, ask::with(&told, content)).unwrap();
        assert_eq!(reply.status, 400, "{content:?}");
    }
    assert_eq!(messages(&world).len(), 0);
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3]);
}

#[test]
fn what_is_not_known_of_a_subscription_yet_is_told_again() {
    // The source still knows a link of another subscription of the name.
    let world = streams();
    world.failing.borrow_mut().insert("feed");
    world.put(&copy(&json!({ "streams": ["a"] })));
    world.append("a", 1);
    world.change("a", |stream| {
        stream.links.insert(NAME.into(), 0);
        stream.source.interest = Some(Interest::NamedCopies);
        stream.source.at = Some(0);
    });
    let (_, slot) = world.begin_telling("a");
    world.settle();
    assert_eq!(slot.get().unwrap().status, 503);
    world.failing.borrow_mut().clear();
    world.run(60_000);
    world.push("a", 1);
    // What was there when it was created is not copied.
    assert_eq!(world.copied("inbox", "a"), [2]);
}

#[test]
fn a_creation_is_whole_wherever_the_machine_fails() {
    let body = copy(&json!({ "streams": ["a"], "pattern": "s/*", "from": "start" }));
    for at in 1.. {
        let world = streams();
        world.append("a", 2);
        world.append("s/1", 2);
        world.run(10);
        world.fails_at.set(Some(at));
        let insist = |question: &str| {
            (0..20).any(|_| {
                let reply = world.ask(question, call(&body, None, ""));
                world.run(2_000);
                reply.is_some_and(|reply| reply.status < 500)
            })
        };
        assert!(insist("create"));
        world.run(120_000);
        assert!(insist("get"));
        for path in ["a", "s/1"] {
            world.push(path, 1);
            world.tell();
            assert_eq!(world.copied("inbox", path), [1, 2, 3], "{path} {at}");
        }
        assert!(insist("delete"));
        world.run(300_000);
        let has_failed = world.fails_at.get().is_none();
        assert_left_nothing(&world);
        if !has_failed {
            assert!(at > 15, "{at}");
            break;
        }
    }
}
