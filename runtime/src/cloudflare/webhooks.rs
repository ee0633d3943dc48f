//! Keys, signatures, and requests to receivers of webhooks.

use worker::js_sys::{Array, Promise, Uint8Array};
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;

use crate::machine::KeyPair;
use crate::protocol::number::integer;

#[wasm_bindgen(
    module = "/src/cloudflare/webhooks.js",
    wasm_bindgen = worker::wasm_bindgen,
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(catch, js_name = newKey)]
    async fn make_key() -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = sign)]
    async fn sign_bytes(key: &str, bytes: &Uint8Array) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = verify)]
    async fn verify_bytes(public: &str, signature: &Uint8Array, bytes: &Uint8Array) -> JsValue;

    /// A request on its way.
    type Sending;

    #[wasm_bindgen(js_name = post)]
    fn send(url: &str, headers: &str, body: &Uint8Array, most: u32) -> Sending;

    #[wasm_bindgen(method, getter)]
    fn answer(this: &Sending) -> Promise;

    #[wasm_bindgen(method)]
    fn stop(this: &Sending);
}

/// The longest start of an answer that is looked at, in bytes.
const MAX_ANSWER: u32 = 64 << 10;

/// Whoever does not wait any longer for an answer does not want it, either.
struct Stopped(Sending);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// See [`Signs::new_key`](crate::machine::Signs::new_key). The private key is a JSON Web Key.
pub async fn new_key() -> Result<KeyPair, String> {
    let pair: Array = make_key().await.map_err(said)?.unchecked_into();
    match (pair.get(0).as_string(), pair.get(1).as_string()) {
        (Some(private), Some(public)) => Ok(KeyPair { private, public }),
        _ => Err("a key has no text".to_owned()),
    }
}

/// See [`Signs::sign`](crate::machine::Signs::sign).
pub async fn sign(private: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let signature = sign_bytes(private, &Uint8Array::from(bytes)).await;
    // What is wrong with a key may say what is in it.
    let signature = signature.map_err(|_| "the key is none to sign with".to_owned())?;
    Ok(signature.unchecked_into::<Uint8Array>().to_vec())
}

/// See [`Verifies::verify`](crate::machine::Verifies::verify).
pub async fn verify(public: &str, signature: &[u8], bytes: &[u8]) -> bool {
    let (signature, bytes) = (Uint8Array::from(signature), Uint8Array::from(bytes));
    verify_bytes(public, &signature, &bytes).await.is_truthy()
}

/// See [`Posts::post`](crate::machine::Posts::post).
pub async fn post(
    url: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> Result<(u16, Vec<u8>), String> {
    let mut lines = String::new();
    for (name, value) in headers {
        for line in [name, value.as_str()] {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    let sending = Stopped(send(url, &lines, &Uint8Array::from(body), MAX_ANSWER));
    let answer: Array = JsFuture::from(sending.0.answer())
        .await
        .map_err(said)?
        .unchecked_into();
    let status = answer.get(0).as_f64().map(integer);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let body = answer.get(1).unchecked_into::<Uint8Array>().to_vec();
    Ok((status.unwrap_or(0), body))
}

fn said(error: JsValue) -> String {
    let text = error.as_string();
    text.unwrap_or_else(|| format!("{error:?}"))
}
