use super::copier::Copier;
use super::lab::{Fate, Lab};
use crate::protocol::ask::{self, Interest, Slice};
use crate::simulation::store::Store;
use crate::stream::tier::upkeep::Limits;

const HOUR: u64 = 3_600_000;

fn named() -> Copier {
    Copier::new(Interest::NamedCopies)
}

fn matching() -> Copier {
    Copier::new(Interest::Copies)
}

/// A stream with one subscription that copies it, by name and from now on.
fn copied(seed: u64) -> std::rc::Rc<Lab> {
    let lab = Lab::new(seed);
    lab.put(b"[1,2]");
    lab.copy("c", named());
    lab.link_for("c", Interest::NamedCopies);
    lab.pass(HOUR);
    lab
}

#[test]
fn what_is_appended_comes_with_the_message() {
    let lab = copied(1);
    // How far it is, it alone knows.
    assert_eq!(lab.copier("c", |it| it.given()), (0, 1));
    let append = lab.counted(|| assert_eq!(lab.append(), 204));
    assert_eq!(append, (1, (1, 0), 0));
    let told = lab.counted(|| lab.pass(HOUR));
    assert_eq!((told.0, told.2), (0, 1));
    let slice = Slice {
        behind: 2,
        from: 2,
        to: 3,
        base64: false,
    };
    lab.copier("c", |it| {
        assert_eq!(
            (it.text.as_str(), it.slices.last()),
            ("7\n", Some(&Some(slice)))
        );
    });
    assert_eq!(lab.alarm.get(), None);
}

#[test]
fn a_stream_created_with_content_is_copied_from_its_start() {
    for crash in [false, true] {
        let lab = Lab::new(2);
        lab.copy("c", matching());
        lab.put(br#"[{"a":"x,\ny"},[2],3]"#);
        if crash {
            lab.crash();
        }
        lab.pass(HOUR);
        lab.copier("c", |it| {
            assert_eq!(it.text, "{\"a\":\"x,\\ny\"}\n[2]\n3\n");
            // Its first message says what it wants.
            assert_eq!(it.given(), (1, 1));
        });
        lab.delete();
        lab.pass(HOUR);
        lab.put(b"[4]");
        lab.pass(HOUR);
        lab.copier("c", |it| {
            assert!(it.text.ends_with("3\n4\n"), "{}", it.text)
        });
    }
}

#[test]
fn bytes_come_as_base64() {
    let lab = Lab::new(3);
    lab.copy("c", matching());
    lab.put_as("text/plain", b"hello");
    lab.pass(HOUR);
    lab.post_as("text/plain", b"\xff\x00");
    lab.pass(HOUR);
    lab.copier("c", |it| assert_eq!(it.text, "aGVsbG8=\n/wA=\n"));
}

#[test]
fn the_first_append_after_a_while_comes_with_a_guess() {
    let lab = copied(4);
    lab.append();
    lab.pass(HOUR);
    lab.crash();
    lab.append();
    lab.append();
    let told = lab.counted(|| lab.pass(1_000));
    assert_eq!(told.2, 1);
    lab.copier("c", |it| {
        assert_eq!(it.text, "7\n7\n7\n");
        assert_eq!(it.given(), (2, 1));
    });
    // A wrong one costs a message.
    lab.pass(HOUR);
    lab.fate.set(Fate::Lost);
    lab.append();
    lab.pass(50);
    lab.crash();
    lab.fate.set(Fate::Answered);
    lab.append();
    assert_eq!(lab.counted(|| lab.pass(90)).2, 2);
    lab.copier("c", |it| assert_eq!(it.text, "7\n".repeat(5)));
    // One that is long is not sent in vain.
    lab.pass(HOUR);
    lab.crash();
    lab.post(format!("[\"{}\"]", "x".repeat(70_000)).as_bytes());
    lab.pass(HOUR);
    lab.copier("c", |it| {
        assert_eq!(
            it.lengths.iter().rev().take(2).collect::<Vec<_>>(),
            [&70_003, &0]
        );
    });
}

#[test]
fn a_crash_between_append_and_copy_loses_nothing() {
    for fate in [Fate::Answered, Fate::Unheard, Fate::Lost, Fate::Refused] {
        for millis in [0, 8, 30, 300] {
            let lab = copied(5);
            lab.fate.set(fate);
            lab.append();
            lab.pass(millis);
            lab.crash();
            // A request leaves it to the alarm.
            lab.get();
            lab.fate.set(Fate::Answered);
            lab.pass(HOUR);
            lab.copier("c", |it| assert_eq!(it.text, "7\n", "{fate:?} {millis}"));
            assert_eq!(lab.alarm.get(), None);
        }
    }
}

#[test]
fn old_content_is_copied_slice_after_slice_without_a_rest() {
    let lab = Lab::new(6);
    lab.put(b"");
    let message = format!("\"{}\"", "x".repeat(9_998));
    for _ in 0..200 {
        lab.post(message.as_bytes());
    }
    lab.pass(HOUR);
    lab.copy("c", Copier::from_start());
    lab.copier("c", |it| it.pause = 10_000);
    lab.link_for("c", Interest::NamedCopies);
    let asked = lab.counted(|| lab.pass(400)).2;
    lab.copier("c", |it| {
        assert_eq!(it.text, (message.clone() + "\n").repeat(200));
        assert!(it.lengths.iter().all(|length| *length <= 256 << 10));
        assert_eq!(it.given(), (8, 1));
    });
    assert!(asked <= 9, "{asked}");
}

#[test]
fn content_in_the_bucket_is_copied() {
    for is_json in [true, false] {
        let lab = Lab::new(7);
        *lab.store.borrow_mut() = Some(Store::new(lab.executor.clone()));
        lab.limits.set(Limits {
            max_messages: 10,
            max_bytes: 1 << 20,
            merge_bytes: 1,
        });
        let content_type = ["text/plain", "application/json"][usize::from(is_json)];
        lab.put_as(content_type, b"");
        for n in 10..45 {
            assert_eq!(lab.post_as(content_type, n.to_string().as_bytes()), 204);
            lab.pass(20_000);
        }
        assert!(!lab.store.borrow().as_ref().unwrap().keys().is_empty());
        lab.copy("c", Copier::from_start());
        lab.link_for("c", Interest::NamedCopies);
        lab.pass(HOUR);
        let text = lab.copier("c", |it| it.text.clone());
        let numbers = (10..45).map(|n| n.to_string());
        if is_json {
            assert_eq!(text, numbers.map(|n| n + "\n").collect::<String>());
        } else {
            use base64::Engine;
            let decode = |line| {
                base64::engine::general_purpose::STANDARD
                    .decode(line)
                    .unwrap()
            };
            let bytes: Vec<u8> = text.lines().flat_map(decode).collect();
            assert_eq!(bytes, numbers.collect::<String>().into_bytes());
        }
        // A bucket that fails delays it.
        let store = lab.store.borrow().clone().unwrap();
        lab.copy("d", Copier::from_start());
        store.set_trouble(1_000);
        lab.link_for("d", Interest::NamedCopies);
        lab.pass(100_000);
        assert_eq!(lab.copier("d", |it| it.text.clone()), "");
        store.set_trouble(0);
        lab.pass(HOUR);
        assert_eq!(lab.copier("d", |it| it.text.clone()), text);
    }
}

#[test]
fn what_was_dropped_to_the_tail_is_passed_over() {
    for (kind, body) in [
        ("application/json", "[0,1,2,3,4,5]"),
        ("text/plain", "bytes!"),
    ] {
        let lab = Lab::new(8);
        lab.put_as(kind, body.as_bytes());
        lab.truncate("0000000000000000_0000000000000006_0000");
        lab.copy("c", Copier::from_start());
        lab.link_for("c", Interest::NamedCopies);
        lab.pass(HOUR);
        lab.copier("c", |it| {
            let slice = it.slices.last().unwrap().unwrap();
            assert_eq!((slice.behind, slice.from, slice.to), (0, 6, 6));
            assert_eq!(it.at.as_ref().map(|(_, at)| *at), Some(6));
        });
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn what_was_dropped_is_passed_over() {
    let lab = Lab::new(8);
    lab.put(b"[0,1,2,3,4,5]");
    lab.truncate("0000000000000000_0000000000000004_0000");
    lab.copy("c", Copier::from_start());
    lab.link_for("c", Interest::NamedCopies);
    lab.pass(HOUR);
    lab.copier("c", |it| {
        assert_eq!(it.text, "4\n5\n");
        let slice = it.slices.last().unwrap().unwrap();
        assert_eq!((slice.behind, slice.from, slice.to), (0, 4, 6));
    });
}

#[test]
fn a_target_that_wants_to_be_left_alone_is_by_the_alarm() {
    for (n, appends, period) in [(9, 600, 100), (10, 60, 1_000)] {
        is_left_alone(n, appends, period);
    }
}

fn is_left_alone(seed: u64, appends: usize, period: u64) {
    let lab = copied(seed);
    lab.copier("c", |it| it.pause = 10_000);
    lab.append();
    lab.pass(1_000);
    let load = lab.counted(|| {
        for _ in 0..appends {
            lab.append();
            lab.pass(period);
        }
    });
    let (rows, alarms, asked) = load;
    assert_eq!(rows, appends as u64);
    assert!((5..=7).contains(&asked), "{asked}");
    // It is waited for, and an append does not set what stands.
    assert!(alarms.0 <= 14, "{alarms:?}");
    lab.pass(11_000);
    lab.copier("c", |it| assert_eq!(it.text, "7\n".repeat(appends + 1)));
    // Nothing of it is in memory.
    lab.append();
    lab.pass(1_000);
    lab.crash();
    lab.pass(11_000);
    lab.copier("c", |it| assert_eq!(it.text, "7\n".repeat(appends + 2)));
    lab.pass(HOUR);
    assert_eq!(lab.alarm.get(), None);
}

#[test]
fn an_append_in_a_wait_sets_no_alarm() {
    let lab = Lab::new(10);
    lab.subscribe("s");
    lab.put(b"");
    lab.pass(HOUR);
    lab.fate.set(Fate::Refused);
    lab.append();
    lab.pass(200_000);
    let load = lab.counted(|| {
        for _ in 0..600 {
            lab.append();
            lab.pass(100);
        }
    });
    let (rows, alarms, asked) = load;
    assert_eq!(rows, 600);
    assert!(alarms.0 <= 4, "{alarms:?}");
    assert!(asked <= 2, "{asked}");
}

#[test]
fn who_takes_nothing_is_asked_again_and_again_later() {
    let lab = copied(11);
    lab.copier("c", |it| it.takes = false);
    lab.append();
    let asked = lab.counted(|| lab.pass(HOUR)).2;
    assert!((50..90).contains(&asked), "{asked}");
    lab.copier("c", |it| it.takes = true);
    lab.pass(61_000);
    lab.copier("c", |it| assert_eq!(it.text, "7\n"));
    assert_eq!(lab.alarm.get(), None);
}

#[test]
fn a_position_that_goes_back_is_gone_back_to() {
    let lab = copied(12);
    for _ in 0..3 {
        lab.append();
        lab.pass(HOUR);
    }
    // Another subscription has its name, which has heard of nothing.
    lab.copy("c", Copier::from_start());
    lab.append();
    lab.pass(HOUR);
    lab.copier("c", |it| assert_eq!(it.text, "1\n2\n7\n7\n7\n7\n"));
    // The same without an append: it asks for the link.
    lab.copy("c", Copier::from_start());
    lab.link_for("c", Interest::NamedCopies);
    lab.pass(1_000);
    lab.copier("c", |it| assert_eq!(it.text, "1\n2\n7\n7\n7\n7\n"));
}

#[test]
fn a_link_of_an_object_that_was_not_in_memory_has_nobody_else_told() {
    let lab = Lab::new(13);
    for n in 0..100 {
        lab.subscribe(&format!("s{n}"));
    }
    lab.put(b"[1,2]");
    lab.pass(HOUR);
    lab.crash();
    lab.copy("c", named());
    lab.link_for("c", Interest::NamedCopies);
    let linked = lab.counted(|| lab.pass(HOUR));
    assert!(linked.2 <= 2, "{linked:?}");
    // Whoever copies what was there before is worth an alarm, and that others are told once more.
    lab.crash();
    lab.copy("b", Copier::from_start());
    lab.link_for("b", Interest::NamedCopies);
    let linked = lab.counted(|| lab.pass(HOUR));
    assert!(linked.2 <= 105, "{linked:?}");
    lab.copier("b", |it| assert_eq!(it.text, "1\n2\n"));
    // When it does not hear, it is told again.
    lab.crash();
    lab.copy("d", Copier::from_start());
    lab.fate.set(Fate::Lost);
    lab.link_for("d", Interest::NamedCopies);
    lab.pass(100);
    lab.fate.set(Fate::Answered);
    lab.pass(HOUR);
    lab.copier("d", |it| assert_eq!(it.text, "1\n2\n"));
}

#[test]
fn a_target_is_not_copied_and_pays_for_no_links_of_others() {
    let lab = Lab::new(14);
    lab.copy("c", matching());
    lab.put(b"[1]");
    lab.pass(HOUR);
    lab.link_for("t", Interest::Target);
    lab.append();
    lab.pass(HOUR);
    lab.copier("c", |it| {
        assert_eq!((it.text.as_str(), it.given().1), ("1\n", 2))
    });
    for crash in [false, true] {
        if crash {
            lab.crash();
        }
        lab.append();
        lab.pass(HOUR);
        let statements = lab.disk.statements.get();
        let append = lab.counted(|| assert_eq!(lab.append(), 204));
        assert_eq!(append, (1, (0, 0), 0));
        assert_eq!(lab.disk.statements.get() - statements, 1);
        assert_eq!(lab.counted(|| lab.pass(HOUR)), (0, (0, 0), 0));
    }
    // All are told of its end.
    let told = lab.times(ask::TOLD);
    lab.meet("t", false);
    lab.delete();
    lab.pass(HOUR);
    assert!(lab.told("c").last().unwrap().2 && lab.told("t").last().unwrap().2);
    assert_eq!(lab.times(ask::TOLD) - told, 2);
    assert_eq!(lab.links(), Vec::<String>::new());
    // What has its name then is no target.
    lab.put(b"[2]");
    lab.append();
    lab.pass(HOUR);
    lab.copier("c", |it| assert_eq!(it.text, "1\n2\n7\n"));
}

#[test]
fn what_comes_after_a_target_is_copied_also_before_its_end_was_heard() {
    for crash in [false, true] {
        let lab = Lab::new(15);
        lab.copy("c", matching());
        lab.put(b"[1]");
        lab.pass(HOUR);
        lab.meet("t", false);
        lab.link_for("t", Interest::Target);
        lab.append();
        lab.pass(HOUR);
        lab.fate.set(Fate::Lost);
        lab.delete();
        lab.pass(20);
        lab.put(b"[2]");
        if crash {
            lab.crash();
        }
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        lab.append();
        lab.pass(HOUR);
        lab.copier("c", |it| assert_eq!(it.text, "1\n2\n7\n"));
        assert_eq!(lab.links(), ["c"]);
    }
}

#[test]
fn thousands_are_given_one_slice_and_the_slow_make_way() {
    let lab = Lab::new(16);
    for n in 0..300 {
        lab.copy(&format!("slow{n}"), matching());
        lab.copy(&format!("swift{n}"), matching());
    }
    lab.put(b"[1]");
    lab.pass(HOUR);
    lab.append();
    lab.pass(HOUR);
    lab.most_at_once.set(0);
    lab.append();
    lab.pass(2_000);
    assert_eq!(lab.most_at_once.get(), 50);
    lab.delays.borrow_mut().push(("slow", 20_000));
    let read = lab.disk.read.get();
    lab.append();
    lab.pass(3_000);
    assert_eq!(lab.disk.read.get() - read, 0);
    for n in 0..300 {
        let slow = lab.copier(&format!("slow{n}"), |it| it.text.len());
        let swift = lab.copier(&format!("swift{n}"), |it| it.text.len());
        assert_eq!((slow, swift), (6, 8), "{n}");
    }
    lab.pass(HOUR);
    assert_eq!(lab.copier("slow7", |it| it.text.len()), 8);
}

#[test]
fn a_thousand_are_slow_at_once() {
    let lab = Lab::new(17);
    for n in 0..1_200 {
        lab.subscribe(&format!("slow{n}"));
    }
    lab.put(b"[1]");
    lab.pass(HOUR);
    lab.delays.borrow_mut().push(("slow", 29_000));
    lab.most_at_once.set(0);
    lab.append();
    lab.pass(20_000);
    assert_eq!(lab.most_at_once.get(), 1_050);
    lab.pass(HOUR);
    assert!((0..1_200).all(|n| lab.told(&format!("slow{n}")).last() == Some(&(0, 2, false))));
}

#[test]
fn long_slices_are_not_all_on_their_way_at_once() {
    let lab = Lab::new(18);
    for n in 0..300 {
        lab.copy(&format!("c{n}"), matching());
    }
    lab.put(b"[1]");
    lab.pass(HOUR);
    lab.delays.borrow_mut().push(("c", 1_000));
    lab.post(format!("\"{}\"", "x".repeat(200_000)).as_bytes());
    lab.most_at_once.set(0);
    lab.pass(900);
    assert_eq!(lab.most_at_once.get(), 84);
    lab.pass(10_000);
    assert!((0..300).all(|n| lab.copier(&format!("c{n}"), |it| it.text.len() > 200_000)));
}

#[test]
fn history_is_copied_also_when_the_machine_fails_right_after_the_link() {
    for (is_from_start, copied) in [(true, "1\n2\n"), (false, "")] {
        let lab = Lab::new(3);
        lab.put(b"[1,2]");
        lab.pass(HOUR);
        lab.crash();
        let copier = Copier {
            is_from_start,
            ..named()
        };
        lab.copy("c", copier);
        lab.link_for("c", Interest::NamedCopies);
        lab.crash();
        lab.pass(HOUR);
        lab.copier("c", |it| assert_eq!(it.text, copied));
    }
}
