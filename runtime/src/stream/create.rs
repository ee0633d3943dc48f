//! PUT (section 5.1).

use super::birth::{self, Birth};
use super::chunk::Tail;
use super::lifetime::Lifetime;
use super::state::State;
use super::storage::{Statement, Storage};
use super::{Cache, Present, Stream};
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Created;
use crate::protocol::request::Create;

impl<S: Storage> Stream<S> {
    /// Creates the stream with `body` as its first content, or finds that it is there already
    /// with the same configuration. `incarnation` tells this stream from all others that have
    /// its path before and after it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a body that is not of the content type, [`Error::Exists`],
    /// [`Error::Storage`].
    pub fn create(
        &mut self,
        request: &Create,
        body: &[u8],
        incarnation: String,
        now: u64,
    ) -> Result<Created, Error> {
        self.turn(|stream| match stream.present(now) {
            Ok((_, _, present)) => found(present, request),
            Err(Error::NotFound) => stream.create_new(request, body, incarnation, now),
            Err(error) => Err(error),
        })
    }

    fn create_new(
        &mut self,
        request: &Create,
        body: &[u8],
        incarnation: String,
        now: u64,
    ) -> Result<Created, Error> {
        let birth = Birth {
            content_type: request.content_type.clone(),
            expiry: request.expiry.clone(),
            closed: request.closed,
            public: request.public,
            incarnation,
            created_at: now,
        };
        let data = super::append::Body::parse(body, &birth.content_type)?;
        let plan = data.plan(&Tail::default(), None, self.limits)?;
        let table = birth.create_table();
        let mut batch = Vec::new();
        if matches!(self.cache, Cache::Present(_)) {
            // What has expired is still there.
            batch.push(Statement {
                sql: birth::DROP,
                params: Vec::new(),
            });
        }
        batch.push(Statement {
            sql: &table,
            params: Vec::new(),
        });
        batch.extend(plan.statements());
        self.storage.write(&batch)?;
        drop(batch);

        let state = State {
            closed: birth.closed,
            ..State::default()
        };
        let lifetime = Lifetime::new(&birth);
        let created = Created {
            is_new: true,
            content_type: birth.content_type.clone(),
            tail: plan.tail.offset,
            closed: state.closed,
            count: plan.tail.offset.since(Offset::START),
        };
        self.cache = Cache::Present(Box::new(Present {
            birth,
            state,
            tail: plan.tail,
            lifetime,
        }));
        Ok(created)
    }
}

/// The answer when there is a stream already: yes, if it is what the request asks for.
fn found(present: &Present, request: &Create) -> Result<Created, Error> {
    let same_expiry = match (&present.birth.expiry, &request.expiry) {
        (Some(a), Some(b)) => a.matches(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    if !present.birth.content_type.matches(&request.content_type) {
        return Err(Error::Exists("Content-Type"));
    }
    if !same_expiry {
        return Err(Error::Exists("lifetime (Stream-TTL or Stream-Expires-At)"));
    }
    if present.state.closed != request.closed {
        return Err(Error::Exists("closed status (Stream-Closed)"));
    }
    if present.birth.public != request.public {
        return Err(Error::Exists("audience (public)"));
    }
    Ok(Created {
        is_new: false,
        content_type: present.birth.content_type.clone(),
        tail: present.tail.offset,
        closed: present.state.closed,
        count: 0,
    })
}
