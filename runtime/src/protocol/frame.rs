//! A reply in one piece, as it travels from a stream's object to the edge of a reader that waits.
//!
//! Four bytes of length (big-endian), the status and headers in so many bytes of JSON, the body.

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
    let head = serde_json::json!(head).to_string();
    let length = u32::try_from(head.len()).ok()?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(head.as_bytes());
    frame.extend_from_slice(&reply.body);
    Some(frame)
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
            prop_assert_eq!(decode_head(&frame[start..end]), Some(Head { status, headers }));
            prop_assert_eq!(&frame[end..], &body[..]);
        }
    }

    #[test]
    fn garbage_is_nothing() {
        assert_eq!(head_length(&[0, 0, 1]), None);
        assert_eq!(decode_head(b"[]"), None);
    }
}
