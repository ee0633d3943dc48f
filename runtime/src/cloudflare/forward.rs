//! The way to an object.

use std::cell::OnceCell;
use std::thread::LocalKey;

use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, RequestInit, Response};
use worker::{Env, js_sys};

use super::config;
use super::respond::refuse;
use crate::machine::Peer;
use crate::object::request::ASK;
use crate::protocol::error::Error;
use crate::protocol::path;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// A Durable Object stub. The `worker` crate's own rebuilds requests and responses, which
    /// costs time and the length of bodies.
    pub type Stub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, request: &Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_url(this: &Stub, url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
}

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    /// Where objects are; see `exchange.js`.
    #[derive(Clone)]
    type Place;

    #[wasm_bindgen(js_name = placeOf, catch)]
    fn place_of(
        env: &Env,
        binding: &str,
        jurisdiction: Option<&str>,
        location_hint: Option<&str>,
    ) -> Result<Option<Place>, JsValue>;

    #[wasm_bindgen(js_name = stubOf, catch)]
    fn stub_of(place: &Place, name: &str) -> Result<Stub, JsValue>;

    #[wasm_bindgen(catch)]
    fn upgrade(stub: &Stub, url: &str, mark: Option<&str>) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_name = passOn, catch)]
    fn pass_on(stub: &Stub, request: &Request, refuse: &Refuse) -> Result<Promise, JsValue>;
}

/// What is answered when an object did not.
type Refuse = Closure<dyn Fn(JsValue) -> Result<Response, JsValue>>;

thread_local! {
    static REFUSE: Refuse = Closure::new(|error| refuse(&unavailable(error)));
    /// Bindings and variables stay as they are for as long as the isolate lives.
    static STREAMS: OnceCell<Result<Place, Error>> = const { OnceCell::new() };
    static DIRECTORIES: OnceCell<Result<Place, Error>> = const { OnceCell::new() };
    static SUBSCRIPTIONS: OnceCell<Result<Place, Error>> = const { OnceCell::new() };
}

/// The way to an object.
///
/// # Errors
///
/// [`Error::Misconfigured`] without the binding or with a malformed variable,
/// [`Error::Unavailable`].
pub fn stub(env: &Env, peer: Peer<'_>) -> Result<Stub, Error> {
    match peer {
        Peer::Stream(name) => stub_in(&STREAMS, env, config::STREAMS, name),
        Peer::Shard(number) => stub_in(&DIRECTORIES, env, config::DIRECTORIES, &number.to_string()),
        Peer::Subscription(name) => stub_in(&SUBSCRIPTIONS, env, config::SUBSCRIPTIONS, name),
    }
}

fn stub_in(
    place: &'static LocalKey<OnceCell<Result<Place, Error>>>,
    env: &Env,
    binding: &str,
    name: &str,
) -> Result<Stub, Error> {
    place.with(
        |place| match place.get_or_init(|| find_place(env, binding)) {
            Ok(place) => stub_of(place, name).map_err(unavailable),
            Err(error) => Err(error.clone()),
        },
    )
}

fn find_place(env: &Env, binding: &str) -> Result<Place, Error> {
    let config::Placement {
        jurisdiction,
        location_hint,
    } = config::placement(env)?;
    let place = place_of(env, binding, jurisdiction, location_hint);
    let place = place.map_err(|error| {
        let what = format!("the Durable Objects are not to be had: {error:?}");
        Error::Misconfigured(what)
    })?;
    place.ok_or_else(|| {
        Error::Misconfigured(format!("the Durable Object binding {binding} is missing"))
    })
}

impl Stub {
    /// Hands a request on as it is, and gives the promise of a response, which will be kept.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is no way to the object.
    pub fn pass_on(&self, request: &Request) -> Result<Promise, Error> {
        REFUSE.with(|refuse| pass_on(self, request, refuse).map_err(unavailable))
    }

    /// Hands a request on as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not answer.
    pub async fn forward(&self, request: &Request) -> Result<Response, Error> {
        respond(self.fetch(request)).await
    }

    /// Asks what only the edge and other objects can, by a method that no request from outside gets
    /// through with. Gives the status and the body of the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not answer.
    pub async fn ask(&self, question: &str, body: &str) -> Result<(u16, Vec<u8>), Error> {
        let init = RequestInit::new();
        init.set_method(ASK);
        init.set_body_opt_str(Some(body));
        let url = format!("http://object{}{question}", path::ASKED);
        let response = respond(self.fetch_url(&url, &init)).await?;
        let body = body_of(&response).await?.to_vec();
        Ok((response.status(), body))
    }

    /// Asks for a WebSocket at a URL, in a request with this header set to `true`. A response
    /// without one is an answer, too.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object does not answer.
    pub async fn upgrade(&self, url: &str, mark: Option<&str>) -> Result<Response, Error> {
        respond(upgrade(self, url, mark)).await
    }
}

/// The body of an object's response.
///
/// # Errors
///
/// [`Error::Unavailable`] when it breaks off.
pub async fn body_of(response: &Response) -> Result<js_sys::Uint8Array, Error> {
    let body = response.array_buffer().map_err(unavailable)?;
    let body = JsFuture::from(body).await.map_err(unavailable)?;
    Ok(js_sys::Uint8Array::new(&body))
}

/// A request of the worker's own.
///
/// # Errors
///
/// [`Error::Invalid`] when a header's value is none that HTTP can carry.
pub fn request(
    method: &str,
    url: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> Result<Request, Error> {
    let init = RequestInit::new();
    init.set_method(method);
    if !body.is_empty() {
        init.set_body(&js_sys::Uint8Array::from(body));
    }
    let request = Request::new_with_str_and_init(url, &init).map_err(unavailable)?;
    let known = request.headers();
    for (name, value) in headers {
        let set = known.set(name, value);
        set.map_err(|_| Error::invalid(name, "must be a text that an HTTP header can carry"))?;
    }
    Ok(request)
}

/// The same request for another URL, if there is one, and with this header set to `true`.
///
/// # Errors
///
/// None that depend on the request.
pub fn changed(request: &Request, url: Option<&str>, mark: Option<&str>) -> Result<Request, Error> {
    let rest: &RequestInit = request.unchecked_ref();
    let copy = match url {
        Some(url) => Request::new_with_str_and_init(url, rest),
        None => Request::new_with_request(request),
    };
    let copy = copy.map_err(unavailable)?;
    if let Some(mark) = mark {
        copy.headers().set(mark, "true").map_err(unavailable)?;
    }
    Ok(copy)
}

async fn respond(promise: Result<Promise, JsValue>) -> Result<Response, Error> {
    let promise = promise.map_err(unavailable)?;
    let response = JsFuture::from(promise).await.map_err(unavailable)?;
    response.dyn_into().map_err(unavailable)
}

/// What has gone wrong on the way to an object, or in what came from it.
pub fn unavailable(error: JsValue) -> Error {
    Error::Unavailable(format!("{error:?}"))
}
