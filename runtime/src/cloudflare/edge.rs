//! The worker's entry: finds the stream's object and hands the request on untouched, so that
//! neither body passes through here.

use worker::web_sys::{Headers, Request, Response, ResponseInit};
use worker::{Context, Env, Result};

use super::bridge;
use super::config;
use super::forward;
use super::respond::respond;
use super::timing::{self, Clock};
use crate::protocol::error::Error;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;

/// Marks a [`StreamWorker`] for which nobody has said yet who may do what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undecided;

/// Lets everybody do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuth;

/// A Durable Streams server: what a worker's `fetch` handler calls.
///
/// ```no_run
/// # fn main() {}
/// use durable_streams_cloudflare::StreamWorker;
/// use worker::web_sys::{Request, Response};
/// use worker::{Context, Env, Result, event};
///
/// pub use durable_streams_cloudflare::StreamDO;
///
/// #[event(fetch)]
/// async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Response> {
///     StreamWorker::new().no_auth().fetch(req, env, ctx).await
/// }
/// ```
///
/// Who may do what has to be said before requests can be served:
///
/// ```compile_fail
/// # use durable_streams_cloudflare::StreamWorker;
/// # use worker::web_sys::{Request, Response};
/// # use worker::{Context, Env, Result};
/// async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Response> {
///     StreamWorker::new().fetch(req, env, ctx).await
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamWorker<Auth = Undecided> {
    _auth: Auth,
}

impl StreamWorker {
    /// A server that has to be told who may do what.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Anyone who can reach the worker can read, write and delete every stream.
    #[must_use]
    pub fn no_auth(self) -> StreamWorker<NoAuth> {
        StreamWorker { _auth: NoAuth }
    }
}

impl StreamWorker<NoAuth> {
    /// Serves a request.
    ///
    /// # Errors
    ///
    /// None that depend on the request: what is wrong with it, or with the stream's object, is
    /// answered as the protocol says.
    pub async fn fetch(&self, request: Request, env: Env, _ctx: Context) -> Result<Response> {
        let debug_timing = config::debug_timing(&env);
        let clock = Clock::new(debug_timing);
        let started = clock.now();
        let answer = match route(&request) {
            Ok(Route::Stream(path)) => serve(&request, &env, &path).await.map_err(refuse),
            Ok(Route::Preflight) => Err(Reply::preflight()),
            Err(error) => Err(refuse(error)),
        };
        let response = match answer {
            Ok(response) => response,
            Err(reply) => respond(reply)?.into(),
        };
        if debug_timing {
            return with_timing(&response, clock.now() - started);
        }
        Ok(response)
    }
}

/// Where a request goes.
enum Route {
    Stream(StreamPath),
    Preflight,
}

fn route(request: &Request) -> std::result::Result<Route, Error> {
    let url = request.url();
    let path = StreamPath::parse(path::split_url(&url).0)?;
    match request.method().as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" => Ok(Route::Stream(path)),
        "OPTIONS" => Ok(Route::Preflight),
        _ => Err(Error::MethodNotAllowed),
    }
}

async fn serve(
    request: &Request,
    env: &Env,
    path: &StreamPath,
) -> std::result::Result<Response, Error> {
    let url = request.url();
    if bridge::is_live(&request.method(), path::split_url(&url).1) {
        return bridge::serve(request, env, path, None).await;
    }
    forward::stub(env, path)?.forward(request).await
}

fn refuse(error: Error) -> Reply {
    if let Error::Unavailable(detail) | Error::Misconfigured(detail) = &error {
        worker::console_error!("{}: {detail}", error.code());
    }
    Reply::refused(&error)
}

/// The same response with the edge's time in it. The headers of a response that came from
/// elsewhere cannot be changed.
fn with_timing(response: &Response, millis: f64) -> Result<Response> {
    let headers = Headers::new_with_headers(&response.headers())?;
    let of_object = headers.get(timing::SERVER_TIMING)?;
    headers.set(timing::SERVER_TIMING, &timing::join(millis, of_object))?;
    let init = ResponseInit::new();
    init.set_status(response.status());
    init.set_headers(&headers);
    let body = response.body();
    Ok(Response::new_with_opt_readable_stream_and_init(
        body.as_ref(),
        &init,
    )?)
}
