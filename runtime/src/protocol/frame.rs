//! A head and a body in one piece, as they travel between objects and from an object to the edge
//! of a reader that waits: four bytes of length (big-endian), the head in so many bytes of JSON,
//! the body.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reply::Reply;
use super::version::{SPOKEN, Stated};

/// Status and headers of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Stated,
    /// The HTTP status.
    pub status: u16,
    /// The headers by name.
    pub headers: BTreeMap<String, String>,
}

impl Head {
    /// The head of a reply.
    pub fn of(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        let mut head = Self {
            v: Some(SPOKEN),
            status,
            headers: BTreeMap::new(),
        };
        // One by one: a collection of them all would be sorted first.
        for (name, value) in headers {
            head.headers.insert(name.to_owned(), value);
        }
        head
    }
}

/// Puts a reply in one piece; `None` when its head is longer than any can be.
pub fn encode(reply: Reply) -> Option<Vec<u8>> {
    join(&Head::of(reply.status, reply.headers), &reply.body)
}

/// Puts a head and a body in one piece; `None` when the head is longer than any can be.
pub fn join(head: &impl Serialize, body: &[u8]) -> Option<Vec<u8>> {
    let head = serde_json::to_vec(head).ok()?;
    let length = u32::try_from(head.len()).ok()?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&head);
    frame.extend_from_slice(body);
    Some(frame)
}

/// Takes apart what [`join`] made.
pub fn split<T: DeserializeOwned>(frame: &[u8]) -> Option<(T, &[u8])> {
    let (head, body) = cut(frame)?;
    Some((serde_json::from_slice(head).ok()?, body))
}

/// The text of the head and the body.
pub fn cut(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = frame.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*prefix)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_round_trip(status: u16, value in "\\PC{0,20}", body: Vec<u8>) {
            let mut reply = Reply::new(status).with("X-Test", value);
            reply.body = body.clone();
            let head = Head::of(status, reply.headers.clone());
            let frame = encode(reply).unwrap();
            prop_assert_eq!(split(&frame), Some((head, &body[..])));
        }
    }

    #[test]
    fn a_head_of_version_1_does_not_say_so() {
        let head: Head = serde_json::from_str(r#"{"status":204,"headers":{"A":"b"}}"#).unwrap();
        assert_eq!((head.v, head.status), (None, 204));
    }

    #[test]
    fn garbage_is_nothing() {
        assert_eq!(split::<Head>(&[0, 0, 1]), None);
        assert_eq!(split::<u8>(&[0, 0, 0, 9, b'1']), None);
    }
}
