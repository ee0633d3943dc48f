//! A head and a body in one piece, as they travel between objects and from an object to the edge
//! of a reader that waits: four bytes of length (big-endian), the head in so many bytes of JSON,
//! the body.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reply::Reply;

/// Status and headers of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The headers by name.
    pub headers: BTreeMap<String, String>,
}

/// Puts a reply in one piece; `None` when its head is longer than any can be.
pub fn encode(reply: Reply) -> Option<Vec<u8>> {
    let headers = reply.headers.into_iter();
    let head = Head {
        status: reply.status,
        headers: headers.map(|(n, v)| (n.to_owned(), v)).collect(),
    };
    join(&head, &reply.body)
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
    let (prefix, rest) = frame.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*prefix)).ok()?;
    let (head, body) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(head).ok()?, body))
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
            let headers = reply.headers.iter();
            let headers = headers.map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            let frame = encode(reply).unwrap();
            prop_assert_eq!(split(&frame), Some((Head { status, headers }, &body[..])));
        }
    }

    #[test]
    fn garbage_is_nothing() {
        assert_eq!(split::<Head>(&[0, 0, 1]), None);
        assert_eq!(split::<u8>(&[0, 0, 0, 9, b'1']), None);
    }
}
