//! All that is known of a stream, for whoever looks at it. That is no use of the stream: nothing is
//! written, and no time starts anew. However large the stream is, no more than some thousand rows are
//! read: lists hold 1000 entries at most, the last ones of segments and the first ones of all others,
//! and of what is counted, 10,000 rows are. A count that is that high says that there are as many at
//! least.

use std::ops::ControlFlow;

use serde::Serialize;

use super::Stream;
use super::birth::Origin;
use super::family::claims;
use super::log::{chunk, producers};
use super::storage::{Param, Storage, StorageError};
use super::tier::segment::{self, Shown};
use crate::protocol::ask::Inspect;
use crate::protocol::error::Error;
use crate::protocol::expiry::Expiry;
use crate::protocol::offset::Offset;
use crate::protocol::time;

/// Counts the rows between two, and how long they are.
const COUNT: &str = "SELECT count(*), coalesce(sum(bytes), 0) FROM (SELECT length(body) AS bytes \
    FROM stream WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 10000)";

/// What is known of a stream. Times are RFC 3339, positions are offsets, and paths and ids count from
/// the root that was asked. Whoever may see this stream alone is not told of others, nor of
/// subscriptions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    path: String,
    content_type: String,
    created_at: String,
    earliest: String,
    tail: String,
    closed: bool,
    public: bool,
    /// Seconds.
    ttl: Option<u64>,
    expires_at: Option<String>,
    /// When it ends if nobody uses it.
    ends_at: Option<String>,
    retention: Option<String>,
    forked_from: Option<ForkedFrom>,
    /// Those that are there, and some perhaps that are not any more, or not yet.
    forks: Option<Vec<Fork>>,
    segments: Vec<Segment>,
    segment_count: u64,
    hot: Hot,
    /// Nothing of a stream of version 1, which keeps them in another form.
    producers: Option<u64>,
    subscriptions: Option<Vec<String>>,
    database_bytes: u64,
}

/// Where a fork has come from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForkedFrom {
    /// Nothing if that is not below the root, or may not be seen.
    path: Option<String>,
    offset: String,
    /// In messages or bytes.
    sub_offset: u64,
}

#[derive(Debug, Serialize)]
struct Fork {
    path: String,
}

/// A part of the stream in an object of its own.
#[derive(Debug, Serialize)]
struct Segment {
    from: String,
    to: String,
    /// The length of the object, of which a fork may count a part only.
    bytes: u64,
}

/// The part of the stream that is in the database's rows.
#[derive(Debug, Serialize)]
struct Hot {
    from: String,
    bytes: u64,
    rows: u64,
}

impl Description {
    /// The description as it is shown.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }
}

/// The path of another stream, as far as whoever looks may see it.
fn seen(name: &str, asked: &Inspect) -> Option<String> {
    let path = asked.root.path_of(name).filter(|_| !asked.alone);
    path.map(str::to_owned)
}

impl ForkedFrom {
    fn of(origin: &Origin, asked: &Inspect) -> Self {
        Self {
            path: seen(&origin.path, asked),
            offset: offset(origin.offset),
            sub_offset: origin.sub_offset,
        }
    }
}

impl From<Shown> for Segment {
    fn from(segment: Shown) -> Self {
        Self {
            from: offset(segment.start),
            to: offset(segment.start.saturating_add(segment.count)),
            bytes: segment.bytes,
        }
    }
}

impl<S: Storage> Stream<S> {
    /// What is known of the stream, to somebody who looks. Not an access: the TTL goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Gone`], [`Error::Storage`].
    pub fn describe(&mut self, asked: &Inspect, now: u64) -> Result<Description, Error> {
        self.turn(|stream| {
            stream.present(now)?;
            let subscriptions = match asked.alone {
                true => None,
                false => Some(stream.linked_of(&asked.root)?),
            };
            let (storage, _, present) = stream.present(now)?;
            let birth = &present.birth;
            let path = asked.root.path_of(&birth.name.path);
            let path = path.ok_or(Error::NotFound)?;
            let (ttl, expires_at) = Expiry::split(birth.expiry.as_ref());
            let forks = match asked.alone {
                true => None,
                false => Some(claims::forks(storage)?),
            };
            let forks = forks.map(|forks| {
                let paths = forks.iter().filter_map(|name| seen(name, asked));
                paths.map(|path| Fork { path }).collect()
            });
            let (rows, bytes) = count(storage, chunk::ROWS)?;
            let (buckets, bucket_bytes) = count(storage, producers::ROWS)?;
            let producers = producers::Bucket::entries(buckets, bucket_bytes);
            Ok(Description {
                path: path.to_owned(),
                content_type: birth.content_type.as_str().to_owned(),
                created_at: time::iso(birth.created_at),
                earliest: present.earliest().to_string(),
                tail: present.tail.offset.to_string(),
                closed: present.state.closed,
                public: birth.public,
                ttl,
                expires_at,
                ends_at: present.lifetime.deadline().map(time::iso),
                retention: birth.retention.map(|retention| retention.to_string()),
                forked_from: birth.origin.as_ref().map(|it| ForkedFrom::of(it, asked)),
                forks,
                segments: segment::shown(storage)?
                    .into_iter()
                    .map(Into::into)
                    .collect(),
                segment_count: count(storage, segment::ROWS)?.0,
                hot: Hot {
                    from: present.sealed.max(present.earliest()).to_string(),
                    bytes,
                    rows,
                },
                producers: birth.key.map(|_| producers),
                subscriptions,
                database_bytes: storage.size(),
            })
        })
    }
}

/// How many rows there are from one to another, and how many bytes are in them.
fn count(storage: &impl Storage, (first, last): (i64, i64)) -> Result<(u64, u64), StorageError> {
    let mut counted = (0, 0);
    let range = [Param::Integer(first), Param::Integer(last)];
    storage.query(COUNT, &range, &mut |row| {
        let number = |column| u64::try_from(row.integer(column)).unwrap_or(0);
        counted = (number(0), number(1));
        ControlFlow::Break(())
    })?;
    Ok(counted)
}

fn offset(position: u64) -> String {
    Offset::new(position).unwrap_or(Offset::MAX).to_string()
}
