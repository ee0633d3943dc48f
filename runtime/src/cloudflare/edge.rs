//! The edge's world: the ports of [`Server`](crate::edge::Server) on the platform.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::spawn_local;
use worker::web_sys::{Headers, Request, Response, ResponseInit, WebSocket};
use worker::{Delay, Env};

use super::answer::Coming;
use super::body;
use super::config;
use super::forward::{self, Stub, unavailable};
use super::live::{self, Events};
use super::r2::{self, Bucket, FixedLengthStream, Source};
use super::respond;
use super::timing::{self, Clock};
use super::webhooks;
use super::world::random;
use crate::edge::live::Poll;
use crate::edge::ports::{Body, Bounds, Copied, Gone, HeaderChange, Incoming, Outgoing, Ports};
use crate::edge::room::Room;
use crate::edge::settings::Settings;
use crate::machine::{Peer, Verifies};
use crate::object::ports::Listed;
use crate::protocol::error::Error;
use crate::protocol::number::number;
use crate::protocol::part::Part;
use crate::protocol::reply::Reply;

impl Incoming for Request {
    fn method(&self) -> String {
        Self::method(self)
    }

    fn url(&self) -> String {
        Self::url(self)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers().get(name).ok().flatten()
    }
}

impl Outgoing for Response {
    fn status(&self) -> u16 {
        Self::status(self)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers().get(name).ok().flatten()
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Edge {
    env: Env,
    debug_timing: bool,
}

impl Edge {
    /// The edge of a worker with these bindings.
    pub fn new(env: Env) -> Self {
        let debug_timing = config::debug_timing(&env);
        Self { env, debug_timing }
    }

    fn bucket(&self) -> Result<Bucket, Error> {
        Bucket::from_env(&self.env).ok_or_else(|| {
            Error::Misconfigured(format!("the R2 bucket binding {} is missing", config::R2))
        })
    }
}

impl Ports for Edge {
    type Env = Env;
    type Request = Request;
    type Response = Response;
    type Later = Coming;
    type Object = Stub;
    type Socket = WebSocket;
    type Sink = Events;
    type Piece = Source;

    fn env(&self) -> &Env {
        &self.env
    }

    fn settings(&self) -> Settings {
        config::edge_settings(&self.env)
    }

    fn now(&self) -> u64 {
        timing::now()
    }

    fn tick(&self) -> Option<f64> {
        self.debug_timing.then(|| Clock::new(true).now())
    }

    fn random(&self) -> u64 {
        random()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        Delay::from(Duration::from_millis(millis))
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        spawn_local(work);
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        worker::console_error!("{text}");
    }

    async fn drain(&self, request: &Request) {
        body::drain(request).await;
    }

    async fn question(
        &self,
        peer: Peer<'_>,
        question: &str,
        body: String,
    ) -> Result<(u16, Vec<u8>), Error> {
        forward::stub(&self.env, peer)?.ask(question, &body).await
    }

    async fn read_body(&self, request: &Request, limit: usize) -> Result<Vec<u8>, Error> {
        match body::coming(request, limit) {
            body::Coming::Nothing => Ok(Vec::new()),
            body::Coming::Whole => body::parts(request, None, limit).await,
            body::Coming::Parts(length) => body::parts(request, length, limit).await,
        }
    }

    fn request(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
    ) -> Result<Request, Error> {
        forward::request(method, url, headers, body)
    }

    fn changed(
        &self,
        request: &Request,
        url: Option<&str>,
        mark: Option<&'static str>,
    ) -> Result<Request, Error> {
        forward::changed(request, url, mark)
    }

    fn respond(&self, reply: Reply) -> Result<Response, Error> {
        respond::respond(reply).map_err(unavailable)
    }

    fn with_headers(
        &self,
        response: Response,
        changes: &[HeaderChange],
    ) -> Result<Response, Error> {
        with_headers(&response, changes).map_err(unavailable)
    }

    fn object(&self, path: &str) -> Result<Stub, Error> {
        forward::stub(&self.env, Peer::Stream(path))
    }

    fn pass_on(&self, object: &Stub, request: &Request) -> Result<Coming, Error> {
        object.pass_on(request).map(Coming)
    }

    async fn forward(&self, object: &Stub, request: &Request) -> Result<Response, Error> {
        object.forward(request).await
    }

    async fn ask(
        &self,
        object: &Stub,
        url: &str,
        mark: Option<&'static str>,
    ) -> Result<(Response, Option<WebSocket>), Error> {
        let response = object.upgrade(url, mark).await?;
        let socket = live::socket_of(&response);
        Ok((response, socket))
    }

    async fn body(&self, response: &Response, start: usize) -> Result<Body<Source>, Error> {
        let body = forward::body_of(response).await?;
        let cut = u32::try_from(start).unwrap_or(u32::MAX).min(body.length());
        let rest = body.subarray(cut, body.length());
        Ok(Body {
            start: body.subarray(0, cut).to_vec(),
            rest_length: rest.length().into(),
            rest: Source::Bytes(rest),
        })
    }

    fn piece(&self, bytes: &[u8]) -> Source {
        Source::text(bytes)
    }

    async fn open(&self, part: &Part) -> Result<Source, Error> {
        Ok(Source::Object(self.bucket()?.open(part).await?))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Listed, Error> {
        self.bucket()?.list_behind(prefix, after, limit).await
    }

    async fn read(&self, piece: &Source) -> Result<Vec<u8>, Error> {
        let bytes = piece.bytes().await.map_err(|error| {
            Error::Unavailable(format!("a part of an answer cannot be read: {error:?}"))
        })?;
        Ok(bytes.to_vec())
    }

    fn assemble(
        &self,
        response: &Response,
        changes: &[HeaderChange],
        pieces: Vec<Source>,
        length: u64,
    ) -> Result<Response, Error> {
        let stream = FixedLengthStream::new(number(length));
        let complete = with_body(response, changes, &stream).map_err(unavailable)?;
        spawn_local(async move {
            let writable = stream.writable();
            let mut outcome = Ok(());
            for piece in &pieces {
                if outcome.is_ok() {
                    outcome = piece.write(&writable).await;
                }
            }
            // Whoever reads it will notice, and may have been the reason.
            if let Err(error) = r2::end(&writable, outcome).await {
                worker::console_warn!("an answer was broken off: {error:?}");
            }
        });
        Ok(complete)
    }

    fn await_frame(&self, request: &Request, socket: WebSocket, millis: u64, poll: Poll) -> Coming {
        Coming(live::await_frame(request, &socket, millis, poll))
    }

    fn room(&self) -> Rc<Room> {
        thread_local! {
            static ROOM: Rc<Room> = Rc::default();
        }
        ROOM.with(Rc::clone)
    }

    fn events(
        &self,
        request: &Request,
        reply: Reply,
        beat: u64,
    ) -> Result<(Response, Events), Error> {
        live::events(request, reply, beat).map_err(unavailable)
    }

    async fn write(&self, sink: &Events, bytes: Vec<u8>) -> Result<(), Gone> {
        sink.write(bytes).await
    }

    async fn close(&self, sink: &Events) {
        sink.close().await;
    }

    fn abort(&self, sink: &Events) {
        sink.abort();
    }

    async fn copy(&self, socket: WebSocket, sink: &Events, bounds: Bounds) -> Copied {
        sink.copy(&socket, bounds).await
    }

    fn stop(&self, sink: &Events) {
        sink.stop();
    }
}

impl Verifies for Edge {
    async fn verify(&self, public: &str, signature: &[u8], bytes: &[u8]) -> bool {
        webhooks::verify(public, signature, bytes).await
    }
}

/// The same response with headers that can be changed, which those of a response that came from
/// elsewhere cannot.
fn with_headers(response: &Response, changes: &[HeaderChange]) -> Result<Response, JsValue> {
    let init: &ResponseInit = response.unchecked_ref();
    let body = response.body();
    let response = Response::new_with_opt_readable_stream_and_init(body.as_ref(), init)?;
    change(&response.headers(), changes)?;
    Ok(response)
}

fn with_body(
    response: &Response,
    changes: &[HeaderChange],
    stream: &FixedLengthStream,
) -> Result<Response, JsValue> {
    let headers = Headers::new_with_headers(&response.headers())?;
    change(&headers, changes)?;
    let init = ResponseInit::new();
    init.set_status(Response::status(response));
    init.set_headers(&headers);
    Response::new_with_opt_readable_stream_and_init(Some(&stream.readable()), &init)
}

fn change(headers: &Headers, changes: &[HeaderChange]) -> Result<(), JsValue> {
    for (name, value) in changes {
        match value {
            Some(value) => headers.set(name, value)?,
            None => headers.delete(name)?,
        }
    }
    Ok(())
}
