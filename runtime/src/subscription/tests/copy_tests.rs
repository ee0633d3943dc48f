//! From a source to its target.

use serde_json::{Value, json};

use super::world::{World, code};

fn copy(more: &Value) -> Value {
    let mut body = json!({ "type": "copy", "target_stream": "inbox" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn world(more: &Value) -> World {
    let world = World::new();
    world.create("inbox");
    world.create("a");
    world.create("b");
    world.run(10);
    world.put(&copy(more));
    world
}

#[test]
fn what_is_appended_is_copied_once_and_in_order() {
    let world = world(&json!({ "streams": ["a", "b"] }));
    world.push("a", 3);
    world.push("b", 2);
    world.push("a", 1);
    assert_eq!(world.copied("inbox", "a"), [1, 2, 3, 4]);
    assert_eq!(world.copied("inbox", "b"), [1, 2]);
    assert_eq!(world.cursor("a"), Some(("explicit".into(), 4)));
    let shown = world.get();
    assert_eq!(
        (
            &shown["type"],
            &shown["target_stream"],
            &shown["from"],
            &shown["envelope"]
        ),
        (
            &json!("copy"),
            &json!("inbox"),
            &json!("now"),
            &json!(false)
        )
    );
    assert_eq!(shown["lease_ttl_ms"], Value::Null);
    assert_eq!((&shown["lag"], &shown["pending"]), (&json!(0), &json!(0)));
    assert_eq!(code(&world.call("target", &Value::Null)).0, 200);
}
