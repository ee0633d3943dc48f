//! Tokens signed with a secret of each project, and public streams.

use std::rc::Rc;

use super::access::{
    Audience, AuthorizeMutation, AuthorizeRead, Grant, Purpose, Refusal, Request, RootGrant,
};
use super::cors::Cors;
use super::fork;
use super::project::{Project, Registry, Settling};
use super::token::{Claims, LEEWAY, Token};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{Era, StreamPath};
use crate::protocol::request as protocol_request;
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;

/// The parameter of a URL that carries a token where no header can: in a browser's `EventSource`.
pub const TOKEN_PARAMETER: &str = "token";

/// The longest time a token in a URL may still have, in seconds. URLs end up in logs and
/// histories: what is found there has to be worthless by then.
pub const MAX_URL_TOKEN_LIFE: u64 = 300;

/// Streams belong to projects, the first segment of their path, and whoever uses them shows a
/// JSON Web Token that a secret of the project has signed with HS256.
///
/// A token comes as `Authorization: Bearer`. Its claims: `sub`, the project; `scope`, `read` or
/// `write`, which includes reading; `exp`, the end; `stream_id` if it is for one stream only, its
/// path after the project; `nbf` if it counts from some time on. Clocks may differ by
/// [`LEEWAY`] seconds.
///
/// `EventSource` cannot set headers. Its requests, a GET with `live=sse`, may carry the token as
/// the parameter `token`, if its scope is `read` and it ends within [`MAX_URL_TOKEN_LIFE`]
/// seconds: what may change a stream, or lives for long, has no place in a URL.
///
/// A project's token opens its [`Root`], too: with the scope `read` to see its subscriptions and
/// streams, with `write` to change them. One that is for one stream sees that in the list of streams,
/// and, with `write`, has the subscriptions that copy into it; nothing else. The root of all streams is
/// closed.
///
/// A stream created with `?public=true`, and every stream of a public project, can be read
/// without a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProjectJwt;

impl<E: Registry> AuthorizeMutation<E> for ProjectJwt {
    async fn authorize_mutation(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        registry: &E,
    ) -> Result<Grant, Refusal> {
        let place = Place::of(stream)?;
        let token = request.bearer().ok_or(MISSING)?;
        let (claims, era) = place.verify(&token, request, registry).await?;
        if claims.scope != "write" {
            return Err(NOT_WRITING.into());
        }
        if request.method == "PUT" {
            check_fork(request, stream)?;
        }
        Ok(granted(&claims, era))
    }

    async fn authorize_control(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        registry: &E,
    ) -> Result<RootGrant, Refusal> {
        if purpose == Purpose::Wake {
            return of_root(root, registry).await;
        }
        let (claims, era) = claims_for(root, request, registry).await?;
        if claims.stream_id.is_some() {
            return Err(ONE_STREAM.into());
        }
        if claims.scope != "write" {
            return Err(NOT_WRITING.into());
        }
        Ok(RootGrant { era, only: None })
    }

    fn settles(&self, request: &Request<'_>) -> bool {
        matches!(request.method, "PUT" | "DELETE")
    }

    async fn settle_mutation(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        status: u16,
        registry: &E,
    ) -> Result<(), Refusal> {
        let is_made = request.method == "PUT" && matches!(status, 200 | 201);
        let is_public = is_made && protocol_request::is_public(request.query)?;
        if let Some(settling) = Settling::after(request.method, status, is_public) {
            let era = era_of(stream, registry).await?;
            settling.settle(registry, stream, era).await?;
        }
        Ok(())
    }
}

impl<E: Registry> AuthorizeRead<E> for ProjectJwt {
    async fn authorize_read(
        &self,
        request: &Request<'_>,
        stream: &StreamPath,
        registry: &E,
    ) -> Result<Grant, Refusal> {
        let place = Place::of(stream)?;
        let refusal = match place.verify_read(request, registry).await {
            Ok((claims, era)) => return Ok(granted(&claims, era)),
            Err(refusal @ (Error::Unauthorized(_) | Error::Forbidden(_))) => refusal,
            Err(error) => return Err(error.into()),
        };
        // Whoever may read without a token may also bring one that is of no use.
        let Some(project) = registry.project(place.project).await? else {
            return Err(refusal.into());
        };
        if project.is_public {
            return Ok(Grant {
                era: project.era,
                ..Grant::EVERYONE
            });
        }
        if registry.is_public(stream, project.era).await? {
            return Ok(Grant {
                audience: Audience::EveryoneIfPublic,
                era: project.era,
                ..Grant::EVERYONE
            });
        }
        Err(refusal.into())
    }

    async fn authorize_inspection(
        &self,
        request: &Request<'_>,
        root: &Root,
        purpose: Purpose,
        registry: &E,
    ) -> Result<RootGrant, Refusal> {
        if purpose == Purpose::Keys {
            return of_root(root, registry).await;
        }
        let (claims, era) = claims_for(root, request, registry).await?;
        let only = claims.stream_id;
        if only.is_some() && purpose != Purpose::Streams {
            return Err(ONE_STREAM.into());
        }
        match claims.scope.as_str() {
            "read" | "write" => Ok(RootGrant { era, only }),
            _ => Err(NOT_READING.into()),
        }
    }

    /// Secrets and projects go, and what was public becomes private.
    fn again(&self) -> Option<impl AuthorizeRead<E> + 'static> {
        Some(Self)
    }

    async fn cors(&self, request: &Request<'_>, stream: &StreamPath, registry: &E) -> Cors {
        // No page of another origin is behind a request that names none.
        let Some(origin) = request.header(header::ORIGIN) else {
            return Cors::Nobody;
        };
        // Of a path that is no stream's, too: its page is to see the refusal.
        let project = stream.project().unwrap_or(stream.as_str());
        match registry.project(project).await {
            Ok(Some(project)) => Cors::decide(&project.cors_origins, Some(&origin)),
            _ => Cors::Nobody,
        }
    }
}

const MISSING: Error = Error::Unauthorized("a token is needed: Authorization: Bearer <token>");
const NOT_READING: Error = Error::Forbidden("the token's scope does not include reading");
const NOT_WRITING: Error = Error::Forbidden("the token's scope does not include writing");
const ONE_STREAM: Error = Error::Forbidden("the token is for one stream only");

/// Where a stream is.
struct Place<'a> {
    project: &'a str,
    stream: &'a str,
}

impl<'a> Place<'a> {
    /// A path of one segment is a project's, and no stream's.
    fn of(stream: &'a StreamPath) -> Result<Self, Error> {
        let (project, stream) = stream.in_project().ok_or(Error::UnknownRoute)?;
        Ok(Self { project, stream })
    }

    /// What a token says, if it is one of this project and may be used for this stream, and the
    /// project's era.
    async fn verify(
        &self,
        token: &str,
        request: &Request<'_>,
        registry: &impl Registry,
    ) -> Result<(Claims, Option<Era>), Error> {
        let (claims, era) = verify(self.project, token, request, registry).await?;
        let is_other = |only: &String| only != self.stream;
        if claims.stream_id.as_ref().is_some_and(is_other) {
            return Err(Error::Forbidden("the token is for another stream"));
        }
        Ok((claims, era))
    }

    async fn verify_read(
        &self,
        request: &Request<'_>,
        registry: &impl Registry,
    ) -> Result<(Claims, Option<Era>), Error> {
        if let Some(token) = request.bearer() {
            let (claims, era) = self.verify(&token, request, registry).await?;
            return match claims.scope.as_str() {
                "read" | "write" => Ok((claims, era)),
                _ => Err(NOT_READING),
            };
        }
        let token = url_token(request)?.ok_or(MISSING)?;
        let (claims, era) = self.verify(&token, request, registry).await?;
        if claims.scope != "read" {
            return Err(Error::Forbidden(
                "a token in a URL must have the scope read",
            ));
        }
        let latest = request.now.saturating_add(MAX_URL_TOKEN_LIFE + LEEWAY);
        if claims.exp > latest {
            return Err(Error::Forbidden(
                "a token in a URL must end within 300 seconds",
            ));
        }
        Ok((claims, era))
    }
}

/// What a token says, if it is one of a project, and the project's era.
async fn verify(
    project: &str,
    token: &str,
    request: &Request<'_>,
    registry: &impl Registry,
) -> Result<(Claims, Option<Era>), Error> {
    let token = Token::parse(token)?;
    // Before anything is looked up: this project's secrets have nothing to say about it.
    if token.claimed_project() != project {
        return Err(Error::Forbidden("the token is for another project"));
    }
    let project = registry.project(project).await?;
    let secrets = project.as_ref().map(secrets).unwrap_or_default();
    let claims = token.verify(secrets, request.now)?;
    Ok((claims, project.and_then(|project| project.era)))
}

/// The root of all streams is nobody's.
fn project_of(root: &Root) -> Result<&str, Error> {
    let project = root.project();
    project.ok_or(SubscriptionError::NoRoute.into())
}

/// What the token that comes with a request says, if it is one of a root's project, and the project's
/// era.
async fn claims_for(
    root: &Root,
    request: &Request<'_>,
    registry: &impl Registry,
) -> Result<(Claims, Option<Era>), Error> {
    let project = project_of(root)?;
    let token = request.bearer().ok_or(MISSING)?;
    verify(project, &token, request, registry).await
}

/// What is granted of a root to who needs no token of its project. There has to be one.
async fn of_root(root: &Root, registry: &impl Registry) -> Result<RootGrant, Refusal> {
    let project = registry.project(project_of(root)?).await?;
    let project = project.ok_or(Error::from(SubscriptionError::NoRoute))?;
    Ok(RootGrant {
        era: project.era,
        only: None,
    })
}

fn secrets(project: &Rc<Project>) -> &[String] {
    &project.signing_secrets
}

fn granted(claims: &Claims, era: Option<Era>) -> Grant {
    Grant {
        expires_at: Some(claims.exp),
        audience: Audience::Holder,
        era,
    }
}

/// The era of a stream's project.
async fn era_of(stream: &StreamPath, registry: &impl Registry) -> Result<Option<Era>, Error> {
    let project = registry.project(Place::of(stream)?.project).await?;
    Ok(project.and_then(|project| project.era))
}

/// No fork leads from one project into another. Whether its creator may read the source is asked
/// apart from this.
fn check_fork(request: &Request<'_>, stream: &StreamPath) -> Result<(), Error> {
    let Some(value) = request.header(header::STREAM_FORKED_FROM) else {
        return Ok(());
    };
    match fork::same_project(stream, &protocol_request::fork_source(&value)?) {
        true => Ok(()),
        false => Err(Error::Forbidden("a fork cannot start in another project")),
    }
}

/// The token in the URL of a request that may carry it there.
fn url_token(request: &Request<'_>) -> Result<Option<String>, Error> {
    let mut token = None;
    let mut is_sse = false;
    for (name, value) in form_urlencoded::parse(request.query.as_bytes()) {
        match &*name {
            "live" => is_sse = value == "sse",
            TOKEN_PARAMETER if token.is_some() => {
                return Err(Error::Unauthorized(
                    "the parameter token must be given once",
                ));
            }
            TOKEN_PARAMETER => token = Some(value.into_owned()),
            _ => {}
        }
    }
    match token {
        Some(_) if !is_sse || request.method != "GET" => Err(Error::Unauthorized(
            "a token in the URL is for live=sse only; use Authorization: Bearer <token>",
        )),
        token => Ok(token),
    }
}

/// The query without any token, or nothing when there is none in it.
pub fn without_token(query: &str) -> Option<String> {
    let is_token = |part: &&str| {
        let pair = form_urlencoded::parse(part.as_bytes()).next();
        pair.is_some_and(|(name, _)| name == TOKEN_PARAMETER)
    };
    query.split('&').any(|part| is_token(&part)).then(|| {
        let rest: Vec<&str> = query.split('&').filter(|part| !is_token(part)).collect();
        rest.join("&")
    })
}
