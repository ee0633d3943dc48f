//! The page, and what it asks for.
//!
//! | route | |
//! |---|---|
//! | `GET /`, `/chat/:id` | the page |
//! | `POST /chat` | a question, as the AI SDK sends it; `Location` is the stream of the answer |
//! | `GET /chat/:id/stream` | the same for the answer that is on its way; `204` if there is none |
//! | `GET /chat/:id/messages` | all messages of a chat |
//! | `POST /chat/:id/stop` | stops the answer |

use durable_streams_cloudflare::protocol::path::split_url;
use worker::{Context, Env, Headers, Method, Request, Response, Result, web_sys};

use crate::chat::{self, Chat, Refusal};
use crate::session::{self, CHALLENGE};

const SCRIPT: &str = "text/javascript";
/// What the page is made of.
const FILES: [(&str, &str, &str); 5] = [
    ("page.html", "text/html", include_str!("../page/page.html")),
    ("chat.css", "text/css", include_str!("../page/chat.css")),
    ("chat.js", SCRIPT, include_str!("../page/chat.js")),
    ("follow.js", SCRIPT, include_str!("../page/follow.js")),
    ("text.js", SCRIPT, include_str!("../page/text.js")),
];
/// The page loads nothing from elsewhere, and runs nothing that is not in its files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves a request that is for the chat; nothing for all others.
///
/// # Errors
///
/// What no request can lead to.
pub async fn serve(raw: &web_sys::Request, env: &Env, ctx: &Context) -> Result<Option<Response>> {
    let url = raw.url();
    let (path, _) = split_url(&url);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let file = match segments.as_slice() {
        [""] | ["chat", _] if raw.method() == "GET" => Some("page.html"),
        [name] => Some(*name),
        _ => None,
    };
    let file = file.and_then(|name| FILES.iter().find(|(known, ..)| *known == name));
    if file.is_none() && segments.first() != Some(&"chat") {
        return Ok(None);
    }
    let request = Request::from(Clone::clone(raw));
    let header = |name| request.headers().get(name).ok().flatten();
    let (authorization, host) = (header("Authorization"), header("Host"));
    if !session::is_open(authorization.as_deref(), host.as_deref(), env) {
        return closed(env).map(Some);
    }
    if let Some((_, media_type, content)) = file {
        return page(media_type, content).map(Some);
    }
    let answer = match (request.method(), segments.as_slice()) {
        (Method::Post, ["chat"]) => chat::ask(request, env, ctx).await,
        (Method::Get, ["chat", id, "stream"]) => stream(id, env).await,
        (Method::Get, ["chat", id, "messages"]) => messages(id, env).await,
        (Method::Post, ["chat", id, "stop"]) => stop(id, env).await,
        _ => Err(Refusal::new(404, "There is nothing here.")),
    };
    match answer {
        Ok(response) => Ok(Some(response)),
        Err(refusal) => Response::error(refusal.text, refusal.status).map(Some),
    }
}

/// Somebody is not let in.
fn closed(env: &Env) -> Result<Response> {
    if crate::secret(env, "PASSWORD").is_none() {
        let what = "There is no password yet, so this is open on its own machine only. Set the secret \
                    PASSWORD: in .dev.vars for `durable-streams dev`, with `durable-streams secret put \
                    PASSWORD` for the deployed worker.";
        return Response::error(what, 403);
    }
    let headers = Headers::new();
    headers.set("WWW-Authenticate", CHALLENGE)?;
    Ok(Response::error("This is for who knows the password.", 401)?.with_headers(headers))
}

fn page(media_type: &str, content: &str) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", &format!("{media_type}; charset=utf-8"))?;
    headers.set("Content-Security-Policy", POLICY)?;
    headers.set("X-Content-Type-Options", "nosniff")?;
    // A new version is there with the next load.
    headers.set("Cache-Control", "no-cache")?;
    let content = content.replace("%CHATS%", crate::CHATS);
    Ok(Response::ok(content)?.with_headers(headers))
}

async fn stream(id: &str, env: &Env) -> Result<Response, Refusal> {
    let chat = Chat::of(env, id)?;
    match chat.streaming().await? {
        Some(url) => chat::location(&url, 200),
        None => Ok(Response::empty()?.with_status(204)),
    }
}

async fn messages(id: &str, env: &Env) -> Result<Response, Refusal> {
    let messages = Chat::of(env, id)?.messages().await?;
    Ok(Response::from_json(&messages)?)
}

async fn stop(id: &str, env: &Env) -> Result<Response, Refusal> {
    Chat::of(env, id)?.stop().await?;
    Ok(Response::empty()?.with_status(204))
}
