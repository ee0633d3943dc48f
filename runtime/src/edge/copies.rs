//! Who may have streams copied. Whoever reads the target of copies reads what is in their sources:
//! so whoever makes a subscription that copies, or adds streams to it, must be allowed to write the
//! target and to read every source. They need no right to the root for that, and none to look at the
//! subscription, to take streams away from it, or to delete it.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::Server;
use super::control::ask;
use super::ports::Ports;
use crate::auth::{
    self, Audience, AuthorizeMutation, AuthorizeRead, Grant, Purpose, Refusal, RootGrant,
};
use crate::machine::Peer;
use crate::protocol::ask::{self, Call};
use crate::protocol::error::Error;
use crate::protocol::root::Root;
use crate::protocol::route::Route;

/// The question that a subscription is asked for the path of its target. Others than those that copy
/// answer 404.
const TARGET: &str = "target";

/// The code with which a subscription that copies refuses to add streams that nobody has said may be
/// read. The answer says what its target is.
const UNCHECKED: &str = "UNCHECKED";

/// The field that has the path of a target, in bodies and answers.
const TARGET_STREAM: &str = "target_stream";

const NO_PATTERN: Error =
    Error::Forbidden("the credentials do not allow reading all streams, which a pattern is about");
const NO_SOURCE: Error =
    Error::Forbidden("the credentials do not allow reading all of the streams");
const NO_TARGET: Error = Error::Forbidden("the credentials do not allow writing the target stream");

/// In a box, which makes it one thing wherever it is waited for.
type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + 'a>>;

/// Whether a route may be allowed to somebody who was refused the root. Not to who is unknown: no
/// object is asked for those.
pub(super) fn may_be_of_one(route: &Result<Route, Error>, refused: &Refusal) -> bool {
    let is_known = match refused {
        Refusal::Error(error) => matches!(error, Error::Forbidden(_)),
        Refusal::Reply(reply) => reply.status == 403,
    };
    let questions = ["create", "get", "add", "remove", "delete"];
    let is_open = |route: &Route| match route {
        Route::Subscription { question, .. } => questions.contains(question),
        _ => false,
    };
    is_known && route.as_ref().is_ok_and(is_open)
}

impl<P: Ports, M: AuthorizeMutation<P::Env>, R: AuthorizeRead<P::Env>> Server<'_, P, M, R> {
    /// What is granted to whoever may see any stream of a root.
    pub(super) async fn authorize_look(
        &self,
        asked: &auth::Request<'_>,
        root: &Root,
    ) -> Result<RootGrant, Refusal> {
        let look = named(asked, "GET");
        let env = self.ports.env();
        let inspection = self
            .reads
            .authorize_inspection(&look, root, Purpose::Streams, env);
        inspection.await
    }

    /// Asks a subscription on behalf of somebody, who may have been refused the root: then it has to
    /// copy into a stream of theirs.
    pub(super) async fn ask_subscription(
        &self,
        asked: &auth::Request<'_>,
        question: &str,
        mut call: Call,
        refused: Option<Refusal>,
    ) -> Result<(u16, Vec<u8>), Refusal> {
        let name = call.root.subscription(&call.id);
        let ask = |question, call: &Call| {
            let peer = Peer::Subscription(&name);
            ask(self.ports, peer, question, ask::say(call))
        };
        let body = match question {
            "create" | "add" => Body::read(call.body.as_bytes()),
            _ => Body::default(),
        };
        let mut target = match question {
            "create" => body.target(&call.root),
            _ if refused.is_some() => target_in(&ask(TARGET, &call).await?),
            _ => None,
        };
        if target.is_none() && refused.is_none() {
            let answer = ask(question, &call).await?;
            // Whether it copies, it alone knows.
            target = unchecked_in(&answer).filter(|_| question == "add");
            if target.is_none() {
                return Ok(answer);
            }
        }
        let may_write = self
            .check_target(asked, &call.root, target.as_deref())
            .await;
        may_write.map_err(|why| refused.unwrap_or(why))?;
        call.into = target.filter(|_| question != "create");
        if matches!(question, "create" | "add") {
            self.check_sources(asked, &call.root, &body).await?;
            call.may_copy = true;
        }
        Ok(ask(question, &call).await?)
    }

    /// Refuses those who may not append to a target.
    fn check_target<'a>(
        &'a self,
        asked: &'a auth::Request<'_>,
        root: &'a Root,
        target: Option<&'a str>,
    ) -> Checking<'a> {
        Box::pin(async move {
            let target = target.and_then(|path| root.stream_path(path).ok());
            let target = target.ok_or(NO_TARGET)?;
            let post = named(asked, "POST");
            let env = self.ports.env();
            let grant = self.mutations.authorize_mutation(&post, &target, env);
            is_of(root, grant.await?, NO_TARGET)
        })
    }

    /// Refuses those who may not read all that a body is about. Where everyone may read a stream if
    /// it is public, only its object knows that it is: whoever has no other right to it is refused.
    fn check_sources<'a>(
        &'a self,
        asked: &'a auth::Request<'_>,
        root: &'a Root,
        body: &'a Body,
    ) -> Checking<'a> {
        Box::pin(async move {
            if body.has_pattern() {
                let look = self.authorize_look(asked, root).await?;
                if look.only.is_some() || look.era != root.era() {
                    return Err(NO_PATTERN.into());
                }
            }
            let get = named(asked, "GET");
            for path in body.streams() {
                // What is no path of a stream is refused by whoever is asked next.
                let Ok(source) = root.stream_path(path) else {
                    continue;
                };
                let env = self.ports.env();
                let grant = self.reads.authorize_read(&get, &source, env).await?;
                if grant.audience == Audience::EveryoneIfPublic {
                    return Err(NO_SOURCE.into());
                }
                is_of(root, grant, NO_SOURCE)?;
            }
            Ok(())
        })
    }
}

/// A request of whoever has sent `asked`, with another method and without a query.
fn named<'a>(asked: &auth::Request<'a>, method: &'a str) -> auth::Request<'a> {
    auth::Request {
        method,
        query: "",
        ..*asked
    }
}

/// Refuses what was granted of a stream of another era.
fn is_of(root: &Root, grant: Grant, otherwise: Error) -> Result<(), Refusal> {
    match grant.era == root.era() {
        true => Ok(()),
        false => Err(otherwise.into()),
    }
}

/// The target of a subscription that copies, as it has answered.
fn target_in((status, body): &(u16, Vec<u8>)) -> Option<String> {
    let answer = Body::read(body);
    let target = answer.text(TARGET_STREAM).filter(|_| *status == 200);
    target.map(str::to_owned)
}

/// The target of a subscription that has refused to add what nobody has said may be read.
fn unchecked_in((_, body): &(u16, Vec<u8>)) -> Option<String> {
    let answer = Body::read(body);
    let error = Body(answer.0.get("error")?.as_object()?.clone());
    let is_reason = error.text("code") == Some(UNCHECKED);
    let target = error.text(TARGET_STREAM).filter(|_| is_reason);
    target.map(str::to_owned)
}

/// The fields of a body, as far as they say of which streams it is. Whatever else is in it, and what
/// is wrong with it, is left to the subscription, which reads it in the same way.
#[derive(Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(serde_json::from_slice(body).unwrap_or_default())
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// The target, if it asks for copies into what can be one.
    pub(super) fn target(&self, root: &Root) -> Option<String> {
        let target = self.text(TARGET_STREAM).map(bare);
        let target = target.filter(|target| root.stream_path(target).is_ok());
        let is_copy = self.text("type") == Some("copy");
        target.filter(|_| is_copy).map(str::to_owned)
    }

    /// The streams that it names.
    pub(super) fn streams(&self) -> impl Iterator<Item = &str> {
        let streams = self.0.get("streams").and_then(Value::as_array);
        let streams = streams.into_iter().flatten();
        streams.filter_map(Value::as_str).map(bare)
    }

    pub(super) fn has_pattern(&self) -> bool {
        let pattern = self.0.get("pattern");
        pattern.is_some_and(|pattern| !pattern.is_null() && pattern != "")
    }
}

/// A path as subscriptions keep it.
fn bare(path: &str) -> &str {
    path.trim_matches('/')
}
