//! Passes requests on to the server of the streams, with a token that allows what is asked for and no more,
//! and what is answered back, bit by bit as it comes.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::{Body as _, Incoming},
    header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION},
};
use percent_encoding::percent_decode_str;
use reqwest::Body;

use super::{
    answer::{Answer, Refusal},
    books::Signer,
    clerk::Clerk,
};
use crate::{
    http::{self, reason},
    registry::check_name,
    server::Tokens,
    stream::{Access, Authorize, FORKED_FROM, Need, Root, names_stream},
};

/// Where streams are below the console's own address.
pub const PLACE: &str = "/v1/stream";
/// How long the server may take until it begins to answer: a long-poll takes half of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long nobody asks the clerk again, who may be at something that takes a while.
const LIFETIME: Duration = Duration::from_secs(5);
/// What is behind a project where it is no stream's.
const RESERVED: &str = "__ds/";

/// Who is behind what is passed on.
pub enum Asker {
    /// Always the same, or nobody.
    One(Box<dyn Authorize + Send>),
    /// Whoever has the secret of the project that is asked for.
    Project(Clerk),
}

/// Passes requests on.
pub struct Pass {
    http: reqwest::Client,
    root: Root,
    asker: Asker,
    signers: RefCell<HashMap<String, (Signer, Instant)>>,
    is_verbose: bool,
}

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// The first segment of its path.
    project: String,
    access: Access,
    /// The only stream it is about, by its path behind the project.
    stream: Option<String>,
}

impl Pass {
    /// To the streams below a root.
    pub fn new(root: Root, asker: Asker, is_verbose: bool) -> anyhow::Result<Self> {
        Ok(Self {
            http: http::passing_client(root.as_str())?,
            root,
            asker,
            signers: RefCell::default(),
            is_verbose,
        })
    }

    /// Passes a request on, and gives the answer as soon as its headers are there. When whoever waits for
    /// it goes away, so does this.
    pub async fn pass(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let below = below(&head.uri)?;
        let target = Target::of(&head.method, below, &head.headers)?;
        let mut there = format!("{}/{below}", self.root.as_str());
        if let Some(query) = head.uri.query() {
            there.push('?');
            there.push_str(query);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers.iter().filter(|(name, _)| goes_there(name)) {
            headers.append(name, value.clone());
        }
        self.rename(&mut headers, PLACE, self.root.path());
        if let Some(value) = self.authorization(&target).await? {
            headers.insert(AUTHORIZATION, value);
        }
        let mut there = self
            .http
            .request(head.method.clone(), there)
            .headers(headers);
        if !body.is_end_stream() {
            there = there.body(Body::wrap(body));
        }
        let began = Instant::now();
        let outcome = tokio::time::timeout(PATIENCE, there.send()).await;
        if self.is_verbose {
            let answer = outcome.as_ref().ok().and_then(|sent| sent.as_ref().ok());
            let status = answer.map(|answer| answer.status().as_u16());
            http::trace(&head.method, head.uri.path(), status, began.elapsed());
        }
        let answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(self.unreachable(StatusCode::BAD_GATEWAY, &reason(&error)));
            }
            Err(_) => {
                return Err(self.unreachable(StatusCode::GATEWAY_TIMEOUT, "it took too long"));
            }
        };
        let (mut head, body) = Response::<Body>::from(answer).into_parts();
        let all = std::mem::take(&mut head.headers);
        for (name, value) in all.iter().filter(|(name, _)| comes_back(name)) {
            head.headers.append(name, value.clone());
        }
        self.rename(&mut head.headers, self.root.path(), PLACE);
        head.extensions.clear();
        Ok(Response::from_parts(head, body))
    }

    /// Where the streams are.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Who knows the projects, where they are known.
    pub fn clerk(&self) -> Option<&Clerk> {
        match &self.asker {
            Asker::One(_) => None,
            Asker::Project(clerk) => Some(clerk),
        }
    }

    /// What was known of who signs for a project is looked up anew.
    pub fn forget(&self, project: &str) {
        self.signers.borrow_mut().remove(project);
    }

    /// Streams are named by their URL's path in one header, which is another here where the server has its
    /// streams at an unusual place.
    fn rename(&self, headers: &mut HeaderMap, from: &str, to: &str) {
        let Some(path) = headers.get(FORKED_FROM) else {
            return;
        };
        let below = path.to_str().ok().and_then(|path| path.strip_prefix(from));
        let renamed = below.and_then(|below| HeaderValue::try_from(format!("{to}{below}")).ok());
        if let Some(renamed) = renamed {
            headers.insert(FORKED_FROM, renamed);
        }
    }

    async fn authorization(&self, target: &Target) -> Result<Option<HeaderValue>, Refusal> {
        let need = Need {
            access: target.access,
            stream: target.stream.as_deref(),
        };
        let said = match &self.asker {
            Asker::One(who) => who.authorization(need),
            Asker::Project(clerk) => match self.signer(clerk, &target.project).await? {
                Signer::NotNeeded => return Ok(None),
                Signer::Secret(secret) => {
                    Tokens::new(target.project.clone(), secret).authorization(need)
                }
                Signer::NoProject => {
                    return Err(Refusal::new(
                        StatusCode::NOT_FOUND,
                        "project_not_found",
                        format!(
                            "there is no project `{}`: the first segment of a stream's path names one",
                            target.project
                        ),
                    ));
                }
            },
        };
        let failed = |why: String| Refusal::new(StatusCode::BAD_GATEWAY, "no_token", why);
        let Some(said) = said.map_err(failed)? else {
            return Ok(None);
        };
        // Its text would be in the error.
        let mut value = HeaderValue::try_from(said)
            .map_err(|_| failed("the authorization is no text for a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn signer(&self, clerk: &Clerk, project: &str) -> Result<Signer, Refusal> {
        let known = self.signers.borrow().get(project).cloned();
        if let Some((signer, _)) = known.filter(|(_, at)| at.elapsed() < LIFETIME) {
            return Ok(signer);
        }
        // A name that none can have is that of nobody's project, and some servers have no projects.
        let name = project.to_owned();
        let signer = clerk
            .ask(move |books| {
                Ok(match check_name(&name) {
                    Ok(()) => books.signer(&name)?,
                    Err(_) if books.can_make_tokens()? => Signer::NoProject,
                    Err(_) => Signer::NotNeeded,
                })
            })
            .await?;
        // All others cost nothing, or may be another at once.
        if let Signer::Secret(_) = signer {
            let entry = (signer.clone(), Instant::now());
            self.signers.borrow_mut().insert(project.to_owned(), entry);
        }
        Ok(signer)
    }

    fn unreachable(&self, status: StatusCode, why: &str) -> Refusal {
        Refusal::new(
            status,
            "server_unreachable",
            format!("no server answers at {}: {why}", self.root.as_str()),
        )
    }
}

/// The path below the place of streams, as it was sent.
fn below(uri: &Uri) -> Result<&str, Refusal> {
    let below = uri.path().strip_prefix(PLACE).unwrap_or_default();
    let below = below.strip_prefix('/').unwrap_or_default();
    // Whatever reads them as the way up leaves the root.
    let leads_away = |segment: &str| matches!(&*decoded(segment), "." | "..");
    if below.is_empty() || below.split(['/', '\\']).any(leads_away) {
        return Err(Refusal::invalid(format!(
            "the path `{}` names no stream: one is like {PLACE}/my-project/my-stream",
            uri.path()
        )));
    }
    Ok(below)
}

impl Target {
    fn of(method: &Method, below: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let access = match *method {
            Method::GET | Method::HEAD => Access::Read,
            Method::PUT | Method::POST | Method::DELETE => Access::Write,
            _ => {
                return Err(Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    format!("{method} is none of GET, HEAD, PUT, POST and DELETE"),
                ));
            }
        };
        let (project, rest) = below.split_once('/').unwrap_or((below, ""));
        // What is known of a stream names others, which a token for one stream alone does not show; and a
        // fork is about its source, too.
        let names_others = rest.starts_with(RESERVED) || headers.contains_key(FORKED_FROM);
        let stream = Some(rest).filter(|_| !names_others).map(decoded);
        let stream = stream.filter(|stream| names_stream(stream));
        Ok(Self {
            project: decoded(project),
            access,
            stream,
        })
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What the protocol and its cousins say is about the stream; all else is about the page.
fn goes_there(name: &HeaderName) -> bool {
    is_of_protocol(name)
        || matches!(
            name.as_str(),
            "accept" | "if-match" | "if-none-match" | "last-event-id"
        )
}

/// Who may see an answer, and who keeps it, the console says by itself.
fn comes_back(name: &HeaderName) -> bool {
    is_of_protocol(name)
        || *name == LOCATION
        || name.as_str().starts_with("ds-")
        || matches!(
            name.as_str(),
            "allow" | "content-length" | "date" | "etag" | "retry-after" | "server-timing"
        )
}

fn is_of_protocol(name: &HeaderName) -> bool {
    let name = name.as_str();
    ["stream-", "producer-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(name, "content-type" | "content-encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: Method, below: &str, is_fork: bool) -> (String, Access, Option<String>) {
        let mut headers = HeaderMap::new();
        if is_fork {
            headers.insert(FORKED_FROM, HeaderValue::from_static("/v1/stream/p/s"));
        }
        let target = Target::of(&method, below, &headers).unwrap();
        (target.project, target.access, target.stream)
    }

    #[test]
    fn a_token_is_for_one_stream_where_the_request_is() {
        let one = |access, stream: &str| ("p".to_owned(), access, Some(stream.to_owned()));
        let all = |access| ("p".to_owned(), access, None);
        let (read, write) = (Access::Read, Access::Write);
        for (method, below, expected) in [
            (Method::GET, "p/a", one(read, "a")),
            (Method::HEAD, "p/a/b%20c", one(read, "a/b c")),
            (Method::POST, "%70/__dsx", one(write, "__dsx")),
            (Method::DELETE, "p/a/__ds/b", one(write, "a/__ds/b")),
            (Method::GET, "p/__ds/streams/a", all(read)),
            (Method::POST, "p/__ds/keys/rotate", all(write)),
            // The server says what is wrong with them.
            (Method::GET, "p", all(read)),
            (Method::GET, "p/", all(read)),
            (Method::GET, "p/a//b", all(read)),
        ] {
            assert_eq!(target(method, below, false), expected, "{below}");
        }
        assert_eq!(target(Method::PUT, "p/a", true), all(write));
        Target::of(&Method::PATCH, "p/a", &HeaderMap::new()).unwrap_err();
    }

    #[test]
    fn the_way_up_is_no_way() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        assert_eq!(
            below(&uri("/v1/stream/a%2Fb/...?x=..")).unwrap(),
            "a%2Fb/..."
        );
        for path in [
            "/v1/stream/",
            "/v1/stream/..",
            "/v1/stream/a/%2E%2e/b",
            "/v1/stream/a/.",
            "/v1/stream/a/..%2f",
        ] {
            // What is encoded as a slash parts nothing.
            assert_eq!(below(&uri(path)).is_ok(), path.ends_with("%2f"), "{path}");
        }
    }
}
