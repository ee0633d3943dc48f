//! When a stream's will is carried out, and what that costs.

use super::lab::{Lab, START};

const WILL: [(&str, &str); 2] = [("Stream-Will-After", "60"), ("Stream-Will", "99")];
const AFTER: u64 = 60_000;

/// A lab without a directory, with a stream that has a will.
fn lab(seed: u64) -> std::rc::Rc<Lab> {
    let lab = Lab::new(seed);
    lab.set_shards(Ok(None));
    assert_eq!(lab.put_with(b"[1]", &WILL), 201);
    lab
}

/// The messages, and whether the stream is closed, which takes no look at the stream itself.
fn stored(lab: &Lab) -> (String, bool) {
    let bodies = lab
        .disk
        .texts("SELECT CAST(body AS TEXT) FROM stream WHERE id >= 0 ORDER BY id");
    let state = lab
        .disk
        .texts("SELECT CAST(body AS TEXT) FROM stream WHERE id = -1");
    let closed = state
        .iter()
        .flatten()
        .any(|state| state.contains("\"closed\":true"));
    (bodies.concat().concat(), closed)
}

#[test]
fn a_stream_is_closed_when_nobody_appends_for_as_long_as_it_says() {
    for crashes in [false, true] {
        let lab = lab(1);
        lab.pass(50_000);
        assert_eq!(lab.append(), 204);
        if crashes {
            lab.crash();
        }
        lab.pass(AFTER - 1);
        assert_eq!(stored(&lab), ("1,\n7".into(), false), "not before its time");
        lab.pass(1_001);
        assert_eq!(stored(&lab), ("1,\n7,\n99".into(), true), "{crashes}");
        assert_eq!(lab.append(), 409);
        assert_eq!(lab.content(), [1, 7, 99]);
        lab.pass(10 * AFTER);
        assert_eq!(lab.content(), [1, 7, 99]);
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn it_costs_an_alarm_for_as_long_as_it_waits_and_no_row_with_an_append() {
    let without = Lab::new(1);
    without.set_shards(Ok(None));
    let (rows, ..) = without.counted(|| assert_eq!(without.put_with(b"[1]", &[]), 201));
    let with = Lab::new(1);
    with.set_shards(Ok(None));
    let (more, alarms, _) = with.counted(|| assert_eq!(with.put_with(b"[1]", &WILL), 201));
    assert_eq!((more, alarms), (rows, (1, 0)));
    let (rows, alarms, _) = with.counted(|| {
        for _ in 0..100 {
            assert_eq!(with.append(), 204);
            with.pass(3_000);
        }
    });
    assert_eq!(rows, 100);
    // In five minutes.
    assert!(alarms.0 <= 5, "{alarms:?}");
    let (rows, alarms, _) = with.counted(|| with.pass(86_400_000));
    assert_eq!((rows, alarms.0), (2, 1), "its end, and no more");
}

#[test]
fn however_late_somebody_looks_nothing_is_appended_behind_it() {
    for crashes in [false, true] {
        let lab = lab(1);
        // It is lost.
        lab.alarm.set(None);
        if crashes {
            lab.crash();
        }
        lab.executor.step(START + 86_400_000);
        lab.pass(86_400_000);
        assert_eq!(lab.append(), 409);
        assert_eq!(lab.content(), [1, 99]);
    }
}

#[test]
fn a_closed_stream_has_no_use_for_it() {
    let lab = lab(1);
    let close = [("Stream-Closed", "true")];
    let asked = super::lab::Asked {
        method: "POST",
        url: "http://h/v1/stream/p/x".to_owned(),
        headers: close.to_vec(),
    };
    assert_eq!(lab.ask(&asked, b"").status, 204);
    lab.pass(10 * AFTER);
    assert_eq!(lab.content(), [1]);
}

#[test]
fn what_remembers_the_last_append_may_go() {
    // By a truncation to the tail.
    let lab = lab(1);
    lab.pass(30_000);
    assert_eq!(lab.append(), 204);
    let head = lab.ask(
        &super::lab::Asked {
            method: "HEAD",
            url: "http://h/v1/stream/p/x".to_owned(),
            headers: Vec::new(),
        },
        b"",
    );
    let value = |name: &str| {
        let mut headers = head.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then(|| value.clone()))
    };
    assert_eq!(value("Stream-Will-After").as_deref(), Some("60"));
    let tail: &'static str = value("Stream-Next-Offset").unwrap().leak();
    assert_eq!(lab.truncate(tail), 204);
    lab.pass(10_000);
    assert_eq!(stored(&lab).0, "");
    lab.crash();
    lab.pass(AFTER - 10_001);
    assert!(!stored(&lab).1);
    lab.pass(1_001);
    assert_eq!(stored(&lab), ("99".into(), true));
}

#[test]
fn a_release_that_does_not_know_it_may_have_appended() {
    let lab = lab(1);
    lab.crash();
    lab.pass(40_000);
    let extend =
        "UPDATE stream SET body = CAST(body || ',\n8' AS BLOB), count = count + 1 WHERE id = 0";
    assert!(lab.disk.texts(extend).is_empty());
    // It takes the alarm away, too.
    lab.alarm.set(None);
    lab.pass(30_000);
    assert_eq!(lab.content(), [1, 8]);
    lab.crash();
    lab.pass(AFTER - 1);
    assert!(!stored(&lab).1, "what is not known counts for the writer");
    lab.pass(1_001);
    assert_eq!(stored(&lab), ("1,\n8,\n99".into(), true));
}

#[test]
fn it_is_no_access_and_the_end_may_be_earlier() {
    for (ttl, is_there) in [("90", false), ("30", false), ("200", true)] {
        let lab = Lab::new(1);
        lab.set_shards(Ok(None));
        let headers = [WILL[0], WILL[1], ("Stream-TTL", ttl)];
        assert_eq!(lab.put_with(b"[1]", &headers), 201);
        lab.pass(100_000);
        assert_eq!(lab.get() == 200, is_there, "{ttl}");
    }
}

#[test]
fn the_same_will_is_the_same_stream() {
    let lab = lab(1);
    assert_eq!(lab.put_with(b"[1]", &WILL), 200);
    assert_eq!(
        lab.put_with(b"[1]", &[WILL[0], ("Stream-Will", "[ 99 ]")]),
        200
    );
    for other in [
        &[][..],
        &[WILL[0]],
        &[("Stream-Will-After", "61"), WILL[1]],
        &[WILL[0], ("Stream-Will", "98")],
    ] {
        assert_eq!(lab.put_with(b"[1]", other), 409, "{other:?}");
    }
    for wrong in [("Stream-Will", "[]"), ("Stream-Will", "nothing")] {
        assert_eq!(lab.put_with(b"[1]", &[WILL[0], wrong]), 400, "{wrong:?}");
    }
    // Another life has a will of its own.
    assert_eq!(lab.delete(), 204);
    assert_eq!(lab.put_with(b"[1]", &[]), 201);
    lab.pass(10 * AFTER);
    assert_eq!(lab.append(), 204);
}

#[test]
fn subscriptions_and_readers_are_told_as_of_an_append() {
    let lab = Lab::new(1);
    lab.subscribe("s");
    assert_eq!(lab.put_with(b"[1]", &WILL), 201);
    lab.pass(10_000);
    lab.readers.set(1);
    let deliveries = lab.deliveries.get();
    lab.pass(AFTER);
    assert_eq!(lab.content(), [1, 99]);
    assert_eq!(lab.told("s").last().map(|(_, tail, _)| *tail), Some(2));
    assert_eq!(lab.deliveries.get(), deliveries + 1);
}
