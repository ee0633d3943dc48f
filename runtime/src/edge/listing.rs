//! What there is below a root: its streams and its subscriptions, which shards of the directory know
//! each in part, and the streams that the bucket knows.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::control::{self, answered, ask, heard};
use super::ports::Ports;
use crate::directory::merge::{Page, merge};
use crate::directory::shard_of;
use crate::machine::Peer;
use crate::patience::{self, together, within};
use crate::protocol::ask::{
    ENROLL, Entry, LIST, List, Listed, ListedSubscriptions, SUBSCRIPTIONS, say,
};
use crate::protocol::error::Error;
use crate::protocol::path::MAX_BYTES;
use crate::protocol::reply::Reply;
use crate::protocol::root::Root;
use crate::protocol::subscription_error::SubscriptionError;
use crate::protocol::time;

/// How many entries a page has at most.
const MOST: usize = 1000;
/// How many it has unless somebody says otherwise.
const USUAL: usize = 100;

/// How many keys of the bucket are looked at in a request, at most. Each may be another stream's,
/// which is asked then, and a request may ask a thousand times.
const MOST_KEYS: usize = 900;
const USUAL_KEYS: usize = 500;
/// How many streams are asked at the same time.
const AT_ONCE: usize = 32;

/// Where the objects of streams are in the bucket.
const BUCKET: &str = "streams/";

/// Which page is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    prefix: String,
    after: Option<String>,
    limit: usize,
}

impl Wanted {
    /// What the worker's own code wants.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::Invalid`].
    pub(crate) fn new(
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Self, SubscriptionError> {
        Ok(Self {
            prefix: text("prefix", prefix)?,
            after: after.map(|after| text("after", after)).transpose()?,
            limit: within_most(Some(limit.unwrap_or(USUAL)), MOST)?,
        })
    }

    /// Takes a query with these parameters.
    fn parse(
        query: &str,
        known: &[&str],
        usual: usize,
        most: usize,
    ) -> Result<Self, SubscriptionError> {
        let mut wanted = Self {
            prefix: String::new(),
            after: None,
            limit: usual,
        };
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                let known = known.join(", ");
                let what = format!("is no parameter of this route, which takes {known}");
                // Whatever it says may be secret.
                return Err(SubscriptionError::invalid(short(&name), what));
            }
            if seen.contains(&name) {
                return Err(SubscriptionError::invalid(name, "must be given once"));
            }
            seen.push(name.clone());
            match &*name {
                "limit" => wanted.limit = within_most(value.parse().ok(), most)?,
                "after" => wanted.after = Some(text("after", &value)?).filter(|s| !s.is_empty()),
                _ => wanted.prefix = text("prefix", &value)?,
            }
        }
        Ok(wanted)
    }
}

fn within_most(limit: Option<usize>, most: usize) -> Result<usize, SubscriptionError> {
    let limit = limit.filter(|limit| (1..=most).contains(limit));
    let what = || format!("must be a number from 1 to {most}");
    limit.ok_or_else(|| SubscriptionError::invalid("limit", what()))
}

/// A name that somebody has made up.
fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The longest text that a parameter may be: a key of the bucket.
const MAX_TEXT: usize = 2 * MAX_BYTES;

fn text(name: &'static str, value: &str) -> Result<String, SubscriptionError> {
    let refused = |what: &str| Err(SubscriptionError::invalid(name, what));
    if value.len() > MAX_TEXT {
        return refused("must be at most 1024 bytes after percent-decoding");
    }
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return refused("must be UTF-8, and hold no U+FFFD");
    }
    if value.chars().any(char::is_control) {
        return refused("must hold no control characters");
    }
    if value.starts_with('/') {
        return refused("must not start with a slash: paths count from the root");
    }
    Ok(value.to_owned())
}

/// Which streams there are; only one, if no other may be seen.
///
/// # Errors
///
/// [`SubscriptionError::Invalid`], [`SubscriptionError::NoAnswer`], [`Error::Newer`].
pub(super) async fn streams<P: Ports>(
    ports: &P,
    shards: u32,
    root: Root,
    only: Option<String>,
    query: &str,
) -> Result<Reply, Error> {
    let wanted = Wanted::parse(query, &["prefix", "after", "limit"], USUAL, MOST)?;
    let limit = wanted.limit;
    let parts = match only {
        Some(only) => vec![one(ports, shards, root, only, &wanted).await?],
        None => {
            let answers = all::<P, Listed>(ports, shards, LIST, root, wanted).await?;
            answers.into_iter().map(|part| part.streams).collect()
        }
    };
    let (entries, next) = merge(shown(parts, stream), limit);
    Ok(control::json(&json!({ "streams": entries, "next": next })))
}

/// A page of the streams, and behind what to go on if there are more.
///
/// # Errors
///
/// [`SubscriptionError::NoAnswer`], [`Error::Newer`].
pub(crate) async fn entries<P: Ports>(
    ports: &P,
    shards: u32,
    root: Root,
    wanted: Wanted,
) -> Result<(Vec<Entry>, Option<String>), Error> {
    let limit = wanted.limit;
    let answers = all::<P, Listed>(ports, shards, LIST, root, wanted).await?;
    let parts = answers.into_iter().map(|part| part.streams).collect();
    let of_path = |entry: Entry| (entry.path.clone(), entry);
    Ok(merge(shown(parts, of_path), limit))
}

/// A page of the ids of subscriptions, and behind what to go on if there are more.
///
/// # Errors
///
/// As [`entries`].
pub(crate) async fn ids<P: Ports>(
    ports: &P,
    shards: u32,
    root: Root,
    wanted: Wanted,
) -> Result<(Vec<String>, Option<String>), Error> {
    let limit = wanted.limit;
    let answers = all::<P, ListedSubscriptions>(ports, shards, SUBSCRIPTIONS, root, wanted).await?;
    let parts = answers.into_iter().map(|part| part.ids).collect();
    Ok(merge(shown(parts, |id| (id.clone(), id)), limit))
}

/// A stream as it is shown, by its path.
fn stream(entry: Entry) -> (String, Value) {
    let shown = json!({
        "path": entry.path,
        "content_type": entry.content_type,
        "created_at": time::iso(entry.life.born),
    });
    (entry.path, shown)
}

/// What is on pages, as it is shown.
fn shown<T, S>(pages: Vec<Vec<T>>, show: fn(T) -> (String, S)) -> Vec<Page<S>> {
    let pages = pages.into_iter();
    pages
        .map(|page| page.into_iter().map(show).collect())
        .collect()
}

/// One stream, if it is there and on the page.
async fn one<P: Ports>(
    ports: &P,
    shards: u32,
    root: Root,
    only: String,
    wanted: &Wanted,
) -> Result<Vec<Entry>, Error> {
    let is_before = wanted.after.as_ref().is_some_and(|after| only <= *after);
    // What is no path is no stream's.
    let name = root.stream(&only).ok();
    let Some(name) = name.filter(|_| only.starts_with(&wanted.prefix) && !is_before) else {
        return Ok(Vec::new());
    };
    let peer = Peer::Shard(shard_of(&name, shards));
    let list = List {
        root,
        prefix: only.clone(),
        after: None,
        limit: 1,
    };
    let listed: Listed = answered(ports, &ask(ports, peer, LIST, say(&list)).await?)?;
    let mut entries = listed.streams;
    entries.retain(|entry| entry.path == only);
    Ok(entries)
}

/// Which subscriptions there are.
///
/// # Errors
///
/// As [`streams`].
pub(super) async fn subscriptions<P: Ports>(
    ports: &P,
    shards: u32,
    root: Root,
    query: &str,
) -> Result<Reply, Error> {
    let wanted = Wanted::parse(query, &["after", "limit"], USUAL, MOST)?;
    let (ids, next) = self::ids(ports, shards, root, wanted).await?;
    let ids: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    Ok(control::json(
        &json!({ "subscriptions": ids, "next": next }),
    ))
}

/// What all shards say: each as much as is wanted, and one more.
async fn all<P: Ports, T: DeserializeOwned>(
    ports: &P,
    shards: u32,
    question: &str,
    root: Root,
    wanted: Wanted,
) -> Result<Vec<T>, Error> {
    let list = List {
        root,
        prefix: wanted.prefix,
        after: wanted.after,
        limit: wanted.limit.saturating_add(1),
    };
    let asked = (0..shards).map(|shard| ask(ports, Peer::Shard(shard), question, say(&list)));
    let answers = together(asked).await.into_iter();
    answers.map(|answer| answered(ports, &answer?)).collect()
}

/// Lets the streams that a page of the bucket's keys tells of register anew.
///
/// # Errors
///
/// [`SubscriptionError::Invalid`]; [`SubscriptionError::NoAnswer`], after which the same page has to
/// be asked for again; [`Error::Misconfigured`] without a bucket.
pub(super) async fn rebuild<P: Ports>(ports: &P, root: &Root, query: &str) -> Result<Reply, Error> {
    let wanted = Wanted::parse(query, &["after", "limit"], USUAL_KEYS, MOST_KEYS)?;
    let prefix = format!("{BUCKET}{}", root.prefix());
    let after = wanted.after.map(|after| format!("{prefix}{after}"));
    let limit = u32::try_from(wanted.limit).unwrap_or(1);
    let page = ports.list(&prefix, after.as_deref(), limit);
    let page = within(ports.sleep(patience::BUCKET), page).await;
    let page = page.unwrap_or_else(|| Err(Error::Unavailable("the bucket is silent".into())));
    let page = heard(ports, page)?;
    // Who was asked with the last page needs no more.
    let known = after.as_deref().and_then(stream_of);
    let names = page.keys.iter().filter_map(|key| stream_of(key));
    let mut streams: Vec<&str> = Vec::new();
    for name in names {
        let is_new = known != Some(name) && !streams.contains(&name);
        if is_new && root.path_of(name).is_some() {
            streams.push(name);
        }
    }
    let mut found = 0_usize;
    for some in streams.chunks(AT_ONCE) {
        let asked = some.iter();
        let asked = asked.map(|name| ask(ports, Peer::Stream(name), ENROLL, say(&json!({}))));
        for answer in together(asked).await {
            match answer? {
                (200 | 204, _) => found = found.saturating_add(1),
                // What the bucket holds of it is what others have borrowed, or goes soon.
                (404 | 410, _) => {}
                answer => return Err(refused(ports, &answer)),
            }
        }
    }
    let next = page.cursor.as_deref();
    let next = next.and_then(|last| last.strip_prefix(&prefix));
    Ok(control::json(&json!({ "found": found, "next": next })))
}

fn refused<P: Ports>(ports: &P, answer: &(u16, Vec<u8>)) -> Error {
    answered::<P, Value>(ports, answer)
        .err()
        .unwrap_or(SubscriptionError::NoAnswer.into())
}

/// The name of the stream that an object of the bucket belongs to: what precedes its incarnation and
/// the name of its segment.
fn stream_of(key: &str) -> Option<&str> {
    let (rest, _segment) = key.strip_prefix(BUCKET)?.rsplit_once('/')?;
    let (name, _incarnation) = rest.rsplit_once('/')?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Wanted, String> {
        let wanted = Wanted::parse(query, &["prefix", "after", "limit"], USUAL, MOST);
        wanted.map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_is_asked_for() {
        let wanted = |prefix: &str, after: Option<&str>, limit| Wanted {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit,
        };
        assert_eq!(parse(""), Ok(wanted("", None, USUAL)));
        assert_eq!(parse("after="), Ok(wanted("", None, USUAL)));
        let full = "limit=1000&prefix=a%20b%2F&after=a+b/%C3%A9";
        assert_eq!(parse(full), Ok(wanted("a b/", Some("a b/\u{e9}"), 1000)));
        for (query, field) in [
            ("limit=0", "limit must be a number from 1 to 1000"),
            ("limit=1001", "limit must"),
            ("limit=", "limit must"),
            ("limit=-1", "limit must"),
            ("limit=1&limit=2", "limit must be given once"),
            ("prefix=/a", "prefix must not start with a slash"),
            ("prefix=%ff", "prefix must be UTF-8"),
            ("after=%00", "after must hold no control characters"),
            ("prefx=a", "prefx is no parameter"),
            ("token=secret", "token is no parameter"),
        ] {
            let refused = parse(query).unwrap_err();
            assert!(refused.starts_with(field), "{query}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        let long = "x".repeat(MAX_TEXT + 1);
        parse(&format!("after={long}")).unwrap_err();
    }

    #[test]
    fn a_key_tells_of_a_stream() {
        assert_eq!(stream_of("streams/a/1-2/0-9"), Some("a"));
        assert_eq!(stream_of("streams/p/a/b/1-2/0-9"), Some("p/a/b"));
        for none in ["streams/", "streams/a", "streams/a/1", "other/a/1/2", ""] {
            assert_eq!(stream_of(none), None, "{none}");
        }
    }
}
