//! GET, catching up (section 5.6).

use crate::protocol::error::Error;
use crate::protocol::etag;
use crate::protocol::offset::Offset;
use crate::protocol::reply::{Caching, Page};
use crate::protocol::request::{Read, ReadFrom};
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::log::collect::Collector;
use crate::stream::storage::{Storage, StorageError};
use crate::stream::tier::cold;

/// What the protocol lets caches do with a page of data (section 10.1), in seconds.
const FRESH: u64 = 60;
const STALE: u64 = 300;

impl<S: Storage> Stream<S> {
    /// Reads from an offset on, about `max_bytes` at most: whole messages, and at least one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for an offset beyond the tail,
    /// [`Error::Truncated`] for one of what was dropped, [`Error::Storage`].
    pub fn read(&mut self, request: &Read, max_bytes: usize, now: u64) -> Result<Page, Error> {
        self.turn(|stream| {
            stream.access(now)?;
            let (storage, _, present) = stream.present(now)?;
            let (earliest, tail) = (present.earliest(), present.tail.offset);
            let from = match request.from {
                ReadFrom::Start => earliest,
                ReadFrom::Now => tail,
                ReadFrom::At(offset) if offset < earliest => {
                    return Err(Error::Truncated { earliest });
                }
                ReadFrom::At(offset) => offset,
            };
            if from > tail {
                let message = format!("is beyond the end of the stream, {tail}");
                return Err(Error::invalid("offset", message));
            }
            let collector = collect(storage, present, from, max_bytes)?;
            Ok(page(present, request, collector, now))
        })
    }

    /// What a reader who has everything before `since` has not: as [`Stream::read`], but on
    /// nobody's behalf, so no access. Whoever was at the tail gets all that comes, also when more
    /// comes at once than is kept: it is there until it is dropped from storage.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn news(&mut self, since: Offset, max_bytes: usize, now: u64) -> Result<Page, Error> {
        self.turn(|stream| {
            let (storage, _, present) = stream.present(now)?;
            let request = Read {
                from: ReadFrom::At(since),
                live: None,
                cursor: None,
                if_none_match: None,
            };
            let collector = collect(storage, present, since, max_bytes)?;
            Ok(page(present, &request, collector, now))
        })
    }
}

/// Everything from `start` on that fits.
pub(in crate::stream) fn collect(
    storage: &impl Storage,
    present: &Present,
    start: Offset,
    max_bytes: usize,
) -> Result<Collector, StorageError> {
    let is_json = present.birth.content_type.is_json();
    let mut collector = Collector::new(start, is_json, max_bytes);
    if start < present.sealed {
        let own = present.birth.name.prefix();
        let room = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        collector.begin_with(cold::take(storage, &own, is_json, start, room)?);
    }
    if collector.next() >= present.sealed && collector.next() < present.tail.offset {
        let latest = present.latest.since(collector.next(), is_json);
        let latest = latest.filter(|text| collector.has_room_for(text));
        match latest {
            Some(text) => collector.end_with(text, present.tail.offset),
            None => collector.collect(storage)?,
        }
    }
    Ok(collector)
}

fn page(present: &Present, request: &Read, mut collector: Collector, now: u64) -> Page {
    let (start, next) = (collector.start(), collector.next());
    let up_to_date = next == present.tail.offset;
    let closed = present.state.closed && up_to_date;
    let tag = (request.from != ReadFrom::Now)
        .then(|| etag::compose(&present.birth.name.incarnation, start, next, closed));
    let not_modified = match (&request.if_none_match, &tag) {
        (Some(candidates), Some(tag)) => etag::matches(candidates, tag),
        _ => false,
    };
    let caching = if request.from == ReadFrom::Now {
        Caching::NoStore
    } else if next == start && !closed {
        // Nothing yet: an answer kept for a minute would hide what is appended in it.
        Caching::Revalidate
    } else if request.from == ReadFrom::Start && present.birth.retention.is_some() {
        // Each append moves the start.
        Caching::Revalidate
    } else {
        caching(present.lifetime.left(now))
    };
    Page {
        content_type: present.birth.content_type.clone(),
        count: next.since(start),
        next,
        cold: collector.take_cold(),
        body: collector.finish(),
        up_to_date,
        closed,
        cursor: None,
        etag: tag,
        not_modified,
        caching,
        earliest: present.earliest(),
    }
}

/// No cache may keep a page longer than the stream lives; `left` is in milliseconds.
fn caching(left: Option<u64>) -> Caching {
    let left = left.map_or(u64::MAX, |millis| millis.checked_div(1000).unwrap_or(0));
    let fresh = FRESH.min(left);
    Caching::MaxAge {
        fresh,
        stale: STALE.min(left.saturating_sub(fresh)),
    }
}
