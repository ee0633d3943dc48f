//! POST: append, close, or both (sections 5.2 and 5.3).

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::protocol::condition::Condition;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::json;
use crate::protocol::producer::{Accepted, Verdict};
use crate::protocol::reply::Appended;
use crate::protocol::request::Append;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::birth::Key;
use crate::stream::log::chunk::{Data, Plan, RowLimits, Tail};
use crate::stream::log::producers::{self, Bucket, Place};
use crate::stream::state::{self, ClosedBy, State};
use crate::stream::storage::{Param, Storage, StorageError};
use crate::stream::will::Silence;

impl<S: Storage> Stream<S> {
    /// Appends `body` and closes the stream if the request says so.
    ///
    /// Refusals come in the order the protocol gives: closed, content type, producer, `Stream-Seq`,
    /// with `If-Match` before the last. So whoever repeats a request that was accepted is told
    /// that it was, and not that somebody was faster.
    ///
    /// # Errors
    ///
    /// Any refusal of section 5.2, [`Error::Overtaken`], [`Error::Full`], [`Error::Storage`]; nothing has changed then.
    pub fn append(&mut self, request: &Append, body: &[u8], now: u64) -> Result<Appended, Error> {
        self.turn(|stream| {
            stream.access(now)?;
            let (storage, limits, present) = stream.present(now)?;
            if present.state.closed {
                return already_closed(present, request);
            }
            let body = match &request.content_type {
                Some(sent) => typed_body(present, sent, body)?,
                None => Body::nothing(),
            };
            let mut producer = None;
            if let Some(claim) = &request.producer {
                let key = present.birth.key;
                let place = Place::of(&claim.id, key);
                let mut bucket = load_bucket(storage, place, key, now)?;
                if let Verdict::Duplicate(accepted) = bucket.judge(place, claim, now)? {
                    return Ok(duplicate(present, accepted));
                }
                bucket.accept(place, claim, now);
                producer = Some((place.row, bucket.encode()));
            }
            not_overtaken(present, request.if_match.as_ref())?;
            let seq = next_seq(&present.tail, request)?;
            let heard = present.heard(now);
            let plan = body.plan(&present.tail, seq, limits)?.at(heard);
            let state = request.close.then(|| closed_state(&present.state, request));
            commit(storage, &plan, producer.as_ref(), state.as_ref())?;

            let count = body.appended(present, plan.tail);
            present.silence = heard.map(Silence::Since);
            if let Some(state) = state {
                present.state = state;
            }
            Ok(Appended {
                tail: present.tail.offset,
                closed: present.state.closed,
                producer: request.producer.as_ref().map(|claim| Accepted {
                    epoch: claim.epoch,
                    seq: claim.seq,
                }),
                is_new_data: request.content_type.is_some(),
                count,
            })
        })
    }
}

/// A body that has been checked against its stream's content type.
pub(in crate::stream) struct Body<'a> {
    text: Cow<'a, [u8]>,
    count: u64,
    is_json: bool,
}

impl<'a> Body<'a> {
    pub(in crate::stream) fn parse(
        body: &'a [u8],
        content_type: &ContentType,
    ) -> Result<Self, Error> {
        if body.is_empty() {
            return Ok(Self::nothing());
        }
        if !content_type.is_json() {
            let count = u64::try_from(body.len()).map_err(|_| Error::Full)?;
            return Ok(Self {
                text: Cow::Borrowed(body),
                count,
                is_json: false,
            });
        }
        let batch = json::parse(body)?;
        Ok(Self {
            text: Cow::Owned(batch.text),
            count: batch.count,
            is_json: true,
        })
    }

    fn nothing() -> Self {
        Self {
            text: Cow::Borrowed(&[]),
            count: 0,
            is_json: false,
        }
    }

    pub(in crate::stream) fn plan(
        &self,
        tail: &Tail,
        seq: Option<String>,
        limits: RowLimits,
    ) -> Result<Plan<'_>, Error> {
        if self.count == 0 {
            return Ok(Plan::nothing(tail, seq));
        }
        let data = Data {
            body: &self.text,
            count: self.count,
            is_json: self.is_json,
        };
        Plan::new(tail, data, seq, limits).ok_or(Error::Full)
    }

    /// Takes note that it was appended, which has led to this tail. Says how many positions it takes.
    pub(in crate::stream) fn appended(&self, present: &mut Present, tail: Tail) -> u64 {
        let before = present.tail.offset;
        let count = tail.offset.since(before);
        let text = &self.text;
        present.latest.add(before, tail.offset, text, self.is_json);
        present.tail = tail;
        if let Some(hot) = &mut present.hot {
            hot.add(count, text.len(), self.is_json);
        }
        count
    }
}

fn typed_body<'a>(
    present: &Present,
    sent: &ContentType,
    body: &'a [u8],
) -> Result<Body<'a>, Error> {
    let stream = &present.birth.content_type;
    if !stream.matches(sent) {
        return Err(Error::ContentTypeMismatch {
            stream: stream.as_str().to_owned(),
        });
    }
    let body = Body::parse(body, stream)?;
    if body.count == 0 {
        return Err(Error::invalid("the body", "must not be an empty array"));
    }
    Ok(body)
}

/// Refuses a request that counts only at another tail.
pub(in crate::stream) fn not_overtaken(
    present: &Present,
    if_match: Option<&Condition>,
) -> Result<(), Error> {
    let tail = present.tail.offset;
    match if_match {
        Some(condition) if !condition.holds(tail) => Err(Error::Overtaken {
            tail,
            closed: present.state.closed,
        }),
        _ => Ok(()),
    }
}

/// A closed stream takes the request that closed it again, and a close without data and producer:
/// of producers, only the one who closed it did (section 5.2.1). A close does not move the tail,
/// so that `If-Match` holds when a close is repeated, too; where it does not, somebody else has
/// appended and closed.
fn already_closed(present: &Present, request: &Append) -> Result<Appended, Error> {
    let answer = |producer| Appended {
        tail: present.tail.offset,
        closed: true,
        producer,
        is_new_data: false,
        count: 0,
    };
    if let (Some(by), Some(claim)) = (&present.state.closed_by, &request.producer)
        && by.is(claim)
    {
        return Ok(answer(Some(Accepted {
            epoch: claim.epoch,
            seq: claim.seq,
        })));
    }
    if request.content_type.is_some() || request.producer.is_some() {
        return Err(Error::Closed {
            tail: present.tail.offset,
        });
    }
    not_overtaken(present, request.if_match.as_ref())?;
    Ok(answer(None))
}

fn duplicate(present: &Present, accepted: Accepted) -> Appended {
    Appended {
        tail: present.tail.offset,
        closed: present.state.closed,
        producer: Some(accepted),
        is_new_data: false,
        count: 0,
    }
}

fn load_bucket(
    storage: &impl Storage,
    place: Place,
    key: Option<Key>,
    now: u64,
) -> Result<Bucket, StorageError> {
    let mut bucket = Ok(Bucket::default());
    let id = Param::Integer(place.row);
    storage.query(producers::SELECT, &[id], &mut |row| {
        bucket = Bucket::decode(row.blob(0), key, now);
        ControlFlow::Break(())
    })?;
    bucket
}

/// What is the latest `Stream-Seq` after the request. Compared byte by byte (section 5.2); its
/// scope is the stream.
fn next_seq(tail: &Tail, request: &Append) -> Result<Option<String>, Error> {
    match (&tail.seq, &request.seq) {
        (Some(last), Some(seq)) if seq.as_bytes() <= last.as_bytes() => {
            Err(Error::SeqRegression { last: last.clone() })
        }
        (last, seq) => Ok(seq.as_ref().or(last.as_ref()).cloned()),
    }
}

fn closed_state(state: &State, request: &Append) -> State {
    let closed_by = request.producer.as_ref().map(ClosedBy::from);
    State {
        closed: true,
        closed_by,
        ..state.clone()
    }
}

fn commit(
    storage: &impl Storage,
    plan: &Plan<'_>,
    producer: Option<&(i64, Vec<u8>)>,
    state: Option<&State>,
) -> Result<(), StorageError> {
    let state = state.map(State::encode);
    let mut batch: Vec<_> = plan.statements().collect();
    if let Some((row, bucket)) = producer {
        batch.push(state::put(*row, bucket));
    }
    if let Some(state) = &state {
        batch.push(state::put(state::ROW_ID, state));
    }
    storage.write(&batch)
}
