//! The sources and targets of the world. What a source holds follows from its path, its incarnation and
//! the position, so that whoever looks at a target knows what has to be there.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::{Slot, Stream, World};
use crate::protocol::ask::{
    self, Copied, Copy, CopyPart, Fed, Interest, Kept, Life, OfSubscription, Slice, Told,
};
use crate::protocol::reply::Reply;

pub const JSON: &str = "application/json";
/// The name of the subscription.
pub const NAME: &str = "p/__ds/subscriptions/s";

/// What a stream is as a source.
#[derive(Clone, Debug)]
pub struct Source {
    pub content_type: &'static str,
    /// Where its own content starts, and what of it was not dropped.
    pub start: u64,
    pub earliest: u64,
    /// Whether it knows of copies.
    pub is_old: bool,
    pub interest: Option<Interest>,
    /// How far the subscription is, as far as the source knows.
    pub at: Option<u64>,
    /// What it takes for that if it does not know.
    pub guess: Option<u64>,
    /// So many messages are in a slice at the most.
    pub most: u64,
    /// How long it was told to wait.
    pub pause: u64,
    /// How often a subscription has asked for a link.
    pub renewed: u64,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            content_type: JSON,
            start: 0,
            earliest: 0,
            is_old: false,
            interest: None,
            at: None,
            guess: None,
            most: 1_000,
            pause: 0,
            renewed: 0,
        }
    }
}

impl Source {
    /// Another stream has the name.
    pub fn born(&mut self) {
        self.earliest = 0;
        self.at = None;
        self.guess = None;
    }
}

/// What a stream is as a target.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub fed: BTreeMap<String, Life>,
    /// By the subscription's incarnation and the source's path.
    pub cursors: BTreeMap<(String, String), (Life, u64)>,
    pub messages: Vec<String>,
    pub is_closed: bool,
    pub pause: u64,
    /// How many parts each question had that was answered, and when.
    pub copies: Vec<(u64, usize)>,
    pub unfed: u64,
}

impl Stream {
    /// Takes note of what a subscription wants to hear.
    pub fn note(&mut self, interest: Interest) {
        self.source.renewed += 1;
        let is_target = !self.target.fed.is_empty();
        self.source.interest = Some(match interest.is_in_content() && is_target {
            true => Interest::Ends,
            false => interest,
        });
    }

    /// What a subscription that copies has to know.
    pub fn said(&self, slice: Option<Slice>) -> Option<ask::Source> {
        let is_there = self.life.is_some() && !self.source.is_old;
        is_there.then(|| ask::Source {
            content_type: self.source.content_type.to_owned(),
            is_target: !self.target.fed.is_empty(),
            slice,
        })
    }

    fn is_in_appends(&self) -> bool {
        self.source.interest.is_none_or(Interest::is_in_appends)
    }
}

/// The message up to a position of a stream.
pub fn message(path: &str, life: &Life, position: u64) -> String {
    json!([path, life.incarnation, position]).to_string()
}

impl World {
    pub fn stream(&self, path: &str) -> Stream {
        self.streams.borrow()[&format!("p/{path}")].clone()
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Stream)) {
        let mut streams = self.streams.borrow_mut();
        change(streams.entry(format!("p/{path}")).or_default());
    }

    /// What the target holds, of one source.
    pub fn copies_of(&self, target: &str, path: &str) -> Vec<(String, u64)> {
        let messages = self.stream(target).target.messages;
        let parsed = messages.iter().map(|text| {
            let message: Value = serde_json::from_str(text).unwrap();
            let message = message.get("data").cloned().unwrap_or(message);
            let field = |n: usize| message[n].clone();
            (field(0), field(1), field(2))
        });
        let of = parsed.filter(|(of, ..)| of == path);
        of.map(|(_, incarnation, position)| {
            let incarnation = incarnation.as_str().unwrap().to_owned();
            (incarnation, position.as_u64().unwrap())
        })
        .collect()
    }

    /// The positions in the target of the source that is there now.
    pub fn copied(&self, target: &str, path: &str) -> Vec<u64> {
        let life = self.stream(path).life.unwrap();
        let copies = self.copies_of(target, path).into_iter();
        let of = copies.filter(|(incarnation, _)| *incarnation == life.incarnation);
        of.map(|(_, position)| position).collect()
    }

    /// What a source tells now, and the content behind it.
    pub fn telling(&self, path: &str) -> Option<(Told, String)> {
        let stream = self.stream(path);
        let life = stream.life.clone()?;
        let (_, since) = stream.links.first_key_value()?;
        let source = &stream.source;
        let is_in_content = source.interest.is_some_and(Interest::is_in_content);
        let behind = source.at.or(source.guess);
        let behind = behind.filter(|_| is_in_content && stream.target.fed.is_empty());
        let slice = behind.map(|behind| {
            let from = behind.max(source.earliest).min(stream.tail);
            Slice {
                behind,
                from,
                to: stream.tail.min(from + source.most),
                base64: source.content_type != JSON,
            }
        });
        let content = slice.map_or_else(String::new, |slice| match slice.base64 {
            true => STANDARD.encode("x".repeat((slice.to - slice.from) as usize)),
            false => (slice.from + 1..=slice.to)
                .map(|n| message(path, &life, n) + "\n")
                .collect(),
        });
        let told = Told {
            name: format!("p/{path}"),
            life,
            since: *since,
            start: None,
            tail: stream.tail,
            ended: false,
            source: stream.said(slice),
        };
        Some((told, content))
    }

    /// Has a source tell, and does not wait for what is answered.
    pub fn begin_telling(&self, path: &str) -> (Told, Slot) {
        let (told, content) = self.telling(path).unwrap();
        let slot = self.begin(ask::TOLD, ask::with(&told, &content));
        (told, slot)
    }

    /// Takes what a source is answered. Nothing if it has to tell once more.
    pub fn is_answered(&self, path: &str, reply: Option<Reply>) -> Option<Kept> {
        let reply = reply?;
        let kept: Kept = match reply.status {
            404 => Kept::is(false),
            status => ask::answered(&(status, reply.body)).ok()?,
        };
        self.change(path, |stream| {
            let source = &mut stream.source;
            if !kept.keep {
                stream.links.clear();
                source.interest = None;
                source.at = None;
                return;
            }
            source.interest = kept.interest.or(source.interest);
            source.pause = 0;
            if let Some(copying) = kept.copying {
                source.at = Some(copying.at);
                source.pause = copying.pause;
            }
        });
        Some(kept)
    }

    /// Has a source tell until there is nothing more to tell. Says whether it has heard.
    pub fn tell_all(&self, path: &str) -> bool {
        for _ in 0..1_000 {
            if !self.stream(path).is_in_appends() {
                return true;
            }
            let Some((told, content)) = self.telling(path) else {
                return true;
            };
            let reply = self.ask(ask::TOLD, ask::with(&told, &content));
            let Some(kept) = self.is_answered(path, reply) else {
                return false;
            };
            let is_over = !kept.keep
                || kept
                    .copying
                    .is_none_or(|copying| copying.at >= self.stream(path).tail);
            if is_over {
                return true;
            }
            self.run(self.stream(path).source.pause);
        }
        panic!("{path} tells for ever");
    }

    pub(super) fn is_fed(&self, name: &str, body: &[u8]) -> Fed {
        let feed: OfSubscription = ask::hear(body).unwrap();
        let mut streams = self.streams.borrow_mut();
        let stream = streams.entry(name.to_owned()).or_default();
        let Some(life) = stream.life.clone() else {
            return Fed::Absent;
        };
        if stream.target.is_closed {
            return Fed::Closed;
        }
        if stream.source.interest == Some(Interest::NamedCopies) {
            return Fed::IsSource;
        }
        stream.target.fed.insert(feed.subscription, feed.life);
        Fed::Yes {
            life,
            content_type: stream.source.content_type.to_owned(),
        }
    }

    pub(super) fn is_unfed(&self, name: &str, body: &[u8]) {
        let unfeed: OfSubscription = ask::hear(body).unwrap();
        let mut streams = self.streams.borrow_mut();
        let target = &mut streams.entry(name.to_owned()).or_default().target;
        target.unfed += 1;
        if target.fed.get(&unfeed.subscription) == Some(&unfeed.life) {
            target.fed.remove(&unfeed.subscription);
        }
        let incarnation = unfeed.life.incarnation;
        target.cursors.retain(|(of, _), _| *of != incarnation);
    }

    pub(super) fn copies(&self, name: &str, body: &[u8]) -> Copied {
        let (text, mut content) = ask::apart(body);
        let copy: Copy = ask::hear(text).unwrap();
        let now = self.now.get();
        let mut streams = self.streams.borrow_mut();
        let stream = streams.entry(name.to_owned()).or_default();
        if stream.life.as_ref() != Some(&copy.target) {
            return Copied::Gone;
        }
        if stream.target.is_closed {
            return Copied::Closed;
        }
        let target = &mut stream.target;
        if target.fed.get(&copy.subscription) != Some(&copy.life) {
            return Copied::NotFed;
        }
        target.copies.push((now, copy.parts.len()));
        let before = target.messages.len();
        let at = copy.parts.iter().map(|part| {
            let (own, rest) = content.split_at(part.length);
            content = rest;
            target.judge(&copy.life, part, std::str::from_utf8(own).unwrap())
        });
        let at = at.collect();
        assert!(content.is_empty());
        stream.tail += (target.messages.len() - before) as u64;
        Copied::Yes {
            at,
            pause: target.pause,
        }
    }
}

impl Target {
    fn judge(&mut self, of: &Life, part: &CopyPart, content: &str) -> u64 {
        let key = (of.incarnation.clone(), part.path.clone());
        let cursor = match self.cursors.get(&key) {
            Some((life, at)) if life.incarnation == part.life.incarnation => part.since.max(*at),
            Some((life, _)) if !part.life.is_after(life) => return part.to,
            _ => part.since,
        };
        if part.to <= cursor || part.behind != cursor {
            return cursor;
        }
        self.cursors.insert(key, (part.life.clone(), part.to));
        match part.base64 {
            true => {
                let bytes = STANDARD.decode(content).unwrap();
                self.messages.push(String::from_utf8(bytes).unwrap());
            }
            false => self.messages.extend(content.lines().map(str::to_owned)),
        }
        part.to
    }
}
