//! What objects, and the edge, ask each other about streams of a root and subscriptions. A question
//! is a text and a JSON document, which states a version; so is the answer. Any may be sent again,
//! come late or never, and overtake others: whoever hears of a [`Life`] that is older than the one it
//! knows of pays no attention.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Error;
use super::root::Root;
use super::version::{self, SPOKEN};

/// A stream asks its shard to note it ([`Register`], answered by [`Registered`]).
pub const REGISTER: &str = "register";
/// A stream that has ended asks its shard to forget it ([`Unregister`]).
pub const UNREGISTER: &str = "unregister";
/// A subscription asks a shard to tell streams of it ([`Watch`]).
pub const WATCH: &str = "watch";
/// A subscription that was deleted asks a shard to forget it ([`Unwatch`]).
pub const UNWATCH: &str = "unwatch";
/// Asks a shard which streams there are ([`List`], answered by [`Listed`]).
pub const LIST: &str = "list";
/// Asks a shard which subscriptions there are ([`List`], answered by [`ListedSubscriptions`]).
pub const SUBSCRIPTIONS: &str = "subscriptions";
/// Asks the shard of a root's keys which of them are published ([`OfRoot`], answered by a JSON
/// document as clients get it).
pub const JWKS: &str = "jwks";
/// Asks it for the key to sign with ([`OfRoot`], answered by [`SigningKey`]).
pub const SIGNING_KEY: &str = "signing-key";
/// Asks it for a new key ([`Rotate`], answered by [`Rotated`]).
pub const ROTATE: &str = "rotate";
/// A subscription asks a stream to tell it of what is appended ([`Link`], answered by [`Tail`]).
pub const LINK: &str = "link";
/// A subscription asks a stream not to ([`Link`]).
pub const UNLINK: &str = "unlink";
/// Asks a stream to append what the server itself has to say ([`Event`]).
pub const EVENT: &str = "event";
/// Asks a stream to register anew (no content). 404 where there is none.
pub const ENROLL: &str = "enroll";
/// A stream tells a subscription where its tail is ([`Told`], answered by [`Kept`]).
pub const TOLD: &str = "told";

/// The longest body of what a client asks of a root, in bytes.
pub const MAX_BODY: usize = 64 << 10;

/// Tells a stream, or a subscription, from others that had or will have its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Life {
    /// When it was created, in milliseconds since the Unix epoch.
    pub born: u64,
    /// What no other of its name is.
    pub incarnation: String,
}

impl Life {
    /// Whether it came after another one of its name.
    pub fn is_after(&self, other: &Self) -> bool {
        self.born > other.born && self.incarnation != other.incarnation
    }
}

/// See [`REGISTER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The stream's name.
    pub name: String,
    /// Which of that name.
    pub life: Life,
    /// Its media type.
    pub content_type: String,
}

/// See [`REGISTER`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The names of the subscriptions whose pattern the stream matches.
    pub subscriptions: Vec<String>,
}

/// See [`UNREGISTER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unregister {
    /// The stream's name.
    pub name: String,
    /// Which of that name has ended.
    pub life: Life,
}

/// See [`WATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The subscription's name.
    pub subscription: String,
    /// Which of that name.
    pub life: Life,
    /// The root that it is of.
    pub root: Root,
    /// What paths of streams have to match, if it is about any but those that it names.
    pub pattern: Option<String>,
}

/// See [`UNWATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatch {
    /// The subscription's name.
    pub subscription: String,
    /// Which of that name.
    pub life: Life,
}

/// See [`LIST`] and [`SUBSCRIPTIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The root whose streams or subscriptions are wanted.
    pub root: Root,
    /// What the paths of streams have to start with.
    #[serde(default)]
    pub prefix: String,
    /// The path, or id, behind which to go on.
    #[serde(default)]
    pub after: Option<String>,
    /// How many are wanted at the most.
    pub limit: usize,
}

/// See [`LIST`]. There are more when there are as many as were wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The streams, in the order of the bytes of their paths.
    pub streams: Vec<Entry>,
}

/// A stream in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path below the root.
    pub path: String,
    /// Which of its name.
    pub life: Life,
    /// Its media type.
    pub content_type: String,
}

/// See [`SUBSCRIPTIONS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSubscriptions {
    /// The ids, in the order of their bytes.
    pub ids: Vec<String>,
}

/// See [`JWKS`] and [`SIGNING_KEY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRoot {
    /// The root.
    pub root: Root,
}

/// See [`SIGNING_KEY`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// What it is called in the published set.
    pub kid: String,
    /// The key, as [`Signs`](crate::machine::Signs) made it. It is never shown to anybody.
    pub private: String,
    /// How long it may be signed with before it has to be asked for again, in milliseconds.
    pub good_for: u64,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// See [`ROTATE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// The root.
    pub root: Root,
    /// Whether the present key is to be used and published no more from now on.
    #[serde(default)]
    pub now: bool,
}

/// See [`ROTATE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// What the new key is called.
    pub kid: String,
    /// When it is used from, in milliseconds since the Unix epoch.
    pub active_at: u64,
}

/// See [`LINK`] and [`UNLINK`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The subscription's name.
    pub subscription: String,
}

/// See [`LINK`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The stream; nothing if there is none (yet).
    pub life: Option<Life>,
    /// The position behind which a subscription that was linked now is told of data: the tail when
    /// it was linked first.
    pub since: u64,
    /// The position of the tail.
    pub tail: u64,
    /// The position at which the stream's own content starts, behind what a fork has inherited; what
    /// does not say so has told of nothing before `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
}

/// See [`EVENT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// One JSON message.
    pub message: Value,
}

/// See [`TOLD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The stream's name.
    pub name: String,
    /// Which of that name.
    pub life: Life,
    /// Where the subscription's interest starts, unless it knows better.
    pub since: u64,
    /// The position of the tail.
    pub tail: u64,
    /// Whether the stream is gone.
    #[serde(default)]
    pub ended: bool,
}

/// See [`TOLD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whether the subscription is to be told of what comes, too.
    pub keep: bool,
}

/// What a client asks of a subscription, by way of the edge. The question is the name of what it
/// wants: see [`crate::subscription`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The root.
    pub root: Root,
    /// The subscription's id.
    pub id: String,
    /// The URL of the root as clients know it, without a slash at its end.
    pub base: String,
    /// The credentials of `Authorization: Bearer`, for what only wake tokens open.
    #[serde(default)]
    pub token: Option<String>,
    /// What the URL says behind the route: a stream's path, or the query of a GET.
    #[serde(default)]
    pub rest: String,
    /// The body as it came, [`MAX_BODY`] at most.
    #[serde(default)]
    pub body: String,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the token nor the body, which may hold one.
        f.debug_struct("Call")
            .field("root", &self.root)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A message as it is sent.
pub fn say(message: &impl Serialize) -> String {
    let mut document = json!(message);
    if let Some(object) = document.as_object_mut() {
        object.insert("v".to_owned(), SPOKEN.into());
    }
    document.to_string()
}

/// Reads a question.
///
/// # Errors
///
/// [`Error::Newer`], [`Error::Invalid`].
pub fn hear<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    use version::Unreadable;
    match version::read("a question between objects", body, SPOKEN) {
        Ok(message) => Ok(message),
        Err(Unreadable::Newer(newer)) => Err(newer.into()),
        Err(Unreadable::Malformed(what)) => Err(Error::invalid("the body", what)),
    }
}

/// Reads the answer to a question, which must be the status 200.
///
/// # Errors
///
/// [`Error::Unavailable`] for any other, [`Error::Newer`].
pub fn answered<T: DeserializeOwned>(answer: &(u16, Vec<u8>)) -> Result<T, Error> {
    let (status, body) = answer;
    if *status != 200 {
        return Err(Error::Unavailable(format!("an object answers {status}")));
    }
    version::read("an answer of an object", body, SPOKEN).map_err(version::Unreadable::said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let told = Told {
            name: "p/x".into(),
            life: Life {
                born: 7,
                incarnation: "7-1".into(),
            },
            since: 3,
            tail: 5,
            ended: false,
        };
        let said = say(&told);
        assert_eq!(hear::<Told>(said.as_bytes()), Ok(told.clone()));
        assert_eq!(answered::<Told>(&(200, said.clone().into())), Ok(told));
        let newer = said.replace("\"v\":3", "\"v\":4");
        assert!(matches!(
            hear::<Told>(newer.as_bytes()),
            Err(Error::Newer(_))
        ));
        assert!(matches!(hear::<Told>(b"{}"), Err(Error::Invalid { .. })));
        let refused = answered::<Told>(&(500, said.into()));
        assert!(matches!(refused, Err(Error::Unavailable(_))));
    }

    #[test]
    fn the_younger_counts() {
        let life = |born, incarnation: &str| Life {
            born,
            incarnation: incarnation.into(),
        };
        assert!(life(2, "b").is_after(&life(1, "a")));
        assert!(!life(1, "a").is_after(&life(2, "b")));
        assert!(!life(2, "a").is_after(&life(2, "b")));
    }

    #[test]
    fn secrets_are_not_told() {
        let key = SigningKey {
            kid: "ds_1".into(),
            private: "hunter2".into(),
            good_for: 1,
        };
        let call = Call {
            root: Root::ALL,
            id: "a".into(),
            base: String::new(),
            token: Some("hunter2".into()),
            rest: String::new(),
            body: "hunter2".into(),
        };
        assert!(!format!("{key:?} {call:?}").contains("hunter2"));
    }
}
