//! What streams hold: messages of JSON, text, or bytes.

use serde_json::value::RawValue;

use super::Error;

/// The content type whose streams keep their messages apart (section 9.1).
pub const JSON: &str = "application/json";

/// How the content of a stream is to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON, a message at a time.
    Json,
    /// Text.
    Text,
    /// Bytes that mean something to others.
    Bytes,
}

impl Kind {
    /// The kind of a content type, whatever its parameters are.
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            JSON => Self::Json,
            essence if essence.starts_with("text/") => Self::Text,
            _ => Self::Bytes,
        }
    }
}

/// The messages of an array, as they are written there, each without line breaks. What is no array is
/// one message.
///
/// # Errors
///
/// [`Error::Strange`] if it is no JSON.
pub fn split(array: &[u8]) -> Result<Vec<String>, Error> {
    let strange = |error: serde_json::Error| Error::Strange(format!("messages of JSON: {error}"));
    let text = array.trim_ascii();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.first() != Some(&b'[') {
        let one: &RawValue = serde_json::from_slice(text).map_err(strange)?;
        return Ok(vec![on_one_line(one.get())]);
    }
    let all: Vec<&RawValue> = serde_json::from_slice(text).map_err(strange)?;
    Ok(all.into_iter().map(|one| on_one_line(one.get())).collect())
}

/// The array of some messages.
pub fn join<'a>(messages: impl IntoIterator<Item = &'a str>) -> String {
    let mut array = String::from("[");
    for (at, message) in messages.into_iter().enumerate() {
        if at > 0 {
            array.push(',');
        }
        array.push_str(message);
    }
    array.push(']');
    array
}

/// A message without line breaks. They can only be between two of its parts: within a string they are
/// written in another way.
fn on_one_line(message: &str) -> String {
    message.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_content_type_says_the_kind() {
        assert_eq!(Kind::of("application/json"), Kind::Json);
        assert_eq!(Kind::of("Application/JSON; charset=utf-8"), Kind::Json);
        assert_eq!(Kind::of("text/plain"), Kind::Text);
        assert_eq!(Kind::of("application/jsonl"), Kind::Bytes);
        assert_eq!(Kind::of(""), Kind::Bytes);
    }

    #[test]
    fn messages_stay_as_they_were_written() {
        let array = b"[ 1.0e400, 12345678901234567890123,\n{\"a\":\n[1, 2]}, \"\\n\" ]";
        let messages = [
            "1.0e400",
            "12345678901234567890123",
            "{\"a\": [1, 2]}",
            "\"\\n\"",
        ];
        assert_eq!(split(array).unwrap(), messages);
        assert_eq!(split(b"{\"k\":1}").unwrap(), ["{\"k\":1}"]);
        assert_eq!(split(b"[]").unwrap(), [""; 0]);
        assert_eq!(split(b"").unwrap(), [""; 0]);
        split(b"[1,").unwrap_err();
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(texts in proptest::collection::vec(".*", 0..8)) {
            let messages: Vec<String> =
                texts.iter().map(|text| serde_json::to_string(&[text]).unwrap()).collect();
            let array = join(messages.iter().map(String::as_str));
            prop_assert_eq!(split(array.as_bytes()).unwrap(), messages);
        }
    }
}
