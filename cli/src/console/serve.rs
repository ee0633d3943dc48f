//! Listens, and leads each request to what answers it.

use std::{convert::Infallible, rc::Rc, time::Duration};

use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::LocalSet,
};

use super::{
    About,
    answer::{Answer, Refusal, bytes},
    api, assets,
    guard::Guard,
    pass::{self, Pass},
    peer,
};

/// How long is waited when the system takes no more connections.
const PAUSE: Duration = Duration::from_millis(50);

/// What every answer says: it is for the page that has asked alone, and only for now.
const ALWAYS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];
const POLICY: &str = "content-security-policy";
/// The page is made of its own files, and asks the console alone.
const OF_PAGES: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                        object-src 'none'";
/// What is in a stream is anybody's, and no page, whatever its type.
const OF_ALL_ELSE: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// All that answers.
pub struct Desk {
    /// Who may ask.
    pub guard: Guard,
    /// What it is about.
    pub about: About,
    /// The way to the streams.
    pub pass: Pass,
}

/// Serves until told to stop, or until nobody is left who could say so.
pub async fn serve(listener: TcpListener, desk: Rc<Desk>, mut stop: oneshot::Receiver<()>) {
    let connections = LocalSet::new();
    let ours = listener.local_addr().ok();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, theirs)) if ours.is_some_and(|ours| peer::is_welcome(theirs, ours)) => {
                    drop(connections.spawn_local(connection(stream, Rc::clone(&desk))));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    connections
        .run_until(async {
            tokio::select! {
                () = accept => {}
                _ = &mut stop => {}
            }
        })
        .await;
}

async fn connection(stream: TcpStream, desk: Rc<Desk>) {
    // What comes event by event goes so.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let desk = Rc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    // That somebody has gone is no error: what was done for them is dropped with the connection.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let asset = assets::find(request.uri().path());
        let policy = match asset {
            Some(_) => OF_PAGES,
            None => OF_ALL_ELSE,
        };
        let mut answer = self.lead(asset, request).await.unwrap_or_else(Answer::from);
        for (name, value) in ALWAYS.iter().chain([&(POLICY, policy)]) {
            let name = HeaderName::from_static(name);
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    async fn lead(
        &self,
        asset: Option<assets::Asset>,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let (method, uri) = (request.method(), request.uri());
        self.guard
            .check(method, uri, request.headers(), asset.is_some())?;
        let path = uri.path();
        if let Some(asset) = asset {
            return match *method {
                Method::GET | Method::HEAD => {
                    Ok(bytes(StatusCode::OK, asset.content_type, asset.content))
                }
                _ => Err(Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "this takes GET",
                )),
            };
        }
        if path.starts_with(api::PLACE) {
            return api::answer(&self.about, &self.pass, request).await;
        }
        if path
            .strip_prefix(pass::PLACE)
            .is_some_and(|below| below.starts_with('/'))
        {
            return self.pass.pass(request).await;
        }
        Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is nothing at {path}"),
        ))
    }
}
