use std::rc::Rc;

use super::copier::Copier;
use super::lab::{Fate, Lab};
use crate::protocol::ask::{
    self, Copied, Copy, CopyPart, Fed, Interest, Life, Link, OfSubscription,
};
use crate::protocol::path::ASKED;

const HOUR: u64 = 3_600_000;

fn life() -> Life {
    Life {
        born: 1,
        incarnation: "1-1".into(),
    }
}

fn fed(lab: &Rc<Lab>, subscription: &str) -> Fed {
    let feed = OfSubscription {
        subscription: subscription.into(),
        life: life(),
    };
    let reply = lab.question(ask::FEED, ask::say(&feed));
    ask::answered(&(reply.status, reply.body)).unwrap()
}

/// A subscription that copies the stream from the start, as its pattern is about it.
fn copier(lab: &Rc<Lab>, subscription: &str) {
    link(lab, subscription, Interest::Copies);
    let copier = Copier {
        is_from_start: true,
        ..Copier::new(Interest::Copies)
    };
    let mut subscriptions = lab.subscriptions.borrow_mut();
    subscriptions.get_mut(subscription).unwrap().copier = Some(copier);
}

/// Makes the stream the target of a subscription, and says which stream that is.
fn feed(lab: &Rc<Lab>, subscription: &str) -> Life {
    match fed(lab, subscription) {
        Fed::Yes { life, .. } => life,
        refused => panic!("{refused:?}"),
    }
}

fn unfeed(lab: &Rc<Lab>, subscription: &str) -> u16 {
    let unfeed = OfSubscription {
        subscription: subscription.into(),
        life: life(),
    };
    lab.question(ask::UNFEED, ask::say(&unfeed)).status
}

/// Copies what a source holds behind a position.
fn copy(lab: &Rc<Lab>, target: &Life, behind: u64) -> Copied {
    let part = CopyPart {
        path: "a".into(),
        life: life(),
        since: 0,
        behind,
        to: behind + 2,
        length: 4,
        base64: false,
    };
    let copy = Copy {
        subscription: "s".into(),
        life: life(),
        target: target.clone(),
        parts: vec![part],
    };
    let reply = lab.question(ask::COPY, ask::with(&copy, "1\n2\n"));
    ask::answered(&(reply.status, reply.body)).unwrap()
}

fn yes(at: u64, pause: u64) -> Copied {
    Copied::Yes {
        at: vec![at],
        pause,
    }
}

fn link(lab: &Rc<Lab>, subscription: &str, interest: Interest) {
    lab.meet(subscription, true);
    let link = Link {
        subscription: subscription.into(),
        interest,
        history: false,
    };
    assert_eq!(lab.question(ask::LINK, ask::say(&link)).status, 200);
}

#[test]
fn copies_reach_live_readers_and_cost_two_rows() {
    let lab = Lab::new(1);
    lab.put(b"");
    lab.meet("s", false);
    lab.pass(HOUR);
    let target = feed(&lab, "s");
    lab.pass(HOUR);
    for n in 0..3 {
        let copied = lab.counted(|| drop(copy(&lab, &target, 2 * n)));
        assert_eq!(copied, (2, (0, 0), 0), "{n}");
        assert_eq!(
            lab.deliveries.get(),
            1,
            "once for what was not delivered yet"
        );
    }
    // What is there already is news to nobody.
    lab.object().0.deliver();
    let again = lab.counted(|| drop(copy(&lab, &target, 4)));
    assert_eq!((again, lab.deliveries.get()), ((0, (0, 0), 0), 1));
    assert_eq!(lab.counted(|| lab.pass(HOUR)), (0, (0, 0), 0));
    assert!(lab.told("s").is_empty());
    assert_eq!(lab.link("w").tail, 6);
}

#[test]
fn copies_are_told_to_whoever_waits_for_them_and_not_copied_on() {
    for crash in [false, true] {
        let lab = Lab::new(2);
        lab.put(b"[0]");
        lab.meet("s", false);
        lab.pass(HOUR);
        link(&lab, "wakes", Interest::Wakes);
        copier(&lab, "pattern");
        lab.pass(HOUR);
        let before = lab.told("pattern").len();
        let target = feed(&lab, "s");
        lab.pass(HOUR);
        assert_eq!(copy(&lab, &target, 0), yes(2, 8_000));
        if crash {
            lab.crash();
        }
        lab.pass(HOUR);
        assert_eq!(lab.told("wakes"), [(1, 3, false)]);
        // Who copied it hears of that once, and wants to be told of its end alone from then on.
        assert_eq!(lab.told("pattern").len(), before + 1);
        // Nor is what clients append.
        lab.append();
        if crash {
            lab.crash();
        }
        lab.pass(HOUR);
        assert_eq!(lab.told("wakes").last(), Some(&(1, 4, false)));
        assert_eq!(lab.told("pattern").len(), before + 1);
        assert_eq!(lab.told("s"), []);
        lab.copier("pattern", |it| assert_eq!(it.text, "0\n"));
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn all_hear_of_the_end_of_a_target_which_stays_until_they_have() {
    for (seed, crash) in [(3, false), (4, true)] {
        let lab = Lab::new(seed);
        lab.put(b"");
        lab.meet("s", false);
        lab.pass(HOUR);
        link(&lab, "pattern", Interest::Copies);
        lab.meet("pattern", false);
        let target = feed(&lab, "s");
        copy(&lab, &target, 0);
        lab.fate.set(Fate::Lost);
        assert_eq!(lab.delete(), 204);
        if crash {
            lab.crash();
        }
        lab.pass(10_000);
        assert_eq!(lab.tables(), ["farewell", "link"]);
        assert_eq!(copy(&lab, &target, 2), Copied::Gone);
        assert_eq!(fed(&lab, "s"), Fed::Absent);
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert_eq!(lab.told("s"), [(2, 2, true)]);
        assert_eq!(lab.told("pattern"), [(2, 2, true)]);
        assert_eq!((lab.tables(), lab.alarm.get()), (Vec::new(), None));
    }
}

#[test]
fn a_target_that_only_copies_use_expires() {
    for crash in [false, true] {
        let lab = Lab::new(5);
        lab.put_with(b"", &[("Stream-TTL", "100")]);
        lab.meet("s", false);
        let target = feed(&lab, "s");
        for n in 0..9 {
            assert!(matches!(copy(&lab, &target, 2 * n), Copied::Yes { .. }));
            lab.pass(10_000);
        }
        // Somebody reads it, and it lives on from there.
        assert_eq!(lab.get(), 200);
        if crash {
            lab.crash();
        }
        lab.pass(90_000);
        assert_eq!(lab.told("s"), []);
        assert!(matches!(copy(&lab, &target, 18), Copied::Yes { .. }));
        // After a crash, it is given a tenth more. Nobody touches it any more.
        lab.pass(21_000);
        assert_eq!(lab.told("s"), [(20, 20, true)]);
        assert_eq!((lab.tables(), lab.alarm.get()), (Vec::new(), None));
    }
}

#[test]
fn a_copy_that_comes_when_the_time_is_over_finds_nothing() {
    let lab = Lab::new(6);
    lab.put_with(b"", &[("Stream-TTL", "100")]);
    lab.meet("s", false);
    let target = feed(&lab, "s");
    lab.pass(99_000);
    // The alarm is late.
    let at = lab.alarm.take();
    lab.executor.step(at.unwrap());
    while lab.executor.now() < at.unwrap() {
        lab.executor.step(at.unwrap());
    }
    assert_eq!(copy(&lab, &target, 0), Copied::Gone);
    lab.pass(HOUR);
    assert_eq!(lab.told("s"), [(0, 0, true)]);
    assert_eq!(lab.tables(), Vec::<String>::new());
}

#[test]
fn what_takes_the_place_of_a_target_is_copied_by_whom_its_pattern_is_about() {
    for crash in [false, true] {
        let lab = Lab::new(7);
        lab.put(b"");
        lab.meet("s", false);
        lab.pass(HOUR);
        lab.subscribe("pattern");
        link(&lab, "pattern", Interest::Copies);
        let target = feed(&lab, "s");
        copy(&lab, &target, 0);
        lab.fate.set(Fate::Lost);
        lab.delete();
        assert_eq!(lab.put(b"[1]"), 201);
        if crash {
            lab.crash();
        }
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert_eq!(lab.told("s"), [(2, 2, true)]);
        assert_eq!(lab.told("pattern"), [(2, 2, true), (0, 1, false)]);
        assert_eq!(lab.links(), ["pattern"]);
        // It may become one itself, and then only its end is told.
        copier(&lab, "pattern");
        lab.pass(HOUR);
        let told = lab.told("pattern").len();
        let target = feed(&lab, "s");
        for n in 0..3 {
            copy(&lab, &target, 2 * n);
            lab.append();
            lab.pass(HOUR);
        }
        assert_eq!(lab.told("pattern").len(), told + 1);
    }
}

#[test]
fn nobody_is_in_a_hurry_where_nobody_reads() {
    let lab = Lab::new(8);
    lab.put(b"");
    let target = feed(&lab, "s");
    let pause = |at| match copy(&lab, &target, at) {
        Copied::Yes { pause, .. } => pause,
        refused => panic!("{refused:?}"),
    };
    assert_eq!(pause(0), 0);
    lab.pass(60_000);
    assert_eq!(pause(2), 8_000);
    // Also when there is nothing new.
    assert_eq!(pause(2), 8_000);
    lab.readers.set(1);
    assert_eq!(pause(4), 0);
    lab.readers.set(0);
    assert_eq!(pause(6), 8_000);
    lab.get();
    lab.pass(59_000);
    assert_eq!(pause(8), 0);
    lab.pass(1_000);
    assert_eq!(pause(10), 8_000);
    // Nobody knows whether it was read before it came into memory: for a moment only.
    lab.crash();
    assert_eq!(pause(12), 0);
    lab.pass(9_000);
    assert_eq!(pause(14), 0);
    lab.pass(1_000);
    assert_eq!(pause(16), 8_000);
}

#[test]
fn what_was_a_target_is_free_again() {
    let lab = Lab::new(9);
    lab.put(b"");
    lab.meet("s", false);
    lab.pass(HOUR);
    let target = feed(&lab, "s");
    copy(&lab, &target, 0);
    // It lets go of a source of that name, not of its target.
    assert_eq!(lab.unlink("s"), 204);
    assert_eq!(copy(&lab, &target, 2), yes(4, 8_000));
    assert_eq!(lab.links(), ["s"]);
    for _ in 0..2 {
        assert_eq!(unfeed(&lab, "s"), 204);
        assert_eq!(copy(&lab, &target, 4), Copied::NotFed);
        assert_eq!(lab.tables(), ["stream"]);
    }
    lab.delete();
    lab.pass(HOUR);
    assert_eq!((lab.told("s"), lab.tables()), (Vec::new(), Vec::new()));
    // Where there is none, nothing is left behind either.
    assert_eq!(fed(&lab, "s"), Fed::Absent);
    assert_eq!(unfeed(&lab, "s"), 204);
    lab.pass(HOUR);
    assert_eq!(lab.tables(), Vec::<String>::new());
}

#[test]
fn a_failing_storage_loses_and_doubles_nothing() {
    for statements in 0..12 {
        let lab = Lab::new(10);
        lab.put(b"");
        lab.meet("s", false);
        lab.pass(HOUR);
        let target = feed(&lab, "s");
        copy(&lab, &target, 0);
        lab.crash();
        lab.disk.fail_after(statements);
        let part = |status: u16| status == 200 || status == 500 || status == 503;
        let copy_of = |behind| {
            let copy = Copy {
                subscription: "s".into(),
                life: life(),
                target: target.clone(),
                parts: vec![CopyPart {
                    path: "a".into(),
                    life: life(),
                    since: 0,
                    behind,
                    to: behind + 1,
                    length: 2,
                    base64: false,
                }],
            };
            lab.question(ask::COPY, ask::with(&copy, "3\n")).status
        };
        assert!(part(copy_of(2)), "{statements}");
        lab.disk.heal();
        copy_of(2);
        copy_of(3);
        assert_eq!(lab.link("w").tail, 4, "{statements}");
    }
}

#[test]
fn a_copy_may_be_as_long_as_a_message_is_as_base64() {
    let lab = Lab::new(11);
    let (object, _) = lab.object();
    let longest = |question: &str| object.longest_question(&format!("{ASKED}{question}"));
    // An append may have a mebibyte.
    let encoded = (1_usize << 20).div_ceil(3) * 4;
    assert_eq!(longest(ask::COPY), Ok(encoded + (2 << 20)));
    for question in [ask::LINK, ask::FEED, ask::UNFEED, ask::EVENT, "copy/", ""] {
        assert_eq!(longest(question), Ok(16_384), "{question}");
    }
    assert_eq!(object.longest_question("/v1/stream/copy"), Ok(16_384));
}

#[test]
fn who_copied_a_stream_and_is_gone_does_not_keep_it_from_being_a_target() {
    let lab = Lab::new(21);
    lab.put(b"[1]");
    link(&lab, "n", Interest::NamedCopies);
    lab.pass(HOUR);
    assert_eq!(fed(&lab, "s"), Fed::IsSource);
    lab.pass(HOUR);
    assert_eq!(fed(&lab, "s"), Fed::IsSource);
    lab.subscriptions.borrow_mut().get_mut("n").unwrap().keeps = false;
    assert_eq!(fed(&lab, "s"), Fed::IsSource);
    lab.pass(HOUR);
    feed(&lab, "s");
}
