//! What a client asks of a subscription that copies: every message of its streams, the sources, is
//! appended to another stream, the target.

use serde::{Deserialize, Serialize};

use super::config::{Delivery, Fields, path_in};
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;

/// What is fixed of it when it is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copying {
    /// The path of the target below the root.
    pub target: String,
    /// What is copied of sources that are there already.
    pub from: From,
    /// Whether each message says which stream it is of, and where it was.
    pub envelope: bool,
}

/// See [`Copying::from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// All that is there.
    Start,
    /// What is appended from now on.
    Now,
}

impl From {
    /// As clients write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Now => "now",
        }
    }
}

/// The fields that are there for this type alone.
const FIELDS: [&str; 3] = ["target_stream", "from", "envelope"];
/// Those that are there for others alone.
const OTHERS: [&str; 3] = ["webhook", "wake_stream", "lease_ttl_ms"];

impl Copying {
    /// Takes the fields that a subscription of type copy has.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn parse(fields: &mut Fields, root: &Root) -> Result<Self, SubscriptionError> {
        fields.lacks(&OTHERS, "is nothing that a subscription of type copy has")?;
        let target = fields.text("target_stream", usize::MAX)?;
        let target = target.filter(|path| !path.is_empty()).ok_or_else(|| {
            SubscriptionError::invalid("target_stream", "must be there when type is copy")
        })?;
        Ok(Self {
            target: path_in(root, "target_stream", &target)?,
            from: match fields.text("from", usize::MAX)?.as_deref() {
                None | Some("now") => From::Now,
                Some("start") => From::Start,
                Some(_) => {
                    let rule = "must be \"now\" or \"start\"";
                    return Err(SubscriptionError::invalid("from", rule));
                }
            },
            envelope: fields.flag("envelope")?,
        })
    }

    /// Refuses the fields of this type in a request for another one.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub fn refuse(fields: &mut Fields) -> Result<(), SubscriptionError> {
        fields.lacks(&FIELDS, "is for subscriptions of type copy alone")
    }
}

impl Delivery {
    /// What it copies, if it does.
    pub fn copying(&self) -> Option<&Copying> {
        match self {
            Self::Copy(copying) => Some(copying),
            Self::Webhook(_) | Self::PullWake(_) => None,
        }
    }
}
