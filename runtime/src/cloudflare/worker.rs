//! The worker's entry: finds the stream's object and hands the request on untouched, so that
//! neither body passes through here.

use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Request;
use worker::{Context, Env, Result};

use super::answer::Answer;
use super::config;
use super::forward;
use super::respond::{refuse, respond};
use super::timing::{Clock, now};
use crate::auth::{self, Audience, AuthorizeMutation, AuthorizeRead, Cors, NoAuth, Refusal};
use crate::edge::present::{leaves_alone, present, with_timing};
use crate::edge::{cold, live};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;

/// The longest body that is read for nothing, in bytes.
const MAX_DRAINED: u32 = 1 << 16;

/// Marks a [`StreamWorker`] for which nobody has said yet who may do what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undecided;

/// A Durable Streams server: what a worker's `fetch` handler calls.
///
/// ```no_run
/// # fn main() {}
/// use durable_streams_cloudflare::{Answer, ProjectJwt, StreamWorker};
/// use worker::web_sys::Request;
/// use worker::{Context, Env, Result, event};
///
/// pub use durable_streams_cloudflare::StreamDO;
///
/// #[event(fetch)]
/// async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
///     StreamWorker::new().auth(ProjectJwt).fetch(req, env, ctx).await
/// }
/// ```
///
/// [`StreamWorker::auth`] takes anything that implements the two traits, and
/// [`StreamWorker::no_auth`] opens the streams to everyone. One of them has to be said before
/// requests can be served:
///
/// ```compile_fail
/// # use durable_streams_cloudflare::{Answer, StreamWorker};
/// # use worker::web_sys::Request;
/// # use worker::{Context, Env, Result};
/// async fn fetch(req: Request, env: Env, ctx: Context) -> Result<Answer> {
///     StreamWorker::new().fetch(req, env, ctx).await
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamWorker<Mutations = Undecided, Reads = Undecided> {
    mutations: Mutations,
    reads: Reads,
}

impl StreamWorker {
    /// A server that has to be told who may do what.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Anyone who can reach the worker can read, write and delete every stream.
    #[must_use]
    pub fn no_auth(self) -> StreamWorker<NoAuth, NoAuth> {
        self.auth(NoAuth)
    }

    /// `auth` decides about everything.
    #[must_use]
    pub fn auth<A: AuthorizeMutation<Env> + AuthorizeRead<Env> + Clone>(
        self,
        auth: A,
    ) -> StreamWorker<A, A> {
        self.authorize_mutations(auth.clone()).authorize_reads(auth)
    }
}

impl<Mutations, Reads> StreamWorker<Mutations, Reads> {
    /// `mutations` decides who may change streams.
    #[must_use]
    pub fn authorize_mutations<A: AuthorizeMutation<Env>>(
        self,
        mutations: A,
    ) -> StreamWorker<A, Reads> {
        StreamWorker {
            mutations,
            reads: self.reads,
        }
    }

    /// `reads` decides who may read streams.
    #[must_use]
    pub fn authorize_reads<A: AuthorizeRead<Env>>(self, reads: A) -> StreamWorker<Mutations, A> {
        StreamWorker {
            mutations: self.mutations,
            reads,
        }
    }
}

impl<Mutations: AuthorizeMutation<Env>, Reads: AuthorizeRead<Env>> StreamWorker<Mutations, Reads> {
    /// Serves a request.
    ///
    /// # Errors
    ///
    /// None that depend on the request: what is wrong with it, or with the stream's object, is
    /// answered as the protocol says.
    pub async fn fetch(&self, request: Request, env: Env, _ctx: Context) -> Result<Answer> {
        let debug_timing = config::debug_timing(&env);
        let clock = Clock::new(debug_timing);
        let started = clock.now();
        let url = request.url();
        let (path, query) = path::split_url(&url);
        let answer = match StreamPath::parse(path) {
            Ok(path) => self.serve(&request, query, &path, &env).await?,
            Err(error) => {
                drain(&request).await;
                refuse(&error.into())?.into()
            }
        };
        if debug_timing {
            let response = answer.response().await?;
            return Ok(with_timing(&response, clock.now() - started)?.into());
        }
        Ok(answer)
    }

    async fn serve(
        &self,
        request: &Request,
        query: &str,
        path: &StreamPath,
        env: &Env,
    ) -> Result<Answer> {
        let method = request.method();
        let header = |name: &str| request.headers().get(name).ok().flatten();
        let asked = auth::Request {
            method: &method,
            query,
            header: &header,
            now: now() / 1000,
        };
        let cors = self.reads.cors(&asked, path, env).await;
        let outcome = match method.as_str() {
            "OPTIONS" if cors == Cors::Nobody => Err(Reply::new(204).into()),
            "OPTIONS" => Err(Reply::preflight().into()),
            "GET" | "HEAD" => self.read(request, &asked, path, env).await,
            _ => self.change(request, &asked, path, env).await,
        };
        if outcome.is_err() {
            drain(request).await;
        }
        let (answer, audience) = match outcome {
            Ok(answered) => answered,
            Err(Refusal::Error(error)) => (refuse(&error)?.into(), Audience::Everyone),
            Err(Refusal::Reply(reply)) => (respond(reply)?.into(), Audience::Everyone),
        };
        if leaves_alone(cors, audience) {
            return Ok(answer);
        }
        Ok(present(answer.response().await?, cors, &asked, audience)?.into())
    }

    async fn read(
        &self,
        request: &Request,
        asked: &auth::Request<'_>,
        path: &StreamPath,
        env: &Env,
    ) -> Outcome {
        let grant = self.reads.authorize_read(asked, path, env).await?;
        let answer = if live::is_live(asked.method, asked.query) {
            live::serve(request, env, path, grant).await?
        } else {
            let changed = forward::for_object(request, asked.query, grant.audience)?;
            let request = changed.as_ref().unwrap_or(request);
            let stub = forward::stub(env, path.as_str())?;
            let response = stub.forward(request).await?;
            cold::complete(env, response).await?.into()
        };
        Ok((answer, grant.audience))
    }

    async fn change(
        &self,
        request: &Request,
        asked: &auth::Request<'_>,
        path: &StreamPath,
        env: &Env,
    ) -> Outcome {
        let grant = self.mutations.authorize_mutation(asked, path, env).await?;
        if !matches!(asked.method, "POST" | "PUT" | "DELETE") {
            return Err(Error::MethodNotAllowed.into());
        }
        let stub = forward::stub(env, path.as_str())?;
        if !self.mutations.settles(asked) {
            return Ok((Answer::coming(stub.pass_on(request)?), grant.audience));
        }
        let response = stub.forward(request).await?;
        let settled = self
            .mutations
            .settle_mutation(asked, path, response.status(), env);
        settled.await?;
        Ok((response.into(), grant.audience))
    }
}

/// Reads a short body that nobody wants. workerd closes a connection on which a body was left, and
/// the client's next request may be on its way on it already.
async fn drain(request: &Request) {
    let length = request.headers().get(header::CONTENT_LENGTH).ok().flatten();
    let length = length.and_then(|length| length.parse::<u32>().ok());
    let is_short = length.is_some_and(|length| (1..=MAX_DRAINED).contains(&length));
    if is_short && !request.body_used() {
        let Ok(rest) = request.array_buffer() else {
            return;
        };
        // A body that breaks off takes the connection with it anyway.
        let _ = JsFuture::from(rest).await;
    }
}

/// An answer and whom it is for, or why there is none.
type Outcome = std::result::Result<(Answer, Audience), Refusal>;
