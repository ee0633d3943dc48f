//! What objects ask each other: the way to them, and what this one answers.

use std::rc::Rc;

use super::Object;
use super::family::{CLAIM, RELEASE, VERIFY};
use super::ports::Ports;
use crate::protocol::ask::{self, COPY, ENROLL, EVENT, FEED, INSPECT, LINK, UNFEED, UNLINK};
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::path;
use crate::protocol::reply::Reply;
use crate::protocol::request::Append;
use crate::protocol::subscription_error::SubscriptionError;

/// The longest question to a stream's object but for copies, in bytes: most hold a path and little
/// else, a subscription's event a few paths.
const MAX_QUESTION: usize = 16_384;

/// What may come with the largest message of a copy, in bytes: what is said of it and of others that
/// come with it, and those.
const AROUND_COPIES: usize = 2 << 20;

impl<P: Ports> Object<P> {
    /// The longest body of the question with this path, in bytes. A copy may hold the largest message
    /// that there can be, as base64.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`].
    pub fn longest_question(&self, path: &str) -> Result<usize, Error> {
        if path.strip_prefix(path::ASKED) != Some(COPY) {
            return Ok(MAX_QUESTION);
        }
        let most = self.settings.max_append_bytes.clone()?;
        let encoded = most.div_ceil(3).saturating_mul(4);
        Ok(encoded.saturating_add(AROUND_COPIES))
    }

    /// Answers what another object asks; `question` is the end of the URL's path.
    ///
    /// # Errors
    ///
    /// Whatever is to be said against it; [`Error::Storage`].
    pub(super) async fn answer_question(
        self: &Rc<Self>,
        question: &str,
        body: &[u8],
    ) -> Result<Reply, Error> {
        let now = self.settle()?;
        match question {
            CLAIM => self.claimed(body, now),
            RELEASE => self.released(body, now),
            VERIFY => self.verified(body),
            LINK => self.linked(body),
            UNLINK => self.unlinked(body),
            FEED => self.fed(body, now),
            UNFEED => self.unfed(body, now),
            COPY => self.copied(body, now),
            EVENT => self.happened(body, now),
            ENROLL => self.enrolled().await,
            INSPECT => self.inspected(body, now),
            _ => Err(Error::UnknownRoute),
        }
    }

    /// A subscription wants to be told of what is appended.
    fn linked(self: &Rc<Self>, body: &[u8]) -> Result<Reply, Error> {
        let asked: ask::Link = ask::hear(body)?;
        self.before_link();
        let (tail, link, interest) = {
            let mut stream = self.stream.borrow_mut();
            let linked = stream.link(&asked.subscription, asked.interest);
            // It may be in storage though that has failed.
            let (tail, link) = linked.inspect_err(|_| self.tell.forget())?;
            (tail, link, stream.admitted(asked.interest))
        };
        let tell = &self.tell;
        tell.linked(&asked.subscription, interest, link, tail.tail);
        if interest.is_in_content() && tail.life.is_some() {
            self.tell_copying(&asked.subscription, asked.history);
        }
        Ok(said(&tail))
    }

    /// A subscription does not any more.
    fn unlinked(self: &Rc<Self>, body: &[u8]) -> Result<Reply, Error> {
        let asked: ask::Link = ask::hear(body)?;
        if self.stream.borrow_mut().unlink(&asked.subscription, None)? {
            self.tell.unlinked(&asked.subscription);
        }
        // It may have been all that was here.
        self.work_behind();
        Ok(Reply::new(204))
    }

    /// Appends what the server itself has to say. No subscription is told of that, or subscriptions
    /// could wake each other for ever.
    fn happened(self: &Rc<Self>, body: &[u8], now: u64) -> Result<Reply, Error> {
        let event: ask::Event = ask::hear(body)?;
        let append = Append {
            content_type: ContentType::parse("application/json"),
            close: false,
            producer: None,
            seq: None,
            if_match: None,
        };
        // In an array, so that it is one message also if it is one itself.
        let message = format!("[{}]", event.message);
        let appended = {
            let mut stream = self.stream.borrow_mut();
            stream.append(&append, message.as_bytes(), now)
        };
        let appended = appended.map_err(as_if_never_there)?;
        self.note(&appended);
        self.after_append();
        Ok(Reply::new(204))
    }

    /// Somebody looks at the stream, which is no use of it.
    fn inspected(&self, body: &[u8], now: u64) -> Result<Reply, Error> {
        let asked: ask::Inspect = ask::hear(body)?;
        let described = self.stream.borrow_mut().describe(&asked, now);
        match described {
            Ok(description) => {
                let mut reply = Reply::new(200).with(header::CONTENT_TYPE, "application/json");
                reply.body = description.encode();
                Ok(reply)
            }
            Err(Error::NotFound | Error::Gone) => Ok(Reply::new(204)),
            Err(error) => Err(error),
        }
    }

    /// The directory may have lost the stream.
    async fn enrolled(self: &Rc<Self>) -> Result<Reply, Error> {
        if self.settings.shards.clone()?.is_none() {
            return Err(SubscriptionError::DirectoryOff.into());
        }
        self.register_again().await?;
        Ok(Reply::new(204))
    }
}

/// Whoever asks about a stream that is kept for its forks alone has none.
fn as_if_never_there(error: Error) -> Error {
    match error {
        Error::Gone => Error::NotFound,
        error => error,
    }
}

pub(super) fn said(answer: &impl serde::Serialize) -> Reply {
    let mut reply = Reply::new(200).with(header::CONTENT_TYPE, "application/json");
    reply.body = ask::say(answer).into_bytes();
    reply
}
