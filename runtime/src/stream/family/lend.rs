//! The source's side of a fork (section 4.2): what it hands over, and how long it keeps that.
//!
//! Segments are shared: the fork gets the index up to the fork point. What is not sealed yet, at
//! most about a segment, is copied. So a fork of a stream of any length costs little, and never
//! asks its source again.

use serde::{Deserialize, Serialize};

use super::claims;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::frame;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::stream::Cache;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::log::collect::Collector;
use crate::stream::storage::{Storage, StorageError};
use crate::stream::tier::segment::{self, Record, Segment};
use crate::stream::verbs::delete::End;

/// What a fork that is about to be made asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What the fork will be called.
    pub fork: Name,
    /// Its content type, if it insists on one.
    pub content_type: Option<String>,
    /// The fork offset as a position; `None` for the tail.
    pub offset: Option<u64>,
    /// How many messages or bytes further.
    pub sub_offset: u64,
}

/// What a fork starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loan {
    /// The source's content type.
    pub content_type: ContentType,
    /// The source's lifetime.
    pub expiry: Option<Expiry>,
    /// The fork offset.
    pub offset: Offset,
    /// Everything before this lies in segments.
    pub sealed: Offset,
    /// Where the fork begins to differ.
    pub end: Offset,
    /// The segments before `sealed`, all of them with an owner.
    pub segments: Vec<Segment>,
    /// What lies between `sealed` and `end`, as it is stored.
    pub rest: Vec<u8>,
}

/// How a [`Loan`] is written down, apart from the rest.
#[derive(Serialize, Deserialize)]
struct Head {
    content_type: String,
    ttl: Option<u64>,
    expires_at: Option<String>,
    offset: u64,
    sealed: u64,
    end: u64,
    /// Start, count and record.
    segments: Vec<(u64, u64, Record)>,
}

impl Loan {
    /// The loan in one piece; `None` when it is larger than any can be.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (ttl, expires_at) = Expiry::split(self.expiry.as_ref());
        let segments = self.segments.iter();
        let segments = segments.map(|s| (s.start.position(), s.count, s.record.clone()));
        let head = Head {
            content_type: self.content_type.as_str().to_owned(),
            ttl,
            expires_at,
            offset: self.offset.position(),
            sealed: self.sealed.position(),
            end: self.end.position(),
            segments: segments.collect(),
        };
        frame::join(&head, &self.rest)
    }

    /// Reads what [`Loan::encode`] made.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = frame::split::<Head>(bytes)?;
        let segment = |(start, count, record)| {
            Some(Segment {
                start: Offset::new(start)?,
                count,
                record,
                seq: None,
            })
        };
        Some(Self {
            content_type: ContentType::parse(&head.content_type)?,
            expiry: Expiry::join(head.ttl, head.expires_at)?,
            offset: Offset::new(head.offset)?,
            sealed: Offset::new(head.sealed)?,
            end: Offset::new(head.end)?,
            segments: head
                .segments
                .into_iter()
                .map(segment)
                .collect::<Option<_>>()?,
            rest: rest.to_vec(),
        })
    }
}

impl<S: Storage> Stream<S> {
    /// Hands over what a fork starts with, and notes its claim. Not an access.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`], [`Error::SourceGone`], [`Error::ContentTypeMismatch`],
    /// [`Error::Invalid`] for an offset beyond the tail, [`Error::Storage`]; then there is no
    /// claim.
    pub fn lend(&mut self, claim: &Claim, now: u64) -> Result<Loan, Error> {
        self.turn(|stream| {
            let (storage, _, present) = stream.present(now).map_err(|error| match error {
                Error::NotFound => Error::NoSource,
                Error::Gone => Error::SourceGone,
                error => error,
            })?;
            let loan = loan(storage, present, claim)?;
            storage.write(&claims::make(&claim.fork, now))?;
            Ok(loan)
        })
    }

    /// Takes back the claim of a fork that is gone or never was made. When nothing else has kept
    /// the stream, it goes, too; `None` when it does not.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn release(&mut self, fork: &Name, now: u64) -> Result<Option<End>, Error> {
        self.turn(|stream| {
            claims::forget(&stream.storage, fork)?;
            stream.load()?;
            match &stream.cache {
                Cache::Present(present) if present.state.deleted => {}
                _ => return Ok(None),
            }
            if claims::any(&stream.storage)? {
                return Ok(None);
            }
            stream.remove(now).map(Some)
        })
    }

    /// The forks that are to be asked whether they live; what they say goes to
    /// [`Stream::settle`] or [`Stream::release`].
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn doubtful_forks(&mut self, now: u64) -> Result<Vec<Name>, Error> {
        Ok(claims::doubtful(&self.storage, now)?)
    }

    /// Notes that a fork lives, or, when it is not `made` yet, that it is to be asked again soon.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn settle(&mut self, fork: &Name, made: bool, now: u64) -> Result<(), Error> {
        self.turn(|stream| {
            stream.load()?;
            let is_deleted =
                matches!(&stream.cache, Cache::Present(present) if present.state.deleted);
            let again = match (made, is_deleted) {
                (false, _) => Some(now.saturating_add(claims::FIRST_CHECK)),
                (true, true) => Some(now.saturating_add(claims::RECHECK)),
                (true, false) => None,
            };
            Ok(claims::settle(&stream.storage, fork, again)?)
        })
    }

    /// Whether the stream of that name is there, alive or kept for its own forks: what a source
    /// asks. One whose time is over is there until it has ended; it may have forks that it has to
    /// be kept for.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn is_called(&mut self, name: &Name) -> Result<bool, Error> {
        self.turn(|stream| {
            stream.load()?;
            Ok(match &stream.cache {
                Cache::Present(present) => present.birth.name == *name,
                _ => false,
            })
        })
    }
}

fn loan(storage: &impl Storage, present: &Present, claim: &Claim) -> Result<Loan, Error> {
    let birth = &present.birth;
    if let Some(wanted) = claim.content_type.as_deref().and_then(ContentType::parse)
        && !birth.content_type.matches(&wanted)
    {
        return Err(Error::ContentTypeMismatch {
            stream: birth.content_type.as_str().to_owned(),
        });
    }
    let tail = present.tail.offset;
    let within = |field, offset: Option<Offset>| {
        offset.filter(|offset| *offset <= tail).ok_or_else(|| {
            Error::invalid(field, format!("is beyond the end of the source, {tail}"))
        })
    };
    let offset = match claim.offset {
        Some(position) => within(header::STREAM_FORK_OFFSET, Offset::new(position))?,
        None => tail,
    };
    let end = offset.advance(claim.sub_offset);
    let end = within(header::STREAM_FORK_SUB_OFFSET, end)?;
    let segments = segments_before(storage, &birth.name.prefix(), end)?;
    let sealed = end.min(present.sealed);
    let rest = if end > sealed {
        rows(storage, present, sealed, end)?
    } else {
        Vec::new()
    };
    Ok(Loan {
        content_type: birth.content_type.clone(),
        expiry: birth.expiry.clone(),
        offset,
        sealed,
        end,
        segments,
        rest,
    })
}

/// The index up to `end`, as another stream has to see it: with their owner, and the last segment
/// cut off at the end. `Stream-Seq` is not inherited.
fn segments_before(
    storage: &impl Storage,
    own: &str,
    end: Offset,
) -> Result<Vec<Segment>, StorageError> {
    let mut segments = Vec::new();
    for segment in segment::before(storage, end)? {
        let count = segment.count.min(end.since(segment.start));
        let is_cut = count < segment.count;
        let holds = segment.record.holds.or(is_cut.then_some(segment.count));
        let owner = segment.record.owner.clone();
        segments.push(Segment {
            count,
            record: Record {
                holds,
                owner: Some(owner.unwrap_or_else(|| own.to_owned())),
                ..segment.record
            },
            seq: None,
            ..segment
        });
    }
    Ok(segments)
}

/// What lies in rows between two positions, as it is stored.
fn rows(
    storage: &impl Storage,
    present: &Present,
    start: Offset,
    end: Offset,
) -> Result<Vec<u8>, StorageError> {
    let is_json = present.birth.content_type.is_json();
    let mut collector = Collector::bare(start, is_json).until(end);
    collector.collect(storage)?;
    if collector.next() != end {
        return Err(StorageError::Failed(format!(
            "no row holds {}",
            collector.next()
        )));
    }
    Ok(collector.finish())
}
