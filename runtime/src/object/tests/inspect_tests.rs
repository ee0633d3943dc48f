//! What an object says of its stream to whoever looks at it.

use std::rc::Rc;

use serde_json::Value;

use super::lab::Lab;
use crate::protocol::ask::{INSPECT, Inspect, say};
use crate::protocol::root::Root;

fn inspect(lab: &Rc<Lab>) -> (u16, Value) {
    let root = Root::of_project("p");
    let asked = Inspect { root, alone: false };
    let reply = lab.question(INSPECT, say(&asked));
    let document = serde_json::from_slice(&reply.body);
    (reply.status, document.unwrap_or_default())
}

#[test]
fn to_look_writes_nothing_and_asks_nobody() {
    for shards in [Some(16), None] {
        let lab = Lab::new(1);
        lab.set_shards(Ok(shards));
        assert_eq!(inspect(&lab), (204, Value::Null));
        lab.put_with(b"[1,2]", &[("Stream-TTL", "600")]);
        lab.pass(90_000);
        let alarm = lab.alarm.get();
        for is_loaded in [true, false] {
            if !is_loaded {
                lab.crash();
            }
            let cost = lab.counted(|| {
                let (status, seen) = inspect(&lab);
                assert_eq!((status, &seen["path"]), (200, &Value::from("x")));
            });
            assert_eq!(cost, (0, (0, 0), 0), "{shards:?}");
            assert_eq!(lab.alarm.get(), alarm);
        }
    }
}

#[test]
fn who_looks_does_not_keep_a_stream() {
    let lab = Lab::new(2);
    lab.put_with(b"[1]", &[("Stream-TTL", "60")]);
    for _ in 0..59 {
        assert_eq!(inspect(&lab).0, 200);
        lab.pass(1_000);
    }
    lab.pass(1_000);
    assert_eq!(inspect(&lab), (204, Value::Null));
    // The next one of its name is another one.
    lab.put(b"[1,2,3]");
    let (status, seen) = inspect(&lab);
    assert_eq!((status, &seen["ttl"]), (200, &Value::Null));
    lab.delete();
    assert_eq!(inspect(&lab), (204, Value::Null));
}

#[test]
fn a_question_of_a_later_release_is_refused() {
    let lab = Lab::new(3);
    lab.put(b"[1]");
    for wrong in ["", "{}", "{\"v\":99,\"root\":{}}"] {
        let reply = lab.question(INSPECT, wrong.to_owned());
        assert!(
            matches!(reply.status, 400 | 503),
            "{wrong}: {}",
            reply.status
        );
    }
}
