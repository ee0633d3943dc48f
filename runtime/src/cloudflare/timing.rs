//! The time.

use worker::js_sys::Date;
use worker::wasm_bindgen::prelude::*;

use crate::protocol::number::integer;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    integer(Date::now())
}

/// A clock in milliseconds, which stands still unless somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    runs: bool,
}

impl Clock {
    /// A clock that runs or not.
    pub fn new(runs: bool) -> Self {
        Self { runs }
    }

    /// Milliseconds since some instant.
    pub fn now(self) -> f64 {
        if self.runs { performance_now() } else { 0.0 }
    }
}
