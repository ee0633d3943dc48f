//! Request bodies, read to the end before anything is decided, or thrown away.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

use worker::js_sys::{Promise, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::web_sys::Request;

use crate::protocol::encoding::Encoding;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::number::{integer, number};

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = withBody, catch)]
    fn with_body(request: &Request, started: f64, then: &Then) -> Result<Promise, JsValue>;
}

#[wasm_bindgen(
    module = "/src/cloudflare/body.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys,
    wasm_bindgen_futures = worker::wasm_bindgen_futures
)]
extern "C" {
    #[wasm_bindgen(js_name = plainLength)]
    fn plain_length(request: &Request) -> f64;

    #[wasm_bindgen(js_name = readBody, catch)]
    async fn read_body(request: &Request, take: &Take) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = decodeBody, catch)]
    async fn decode_body(
        request: &Request,
        format: &str,
        most: f64,
        take: &Take,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = drainBody, catch)]
    async fn drain_body(request: &Request, most: f64, millis: f64) -> Result<JsValue, JsValue>;
}

/// The longest body that is taken in one piece, in bytes: there are two of it in memory then.
const MAX_WHOLE: u64 = 256 << 10;

/// The longest rest of a body that is read for nothing, in bytes. The platform lets no longer body
/// through but on large plans, and to read that much takes a tenth of a second.
const MAX_DRAINED: u64 = 256 << 20;

/// How long a rest is read for nothing, in milliseconds.
const DRAIN_MILLIS: f64 = 30_000.0;

/// What becomes of a request, the time when it came, and its body or what it broke off with.
pub type Then =
    Closure<dyn Fn(Request, f64, Option<Vec<u8>>, Option<String>) -> Result<JsValue, JsValue>>;

/// Takes a part of a body, and says whether more may come.
type Take = Closure<dyn FnMut(Uint8Array) -> bool>;

/// How a body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coming {
    /// There is none.
    Nothing,
    /// As it is, and in a short length within the limit.
    Whole,
    /// In parts: as it is and in this length, or encoded, or until it ends.
    Parts(Option<u64>),
}

/// Looks how a body comes, of which `limit` bytes may.
pub fn coming(request: &Request, limit: usize) -> Coming {
    let length = plain_length(request);
    if length == 0.0 {
        return Coming::Nothing;
    }
    // Any other number is none that a length can have.
    match (length > 0.0).then(|| integer(length)) {
        Some(length) if length <= MAX_WHOLE.min(widen(limit)) => Coming::Whole,
        length => Coming::Parts(length),
    }
}

/// Lets `then` go on when the body is here, and gives the promise of its answer. It does without
/// a future, which takes longer than the append that it would wait for.
///
/// # Errors
///
/// When somebody has read the body before.
pub fn await_whole(request: &Request, started: f64, then: &Then) -> Result<Promise, JsValue> {
    with_body(request, started, then)
}

/// Reads a body that comes in parts, decodes it, and takes `limit` bytes of it at most. Of one that
/// is refused, the rest is thrown away.
///
/// # Errors
///
/// [`Error::TooLarge`], as soon as it is known; [`Error::UnsupportedEncoding`]; [`Error::Invalid`]
/// for a body that breaks off or cannot be decoded; [`Error::Unavailable`] without memory for it.
pub async fn parts(request: &Request, length: Option<u64>, limit: usize) -> Result<Vec<u8>, Error> {
    let body = gather(request, length, limit).await;
    if body.is_err() {
        drain(request).await;
    }
    body
}

/// Reads what is left of a body and throws it away. workerd closes a connection on which a body was
/// left, and a client that is still sending would see that instead of its answer.
pub async fn drain(request: &Request) {
    // It does not fail.
    let _ = drain_body(request, number(MAX_DRAINED), DRAIN_MILLIS).await;
}

async fn gather(request: &Request, length: Option<u64>, limit: usize) -> Result<Vec<u8>, Error> {
    let encoding = match length {
        Some(_) => None,
        None => encoding(request)?,
    };
    let gathered = Rc::new(RefCell::new(Gathered::new(limit, length)?));
    let take = {
        let gathered = Rc::clone(&gathered);
        Closure::new(move |part: Uint8Array| gathered.borrow_mut().take(&part))
    };
    let outcome = match encoding {
        None => read_body(request, &take).await,
        Some(encoding) => {
            let most = number(Encoding::most_encoded(widen(limit)));
            decode_body(request, encoding.format(), most, &take).await
        }
    };
    let outcome = outcome.map_err(broken_off)?;
    if let Some(fault) = outcome.as_string() {
        let name = encoding.map(Encoding::format).unwrap_or_default();
        let message = format!("is {name}, and the body cannot be decoded: {fault}");
        return Err(Error::invalid(header::CONTENT_ENCODING, message));
    }
    let mut gathered = gathered.borrow_mut();
    match outcome.as_bool() {
        Some(true) => Ok(std::mem::take(&mut gathered.body)),
        _ => Err(gathered.refusal()),
    }
}

fn encoding(request: &Request) -> Result<Option<Encoding>, Error> {
    let value = request.headers().get(header::CONTENT_ENCODING);
    Encoding::parse(value.ok().flatten().unwrap_or_default().as_str())
}

/// What has come of a body so far.
#[derive(Debug)]
struct Gathered {
    body: Vec<u8>,
    limit: usize,
    has_memory: bool,
}

impl Gathered {
    /// Nothing yet of a body that is to have this length, if one was announced.
    fn new(limit: usize, length: Option<u64>) -> Result<Self, Error> {
        let mut gathered = Self {
            body: Vec::new(),
            limit,
            has_memory: true,
        };
        let length = length.map_or(Some(0), |length| usize::try_from(length).ok());
        match length.filter(|length| gathered.reserve(*length)) {
            Some(_) => Ok(gathered),
            None => Err(gathered.refusal()),
        }
    }

    /// Takes a part, and says whether more may come.
    fn take(&mut self, part: &Uint8Array) -> bool {
        let length = usize::try_from(part.length()).unwrap_or(usize::MAX);
        match self.room(length) {
            Some(room) => part.copy_to(room),
            None => return false,
        }
        true
    }

    /// Room for so many bytes more, which are part of the body from now on.
    fn room(&mut self, more: usize) -> Option<&mut [u8]> {
        let start = self.body.len();
        let end = start.checked_add(more)?;
        if !self.reserve(end) {
            return None;
        }
        self.body.resize(end, 0);
        self.body.get_mut(start..)
    }

    /// Whether a body of this length is within the limit and has a place in memory. A longer one than
    /// before gets twice the place at least, but no more than it may take.
    fn reserve(&mut self, length: usize) -> bool {
        if length > self.limit {
            return false;
        }
        if length > self.body.capacity() {
            let place = self.body.capacity().saturating_mul(2).min(self.limit);
            let more = place.max(length).saturating_sub(self.body.len());
            self.has_memory = self.body.try_reserve_exact(more).is_ok();
        }
        self.has_memory
    }

    /// Why no more is taken.
    fn refusal(&self) -> Error {
        if self.has_memory {
            too_large(self.limit)
        } else {
            Error::Unavailable("there is no memory for a body".to_owned())
        }
    }
}

fn too_large(limit: usize) -> Error {
    Error::TooLarge {
        limit: widen(limit),
    }
}

fn widen(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

/// The refusal of a body that did not come to its end.
pub fn broken_off(error: impl Debug) -> Error {
    Error::invalid(
        "the body",
        format!("could not be read to its end: {error:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_announced_length_gets_its_place_at_once() {
        let mut gathered = Gathered::new(1000, Some(700)).unwrap();
        assert_eq!(gathered.body.capacity(), 700);
        gathered.room(300).unwrap().fill(1);
        gathered.room(400).unwrap().fill(2);
        assert_eq!(gathered.body.capacity(), 700);
        assert_eq!(gathered.body, [[1; 300].as_slice(), &[2; 400]].concat());
    }

    #[test]
    fn a_length_above_the_limit_is_refused() {
        Gathered::new(1000, Some(1000)).unwrap();
        for length in [1001, u64::MAX] {
            let error = Gathered::new(1000, Some(length)).unwrap_err();
            assert_eq!(error, Error::TooLarge { limit: 1000 });
        }
    }

    #[test]
    fn there_may_be_no_memory() {
        let error = Gathered::new(usize::MAX, Some(u64::MAX)).unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }

    proptest! {
        #[test]
        fn parts_are_taken_up_to_the_limit_and_no_place_beyond_it(
            parts in prop::collection::vec(0usize..500, 0..20),
            limit in 0usize..5000,
        ) {
            let mut gathered = Gathered::new(limit, None).unwrap();
            let mut expected = 0;
            for part in parts {
                let fits = expected + part <= limit;
                prop_assert_eq!(gathered.room(part).map(|room| room.len()), fits.then_some(part));
                prop_assert!(gathered.body.capacity() <= limit);
                if !fits {
                    prop_assert_eq!(gathered.refusal(), too_large(limit));
                    break;
                }
                expected += part;
                prop_assert_eq!(gathered.body.len(), expected);
            }
        }
    }
}
