//! From what sources tell to what the target takes. Parts of sources wait in memory and are sent
//! together, one question at a time; sources hear only then, and tell again what was lost on the way.
//! So nothing is stored for a message.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::Subscription;
use super::envelope::{self, Piece};
use super::positions::Positions;
use super::sources::{CLOSED, Destination, Heard};
use super::waiting::{Answering, Waiting};
use crate::directory::shard_of;
use crate::machine::{Peer, Posts, Signs};
use crate::protocol::ask::{
    self, COPY, Copied, Copy, CopyPart, Copying, FEED, Fed, Interest, Kept, Life, Slice, Told,
};
use crate::protocol::error::Error;
use crate::protocol::subscription_error::SubscriptionError;

/// So much is sent at once, in bytes, if one part alone is not longer.
const MOST: usize = 512 << 10;
/// What a part takes besides its path and its content, in bytes.
const PART: usize = 256;
/// Nothing is sent before so much time has passed since it was before, in milliseconds.
const PERIOD: u64 = 50;
/// How long the target may take, in milliseconds.
const PATIENCE: u64 = 10_000;
/// How long it may take while a client waits who could do without, in milliseconds.
const SHORT_PATIENCE: u64 = 2_000;
/// So much waits at the most, in bytes: sources hold back what is more for a while.
const MOST_WAITING: usize = 8 << 20;
/// For how long, in milliseconds; and up to twice as long.
const HOLD_BACK: u64 = 1_000;

/// What waits, and what is known of what was sent.
#[derive(Debug, Default)]
pub(super) struct Pump {
    queue: RefCell<VecDeque<Part>>,
    /// How much that is, in bytes.
    waiting: Cell<usize>,
    is_on: Cell<bool>,
    /// When something was sent last.
    sent_at: Cell<u64>,
    /// How often that has failed in a row.
    failures: Cell<u32>,
    /// How often somebody asks a stream to be the target at this moment.
    pub feeding: Cell<u32>,
    pub positions: RefCell<Positions>,
}

/// A part of a source that is to be copied.
#[derive(Debug)]
struct Part {
    /// By which subscription.
    of: Life,
    path: String,
    life: Life,
    tail: u64,
    piece: Piece,
    answer: Answering<Answer>,
}

/// What its source is told: how far the copy is; nothing if it is not copied any more.
type Answer = Result<Option<Copying>, Error>;

impl Part {
    fn size(&self) -> usize {
        let Self { path, piece, .. } = self;
        let size = path.len().saturating_add(piece.content.len());
        size.saturating_add(PART)
    }
}

impl Pump {
    /// How often it has failed in a row to send anything.
    pub fn failures(&self) -> u32 {
        self.failures.get()
    }

    fn push(&self, part: Part) {
        self.waiting
            .set(self.waiting.get().saturating_add(part.size()));
        self.queue.borrow_mut().push_back(part);
    }

    /// The next part, if it goes with what is sent already.
    fn pop(&self, sent: usize) -> Option<Part> {
        let mut queue = self.queue.borrow_mut();
        let size = queue.front()?.size();
        if sent > 0 && sent.saturating_add(size) > MOST {
            return None;
        }
        self.waiting.set(self.waiting.get().saturating_sub(size));
        queue.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }
}

impl<P: Signs + Posts> Subscription<P> {
    /// Takes what a stream tells, with what comes behind it, and what the stream is to know then.
    pub(super) async fn hear(self: &Rc<Self>, told: &Told, content: &[u8]) -> Result<Kept, Error> {
        let heard = self.core.borrow_mut().told(told, self.ports.now())?;
        let (of, path, since, interest) = match heard {
            Heard::Kept(kept) => {
                self.is_not_copied(&told.name)?;
                return Ok(kept);
            }
            Heard::Over(life) => {
                self.end(&life)?;
                return Ok(Kept::is(false));
            }
            Heard::Source {
                life,
                path,
                since,
                interest,
            } => (life, path, since, interest),
        };
        let known = self
            .pump
            .positions
            .borrow()
            .at(&of, &path, &told.life.incarnation);
        let slice = told.source.as_ref().and_then(|source| source.slice);
        let slice = match (slice, known) {
            (Some(slice), _) => slice,
            (None, Some(at)) => return Ok(copying(interest, Copying { at, pause: 0 })),
            (None, None) if told.tail <= since => {
                let at = since;
                return Ok(copying(interest, Copying { at, pause: 0 }));
            }
            // The target alone knows: it is sent what goes nowhere.
            (None, None) => Slice {
                behind: since,
                from: since,
                to: since,
                base64: false,
            },
        };
        if self.pump.waiting.get() >= MOST_WAITING {
            let more = self.ports.random().checked_rem(HOLD_BACK).unwrap_or(0);
            let held_back = Copying {
                at: known.unwrap_or(slice.behind),
                pause: HOLD_BACK.saturating_add(more),
            };
            return Ok(copying(interest, held_back));
        }
        let waiting = self.queue(of, path, told, &slice, content)?;
        self.pump();
        Ok(match waiting.await? {
            Some(position) => copying(interest, position),
            None => Kept::is(false),
        })
    }

    /// A stream is not copied, or not any more: nothing is left of it, and nothing fails if it was the
    /// last that did.
    fn is_not_copied(&self, name: &str) -> Result<(), Error> {
        let mut core = self.core.borrow_mut();
        let Ok((_, present)) = core.present() else {
            return Ok(());
        };
        let record = &present.record;
        if record.config.delivery.copying().is_none() {
            return Ok(());
        }
        let life = record.life.clone();
        let mut positions = self.pump.positions.borrow_mut();
        if let Some(path) = record.root.path_of(name) {
            positions.forget(path);
        }
        match self.pump.is_on.get() || positions.lag(&life).0 > 0 {
            true => Ok(()),
            false => core.copying_works(&life, self.ports.now()),
        }
    }

    /// Has a slice copied. What comes of its end can be waited for.
    fn queue(
        &self,
        of: Life,
        path: String,
        told: &Told,
        slice: &Slice,
        content: &[u8],
    ) -> Result<Waiting<Answer>, Error> {
        let malformed = || Error::invalid("the body", "does not hold the slice that it tells of");
        let content = std::str::from_utf8(content).map_err(|_| malformed())?;
        let copying = self.core.borrow_mut().copying()?;
        let pieces = match copying.is_some_and(|copying| copying.envelope) {
            true => envelope::wrap(&path, slice, content),
            false => envelope::plain(slice, content.to_owned()),
        };
        let mut last = None;
        for piece in pieces.ok_or_else(malformed)? {
            let (answer, waiting) = super::waiting::pair();
            last = Some(waiting);
            self.pump.push(Part {
                of: of.clone(),
                path: path.clone(),
                life: told.life.clone(),
                tail: told.tail,
                piece,
                answer,
            });
        }
        last.ok_or_else(malformed)
    }

    /// Sends what waits, unless that is under way. It begins in this turn.
    fn pump(self: &Rc<Self>) {
        if self.pump.is_on.replace(true) {
            return;
        }
        let this = Rc::clone(self);
        self.ports.spawn(async move {
            while !this.pump.is_empty() {
                this.keep_pace().await;
                this.send_some().await;
            }
            this.pump.is_on.set(false);
            // The subscription may be over by it.
            this.follow();
            this.arm_surely().await;
        });
    }

    /// Waits until something may be sent again. Where nothing was for a while, it may at once.
    async fn keep_pace(&self) {
        let now = self.ports.now();
        let next = self.pump.sent_at.get().saturating_add(PERIOD);
        if next > now {
            self.ports.sleep(next.saturating_sub(now).min(PERIOD)).await;
        }
    }

    /// Sends as much as goes at once, and tells those who wait what came of it.
    async fn send_some(&self) {
        let (parts, sinces) = self.next_parts();
        let Some(of) = parts.first().map(|part| part.of.clone()) else {
            return;
        };
        self.pump.sent_at.set(self.ports.now());
        let outcome = self.send(&parts, &sinces).await;
        let name = outcome.as_ref().map_or_else(Error::code, |_| "ok");
        let count = u64::try_from(parts.len()).unwrap_or(u64::MAX);
        let bytes = parts.iter().map(|part| part.piece.content.len()).sum();
        let noted = self.note(&of, &outcome);
        self.measure("copy", name, count, bytes);
        match (outcome, noted) {
            (Ok(Some((at, pause))), Ok(())) => {
                for (part, at) in parts.into_iter().zip(at) {
                    let Part { path, life, .. } = &part;
                    // One that is over by now has nothing left.
                    let since = self.core.borrow_mut().since(&of, path, life);
                    if let Ok(Some(_)) = since {
                        let mut positions = self.pump.positions.borrow_mut();
                        positions.note(&of, path, &life.incarnation, at, part.tail);
                    }
                    part.answer.give(Ok(Some(Copying { at, pause })));
                }
            }
            (Ok(None), Ok(())) => {
                for part in parts {
                    part.answer.give(Ok(None));
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                self.complain(&error);
                for part in parts {
                    // What has come of it is not known.
                    self.pump.positions.borrow_mut().forget(&part.path);
                    part.answer.give(Err(error.clone()));
                }
            }
        }
    }

    /// What is sent now: parts of sources that are still copied, all of one subscription, and where its
    /// interest in each of them starts. All others are told so.
    fn next_parts(&self) -> (Vec<Part>, Vec<u64>) {
        let (mut parts, mut sinces, mut sent) = (Vec::new(), Vec::new(), 0usize);
        while let Some(part) = self.pump.pop(sent) {
            let since = self
                .core
                .borrow_mut()
                .since(&part.of, &part.path, &part.life);
            match since {
                Ok(Some(since)) => {
                    sent = sent.saturating_add(part.size());
                    sinces.push(since);
                    parts.push(part);
                }
                Ok(None) => part.answer.give(Ok(None)),
                Err(error) => part.answer.give(Err(error)),
            }
        }
        (parts, sinces)
    }

    /// Sends parts. Gives how far each of their sources is then, and for how long nothing is to be sent;
    /// nothing if this is the end of copying.
    async fn send(&self, parts: &[Part], sinces: &[u64]) -> Result<Option<(Vec<u64>, u64)>, Error> {
        let destination = self.core.borrow_mut().destination()?;
        let Some(destination) = destination else {
            return Ok(None);
        };
        let said = parts.iter().zip(sinces).map(|(part, since)| CopyPart {
            path: part.path.clone(),
            life: part.life.clone(),
            since: *since,
            behind: part.piece.behind,
            to: part.piece.to,
            length: part.piece.content.len(),
            base64: part.piece.base64,
        });
        let mut question = question(&destination, said.collect());
        for part in parts {
            question.push_str(&part.piece.content);
        }
        let copied = self.ask_copy(&destination, question, PATIENCE).await?;
        match copied {
            Copied::Yes { at, pause } if at.len() == parts.len() => Ok(Some((at, pause))),
            Copied::Yes { .. } => Err(Error::Unavailable("a target answers too little".into())),
            Copied::Gone => self.end(&destination.life).map(|()| None),
            Copied::Closed => self.close(&destination.life).map(|()| None),
            Copied::NotFed => self.feed_again(&destination).await.map(|()| None),
        }
    }

    async fn ask_copy(
        &self,
        destination: &Destination,
        question: String,
        patience: u64,
    ) -> Result<Copied, Error> {
        let peer = Peer::Stream(&destination.target);
        let asked = self.ports.ask_within(patience, peer, COPY, question);
        ask::answered(&asked.await?)
    }

    /// The target knows nothing of the subscription. It may have lost that alone: then sources tell
    /// again.
    async fn feed_again(&self, destination: &Destination) -> Result<(), Error> {
        let life = &destination.life;
        // It may have been deleted meanwhile, and then the target does right.
        let (target, feed) = {
            let mut core = self.core.borrow_mut();
            let (_, present) = core.present()?;
            present.record.feeding()?
        };
        if feed.life != *life {
            let what = "a subscription was made anew".to_owned();
            return Err(Error::Unavailable(what));
        }
        match self.feed(&target, ask::say(&feed)).await? {
            Fed::Yes { life, .. } if life == destination.target_life => {
                let what = "the target had lost its link".to_owned();
                Err(Error::Unavailable(what))
            }
            Fed::Closed => self.close(life),
            Fed::Yes { .. } | Fed::Absent | Fed::IsSource => self.end(life),
        }
    }

    /// Asks a stream to be the target.
    pub(super) async fn feed(&self, target: &str, question: String) -> Result<Fed, Error> {
        let feeding = &self.pump.feeding;
        feeding.set(feeding.get().saturating_add(1));
        let asked = self.ports.ask_in_time(Peer::Stream(target), FEED, question);
        let answer = asked.await;
        feeding.set(feeding.get().saturating_sub(1));
        ask::answered(&answer?)
    }

    /// Takes note of whether copying works: a row when it begins to fail, and one when it works again.
    fn note(
        &self,
        of: &Life,
        outcome: &Result<Option<(Vec<u64>, u64)>, Error>,
    ) -> Result<(), Error> {
        let mut core = self.core.borrow_mut();
        let Err(error) = outcome else {
            self.pump.failures.set(0);
            return core.copying_works(of, self.ports.now());
        };
        let failures = self.pump.failures.get().saturating_add(1);
        self.pump.failures.set(failures);
        let what = error
            .detail()
            .map_or_else(|| error.to_string(), str::to_owned);
        core.copying_fails(of, &what, self.ports.now())
    }

    /// Deletes a subscription whose target is gone. What it leaves is seen to afterwards.
    pub(super) fn end(&self, life: &Life) -> Result<(), Error> {
        self.core.borrow_mut().end(life, shard_of)?;
        self.leaving.hurry();
        Ok(())
    }

    fn close(&self, life: &Life) -> Result<(), Error> {
        self.core.borrow_mut().park(life, CLOSED, self.ports.now())
    }

    /// Asks the target how far the copies of those of the streams are of which that is not known. Who does
    /// not get an answer shows what is known.
    pub(super) async fn ask_positions(&self, paths: &[String]) -> Result<(), Error> {
        let (parts, destination) = {
            let mut core = self.core.borrow_mut();
            (core.questions(paths)?, core.destination()?)
        };
        let Some(destination) = destination else {
            return Ok(());
        };
        let of = &destination.life;
        let is_unknown = |part: &CopyPart| {
            let positions = self.pump.positions.borrow();
            positions
                .at(of, &part.path, &part.life.incarnation)
                .is_none()
        };
        let parts: Vec<CopyPart> = parts.into_iter().filter(is_unknown).collect();
        if parts.is_empty() {
            return Ok(());
        }
        let question = question(&destination, parts.clone());
        let copied = self.ask_copy(&destination, question, SHORT_PATIENCE).await;
        match copied {
            Ok(Copied::Yes { at, .. }) => {
                let mut positions = self.pump.positions.borrow_mut();
                for (part, at) in parts.iter().zip(at) {
                    let incarnation = &part.life.incarnation;
                    // What was copied meanwhile is known by now, and is further.
                    if positions.at(of, &part.path, incarnation).is_none() {
                        positions.note(of, &part.path, incarnation, at, at);
                    }
                }
            }
            Ok(_) => {}
            Err(error) => self.complain(&error),
        }
        Ok(())
    }

    /// Takes note that a subscription cannot be what somebody wants. Where somebody waits for it, it is
    /// deleted, and who waits is told why; otherwise that is to be read of it.
    pub(super) fn refuse(&self, life: &Life, error: SubscriptionError) -> Result<(), Error> {
        if self.creating.get() == 0 {
            let why = error.to_string();
            return self.core.borrow_mut().park(life, &why, self.ports.now());
        }
        self.end(life)?;
        *self.refusal.borrow_mut() = Some((life.clone(), error));
        Ok(())
    }
}

/// What the target is asked, but for the content of the parts.
fn question(destination: &Destination, parts: Vec<CopyPart>) -> String {
    let message = Copy {
        subscription: destination.subscription.clone(),
        life: destination.life.clone(),
        target: destination.target_life.clone(),
        parts,
    };
    ask::with(&message, "")
}

fn copying(interest: Interest, position: Copying) -> Kept {
    Kept {
        keep: true,
        interest: Some(interest),
        copying: Some(position),
    }
}
