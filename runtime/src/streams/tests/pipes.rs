//! Pipes over a stream's real object and database, which may not answer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{Stream as Source, StreamExt, stream};
use proptest::prelude::*;

use crate::edge::ports::Ports;
use crate::edge::tests::world::{Does, Request, Response, World};
use crate::object::tests::lab::{Asked, Lab};
use crate::protocol::offset::Offset;
use crate::streams::{Append, Create, End, Error, Pipe, Stream, Streams, Will};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It has no effect.
    Lost,
    /// It has, and nobody hears of it.
    Unheard,
    /// It has, and nobody ever says anything.
    Silent,
}

/// A stream's object behind an edge.
struct Bench {
    world: World,
    lab: Rc<Lab>,
    /// What becomes of the next POSTs; the others are answered.
    fates: Rc<RefCell<VecDeque<Fate>>>,
    /// What somebody else appends before a POST arrives, by the number of that.
    others: Rc<RefCell<VecDeque<Option<&'static [u8]>>>>,
    /// When the POSTs came, and how long they were.
    posts: Rc<RefCell<Vec<(u64, usize)>>>,
}

impl Bench {
    fn new() -> Self {
        let lab = Lab::new(1);
        lab.set_shards(Ok(None));
        let bench = Self {
            world: World::default(),
            lab,
            fates: Rc::default(),
            others: Rc::default(),
            posts: Rc::default(),
        };
        let (lab, world) = (Rc::clone(&bench.lab), bench.world.clone());
        let (fates, others) = (Rc::clone(&bench.fates), Rc::clone(&bench.others));
        let posts = Rc::clone(&bench.posts);
        let passed = Cell::new(0);
        let object = move |request: &Request| {
            // Alarms come in time.
            let now = world.0.now.get();
            lab.pass(now - passed.replace(now));
            let mut fate = Fate::Answered;
            if request.method == "POST" {
                posts.borrow_mut().push((now, request.body.len()));
                fate = fates.borrow_mut().pop_front().unwrap_or(fate);
                if let Some(Some(other)) = others.borrow_mut().pop_front() {
                    assert_eq!(lab.post(other), 204);
                }
            }
            if fate == Fate::Lost {
                return None;
            }
            let headers = request.headers.iter();
            let asked = Asked {
                method: request.method,
                url: request.url.replace("http://streams", "http://h"),
                headers: headers.map(|(name, value)| (*name, &**value)).collect(),
            };
            let reply = lab.ask(&asked, &request.body);
            let headers = reply.headers.into_iter();
            let says = Does::Says(Response {
                status: reply.status,
                headers: headers.map(|(n, v)| (n.to_owned(), v)).collect(),
                body: reply.body,
            });
            match fate {
                Fate::Answered => Some(says),
                Fate::Silent => Some(Does::Nothing),
                _ => None,
            }
        };
        *bench.world.0.behind.borrow_mut() = Some(Box::new(object));
        bench
    }

    fn stream(&self) -> Stream<World> {
        let streams = Streams::over(self.world.clone(), false);
        streams.stream("p/x").unwrap()
    }

    /// The stream's messages as text.
    fn text(&self) -> String {
        let page = self.world.run(self.stream().read(Offset::START)).unwrap();
        page.text().replace(",\n", ",")
    }

    /// So many pieces, one each so many milliseconds.
    fn tokens(
        &self,
        count: u64,
        every: u64,
    ) -> impl Source<Item = Result<Vec<u8>, String>> + use<> {
        let world = self.world.clone();
        stream::iter(0..count).then(move |n| {
            let world = world.clone();
            async move {
                world.sleep(every).await;
                Ok(format!("{{\"token\":{n}}}").into_bytes())
            }
        })
    }

    fn rows(&self) -> u64 {
        self.lab.disk.written.get()
    }
}

fn messages(count: u64) -> String {
    let tokens: Vec<_> = (0..count).map(|n| format!("{{\"token\":{n}}}")).collect();
    format!("[{}]", tokens.join(","))
}

fn will() -> Will {
    let after = Duration::from_secs(90);
    Will::after(after).message(&"cut off").unwrap()
}

#[test]
fn an_answer_costs_a_row_a_flush_and_each_piece_is_there_in_time() {
    let bench = Bench::new();
    let stream = bench.stream();
    bench
        .world
        .run(stream.create(Pipe::new().create()))
        .unwrap();
    let rows = bench.rows();
    // 2000 tokens in 20 s.
    let piped = stream.pipe(bench.tokens(2000, 10), Pipe::new());
    let piped = bench.world.run(piped).unwrap();
    assert_eq!(bench.text(), messages(2000));
    assert_eq!(
        (piped.pieces, piped.end, piped.closed),
        (2000, End::Done, true)
    );
    let posts = bench.posts.borrow();
    assert_eq!(posts.len() as u64, piped.appends);
    // The close is a row beside the last flush.
    let rows = bench.rows() - rows;
    println!("2000 pieces in 20 s: {} appends, {rows} rows", posts.len());
    assert_eq!(rows, piped.appends + 1);
    assert!((150..=200).contains(&piped.appends), "{}", piped.appends);
    let gaps = posts.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.max() <= Some(110), "each within a tenth of a second");
}

#[test]
fn much_is_appended_at_once_and_what_is_left_with_the_end() {
    let bench = Bench::new();
    let stream = bench.stream();
    let piped = stream.pipe(bench.tokens(5, 0), Pipe::new());
    let piped = bench.world.run(piped).unwrap();
    assert_eq!((piped.appends, piped.closed), (1, true));
    assert_eq!(bench.text(), messages(5));
    assert_eq!(bench.lab.append(), 409);

    let bench = Bench::new();
    let stream = bench.stream();
    let piped = stream.pipe(bench.tokens(100, 0), Pipe::new().flush_at(200).keep_open());
    let piped = bench.world.run(piped).unwrap();
    assert!(!piped.closed && piped.appends >= 2, "{piped:?}");
    assert!(bench.posts.borrow().iter().all(|(_, length)| *length < 230));
    assert_eq!(bench.text(), messages(100));
    assert_eq!(bench.lab.append(), 204);
}

#[test]
fn bytes_are_appended_as_they_come() {
    let bench = Bench::new();
    let stream = bench.stream().of("text/plain");
    let piped = stream.pipe(bench.tokens(3, 70), Pipe::new());
    assert_eq!(bench.world.run(piped).unwrap().appends, 2);
    assert_eq!(bench.text(), "{\"token\":0}{\"token\":1}{\"token\":2}");
}

#[test]
fn a_source_that_breaks_off_or_is_silent_leaves_its_will() {
    let broken = |bench: &Bench| {
        let error = stream::iter([Err("no more".to_owned())]);
        bench.tokens(3, 10).chain(error).boxed_local()
    };
    let silent = |bench: &Bench| {
        let nothing = stream::once(pending::<Result<Vec<u8>, String>>());
        bench.tokens(3, 10).chain(nothing).boxed_local()
    };
    let wrong = |bench: &Bench| {
        let piece = stream::iter([Ok(b"1,2".to_vec())]);
        bench.tokens(3, 10).chain(piece).boxed_local()
    };
    for (n, source) in [&broken as &dyn Fn(&Bench) -> _, &silent, &wrong]
        .iter()
        .enumerate()
    {
        let bench = Bench::new();
        let stream = bench.stream();
        let started = bench.world.0.now.get();
        let piped = stream.pipe(source(&bench), Pipe::new().will(will()).keep_open());
        let piped = bench.world.run(piped).unwrap();
        match n {
            0 => assert_eq!(piped.end, End::BrokeOff("no more".into())),
            1 => {
                assert_eq!(piped.end, End::Silent);
                let waited = bench.world.0.now.get() - started;
                assert!((60_000..60_200).contains(&waited), "{waited}");
            }
            _ => assert!(matches!(&piped.end, End::BrokeOff(what) if what.starts_with("piece 4 "))),
        }
        assert!(piped.closed);
        let told = messages(3).replace(']', ",\"cut off\"]");
        assert_eq!(bench.text(), told);
    }
}

#[test]
fn what_was_not_answered_is_there_once_and_costs_no_row_more() {
    for fate in [Fate::Lost, Fate::Unheard, Fate::Silent] {
        for at in 0..3 {
            let bench = Bench::new();
            let stream = bench.stream();
            bench.world.run(stream.create(Create::new())).unwrap();
            let rows = bench.rows();
            *bench.fates.borrow_mut() = [Fate::Answered; 2][..at.min(2)]
                .iter()
                .copied()
                .chain([fate])
                .collect();
            let piped = stream.pipe(bench.tokens(25, 10), Pipe::new());
            let piped = bench.world.run(piped).unwrap();
            assert_eq!(bench.text(), messages(25), "{fate:?} {at}");
            assert_eq!(bench.rows() - rows, piped.appends + 1, "{fate:?} {at}");
            assert!(piped.closed);
        }
    }
}

#[test]
fn who_is_not_alone_is_told() {
    let others: [&[u8]; 2] = [b"[8]", b"[{\"token\":0},{\"token\":1}]"];
    for (other, fate) in others.into_iter().zip([Fate::Answered, Fate::Lost]) {
        let bench = Bench::new();
        let stream = bench.stream();
        bench.world.run(stream.create(Create::new())).unwrap();
        bench.fates.borrow_mut().extend([Fate::Answered, fate]);
        bench.others.borrow_mut().extend([None, Some(other)]);
        let piped = stream.pipe(bench.tokens(40, 10), Pipe::new());
        let error = bench.world.run(piped).unwrap_err();
        assert!(matches!(error, Error::Overtaken { .. }), "{error:?}");
    }
    let bench = Bench::new();
    let stream = bench.stream();
    bench
        .world
        .run(stream.create(Create::new().closed()))
        .unwrap();
    let piped = bench
        .world
        .run(stream.pipe(bench.tokens(1, 0), Pipe::new()));
    assert!(matches!(piped, Err(Error::Closed { .. })), "{piped:?}");
}

/// The close is on its way again and again until the will has come first.
#[test]
fn who_closes_too_late_is_told_so() {
    for words in [None, Some("cut off")] {
        let bench = Bench::new();
        let stream = bench.stream();
        let will = Will::after(Duration::from_secs(5));
        let will = words.map_or(Ok(will.clone()), |words| will.message(&words));
        let create = Create::new().will(will.unwrap());
        bench.world.run(stream.create(create)).unwrap();
        bench.fates.borrow_mut().extend([Fate::Lost; 6]);
        let piped = bench
            .world
            .run(stream.pipe(bench.tokens(0, 0), Pipe::new()));
        match words {
            // It is as it was to be.
            None => assert!(piped.unwrap().closed),
            Some(_) => assert!(matches!(piped, Err(Error::Closed { .. })), "{piped:?}"),
        }
    }
}

#[test]
fn what_is_no_message_breaks_off_and_is_not_sent() {
    for piece in [&b""[..], b"{", b"1,2", b"\"\xff\"", b"\xef\xbb\xbf1"] {
        let bench = Bench::new();
        let stream = bench.stream();
        let wrong = stream::iter([Ok(piece.to_vec())]);
        let source = bench.tokens(1, 10).chain(wrong);
        let piped = bench
            .world
            .run(stream.pipe(source, Pipe::new().will(will())));
        let piped = piped.unwrap();
        assert!(
            matches!(piped.end, End::BrokeOff(_)),
            "{piece:?}: {piped:?}"
        );
        assert!(piped.closed);
        assert_eq!(bench.text(), messages(1).replace(']', ",\"cut off\"]"));
    }
}

#[test]
fn times_that_no_timer_has_are_long() {
    let bench = Bench::new();
    let stream = bench.stream();
    bench.world.run(stream.create(Create::new())).unwrap();
    let pipe = Pipe::new()
        .flush_after(Duration::MAX)
        .patience(Duration::MAX);
    let piped = bench.world.run(stream.pipe(bench.tokens(30, 1000), pipe));
    let piped = piped.unwrap();
    assert_eq!((piped.pieces, piped.appends, piped.end), (30, 1, End::Done));
}

#[test]
fn an_object_that_answers_nobody_is_given_up() {
    let bench = Bench::new();
    let stream = bench.stream();
    bench
        .world
        .run(stream.create(Pipe::new().create()))
        .unwrap();
    bench.fates.borrow_mut().extend([Fate::Lost; 20]);
    let piped = bench
        .world
        .run(stream.pipe(bench.tokens(9, 10), Pipe::new()));
    assert!(matches!(piped, Err(Error::Unavailable(_))), "{piped:?}");
    // And its will says so, in its time.
    bench.lab.pass(200_000);
    assert_eq!(bench.lab.append(), 409);
}

#[test]
fn a_stream_that_is_made_for_a_pipe_outlives_no_crash_of_its_writer() {
    let bench = Bench::new();
    let stream = bench.stream();
    let pipe = Pipe::new().will(will());
    bench.world.run(stream.create(pipe.create())).unwrap();
    // The writer's machine fails in the middle of it, and so does the stream's.
    let appended = stream.send(Append::bytes("[1]"));
    bench.world.run(appended).unwrap();
    bench.lab.crash();
    bench.lab.pass(91_000);
    assert_eq!(bench.text(), "[1,\"cut off\"]");
    let head = bench.world.run(stream.head()).unwrap();
    assert!(head.closed);
}

#[test]
fn a_will_that_cannot_be_is_refused_before_anything_is_asked() {
    let bench = Bench::new();
    let will = Will::after(Duration::from_secs(1)).bytes("{");
    let stream = bench.stream();
    let piped = stream.pipe(bench.tokens(1, 0), Pipe::new().will(will));
    assert!(matches!(bench.world.run(piped), Err(Error::Refused { .. })));
    assert!(bench.world.0.asked.borrow().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever comes when, and whatever is lost: it is there once and in order, or the pipe fails.
    #[test]
    fn pieces_come_once_and_in_order(
        pauses in prop::collection::vec(prop_oneof![Just(0u64), 1u64..40, 90u64..300], 0..60),
        fates in prop::collection::vec(
            prop_oneof![
                4 => Just(Fate::Answered),
                1 => Just(Fate::Lost),
                1 => Just(Fate::Unheard),
                1 => Just(Fate::Silent),
            ],
            0..12,
        ),
        flush_at in prop_oneof![Just(1usize), 20usize..200, Just(16 << 10)],
        is_json: bool,
    ) {
        let bench = Bench::new();
        bench.fates.borrow_mut().extend(fates);
        let stream = match is_json {
            true => bench.stream(),
            false => bench.stream().of("text/plain"),
        };
        let world = bench.world.clone();
        let count = pauses.len() as u64;
        let source = stream::iter(pauses.into_iter().enumerate()).then(move |(n, pause)| {
            let world = world.clone();
            async move {
                world.sleep(pause).await;
                Ok::<_, String>(format!("{{\"token\":{n}}}").into_bytes())
            }
        });
        let piped = bench.world.run(stream.pipe(source, Pipe::new().flush_at(flush_at)));
        if let Ok(piped) = piped {
            prop_assert_eq!(piped.pieces, count);
            let all = messages(count);
            let expected = match is_json {
                true => all,
                false => all.trim_matches(['[', ']']).replace("},{", "}{"),
            };
            prop_assert_eq!(bench.text(), expected);
        } else {
            // An object may be silent for so long that the stream's will is carried out meanwhile.
            let is_late = bench.world.0.now.get() >= 75_000;
            let is_right = match &piped {
                Err(Error::Unavailable(_)) => true,
                Err(Error::Closed { .. }) => is_late,
                _ => false,
            };
            prop_assert!(is_right, "{:?}", piped);
            let first = bench.text();
            let all = match is_json {
                true => messages(count),
                false => messages(count).replace("},{", "}{")[1..].to_owned(),
            };
            prop_assert!(all.starts_with(first.trim_end_matches(']')), "{}", first);
        }
    }
}
