//! From a request to its stream's object, and back to an answer. A request that nobody has to
//! change or to wait for is handed on untouched, so that neither body passes through here.

use std::rc::Rc;

use super::again::{Again, Ask};
use super::cold;
use super::live;
use super::ports::{Incoming, Outgoing, Ports};
use super::present::{leaves_alone, present, with_timing};
use super::{Answer, AnswerOf, refusal};
use crate::auth::cors::preflight;
use crate::auth::project_jwt::without_token;
use crate::auth::{self, Audience, AuthorizeMutation, AuthorizeRead, Cors, Grant, Refusal};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath, in_era};
use crate::protocol::reply::Reply;
use crate::protocol::request::fork_source;
use crate::protocol::root::Root;

/// Who serves requests, and by which rules.
#[derive(Debug)]
pub struct Server<'a, P, Mutations, Reads> {
    /// The world.
    pub ports: &'a P,
    /// Decides who may change streams.
    pub mutations: &'a Mutations,
    /// Decides who may read streams.
    pub reads: &'a Reads,
}

/// An answer and whom it is for, or why there is none.
type Outcome<P> = Result<(AnswerOf<P>, Audience), Refusal>;

impl<P: Ports, M: AuthorizeMutation<P::Env>, R: AuthorizeRead<P::Env>> Server<'_, P, M, R> {
    /// Serves a request.
    ///
    /// # Errors
    ///
    /// None that depend on the request: what is wrong with it, or with the stream's object, is
    /// answered as the protocol says.
    pub async fn serve(&self, request: &P::Request) -> Result<AnswerOf<P>, Error> {
        let started = self.ports.tick();
        let url = request.url();
        let (path, query) = path::split_url(&url);
        let answer = match StreamPath::parse(path) {
            Ok(path) => self.serve_stream(request, &url, query, &path).await?,
            Err(error) => match Root::split(path) {
                // Apart, so that what happens to most requests stays small.
                Some((Ok(root), rest)) => {
                    let served = Box::pin(self.serve_root(request, query, root, rest));
                    Answer::Now(served.await?)
                }
                Some((Err(error), _)) => self.serve_nothing(request, &error).await?,
                None => self.serve_nothing(request, &error.into()).await?,
            },
        };
        if let (Some(started), Some(now)) = (started, self.ports.tick()) {
            let response = answer.response().await?;
            return Ok(Answer::Now(with_timing(
                self.ports,
                response,
                now - started,
            )?));
        }
        Ok(answer)
    }

    /// The request itself is refused, which a page is told only if it may send it.
    async fn serve_nothing(
        &self,
        request: &P::Request,
        error: &Error,
    ) -> Result<AnswerOf<P>, Error> {
        self.ports.drain(request).await;
        Ok(Answer::Now(match &*request.method() {
            "OPTIONS" => self.ports.respond(preflight_of(request, Cors::Any))?,
            _ => self.refuse(error)?,
        }))
    }

    async fn serve_stream(
        &self,
        request: &P::Request,
        url: &str,
        query: &str,
        path: &StreamPath,
    ) -> Result<AnswerOf<P>, Error> {
        let method = request.method();
        let header = |name: &str| request.header(name);
        let asked = auth::Request {
            method: &method,
            query,
            header: &header,
            now: self.ports.now() / 1000,
        };
        let cors = self.reads.cors(&asked, path, self.ports.env()).await;
        let outcome = match method.as_str() {
            "OPTIONS" => Err(preflight_of(request, cors).into()),
            "GET" | "HEAD" => self.read(request, url, &asked, path).await,
            _ => self.change(request, url, &asked, path).await,
        };
        if outcome.is_err() {
            self.ports.drain(request).await;
        }
        let (answer, audience) = match outcome {
            Ok(answered) => answered,
            Err(Refusal::Error(error)) => (Answer::Now(self.refuse(&error)?), Audience::Everyone),
            Err(Refusal::Reply(reply)) => {
                (Answer::Now(self.ports.respond(reply)?), Audience::Everyone)
            }
        };
        if method == "OPTIONS" || leaves_alone(cors, audience) {
            return Ok(answer);
        }
        let response = answer.response().await?;
        let response = present(self.ports, response, cors, &asked, audience)?;
        Ok(Answer::Now(response))
    }

    pub(super) fn refuse(&self, error: &Error) -> Result<P::Response, Error> {
        self.ports
            .respond(refusal(error, |text| self.ports.log(text)))
    }

    async fn read(
        &self,
        request: &P::Request,
        url: &str,
        asked: &auth::Request<'_>,
        path: &StreamPath,
    ) -> Outcome<P> {
        let ports = self.ports;
        let grant = self.reads.authorize_read(asked, path, ports.env()).await?;
        let answer = if live::is_live(asked.method, asked.query) {
            let again = self.again(request, path, grant);
            live::serve(ports, request, url, path, grant, again).await?
        } else {
            let changed = self.for_object(request, url, asked.query, grant)?;
            let request = changed.as_ref().unwrap_or(request);
            let object = ports.object(&path.name(grant.era))?;
            let response = ports.forward(&object, request).await?;
            Answer::Now(cold::complete(ports, response).await?)
        };
        Ok((answer, grant.audience))
    }

    async fn change(
        &self,
        request: &P::Request,
        url: &str,
        asked: &auth::Request<'_>,
        path: &StreamPath,
    ) -> Outcome<P> {
        let (ports, env) = (self.ports, self.ports.env());
        let grant = self.mutations.authorize_mutation(asked, path, env).await?;
        if !matches!(asked.method, "POST" | "PUT" | "DELETE") {
            return Err(Error::MethodNotAllowed.into());
        }
        if asked.method == "PUT" {
            self.authorize_source(asked, grant).await?;
        }
        let changed = match grant.era {
            Some(era) => Some(ports.changed(request, Some(&in_era(url, era)), None)?),
            None => None,
        };
        let request = changed.as_ref().unwrap_or(request);
        let object = ports.object(&path.name(grant.era))?;
        if !self.mutations.settles(asked) {
            return Ok((
                Answer::Later(ports.pass_on(&object, request)?),
                grant.audience,
            ));
        }
        let response = ports.forward(&object, request).await?;
        let settled = self
            .mutations
            .settle_mutation(asked, path, response.status(), env);
        settled.await?;
        Ok((Answer::Now(response), grant.audience))
    }

    /// A fork reads its source, and so must its creator be allowed to. Whether there is such a
    /// stream is not looked at. Where everyone may read it if it is public, only its object knows
    /// that it is: whoever has no other right to it is refused.
    async fn authorize_source(
        &self,
        asked: &auth::Request<'_>,
        grant: Grant,
    ) -> Result<(), Refusal> {
        let Some(source) = asked.header(header::STREAM_FORKED_FROM) else {
            return Ok(());
        };
        let source = fork_source(&source)?;
        let read = auth::Request {
            method: "GET",
            query: "",
            ..*asked
        };
        let (reads, env) = (self.reads, self.ports.env());
        let of_source = reads.authorize_read(&read, &source, env).await?;
        if of_source.audience == Audience::EveryoneIfPublic || of_source.era != grant.era {
            return Err(Error::Forbidden("the credentials do not allow reading the source").into());
        }
        Ok(())
    }

    /// How to find out later whether a live read is still granted.
    fn again(&self, request: &P::Request, path: &StreamPath, grant: Grant) -> Again<P> {
        let ports = self.ports.clone();
        let ask = self.reads.again().map(|reads| {
            let (ports, request, path) = (ports.clone(), request.clone(), path.clone());
            let known = Rc::new((ports, request, path, reads));
            let ask: Ask = Box::new(move || {
                let known = Rc::clone(&known);
                Box::pin(async move {
                    let (ports, request, path, reads) = &*known;
                    let (method, url) = (request.method(), request.url());
                    let asked = auth::Request {
                        method: &method,
                        query: path::split_url(&url).1,
                        header: &|name| request.header(name),
                        now: ports.now() / 1000,
                    };
                    reads.authorize_read(&asked, path, ports.env()).await
                })
            });
            ask
        });
        Again::new(ports, grant, ask)
    }

    /// The request without what is meant for the edge alone, and with what the object has to check;
    /// nothing when it can go on as it is.
    fn for_object(
        &self,
        request: &P::Request,
        url: &str,
        query: &str,
        grant: Grant,
    ) -> Result<Option<P::Request>, Error> {
        let start = || url.split('?').next().unwrap_or_default();
        let changed = without_token(query).map(|query| format!("{}?{query}", start()));
        let url = match grant.era {
            Some(era) => Some(in_era(changed.as_deref().unwrap_or(url), era)),
            None => changed,
        };
        let mark = if_public(grant.audience);
        if url.is_none() && mark.is_none() {
            return Ok(None);
        }
        self.ports.changed(request, url.as_deref(), mark).map(Some)
    }
}

/// The answer to an OPTIONS, as its client may have it.
pub(super) fn preflight_of(request: &impl Incoming, cors: Cors) -> Reply {
    let origin = request.header(header::ORIGIN);
    let asked = request.header(header::ACCESS_CONTROL_REQUEST_HEADERS);
    preflight(cors, origin, asked)
}

/// What tells an object that these readers may have a public stream only.
pub(super) fn if_public(audience: Audience) -> Option<&'static str> {
    (audience == Audience::EveryoneIfPublic).then_some(header::STREAM_IF_PUBLIC)
}
