//! From a request to its stream's object, and back to an answer. A request that nobody has to
//! change or to wait for is handed on untouched, so that neither body passes through here.

use super::cold;
use super::live;
use super::ports::{Incoming, Outgoing, Ports};
use super::present::{leaves_alone, present, with_timing};
use super::{Answer, AnswerOf, refusal};
use crate::auth::project_jwt::without_token;
use crate::auth::{self, Audience, AuthorizeMutation, AuthorizeRead, Cors, Refusal};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::reply::Reply;

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
            Err(error) => {
                self.ports.drain(request).await;
                Answer::Now(self.refuse(&error.into())?)
            }
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
            "OPTIONS" if cors == Cors::Nobody => Err(Reply::new(204).into()),
            "OPTIONS" => Err(Reply::preflight().into()),
            "GET" | "HEAD" => self.read(request, url, &asked, path).await,
            _ => self.change(request, &asked, path).await,
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
        if leaves_alone(cors, audience) {
            return Ok(answer);
        }
        let response = answer.response().await?;
        let response = present(self.ports, response, cors, &asked, audience)?;
        Ok(Answer::Now(response))
    }

    fn refuse(&self, error: &Error) -> Result<P::Response, Error> {
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
            live::serve(ports, request, url, path, grant).await?
        } else {
            let changed = self.for_object(request, url, asked.query, grant.audience)?;
            let request = changed.as_ref().unwrap_or(request);
            let object = ports.object(path.as_str())?;
            let response = ports.forward(&object, request).await?;
            Answer::Now(cold::complete(ports, response).await?)
        };
        Ok((answer, grant.audience))
    }

    async fn change(
        &self,
        request: &P::Request,
        asked: &auth::Request<'_>,
        path: &StreamPath,
    ) -> Outcome<P> {
        let (ports, env) = (self.ports, self.ports.env());
        let grant = self.mutations.authorize_mutation(asked, path, env).await?;
        if !matches!(asked.method, "POST" | "PUT" | "DELETE") {
            return Err(Error::MethodNotAllowed.into());
        }
        let object = ports.object(path.as_str())?;
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

    /// The request without what is meant for the edge alone, and with what the object has to check;
    /// nothing when it can go on as it is.
    fn for_object(
        &self,
        request: &P::Request,
        url: &str,
        query: &str,
        audience: Audience,
    ) -> Result<Option<P::Request>, Error> {
        let start = || url.split('?').next().unwrap_or_default();
        let url = without_token(query).map(|query| format!("{}?{query}", start()));
        let mark = if_public(audience);
        if url.is_none() && mark.is_none() {
            return Ok(None);
        }
        self.ports.changed(request, url.as_deref(), mark).map(Some)
    }
}

/// What tells an object that these readers may have a public stream only.
pub(super) fn if_public(audience: Audience) -> Option<&'static str> {
    (audience == Audience::EveryoneIfPublic).then_some(header::STREAM_IF_PUBLIC)
}
