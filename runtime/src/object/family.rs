//! Forks: what the objects of a fork and of its source have to say to each other (section 4.2).
//! The source is asked once, before the fork is made, and told when the fork is gone; it asks back
//! whether a fork lives that it has not heard of.
//!
//! A source forgets a claim only for a fork that is gone for good, with everything below it: a
//! fork that others keep lives, and one whose time is over has ended before it answers.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::Object;
use super::ports::Ports;
use crate::machine::Peer;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::reply::{Created, Reply};
use crate::protocol::request::{Create, Fork};
use crate::protocol::version::{self, SPOKEN, Stated};
use crate::stream::birth::Name;
use crate::stream::family::lend::{Claim, Loan};

/// A fork that is about to be made asks its source for what it starts with.
pub(super) const CLAIM: &str = "claim";
/// A fork that is gone tells its source.
pub(super) const RELEASE: &str = "release";
/// A source asks a fork whether it lives.
pub(super) const VERIFY: &str = "verify";

/// Whether a fork lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    Lives,
    /// It is being made.
    Pending,
    None,
}

/// Why a fork cannot be made.
pub(super) enum Refusal {
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

/// Which fork a question is about. Questions of version 1 have no version.
#[derive(Serialize, Deserialize)]
struct About {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Stated,
    path: String,
    incarnation: String,
}

impl<P: Ports> Object<P> {
    /// Makes this stream a fork, or finds that it is that fork already.
    ///
    /// # Errors
    ///
    /// Whatever this object or the source has against it; then there is no fork.
    pub(super) async fn fork(
        self: &Rc<Self>,
        create: &Create,
        fork: &Fork,
        body: &[u8],
        name: Name,
    ) -> Result<Created, Refusal> {
        let now = self.settle()?;
        let found = self.stream.borrow_mut().find(create, now)?;
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
        let outcome = self.fork_with(create, fork, &claim, body).await;
        self.pending.borrow_mut().retain(|other| *other != name);
        let is_refused = matches!(outcome, Err(Refusal::There(_)));
        if !is_refused && !self.may_be(&name) {
            // The source may have noted a claim.
            self.tell_source(fork.source.as_str().to_owned(), name);
        }
        outcome
    }

    async fn fork_with(
        self: &Rc<Self>,
        create: &Create,
        fork: &Fork,
        claim: &Claim,
        body: &[u8],
    ) -> Result<Created, Refusal> {
        let asked =
            self.ports
                .ask_in_time(Peer::Stream(fork.source.as_str()), CLAIM, claim.encode());
        let (status, answer) = asked.await?;
        if status != 200 {
            let mut reply = Reply::new(status)
                .with(header::CONTENT_TYPE, "application/json")
                .with(header::CACHE_CONTROL, "no-store");
            reply.body = answer;
            return Err(Refusal::There(reply));
        }
        let loan = Loan::decode(&answer)?;
        let now = self.settle()?;
        let key = self.key()?;
        let mut stream = self.stream.borrow_mut();
        let name = claim.fork.clone();
        Ok(stream.create(create, Some(&loan), body, name, key, now)?)
    }

    /// Whether this may be the stream of that name: it is, or nobody knows.
    fn may_be(&self, name: &Name) -> bool {
        let is_called = self.stream.borrow_mut().is_called(name);
        is_called.unwrap_or(true)
    }

    /// Hands over what a fork starts with.
    ///
    /// # Errors
    ///
    /// Whatever is to be said against the claim; [`Error::Storage`].
    pub(super) fn claimed(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let claim = Claim::decode(body)?;
        let loan = self.stream.borrow_mut().lend(&claim, now)?;
        // It has to be looked after, whatever becomes of the answer.
        self.work_behind();
        let mut reply = Reply::new(200);
        reply.body = loan.encode().ok_or(Error::Full)?;
        Ok(reply)
    }

    /// Hears that a fork is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Newer`], [`Error::Storage`].
    pub(super) fn released(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let fork = about(body)?;
        let end = self.stream.borrow_mut().release(&fork, now);
        match end {
            Ok(Some(end)) => self.ended(end),
            // What the fork has kept from being swept may go.
            Ok(None) => self.work_behind(),
            Err(error) => {
                // It may have been half of it.
                self.work_behind();
                return Err(error);
            }
        }
        Ok(Reply::new(204))
    }

    /// Says whether a fork lives.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::Newer`], [`Error::Storage`].
    pub(super) fn verified(&self, body: &[u8]) -> Result<Reply, Error> {
        let life = self.life_of(&about(body)?)?;
        let mut reply = Reply::new(200);
        reply.body = serde_json::json!(life).to_string().into_bytes();
        Ok(reply)
    }

    fn life_of(&self, fork: &Name) -> Result<Life, Error> {
        if self.pending.borrow().contains(fork) {
            return Ok(Life::Pending);
        }
        let lives = self.stream.borrow_mut().is_called(fork)?;
        Ok(if lives { Life::Lives } else { Life::None })
    }

    /// Tells a source that a fork is gone. Should it not hear of that, it will ask.
    pub(super) fn tell_source(self: &Rc<Self>, source: String, fork: Name) {
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            let question = question(fork);
            if let Err(error) = this
                .ports
                .ask_in_time(Peer::Stream(&source), RELEASE, question)
                .await
            {
                this.ports.log(format_args!(
                    "{source} was not told that a fork is gone: {error:?}"
                ));
            }
        });
    }

    /// Asks forks whether they live, those that it is time to ask.
    pub(super) async fn ask_forks(self: &Rc<Self>) {
        let mut armed = false;
        loop {
            let now = self.ports.now();
            let forks = self.stream.borrow_mut().doubtful_forks(now);
            let forks = match forks {
                Ok(forks) if forks.is_empty() => return,
                Ok(forks) => forks,
                Err(error) => return self.ports.log(format_args!("{error:?}")),
            };
            if !std::mem::replace(&mut armed, true) {
                self.arm();
            }
            for fork in forks {
                if let Err(error) = self.ask_fork(&fork).await {
                    // It is asked again with the next alarm.
                    return self.ports.log(format_args!("{}: {error:?}", fork.path));
                }
            }
        }
    }

    async fn ask_fork(self: &Rc<Self>, fork: &Name) -> Result<(), Error> {
        let asked =
            self.ports
                .ask_in_time(Peer::Stream(&fork.path), VERIFY, question(fork.clone()));
        let asked = asked.await;
        let life = match asked {
            Ok((200, body)) => parse(&body)?,
            // It will be asked again.
            _ => Life::Pending,
        };
        let now = self.settle()?;
        if life == Life::None {
            let end = self.stream.borrow_mut().release(fork, now)?;
            if let Some(end) = end {
                self.ended(end);
            }
            return Ok(());
        }
        let is_made = life == Life::Lives;
        self.stream.borrow_mut().settle(fork, is_made, now)
    }
}

fn question(fork: Name) -> String {
    let Name { path, incarnation } = fork;
    let v = Some(SPOKEN);
    let about = About {
        v,
        path,
        incarnation,
    };
    serde_json::json!(about).to_string()
}

fn about(body: &[u8]) -> Result<Name, Error> {
    let about: About = parse(body)?;
    version::check("a question between objects", about.v, SPOKEN)?;
    Ok(Name {
        path: about.path,
        incarnation: about.incarnation,
    })
}

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::invalid("the body", error.to_string()))
}
