//! HEAD (section 5.5).

use crate::protocol::error::Error;
use crate::protocol::reply::Metadata;
use crate::stream::Stream;
use crate::stream::storage::Storage;

impl<S: Storage> Stream<S> {
    /// What is known of the stream. Not an access: the TTL goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn head(&mut self, now: u64) -> Result<Metadata, Error> {
        self.turn(|stream| {
            let (_, _, present) = stream.present(now)?;
            Ok(Metadata {
                content_type: present.birth.content_type.clone(),
                tail: present.tail.offset,
                expiry: present.birth.expiry.clone(),
                closed: present.state.closed,
                earliest: present.earliest(),
                retention: present.birth.retention,
                will_after: present.birth.will.as_ref().map(|will| will.after),
            })
        })
    }
}
