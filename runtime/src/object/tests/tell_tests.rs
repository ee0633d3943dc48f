use serde_json::json;

use super::lab::{Fate, Lab, START};
use crate::protocol::ask::{self, Event};

const HOUR: u64 = 3_600_000;

#[test]
fn what_is_appended_is_told() {
    let lab = Lab::new(1);
    lab.subscribe("s");
    lab.put(b"[1,2]");
    lab.pass(HOUR);
    assert_eq!(lab.told("s"), [(0, 2, false)]);
    let append = lab.counted(|| assert_eq!(lab.append(), 204));
    // Its row, and an alarm; the response does not wait for what is asked.
    assert_eq!(append, (1, (1, 0), 0));
    lab.pass(1_000);
    assert_eq!(lab.told("s"), [(0, 2, false), (0, 3, false)]);
    // The alarm finds nothing to do.
    let later = lab.counted(|| lab.pass(HOUR));
    assert_eq!(later, (0, (0, 1), 0));
    assert_eq!(lab.alarm.get(), None);
}

#[test]
fn a_stream_under_load_sets_an_alarm_a_minute_and_tells_ten_times_a_second() {
    let lab = Lab::new(2);
    lab.subscribe("s");
    lab.put(b"");
    lab.pass(HOUR);
    let load = lab.counted(|| {
        for _ in 0..12_000 {
            lab.append();
            lab.pass(10);
        }
    });
    let (rows, alarms, asked) = load;
    assert_eq!(rows, 12_000);
    assert!(alarms.0 <= 6, "{alarms:?}");
    assert!((500..=1_200).contains(&asked), "{asked}");
    lab.pass(1_000);
    assert_eq!(lab.told("s").last(), Some(&(0, 12_000, false)));
}

#[test]
fn without_links_an_append_is_what_it_was() {
    let lab = Lab::new(3);
    lab.put(b"");
    lab.pass(HOUR);
    lab.append();
    let statements = lab.disk.statements.get();
    let append = lab.counted(|| assert_eq!(lab.append(), 204));
    assert_eq!(append, (1, (0, 0), 0));
    assert_eq!(lab.disk.statements.get() - statements, 1);
    assert_eq!(lab.counted(|| lab.pass(HOUR)), (0, (0, 0), 0));
}

#[test]
fn a_crash_between_append_and_telling_loses_nothing() {
    for fate in [Fate::Answered, Fate::Unheard, Fate::Lost] {
        let lab = Lab::new(4);
        lab.subscribe("s");
        lab.put(b"");
        lab.pass(HOUR);
        lab.fate.set(fate);
        lab.append();
        if fate != Fate::Answered {
            lab.pass(300);
        }
        lab.crash();
        // A request leaves it to the alarm.
        lab.get();
        lab.pass(30);
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert_eq!(lab.told("s").last(), Some(&(0, 1, false)));
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn who_does_not_hear_is_told_again_within_a_minute() {
    let lab = Lab::new(5);
    lab.subscribe("s");
    lab.put(b"");
    lab.pass(HOUR);
    lab.fate.set(Fate::Refused);
    lab.append();
    lab.pass(HOUR);
    let times = lab.times(ask::TOLD);
    assert!((55..75).contains(&times), "{times}");
    assert_eq!(lab.said.borrow().len(), 1);
    lab.fate.set(Fate::Answered);
    lab.pass(61_000);
    assert_eq!(lab.told("s"), [(0, 1, false)]);
    assert_eq!(lab.alarm.get(), None);
}

#[test]
fn a_link_is_noted_once_and_goes_when_nobody_wants_it() {
    let lab = Lab::new(6);
    lab.meet("a", true);
    lab.put(b"[1]");
    lab.pass(HOUR);
    let linked = lab.counted(|| assert_eq!((lab.link("a").since, lab.link("a").tail), (1, 1)));
    assert_eq!(linked.0, 1);
    lab.append();
    let again = lab.link("a");
    assert_eq!((again.since, again.tail), (1, 2));
    assert_eq!(again.life, lab.known.borrow().get("p/x").cloned());
    lab.pass(1_000);
    assert_eq!(lab.told("a"), [(1, 2, false)]);
    lab.subscriptions.borrow_mut().get_mut("a").unwrap().keeps = false;
    lab.append();
    lab.pass(1_000);
    assert_eq!(lab.tables(), ["stream"]);
    // It was deleted, and its object says so.
    lab.meet("b", true);
    lab.link("b");
    lab.subscriptions.borrow_mut().remove("b");
    lab.append();
    lab.pass(1_000);
    assert_eq!(lab.tables(), ["stream"]);
    // It says so itself.
    lab.link("a");
    lab.link("b");
    assert_eq!(lab.unlink("a"), 204);
    assert_eq!(lab.links(), ["b"]);
    assert_eq!((lab.unlink("b"), lab.unlink("b")), (204, 204));
    assert_eq!(lab.tables(), ["stream"]);
    let told = lab.times(ask::TOLD);
    lab.append();
    lab.pass(HOUR);
    assert_eq!(lab.times(ask::TOLD), told);
}

#[test]
fn a_link_that_is_asked_for_while_its_subscription_lets_it_go_stays() {
    let lab = Lab::new(7);
    lab.meet("a", true);
    lab.put(b"");
    lab.pass(HOUR);
    lab.link("a");
    lab.subscriptions.borrow_mut().get_mut("a").unwrap().keeps = false;
    lab.append();
    while lab.told("a").is_empty() {
        lab.executor.step(u64::MAX);
    }
    lab.subscriptions.borrow_mut().get_mut("a").unwrap().keeps = true;
    assert_eq!(lab.link("a").since, 0);
    lab.pass(HOUR);
    assert_eq!(lab.links(), ["a"]);
}

#[test]
fn a_link_waits_for_a_stream_and_for_the_next_one() {
    for crash in [false, true] {
        let lab = Lab::new(8);
        lab.meet("a", true);
        let waiting = lab.link("a");
        assert_eq!((waiting.life, waiting.since, waiting.tail), (None, 0, 0));
        assert_eq!(lab.alarm.get(), None);
        lab.pass(HOUR);
        lab.crash();
        assert_eq!(lab.get(), 404);
        lab.put(b"[1,2]");
        if crash {
            lab.crash();
        }
        lab.pass(HOUR);
        assert_eq!(lab.told("a").last(), Some(&(0, 2, false)));
        assert_eq!((lab.link("a").since, lab.link("a").tail), (0, 2));
        lab.append();
        lab.pass(HOUR);
        let first = lab.link("a").life;
        lab.delete();
        if crash {
            lab.crash();
        }
        lab.pass(HOUR);
        assert_eq!(lab.told("a").last(), Some(&(3, 3, true)));
        assert_eq!(
            (lab.tables(), lab.alarm.get()),
            (vec!["link".to_owned()], None)
        );
        lab.put(b"[1]");
        lab.pass(HOUR);
        assert_eq!(lab.told("a").last(), Some(&(0, 1, false)));
        assert_ne!(lab.link("a").life, first);
        lab.delete();
        lab.pass(HOUR);
        lab.unlink("a");
        lab.pass(HOUR);
        assert_eq!(lab.tables(), Vec::<String>::new());
    }
}

#[test]
fn a_stream_that_comes_before_the_end_of_the_last_one_was_told_keeps_its_links() {
    for crash in [false, true] {
        let lab = Lab::new(9);
        lab.subscribe("s");
        lab.put(b"[1,2,3]");
        lab.pass(HOUR);
        lab.fate.set(Fate::Lost);
        lab.delete();
        lab.pass(3_000);
        lab.put(b"[1]");
        lab.pass(3_000);
        if crash {
            lab.crash();
        }
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert_eq!(lab.links(), ["s"]);
        assert_eq!(lab.told("s").last(), Some(&(0, 1, false)));
        assert_eq!(lab.told("s")[1], (3, 3, true));
        lab.append();
        lab.pass(HOUR);
        assert_eq!(lab.told("s").last(), Some(&(0, 2, false)));
        assert_eq!(lab.tables(), ["link", "stream"]);
    }
}

#[test]
fn events_are_appended_and_wake_nobody() {
    let lab = Lab::new(10);
    lab.meet("a", true);
    let event = |message| {
        let body = ask::say(&Event { message });
        lab.question(ask::EVENT, body).status
    };
    assert_eq!(event(json!({})), 404);
    lab.put(b"");
    lab.link("a");
    lab.pass(HOUR);
    let happened = lab.counted(|| assert_eq!(event(json!(["a", 1])), 204));
    assert_eq!(happened, (1, (0, 0), 0));
    lab.pass(HOUR);
    assert_eq!((lab.link("a").tail, lab.told("a").len()), (1, 0));
    lab.append();
    lab.pass(HOUR);
    assert_eq!(lab.told("a"), [(0, 2, false)]);
    lab.delete();
    lab.pass(HOUR);
    lab.put_with(b"", &[("Stream-Closed", "true")]);
    assert_eq!(event(json!({})), 409);
}

#[test]
fn thousands_are_told_fifty_at_a_time() {
    let lab = Lab::new(11);
    for n in 0..2_000 {
        lab.subscribe(&format!("s{n}"));
    }
    lab.put(b"[1]");
    lab.pass(2_000);
    assert_eq!(lab.times(ask::TOLD), 2_000);
    assert_eq!(lab.most_at_once.get(), 50);
    let steps = lab.executor.now();
    assert!(steps > START);
    lab.append();
    lab.pass(2_000);
    assert_eq!(lab.times(ask::TOLD), 4_000);
}

#[test]
fn a_storage_that_fails_delays_and_loses_nothing() {
    for statements in 0..12 {
        let lab = Lab::new(12);
        lab.subscribe("s");
        lab.put(b"");
        lab.pass(HOUR);
        lab.append();
        lab.crash();
        lab.disk.fail_after(statements);
        lab.pass(61_000);
        lab.disk.heal();
        lab.pass(HOUR);
        assert_eq!(lab.told("s").last(), Some(&(0, 1, false)), "{statements}");
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn who_is_linked_though_storage_has_failed_is_told() {
    for statements in 0..8 {
        let lab = Lab::new(13);
        lab.put(b"");
        for name in ["r", "s"] {
            lab.meet(name, true);
        }
        lab.link("r");
        lab.pass(HOUR);
        lab.disk.fail_after(statements);
        lab.try_link("s");
        lab.disk.heal();
        lab.link("s");
        lab.append();
        lab.pass(1_000);
        for name in ["r", "s"] {
            assert_eq!(lab.told(name).last(), Some(&(0, 1, false)), "{statements}");
        }
    }
}
