//! A head and a body in one piece, as they travel between objects and from an object to the edge
//! of a reader that waits: four bytes of length (big-endian), the head in so many bytes of JSON,
//! the body.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reply::Reply;

/// The length of the part that says how long the head is, in bytes.
pub const PREFIX_BYTES: u32 = 4;

/// Status and headers of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
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
    let (prefix, rest) = frame.split_at_checked(usize::try_from(PREFIX_BYTES).ok()?)?;
    let length = usize::try_from(head_length(prefix)?).ok()?;
    let (head, body) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(head).ok()?, body))
}

/// The length of the head in bytes, from the first bytes of a frame.
pub fn head_length(prefix: &[u8]) -> Option<u32> {
    let bytes = prefix.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

/// Reads the head, without what stands before and after it.
pub fn decode_head(head: &[u8]) -> Option<Head> {
    serde_json::from_slice(head).ok()
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
            let headers: Vec<_> = headers.map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            let frame = encode(reply).unwrap();
            let start = PREFIX_BYTES as usize;
            let end = start + head_length(&frame).unwrap() as usize;
            let head = Head { status, headers };
            prop_assert_eq!(split::<Head>(&frame), Some((head.clone(), &body[..])));
            prop_assert_eq!(decode_head(&frame[start..end]), Some(head));
            prop_assert_eq!(&frame[end..], &body[..]);
        }
    }

    #[test]
    fn garbage_is_nothing() {
        assert_eq!(head_length(&[0, 0, 1]), None);
        assert_eq!(decode_head(b"[]"), None);
        assert_eq!(split::<u8>(&[0, 0, 0, 9, b'1']), None);
    }
}
