//! The two questions a server asks before it touches a stream, and their answers.

use std::future::Future;

use super::cors::Cors;
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::request::HeaderLookup;
use crate::protocol::root::Root;

/// A request, as far as it matters for who may do what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method in upper case.
    pub method: &'a str,
    /// The query as sent, without `?`.
    pub query: &'a str,
    /// Looks up a header.
    pub header: HeaderLookup<'a>,
    /// Seconds since the Unix epoch.
    pub now: u64,
}

impl Request<'_> {
    /// The value of a header; several values are joined by `, `.
    pub fn header(&self, name: &str) -> Option<String> {
        (self.header)(name)
    }

    /// The token in `Authorization`. What is no bearer token counts as none.
    pub fn bearer(&self) -> Option<String> {
        let value = self.header("Authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| token.trim().to_owned())
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the query: it may hold a token.
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Whom the answer to an allowed request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everyone: caches outside may keep and share it.
    Everyone,
    /// Whoever holds the credentials that came with the request: shared caches must not keep it.
    Holder,
    /// Everyone, if the stream was created as a public one, which its object knows. Otherwise
    /// nobody.
    EveryoneIfPublic,
}

/// What was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// When it ends, in seconds since the Unix epoch; `None` for never. No live read goes on
    /// after that.
    pub expires_at: Option<u64>,
    /// Whom the answer is for.
    pub audience: Audience,
    /// Of which era the stream is, for authorizers under whom paths are given out anew: streams of
    /// other eras are other streams, whatever their paths. Most know of none.
    pub era: Option<Era>,
}

impl Grant {
    /// A grant that anyone would have got.
    pub const EVERYONE: Self = Self {
        expires_at: None,
        audience: Audience::Everyone,
        era: None,
    };

    /// A grant to whoever holds the request's credentials, for as long as they are not taken away.
    pub const HOLDER: Self = Self {
        expires_at: None,
        audience: Audience::Holder,
        era: None,
    };
}

/// What of a [`Root`] a request is about, and so whether it comes with credentials at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The public keys that webhooks are signed with. Receivers ask for them, who have no
    /// credentials: whoever allows anything of a root should allow this.
    Keys,
    /// A callback, an ack or a release. What comes with it are not the credentials of who uses the
    /// server, but a wake token, which the subscription looks at itself: whoever allows anything of
    /// a root should allow this, too.
    Wake,
    /// Which streams there are.
    Streams,
    /// All else: subscriptions, new keys, and the directory.
    Rest,
}

/// What was allowed of a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootGrant {
    /// Of which era the root is; see [`Grant::era`].
    pub era: Option<Era>,
    /// The only stream that may be seen, for [`Purpose::Streams`]: its path below the root.
    pub only: Option<String>,
}

/// What a request that is not allowed is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The usual document for this error. What happened inside the server is logged.
    Error(Error),
    /// This.
    Reply(Reply),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

const NO_CONTROL: Error = Error::Forbidden(
    "this server's own authorizer does not say who may do this; it has to implement \
     AuthorizeMutation::authorize_control",
);
const NO_INSPECTION: Error = Error::Forbidden(
    "this server's own authorizer does not say who may see this; it has to implement \
     AuthorizeRead::authorize_inspection",
);

/// Decides who may change a stream, or what is kept about a [`Root`]: every method but GET, HEAD and
/// OPTIONS, also those that streams do not have. Whoever has streams copied is asked about for the
/// target, too, in the name of a POST without a query that has the headers of their request. `Env` is
/// where an implementation may look things up: in a worker, its `Env`.
pub trait AuthorizeMutation<Env> {
    /// Allows the request, or says what to answer instead.
    fn authorize_mutation(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> impl Future<Output = Result<Grant, Refusal>>;

    /// Allows a request that changes something about a root, such as its subscriptions, or says what
    /// to answer instead: every method but GET, HEAD and OPTIONS. Unless this is implemented, nobody
    /// may, but for subscriptions that copy: those may be changed, too, by who may write their target
    /// and see any stream of the root.
    fn authorize_control(
        &self,
        _request: &Request<'_>,
        _root: &Root,
        _purpose: Purpose,
        _env: &Env,
    ) -> impl Future<Output = Result<RootGrant, Refusal>> {
        std::future::ready(Err(NO_CONTROL.into()))
    }

    /// Whether [`settle_mutation`](Self::settle_mutation) has to be called after this request.
    /// Where it has not, the answer need not be waited for.
    fn settles(&self, _request: &Request<'_>) -> bool {
        true
    }

    /// Is told of an allowed request that has been answered with `status`, before the client is.
    /// A refusal goes to the client in place of that answer.
    fn settle_mutation(
        &self,
        _request: &Request<'_>,
        _stream: &StreamPath,
        _status: u16,
        _env: &Env,
    ) -> impl Future<Output = Result<(), Refusal>> {
        std::future::ready(Ok(()))
    }
}

/// Decides who may read a stream or its metadata, or what is kept about a [`Root`]: GET and HEAD.
/// Whoever makes a fork is asked about for its source, too, and whoever has streams copied for each of
/// them, in the name of a GET without a query that has the headers of their request.
pub trait AuthorizeRead<Env> {
    /// Allows the request, or says what to answer instead.
    fn authorize_read(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> impl Future<Output = Result<Grant, Refusal>>;

    /// Allows a look at a root: at its streams, its subscriptions, or its public keys. Unless this
    /// is implemented, nobody may. Who may see all streams may have those copied that a pattern is
    /// about, and so should be allowed to read them.
    fn authorize_inspection(
        &self,
        _request: &Request<'_>,
        _root: &Root,
        _purpose: Purpose,
        _env: &Env,
    ) -> impl Future<Output = Result<RootGrant, Refusal>> {
        std::future::ready(Err(NO_INSPECTION.into()))
    }

    /// Who is asked once more, every few seconds and with the same request, whether a live read may
    /// go on; nobody, where what was granted is not taken back before it ends. A reader that is
    /// refused then, or is granted something else, is let go and has to come back.
    fn again(&self) -> Option<impl AuthorizeRead<Env> + 'static> {
        None::<NoAuth>
    }

    /// Says whether a page of the request's origin may see the answer, of whatever method. This
    /// opens or closes browsers only; it is asked whether or not the request is allowed.
    fn cors(
        &self,
        _request: &Request<'_>,
        _stream: &StreamPath,
        _env: &Env,
    ) -> impl Future<Output = Cors> {
        std::future::ready(Cors::Any)
    }
}

/// Lets everybody do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuth;

impl<Env> AuthorizeMutation<Env> for NoAuth {
    async fn authorize_mutation(
        &self,
        _request: &Request<'_>,
        _stream: &StreamPath,
        _env: &Env,
    ) -> Result<Grant, Refusal> {
        Ok(Grant::EVERYONE)
    }

    async fn authorize_control(
        &self,
        _request: &Request<'_>,
        _root: &Root,
        _purpose: Purpose,
        _env: &Env,
    ) -> Result<RootGrant, Refusal> {
        Ok(RootGrant::default())
    }

    fn settles(&self, _request: &Request<'_>) -> bool {
        false
    }
}

impl<Env> AuthorizeRead<Env> for NoAuth {
    async fn authorize_read(
        &self,
        _request: &Request<'_>,
        _stream: &StreamPath,
        _env: &Env,
    ) -> Result<Grant, Refusal> {
        Ok(Grant::EVERYONE)
    }

    async fn authorize_inspection(
        &self,
        _request: &Request<'_>,
        _root: &Root,
        _purpose: Purpose,
        _env: &Env,
    ) -> Result<RootGrant, Refusal> {
        Ok(RootGrant::default())
    }
}
