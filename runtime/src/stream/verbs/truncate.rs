//! POST without a body and with `Stream-Truncate-Before`: what lies before an offset is not there
//! any more.
//!
//! The verb notes the offset, which costs a row and holds at once. What lies before it is removed
//! from storage later, by [`drop`](crate::stream::tier::drop).

use super::append::not_overtaken;
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::reply::Truncated;
use crate::protocol::truncate::Truncate;
use crate::stream::Stream;
use crate::stream::state::{self, State};
use crate::stream::storage::Storage;

impl<S: Storage> Stream<S> {
    /// Truncates the stream, which may be closed. What is dropped already stays so: an offset
    /// before that changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Invalid`] for an offset beyond the tail,
    /// [`Error::Overtaken`], [`Error::Storage`].
    pub fn truncate(&mut self, request: &Truncate, now: u64) -> Result<Truncated, Error> {
        self.turn(|stream| {
            stream.access(now)?;
            let (storage, _, present) = stream.present(now)?;
            let (before, tail) = (request.before, present.tail.offset);
            if before > tail {
                let message = format!("is beyond the end of the stream, {tail}");
                return Err(Error::invalid(header::STREAM_TRUNCATE_BEFORE, message));
            }
            not_overtaken(present, request.if_match.as_ref())?;
            let is_new = before > present.earliest();
            if is_new {
                // At the tail, nothing is left that could remember the sequence.
                let seq = present.tail.seq.clone().filter(|_| before == tail);
                let state = State {
                    seq,
                    // It may be the row that says so which goes.
                    quiet: present.quiet(),
                    ..present.state.truncated(before)
                };
                storage.write(&[state::put(state::ROW_ID, &state.encode())])?;
                present.state = state;
            }
            Ok(Truncated {
                earliest: present.earliest(),
                tail,
                closed: present.state.closed,
                is_new,
            })
        })
    }
}
