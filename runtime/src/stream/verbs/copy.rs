//! Copies of other streams, of which this one is the target: which subscriptions bring them, and how
//! they are appended. What is judged, appended and noted of a copy is one batch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::append::Body;
use crate::protocol::ask::{Copied, Copy, CopyPart, Fed, OfSubscription};
use crate::protocol::error::Error;
use crate::protocol::reply::Appended;
use crate::stream::copied::{self, Feeder, Feeders, Verdict};
use crate::stream::storage::Storage;
use crate::stream::will::Silence;
use crate::stream::{Cache, Stream};

/// What came of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The answer, which asks for no pause.
    pub answer: Copied,
    /// What was appended, if anything was.
    pub appended: Option<Appended>,
}

impl Outcome {
    fn only(answer: Copied) -> Self {
        Self {
            answer,
            appended: None,
        }
    }
}

impl<S: Storage> Stream<S> {
    /// Makes the stream the target of a subscription's copies, unless it is that already. Nobody
    /// copies the stream any more then. Of two subscriptions of a name the younger one counts; for
    /// the other one there is no stream.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn feed(&mut self, feed: &OfSubscription, now: u64) -> Result<Fed, Error> {
        self.turn(|stream| {
            let Some(mut feeders) = stream.take_feeders(now)? else {
                return Ok(Fed::Absent);
            };
            let is_source = stream.is_named_source();
            let Some((_, _, present)) = stream.if_present(now)? else {
                return Ok(Fed::Absent);
            };
            let yes = Fed::Yes {
                life: present.life(),
                content_type: present.birth.content_type.as_str().to_owned(),
            };
            let refusal = match feeders.find(&feed.subscription) {
                _ if present.state.closed => Some(Fed::Closed),
                _ if is_source => Some(Fed::IsSource),
                Some(known) if known.life.is_after(&feed.life) => Some(Fed::Absent),
                Some(known) if known.life == feed.life => {
                    stream.link_target(&feed.subscription, &[])?;
                    Some(yes.clone())
                }
                _ => None,
            };
            if let Some(refusal) = refusal {
                stream.keep_feeders(feeders);
                return Ok(refusal);
            }
            let rows = feeders.remove(&feed.subscription);
            feeders.put(&feed.subscription, &feed.life);
            let changed = feeders.changed();
            let mut batch: Vec<_> = copied::delete(&rows).collect();
            batch.extend(copied::put(&changed));
            stream.link_target(&feed.subscription, &batch)?;
            drop(batch);
            stream.keep_feeders(feeders);
            Ok(yes)
        })
    }

    /// Forgets a subscription that copies into the stream, or any older one of its name, with all that
    /// is known of its copies. Says whether it is not told of the stream's end any more.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], [`Error::Newer`].
    pub fn unfeed(&mut self, unfeed: &OfSubscription, now: u64) -> Result<bool, Error> {
        self.turn(|stream| {
            let Some(mut feeders) = stream.take_feeders(now)? else {
                return Ok(stream.unlink_target(&unfeed.subscription, &[])?);
            };
            let known = feeders.find(&unfeed.subscription);
            if known.is_some_and(|known| known.life.is_after(&unfeed.life)) {
                stream.keep_feeders(feeders);
                return Ok(false);
            }
            let rows = feeders.remove(&unfeed.subscription);
            let batch: Vec<_> = copied::delete(&rows).collect();
            let is_unlinked = stream.unlink_target(&unfeed.subscription, &batch)?;
            stream.keep_feeders(feeders);
            Ok(is_unlinked)
        })
    }

    /// Appends what is new of the parts of a copy, whose content follows each other in `content`, and
    /// notes how far the sources are copied. That is no access: a stream that nobody uses ends
    /// although copies come.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for content that is not what the parts say, or not of the stream's kind,
    /// [`Error::Full`], [`Error::Storage`], [`Error::Newer`]; nothing has changed then.
    pub fn copy(&mut self, copy: &Copy, content: &[u8], now: u64) -> Result<Outcome, Error> {
        self.turn(|stream| {
            let Some(mut feeders) = stream.take_feeders(now)? else {
                return Ok(Outcome::only(Copied::Gone));
            };
            let Some((storage, limits, present)) = stream.if_present(now)? else {
                return Ok(Outcome::only(Copied::Gone));
            };
            let feeder = feeders.find(&copy.subscription);
            let feeder = feeder.filter(|feeder| feeder.life == copy.life);
            let refusal = match &feeder {
                _ if present.life() != copy.target => Some(Copied::Gone),
                None => Some(Copied::NotFed),
                _ if present.state.closed => Some(Copied::Closed),
                _ => None,
            };
            let Some(feeder) = feeder.filter(|_| refusal.is_none()) else {
                stream.keep_feeders(feeders);
                return Ok(Outcome::only(refusal.unwrap_or(Copied::NotFed)));
            };
            let (at, taken) = judge(feeder, &copy.parts, content)?;
            let changed = feeders.changed();
            if changed.is_empty() {
                stream.keep_feeders(feeders);
                return Ok(Outcome::only(Copied::Yes { at, pause: 0 }));
            }
            let text = match present.birth.content_type.is_json() {
                true => messages(&taken)?,
                false => bytes(&taken)?,
            };
            let body = Body::parse(&text, &present.birth.content_type)?;
            let seq = present.tail.seq.clone();
            let heard = present.heard(now);
            let plan = body.plan(&present.tail, seq, limits)?.at(heard);
            let mut batch: Vec<_> = plan.statements().collect();
            batch.extend(copied::put(&changed));
            storage.write(&batch)?;
            drop(batch);
            let count = body.appended(present, plan.tail);
            if count > 0 {
                present.silence = heard.map(Silence::Since);
            }
            let appended = Appended {
                tail: present.tail.offset,
                closed: false,
                producer: None,
                is_new_data: true,
                count,
            };
            stream.keep_feeders(feeders);
            Ok(Outcome {
                answer: Copied::Yes { at, pause: 0 },
                appended: (count > 0).then_some(appended),
            })
        })
    }

    /// Takes out what is known of copies into the stream, if there is one. Who does not give it
    /// [back](Self::keep_feeders) has it read anew.
    fn take_feeders(&mut self, now: u64) -> Result<Option<Feeders>, Error> {
        let Some((storage, _, present)) = self.if_present(now)? else {
            return Ok(None);
        };
        Ok(Some(match present.feeders.take() {
            Some(feeders) => *feeders,
            None => Feeders::load(storage)?,
        }))
    }

    fn keep_feeders(&mut self, feeders: Feeders) {
        if let Cache::Present(present) = &mut self.cache {
            present.feeders = Some(Box::new(feeders));
        }
    }
}

/// A part that is taken, and its content.
type Taken<'a> = (&'a CopyPart, &'a [u8]);

/// Where the source of each part is then, and the parts that are to be appended.
fn judge<'a>(
    feeder: &mut Feeder,
    parts: &'a [CopyPart],
    content: &'a [u8],
) -> Result<(Vec<u64>, Vec<Taken<'a>>), Error> {
    let malformed = || Error::invalid("the body", "must hold what its parts say, and no more");
    let mut at = Vec::with_capacity(parts.len());
    let mut taken = Vec::new();
    let mut rest = content;
    for part in parts {
        let piece;
        (piece, rest) = rest.split_at_checked(part.length).ok_or_else(malformed)?;
        at.push(match feeder.judge(part) {
            Verdict::At(at) => at,
            Verdict::Taken(at) => {
                taken.push((part, piece));
                at
            }
        });
    }
    match rest.is_empty() {
        true => Ok((at, taken)),
        false => Err(malformed()),
    }
}

/// The JSON array of the messages of some parts; nothing if there is none.
fn messages(taken: &[Taken<'_>]) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    for (part, piece) in taken {
        if piece.is_empty() {
            continue;
        }
        let lines = piece.strip_suffix(b"\n").filter(|_| !part.base64);
        let lines = lines.ok_or_else(|| {
            let rule = "must hold lines that are ended, as the stream is JSON";
            Error::invalid("the body", rule)
        })?;
        text.push(if text.is_empty() { b'[' } else { b',' });
        let commas = lines.iter().map(|byte| match byte {
            b'\n' => b',',
            byte => *byte,
        });
        text.extend(commas);
    }
    if !text.is_empty() {
        text.push(b']');
    }
    Ok(text)
}

/// The bytes of some parts.
fn bytes(taken: &[Taken<'_>]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for (part, piece) in taken {
        let is_decoded = part.base64 && STANDARD.decode_vec(piece, &mut bytes).is_ok();
        if !is_decoded && !piece.is_empty() {
            return Err(Error::invalid(
                "the body",
                "must hold base64, as the stream is not JSON",
            ));
        }
    }
    Ok(bytes)
}
