//! What is to be appended: arguments, or stdin as it comes.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
    thread,
};

use anyhow::{Context, Result};
use serde_json::{Deserializer, value::RawValue};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{
    error::problem,
    stream::{Kind, content},
};

/// How much goes into one append at most, in bytes: servers take many times that.
const MOST_BYTES: usize = 1 << 20;
/// How many parts wait to be taken at most.
const WAITING: usize = 4096;
/// How much of stdin is taken at once, in bytes.
const PART: usize = 64 << 10;

/// How what is to be appended is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the stream holds.
    pub kind: Kind,
    /// Each argument or line is a text, and becomes a JSON string.
    pub strings: bool,
    /// The elements of arrays are messages.
    pub flatten: bool,
}

/// How many messages go into one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many, so that the same input makes the same appends.
    Exactly(usize),
    /// As many as are there, up to this.
    UpTo(usize),
}

/// What goes into one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// An array of messages, or bytes.
    pub body: Vec<u8>,
    /// How many messages, or bytes.
    pub count: u64,
}

/// A message, or some bytes, or why there is none.
type Part = Result<Vec<u8>>;

/// What is to be appended, in batches.
#[derive(Debug)]
pub struct Input {
    kind: Kind,
    size: Size,
    ready: VecDeque<Part>,
    more: Option<Receiver<Part>>,
}

impl Input {
    /// Arguments.
    pub fn arguments(texts: &[String], reading: Reading, size: Size) -> Result<Self> {
        let mut ready = VecDeque::new();
        for text in texts {
            let parts = match reading.kind {
                Kind::Json => messages(text, reading)?,
                Kind::Text | Kind::Bytes => vec![text.clone().into_bytes()],
            };
            ready.extend(parts.into_iter().map(Ok));
        }
        Ok(Self {
            kind: reading.kind,
            size,
            ready,
            more: None,
        })
    }

    /// What comes on stdin, which is read beside what else is done.
    pub fn stdin(reading: Reading, size: Size) -> Self {
        let (sender, more) = channel(WAITING);
        thread::spawn(move || {
            let stdin = io::stdin().lock();
            match reading.kind {
                Kind::Json if reading.strings => lines(stdin, &sender),
                Kind::Json => values(stdin, reading, &sender),
                kind => bytes(stdin, kind, matches!(size, Size::Exactly(_)), &sender),
            }
        });
        Self {
            kind: reading.kind,
            size,
            ready: VecDeque::new(),
            more: Some(more),
        }
    }

    /// The next append; nothing at the end.
    ///
    /// # Errors
    ///
    /// What cannot be read. All before it was given.
    pub async fn next(&mut self) -> Result<Option<Batch>> {
        let mut parts = Vec::new();
        let mut length = 0;
        let most = match self.size {
            // Bytes come in parts that are all of the same length already.
            Size::Exactly(_) if self.kind != Kind::Json => 1,
            Size::Exactly(count) | Size::UpTo(count) => count,
        };
        while parts.len() < most && length < MOST_BYTES {
            let may_wait = parts.is_empty() || matches!(self.size, Size::Exactly(_));
            match self.part(may_wait).await {
                None => break,
                Some(Ok(part)) => {
                    length += part.len();
                    parts.push(part);
                }
                Some(Err(error)) if parts.is_empty() => return Err(error),
                Some(error) => {
                    self.ready.push_front(error);
                    break;
                }
            }
        }
        Ok((!parts.is_empty()).then(|| batch(self.kind, &parts)))
    }

    async fn part(&mut self, may_wait: bool) -> Option<Part> {
        if let Some(part) = self.ready.pop_front() {
            return Some(part);
        }
        let more = self.more.as_mut()?;
        match may_wait {
            true => more.recv().await,
            false => more.try_recv().ok(),
        }
    }
}

fn batch(kind: Kind, parts: &[Vec<u8>]) -> Batch {
    match kind {
        Kind::Json => Batch {
            body: [b"[", parts.join(&b","[..]).as_slice(), b"]"].concat(),
            count: parts.len() as u64,
        },
        Kind::Text | Kind::Bytes => {
            let body = parts.concat();
            let count = body.len() as u64;
            Batch { body, count }
        }
    }
}

/// The messages of an argument.
fn messages(text: &str, reading: Reading) -> Result<Vec<Vec<u8>>> {
    if reading.strings {
        return Ok(vec![serde_json::to_vec(text)?]);
    }
    let value: &RawValue = serde_json::from_str(text)
        .map_err(|error| no_json(&format!("`{}`", shortened(text)), &error))?;
    flat(value.get(), reading.flatten)
}

/// A message, or what is in it.
fn flat(message: &str, flatten: bool) -> Result<Vec<Vec<u8>>> {
    match flatten {
        true => {
            let messages = content::split(message.as_bytes())?;
            Ok(messages.into_iter().map(String::into_bytes).collect())
        }
        false => Ok(vec![message.as_bytes().to_vec()]),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn no_json(what: &str, error: &serde_json::Error) -> anyhow::Error {
    problem(
        format!("{what} is no JSON: {error}"),
        "the stream holds JSON; --strings takes texts as they are and appends them as JSON strings",
    )
}

/// JSON values one after the other, on lines or not. Each is given as soon as it is whole.
fn values(input: impl Read, reading: Reading, sender: &Sender<Part>) {
    let values = Deserializer::from_reader(input).into_iter::<Box<RawValue>>();
    for (at, value) in values.enumerate() {
        let parts = match value {
            Ok(value) => flat(value.get(), reading.flatten),
            Err(error) if error.is_io() => Err(error).context("stdin cannot be read"),
            Err(error) => Err(no_json(&format!("message {} of stdin", at + 1), &error)),
        };
        let is_over = parts.is_err();
        let parts: Vec<Part> = match parts {
            Ok(parts) => parts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        for part in parts {
            // Nobody takes it any more.
            if sender.blocking_send(part).is_err() {
                return;
            }
        }
        if is_over {
            return;
        }
    }
}

/// Each line as a JSON string.
fn lines(input: impl BufRead, sender: &Sender<Part>) {
    for line in input.lines() {
        let part = line
            .context("stdin cannot be read as lines of text")
            .and_then(|line| Ok(serde_json::to_vec(&line)?));
        if sender.blocking_send(part).is_err() {
            return;
        }
    }
}

/// Bytes as they come, or in parts of one length. Text is never cut within a character.
fn bytes(mut input: impl Read, kind: Kind, same_length: bool, sender: &Sender<Part>) {
    let mut left = Vec::new();
    loop {
        let (part, is_end) = match next_bytes(&mut input, same_length) {
            Ok(part) => part,
            Err(error) => {
                let _ = sender.blocking_send(Err(error).context("stdin cannot be read"));
                return;
            }
        };
        let mut whole = std::mem::take(&mut left);
        whole.extend(part);
        if kind == Kind::Text && !same_length && !is_end {
            left = whole.split_off(whole_characters(&whole));
        }
        if !whole.is_empty() && sender.blocking_send(Ok(whole)).is_err() {
            return;
        }
        if is_end {
            return;
        }
    }
}

/// Some bytes, and whether they are the last.
fn next_bytes(input: &mut impl Read, same_length: bool) -> io::Result<(Vec<u8>, bool)> {
    if same_length {
        let mut part = Vec::new();
        input.take(MOST_BYTES as u64).read_to_end(&mut part)?;
        let is_end = part.len() < MOST_BYTES;
        return Ok((part, is_end));
    }
    let mut part = vec![0; PART];
    loop {
        match input.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => {
                let length = outcome?;
                part.truncate(length);
                return Ok((part, length == 0));
            }
        }
    }
}

/// How many bytes it is to the last character that may not be whole.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    const JSON: Reading = Reading {
        kind: Kind::Json,
        strings: false,
        flatten: false,
    };

    fn batches(mut input: Input) -> (Vec<(String, u64)>, Option<String>) {
        http::runtime().unwrap().block_on(async {
            let mut all = Vec::new();
            loop {
                match input.next().await {
                    Ok(Some(batch)) => {
                        all.push((String::from_utf8(batch.body).unwrap(), batch.count));
                    }
                    Ok(None) => return (all, None),
                    Err(error) => return (all, Some(error.to_string())),
                }
            }
        })
    }

    fn from_reader(text: &'static str, reading: Reading, size: Size) -> Input {
        let (sender, more) = channel(WAITING);
        match reading.kind {
            Kind::Json if reading.strings => lines(text.as_bytes(), &sender),
            Kind::Json => values(text.as_bytes(), reading, &sender),
            kind => bytes(
                text.as_bytes(),
                kind,
                matches!(size, Size::Exactly(_)),
                &sender,
            ),
        }
        Input {
            kind: reading.kind,
            size,
            ready: VecDeque::new(),
            more: Some(more),
        }
    }

    fn one(body: &str, count: u64) -> (String, u64) {
        (body.to_owned(), count)
    }

    #[test]
    fn an_argument_is_a_message() {
        let texts = ["[1,2]".to_owned(), "{\"a\": 1.0}".to_owned()];
        let input = Input::arguments(&texts, JSON, Size::UpTo(1000)).unwrap();
        assert_eq!(batches(input), (vec![one("[[1,2],{\"a\": 1.0}]", 2)], None));
        let flat = Reading {
            flatten: true,
            ..JSON
        };
        let input = Input::arguments(&texts, flat, Size::UpTo(1000)).unwrap();
        assert_eq!(batches(input), (vec![one("[1,2,{\"a\": 1.0}]", 3)], None));
        let strings = Reading {
            strings: true,
            ..JSON
        };
        let input = Input::arguments(&["a\"b".to_owned()], strings, Size::UpTo(1)).unwrap();
        assert_eq!(batches(input), (vec![one("[\"a\\\"b\"]", 1)], None));
        let error = Input::arguments(&["hello".to_owned()], JSON, Size::UpTo(1)).unwrap_err();
        assert!(
            error.to_string().starts_with("`hello` is no JSON"),
            "{error}"
        );
        let text = Reading {
            kind: Kind::Text,
            ..JSON
        };
        let input =
            Input::arguments(&["é".to_owned(), "x".to_owned()], text, Size::UpTo(9)).unwrap();
        assert_eq!(batches(input), (vec![one("éx", 3)], None));
    }

    #[test]
    fn what_is_before_a_mistake_is_taken_and_then_it_is_said() {
        let (all, error) = batches(from_reader("1 {\"a\":\n2}\n[3]\nx\n4", JSON, Size::UpTo(2)));
        assert_eq!(all, [one("[1,{\"a\":\n2}]", 2), one("[[3]]", 1)]);
        assert!(error.unwrap().starts_with("message 4 of stdin is no JSON"));
    }

    #[test]
    fn the_same_input_makes_the_same_appends() {
        let (all, _) = batches(from_reader("1\n2\n3\n", JSON, Size::Exactly(2)));
        assert_eq!(all, [one("[1,2]", 2), one("[3]", 1)]);
        let strings = Reading {
            strings: true,
            ..JSON
        };
        let (all, _) = batches(from_reader("a\n\nb", strings, Size::Exactly(1)));
        assert_eq!(
            all,
            [one("[\"a\"]", 1), one("[\"\"]", 1), one("[\"b\"]", 1)]
        );
    }

    #[test]
    fn characters_stay_whole() {
        assert_eq!(whole_characters("aé".as_bytes()), 3);
        assert_eq!(whole_characters(&"aé".as_bytes()[..2]), 1);
        assert_eq!(whole_characters(b"a\xff\xff"), 3);
    }
}
