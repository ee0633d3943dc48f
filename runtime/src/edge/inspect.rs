//! One stream and all that is known of it. Its object says that; no directory is asked.

use super::control::{ask, heard, passed_on};
use super::ports::Ports;
use crate::machine::Peer;
use crate::protocol::ask::{INSPECT, Inspect, say};
use crate::protocol::error::Error;
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;

const OTHER: Error = Error::Forbidden("the token is for another stream");

/// What the stream at a path below a root is; nothing of any but one, if no other may be seen.
///
/// # Errors
///
/// [`Error::Forbidden`], [`Error::Invalid`] for what is no path of a stream, [`Error::NotFound`];
/// [`SubscriptionError::NoAnswer`](crate::protocol::subscription_error::SubscriptionError::NoAnswer),
/// also of an object that an earlier release still runs.
pub(super) async fn stream<P: Ports>(
    ports: &P,
    root: Root,
    only: Option<&str>,
    path: &str,
) -> Result<Reply, Error> {
    if only.is_some_and(|only| only != path) {
        return Err(OTHER);
    }
    let name = root.stream(path)?;
    let asked = Inspect {
        root,
        alone: only.is_some(),
    };
    match ask(ports, Peer::Stream(&name), INSPECT, say(&asked)).await? {
        (200, description) => Ok(passed_on(200, description)),
        (204, _) => Err(Error::NotFound),
        (status, _) => heard(
            ports,
            Err(Error::Unavailable(format!(
                "{name} answers {status} to what is known of it"
            ))),
        ),
    }
}
