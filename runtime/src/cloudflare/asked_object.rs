//! The Durable Objects that only the edge and other objects ask: shards of the directory, and
//! subscriptions.

use std::future::Future;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::js_sys::Promise;
use worker::wasm_bindgen_futures::future_to_promise;
use worker::web_sys::Request;
use worker::worker_sys::DurableObjectState;
use worker::{Env, State};

use super::asked::Asked;
use super::body::{self, Coming};
use super::config;
use super::respond::respond;
use super::timing::Clock;
use super::world::World;
use crate::directory::Shard;
use crate::object::request::{ASK, Incoming};
use crate::protocol::error::Error;
use crate::protocol::path;
use crate::protocol::reply::Reply;
use crate::subscription::Subscription;

/// The longest question, in bytes: one can hold a message of a stream that is to be copied, of up to
/// 20 MiB in base64.
const MAX_QUESTION: usize = 32 << 20;

/// The Durable Object class of the directory, which a worker has to export.
#[wasm_bindgen]
#[derive(Debug)]
pub struct DirectoryDO {
    shard: Rc<Shard<World>>,
}

#[wasm_bindgen(
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
impl DirectoryDO {
    /// Called by the runtime when the object comes into memory.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let has_registry = config::registry_stream(&env);
        let world = World::new(State::from(state), env, Clock::new(false));
        let storage = world.sql();
        let shard = match has_registry {
            true => Shard::with_registry(world, storage),
            false => Shard::new(world, storage),
        };
        Self { shard }
    }

    /// Called by the runtime for each request.
    pub fn fetch(&self, request: Request) -> Promise {
        let shard = Rc::clone(&self.shard);
        answer(request, async move |question, body| {
            shard.answer(&question, &body).await
        })
    }

    /// Called by the runtime at the time that was set.
    ///
    /// # Errors
    ///
    /// When storage fails or the next alarm could not be set; the runtime calls again then.
    pub async fn alarm(&self) -> Result<(), JsValue> {
        self.shard.wake().await.map_err(thrown)
    }
}

/// The Durable Object class of subscriptions, which a worker has to export.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SubscriptionDO {
    subscription: Rc<Subscription<World>>,
}

#[wasm_bindgen(
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
impl SubscriptionDO {
    /// Called by the runtime when the object comes into memory.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let settings = config::subscription_settings(&env);
        let world = World::new(State::from(state), env, Clock::new(false));
        let storage = world.sql();
        Self {
            subscription: Subscription::new(world, settings, storage),
        }
    }

    /// Called by the runtime for each request.
    pub fn fetch(&self, request: Request) -> Promise {
        let subscription = Rc::clone(&self.subscription);
        answer(request, async move |question, body| {
            subscription.answer(&question, &body).await
        })
    }

    /// Called by the runtime at the time that was set.
    ///
    /// # Errors
    ///
    /// When storage fails or the next alarm could not be set; the runtime calls again then.
    pub async fn alarm(&self) -> Result<(), JsValue> {
        self.subscription.wake().await.map_err(thrown)
    }
}

fn thrown(error: Error) -> JsValue {
    JsValue::from_str(&format!("{error:?}"))
}

/// The response to a question, by what `carry_out` makes of its text and its body.
fn answer<F>(request: Request, carry_out: impl FnOnce(String, Vec<u8>) -> F + 'static) -> Promise
where
    F: Future<Output = Reply> + 'static,
{
    future_to_promise(async move {
        let reply = match heard(request).await {
            Ok((question, body)) => carry_out(question, body).await,
            Err(error) => Reply::refused(&error),
        };
        respond(reply).map(JsValue::from)
    })
}

async fn heard(request: Request) -> Result<(String, Vec<u8>), Error> {
    let asked = Asked::new(request, 0.0);
    let question = asked.place().0.strip_prefix(path::ASKED);
    let question = question.filter(|_| asked.method() == ASK);
    let question = question.ok_or(Error::UnknownRoute)?.to_owned();
    let length = match body::coming(&asked.request, MAX_QUESTION) {
        Coming::Nothing => return Ok((question, Vec::new())),
        Coming::Whole => None,
        Coming::Parts(length) => length,
    };
    let body = body::parts(&asked.request, length, MAX_QUESTION).await?;
    Ok((question, body))
}
