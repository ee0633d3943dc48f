//! PUT (section 5.1), of a plain stream or a fork (section 4.2).

use super::append::Body;
use crate::protocol::content_type::ContentType;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Created;
use crate::protocol::request::Create;
use crate::stream::Cache;
use crate::stream::Present;
use crate::stream::Stream;
use crate::stream::birth::{Birth, Key, Name, Origin};
use crate::stream::family::book::Forks;
use crate::stream::family::lend::Loan;
use crate::stream::lifetime::Lifetime;
use crate::stream::links::Linked;
use crate::stream::log::chunk::{Data, Plan, Tail};
use crate::stream::log::latest::Latest;
use crate::stream::state::State;
use crate::stream::storage::{Statement, Storage};
use crate::stream::will::Silence;

impl<S: Storage> Stream<S> {
    /// Finds the stream that a PUT asks for, if it is there already with the same configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::PathKept`], [`Error::Storage`].
    pub fn find(&mut self, request: &Create, now: u64) -> Result<Option<Created>, Error> {
        self.turn(|stream| {
            let found = match stream.present(now) {
                Ok((_, _, present)) => found(present, request).map(Some),
                Err(Error::Gone) => Err(Error::PathKept),
                Err(Error::NotFound) => Ok(None),
                Err(error) => Err(error),
            }?;
            if found.is_none() && matches!(stream.cache, Cache::Present(_)) {
                let message = "a stream whose time is over has not been ended";
                return Err(Error::Storage(message.to_owned()));
            }
            Ok(found)
        })
    }

    /// Creates the stream with `body` as its first content, or finds that it is there already
    /// with the same configuration. `name` is what it is called if it is new, and `key` a
    /// number that nobody can guess; `loan` is what a fork starts with.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a body that is not of the content type, [`Error::Exists`],
    /// [`Error::PathKept`], [`Error::Storage`].
    pub fn create(
        &mut self,
        request: &Create,
        loan: Option<&Loan>,
        body: &[u8],
        name: Name,
        key: Key,
        now: u64,
    ) -> Result<Created, Error> {
        if let Some(created) = self.find(request, now)? {
            return Ok(created);
        }
        let mut birth = Birth {
            listed: self.lists,
            ..birth(request, loan, name, key, self.born_at(now))
        };
        if let Some(will) = &birth.will {
            birth.will = Some(will.of_type(&birth.content_type)?);
        }
        if let Some(retention) = birth.retention {
            retention.check(&birth.content_type)?;
        }
        self.turn(|stream| stream.create_new(birth, loan, body))
    }

    fn create_new(
        &mut self,
        mut birth: Birth,
        loan: Option<&Loan>,
        body: &[u8],
    ) -> Result<Created, Error> {
        let data = Body::parse(body, &birth.content_type)?;
        let inherited = self.inherit(loan, birth.content_type.is_json())?;
        let plan = data.plan(&inherited.tail, None, self.limits)?;
        birth.will_from = plan.tail.offset;
        let table = birth.create_table();
        let segments = loan.map_or(&[][..], |loan| &loan.segments);
        let records: Vec<_> = segments.iter().map(|s| s.record.encode()).collect();
        let mut batch = vec![Statement {
            sql: &table,
            params: Vec::new(),
        }];
        let segments = segments.iter().zip(&records);
        batch.extend(segments.map(|(segment, record)| segment.statement(record)));
        batch.extend(inherited.statements());
        batch.extend(plan.statements());
        self.storage.write(&batch)?;
        drop(batch);

        let state = State::of(&birth);
        let lifetime = Lifetime::new(&birth);
        let silence = birth
            .will
            .as_ref()
            .map(|_| Silence::Since(birth.created_at));
        let created = Created {
            is_new: true,
            content_type: birth.content_type.clone(),
            tail: plan.tail.offset,
            closed: state.closed,
            will_after: birth.will.as_ref().map(|will| will.after),
            count: plan.tail.offset.since(inherited.tail.offset),
        };
        self.beside.links = self.beside.links.map(Linked::beside_new);
        self.cache = Cache::Present(Box::new(Present {
            birth,
            state,
            latest: Latest::none(plan.tail.offset),
            tail: plan.tail,
            sealed: loan.map_or(Offset::START, |loan| loan.sealed),
            hot: None,
            lifetime,
            silence,
            forks: Forks::default(),
            feeders: None,
            looked_for_old: None,
        }));
        Ok(created)
    }

    /// The rows of what a fork inherits that does not lie in segments.
    fn inherit<'a>(&self, loan: Option<&'a Loan>, is_json: bool) -> Result<Plan<'a>, Error> {
        let Some(loan) = loan else {
            return Ok(Plan::nothing(&Tail::default(), None));
        };
        let tail = Tail::bare(loan.sealed, None);
        let data = Data {
            body: &loan.rest,
            count: loan.end.since(loan.sealed),
            is_json,
        };
        if data.count == 0 {
            return Ok(Plan::nothing(&tail, None));
        }
        Plan::new(&tail, data, None, self.limits).ok_or(Error::Full)
    }
}

fn birth(request: &Create, loan: Option<&Loan>, name: Name, key: Key, now: u64) -> Birth {
    let inherited = loan.map(|loan| (loan.content_type.clone(), loan.expiry.clone()));
    let (content_type, expiry) = inherited.unwrap_or((ContentType::default_type(), None));
    let origin = request.fork.as_ref().zip(loan).map(|(fork, loan)| Origin {
        path: fork.source.as_str().to_owned(),
        offset: loan.offset.position(),
        sub_offset: fork.sub_offset,
    });
    Birth {
        content_type: request.content_type.clone().unwrap_or(content_type),
        expiry: request.expiry.clone().or(expiry),
        closed: request.closed,
        public: request.public,
        listed: false,
        name,
        key: Some(key),
        origin,
        retention: request.retention.or(loan.and_then(|loan| loan.retention)),
        will: request.will.clone(),
        will_from: Offset::START,
        earliest: loan.map_or(0, |loan| loan.earliest.position()),
        created_at: now,
    }
}

/// The answer when there is a stream already: yes, if it is what the request asks for. What a
/// fork would have inherited needs not be asked for.
fn found(present: &Present, request: &Create) -> Result<Created, Error> {
    let birth = &present.birth;
    if !is_same_origin(birth.origin.as_ref(), request) {
        return Err(Error::Exists(
            "origin (Stream-Forked-From, Stream-Fork-Offset)",
        ));
    }
    let is_fork = birth.origin.is_some();
    let same_type = match &request.content_type {
        Some(content_type) => birth.content_type.matches(content_type),
        None => is_fork || birth.content_type.matches(&ContentType::default_type()),
    };
    let same_expiry = match (&birth.expiry, &request.expiry) {
        (Some(a), Some(b)) => a.matches(b),
        (Some(_), None) => is_fork,
        (None, b) => b.is_none(),
    };
    let same_retention = match request.retention {
        Some(retention) => birth.retention == Some(retention),
        None => is_fork || birth.retention.is_none(),
    };
    if !same_type {
        return Err(Error::Exists("Content-Type"));
    }
    if !same_expiry {
        return Err(Error::Exists("lifetime (Stream-TTL or Stream-Expires-At)"));
    }
    if !same_retention {
        return Err(Error::Exists("retention (Stream-Retention)"));
    }
    let will = request
        .will
        .as_ref()
        .map(|will| will.of_type(&birth.content_type));
    if birth.will != will.transpose()? {
        return Err(Error::Exists("will (Stream-Will-After or Stream-Will)"));
    }
    if present.state.closed != request.closed {
        return Err(Error::Exists("closed status (Stream-Closed)"));
    }
    if present.birth.public != request.public {
        return Err(Error::Exists("audience (public)"));
    }
    Ok(Created {
        is_new: false,
        content_type: birth.content_type.clone(),
        tail: present.tail.offset,
        closed: present.state.closed,
        will_after: birth.will.as_ref().map(|will| will.after),
        count: 0,
    })
}

/// A fork offset that is left out stands for whatever the source's tail was.
fn is_same_origin(origin: Option<&Origin>, request: &Create) -> bool {
    match (origin, &request.fork) {
        (None, None) => true,
        (Some(origin), Some(fork)) => {
            let offset = fork.offset.map(Offset::position);
            origin.path == fork.source.as_str()
                && offset.is_none_or(|offset| offset == origin.offset)
                && origin.sub_offset == fork.sub_offset
        }
        _ => false,
    }
}
