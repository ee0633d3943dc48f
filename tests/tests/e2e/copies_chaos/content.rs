//! What a source holds, and what a target holds of it, in one form: so that they can be compared.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use durable_streams_tests::http::Client;
use durable_streams_tests::stream::Stream;
use serde::Deserialize;
use serde_json::Value;

use super::source::Source;

/// The content of a source, all of it or what a target has.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Messages of JSON.
    Messages(Vec<Value>),
    /// Text.
    Bytes(Vec<u8>),
}

/// What is around a copy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The source's path.
    pub stream: String,
    /// Where a reader of the source goes on behind it.
    pub offset: String,
    data: Value,
    encoding: Option<String>,
}

/// The offset at a position.
pub fn offset(position: usize) -> String {
    format!("{:016}_{position:016}_0000", 0)
}

impl Envelope {
    /// The number of the message that was copied; nothing of a text.
    pub fn number(&self) -> Option<usize> {
        usize::try_from(self.data["n"].as_u64()?).ok()
    }
}

impl Content {
    fn empty(is_json: bool) -> Self {
        if is_json {
            Self::Messages(Vec::new())
        } else {
            Self::Bytes(Vec::new())
        }
    }

    /// What a source holds.
    pub fn of(client: &Client, source: &Source) -> Result<Self> {
        let whole = Stream::named(client, &source.path, source.content_type()).read()?;
        Ok(if source.is_json {
            Self::Messages(whole.messages()?)
        } else {
            Self::Bytes(whole.pages.concat())
        })
    }

    /// What bare copies make of a source, whose messages say which it is.
    pub fn of_bare(source: &Source, copies: &[Value]) -> Self {
        let of = copies.iter().filter(|message| message["s"] == *source.path);
        Self::Messages(of.cloned().collect())
    }

    /// What copies in envelopes make of a source: each has to say at which offset it ends.
    pub fn of_enveloped(source: &Source, copies: &[Envelope]) -> Result<Self> {
        let mut content = Self::empty(source.is_json);
        for copy in copies.iter().filter(|copy| copy.stream == source.path) {
            match (&mut content, &copy.encoding, &copy.data) {
                (Self::Messages(messages), None, data) => messages.push(data.clone()),
                (Self::Bytes(bytes), Some(encoding), Value::String(data)) => {
                    ensure!(encoding == "base64", "{copy:?}");
                    let data = STANDARD.decode(data).ok().context("no base64")?;
                    ensure!(!data.is_empty(), "a copy of nothing: {copy:?}");
                    bytes.extend(data);
                }
                _ => bail!("{copy:?}"),
            }
            let expected = offset(content.length());
            ensure!(copy.offset == expected, "{expected} is not of {copy:?}");
        }
        Ok(content)
    }

    /// How far it goes.
    pub fn length(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The numbers of its messages.
    pub fn numbers(&self) -> Result<Vec<usize>> {
        let numbers = match self {
            Self::Messages(messages) => messages
                .iter()
                .map(|message| message["n"].as_u64().map(usize::try_from))
                .map(|n| Ok(n.context("no number")??))
                .collect::<Result<_>>()?,
            Self::Bytes(bytes) => std::str::from_utf8(bytes)?
                .lines()
                .map(|line| Ok(line.split(' ').next().unwrap_or_default().parse()?))
                .collect::<Result<_>>()?,
        };
        Ok(numbers)
    }

    /// Whether a target's content is this; what it has instead is said in short.
    pub fn is_copied_as(&self, copied: &Self) -> Result<()> {
        if self == copied {
            return Ok(());
        }
        let (expected, found) = (self.numbers()?, copied.numbers()?);
        let same = expected.iter().zip(&found).take_while(|(a, b)| a == b);
        let at = same.count();
        let around = |numbers: &[usize]| {
            let end = numbers.len().min(at + 5);
            numbers[at.saturating_sub(2).min(end)..end].to_vec()
        };
        bail!(
            "{} of {} messages; at {at} there are {:?} instead of {:?}",
            found.len(),
            expected.len(),
            around(&found),
            around(&expected)
        )
    }

    /// Whether it holds what was acknowledged, and nothing twice or out of order.
    pub fn holds(&self, acknowledged: &[usize]) -> Result<()> {
        let numbers = self.numbers()?;
        let in_order = numbers.is_sorted_by(|a, b| a < b);
        ensure!(in_order, "it does not hold each message once: {numbers:?}");
        let missing = acknowledged
            .iter()
            .filter(|n| numbers.binary_search(n).is_err());
        let missing: Vec<_> = missing.collect();
        ensure!(missing.is_empty(), "it was acknowledged: {missing:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Content, Envelope, offset};
    use crate::copies_chaos::source::Source;

    fn messages(numbers: &[usize]) -> Content {
        Content::Messages(numbers.iter().map(|n| json!({ "n": n })).collect())
    }

    #[test]
    fn what_is_not_copied_exactly_is_noticed() {
        let content = messages(&[0, 1, 3, 4]);
        assert!(content.is_copied_as(&content).is_ok());
        for other in [
            &[0, 1, 3][..],
            &[0, 3, 1, 4],
            &[0, 1, 1, 3, 4],
            &[1, 3, 4],
            &[],
        ] {
            assert!(content.is_copied_as(&messages(other)).is_err(), "{other:?}");
        }
        assert!(content.holds(&[0, 3, 4]).is_ok());
        assert!(content.holds(&[2]).is_err());
        assert!(messages(&[0, 1, 1]).holds(&[]).is_err());
        assert!(messages(&[1, 0]).holds(&[]).is_err());
    }

    #[test]
    fn envelopes_are_opened() {
        let envelope = |source: &Source, data, at, encoding: Option<&str>| Envelope {
            stream: source.path.clone(),
            offset: offset(at),
            data,
            encoding: encoding.map(str::to_owned),
        };
        let [json, text] = [true, false].map(|is_json| Source {
            path: format!("from/{is_json}"),
            is_json,
            repeats: true,
        });
        let base64 = Some("base64");
        let copies = [
            envelope(&json, json!({ "n": 0 }), 1, None),
            envelope(&text, json!("MCB4Cg=="), 4, base64),
            envelope(&json, json!({ "n": 2 }), 2, None),
            envelope(&text, json!("MQo="), 6, base64),
        ];
        let opened = Content::of_enveloped(&json, &copies).unwrap();
        assert_eq!(opened, messages(&[0, 2]));
        let opened = Content::of_enveloped(&text, &copies).unwrap();
        assert_eq!(opened, Content::Bytes(b"0 x\n1\n".to_vec()));
        assert_eq!(opened.numbers().unwrap(), [0, 1]);
        for wrong in [
            envelope(&json, json!({ "n": 0 }), 2, None),
            envelope(&json, json!("MQo="), 1, base64),
        ] {
            assert!(Content::of_enveloped(&json, &[wrong]).is_err());
        }
        for wrong in [
            envelope(&text, json!("MQo="), 2, None),
            envelope(&text, json!("MQo="), 3, base64),
            envelope(&text, json!(""), 0, base64),
        ] {
            assert!(Content::of_enveloped(&text, &[wrong]).is_err());
        }
    }

    #[test]
    fn bare_copies_are_told_apart() {
        let source = Source {
            path: "from/1".into(),
            is_json: true,
            repeats: true,
        };
        let copies = [
            json!({ "s": "from/1", "n": 0 }),
            json!({ "s": "from/2", "n": 0 }),
        ];
        assert_eq!(Content::of_bare(&source, &copies).length(), 1);
    }
}
