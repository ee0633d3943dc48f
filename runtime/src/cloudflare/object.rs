//! The Durable Object of one stream, as the runtime sees it.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen_futures::future_to_promise;
use worker::web_sys::{Request, WebSocket};
use worker::worker_sys::DurableObjectState;
use worker::{Env, State};

use super::asked::Asked;
use super::body::{self, Coming};
use super::config;
use super::respond::respond_with;
use super::timing::Clock;
use super::world::World;
use crate::machine::Machine;
use crate::object::request::{ASK, Incoming};
use crate::object::{Answer, Object};
use crate::protocol::error::Error;
use crate::stream::Stream;

/// The Durable Object class that a worker has to export: one object per stream.
///
/// The class is bound by hand: what the `worker` crate wraps around requests and responses would
/// cost each append more than the append itself. So would a future for each.
#[wasm_bindgen]
pub struct StreamDO {
    object: Rc<Object<World>>,
    /// Goes on with a request whose body has come.
    on_body: body::Then,
}

impl std::fmt::Debug for StreamDO {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDO")
            .field("object", &self.object)
            .finish_non_exhaustive()
    }
}

#[wasm_bindgen(
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
impl StreamDO {
    /// Called by the runtime when the object comes into memory.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let settings = config::object_settings(&env);
        let clock = Clock::new(settings.debug_timing);
        let world = World::new(State::from(state), env, clock);
        let stream = Stream::new(world.sql());
        let object = Object::new(world, settings, stream);
        World::connect(&object);
        let this = Rc::clone(&object);
        let on_body = Closure::new(move |request, started, body: Option<_>, error| {
            let body = body.ok_or_else(|| body::broken_off(error));
            answer(&this, Asked::new(request, started), body)
        });
        Self { object, on_body }
    }

    /// Called by the runtime for each request; gives a response or a promise of one.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub fn fetch(&self, request: Request) -> Result<JsValue, JsValue> {
        let object = &self.object;
        let asked = Asked::new(request, object.ports().tick());
        let limit = match asked.method() {
            "GET" | "HEAD" => return answer(object, asked, Ok(Vec::new())),
            ASK => object.longest_question(asked.place().0),
            _ if asked.needs_body() => object.settings().max_append_bytes.clone(),
            _ => Ok(0),
        };
        match body::coming(&asked.request, limit.clone().unwrap_or(0)) {
            Coming::Nothing => answer(object, asked, limit.map(|_| Vec::new())),
            Coming::Whole => {
                let answer = body::await_whole(&asked.request, asked.started(), &self.on_body);
                Ok(answer?.into())
            }
            Coming::Parts(length) => {
                let object = Rc::clone(object);
                let answer = async move {
                    let body = match limit {
                        Ok(limit) if asked.needs_body() => {
                            body::parts(&asked.request, length, limit).await
                        }
                        unwanted => {
                            body::drain(&asked.request).await;
                            unwanted.map(|_| Vec::new())
                        }
                    };
                    answer(&object, asked, body)
                };
                Ok(future_to_promise(answer).into())
            }
        }
    }

    /// Called by the runtime at the time that was set: cleans up after a stream that has ended,
    /// and does what else there is to do.
    ///
    /// # Errors
    ///
    /// When storage fails or the next alarm could not be set; the runtime calls again then.
    pub async fn alarm(&self) -> Result<(), JsValue> {
        let outcome = self.object.wake().await;
        outcome.map_err(|error| JsValue::from_str(&format!("{error:?}")))
    }

    /// Called by the runtime for what the edge says over a reader's socket: nothing but goodbye.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn websocket_message(&self) {}

    /// Called by the runtime when the edge has closed a reader's socket.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn websocket_close(&self, socket: &WebSocket) {
        // It may be closed on this side, too.
        let _ = socket.close_with_code(1000);
    }

    /// Called by the runtime when a reader's socket has broken.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn websocket_error(&self) {}
}

/// A response, or a promise of one.
fn answer(
    object: &Rc<Object<World>>,
    asked: Asked,
    body: Result<Vec<u8>, Error>,
) -> Result<JsValue, JsValue> {
    if !asked.takes_time() {
        let Answer { reply, socket } = object.answer(&asked, body);
        return respond_with(reply, socket).map(JsValue::from);
    }
    let object = Rc::clone(object);
    let answer = async move {
        let Answer { reply, socket } = object.answer_in_time(&asked, body).await;
        respond_with(reply, socket).map(JsValue::from)
    };
    Ok(future_to_promise(answer).into())
}
