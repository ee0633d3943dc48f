//! A subscription as clients see it (section 6.3). Neither keys nor tokens are in it.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::config::Delivery;
use super::core::Core;
use super::links::{self, Link};
use super::record::{Backfill, Record, Stage};
use super::telling::{MOST_STREAMS, offset};
use crate::protocol::error::Error;
use crate::protocol::path;
use crate::protocol::subscription_error::SubscriptionError;
use crate::stream::storage::Storage;

/// Which of the streams are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    after: String,
    limit: usize,
}

impl Page {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn parse(query: &str) -> Result<Self, SubscriptionError> {
        let mut page = Self {
            after: String::new(),
            limit: MOST_STREAMS,
        };
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
    /// The subscription, seen from the URL of its root; its webhooks are signed with the key `kid`.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NotFound`], [`Error::Storage`], [`Error::Newer`].
    pub fn describe(&mut self, base: &str, kid: Option<&str>, page: &Page) -> Result<Value, Error> {
        let (storage, present) = self.present()?;
        // Rows that only linger are passed over, so that there may have to be further ones.
        let (mut streams, mut after) = (Vec::new(), page.after.clone());
        while streams.len() < page.limit {
            let limit = page.limit.saturating_sub(streams.len());
            let rows = links::page(storage, &after, limit)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            after.clone_from(last);
            streams.extend(
                rows.iter()
                    .filter(|(_, link)| !link.is_gone())
                    .map(|(path, link)| {
                        json!({
                            "path": path,
                            "link_type": link.kind(),
                            "acked_offset": offset(link.acked),
                        })
                    }),
            );
        }
        let (record, book) = (&present.record, &present.book);
        let mut shown = json!({
            "id": record.id,
            "subscription_id": record.id,
            "type": record.config.kind(),
            "pattern": record.config.pattern,
            "streams": streams,
            "streams_total": book.links,
            "webhook": record.webhook(base, kid),
            "wake_stream": record.config.wake_stream(),
            "lease_ttl_ms": record.config.lease_ttl_ms,
            "created_at": date(record.life.born),
            "status": if record.failing.is_some() { "failed" } else { "active" },
            "description": record.config.description,
            "generation": record.generation,
            "pending": book.pending,
            "lag": book.lag,
            "backfill": {
                "state": if is_complete(record, book.unplaced) { "complete" } else { "running" },
                "linked": record.linked,
            },
        });
        if let (Some(all), Value::Object(more)) = (shown.as_object_mut(), record.progress()) {
            all.extend(more);
        }
        Ok(shown)
    }
}

/// Whether all streams that were there are linked.
pub(super) fn is_complete(record: &Record, unplaced: u64) -> bool {
    record.backfill == Backfill::Complete && unplaced == 0
}

impl Record {
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
            "lease_expires_at": lease.map(date),
            "next_attempt_at": next.map(date),
            "attempts": self.failing.as_ref().map_or(0, |failing| failing.attempts),
            "last_error": self.failing.as_ref().map(|failing| &failing.error),
            "parked": stage == Some(&Stage::Parked),
        })
    }
}

/// A time as text.
fn date(millis: u64) -> Option<String> {
    let date = DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)?;
    Some(date.to_rfc3339_opts(SecondsFormat::Millis, true))
}
