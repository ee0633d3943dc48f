//! GET, catching up (section 5.6).

use std::ops::ControlFlow;

use crate::protocol::error::Error;
use crate::protocol::etag;
use crate::protocol::json;
use crate::protocol::offset::Offset;
use crate::protocol::part::{CLOSE, OPEN, Part};
use crate::protocol::reply::{Caching, Page};
use crate::protocol::request::{Read, ReadFrom};
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::log::chunk::{self, Cut, RowId};
use crate::stream::storage::{Param, Row, Storage, StorageError};
use crate::stream::tier::cold::{self, Cold};

/// What the protocol lets caches do with a page of data (section 10.1), in seconds.
const FRESH: u64 = 60;
const STALE: u64 = 300;

/// What encloses bytes.
const NOTHING: (&[u8], &[u8]) = (b"", b"");

impl<S: Storage> Stream<S> {
    /// Reads from an offset on, about `max_bytes` at most: whole messages, and at least one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for an offset beyond the tail, [`Error::Storage`].
    pub fn read(&mut self, request: &Read, max_bytes: usize, now: u64) -> Result<Page, Error> {
        self.turn(|stream| {
            stream.access(now)?;
            let (storage, _, present) = stream.present(now)?;
            let tail = present.tail.offset;
            let from = match request.from {
                ReadFrom::Start => Offset::START,
                ReadFrom::Now => tail,
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
    /// nobody's behalf, so no access.
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
fn collect(
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
    if collector.next >= present.sealed && collector.next < present.tail.offset {
        let latest = present.latest.since(collector.next, is_json);
        let latest = latest.filter(|text| collector.has_room_for(text));
        match latest {
            Some(text) => collector.end_with(text, present.tail.offset),
            None => collector.collect(storage)?,
        }
    }
    Ok(collector)
}

fn page(present: &Present, request: &Read, mut collector: Collector, now: u64) -> Page {
    let up_to_date = collector.next == present.tail.offset;
    let closed = present.state.closed && up_to_date;
    let tag = (request.from != ReadFrom::Now).then(|| {
        etag::compose(
            &present.birth.name.incarnation,
            collector.start,
            collector.next,
            closed,
        )
    });
    let not_modified = match (&request.if_none_match, &tag) {
        (Some(candidates), Some(tag)) => etag::matches(candidates, tag),
        _ => false,
    };
    let caching = if request.from == ReadFrom::Now {
        Caching::NoStore
    } else if collector.next == collector.start && !closed {
        // Nothing yet: an answer kept for a minute would hide what is appended in it.
        Caching::Revalidate
    } else {
        caching(present.lifetime.left(now))
    };
    Page {
        content_type: present.birth.content_type.clone(),
        count: collector.next.since(collector.start),
        next: collector.next,
        cold: std::mem::take(&mut collector.cold),
        body: collector.finish(),
        up_to_date,
        closed,
        cursor: None,
        etag: tag,
        not_modified,
        caching,
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

/// Puts a page together from rows.
pub(in crate::stream) struct Collector {
    start: Offset,
    next: Offset,
    /// Nothing from here on belongs to the page.
    until: Offset,
    is_json: bool,
    max_bytes: usize,
    /// The start of the page, where it does not lie in rows.
    cold: Vec<Part>,
    /// What encloses the messages.
    brackets: (&'static [u8], &'static [u8]),
    data: Vec<u8>,
    /// No further message fits; only parts of the last one may follow.
    full: bool,
    /// The length of `data` and the next offset before the last chunk was added.
    before_last: (usize, Offset),
}

impl Collector {
    /// An empty page that starts at `start`.
    pub fn new(start: Offset, is_json: bool, max_bytes: usize) -> Self {
        let brackets = if is_json { (OPEN, CLOSE) } else { NOTHING };
        Self {
            start,
            next: start,
            until: Offset::MAX,
            is_json,
            max_bytes,
            cold: Vec::new(),
            brackets,
            data: brackets.0.to_vec(),
            full: false,
            before_last: (0, start),
        }
    }

    /// A page without end, and without what encloses it.
    pub fn bare(start: Offset, is_json: bool) -> Self {
        Self {
            brackets: NOTHING,
            data: Vec::new(),
            ..Self::new(start, is_json, usize::MAX)
        }
    }

    /// Lets the page end at `until` at the latest.
    pub fn until(self, until: Offset) -> Self {
        Self { until, ..self }
    }

    /// Lets the page start with what does not lie in rows. The rest comes without brackets:
    /// whoever puts both together has to add them anyway.
    fn begin_with(&mut self, cold: Cold) {
        let bytes = usize::try_from(cold.bytes).unwrap_or(usize::MAX);
        self.cold = cold.parts;
        self.next = cold.next;
        self.max_bytes = self.max_bytes.saturating_sub(bytes);
        self.brackets = NOTHING;
        self.data.clear();
    }

    /// Whether a text fits that may have to be separated from what is there.
    fn has_room_for(&self, text: &[u8]) -> bool {
        let length = self.data.len().saturating_add(json::SEPARATOR.len());
        length.saturating_add(text.len()) <= self.max_bytes
    }

    /// Takes all that is left up to `tail`.
    fn end_with(&mut self, text: &[u8], tail: Offset) {
        // Where something lies elsewhere, whoever puts both together separates them.
        self.data.extend_from_slice(text);
        self.next = tail;
    }

    /// Takes what fits from the rows.
    pub fn collect(&mut self, storage: &impl Storage) -> Result<(), StorageError> {
        let malformed = || StorageError::Failed("a chunk is malformed".into());
        let start = RowId::chunk(self.next).encode().ok_or_else(malformed)?;
        let mut well_formed = true;
        storage.query(chunk::SELECT_FROM, &[Param::Integer(start)], &mut |row| {
            self.add(row).unwrap_or_else(|| {
                well_formed = false;
                ControlFlow::Break(())
            })
        })?;
        // A page without data, short of the tail, would send the reader round in circles.
        let moved = self.next > self.start;
        if well_formed && moved {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    /// The position after the page.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// The page's data.
    pub fn finish(mut self) -> Vec<u8> {
        self.data.extend_from_slice(self.brackets.1);
        self.data
    }

    /// Takes from a row what belongs to the page; `None` for a row that no append can have made.
    fn add(&mut self, row: &dyn Row) -> Option<ControlFlow<()>> {
        let id = RowId::decode(row.integer(0))?;
        if id.part > 0 {
            return Some(self.add_part(row.blob(2)));
        }
        if self.full || id.position >= self.until.position() {
            return Some(ControlFlow::Break(()));
        }
        let mut body = row.blob(2);
        let within = self.until.position().saturating_sub(id.position);
        if within < u64::try_from(row.integer(1)).ok()? {
            body = Cut::at(body, within, self.is_json)?.taken;
        }
        let skip = self.next.position().checked_sub(id.position)?;
        self.add_chunk(body.get(self.index_of(body, skip)?..)?)
    }

    /// Where in a chunk the message or byte after `skip` others is.
    fn index_of(&self, body: &[u8], skip: u64) -> Option<usize> {
        if self.is_json {
            json::start_of(body, skip)
        } else {
            usize::try_from(skip).ok()
        }
    }

    fn add_chunk(&mut self, chunk: &[u8]) -> Option<ControlFlow<()>> {
        let is_first = self.next == self.start;
        let separator: &[u8] = if self.is_json && self.data.len() > self.brackets.0.len() {
            json::SEPARATOR
        } else {
            b""
        };
        let room = self
            .max_bytes
            .saturating_sub(self.data.len())
            .saturating_sub(separator.len());
        if chunk.len() > room && !is_first {
            return Some(ControlFlow::Break(()));
        }
        let cut = Cut::whole_positions(chunk, room, self.is_json);
        self.before_last = (self.data.len(), self.next);
        self.data.extend_from_slice(separator);
        self.data.extend_from_slice(cut.taken);
        self.next = self.next.advance(cut.count)?;
        self.full = !cut.rest.is_empty() || self.data.len() >= self.max_bytes;
        Some(ControlFlow::Continue(()))
    }

    /// Goes on with a message that lies in parts, or, when it does not fit, takes it back.
    fn add_part(&mut self, part: &[u8]) -> ControlFlow<()> {
        let (length, next) = self.before_last;
        let fits = self.data.len().saturating_add(part.len()) <= self.max_bytes;
        if !fits && next > self.start {
            self.data.truncate(length);
            self.next = next;
            return ControlFlow::Break(());
        }
        self.data.extend_from_slice(part);
        ControlFlow::Continue(())
    }
}
