//! The routes, and who may use them.
//!
//! | request | who | |
//! |---|---|---|
//! | `POST /v1/proxy` | who knows the secret | asks an upstream |
//! | `GET /v1/proxy/<id>` | who has the signed URL, or knows the secret | reads the answer, as any stream |
//! | `PATCH /v1/proxy/<id>?action=abort` | who has the signed URL | ends the answer where it is |
//! | `HEAD /v1/proxy/<id>` | who knows the secret | says what is known of it |
//! | `DELETE /v1/proxy/<id>` | who knows the secret | ends and forgets it |

use durable_streams_cloudflare::auth::{
    AuthorizeRead, Grant, Refusal as NotRead, Registry, Request as Read,
};
use durable_streams_cloudflare::protocol::path::StreamPath;
use durable_streams_cloudflare::streams::Error;
use durable_streams_cloudflare::{NoAuth, StreamWorker};
use futures_util::future;
use url::Url;
use uuid::Uuid;
use worker::wasm_bindgen::JsCast;
use worker::web_sys;
use worker::{Context, Date, Env, Headers, Method, Request, RequestInit, Response, Result, Stub};

use crate::exchange;
use crate::refusal::{Outcome, Refusal, answered};
use crate::signed::{Secret, Wrong};
use crate::{headers, media_type, settings};

const BASE: &str = "/v1/proxy";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const UPSTREAM_TYPE: &str = "Upstream-Content-Type";

/// What a path is about.
pub enum Place<'a> {
    /// All requests.
    Base,
    /// What is called so.
    Id(&'a str),
}

/// What a path is about, if that is something here.
pub fn place(path: &str) -> Option<Place<'_>> {
    let rest = path.strip_prefix(BASE)?;
    match rest.strip_prefix('/') {
        Some("") => Some(Place::Base),
        Some(id) => Some(Place::Id(id)),
        None => rest.is_empty().then_some(Place::Base),
    }
}

/// Answers a request.
///
/// # Errors
///
/// None that depend on the request.
pub async fn answer(
    place: Place<'_>,
    req: Request,
    url: &Url,
    env: Env,
    ctx: Context,
) -> Result<Response> {
    let asked = req.headers().get("Access-Control-Request-Headers")?;
    let outcome = match (place, req.method()) {
        (_, Method::Options) => Response::empty()
            .map(|answer| answer.with_status(204))
            .map_err(Into::into),
        (Place::Base, Method::Post) => create(req, url, &env).await,
        (Place::Base, _) => Err(Refusal::NoMethod.into()),
        (Place::Id(id), Method::Get) => read(id, req, url, env, ctx).await,
        (Place::Id(id), Method::Head) => head(id, &req, url, &env).await,
        (Place::Id(id), Method::Patch) => abort(id, url, &env).await,
        (Place::Id(id), Method::Delete) => delete(id, &req, url, &env).await,
        (Place::Id(_), _) => Err(Refusal::NoMethod.into()),
    };
    for_pages(answered(outcome)?, asked)
}

/// Has an exchange ask the upstream. What is wrong with the request is said before there is one.
async fn create(req: Request, url: &Url, env: &Env) -> Outcome<Response> {
    let secret = settings::secret(env)?;
    shows_secret(&secret, &req, url)?;
    let upstream = req
        .headers()
        .get("Upstream-URL")?
        .ok_or(Refusal::MissingUrl)?;
    let method = req
        .headers()
        .get("Upstream-Method")?
        .ok_or(Refusal::MissingMethod)?;
    let method = method.to_ascii_uppercase();
    if !METHODS.contains(&&*method) {
        return Err(Refusal::InvalidMethod.into());
    }
    let upstream = settings::allowlist(env)?
        .admit(&upstream)
        .ok_or(Refusal::NotAllowed)?;

    let id = Uuid::new_v4().to_string();
    let to_upstream = Headers::new();
    let headers: Vec<_> = req.headers().entries().collect();
    for (name, value) in headers::for_upstream(&headers) {
        to_upstream.set(&name, &value)?;
    }
    to_upstream.set(exchange::STREAM, &settings::path(env, &id))?;
    let mut init = RequestInit::new();
    init.with_method(Method::from(method.clone()))
        .with_headers(to_upstream);
    if method != "GET" {
        init.with_body(req.inner().body().map(Into::into));
    }
    let request = Request::new_with_init(upstream.as_str(), &init)?;
    let answer = exchange(env, &id)?.fetch_with_request(request).await?;
    if answer.status_code() != 201 {
        return Ok(answer);
    }
    let expires = now().saturating_add(settings::keep(env)?.as_secs());
    // Clients take it for what it is below their own URL of the proxy, whatever stands before this worker.
    let location = format!("{BASE}/{id}?{}", secret.query(&id, expires));
    with(answer, &[("Location", &location)])
}

/// Reads the stream of an answer: what a read is, and all ways to do it, are as with any stream.
async fn read(id: &str, req: Request, url: &Url, env: Env, ctx: Context) -> Outcome<Response> {
    let secret = settings::secret(&env)?;
    let reader = match signature(url) {
        Some(_) => Reader {
            expires_at: Some(shows_signature(&secret, id, url)?),
        },
        None => {
            shows_secret(&secret, &req, url)?;
            Reader { expires_at: None }
        }
    };
    let path = settings::path(&env, known(id)?);
    let stream = settings::stream(&env, &path)?;
    let mut at = url.clone();
    at.set_path(&format!("/v1/stream/{path}"));
    let kept: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| ["offset", "live", "cursor"].contains(&&**name))
        .collect();
    at.query_pairs_mut().clear().extend_pairs(&kept);
    // The same request at another place. It is nobody's any more: the reader was checked above.
    let at = web_sys::Request::new_with_str_and_init(at.as_str(), req.inner().unchecked_ref());
    let at = at.map_err(worker::Error::from)?;
    let worker = StreamWorker::new()
        .authorize_mutations(NoAuth)
        .authorize_reads(reader);
    let read = async { worker.fetch(at, env, ctx).await?.response().await };

    // Events have a type of their own, and do not say the stream's.
    let is_events = kept
        .iter()
        .any(|(name, value)| name == "live" && value == "sse");
    let head = async {
        match is_events {
            true => stream.head().await.ok().map(|known| known.content_type),
            false => None,
        }
    };
    let (answer, known_type) = future::join(read, head).await;
    let answer = Response::from(answer?);
    if matches!(answer.status_code(), 404 | 410) {
        return Err(Refusal::NoStream.into());
    }
    let said = answer.headers().get("Content-Type")?;
    let upstream = known_type
        .or(said.clone())
        .and_then(|known| media_type::of_upstream(&known));
    let mut more = Vec::new();
    if let Some(upstream) = &upstream {
        more.push((UPSTREAM_TYPE, upstream.as_str()));
    }
    if said.is_some_and(|said| said.starts_with(media_type::BYTES)) {
        more.push(("Content-Type", media_type::BYTES));
    }
    with(answer, &more)
}

async fn head(id: &str, req: &Request, url: &Url, env: &Env) -> Outcome<Response> {
    shows_secret(&settings::secret(env)?, req, url)?;
    let stream = settings::stream(env, &settings::path(env, known(id)?))?;
    let known = match stream.head().await {
        Err(Error::NotFound | Error::Gone) => return Err(Refusal::NoStream.into()),
        Err(error) => return Err(Refusal::Storage(error.to_string()).into()),
        Ok(known) => known,
    };
    let offset = known.tail.to_string();
    let upstream = media_type::of_upstream(&known.content_type);
    let mut more = vec![
        ("Content-Type", media_type::BYTES),
        ("Stream-Next-Offset", &offset),
        ("Cache-Control", "no-store"),
    ];
    if known.closed {
        more.push(("Stream-Closed", "true"));
    }
    if let Some(upstream) = &upstream {
        more.push((UPSTREAM_TYPE, upstream));
    }
    with(Response::empty()?, &more)
}

/// Ends an exchange. One that has ended by itself is as good.
async fn abort(id: &str, url: &Url, env: &Env) -> Outcome<Response> {
    signature(url).ok_or(Refusal::MissingSignature)?;
    shows_signature(&settings::secret(env)?, id, url)?;
    if parameter(url, "action").as_deref() != Some("abort") {
        return Err(Refusal::InvalidAction.into());
    }
    stop(env, known(id)?).await?;
    Ok(Response::empty()?.with_status(204))
}

async fn delete(id: &str, req: &Request, url: &Url, env: &Env) -> Outcome<Response> {
    shows_secret(&settings::secret(env)?, req, url)?;
    if let Ok(id) = known(id) {
        stop(env, id).await?;
        match settings::stream(env, &settings::path(env, id))?
            .delete()
            .await
        {
            Ok(()) | Err(Error::NotFound | Error::Gone) => {}
            Err(error) => return Err(Refusal::Storage(error.to_string()).into()),
        }
    }
    Ok(Response::empty()?.with_status(204))
}

/// Readers whom this worker has checked, until then.
struct Reader {
    expires_at: Option<u64>,
}

impl AuthorizeRead<Env> for Reader {
    async fn authorize_read(
        &self,
        _: &Read<'_>,
        stream: &StreamPath,
        env: &Env,
    ) -> std::result::Result<Grant, NotRead> {
        // A project's streams are those of the project that has its name now.
        let project = match stream.project() {
            Some(project) => env.project(project).await?,
            None => None,
        };
        Ok(Grant {
            expires_at: self.expires_at,
            era: project.and_then(|project| project.era),
            ..Grant::HOLDER
        })
    }
}

/// Whether a request shows the secret, in its URL or as a bearer token. This is where other rules of
/// yours go, such as a look at your users' sessions.
fn shows_secret(secret: &Secret, req: &Request, url: &Url) -> Outcome<()> {
    let bearer = || {
        let value = req.headers().get("Authorization").ok()??;
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    };
    let shown = parameter(url, "secret")
        .or_else(bearer)
        .ok_or(Refusal::MissingSecret)?;
    match secret.is(&shown) {
        true => Ok(()),
        false => Err(Refusal::InvalidSecret.into()),
    }
}

/// When the signed URL ends.
fn shows_signature(secret: &Secret, id: &str, url: &Url) -> Outcome<u64> {
    let (expires, signature) = signature(url).ok_or(Refusal::MissingSignature)?;
    secret
        .verify(id, &expires, &signature, now())
        .map_err(|wrong| match wrong {
            Wrong::Signature => Refusal::InvalidSignature.into(),
            Wrong::Expired => Refusal::ExpiredSignature.into(),
        })
}

fn signature(url: &Url) -> Option<(String, String)> {
    parameter(url, "expires").zip(parameter(url, "signature"))
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find_map(|(known, value)| (known == name && !value.is_empty()).then(|| value.into_owned()))
}

/// The id, unless no answer was ever called so.
fn known(id: &str) -> Outcome<&str> {
    let is_ours = Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id);
    if is_ours {
        Ok(id)
    } else {
        Err(Refusal::NoStream.into())
    }
}

async fn stop(env: &Env, id: &str) -> Result<()> {
    exchange(env, id)?
        .fetch_with_str("http://exchange/")
        .await
        .map(drop)
}

fn exchange(env: &Env, id: &str) -> Result<Stub> {
    env.durable_object("EXCHANGES")?.get_by_name(id)
}

fn now() -> u64 {
    Date::now().as_millis() / 1000
}

/// The answer with these headers, too.
fn with(answer: Response, more: &[(&str, &str)]) -> Outcome<Response> {
    // Those of an answer that came from elsewhere cannot be changed.
    let headers = Headers::new();
    for (name, value) in answer.headers().entries() {
        headers.append(&name, &value)?;
    }
    for (name, value) in more {
        headers.set(name, value)?;
    }
    Ok(answer.with_headers(headers))
}

/// The answer, for pages of other origins, too. Change this if only some may read it.
fn for_pages(answer: Response, asked: Option<String>) -> Result<Response> {
    let asked = asked.unwrap_or_else(|| {
        "Upstream-URL, Upstream-Authorization, Upstream-Method, Content-Type, Authorization"
            .to_owned()
    });
    let exposed = "Location, Upstream-Content-Type, Upstream-Status, Stream-Next-Offset, Stream-Cursor, \
                   Stream-Up-To-Date, Stream-Closed, Stream-SSE-Data-Encoding, Stream-TTL, \
                   Stream-Expires-At, ETag, Retry-After";
    answered(with(
        answer,
        &[
            ("Access-Control-Allow-Origin", "*"),
            (
                "Access-Control-Allow-Methods",
                "GET, POST, HEAD, PATCH, DELETE, OPTIONS",
            ),
            ("Access-Control-Allow-Headers", &asked),
            ("Access-Control-Expose-Headers", exposed),
        ],
    ))
}
