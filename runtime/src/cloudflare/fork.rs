//! Forks: what the objects of a fork and of its source have to say to each other. The source is
//! asked once, before the fork is made, and told when the fork is gone; it asks back whether a
//! fork lives that it has not heard of.

use std::cell::RefCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use worker::web_sys::{Request, Response};
use worker::{Env, State};

use super::body;
use super::forward;
use super::live::Readers;
use super::maintain::Maintenance;
use super::sql::Sql;
use super::timing::now;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path;
use crate::protocol::reply::{Created, Reply};
use crate::protocol::request::{Create, Fork};
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::family::lend::{Claim, Loan};
use crate::stream::verbs::delete::{End, Ended};

/// The longest question between objects, in bytes: it holds a path and little else.
const MAX_QUESTION: usize = 16_384;

/// What one object can ask another.
const CLAIM: &str = "claim";
const RELEASE: &str = "release";
const VERIFY: &str = "verify";

/// Whether a fork lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    Lives,
    /// It is being made.
    Pending,
    None,
}

/// A stream's place among forks and sources.
pub struct Family {
    state: Rc<State>,
    env: Env,
    stream: Rc<RefCell<Stream<Sql>>>,
    readers: Readers,
    maintenance: Rc<Maintenance>,
    /// The forks that are being made here: their sources were asked, and may ask back.
    pending: RefCell<Vec<Name>>,
}

/// Why a fork cannot be made.
pub enum Refusal {
    /// For a reason of this object.
    Here(Error),
    /// In the source's words.
    There(Reply),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl Family {
    /// A stream that may turn out to be a fork, a source, or both.
    pub fn new(
        state: Rc<State>,
        env: Env,
        stream: Rc<RefCell<Stream<Sql>>>,
        readers: Readers,
        maintenance: Rc<Maintenance>,
    ) -> Rc<Self> {
        Rc::new(Self {
            state,
            env,
            stream,
            readers,
            maintenance,
            pending: RefCell::default(),
        })
    }

    /// Makes this stream a fork, or finds that it is that fork already.
    ///
    /// # Errors
    ///
    /// Whatever this object or the source has against it; then there is no fork.
    pub async fn create(
        self: &Rc<Self>,
        create: &Create,
        fork: &Fork,
        body: &[u8],
        name: Name,
    ) -> Result<Created, Refusal> {
        let found = self.stream.borrow_mut().find(create, now())?;
        if let Some(created) = found {
            return Ok(created);
        }
        if fork.source.as_str() == name.path {
            return Err(Error::NoSource.into());
        }
        let claim = Claim {
            fork: name.clone(),
            content_type: create.content_type.as_ref().map(|t| t.as_str().to_owned()),
            offset: fork.offset.map(|offset| offset.position()),
            sub_offset: fork.sub_offset,
        };
        self.pending.borrow_mut().push(name.clone());
        let outcome = self.create_with(create, fork, &claim, body).await;
        self.pending.borrow_mut().retain(|other| *other != name);
        let is_new = outcome.as_ref().is_ok_and(|created| created.is_new);
        if !is_new && !matches!(outcome, Err(Refusal::There(_))) {
            // The source may have noted a claim.
            self.tell_source(fork.source.as_str().to_owned(), name);
        }
        outcome
    }

    async fn create_with(
        &self,
        create: &Create,
        fork: &Fork,
        claim: &Claim,
        body: &[u8],
    ) -> Result<Created, Refusal> {
        let response = self.ask(fork.source.as_str(), CLAIM, claim).await?;
        let status = response.status();
        let answer = forward::body_of(&response).await?.to_vec();
        if status != 200 {
            let mut reply = Reply::new(status)
                .with(header::CONTENT_TYPE, "application/json")
                .with(header::CACHE_CONTROL, "no-store");
            reply.body = answer;
            return Err(Refusal::There(reply));
        }
        let loan = Loan::decode(&answer)
            .ok_or_else(|| Error::Unavailable("the source's answer makes no sense".into()))?;
        let mut stream = self.stream.borrow_mut();
        let name = claim.fork.clone();
        Ok(stream.create(create, Some(&loan), body, name, now())?)
    }

    /// Answers what another object asks; `question` is the end of the URL's path.
    ///
    /// # Errors
    ///
    /// Whatever is to be said against a claim; [`Error::Storage`].
    pub async fn answer(
        self: &Rc<Self>,
        question: &str,
        request: &Request,
    ) -> Result<Reply, Error> {
        let body = body::read(request, MAX_QUESTION).await?;
        match question {
            CLAIM => {
                let claim = parse(&body)?;
                let loan = self.stream.borrow_mut().lend(&claim, now())?;
                // It has to be looked after, whatever becomes of the answer.
                self.maintenance.run_behind(&self.state);
                let mut reply = Reply::new(200);
                reply.body = loan.encode().ok_or(Error::Full)?;
                Ok(reply)
            }
            RELEASE => {
                let fork = parse(&body)?;
                let end = self.stream.borrow_mut().release(&fork, now())?;
                if let Some(end) = end {
                    self.ended(end);
                }
                Ok(Reply::new(204))
            }
            VERIFY => {
                let life = self.life_of(&parse(&body)?)?;
                let mut reply = Reply::new(200);
                reply.body = serde_json::json!(life).to_string().into_bytes();
                Ok(reply)
            }
            _ => Err(Error::UnknownRoute),
        }
    }

    fn life_of(&self, fork: &Name) -> Result<Life, Error> {
        if self.pending.borrow().contains(fork) {
            return Ok(Life::Pending);
        }
        let lives = self.stream.borrow_mut().is_called(fork, now())?;
        Ok(if lives { Life::Lives } else { Life::None })
    }

    /// Does what has to be done when the stream has ended.
    pub fn ended(self: &Rc<Self>, end: End) {
        let this = Rc::clone(self);
        match end {
            End::Kept => {
                self.readers.let_go(&Error::Gone);
                self.state.wait_until(async move {
                    this.ask_forks().await;
                    this.maintenance.run().await;
                });
            }
            End::Gone(ended) => {
                self.readers.let_go(&Error::NotFound);
                self.maintenance.run_behind(&self.state);
                if let Some(Ended { name, origin }) = ended {
                    self.tell_source(origin.path, name);
                }
            }
        }
    }

    /// Tells a source that a fork is gone. Should it not hear of that, it will ask.
    fn tell_source(self: &Rc<Self>, source: String, fork: Name) {
        let this = Rc::clone(self);
        self.state.wait_until(async move {
            if let Err(error) = this.ask(&source, RELEASE, &fork).await {
                worker::console_warn!("{source} was not told that a fork is gone: {error:?}");
            }
        });
    }

    /// Asks forks whether they live, those that it is time to ask.
    pub async fn ask_forks(self: &Rc<Self>) {
        let forks = self.stream.borrow_mut().doubtful_forks(now());
        for fork in forks.unwrap_or_default() {
            if let Err(error) = self.ask_fork(&fork).await {
                worker::console_error!("{}: {error:?}", fork.path);
            }
        }
    }

    async fn ask_fork(self: &Rc<Self>, fork: &Name) -> Result<(), Error> {
        let life = match self.ask(&fork.path, VERIFY, fork).await {
            Ok(response) if response.status() == 200 => {
                parse(&forward::body_of(&response).await?.to_vec())?
            }
            // It will be asked again.
            _ => Life::Pending,
        };
        if life == Life::None {
            let end = self.stream.borrow_mut().release(fork, now())?;
            if let Some(end) = end {
                self.ended(end);
            }
            return Ok(());
        }
        let is_made = life == Life::Lives;
        self.stream.borrow_mut().settle(fork, is_made, now())
    }

    async fn ask(
        &self,
        path: &str,
        question: &str,
        body: &impl Serialize,
    ) -> Result<Response, Error> {
        let url = format!("http://fork{}{question}", path::FORK);
        let body = serde_json::json!(body).to_string();
        forward::stub(&self.env, path)?.ask(&url, &body).await
    }
}

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::invalid("the body", error.to_string()))
}
