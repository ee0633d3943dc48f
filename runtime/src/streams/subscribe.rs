//! What a subscription is to be (section 6.2).

use std::time::Duration;

use serde::Serialize;

/// Whom to wake, or where to copy to, when which streams have grown. Paths count from the root of the
/// [subscriptions](super::Subscriptions).
#[derive(Clone, Debug, Serialize)]
pub struct Subscribe {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    streams: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<Webhook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Webhook {
    url: String,
}

impl Subscribe {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            pattern: None,
            streams: Vec::new(),
            webhook: None,
            wake_stream: None,
            target_stream: None,
            from: None,
            envelope: None,
            lease_ttl_ms: None,
            description: None,
        }
    }

    /// A receiver is sent a signed request.
    pub fn webhook(url: impl Into<String>) -> Self {
        Self {
            webhook: Some(Webhook { url: url.into() }),
            ..Self::of("webhook")
        }
    }

    /// Workers read of wakes in a stream, and [claim](super::Subscriptions::claim) them.
    pub fn pull_wake(wake_stream: impl Into<String>) -> Self {
        Self {
            wake_stream: Some(wake_stream.into()),
            ..Self::of("pull-wake")
        }
    }

    /// Every message is appended to one more stream, too, which has to be there.
    pub fn copy(target: impl Into<String>) -> Self {
        Self {
            target_stream: Some(target.into()),
            ..Self::of("copy")
        }
    }

    /// About the streams whose path a pattern matches, as in `orders/*`.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// About these streams, and those that were named before.
    #[must_use]
    pub fn streams<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Self {
        self.streams.extend(paths.into_iter().map(Into::into));
        self
    }

    /// For how long whoever has a wake has it alone, unless they ack or come back before: from 1 s to
    /// 10 min. Not for copies.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease_ttl_ms = Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Copies have what is there already, too.
    #[must_use]
    pub fn from_start(mut self) -> Self {
        self.from = Some("start");
        self
    }

    /// Copies say which stream they are of, and where they were.
    #[must_use]
    pub fn envelope(mut self) -> Self {
        self.envelope = Some(true);
        self
    }

    /// Some words for people.
    #[must_use]
    pub fn description(mut self, words: impl Into<String>) -> Self {
        self.description = Some(words.into());
        self
    }

    /// Whether its receiver is told where the server is.
    pub(super) fn is_webhook(&self) -> bool {
        self.webhook.is_some()
    }
}
