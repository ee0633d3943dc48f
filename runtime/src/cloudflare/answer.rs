//! What the worker answers.

use std::error::Error as StdError;

use worker::js_sys::Promise;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Response;
use worker::{IntoResponse, Result};

/// The answer to a request: what a `fetch` handler returns.
///
/// When nothing remains to be done at the edge, it is the promise of the response of the stream's
/// object, which the runtime waits for by itself. To await it here would take a tenth of what the
/// whole request costs. A handler that wants to look at the response calls [`Answer::response`].
#[derive(Debug)]
pub struct Answer(State);

#[derive(Debug)]
enum State {
    Here(Response),
    Coming(Promise),
}

impl Answer {
    /// An answer that will be there when `promise` is kept, with a [`Response`] and nothing else.
    pub(crate) fn coming(promise: Promise) -> Self {
        Self(State::Coming(promise))
    }

    /// The response, as soon as it is there.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub async fn response(self) -> Result<Response> {
        match self.0 {
            State::Here(response) => Ok(response),
            State::Coming(promise) => {
                let response = JsFuture::from(promise).await?;
                Ok(response.dyn_into::<Response>()?)
            }
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self(State::Here(response))
    }
}

impl IntoResponse for Answer {
    /// What a handler gives is what its promise is resolved with, and promises that are resolved
    /// with promises become one with them.
    fn into_raw(self) -> std::result::Result<Response, impl Into<Box<dyn StdError>>> {
        let raw = match self.0 {
            State::Here(response) => response,
            State::Coming(promise) => JsValue::from(promise).unchecked_into(),
        };
        Ok::<_, worker::Error>(raw)
    }
}
