//! What is shown of a stream, held against what it is.

use chrono::DateTime;
use serde_json::Value;

use super::model::{Life, Model};
use super::node::Node;
use super::subscriber::below;
use crate::protocol::offset::Offset;

type Outcome = Result<(), String>;

/// Holds what an object has shown of its stream, and how many rows it has written meanwhile, against
/// what is known.
pub fn check(node: &Node, model: &Model, shown: &[u8], rows: u64, now: u64) -> Outcome {
    let shown: Value = serde_json::from_slice(shown).map_err(|error| error.to_string())?;
    let life = model.alive(&node.path).ok_or("it is over, and is shown")?;
    let is = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("it is wrong about {what}: {shown}")),
    };
    // Whoever looks at it may be the first one behind its time.
    is(rows == 0 || life.left_at == Some(now), "costing nothing")?;
    is(shown["path"] == below(&node.path), "its path")?;
    let is_json = shown["contentType"] == "application/json";
    is(is_json == life.is_json, "its type")?;
    let tail = life.items.len() as u64;
    is(position(&shown["tail"]) == Some(tail), "its tail")?;
    let earliest = life.earliest();
    is(position(&shown["earliest"]) == Some(earliest), "its start")?;
    is(shown["closed"] == life.closed, "being closed")?;
    is(shown["public"] == life.public, "being public")?;
    is(shown["producers"] == life.producers.len(), "its producers")?;
    is(is_end(&shown["endsAt"], life), "its end")?;
    let origin = life.origin.as_ref().map(|origin| &model.lives[origin]);
    let origin = origin.map(path_of);
    is(shown["forkedFrom"]["path"].as_str() == origin, "its source")?;
    is(has_forks(&shown, life, model, now), "its forks")?;
    is(is_whole(&shown), "its segments")
}

/// The path of a stream below the root that was asked, which may have an era.
fn path_of(life: &Life) -> &str {
    let name = &life.name.path;
    let of_era = name.strip_prefix("__ds/era/");
    let path = of_era.and_then(|rest| rest.split_once('/'));
    below(path.map_or(name, |(_, path)| path))
}

fn position(offset: &Value) -> Option<u64> {
    let offset: Offset = offset.as_str()?.parse().ok()?;
    Some(offset.position())
}

/// Whether it ends when it would if nobody had looked at it.
fn is_end(shown: &Value, life: &Life) -> bool {
    let (first, last) = life.deadline;
    match shown.as_str().map(DateTime::parse_from_rfc3339) {
        Some(Ok(at)) => (first..=last).contains(&(at.timestamp_millis() as u64)),
        Some(Err(_)) => false,
        None => life.expiry.is_none(),
    }
}

/// Whether all forks are shown that are there for sure.
fn has_forks(shown: &Value, life: &Life, model: &Model, now: u64) -> bool {
    let forks = shown["forks"].as_array().cloned().unwrap_or_default();
    let is_of = |fork: &&Life| {
        let lives = fork.is_alive && now < fork.deadline.0;
        lives && fork.origin.as_ref() == Some(&life.name.incarnation)
    };
    let mut there = model.lives.values().filter(is_of);
    there.all(|fork| {
        let path = path_of(fork);
        forks.iter().any(|shown| shown["path"] == path)
    })
}

/// Whether segments follow each other up to what is in rows.
fn is_whole(shown: &Value) -> bool {
    let segments = shown["segments"].as_array().cloned().unwrap_or_default();
    let ends = segments
        .iter()
        .map(|it| (position(&it["from"]), position(&it["to"])));
    let ends: Vec<_> = ends.collect();
    let in_order = ends.windows(2).all(|pair| pair[0].1 == pair[1].0);
    let sealed = ends.last().map_or(Some(0), |last| last.1);
    let hot = sealed.max(position(&shown["earliest"]));
    in_order && shown["segmentCount"] == segments.len() && position(&shown["hot"]["from"]) == hot
}
