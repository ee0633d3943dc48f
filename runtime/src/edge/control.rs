//! What is asked of a root (sections 6 and 7): from a request to whoever can answer it, a
//! subscription or shards of the directory, and back. Who asks is looked at here; what a body says,
//! and what a wake token opens, is the subscription's to decide.

use serde::de::DeserializeOwned;

use super::ports::{Incoming, Ports};
use super::present::{leaves_alone, present};
use super::serve::preflight_of;
use super::{Server, copies, inspect, listing};
use crate::auth::project_jwt::without_token;
use crate::auth::{self, Audience, AuthorizeMutation, AuthorizeRead, Purpose, Refusal, RootGrant};
use crate::directory::key_shard;
use crate::machine::{Asking, Peer};
use crate::patience::{self, within};
use crate::protocol::ask::{self, Call, MAX_BODY, OfRoot, Rotate, Rotated};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;
use crate::protocol::route::Route;
use crate::protocol::subscription_error::SubscriptionError;
use crate::protocol::time;

const JSON: &str = "application/json";

impl<P: Ports, M: AuthorizeMutation<P::Env>, R: AuthorizeRead<P::Env>> Server<'_, P, M, R> {
    /// Serves what is below the reserved segment of a root.
    pub(super) async fn serve_root(
        &self,
        request: &P::Request,
        query: &str,
        root: Root,
        rest: &str,
    ) -> Result<P::Response, Error> {
        let method = request.method();
        let header = |name: &str| request.header(name);
        let asked = auth::Request {
            method: &method,
            query,
            header: &header,
            now: self.ports.now() / 1000,
        };
        let place = StreamPath::of_root(root.project());
        let cors = self.reads.cors(&asked, &place, self.ports.env()).await;
        if method == "OPTIONS" {
            self.ports.drain(request).await;
            return self.ports.respond(preflight_of(request, cors));
        }
        let outcome = self.answer_root(request, &asked, root, rest).await;
        if outcome.is_err() {
            self.ports.drain(request).await;
        }
        let response = match outcome {
            Ok(reply) | Err(Refusal::Reply(reply)) => self.ports.respond(reply)?,
            Err(Refusal::Error(error)) => self.refuse(&error)?,
        };
        // What is said of a root is kept by no cache, whoever hears it, but for public keys.
        if leaves_alone(cors, Audience::Everyone) {
            return Ok(response);
        }
        present(self.ports, response, cors, &asked, Audience::Everyone)
    }

    async fn answer_root(
        &self,
        request: &P::Request,
        asked: &auth::Request<'_>,
        root: Root,
        rest: &str,
    ) -> Result<Reply, Refusal> {
        let route = Route::parse(asked.method, rest);
        let purpose = route.as_ref().map_or(Purpose::Rest, purpose_of);
        let (granted, refused) = match self.authorize_root(asked, &root, purpose).await {
            Ok(granted) => (granted, None),
            Err(refused) if copies::may_be_of_one(&route, &refused) => {
                let granted = self.authorize_look(asked, &root).await;
                (granted.map_err(|_| refused.clone())?, Some(refused))
            }
            Err(refused) => return Err(refused),
        };
        let RootGrant { era, only } = granted;
        let (route, root) = (route?, root.in_era(era));
        if let Route::Stream { path } = route {
            // Nobody is asked but the stream, so it needs no directory.
            self.ports.drain(request).await;
            return Ok(inspect::stream(self.ports, root, only.as_deref(), &path).await?);
        }
        let settings = self.ports.settings();
        let shards = settings.shards?;
        let shards = shards.ok_or(Error::from(SubscriptionError::DirectoryOff))?;
        let body = match asked.method {
            "PUT" | "POST" => self.body(request).await?,
            _ => {
                self.ports.drain(request).await;
                String::new()
            }
        };
        let Route::Subscription { id, question, path } = route else {
            return Ok(match route {
                Route::Streams => {
                    listing::streams(self.ports, shards, root, only, asked.query).await?
                }
                Route::Subscriptions => {
                    listing::subscriptions(self.ports, shards, root, asked.query).await?
                }
                Route::Rebuild => listing::rebuild(self.ports, &root, asked.query).await?,
                Route::Rotate => rotate(self.ports, shards, root, &body).await?,
                _ => keys(self.ports, shards, root).await?,
            });
        };
        let origin = match settings.public_url? {
            Some(origin) => origin,
            None => path::origin(&request.url(), &|name| request.header(name)),
        };
        let rest = match question {
            "get" => without_token(asked.query).unwrap_or_else(|| asked.query.to_owned()),
            _ => path,
        };
        let call = Call {
            base: root.url(&origin),
            // Nobody else is shown it.
            token: asked.bearer().filter(|_| purpose == Purpose::Wake),
            rest,
            body,
            may_copy: false,
            into: None,
            root,
            id,
        };
        let (status, body) = self
            .ask_subscription(asked, question, call, refused)
            .await?;
        Ok(passed_on(status, body))
    }

    async fn authorize_root(
        &self,
        asked: &auth::Request<'_>,
        root: &Root,
        purpose: Purpose,
    ) -> Result<RootGrant, Refusal> {
        let env = self.ports.env();
        if matches!(asked.method, "GET" | "HEAD") {
            let inspection = self.reads.authorize_inspection(asked, root, purpose, env);
            return inspection.await;
        }
        let control = self.mutations.authorize_control(asked, root, purpose, env);
        control.await
    }

    async fn body(&self, request: &P::Request) -> Result<String, Error> {
        let body = self.ports.read_body(request, MAX_BODY).await?;
        String::from_utf8(body)
            .map_err(|_| SubscriptionError::invalid("the body", "must be JSON in UTF-8").into())
    }
}

/// What a request is about, to whoever authorizes it.
fn purpose_of(route: &Route) -> Purpose {
    match route {
        Route::Streams | Route::Stream { .. } => Purpose::Streams,
        Route::Keys => Purpose::Keys,
        Route::Subscription {
            question: "callback" | "ack" | "release",
            ..
        } => Purpose::Wake,
        _ => Purpose::Rest,
    }
}

/// Asks somebody, for as long as an object may take to answer.
///
/// # Errors
///
/// [`SubscriptionError::NoAnswer`], [`Error::Misconfigured`].
pub(crate) fn ask<'a, P: Ports>(
    ports: &'a P,
    peer: Peer<'a>,
    question: &'a str,
    message: String,
) -> Asking<'a> {
    Box::pin(async move {
        let answer = ports.question(peer, question, message);
        let answer = within(ports.sleep(patience::OBJECT), answer).await;
        let answer = answer.unwrap_or_else(|| {
            let limit = patience::OBJECT;
            let what = format!("{peer} did not answer within {limit} ms");
            Err(Error::Unavailable(what))
        });
        heard(ports, answer)
    })
}

/// Reads the answer of a shard.
///
/// # Errors
///
/// [`SubscriptionError::NoAnswer`], [`Error::Newer`].
pub(super) fn answered<P: Ports, T: DeserializeOwned>(
    ports: &P,
    answer: &(u16, Vec<u8>),
) -> Result<T, Error> {
    heard(ports, ask::answered(answer))
}

/// What somebody has said. That nobody did is told in other words than of a stream.
///
/// # Errors
///
/// [`SubscriptionError::NoAnswer`] for [`Error::Unavailable`], and all others as they are.
pub(super) fn heard<P: Ports, T>(ports: &P, said: Result<T, Error>) -> Result<T, Error> {
    said.map_err(|error| match error {
        Error::Unavailable(detail) => {
            ports.log(format_args!("unavailable: {detail}"));
            SubscriptionError::NoAnswer.into()
        }
        other => other,
    })
}

async fn keys<P: Ports>(ports: &P, shards: u32, root: Root) -> Result<Reply, Error> {
    let peer = Peer::Shard(key_shard(&root, shards));
    let (status, body) = ask(ports, peer, ask::JWKS, ask::say(&OfRoot { root })).await?;
    if status != 200 {
        return Ok(passed_on(status, body));
    }
    let mut reply = Reply::new(200)
        .with(header::CONTENT_TYPE, "application/jwk-set+json")
        .with(header::CACHE_CONTROL, "public, max-age=300");
    reply.body = body;
    Ok(reply)
}

async fn rotate<P: Ports>(ports: &P, shards: u32, root: Root, body: &str) -> Result<Reply, Error> {
    let now = is_now(body)?;
    let peer = Peer::Shard(key_shard(&root, shards));
    let message = ask::say(&Rotate { root, now });
    let answer = ask(ports, peer, ask::ROTATE, message).await?;
    let Rotated { kid, active_at } = answered(ports, &answer)?;
    Ok(json(
        &serde_json::json!({ "kid": kid, "active_at": time::iso(active_at) }),
    ))
}

/// What the body of a rotation asks for.
fn is_now(body: &str) -> Result<bool, SubscriptionError> {
    const SHAPE: &str = "must be {} or {\"now\": true}";
    let refused = || SubscriptionError::invalid("the body", SHAPE);
    if body.trim().is_empty() {
        return Ok(false);
    }
    let fields: serde_json::Value =
        serde_json::from_slice(body.as_bytes()).map_err(|_| refused())?;
    let fields = fields.as_object().ok_or_else(refused)?;
    if let Some(other) = fields.keys().find(|name| *name != "now") {
        return Err(SubscriptionError::invalid(
            other.as_str(),
            "is unknown; the only field is now",
        ));
    }
    match fields.get("now") {
        None => Ok(false),
        Some(now) => now
            .as_bool()
            .ok_or_else(|| SubscriptionError::invalid("now", "must be true or false")),
    }
}

/// An answer in JSON that nobody keeps.
pub(super) fn json(document: &serde_json::Value) -> Reply {
    passed_on(200, document.to_string().into_bytes())
}

/// The answer of whoever was asked, to the client.
pub(super) fn passed_on(status: u16, body: Vec<u8>) -> Reply {
    let mut reply = Reply::new(status).with(header::CACHE_CONTROL, "no-store");
    // What an object says beside its document does not come with it.
    match status {
        204 => return reply,
        401 => reply = reply.with("WWW-Authenticate", "Bearer"),
        503 => reply = reply.with(header::RETRY_AFTER, "1"),
        _ => {}
    }
    reply = reply.with(header::CONTENT_TYPE, JSON);
    reply.body = body;
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_asked_for_in_few_words() {
        for (body, now) in [
            ("", false),
            (" ", false),
            ("{}", false),
            ("{\"now\":false}", false),
            ("{\"now\": true}", true),
        ] {
            assert_eq!(is_now(body), Ok(now), "{body}");
        }
        for (body, field) in [
            ("{", "the body"),
            ("[]", "the body"),
            ("true", "the body"),
            ("{\"now\":1}", "now"),
            ("{\"now\":null}", "now"),
            ("{\"soon\":true}", "soon"),
        ] {
            let refused = is_now(body).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{body}: {refused}");
        }
    }
}
