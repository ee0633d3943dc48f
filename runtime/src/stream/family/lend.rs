//! The source's side of a fork (section 4.2): what it hands over, and how long it keeps that.
//!
//! Segments are shared: the fork gets the index up to the fork point. What is not sealed yet, at
//! most about a segment, is copied. So a fork of a stream of any length costs little, and never
//! asks its source again.

use serde::{Deserialize, Serialize};

use super::claims;
use super::needs::Extent;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::frame;
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::retention::Retention;
use crate::protocol::version::{self, SPOKEN, STORED, Says, Stated, Unreadable};
use crate::stream::Cache;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::birth::Name;
use crate::stream::log::collect::Collector;
use crate::stream::state::is_zero;
use crate::stream::storage::{Storage, StorageError};
use crate::stream::tier::generation;
use crate::stream::tier::record::Record;
use crate::stream::tier::segment::{self, Segment};
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

impl Claim {
    /// The claim as text. It states its version.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Said<'a> {
            v: u32,
            #[serde(flatten)]
            claim: &'a Claim,
        }
        let said = Said {
            v: SPOKEN,
            claim: self,
        };
        serde_json::json!(said).to_string()
    }

    /// Reads what [`Claim::encode`] made, in this release or an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`], [`Error::Invalid`] for what is malformed.
    pub fn decode(text: &[u8]) -> Result<Self, Error> {
        version::read("a claim", text, SPOKEN).map_err(|unreadable| match unreadable {
            Unreadable::Newer(newer) => newer.into(),
            Unreadable::Malformed(what) => Error::invalid("the body", what),
        })
    }
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
    /// Everything before this lies in segments, or nowhere any more.
    pub sealed: Offset,
    /// Where the fork begins to differ.
    pub end: Offset,
    /// The segments before `sealed`, all of them with an owner.
    pub segments: Vec<Segment>,
    /// What lies between `sealed` and `end`, as it is stored.
    pub rest: Vec<u8>,
    /// The first position that is there.
    pub earliest: Offset,
    /// How much the source keeps, if not everything.
    pub retention: Option<Retention>,
}

/// How a [`Loan`] is written down, apart from the rest.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(default)]
    v: Stated,
    content_type: String,
    ttl: Option<u64>,
    expires_at: Option<String>,
    offset: u64,
    sealed: u64,
    end: u64,
    /// Start, count and record.
    segments: Vec<(u64, u64, Record)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    earliest: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
}

/// What the records in a [`Head`] say of their versions.
#[derive(Deserialize)]
struct Versions {
    segments: Vec<(u64, u64, Says)>,
}

impl Loan {
    /// The loan in one piece, which states its version; `None` when it is larger than any can be.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (ttl, expires_at) = Expiry::split(self.expiry.as_ref());
        let segments = self.segments.iter();
        let segments = segments.map(|s| (s.start.position(), s.count, s.record.clone()));
        let head = Head {
            v: Some(SPOKEN),
            content_type: self.content_type.as_str().to_owned(),
            ttl,
            expires_at,
            offset: self.offset.position(),
            sealed: self.sealed.position(),
            end: self.end.position(),
            segments: segments.collect(),
            earliest: self.earliest.position(),
            retention: self.retention.map(|retention| retention.to_string()),
        };
        frame::join(&head, &self.rest)
    }

    /// Reads what [`Loan::encode`] made, in this release or an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`], [`Error::Unavailable`] for what is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Unavailable("a loan is malformed".into());
        let (head, rest) = frame::cut(bytes).ok_or_else(malformed)?;
        let versions: Versions = version::read("a loan", head, SPOKEN).map_err(Unreadable::said)?;
        for (_, _, says) in versions.segments {
            // They are put into this stream's index as they are.
            version::check("a segment's record", says.v, STORED)?;
        }
        let head = version::read("a loan", head, SPOKEN).map_err(Unreadable::said)?;
        Self::from_parts(head, rest).ok_or_else(malformed)
    }

    fn from_parts(head: Head, rest: &[u8]) -> Option<Self> {
        let segment = |(start, count, record)| {
            Some(Segment {
                start: Offset::new(start)?,
                count,
                record,
                seq: None,
            })
        };
        let retention = head.retention.as_deref().map(Retention::parse);
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
            earliest: Offset::new(head.earliest)?,
            retention: retention.transpose().ok()?,
        })
    }
}

impl<S: Storage> Stream<S> {
    /// Hands over what a fork starts with, and notes its claim. Not an access.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`], [`Error::SourceGone`], [`Error::ContentTypeMismatch`],
    /// [`Error::Invalid`] for an offset beyond the tail or of what was dropped, [`Error::Storage`];
    /// then there is no claim.
    pub fn lend(&mut self, claim: &Claim, now: u64) -> Result<Loan, Error> {
        self.turn(|stream| {
            let (storage, _, present) = stream.present(now).map_err(|error| match error {
                Error::NotFound => Error::NoSource,
                Error::Gone => Error::SourceGone,
                error => error,
            })?;
            let (loan, until) = loan(storage, present, claim)?;
            let extent = Extent {
                generation: generation::current(storage)?,
                until: until.position(),
            };
            present.forks.make(storage, &claim.fork, extent, now)?;
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
            stream.load()?;
            let Cache::Present(present) = &mut stream.cache else {
                return Ok(None);
            };
            present.forks.forget(&stream.storage, fork)?;
            if !present.state.deleted {
                return Ok(None);
            }
            if claims::any(&stream.storage)? {
                return Ok(None);
            }
            stream.remove(now).map(Some)
        })
    }

    /// Some of the forks that are to be asked whether they live, and none when all were; what they
    /// say goes to [`Stream::settle`] or [`Stream::release`]. Who is not heard of is asked again
    /// after a while.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn doubtful_forks(&mut self, now: u64) -> Result<Vec<Name>, Error> {
        self.turn(|stream| {
            stream.load()?;
            match &mut stream.cache {
                Cache::Present(present) => Ok(present.forks.doubtful(&stream.storage, now)?),
                _ => Ok(Vec::new()),
            }
        })
    }

    /// Notes that a fork lives, or, when it is not `made` yet, that it is to be asked again soon.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn settle(&mut self, fork: &Name, made: bool, now: u64) -> Result<(), Error> {
        self.turn(|stream| {
            stream.load()?;
            let Cache::Present(present) = &mut stream.cache else {
                return Ok(());
            };
            let again = match (made, present.state.deleted) {
                (false, _) => Some(now.saturating_add(claims::FIRST_CHECK)),
                (true, true) => Some(now.saturating_add(claims::RECHECK)),
                (true, false) => None,
            };
            Ok(present.forks.settle(&stream.storage, fork, again)?)
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

/// What a claim asks for, and the position after the last segment in it, all of which counts.
fn loan(storage: &impl Storage, present: &Present, claim: &Claim) -> Result<(Loan, Offset), Error> {
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
    let earliest = present.earliest();
    if offset < earliest {
        // Whatever is wrong with a fork offset is a bad request (section 4.2). That something is
        // gone would be said of the fork's own path.
        let message = format!("is before the earliest offset of the source, {earliest}");
        return Err(Error::invalid(header::STREAM_FORK_OFFSET, message));
    }
    let end = offset.advance(claim.sub_offset);
    let end = within(header::STREAM_FORK_SUB_OFFSET, end)?;
    let lent = segment::before(storage, end)?;
    let until = lent.last().map_or(Ok(Offset::START), Segment::end)?;
    let segments = as_lent(lent, &birth.name.prefix(), end);
    let sealed = end.min(present.sealed).max(earliest);
    let rest = if end > sealed {
        rows(storage, present, sealed, end)?
    } else {
        Vec::new()
    };
    let loan = Loan {
        content_type: birth.content_type.clone(),
        expiry: birth.expiry.clone(),
        offset,
        sealed,
        end,
        segments,
        rest,
        earliest,
        retention: birth.retention,
    };
    Ok((loan, until))
}

/// The index up to `end`, as another stream has to see it: with their owner, and the last segment
/// cut off at the end. `Stream-Seq` is not inherited, and generations are each stream's own.
fn as_lent(segments: Vec<Segment>, own: &str, end: Offset) -> Vec<Segment> {
    let lent = segments.into_iter().map(|segment| {
        let count = segment.count.min(end.since(segment.start));
        let is_cut = count < segment.count;
        let holds = segment.record.holds.or(is_cut.then_some(segment.count));
        let owner = segment.record.owner.clone();
        Segment {
            count,
            record: Record {
                born: 0,
                holds,
                owner: Some(owner.unwrap_or_else(|| own.to_owned())),
                ..segment.record
            },
            seq: None,
            ..segment
        }
    });
    lent.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loans_of_other_releases() {
        // As version 1 wrote it.
        let head = br#"{"content_type":"text/plain","ttl":7,"expires_at":null,"offset":5,"sealed":3,"end":5,"segments":[[0,3,{"size":9,"etag":"e","holds":9,"owner":"streams/a/1/","marks":[[4,4]]}]]}"#;
        let frame = |head: &[u8]| {
            let length = u32::try_from(head.len()).unwrap().to_be_bytes();
            [&length[..], head, b"de"].concat()
        };
        let loan = Loan::decode(&frame(head)).unwrap();
        assert_eq!((loan.offset.position(), loan.sealed.position()), (5, 3));
        assert_eq!(loan.expiry, Some(Expiry::Ttl(7)));
        assert_eq!(loan.segments[0].record.holds, Some(9));
        assert_eq!(loan.rest, b"de");
        assert_eq!(Loan::decode(&loan.encode().unwrap()), Ok(loan));

        let newer = Loan::decode(&frame(br#"{"v":99,"another":"form"}"#));
        assert!(matches!(newer, Err(Error::Newer(_))), "{newer:?}");
        let head = String::from_utf8(head.to_vec()).unwrap();
        let record = head.replace(r#"{"size""#, r#"{"v":99,"size""#);
        let newer = Loan::decode(&frame(record.as_bytes()));
        assert!(matches!(newer, Err(Error::Newer(_))), "{newer:?}");
        for malformed in [&frame(b"{}")[..], b"\0\0\0\x09{}", b""] {
            let refused = Loan::decode(malformed);
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
    }

    #[test]
    fn claims_of_other_releases() {
        // As version 1 wrote it.
        let first = br#"{"content_type":null,"fork":{"incarnation":"1","path":"a"},"offset":7,"sub_offset":2}"#;
        let claim = Claim::decode(first).unwrap();
        assert_eq!(claim.fork.path, "a");
        assert_eq!((claim.offset, claim.sub_offset), (Some(7), 2));
        assert_eq!(Claim::decode(claim.encode().as_bytes()), Ok(claim));

        let newer = Claim::decode(br#"{"v":99}"#);
        assert!(matches!(newer, Err(Error::Newer(_))), "{newer:?}");
        let malformed = Claim::decode(b"{}");
        assert!(matches!(malformed, Err(Error::Invalid { .. })));
    }
}
