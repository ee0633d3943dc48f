//! What the worker answers.

use std::error::Error as StdError;

use futures_util::FutureExt;
use futures_util::future::Map;
use worker::js_sys::Promise;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Response;
use worker::{IntoResponse, Result};

use super::forward::unavailable;
use crate::edge;
use crate::protocol::error::Error;

/// The answer to a request: what a `fetch` handler returns.
///
/// When nothing remains to be done at the edge, it is the promise of the response of the stream's
/// object, which the runtime waits for by itself. To await it here would take a tenth of what the
/// whole request costs. A handler that wants to look at the response calls [`Answer::response`].
#[derive(Debug)]
pub struct Answer(pub(super) edge::Answer<Response, Coming>);

/// A promise of a [`Response`], and of nothing else.
#[derive(Debug)]
pub struct Coming(pub Promise);

type Outcome = std::result::Result<JsValue, JsValue>;

impl IntoFuture for Coming {
    type Output = std::result::Result<Response, Error>;
    type IntoFuture = Map<JsFuture, fn(Outcome) -> Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        JsFuture::from(self.0).map(|outcome| {
            let response = outcome.and_then(JsCast::dyn_into::<Response>);
            response.map_err(unavailable)
        })
    }
}

impl Answer {
    /// The response, as soon as it is there.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub async fn response(self) -> Result<Response> {
        self.0.response().await.map_err(internal)
    }
}

/// What no request can lead to, and the runtime answers by itself.
pub(super) fn internal(error: Error) -> worker::Error {
    worker::Error::RustError(format!("{error:?}"))
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self(edge::Answer::Now(response))
    }
}

impl From<worker::Response> for Answer {
    fn from(response: worker::Response) -> Self {
        Response::from(response).into()
    }
}

impl IntoResponse for Answer {
    /// What a handler gives is what its promise is resolved with, and promises that are resolved
    /// with promises become one with them.
    fn into_raw(self) -> std::result::Result<Response, impl Into<Box<dyn StdError>>> {
        let raw = match self.0 {
            edge::Answer::Now(response) => response,
            edge::Answer::Later(Coming(promise)) => JsValue::from(promise).unchecked_into(),
        };
        Ok::<_, worker::Error>(raw)
    }
}
