//! What a read takes from segments.

use std::ops::ControlFlow;

use super::segment::{self, Segment};
use crate::protocol::offset::Offset;
use crate::protocol::part::Part;
use crate::stream::storage::{Param, Storage, StorageError};

/// An answer has at most this many parts: the platform lets a request have six connections open
/// at the same time.
const MAX_PARTS: usize = 5;

/// The start of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cold {
    /// Where it lies.
    pub parts: Vec<Part>,
    /// The position after it.
    pub next: Offset,
    /// About how long it is in bytes.
    pub bytes: u64,
}

/// Takes what starts at `from`, which is in a segment: about `room` bytes, and something in any
/// case. `own` is what the keys of the stream's objects start with.
pub fn take(
    storage: &impl Storage,
    own: &str,
    is_json: bool,
    from: Offset,
    room: u64,
) -> Result<Cold, StorageError> {
    let mut cold = Cold {
        parts: Vec::new(),
        next: from,
        bytes: 0,
    };
    let mut outcome = Ok(());
    let first = Param::Integer(segment::row_id(from));
    storage.query(segment::SELECT_FROM, &[first], &mut |row| {
        let added =
            Segment::from_row(row).and_then(|segment| cold.add(own, is_json, &segment, room));
        added.unwrap_or_else(|error| {
            outcome = Err(error);
            ControlFlow::Break(())
        })
    })?;
    outcome?;
    if cold.parts.is_empty() {
        return Err(StorageError::Failed(format!("no segment holds {from}")));
    }
    Ok(cold)
}

impl Cold {
    fn add(
        &mut self,
        own: &str,
        is_json: bool,
        segment: &Segment,
        room: u64,
    ) -> Result<ControlFlow<()>, StorageError> {
        let gap = || StorageError::Failed(format!("no segment holds {}", self.next));
        let skip = self.next.position().checked_sub(segment.start.position());
        let skip = skip.filter(|skip| *skip < segment.count).ok_or_else(gap)?;
        let must = self.parts.is_empty();
        let taken = segment.take(own, is_json, skip, room.saturating_sub(self.bytes), must);
        let parts = self.parts.len().saturating_add(taken.parts.len());
        if taken.parts.is_empty() || parts > MAX_PARTS {
            return Ok(ControlFlow::Break(()));
        }
        self.parts.extend(taken.parts);
        self.next = self.next.advance(taken.count).ok_or_else(gap)?;
        self.bytes = self.bytes.saturating_add(taken.bytes);
        Ok(if self.next == segment.end()? && parts < MAX_PARTS {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }
}
