//! Projects and public streams in the KV namespace `REGISTRY`: `<project>` holds the project's
//! record, `<project>/<stream>` is there for public streams.
//!
//! What was read is kept in the isolate, so that a busy project costs no KV read per request, but
//! four a minute for each isolate that serves it. A secret that was taken away has to be without
//! effect within a minute, on live reads as well. KV itself may serve what it has read before for
//! 30 seconds, the least it can be told; the isolate takes a quarter of a minute; and the rest is
//! [how long](crate::edge::again::EVERY) a live read goes on before it is asked about again.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::thread::LocalKey;
use std::time::Duration;

use futures_util::future::{Either, select};
use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Delay, Env, js_sys};

use super::config;
use super::timing::now;
use crate::auth::cache::{Cache, Limits};
use crate::auth::project::{Project, Registry, announcement};
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};

/// How long KV itself may serve what it has read before, in seconds.
const KV_CACHE_SECONDS: f64 = 30.0;
const LIMITS: Limits = Limits {
    hit: 15_000,
    miss: 5_000,
    entries: 1000,
};
/// KV takes one write a second for a key. How long to wait before each further try, in milliseconds.
const PAUSES: [u64; 2] = [1_100, 2_200];
/// KV answers within milliseconds, or a few hundred from afar.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static PROJECTS: RefCell<Cache<Rc<Project>>> = RefCell::new(Cache::new(LIMITS));
    /// By the names of their objects: a path of another era is another stream.
    static PUBLIC_STREAMS: RefCell<Cache<()>> = RefCell::new(Cache::new(LIMITS));
}

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// A KV namespace, without the conversions of the `worker` crate's own.
    type Namespace;

    #[wasm_bindgen(method, catch)]
    fn get(
        this: &Namespace,
        key: &str,
        options: &JsValue,
    ) -> std::result::Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(
        this: &Namespace,
        key: &str,
        value: &str,
    ) -> std::result::Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn delete(this: &Namespace, key: &str) -> std::result::Result<js_sys::Promise, JsValue>;
}

impl Registry for Env {
    async fn project(&self, name: &str) -> Result<Option<Rc<Project>>, Error> {
        look_up(&PROJECTS, name, async || {
            let record = read(self, name).await?;
            let parsed = record.map(|record| Project::parse(name, &record));
            Ok(parsed.transpose()?.map(Rc::new))
        })
        .await
    }

    async fn is_public(&self, stream: &StreamPath, era: Option<Era>) -> Result<bool, Error> {
        let name = stream.name(era);
        let found = look_up(&PUBLIC_STREAMS, &name, async || {
            let record = read(self, stream.as_str()).await?;
            let is_announced = record.is_some_and(|record| record == announcement(era));
            Ok(is_announced.then_some(()))
        });
        Ok(found.await?.is_some())
    }

    async fn publish(&self, stream: &StreamPath, era: Option<Era>) -> Result<(), Error> {
        let (name, kv) = (stream.name(era), namespace(self)?);
        let outcome = write(|| kv.put(stream.as_str(), &announcement(era))).await;
        // What may not be done does not count as done, so that whoever tries again does it.
        let known = outcome.is_ok().then_some(());
        PUBLIC_STREAMS.with_borrow_mut(|cache| cache.put(&name, known, now()));
        outcome
    }

    async fn unpublish(&self, stream: &StreamPath, era: Option<Era>) -> Result<(), Error> {
        let (name, kv) = (stream.name(era), namespace(self)?);
        let outcome = write(|| kv.delete(stream.as_str())).await;
        PUBLIC_STREAMS.with_borrow_mut(|cache| match outcome {
            Ok(()) => cache.forget(&name),
            Err(_) => cache.put(&name, Some(()), now()),
        });
        outcome
    }
}

async fn look_up<T: Clone, F: Future<Output = Result<Option<T>, Error>>>(
    cache: &'static LocalKey<RefCell<Cache<T>>>,
    key: &str,
    fetch: impl FnOnce() -> F,
) -> Result<Option<T>, Error> {
    if let Some(known) = cache.with_borrow(|cache| cache.get(key, now())) {
        return Ok(known);
    }
    // It may change while it is on its way, so its age counts from here.
    let asked = now();
    let found = fetch().await?;
    cache.with_borrow_mut(|cache| cache.put(key, found.clone(), asked));
    Ok(found)
}

async fn read(env: &Env, key: &str) -> Result<Option<String>, Error> {
    let options = js_sys::Object::new();
    let set = js_sys::Reflect::set(&options, &"cacheTtl".into(), &KV_CACHE_SECONDS.into());
    set.map_err(unavailable)?;
    let value = answer(namespace(env)?.get(key, &options)).await?;
    Ok(value.as_string())
}

fn namespace(env: &Env) -> Result<Namespace, Error> {
    let binding = js_sys::Reflect::get(env, &config::REGISTRY.into()).map_err(unavailable)?;
    if binding.is_undefined() {
        let what = format!("the KV binding {} is missing", config::REGISTRY);
        return Err(Error::Misconfigured(what));
    }
    Ok(binding.unchecked_into())
}

/// Writes a key, which may have been written just before.
async fn write(
    ask: impl Fn() -> std::result::Result<js_sys::Promise, JsValue>,
) -> Result<(), Error> {
    for pause in PAUSES {
        match answer(ask()).await {
            Err(error) if error.detail().is_some_and(|why| why.contains("429")) => {
                Delay::from(Duration::from_millis(pause)).await;
            }
            outcome => return outcome.map(drop),
        }
    }
    answer(ask()).await.map(drop)
}

/// What KV answers, if it does.
async fn answer(promise: std::result::Result<js_sys::Promise, JsValue>) -> Result<JsValue, Error> {
    let answer = JsFuture::from(promise.map_err(unavailable)?);
    match select(pin!(answer), pin!(Delay::from(PATIENCE))).await {
        Either::Left((answer, _)) => answer.map_err(unavailable),
        Either::Right(_) => {
            let what = format!("no answer from KV within {} s", PATIENCE.as_secs());
            Err(Error::RegistryUnavailable(what))
        }
    }
}

fn unavailable(error: JsValue) -> Error {
    Error::RegistryUnavailable(format!("{error:?}"))
}
