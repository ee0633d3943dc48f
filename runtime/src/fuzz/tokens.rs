//! JSON Web Tokens: only what a secret has signed is believed, and nothing that it has not.

use serde_json::{Value, json};

use super::feed;
use crate::auth::token::tests::{NOW, SECRET, sign, sign_texts};
use crate::auth::token::{Claims, LEEWAY, Token};

const HEADERS: &[&[u8]] = &[
    b"{\"alg\":\"HS256\"}",
    b"{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"1\"}",
    b"{\"alg\":\"none\"}",
    b"{\"alg\":\"HS512\"}",
    b"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
];

const CLAIMS: &[&[u8]] = &[
    b"{\"sub\":\"p\",\"scope\":\"write\",\"exp\":1700000060}",
    b"{\"sub\":\"p\",\"scope\":\"read\",\"exp\":1700000060,\"stream_id\":\"a/b\",\"nbf\":1}",
    b"{\"exp\":1e10,\"scope\":\"write\",\"sub\":\"p\"}",
    b"{\"sub\":\"p\",\"sub\":\"q\",\"scope\":\"write\",\"exp\":9007199254740991}",
    b"[\"p\",\"write\",1700000060]",
];

fn verify(text: &str) -> Option<Claims> {
    let token = Token::parse(text).ok()?;
    token.verify(&[SECRET.to_owned()], NOW).ok()
}

#[test]
fn what_was_changed_is_not_believed() {
    feed("changed tokens", 10_000, |noise| {
        let claims = json!({ "sub": "p", "scope": "read", "exp": NOW + 60 });
        let other = json!({ "sub": "p", "scope": "write", "exp": NOW + 60 });
        let signed = sign(&claims, SECRET);
        let forged = sign(&other, "another secret of thirty-two bytes");
        let unsigned = sign_texts(HEADERS[2], other.to_string().as_bytes(), SECRET);
        let text = noise.text_like(&[&signed, &forged, &unsigned]);
        if let Some(believed) = verify(&text) {
            assert_eq!(text, signed);
            assert_eq!(believed.scope, "read");
        }
    });
}

#[test]
fn what_is_believed_was_said() {
    feed("signed tokens", 10_000, |noise| {
        let (header, claims) = (noise.bytes_like(HEADERS), noise.bytes_like(CLAIMS));
        let Some(believed) = verify(&sign_texts(&header, &claims, SECRET)) else {
            return;
        };
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text);
        // What nobody looks at may hold a number that is larger than any.
        let (Ok(header), Ok(said)) = (read(&header), read(&claims)) else {
            return;
        };
        assert_eq!(header["alg"], "HS256");
        assert!(header["crit"].is_null());
        assert_eq!(said["sub"], believed.sub);
        assert_eq!(said["scope"], believed.scope);
        // A date with a fraction counts as the next whole second.
        let exp = said["exp"].as_f64().expect("a number");
        assert_eq!(exp.ceil(), believed.exp as f64);
        assert_eq!(said["stream_id"], Value::from(believed.stream_id));
        assert!(believed.exp + LEEWAY > NOW);
        assert!(believed.nbf.unwrap_or(0) <= NOW + LEEWAY);
    });
}
