//! What a client asks of a subscription when it creates it (section 6.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::copy::Copying;
use crate::protocol::ask::MAX_BODY;
use crate::protocol::error::Error;
use crate::protocol::glob::Glob;
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;

/// The most streams that are linked because somebody named them.
pub const MAX_EXPLICIT: u64 = 10_000;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 1024;
/// The longest URL of a receiver, in bytes.
const MAX_URL: usize = 2048;
/// How long a lease lasts, in milliseconds, if nobody says.
const DEFAULT_LEASE: u64 = 30_000;

/// What is fixed when a subscription is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Whom it wakes, and how.
    pub delivery: Delivery,
    /// What paths of streams have to match, if it is about any but those that were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// How long a lease lasts, in milliseconds.
    pub lease_ttl_ms: u64,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// See [`Config::delivery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// A receiver is asked at this URL (section 7.1).
    Webhook(String),
    /// An event is appended to the stream at this path, and workers race for it (section 7.2).
    PullWake(String),
    /// What is appended to its streams is appended to another one, too.
    Copy(Copying),
}

/// A request to create a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is fixed.
    pub config: Config,
    /// The streams that it names, in order, each once.
    pub streams: Vec<String>,
    /// Tells configurations apart: two that mean the same have the same.
    pub hash: String,
}

impl Wanted {
    /// Reads the body of a request. Where webhooks may go is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`SubscriptionError::Invalid`] with the field at fault.
    pub fn parse(body: &str, root: &Root) -> Result<Self, Error> {
        let mut fields = Fields::parse(body)?;
        let kind = fields.text("type", usize::MAX)?;
        let pattern = match fields.text("pattern", usize::MAX)? {
            Some(text) if !text.is_empty() => {
                let glob = Glob::parse(&text);
                let glob = glob.map_err(|why| SubscriptionError::invalid("pattern", why))?;
                Some(glob.as_str().to_owned())
            }
            _ => None,
        };
        let streams = paths(&mut fields, root)?;
        match kind.as_deref() {
            Some("copy") => {
                let copying = Copying::parse(&mut fields, root)?;
                return Self::end(fields, Delivery::Copy(copying), pattern, streams);
            }
            _ => Copying::refuse(&mut fields)?,
        }
        let url = url(&mut fields)?;
        let wake_stream = match fields.text("wake_stream", usize::MAX)? {
            Some(path) if !path.is_empty() => Some(path_in(root, "wake_stream", &path)?),
            _ => None,
        };
        let delivery = match kind.as_deref() {
            Some("webhook") => Delivery::Webhook(url.ok_or_else(|| {
                SubscriptionError::invalid("webhook.url", "must be there when type is webhook")
            })?),
            Some("pull-wake") => Delivery::PullWake(wake_stream.ok_or_else(|| {
                SubscriptionError::invalid("wake_stream", "must be there when type is pull-wake")
            })?),
            _ => {
                let rule = "must be \"webhook\", \"pull-wake\" or \"copy\"";
                return Err(SubscriptionError::invalid("type", rule).into());
            }
        };
        Self::end(fields, delivery, pattern, streams)
    }

    /// Reads what is the same for all types.
    fn end(
        mut fields: Fields,
        delivery: Delivery,
        pattern: Option<String>,
        streams: Vec<String>,
    ) -> Result<Self, Error> {
        let lease_ttl_ms = lease(&mut fields)?;
        let description = fields.text("description", MAX_DESCRIPTION)?;
        let known = match delivery {
            Delivery::Copy(_) => {
                "type, pattern, streams, target_stream, from, envelope, description"
            }
            _ => "type, pattern, streams, webhook, wake_stream, lease_ttl_ms, description",
        };
        fields.end(known, "")?;
        if pattern.is_none() && streams.is_empty() {
            let rule = "or streams must be there, and not be empty";
            return Err(SubscriptionError::invalid("pattern", rule).into());
        }
        let config = Config {
            delivery,
            pattern,
            lease_ttl_ms,
            description,
        };
        config.check_streams(&streams)?;
        let hash = config.hash(&streams);
        Ok(Self {
            config,
            streams,
            hash,
        })
    }
}

impl Config {
    /// `webhook`, `pull-wake` or `copy`.
    pub fn kind(&self) -> &'static str {
        match self.delivery {
            Delivery::Webhook(_) => "webhook",
            Delivery::PullWake(_) => "pull-wake",
            Delivery::Copy(_) => "copy",
        }
    }

    /// The stream in which workers read of wakes.
    pub fn wake_stream(&self) -> Option<&str> {
        match &self.delivery {
            Delivery::PullWake(path) => Some(path),
            Delivery::Webhook(_) | Delivery::Copy(_) => None,
        }
    }

    /// The stream that it writes to itself, and the field that says so.
    fn own(&self) -> Option<(&str, &'static str)> {
        match &self.delivery {
            Delivery::PullWake(path) => Some((path, "wake_stream")),
            Delivery::Copy(copying) => Some((&copying.target, "target_stream")),
            Delivery::Webhook(_) => None,
        }
    }

    /// Whether it writes to a stream itself.
    pub fn is_own(&self, path: &str) -> bool {
        self.own().is_some_and(|(own, _)| own == path)
    }

    /// Refuses streams that it cannot be about.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn check_streams(&self, streams: &[String]) -> Result<(), SubscriptionError> {
        match self.own() {
            Some((own, field)) if streams.iter().any(|path| path == own) => {
                Err(SubscriptionError::invalid(
                    "streams",
                    format!("must not hold {own:?}, the subscription's own {field}"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what is about wakes where there are none.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn requires_wakes(&self) -> Result<(), SubscriptionError> {
        match self.delivery {
            Delivery::Copy(_) => Err(SubscriptionError::invalid(
                "the subscription",
                "is of type copy: it wakes nobody, and tries again by itself",
            )),
            _ => Ok(()),
        }
    }

    fn hash(&self, streams: &[String]) -> String {
        let Self {
            delivery,
            pattern,
            lease_ttl_ms,
            description,
        } = self;
        let all = json!([
            1,
            delivery,
            pattern,
            streams,
            lease_ttl_ms,
            description.as_deref().unwrap_or_default()
        ]);
        hex(&Sha256::digest(all.to_string().as_bytes()))
    }
}

/// Reads the body of a request to link streams (section 6.4).
///
/// # Errors
///
/// As [`Wanted::parse`].
pub fn added(body: &str, root: &Root) -> Result<Vec<String>, Error> {
    let mut fields = Fields::parse(body)?;
    let streams = paths(&mut fields, root)?;
    fields.end("streams", "")?;
    match streams.is_empty() {
        true => Err(SubscriptionError::invalid("streams", PATHS).into()),
        false => Ok(streams),
    }
}

/// Some bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PATHS: &str = "must be an array of paths of streams, relative to the root";

/// The streams that a request names, in order, each once.
fn paths(fields: &mut Fields, root: &Root) -> Result<Vec<String>, SubscriptionError> {
    let Some(value) = fields.take("streams") else {
        return Ok(Vec::new());
    };
    let Value::Array(values) = value else {
        return Err(SubscriptionError::invalid("streams", PATHS));
    };
    let mut paths = BTreeSet::new();
    for (n, value) in values.iter().enumerate() {
        let field = format!("streams[{n}]");
        let Some(path) = value.as_str() else {
            let rule = "must be a text, the path of a stream";
            return Err(SubscriptionError::invalid(field, rule));
        };
        paths.insert(path_in(root, &field, path)?);
    }
    if u64::try_from(paths.len()).is_ok_and(|length| length <= MAX_EXPLICIT) {
        return Ok(paths.into_iter().collect());
    }
    Err(too_many())
}

/// There would be more links than there may be.
pub fn too_many() -> SubscriptionError {
    SubscriptionError::invalid(
        "streams",
        format!("must name at most {MAX_EXPLICIT} streams in all; use a pattern for more"),
    )
}

/// A path of a stream as it is kept: without slashes at its ends.
pub(super) fn path_in(root: &Root, field: &str, path: &str) -> Result<String, SubscriptionError> {
    let path = path.trim_matches('/');
    match root.stream(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(Error::Invalid { message, .. }) => Err(SubscriptionError::invalid(field, message)),
        Err(error) => Err(SubscriptionError::invalid(
            field,
            format!("is no path of a stream: {error}"),
        )),
    }
}

fn url(fields: &mut Fields) -> Result<Option<String>, SubscriptionError> {
    let webhook = match fields.take("webhook") {
        None => return Ok(None),
        Some(Value::Object(webhook)) => webhook,
        Some(_) => {
            let rule = "must be an object with a url";
            return Err(SubscriptionError::invalid("webhook", rule));
        }
    };
    let mut webhook = Fields(webhook);
    let url = webhook.text("url", MAX_URL).map_err(|error| match error {
        SubscriptionError::Invalid { message, .. } => {
            SubscriptionError::invalid("webhook.url", message)
        }
        other => other,
    })?;
    webhook.end("url", "webhook.")?;
    Ok(url.filter(|url| !url.is_empty()))
}

fn lease(fields: &mut Fields) -> Result<u64, SubscriptionError> {
    let Some(value) = fields.take("lease_ttl_ms") else {
        return Ok(DEFAULT_LEASE);
    };
    let lease = value.as_u64().filter(|ms| (1_000..=600_000).contains(ms));
    lease.ok_or_else(|| {
        SubscriptionError::invalid("lease_ttl_ms", "must be an integer from 1000 to 600000")
    })
}

/// The fields of a JSON object, which are taken one by one.
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; an empty one has no fields.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`SubscriptionError::Invalid`].
    pub fn parse(body: &str) -> Result<Self, Error> {
        if body.len() > MAX_BODY {
            let limit = MAX_BODY.try_into().unwrap_or(u64::MAX);
            return Err(Error::TooLarge { limit });
        }
        if body.trim().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body.as_bytes()) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(SubscriptionError::invalid("the body", "must be a JSON object").into()),
            Err(error) => {
                let message = format!("must be JSON: {error}");
                Err(SubscriptionError::invalid("the body", message).into())
            }
        }
    }

    /// A field, unless it is missing or null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A truth, which is false where nothing is said.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn flag(&mut self, name: &str) -> Result<bool, SubscriptionError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(SubscriptionError::invalid(name, "must be true or false")),
        }
    }

    /// Refuses what must not be there.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn lacks(&mut self, names: &[&str], why: &str) -> Result<(), SubscriptionError> {
        match names.iter().find(|name| self.take(name).is_some()) {
            Some(name) => Err(SubscriptionError::invalid(*name, why)),
            None => Ok(()),
        }
    }

    /// A text of so many bytes at most.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn text(&mut self, name: &str, most: usize) -> Result<Option<String>, SubscriptionError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= most => Ok(Some(text)),
            Some(Value::String(_)) => Err(SubscriptionError::invalid(
                name,
                format!("must have at most {most} bytes"),
            )),
            Some(_) => Err(SubscriptionError::invalid(name, "must be a text")),
        }
    }

    /// Refuses what was not taken.
    fn end(self, known: &str, within: &str) -> Result<(), SubscriptionError> {
        let unknown = self.0.keys().map(|name| format!("{within}{name}"));
        let unknown: Vec<String> = unknown.collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let rule = format!("is nothing that is known here; there may be {known}");
        Err(SubscriptionError::invalid(unknown.join(", "), rule))
    }
}
