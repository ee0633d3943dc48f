//! What is below the reserved segment of a root (sections 6 and 7): which question a request asks.
//!
//! | route | methods |
//! |---|---|
//! | `subscriptions/:id` | PUT, GET, DELETE |
//! | `subscriptions/:id/streams` | POST |
//! | `subscriptions/:id/streams/:path` | DELETE |
//! | `subscriptions/:id/callback`, `claim`, `ack`, `release` | POST |
//! | `jwks.json` | GET |
//! | `subscriptions/:id/retry`, `keys/rotate`, `directory/rebuild`, which are ours | POST |
//! | `subscriptions`, `streams`, `streams/:path`, which are ours | GET |
//!
//! HEAD is possible wherever GET is.

use percent_encoding::percent_decode_str;

use super::error::Error;
use super::path;
use super::subscription_error::SubscriptionError;

/// The longest id of a subscription, in bytes.
pub const MAX_ID: usize = 256;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The streams of the root.
    Streams,
    /// One of them, and all that is known of it.
    Stream {
        /// Its path below the root.
        path: String,
    },
    /// Its subscriptions.
    Subscriptions,
    /// The keys that its webhooks are signed with.
    Keys,
    /// A new one of these.
    Rotate,
    /// Its directory, to be completed by what is in the bucket.
    Rebuild,
    /// A subscription.
    Subscription {
        /// Which.
        id: String,
        /// What it is asked for: see [`crate::subscription`].
        question: &'static str,
        /// The path of the stream that it is asked about, if that is in the URL.
        path: String,
    },
}

const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";
const DELETE: &str = "DELETE, OPTIONS";
const ALL: &str = "GET, HEAD, PUT, DELETE, OPTIONS";

impl Route {
    /// Takes a method and what is behind the reserved segment, as sent and without the slash before
    /// it.
    ///
    /// # Errors
    ///
    /// [`SubscriptionError::NoRoute`], [`SubscriptionError::Method`], and
    /// [`SubscriptionError::Invalid`] for an id that none can have, or a path that is none.
    pub fn parse(method: &str, rest: &str) -> Result<Self, Error> {
        let method = match method {
            "HEAD" => "GET",
            other => other,
        };
        let only = |wanted: &str, allow, route| match method == wanted {
            true => Ok(route),
            false => Err(SubscriptionError::Method { allow }.into()),
        };
        let below = match rest {
            "streams" => return only("GET", READ, Self::Streams),
            "subscriptions" => return only("GET", READ, Self::Subscriptions),
            "jwks.json" => return only("GET", READ, Self::Keys),
            "keys/rotate" => return only("POST", POST, Self::Rotate),
            "directory/rebuild" => return only("POST", POST, Self::Rebuild),
            _ => rest.strip_prefix("subscriptions/"),
        };
        if let Some(path) = rest.strip_prefix("streams/") {
            let path = parse_path(path)?;
            return only("GET", READ, Self::Stream { path });
        }
        let below = below.ok_or(SubscriptionError::NoRoute)?;
        let (id, action) = match below.split_once('/') {
            Some((id, action)) => (id, Some(action)),
            None => (below, None),
        };
        let (wanted, allow, question, path) = match action {
            None => match method {
                "PUT" => ("PUT", ALL, "create", ""),
                "DELETE" => ("DELETE", ALL, "delete", ""),
                _ => ("GET", ALL, "get", ""),
            },
            Some("streams") => ("POST", POST, "add", ""),
            Some("callback") => ("POST", POST, "callback", ""),
            Some("claim") => ("POST", POST, "claim", ""),
            Some("ack") => ("POST", POST, "ack", ""),
            Some("release") => ("POST", POST, "release", ""),
            Some("retry") => ("POST", POST, "retry", ""),
            Some(other) => match other.strip_prefix("streams/") {
                Some(path) => ("DELETE", DELETE, "remove", path),
                None => return Err(SubscriptionError::NoRoute.into()),
            },
        };
        if method != wanted {
            return Err(SubscriptionError::Method { allow }.into());
        }
        let id = parse_id(id)?;
        let path = match question {
            "remove" => parse_path(path)?,
            _ => String::new(),
        };
        Ok(Self::Subscription { id, question, path })
    }
}

/// An id is one segment of the URL, in which slashes may be encoded.
fn parse_id(raw: &str) -> Result<String, SubscriptionError> {
    let id = decoded(raw).map_err(refused_id)?;
    check_id(&id)?;
    Ok(id)
}

/// Refuses what no subscription can be called.
///
/// # Errors
///
/// [`SubscriptionError::Invalid`].
pub fn check_id(id: &str) -> Result<(), SubscriptionError> {
    match id {
        "" | "." | ".." => Err(refused_id("must not be empty, '.' or '..'")),
        id if id.len() > MAX_ID => Err(refused_id(
            "must be at most 256 bytes after percent-decoding",
        )),
        id if id.chars().any(char::is_control) => {
            Err(refused_id("must hold no control characters"))
        }
        _ => Ok(()),
    }
}

fn refused_id(message: &str) -> SubscriptionError {
    SubscriptionError::invalid("the subscription id", message)
}

/// A path may come with its slashes encoded or as they are, and with one before it.
fn parse_path(raw: &str) -> Result<String, SubscriptionError> {
    let path = decoded(raw).map_err(|why| SubscriptionError::invalid("the stream path", why))?;
    let path = path.trim_matches('/');
    if path.is_empty() {
        let why = "must be behind /streams/ in the URL";
        return Err(SubscriptionError::invalid("the stream path", why));
    }
    Ok(path.to_owned())
}

fn decoded(raw: &str) -> Result<String, &'static str> {
    path::check_escapes(raw)?;
    let decoded = percent_decode_str(raw).decode_utf8();
    let decoded = decoded.map_err(|_| "must be UTF-8 after percent-decoding")?;
    // It stands where something was no UTF-8, and whatever that was, it is not the same.
    match decoded.contains(char::REPLACEMENT_CHARACTER) {
        true => Err("must be UTF-8, and hold no U+FFFD"),
        false => Ok(decoded.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::path::encoded;
    use crate::protocol::root::Root;

    const METHODS: [&str; 9] = [
        "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "QUERY", "get", "OPTIONS",
    ];

    fn of(id: &str, question: &'static str, path: &str) -> Route {
        Route::Subscription {
            id: id.to_owned(),
            question,
            path: path.to_owned(),
        }
    }

    #[test]
    fn every_route_has_its_methods_and_no_other() {
        type Row<'a> = (&'a str, &'a [(&'a str, Route)], &'static str);
        let one = |path: &str| Route::Stream {
            path: path.to_owned(),
        };
        let table: [Row<'_>; 17] = [
            ("streams", &[("GET", Route::Streams)], READ),
            ("streams/a", &[("GET", one("a"))], READ),
            ("streams/a%2Fb%20c", &[("GET", one("a/b c"))], READ),
            (
                "streams/subscriptions/x/streams",
                &[("GET", one("subscriptions/x/streams"))],
                READ,
            ),
            ("subscriptions", &[("GET", Route::Subscriptions)], READ),
            ("jwks.json", &[("GET", Route::Keys)], READ),
            ("keys/rotate", &[("POST", Route::Rotate)], POST),
            ("directory/rebuild", &[("POST", Route::Rebuild)], POST),
            (
                "subscriptions/runner%3Ax%3Ay",
                &[
                    ("GET", of("runner:x:y", "get", "")),
                    ("PUT", of("runner:x:y", "create", "")),
                    ("DELETE", of("runner:x:y", "delete", "")),
                ],
                ALL,
            ),
            (
                "subscriptions/a/streams",
                &[("POST", of("a", "add", ""))],
                POST,
            ),
            (
                "subscriptions/a/streams/manual%2Fb",
                &[("DELETE", of("a", "remove", "manual/b"))],
                DELETE,
            ),
            (
                "subscriptions/a/streams/manual/b%20c",
                &[("DELETE", of("a", "remove", "manual/b c"))],
                DELETE,
            ),
            (
                "subscriptions/a/callback",
                &[("POST", of("a", "callback", ""))],
                POST,
            ),
            (
                "subscriptions/a/claim",
                &[("POST", of("a", "claim", ""))],
                POST,
            ),
            ("subscriptions/a/ack", &[("POST", of("a", "ack", ""))], POST),
            (
                "subscriptions/a/release",
                &[("POST", of("a", "release", ""))],
                POST,
            ),
            (
                "subscriptions/a/retry",
                &[("POST", of("a", "retry", ""))],
                POST,
            ),
        ];
        for (rest, routes, allow) in table {
            for method in METHODS {
                let asked = if method == "HEAD" { "GET" } else { method };
                let found = routes.iter().find(|(known, _)| *known == asked);
                let expected = match found {
                    Some((_, route)) => Ok(route.clone()),
                    None => Err(SubscriptionError::Method { allow }.into()),
                };
                assert_eq!(Route::parse(method, rest), expected, "{method} {rest}");
                let is_allowed = allow.split(", ").any(|one| one == method);
                assert_eq!(is_allowed, found.is_some() || method == "OPTIONS");
            }
        }
    }

    #[test]
    fn all_else_is_no_route() {
        for rest in [
            "",
            "/",
            "x",
            "streamsx/a",
            "subscription/a",
            "Subscriptions/a",
            "subscriptions%2Fa",
            "subscriptions/a/",
            "subscriptions/a/acks",
            "subscriptions/a/ack/",
            "subscriptions/a/ack/b",
            "subscriptions/a/streamsx",
            "subscriptions//ack/x",
            "jwks.json/",
            "jwks",
            "keys",
            "keys/rotate/now",
            "directory",
            "directory/rebuild/",
            "__ds/subscriptions/a",
        ] {
            for method in METHODS {
                let refused = Route::parse(method, rest).unwrap_err();
                assert_eq!(
                    refused,
                    SubscriptionError::NoRoute.into(),
                    "{method} {rest}"
                );
                assert_eq!(refused.status(), 404);
                assert_eq!(refused.code(), "SUBSCRIPTION_NOT_FOUND");
            }
        }
    }

    #[test]
    fn an_id_is_one_segment() {
        let long = "a".repeat(MAX_ID);
        for (raw, id) in [
            ("a", "a"),
            ("streams", "streams"),
            ("%C3%A9", "\u{e9}"),
            ("a%20b", "a b"),
            ("a%25", "a%"),
            ("...", "..."),
            ("__ds", "__ds"),
            ("a%2Fb", "a/b"),
            (&long, &long),
        ] {
            let route = Route::parse("GET", &format!("subscriptions/{raw}"));
            assert_eq!(route, Ok(of(id, "get", "")));
        }
        for wrong in [
            "",
            "%2E%2e",
            ".",
            "%00",
            "a%0Ab",
            "%7F",
            "%C2%80",
            "%",
            "%4",
            "%zz",
            "%ff",
            "%EF%BF%BD",
            &format!("{long}a"),
        ] {
            for rest in [
                format!("subscriptions/{wrong}"),
                format!("subscriptions/{wrong}/streams/a"),
            ] {
                let refused = Route::parse("DELETE", &rest).unwrap_err();
                assert_eq!(refused.status(), 400, "{rest}");
                let text = refused.to_string();
                assert!(text.starts_with("the subscription id must"), "{text}");
            }
        }
    }

    #[test]
    fn a_path_is_the_whole_rest() {
        for (raw, path) in [
            ("a%2Fb", "a/b"),
            ("a/b", "a/b"),
            ("%2Fa%2F", "a"),
            ("ack", "ack"),
            ("a//b", "a//b"),
        ] {
            let route = Route::parse("DELETE", &format!("subscriptions/x/streams/{raw}"));
            assert_eq!(route, Ok(of("x", "remove", path)));
        }
        for wrong in ["", "%2F", "%ff", "%4", "%EF%BF%BD"] {
            for (method, before) in [("DELETE", "subscriptions/x/"), ("GET", "")] {
                let rest = format!("{before}streams/{wrong}");
                let refused = Route::parse(method, &rest).unwrap_err();
                assert_eq!(refused.status(), 400, "{rest}");
                assert!(refused.to_string().starts_with("the stream path must"));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_found(
            id in "[a-z0-9:@ é%?#_~-]{1,60}",
            segments in prop::collection::vec("[a-zé .%:]{1,9}[a-z]", 1..5),
            is_other in any::<bool>(),
            is_plain in any::<bool>(),
        ) {
            let path = segments.join("/");
            let raw = match is_plain {
                true => segments.iter().map(|s| encoded(s).to_string()).collect::<Vec<_>>().join("/"),
                false => encoded(&path).to_string(),
            };
            let prefix = if is_other { "/v1/streams/" } else { "/v1/stream/" };
            let url = format!("{prefix}p/__ds/subscriptions/{}/streams/{raw}", encoded(&id));
            let (root, rest) = Root::split(&url).unwrap();
            prop_assert_eq!(root, Ok(Root::of_project("p")));
            prop_assert_eq!(Route::parse("DELETE", rest), Ok(of(&id, "remove", &path)));
        }

        #[test]
        fn whatever_is_taken_is_an_id(method in "GET|PUT|POST|DELETE", rest in "(subscriptions|[a-z]{0,3}|/|%[0-9a-fA-F]{2}|streams|\\PC){0,12}") {
            if let Ok(Route::Subscription { id, path, .. }) = Route::parse(&method, &rest) {
                prop_assert!(!id.is_empty() && id.len() <= MAX_ID && !id.contains('/'));
                prop_assert!(!id.chars().any(char::is_control) && id != ".." && id != ".");
                prop_assert!(!path.starts_with('/') && !path.ends_with('/'));
            }
        }
    }
}
