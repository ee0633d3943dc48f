//! A subscription as clients see it (section 6.3). Neither keys nor tokens are in it.

use serde_json::{Value, json};

use super::config::Delivery;
use super::copy::Copying;
use super::core::Core;
use super::links::{self, Link};
use super::positions::Positions;
use super::record::{Backfill, Record, Stage};
use super::sources::why;
use super::telling::{Entry, MOST_STREAMS, offset};
use crate::protocol::error::Error;
use crate::protocol::path;
use crate::protocol::subscription_error::SubscriptionError;
use crate::protocol::time::iso;
use crate::stream::storage::Storage;

/// Which of the streams are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    after: String,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: String::new(),
            limit: MOST_STREAMS,
        }
    }
}

impl Page {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn parse(query: &str) -> Result<Self, SubscriptionError> {
        let mut page = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => page.after = value.into_owned(),
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=MOST_STREAMS).contains(limit));
                    let rule = format!("must be 1 to {MOST_STREAMS}");
                    page.limit = limit.ok_or_else(|| SubscriptionError::invalid("limit", rule))?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

impl Link {
    /// How the stream came to be linked. What somebody has named counts more.
    pub fn kind(&self) -> &'static str {
        match self.explicit {
            true => "explicit",
            false => "glob",
        }
    }
}

impl<S: Storage> Core<S> {
    /// The subscription, seen from the URL of its root; its webhooks are signed with the key `kid`. Its
    /// copies are at `positions`, and have not arrived for so many attempts in a row.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn describe(
        &mut self,
        base: &str,
        kid: Option<&str>,
        page: &Page,
        positions: &Positions,
        failures: u32,
    ) -> Result<Value, Error> {
        let (storage, present) = self.present()?;
        let entries = entries(storage, page)?;
        let (record, book) = (&present.record, &present.book);
        let streams = entries
            .iter()
            .map(|(path, link)| record.link(path, link, positions));
        let streams: Vec<Value> = streams.collect();
        let copying = record.config.delivery.copying();
        let (pending, lag) = match copying {
            Some(_) => positions.lag(&record.life),
            None => (book.pending, book.lag),
        };
        let is_failing = record.failing.is_some() || record.parked.is_some();
        let mut shown = json!({
            "id": record.id,
            "subscription_id": record.id,
            "type": record.config.kind(),
            "pattern": record.config.pattern,
            "streams": streams,
            "streams_total": book.links,
            "webhook": record.webhook(base, kid),
            "wake_stream": record.config.wake_stream(),
            "lease_ttl_ms": copying.is_none().then_some(record.config.lease_ttl_ms),
            "created_at": iso(record.life.born),
            "status": if is_failing { "failed" } else { "active" },
            "description": record.config.description,
            "generation": record.generation,
            "pending": pending,
            "lag": lag,
            "backfill": {
                "state": if is_complete(record, book.unplaced) { "complete" } else { "running" },
                "linked": record.linked,
            },
        });
        if let (Some(all), Value::Object(more)) = (shown.as_object_mut(), record.progress()) {
            all.extend(more);
        }
        if let (Some(all), Some(copying)) = (shown.as_object_mut(), copying) {
            let more = record.copies(copying, failures);
            all.extend(more.as_object().cloned().unwrap_or_default());
        }
        Ok(shown)
    }

    /// The paths of the streams that are wanted.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn paths(&mut self, page: &Page) -> Result<Vec<String>, Error> {
        let (storage, _) = self.present()?;
        let entries = entries(storage, page)?.into_iter();
        Ok(entries.map(|(path, _)| path).collect())
    }
}

/// The links that are wanted.
fn entries(storage: &impl Storage, page: &Page) -> Result<Vec<Entry>, Error> {
    // Rows that only linger are passed over, so that there may have to be further ones.
    let (mut entries, mut after) = (Vec::new(), page.after.clone());
    while entries.len() < page.limit {
        let limit = page.limit.saturating_sub(entries.len());
        let rows = links::page(storage, &after, limit)?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        after.clone_from(last);
        entries.extend(rows.into_iter().filter(|(_, link)| !link.is_gone()));
    }
    Ok(entries)
}

/// Whether all streams that were there are linked.
pub(super) fn is_complete(record: &Record, unplaced: u64) -> bool {
    record.backfill == Backfill::Complete && unplaced == 0
}

impl Record {
    fn link(&self, path: &str, link: &Link, positions: &Positions) -> Value {
        let copied = link.incarnation.as_ref();
        let copied = copied.and_then(|it| positions.at(&self.life, path, it));
        let mut shown = json!({
            "path": path,
            "link_type": link.kind(),
            "acked_offset": offset(copied.unwrap_or(link.acked)),
        });
        if let (Some(shown), Some(refusal)) = (shown.as_object_mut(), &link.refused) {
            shown.insert("refused".to_owned(), why(self, refusal).into());
        }
        shown
    }

    /// What is shown of a subscription that copies.
    fn copies(&self, copying: &Copying, failures: u32) -> Value {
        let failing = self.failing.as_ref();
        let error = failing.map(|failing| &failing.error);
        json!({
            "target_stream": copying.target,
            "from": copying.from.as_str(),
            "envelope": copying.envelope,
            "attempts": failing.map_or(0, |failing| failing.attempts.max(failures)),
            "last_error": self.parked.as_ref().or(error),
            "parked": self.parked.is_some(),
        })
    }

    fn webhook(&self, base: &str, kid: Option<&str>) -> Value {
        let Delivery::Webhook(url) = &self.config.delivery else {
            return Value::Null;
        };
        json!({
            "url": url,
            "signing": {
                "alg": "ed25519",
                "kid": kid,
                "jwks_url": format!("{base}/{}/jwks.json", path::RESERVED),
            },
        })
    }

    /// What is going on.
    fn progress(&self) -> Value {
        let stage = self.wake.as_ref().map(|wake| &wake.stage);
        let (phase, holder, lease, next) = match stage {
            None => ("idle", None, None, None),
            Some(Stage::Due { at }) => ("waking", None, None, Some(*at)),
            Some(Stage::Parked) => ("waking", None, None, None),
            Some(Stage::Held { until, holder }) => ("held", holder.as_deref(), Some(*until), None),
        };
        json!({
            "wake_id": self.wake_id(),
            "phase": phase,
            "holder": holder,
            "lease_expires_at": lease.map(iso),
            "next_attempt_at": next.map(iso),
            "attempts": self.failing.as_ref().map_or(0, |failing| failing.attempts),
            "last_error": self.failing.as_ref().map(|failing| &failing.error),
            "parked": stage == Some(&Stage::Parked),
        })
    }
}
