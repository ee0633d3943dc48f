//! What the worker decides before and after a stream's object is asked: which stream a request is
//! for, who may do what, how live readers are served, and what an answer is put together from. It
//! decides over [`ports`]; the platform behind them is `cloudflare`'s.
//!
//! | file | what it knows |
//! |---|---|
//! | [`ports`] | what the edge needs of the world |
//! | [`settings`] | what the worker's variables mean for the edge |
//! | [`serve`] | from a request to its stream's object, and back to an answer |
//! | [`control`] | what is asked of a root: its subscriptions and its keys |
//! | [`copies`] | who may have streams copied |
//! | [`listing`] | what there is below a root: streams, subscriptions, what the bucket knows |
//! | [`inspect`] | one of these streams, and all that is known of it |
//! | [`present`] | answers as their clients may have them |
//! | [`cold`] | answers of which a part lies in the bucket |
//! | [`live`] | live reads: what their object is asked; long-polls |
//! | [`events`] | readers of events |
//! | [`room`] | how much may wait for all of them together |
//! | [`again`] | whether a live read may go on |
//!
//! What happens to most requests, an append or a read that its object answers alone, takes no
//! future that need not be, and has no time limit but the platform's own. Whatever else the edge
//! asks for, it waits for as long as [`patience`](crate::patience) says.

pub mod again;
pub mod cold;
pub mod control;
pub mod copies;
pub mod events;
pub mod inspect;
pub mod listing;
pub mod live;
pub mod ports;
pub mod present;
pub mod room;
pub mod serve;
pub mod settings;

pub use serve::Server;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use ports::Ports;

use crate::protocol::error::Error;
use crate::protocol::reply::Reply;

/// The answer to a request.
#[derive(Debug)]
pub enum Answer<Response, Later> {
    /// Here it is.
    Now(Response),
    /// Nothing remains to be done at the edge: whoever sends it waits for it by itself.
    Later(Later),
}

/// What a server over these ports answers.
pub type AnswerOf<P> = Answer<<P as Ports>::Response, <P as Ports>::Later>;

impl<Response, Later: IntoFuture<Output = Result<Response, Error>>> Answer<Response, Later> {
    /// The response, as soon as it is there.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub async fn response(self) -> Result<Response, Error> {
        match self {
            Self::Now(response) => Ok(response),
            Self::Later(later) => later.await,
        }
    }
}

/// The reply that refuses a request. `log` is told what happened inside the server.
pub fn refusal(error: &Error, log: impl FnOnce(fmt::Arguments<'_>)) -> Reply {
    if let Some(detail) = error.detail() {
        log(format_args!("{}: {detail}", error.code()));
    }
    Reply::refused(error)
}
