//! Documents of Yjs in streams, as the Durable Streams Yjs Protocol has them, for the `YjsProvider`
//! of `@durable-streams/y-durable-streams`: whoever may use a document needs nothing but its URL.
//!
//! A document is the stream `docs/<id>`, in which updates of Yjs follow each other, as they came.
//! Who is there is told in `docs/<id>/.awareness/<name>`, which is gone after an hour of silence.

use std::time::Duration;

use durable_streams_cloudflare::protocol::offset::Offset;
use durable_streams_cloudflare::protocol::retention::Retention;
use durable_streams_cloudflare::streams::{Append, Create, Error, Scope, Stream};
use durable_streams_cloudflare::{Answer, Platform, ProjectJwt, StreamWorker, Streams};
use serde_json::json;
use worker::js_sys::{Uint8Array, decode_uri_component};
use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, RequestInit};
use worker::{Context, Env, Headers, Response, Result, Url};

use crate::may;

const BYTES: &str = "application/octet-stream";
/// For how long nobody may be there before it is forgotten who was.
const AWARENESS_TTL: Duration = Duration::from_secs(3600);
/// Readers start at its end, and lag little behind.
const AWARENESS_KEPT: Retention = Retention::Bytes(256 * 1024);
/// How long a live read lasts at most: then its reader comes back, and is looked at again.
const TOKEN: Duration = Duration::from_secs(300);

/// Answers a request for the document with this id, which is as it stands in the URL.
pub async fn serve(
    request: &Request,
    url: &Url,
    id: &str,
    env: Env,
    ctx: Context,
) -> Result<Answer> {
    match answer(request, url, id, env, ctx).await {
        Ok(answer) => Ok(answer),
        Err(Wrong::Asked(status, code, message)) => {
            let error = json!({ "error": { "code": code, "message": message } });
            Ok(Response::from_json(&error)?.with_status(status).into())
        }
        Err(Wrong::Stream(error)) => Ok(error.into()),
        Err(Wrong::Worker(error)) => Err(error),
    }
}

async fn answer(
    request: &Request,
    url: &Url,
    id: &str,
    env: Env,
    ctx: Context,
) -> Result<Answer, Wrong> {
    let document = Document::new(&env, id)?;
    if !may(request, &document.id) {
        return Err(Wrong::Asked(
            403,
            "FORBIDDEN",
            "you may not use this document",
        ));
    }
    let parameter = |name| url.query_pairs().find(|(key, _)| key == name);
    let parameter = |name| parameter(name).map(|(_, value)| value.into_owned());
    let (awareness, offset) = (parameter("awareness"), parameter("offset"));
    let (method, offset) = (request.method(), offset.as_deref());
    if let Some(name) = awareness {
        let stream = document.awareness(&name)?;
        return match &*method {
            "PUT" => document.open(&stream).await,
            "POST" => document.tell(&stream, request).await,
            "GET" | "HEAD" => {
                document
                    .listen(&stream, parameter("live").is_some())
                    .await?;
                forward(&stream, Scope::Read, request, url, env, ctx).await
            }
            "DELETE" => gone(stream.delete().await, NO_STREAM),
            _ => Err(NO_METHOD),
        };
    }
    match &*method {
        "PUT" => document.create(url).await,
        "GET" if offset == Some("snapshot") => document.discover(url).await,
        "GET" if offset.is_some_and(|offset| offset.ends_with("_snapshot")) => Err(NO_SNAPSHOT),
        "GET" | "HEAD" => forward(&document.stream, Scope::Read, request, url, env, ctx).await,
        // A provider that leaves says that the stream ends, and means what it wrote itself.
        "POST" if request.headers().has("Stream-Closed").unwrap_or(false) => {
            answered(204, Some(document.exists().await?))
        }
        "POST" => forward(&document.stream, Scope::Write, request, url, env, ctx).await,
        "DELETE" => document.delete().await,
        _ => Err(NO_METHOD),
    }
}

/// A document's streams.
struct Document {
    streams: Streams,
    id: String,
    stream: Stream<Platform>,
}

impl Document {
    fn new(env: &Env, id: &str) -> Result<Self, Wrong> {
        let id = decode_uri_component(id).map_err(|_| NO_PATH)?;
        let id = String::from(id);
        // Such are for what belongs to a document.
        if id.split('/').any(|segment| segment.starts_with('.')) {
            return Err(NO_PATH);
        }
        let streams = Streams::new(env);
        let project = env.var("PROJECT")?.to_string();
        let stream = streams.stream(&format!("{project}/docs/{id}"));
        let stream = stream.map_err(|_| NO_PATH)?.of(BYTES);
        Ok(Self {
            streams,
            id,
            stream,
        })
    }

    fn awareness(&self, name: &str) -> Result<Stream<Platform>, Wrong> {
        let path = format!("{}/.awareness/{name}", self.stream.path());
        let stream = self.streams.stream(&path).map_err(|_| NO_NAME)?;
        if name.contains('/') {
            return Err(NO_NAME);
        }
        Ok(stream.of(BYTES))
    }

    /// The end of the document, if there is one.
    async fn exists(&self) -> Result<Offset, Wrong> {
        let metadata = known(self.stream.head().await, NO_DOCUMENT)?;
        Ok(metadata.tail)
    }

    async fn create(&self, url: &Url) -> Result<Answer, Wrong> {
        let created = self.stream.create(Create::new()).await?;
        start(&self.awareness("default")?).await?;
        let headers = Headers::new();
        headers.set("Location", url.path())?;
        headers.set("Stream-Next-Offset", &created.tail.to_string())?;
        let status = if created.is_new { 201 } else { 200 };
        let response = Response::empty()?.with_status(status);
        Ok(response.with_headers(headers).into())
    }

    /// Where to start reading: there are no snapshots, so at the start.
    async fn discover(&self, url: &Url) -> Result<Answer, Wrong> {
        self.exists().await?;
        let headers = Headers::new();
        headers.set("Location", &format!("{}?offset=-1", url.path()))?;
        headers.set("Cache-Control", "private, max-age=5")?;
        let response = Response::empty()?.with_status(307);
        Ok(response.with_headers(headers).into())
    }

    /// Who is there under other names than `default` is forgotten by itself.
    async fn delete(&self) -> Result<Answer, Wrong> {
        known(self.stream.delete().await, NO_DOCUMENT)?;
        match self.awareness("default")?.delete().await {
            Ok(()) | Err(Error::NotFound) => answered(204, None),
            Err(error) => Err(error.into()),
        }
    }

    async fn open(&self, awareness: &Stream<Platform>) -> Result<Answer, Wrong> {
        self.exists().await?;
        let is_new = start(awareness).await?;
        answered(if is_new { 201 } else { 200 }, None)
    }

    /// Tells the others who is there.
    async fn tell(&self, awareness: &Stream<Platform>, request: &Request) -> Result<Answer, Wrong> {
        // Pages of other origins can send bytes as text alone, unless they are let in.
        let media_type = request.headers().get("Content-Type").ok().flatten();
        if media_type.as_deref() != Some(BYTES) {
            return Err(Wrong::Asked(
                400,
                "INVALID_REQUEST",
                "Content-Type has to be application/octet-stream",
            ));
        }
        let body = request.array_buffer().map_err(worker::Error::from)?;
        let body = JsFuture::from(body).await.map_err(worker::Error::from)?;
        let told = Append::bytes(Uint8Array::new(&body).to_vec());
        let appended = match awareness.send(told.clone()).await {
            Err(Error::NotFound) => {
                self.exists().await?;
                start(awareness).await?;
                awareness.send(told).await?
            }
            outcome => outcome?,
        };
        answered(204, Some(appended.tail))
    }

    /// Whoever listens after an hour in which nobody was there does so all the same.
    async fn listen(&self, awareness: &Stream<Platform>, live: bool) -> Result<(), Wrong> {
        self.exists().await?;
        match awareness.head().await {
            Err(Error::NotFound) if live => start(awareness).await.map(drop),
            outcome => known(outcome, NO_STREAM).map(drop),
        }
    }
}

/// Makes a stream of who is there. Says whether there was none.
async fn start(awareness: &Stream<Platform>) -> Result<bool, Wrong> {
    let create = Create::new().ttl(AWARENESS_TTL).retention(AWARENESS_KEPT);
    Ok(awareness.create(create).await?.is_new)
}

/// Lets the server answer, as if the request were one for the stream, with a token that the page
/// never has.
async fn forward(
    stream: &Stream<Platform>,
    scope: Scope,
    request: &Request,
    url: &Url,
    env: Env,
    ctx: Context,
) -> Result<Answer, Wrong> {
    let mut target = url.clone();
    if let Ok(mut segments) = target.path_segments_mut() {
        let path = stream.path().split('/');
        segments.clear().extend(["v1", "stream"]).extend(path);
    }
    let kept = url
        .query_pairs()
        .filter(|(key, _)| matches!(&**key, "offset" | "live" | "cursor"));
    target.query_pairs_mut().clear().extend_pairs(kept);
    let token = stream.token(scope, TOKEN).await?;
    // A request has all that the options of one can have.
    let options: &RequestInit = request.unchecked_ref();
    let request = Request::new_with_str_and_init(target.as_str(), options);
    let request = request.map_err(worker::Error::from)?;
    let authorization = format!("Bearer {token}");
    let changed = request.headers().set("Authorization", &authorization);
    changed.map_err(worker::Error::from)?;
    let answer = StreamWorker::new()
        .auth(ProjectJwt)
        .fetch(request, env, ctx)
        .await?;
    let response = answer.response().await?;
    match response.status() {
        404 => Err(NO_DOCUMENT),
        _ => Ok(response.into()),
    }
}

fn answered(status: u16, tail: Option<Offset>) -> Result<Answer, Wrong> {
    let headers = Headers::new();
    if let Some(tail) = tail {
        headers.set("Stream-Next-Offset", &tail.to_string())?;
    }
    let response = Response::empty()?.with_status(status);
    Ok(response.with_headers(headers).into())
}

fn gone(outcome: Result<(), Error>, missing: Wrong) -> Result<Answer, Wrong> {
    known(outcome, missing)?;
    answered(204, None)
}

/// What is missing has a name.
fn known<T>(outcome: Result<T, Error>, missing: Wrong) -> Result<T, Wrong> {
    outcome.map_err(|error| match error {
        Error::NotFound => missing,
        error => error.into(),
    })
}

/// What can go wrong with a request.
enum Wrong {
    /// What is asked for: a status, the protocol's code, and what it means.
    Asked(u16, &'static str, &'static str),
    /// A stream says no: what that means to a client is known.
    Stream(Error),
    /// All else.
    Worker(worker::Error),
}

const NO_PATH: Wrong = Wrong::Asked(400, "INVALID_REQUEST", "this is no path of a document");
const NO_NAME: Wrong = Wrong::Asked(400, "INVALID_REQUEST", "this is no name of an awareness");
const NO_METHOD: Wrong = Wrong::Asked(
    405,
    "INVALID_REQUEST",
    "documents know GET, HEAD, POST, PUT and DELETE",
);
const NO_DOCUMENT: Wrong = Wrong::Asked(404, "DOCUMENT_NOT_FOUND", "there is no such document");
const NO_SNAPSHOT: Wrong = Wrong::Asked(404, "SNAPSHOT_NOT_FOUND", "there are no snapshots");
const NO_STREAM: Wrong = Wrong::Asked(404, "STREAM_NOT_FOUND", "there is no such awareness");

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Stream(error)
    }
}

impl From<worker::Error> for Wrong {
    fn from(error: worker::Error) -> Self {
        Self::Worker(error)
    }
}
