//! What is in copies: messages as they are, or in envelopes, held against their source.

use std::collections::BTreeMap;

use serde_json::Value;

use super::copies::{ensure, length};
use super::model::Life;
use crate::protocol::ask::CopyPart;
use crate::protocol::offset::Offset;

/// The bytes that are written as base64.
pub fn decoded(text: &str) -> Result<Vec<u8>, String> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    engine
        .decode(text)
        .map_err(|error| format!("{error}: {text}"))
}

/// The lines of some content, each of which is ended.
pub fn lines(content: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default();
    ensure(rest.is_empty(), || "the last message is not ended".into())?;
    Ok(lines)
}

/// What is in a stream between two positions.
fn between(life: &Life, from: u64, to: u64) -> Result<&[Vec<u8>], String> {
    let items = life.items.get(from as usize..to as usize);
    items.ok_or_else(|| format!("{to} is beyond the tail, {}", length(life)))
}

/// Where copies start that come as they are, and the messages, or bytes.
pub fn plain(part: &CopyPart, content: &[u8], life: &Life) -> Result<(u64, Vec<Vec<u8>>), String> {
    ensure(part.base64 != life.is_json, || {
        "it comes in another form".into()
    })?;
    let items: Vec<Vec<u8>> = match part.base64 {
        true => {
            let text = String::from_utf8_lossy(content);
            decoded(&text)?.iter().map(|byte| vec![*byte]).collect()
        }
        false => lines(content)?.into_iter().map(<[u8]>::to_vec).collect(),
    };
    let from = part.to.checked_sub(items.len() as u64);
    let from = from.ok_or("there is more than it says")?;
    let expected = between(life, from, part.to)?;
    ensure(expected == items, || {
        format!("it is {}", String::from_utf8_lossy(content))
    })?;
    Ok((from, items))
}

/// Where copies start that say what they are copies of, and the messages.
pub fn unwrapped(
    part: &CopyPart,
    content: &[u8],
    life: &Life,
) -> Result<(u64, Vec<Vec<u8>>), String> {
    ensure(!part.base64, || "it comes as base64".into())?;
    let mut items = Vec::new();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut offsets = Vec::new();
    for line in lines(content)? {
        let text = String::from_utf8_lossy(line);
        let envelope: BTreeMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_slice(line).map_err(|error| format!("{error}: {text}"))?;
        let field = |name: &str| -> Value {
            let raw = envelope.get(name).map_or("null", |raw| raw.get());
            serde_json::from_str(raw).unwrap_or_default()
        };
        ensure(field("stream") == *part.path, || format!("it says {text}"))?;
        match life.is_json {
            true => {
                let data = envelope.get("data").ok_or("there is no data")?;
                found.push(data.get().as_bytes().to_vec());
            }
            false => {
                ensure(field("encoding") == "base64", || format!("it says {text}"))?;
                let bytes = decoded(field("data").as_str().unwrap_or_default())?;
                found.extend(bytes.iter().map(|byte| vec![*byte]));
            }
        }
        ensure(envelope.len() == 4 - usize::from(life.is_json), || {
            format!("it says {text}")
        })?;
        let offset: Option<Offset> = field("offset").as_str().and_then(|at| at.parse().ok());
        let offset = offset.ok_or_else(|| format!("it says {text}"))?;
        offsets.push((offset.position(), found.len() as u64));
        items.push(line.to_vec());
    }
    let from = part.to.checked_sub(found.len() as u64);
    let from = from.ok_or("there is more than it says")?;
    let expected = between(life, from, part.to)?;
    ensure(expected == found, || {
        format!("it is {}", String::from_utf8_lossy(content))
    })?;
    for (offset, count) in offsets {
        ensure(offset == from + count, || {
            format!("one reads on at {}, not at {offset}", from + count)
        })?;
    }
    Ok((from, items))
}
