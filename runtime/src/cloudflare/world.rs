//! A Durable Object's world: the ports of [`Object`](crate::object::Object) on the platform.

use std::cell::OnceCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use worker::wasm_bindgen::prelude::*;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::WebSocket;
use worker::{Delay, Env, State, js_sys};

use super::forward;
use super::metrics::Metrics;
use super::r2::Bucket;
use super::sockets::Sockets;
use super::sql::Sql;
use super::timing::{self, Clock};
use super::webhooks;
use crate::machine::{DataPoint, KeyPair, Machine, Peer, Posts, Signs};
use crate::object::Object;
use crate::object::ports::{Close, Ports};
use crate::protocol::error::Error;
use crate::protocol::number::{integer, number};

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, js_sys = worker::js_sys)]
extern "C" {
    /// `DurableObjectStorage`, for what the `worker` crate asks for only when its future is polled:
    /// then the turn may be over.
    type Alarms;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Alarms, at: f64) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    fn delete_alarm(this: &Alarms) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    fn delete_all(this: &Alarms) -> Result<js_sys::Promise, JsValue>;

    /// Fills it with what nobody can guess, unlike `Math.random`.
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]) -> Result<(), JsValue>;
}

/// See the module's text.
pub struct World {
    state: State,
    env: Env,
    alarms: Alarms,
    clock: Clock,
    bucket: Option<Bucket>,
    metrics: Metrics,
    sockets: Sockets,
    /// Calls [`Object::deliver`]. There is one for each object: a future for each append would
    /// cost more than all else that is done about it.
    deliver: OnceCell<Closure<dyn Fn()>>,
}

impl World {
    /// The world of an object with this storage and these bindings.
    pub fn new(state: State, env: Env, clock: Clock) -> Self {
        Self {
            bucket: Bucket::from_env(&env),
            metrics: Metrics::from_env(&env),
            sockets: Sockets::new(&state),
            alarms: JsValue::from(state.storage().as_raw()).unchecked_into(),
            deliver: OnceCell::new(),
            state,
            env,
            clock,
        }
    }

    /// The object's database.
    pub fn sql(&self) -> Sql {
        Sql::new(&self.state.storage(), self.clock)
    }

    /// Lets the object be called when it has asked for that.
    pub fn connect(object: &Rc<Object<Self>>) {
        let weak = Rc::downgrade(object);
        let deliver = Closure::new(move || {
            if let Some(object) = weak.upgrade() {
                object.deliver();
            }
        });
        let _ = object.ports().deliver.set(deliver);
    }
}

impl Machine for World {
    type Storage = Sql;

    fn now(&self) -> u64 {
        timing::now()
    }

    fn tick(&self) -> f64 {
        self.clock.now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn secret(&self) -> Result<u128, String> {
        let mut bytes = [0; 16];
        get_random_values(&mut bytes).map_err(|error| format!("{error:?}"))?;
        Ok(u128::from_le_bytes(bytes))
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        Delay::from(Duration::from_millis(millis))
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.state.wait_until(work);
    }

    fn set_alarm(&self, at: Option<u64>) -> impl Future<Output = Result<(), String>> + 'static {
        // The `worker` crate's own asks when its future is first polled, which may be too late.
        done(match at {
            Some(at) => self.alarms.set_alarm(number(at)),
            None => self.alarms.delete_alarm(),
        })
    }

    fn free_storage(&self) -> impl Future<Output = Result<(), String>> + 'static {
        done(self.alarms.delete_all())
    }

    async fn ask(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        forward::stub(&self.env, peer)?.ask(question, &body).await
    }

    fn measure(&self, point: impl FnOnce() -> DataPoint) {
        self.metrics.write(point);
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        worker::console_error!("{text}");
    }
}

impl Ports for World {
    type Bucket = Bucket;
    type Socket = WebSocket;

    fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }

    fn accept(&self, tags: &[&str], cursor: Option<u64>) -> Result<WebSocket, Error> {
        self.sockets.accept(tags, cursor)
    }

    fn readers(&self) -> u32 {
        self.sockets.count()
    }

    fn send(&self, tag: &str, frame: impl FnOnce() -> Option<Vec<u8>>) {
        self.sockets.send(tag, frame);
    }

    fn send_each(&self, tag: &str, frame: impl Fn(u64) -> Vec<u8>) {
        self.sockets.send_each(tag, frame);
    }

    fn close(&self, tag: &str, why: Close) {
        self.sockets.close(tag, why);
    }

    fn deliver_later(&self) {
        if let Some(deliver) = self.deliver.get() {
            super::sockets::in_next_turn(deliver);
        }
    }
}

impl Signs for World {
    async fn new_key(&self) -> Result<KeyPair, String> {
        webhooks::new_key().await
    }

    async fn sign(&self, private: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        webhooks::sign(private, bytes).await
    }
}

impl Posts for World {
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        webhooks::post(url, headers, &body).await
    }
}

/// What comes of something that was asked for.
async fn done(asked: Result<js_sys::Promise, JsValue>) -> Result<(), String> {
    let outcome = match asked {
        Ok(promise) => JsFuture::from(promise).await.map(drop),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| format!("{error:?}"))
}

/// Any number below 2^32.
pub fn random() -> u64 {
    integer(js_sys::Math::random() * f64::from(u32::MAX))
}
