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
/// A subscription that was deleted asks a shard to forget it ([`OfSubscription`]).
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
/// Asks a stream what is known of it ([`Inspect`], answered by a JSON document as clients get it, or
/// by 204 where there is none: 404 is what a release says that does not know the question).
pub const INSPECT: &str = "inspect";
/// A stream tells a subscription where its tail is ([`Told`], answered by [`Kept`]). To one that
/// copies, a [`Slice`] of the stream may come with it, [behind](with) the document.
pub const TOLD: &str = "told";
/// A subscription asks a stream to be the target of its copies ([`OfSubscription`], answered by [`Fed`]).
pub const FEED: &str = "feed";
/// A subscription that was deleted asks its target to forget it ([`OfSubscription`]).
pub const UNFEED: &str = "unfeed";
/// A subscription asks its target to append copies, whose content comes [behind](with) the document
/// ([`struct@Copy`], answered by [`Copied`]).
pub const COPY: &str = "copy";

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

/// See [`UNWATCH`], [`FEED`] and [`UNFEED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfSubscription {
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

/// See [`INSPECT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// The root below which somebody looks.
    pub root: Root,
    /// Whether they may see this stream and nothing else: no other stream, and no subscription.
    #[serde(default)]
    pub alone: bool,
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
    /// Whether it is to be given what is appended, and not told of it alone.
    #[serde(default, skip_serializing_if = "Interest::is_wakes")]
    pub interest: Interest,
    /// Whether it copies what was there before it was linked: then it is surely given that, also if
    /// the machine fails right now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
}

/// Why a stream knows of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interest {
    /// It is told where the tail is.
    #[default]
    Wakes,
    /// It copies what is appended, as its pattern is about the stream.
    Copies,
    /// It copies what is appended, as somebody has named the stream to it.
    NamedCopies,
    /// The stream is the target of its copies: it is told of the stream's end alone.
    Target,
    /// It is told of the stream's end alone. It copied the stream until that became a target itself.
    Ends,
}

impl Interest {
    /// Whether appends are told.
    pub fn is_in_appends(self) -> bool {
        matches!(self, Self::Wakes | Self::Copies | Self::NamedCopies)
    }

    /// Whether what is appended is copied.
    pub fn is_in_content(self) -> bool {
        matches!(self, Self::Copies | Self::NamedCopies)
    }

    fn is_wakes(&self) -> bool {
        *self == Self::Wakes
    }
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
    /// What a subscription that copies has to know; nothing from streams that know of no copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// What a subscription that copies has to know of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The stream's media type.
    pub content_type: String,
    /// Whether it is the target of copies itself. What is copied is not copied again, so that no
    /// copies go in circles.
    #[serde(default)]
    pub is_target: bool,
    /// What comes with the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

/// A part of a stream, on its way to subscriptions that copy it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The position behind which it is all that there is.
    pub behind: u64,
    /// The position at which it starts: a later one, where the stream was truncated in between.
    pub from: u64,
    /// The position up to which it goes.
    pub to: u64,
    /// Whether the content comes as base64. Otherwise each message is a line, which is ended.
    #[serde(default)]
    pub base64: bool,
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
    /// The position at which the stream's own content starts; see [`Tail::start`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// The position of the tail.
    pub tail: u64,
    /// Whether the stream is gone.
    #[serde(default)]
    pub ended: bool,
    /// What a subscription that copies has to know; nothing from streams that know of no copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// See [`TOLD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whether the subscription is to be told of what comes, too.
    pub keep: bool,
    /// How it wants to be told of it, unless it wants to be told as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interest: Option<Interest>,
    /// Of a subscription that copies, how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying: Option<Copying>,
}

impl Kept {
    /// The answer of a subscription that wants to be told on, or not any more.
    pub fn is(keep: bool) -> Self {
        Self {
            keep,
            interest: None,
            copying: None,
        }
    }
}

/// See [`Kept::copying`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copying {
    /// The position up to which everything is in the target.
    pub at: u64,
    /// How long nothing is to be sent again, in milliseconds.
    #[serde(default)]
    pub pause: u64,
}

/// See [`FEED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Fed {
    /// The stream is a target from now on, if it was not.
    Yes {
        /// Which of its name.
        life: Life,
        /// Its media type.
        content_type: String,
    },
    /// There is no such stream.
    Absent,
    /// It takes no appends any more.
    Closed,
    /// It is copied itself, by a subscription to which somebody has named it.
    IsSource,
}

/// See [`COPY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The subscription's name.
    pub subscription: String,
    /// Which of that name.
    pub life: Life,
    /// Which stream of the target's name the copies are for.
    pub target: Life,
    /// What is copied, of each source in its order; a part that goes nowhere only asks how far it
    /// is.
    pub parts: Vec<CopyPart>,
}

/// A part of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPart {
    /// The source's path below the root.
    pub path: String,
    /// Which stream of that path.
    pub life: Life,
    /// The position at which the subscription's interest in it starts.
    pub since: u64,
    /// The position behind which the part is all that there is.
    pub behind: u64,
    /// The position up to which it goes.
    pub to: u64,
    /// How much of what comes behind the document is its content, in bytes.
    pub length: usize,
    /// Whether that is base64. Otherwise each message is a line, which is ended.
    #[serde(default)]
    pub base64: bool,
}

/// See [`COPY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Copied {
    /// The target holds what it holds.
    Yes {
        /// For each part, the position up to which everything of its source is there. Where that is
        /// before the part's end, nothing of the part was taken, and all behind that position is to
        /// be sent again.
        at: Vec<u64>,
        /// How long nothing is to be sent again, in milliseconds.
        pause: u64,
    },
    /// The stream is gone, or another one has its name.
    Gone,
    /// It takes no appends any more.
    Closed,
    /// It is not the target of the subscription, or not any more.
    NotFed,
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
    /// Whether whoever asks may read all the streams that the body is about, and write the one that
    /// they are to be copied into.
    #[serde(default)]
    pub may_copy: bool,
    /// The only target that it may copy into, where that is why it may be asked at all. Another
    /// subscription may have taken its id since that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
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

/// A message as it is sent with content behind it.
pub fn with(message: &impl Serialize, content: &str) -> String {
    let mut text = say(message);
    text.push('\n');
    text.push_str(content);
    text
}

/// Takes a body apart into a message and the content behind it, if there is any.
pub fn apart(body: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = body.splitn(2, |byte| *byte == b'\n');
    let message = halves.next().unwrap_or_default();
    (message, halves.next().unwrap_or_default())
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
            start: Some(2),
            tail: 5,
            ended: false,
            source: None,
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
    fn answers_of_targets_state_a_version() {
        let answered = |fed: &Fed| answered::<Fed>(&(200, say(fed).into()));
        let yes = Fed::Yes {
            life: Life {
                born: 7,
                incarnation: "7-1".into(),
            },
            content_type: "text/plain".into(),
        };
        for fed in [yes, Fed::Absent, Fed::Closed, Fed::IsSource] {
            assert_eq!(answered(&fed), Ok(fed));
        }
        let yes = Copied::Yes {
            at: vec![1],
            pause: 2,
        };
        for copied in [yes, Copied::Gone, Copied::Closed, Copied::NotFed] {
            let said = say(&copied);
            assert!(said.contains("\"v\":3"), "{said}");
            assert_eq!(super::answered(&(200, said.into())), Ok(copied));
        }
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
            may_copy: false,
            into: None,
        };
        assert!(!format!("{key:?} {call:?}").contains("hunter2"));
    }
}
