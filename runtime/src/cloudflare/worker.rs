//! The worker's entry: what a crate that is one builds its server with.

use worker::web_sys::Request;
use worker::{Context, Env, Result};

use super::answer::{Answer, internal};
use super::edge::Edge;
use crate::auth::{AuthorizeMutation, AuthorizeRead, NoAuth};
use crate::edge::Server;

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
/// pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};
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
        let edge = Edge::new(env);
        let server = Server {
            ports: &edge,
            mutations: &self.mutations,
            reads: &self.reads,
        };
        let answer = server.serve(&request).await;
        answer.map(Answer).map_err(internal)
    }
}
