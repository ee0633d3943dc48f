use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::directory::key_shard;
use crate::edge::tests::world::World;
use crate::machine::{Peer, Verifies};
use crate::protocol::offset::Offset;
use crate::protocol::root::Root;
use crate::simulation::keys;
use crate::streams::{Error, Notice, Streams};

/// In seconds since the Unix epoch.
const NOW: u64 = 1_700_000_000;
const ID: &str = "mails";

impl Verifies for World {
    async fn verify(&self, public: &str, signature: &[u8], bytes: &[u8]) -> bool {
        keys::is_signed(public, bytes, &URL_SAFE_NO_PAD.encode(signature))
    }
}

fn body_of(id: &str) -> String {
    let stream = json!({
        "path": "orders/1",
        "link_type": "glob",
        "acked_offset": Offset::START.to_string(),
        "tail_offset": Offset::new(1).unwrap().to_string(),
        "has_pending": true,
    });
    json!({
        "subscription_id": id,
        "wake_id": "w1",
        "generation": 3,
        "streams": [stream],
        "callback_url": "https://a.example",
        "callback_token": "t",
    })
    .to_string()
}

/// The header of a webhook that is signed with the key of a number.
fn signed_at(at: &str, body: &str, key: u64) -> String {
    let signature = keys::sign(&keys::pair(key).private, format!("{at}.{body}").as_bytes());
    format!(
        "t={at},kid=k1,ed25519={}",
        URL_SAFE_NO_PAD.encode(signature)
    )
}

/// What the worker makes of a webhook, where the key of 1 is published, and another one.
fn received(signature: &str, body: &str) -> Result<Notice, Error> {
    let world = World::default();
    world.0.now.set(NOW * 1000);
    let set = json!({ "keys": [
        { "kid": "k0", "x": keys::pair(0).public },
        { "kid": "k1", "x": keys::pair(1).public, "kty": "OKP", "crv": "Ed25519" },
    ] });
    world.0.shards.set(Some(1));
    let asked = format!("jwks {}", Peer::Shard(key_shard(&Root::ALL, 1)));
    let said = Some((200, set.to_string()));
    world.0.answers.borrow_mut().push((asked, said));
    let subscriptions = Streams::over(world.clone(), false).subscriptions("");
    world.run(subscriptions.received(ID, signature, body.as_bytes()))
}

#[track_caller]
fn refused(signature: &str, body: &str, status: u16) {
    let error = received(signature, body).unwrap_err();
    assert_eq!(error.status(), status, "{error}");
}

#[test]
fn what_this_server_has_signed_of_late_is_taken() {
    let body = body_of(ID);
    for at in [NOW - 300, NOW, NOW + 300] {
        let notice = received(&signed_at(&at.to_string(), &body, 1), &body).unwrap();
        assert_eq!((notice.generation, notice.streams.len()), (3, 1));
        assert!(notice.streams[0].has_pending && notice.streams[0].path == "orders/1");
    }
    // In any order, with parts that come later, and spaces.
    let signature = signed_at(&NOW.to_string(), &body, 1);
    let mut parts: Vec<&str> = signature.split(',').rev().collect();
    parts.push("v=2");
    received(&parts.join(", "), &body).unwrap();
}

#[test]
fn what_somebody_else_has_signed_or_changed_is_refused() {
    let body = body_of(ID);
    let now = NOW.to_string();
    let right = signed_at(&now, &body, 1);
    refused(&signed_at(&now, &body, 2), &body, 401);
    refused(&right, &body.replace("orders/1", "orders/2"), 401);
    refused(&right.replace("kid=k1", "kid=k0"), &body, 401);
    refused(&right.replace("kid=k1", "kid=k2"), &body, 401);
    let later = (NOW + 1).to_string();
    refused(&right.replace(&now, &later), &body, 401);
    for at in [NOW - 301, NOW + 301, 0, u64::MAX] {
        refused(&signed_at(&at.to_string(), &body, 1), &body, 401);
    }
    for signature in ["", "t", "t=x", "t=1,kid=k1", "t=1,kid=k1,ed25519=ä"] {
        refused(signature, &body, 401);
    }
    refused(&signed_at("-1", &body, 1), &body, 401);
}

#[test]
fn what_is_signed_for_another_receiver_is_refused() {
    let body = body_of("others");
    refused(&signed_at(&NOW.to_string(), &body, 1), &body, 403);
}
