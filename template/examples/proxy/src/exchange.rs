//! The object that asks the upstream and pipes its answer into the stream.
//!
//! It is an object, one for each request, for two reasons. What a worker does once it has answered is
//! ended after 30 seconds, which is too early for many an answer; an object goes on. And whoever wants
//! to end it has to reach who holds the connection, from anywhere.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use durable_streams_cloudflare::streams::{Pipe, Will, pieces};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, AbortHandle};
// What the class is made with has to be there by its name.
use worker::wasm_bindgen;
use worker::{
    AbortController, Delay, DurableObject, Env, Fetch, Headers, Request, RequestInit,
    RequestRedirect, Response, ResponseBuilder, Result, State, console_error, durable_object,
};

use crate::refusal::{Outcome, Refusal, answered};
use crate::{media_type, settings};

/// The header that tells an exchange the path of its stream. Without it, it is asked to stop.
pub const STREAM: &str = "Exchange-Stream";

/// How much of an upstream's error is passed on, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// How long an upstream's error may take to come.
const ERROR_PATIENCE: Duration = Duration::from_secs(10);

/// An object that nobody asks anything is put to sleep after a minute or so, whatever it does. An alarm
/// counts as a question.
const AWAKE: Duration = Duration::from_secs(30);

/// How much longer than the pipe a stream waits until it carries out its will by itself.
const GRACE: Duration = Duration::from_secs(15);

/// One request to an upstream, and its answer.
#[durable_object(alarm)]
pub struct Exchange {
    state: State,
    env: Env,
    /// Ends what is running.
    running: Rc<RefCell<Option<AbortHandle>>>,
}

impl DurableObject for Exchange {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            running: Rc::default(),
        }
    }

    async fn fetch(&self, req: Request) -> Result<Response> {
        match req.headers().get(STREAM)? {
            Some(path) => answered(self.open(&path, req).await),
            None => {
                if let Some(running) = &*self.running.borrow() {
                    running.abort();
                }
                Response::empty()
            }
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let storage = self.state.storage();
        if self.running.borrow().is_some() {
            storage.set_alarm(AWAKE).await?;
        } else {
            // Nothing is left of it.
            storage.delete_all().await?;
        }
        Response::empty()
    }
}

impl Exchange {
    /// Asks the upstream, and answers when it has begun to answer.
    async fn open(&self, path: &str, req: Request) -> Outcome<Response> {
        let upstream = self.ask(req).await?;
        let upstream_type = upstream
            .headers()
            .get("Content-Type")?
            .unwrap_or_else(|| media_type::BYTES.to_owned());
        match upstream.status_code() {
            200..300 => {}
            300..400 => return Err(Refusal::Redirect.into()),
            status => return pass_on(upstream, status, &upstream_type).await,
        }
        self.keep(path, upstream, &upstream_type).await?;
        let headers = Headers::new();
        headers.set("Upstream-Content-Type", &upstream_type)?;
        Ok(ResponseBuilder::new()
            .with_status(201)
            .with_headers(headers)
            .empty())
    }

    async fn ask(&self, req: Request) -> Outcome<Response> {
        let headers = Headers::new();
        for (name, value) in req
            .headers()
            .entries()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(STREAM))
        {
            headers.set(&name, &value)?;
        }
        let mut init = RequestInit::new();
        init.with_method(req.method())
            .with_headers(headers)
            .with_redirect(RequestRedirect::Manual);
        init.with_body(req.inner().body().map(Into::into));
        let request = Request::new_with_init(req.url()?.as_str(), &init)?;
        let controller = AbortController::default();
        let signal = controller.signal();
        let fetch = Fetch::Request(request);
        let answer = Box::pin(fetch.send_with_signal(&signal));
        match select(answer, Delay::from(settings::until_answer(&self.env)?)).await {
            Either::Left((answer, _)) => answer.map_err(|error| {
                Refusal::Unreachable(format!("the upstream cannot be reached: {error}")).into()
            }),
            Either::Right(_) => {
                controller.abort();
                Err(Refusal::Late.into())
            }
        }
    }

    /// Makes the stream, and pipes the answer into it from now on, whoever leaves.
    async fn keep(&self, path: &str, upstream: Response, upstream_type: &str) -> Outcome<()> {
        let silence = settings::silence(&self.env)?;
        let stream = settings::stream(&self.env, path)?.of(&media_type::of_stream(upstream_type));
        let will = Will::after(silence + GRACE).bytes(last_words(upstream_type));
        let pipe = Pipe::new().patience(silence).will(will);
        let create = pipe.create().ttl(settings::keep(&self.env)?);
        let created = stream
            .create(create)
            .await
            .map_err(|error| Refusal::Storage(error.to_string()))?;
        self.state.storage().set_alarm(AWAKE).await?;

        let (pieces, stop) = stream::abortable(pieces(upstream));
        let running = Rc::clone(&self.running);
        running.replace(Some(stop));
        let path = path.to_owned();
        self.state.wait_until(async move {
            if let Err(error) = stream.pipe(pieces, pipe.behind(created.tail)).await {
                console_error!("{path}: {error}");
            }
            running.take();
        });
        Ok(())
    }
}

/// What a stream says last when its upstream has broken off: readers of events are told so by an event.
/// In anything else, what is not the upstream's would be wrong; it just ends.
fn last_words(upstream_type: &str) -> &'static str {
    match upstream_type.starts_with("text/event-stream") {
        true => {
            "\n\nevent: error\ndata: {\"error\":{\"code\":\"BROKEN_OFF\",\"message\":\"the upstream has broken off\"}}\n\n"
        }
        false => "",
    }
}

/// An upstream's error, as far as it is not too long.
async fn pass_on(upstream: Response, status: u16, upstream_type: &str) -> Outcome<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", upstream_type)?;
    headers.set("Upstream-Content-Type", upstream_type)?;
    headers.set("Upstream-Status", &status.to_string())?;
    if let Some(wait) = upstream.headers().get("Retry-After")? {
        headers.set("Retry-After", &wait)?;
    }
    let mut body = Vec::new();
    if let Some(stream) = worker::web_sys::Response::from(upstream).body() {
        let mut pieces = Box::pin(pieces(stream));
        let gather = async {
            while let Some(Ok(piece)) = pieces.next().await {
                body.extend(piece);
                if body.len() >= MAX_ERROR {
                    break;
                }
            }
        };
        // An error that never ends is given up, with what there is of it.
        select(pin!(gather), pin!(Delay::from(ERROR_PATIENCE))).await;
    }
    body.truncate(MAX_ERROR);
    let answer = Response::from_bytes(body)?.with_status(502);
    Ok(answer.with_headers(headers))
}
